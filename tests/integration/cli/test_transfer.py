"""`tuner compare`, `import`, `export` and `prune` on copies of the committed result file, as a user calls them."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

from tests.fakes.workbench import Workbench
from tuner.study.export import COLUMNS, Table

ROOT = Path(__file__).parents[3]
MODULES = frozenset({"optuna", "alembic", "plotly", "torch", "transformers", "pyarrow", "pandas"})
Tuner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed study, imported: at the newest schema."""
    path = tmp_path_factory.mktemp("committed") / "results.db"
    done = run("import", ROOT / "results.db", "--db", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def database(committed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(committed, tmp_path / "results.db"))


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tuner", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answer(*arguments: str | Path) -> Any:
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def exported(database: Path, table: str, suffix: str = "json") -> Path:
    path = database.parent / f"{table}.{suffix}"
    done = run("export", "-o", path, "--table", table, "--db", database)
    assert done.returncode == 0, done.stderr
    return path


def test_best_compare_show_and_export_say_the_same(database: Path):
    compared = answer("compare", "--db", database)
    target = compared["target_rps"]
    best = answer("best", "--target-rps", str(target), "--db", database)
    shown = answer("show", str(best["trial"]), "--db", database)
    rows = {row["trial"]: row for row in json.loads(exported(database, "trials").read_text())}
    entry, row = compared["studies"][0]["best"], rows[best["trial"]]
    for name in ("capacity_rps", "capacity_lower_rps", "capacity_upper_rps"):
        assert best[name] == entry[name] == shown[name] == row[name]
    at_target = {name.removeprefix("at_target_"): value for name, value in row.items() if name.startswith("at_target")}
    assert best["best"]["at_target"] == entry["at_target"] == shown["at_target"] == at_target
    assert best["command"] == entry["command"] == shown["command"] == row["command"]
    assert best["slos"] == compared["slos"] == row["slos"]
    assert best["replicas"] == entry["bill"]["replicas"]


def test_compare_has_the_front_that_pareto_has(database: Path):
    names = ("--metric", "capacity_rps", "--metric", "ttft_p95", "--metric", "tpot_p95")
    pareto = answer("pareto", *names, "--db", database)
    compared = answer("compare", *names, "--db", database)
    front = {trial["trial"]: trial["figures"] for trial in pareto["trials"] if trial["on_front"]}
    assert {member["trial"]: member["figures"] for member in compared["front"]} == front


def test_requests_of_a_load_point_make_its_figures(database: Path):
    points = json.loads(exported(database, "load_points").read_text())
    requests = json.loads(exported(database, "requests").read_text())
    assert len(requests) == sum(point["requests"] for point in points if not point["given_up"]) + sum(
        sum((row["trial"], row["load_point"]) == (point["trial"], point["load_point"]) for row in requests)
        for point in points
        if point["given_up"]
    )
    for point in points:
        its = [row for row in requests if (row["trial"], row["load_point"]) == (point["trial"], point["load_point"])]
        assert sum(row["outcome"] == "ok" for row in its) == point["completed"]
        assert all(row["ttft_ms"] >= 0 for row in its if row["outcome"] == "ok")


@pytest.mark.parametrize("table", list(Table))
def test_every_format_has_the_same_rows_and_the_documented_columns(database: Path, table: Table):
    names = [column.name for column in COLUMNS[table]]
    in_json = json.loads(exported(database, table).read_text())
    with exported(database, table, "csv").open(newline="", encoding="utf-8") as file:
        head, *in_csv = csv.reader(file)
    in_parquet = cast("Any", parquet).read_table(exported(database, table, "parquet"))
    assert names == list(in_json[0]) == head == in_parquet.column_names
    assert len(in_json) == len(in_csv) == in_parquet.num_rows > 0
    documented = (ROOT / "docs" / "result-file.md").read_text()
    for column in COLUMNS[table]:
        assert f"| `{column.name}` | {column.kind} | {column.meaning} |" in documented


def test_two_studies_of_two_files_side_by_side_with_costs(database: Path, tmp_path: Path):
    other = tmp_path / "other.db"
    assert run("import", database, "--as", "other", "--db", other).returncode == 0
    files = ("--db", database, "--db", other)
    found = answer("compare", "quickstart", "other", *files, "--price", "epyc=1.20")
    assert [study["label"] for study in found["studies"]] == ["quickstart", "other"]
    assert found["studies"][1]["best"]["to_first"]["value"] == 1
    assert len(found["configurations"]) == found["studies"][0]["measured"]
    entry = found["studies"][0]["best"]
    per_hour = entry["capacity_rps"] * entry["output_tokens_per_request"] * 3600
    assert entry["bill"]["per_million_output_tokens"] == pytest.approx(1.2 / per_hour * 1e6)
    table = run("compare", "quickstart", f"{other}:other", "--db", database, "--price", "epyc=1.20")
    assert (table.returncode, table.stderr) == (0, "")
    for words in ("no difference shown", "vLLM's defaults", "Hypervolume", "per 1M output tokens"):
        assert words in table.stdout


def test_import_says_what_came_and_once_more_that_nothing_is_new(tmp_path: Path):
    here = tmp_path / "here.db"
    first = run("import", ROOT / "results.db", "--db", here)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("quickstart: ")
    assert "load points" in first.stdout
    assert run("import", ROOT / "results.db", "--db", here).stdout == "quickstart: nothing new\n"
    (study,) = answer("import", ROOT / "results.db", "--db", here)["studies"]
    assert (study["is_new"], study["trials"]) == (False, 0)


def test_prune_tells_first_and_does_it_with_yes(database: Path):
    told = run("prune", "--db", database)
    assert "--yes" in told.stdout
    size = database.stat().st_size
    found = answer("prune", "--keep", "nothing", "--yes", "--db", database)
    assert found["bytes_freed"] == size - database.stat().st_size > 0
    done = run("export", "-o", database.parent / "r.csv", "--table", "requests", "--db", database)
    assert "were pruned" in done.stderr
    assert answer("best", "--target-rps", "2", "--db", database)["capacity_rps"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "nobody"], "no study named 'nobody'"),
        (["compare", "--price", "h100"], "h100=2.99"),
        (["compare", "--price", "h100=2.99"], "no device of these studies"),
        (["export", "-o", "table.xls"], "csv, json, parquet"),
        (["export", "nobody", "-o", "table.csv"], "no study named"),
        (["prune", "--older-than", "yesterday"], "30d"),
        (["prune", "--keep", "everything"], "no trial of quickstart"),
        (["import", "nowhere.db"], "no such result file"),
    ],
)
def test_wrong_input_is_said_in_words(database: Path, arguments: list[str], words: str):
    done = run(*arguments, "--db", database)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_comparing_and_exporting_import_nothing_heavy(database: Path):
    for arguments in (["compare"], ["export", "-o", str(database.parent / "t.csv")]):
        code = (
            "import sys\n"
            "from tuner.cli.main import main\n"
            f"sys.argv = ['tuner', *{arguments!r}, '--db', {str(database)!r}]\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            f"assert not {set(MODULES)!r} & set(sys.modules), {set(MODULES)!r} & set(sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_study_that_came_from_another_box_goes_on_here(tmp_path: Path):
    bench = Workbench(tmp_path)
    assert bench.tuner("run", bench.study(budget={"trials": 2}), "--db", "other.db").returncode == 0
    assert bench.tuner("import", "other.db").returncode == 0
    resumed = bench.tuner("resume", "night", "--trials", "3")
    assert resumed.returncode == 0, resumed.stderr
    assert [trial["trial"] for trial in bench.json("trials")] == [0, 1, 2]
    assert bench.json("import", "other.db")["studies"][0]["trials"] == 0
