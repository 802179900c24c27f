from pathlib import Path

import pytest

from tuner.domain.errors import InputError
from tuner.space.feasibility import check_possible, refusal
from tuner.space.loader import load_space, parse_space, shipped_spaces
from tuner.space.sampling import feasible_samples

SPACE = "parameters:\n  block-size: {type: categorical, choices: [16, 32]}\n"


def test_the_shipped_spaces_are_known_by_name() -> None:
    assert shipped_spaces() == ("full", "memory", "quality-tradeoffs", "quickstart", "scheduler")


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_shipped_space_has_feasible_configurations_and_says_why_each_flag_is_tuned(name: str, tmp_path: Path) -> None:
    space = load_space(name, relative_to=tmp_path)
    fixed = {"max-model-len": 640}
    check_possible(space, fixed)
    samples = feasible_samples(space, fixed, seed=0, count=30)
    assert len(samples) == 30
    assert all(refusal(space, flags, fixed) is None for flags in samples)
    assert all(parameter.description for parameter in space.parameters.values())
    assert space.description
    assert load_space(f"{name}.yaml", relative_to=tmp_path) == space


def test_only_the_opt_in_space_touches_the_numbers_inside_the_model(tmp_path: Path) -> None:
    precision = {"kv-cache-dtype", "dtype", "quantization"}
    touching = {
        name for name in shipped_spaces() if precision & load_space(name, relative_to=tmp_path).parameters.keys()
    }
    assert touching == {"quality-tradeoffs"}


def test_a_file_of_ones_own_goes_before_a_shipped_one_where_the_suffix_is_written(tmp_path: Path) -> None:
    (tmp_path / "scheduler.yaml").write_text(SPACE)
    assert "block-size" in load_space("scheduler.yaml", relative_to=tmp_path).parameters
    assert "max-num-seqs" in load_space("scheduler", relative_to=tmp_path).parameters


@pytest.mark.parametrize("written", ["./mine.yml", "sub/../mine.yml", "mine.yml"])
def test_a_path_starts_at_the_given_directory(written: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "mine.yml").write_text(SPACE)
    assert list(load_space(written, relative_to=tmp_path).parameters) == ["block-size"]
    assert load_space(str(tmp_path / "mine.yml"), relative_to=Path("/")) == load_space(written, relative_to=tmp_path)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("schedular", "no search space named 'schedular'; did you mean scheduler?"),
        ("zzz", "shipped are full, memory, quality-tradeoffs, quickstart, scheduler"),
        ("../scheduler", "there is no such file"),
        ("", "no search space named ''"),
        (";rm", "no search space named ';rm'"),
        ("a\x00b", "no search space named"),
        ("./none.yaml", "there is no such file"),
    ],
)
def test_an_unknown_space_is_refused_with_the_names_there_are(written: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_space(written, relative_to=tmp_path / "none")
    assert message in str(caught.value)


def test_a_bad_space_names_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("parameters:\n  block-size: {type: int, low: 9, high: 2}\n")
    with pytest.raises(InputError, match=r"mine\.yaml: parameters\.block-size: low \(9\) is above high \(2\)"):
        load_space("./mine.yaml", relative_to=tmp_path)


def test_a_mapping_is_a_space_too() -> None:
    space = parse_space({"parameters": {"block-size": {"type": "categorical", "choices": [16]}}}, source="inline")
    assert list(space.parameters) == ["block-size"]
