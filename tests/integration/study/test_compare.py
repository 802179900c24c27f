"""Which studies can be compared, on real result files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.results import A100, H100, result_file
from tuner.analysis.comparison import Comparison
from tuner.analysis.cost import parse_price
from tuner.domain.errors import InputError
from tuner.domain.slo import parse_slo
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.study.compare import chosen_studies, compare_studies

Compare = Callable[..., Comparison]


def make(path: Path, holds: Sequence[float] = (2.0, 6.0), *, joules: float | None = None, **changes: Any) -> Path:
    with result_file(path, **changes) as file:
        for number, rate in enumerate(holds):
            file.measure({"max-num-seqs": 8 * number} if number else {}, rate, joules=joules)
    return path


@pytest.fixture
def h100(tmp_path: Path) -> Path:
    return make(tmp_path / "h100.db", device=H100)


@pytest.fixture
def compared() -> Iterator[Compare]:
    with ExitStack() as files:

        def compare(paths: Sequence[Path], names: Sequence[str] = (), **options: Any) -> Comparison:
            readers = [files.enter_context(closing(open_reader(DatabaseLocation.parse(str(path))))) for path in paths]
            return compare_studies(chosen_studies(readers, names), headroom=2.0, **options)

        yield compare


def test_studies_of_two_gpus_in_two_files(h100: Path, tmp_path: Path, compared: Compare):
    a100 = make(tmp_path / "a100.db", (2.0, 4.0), study="a100-night", device=A100, joules=2000.0)
    found = compared([h100, a100], prices=[parse_price("h100=2.99"), parse_price("a100=1.49")])
    night, other = found.studies
    assert (night.label, night.device, night.best.capacity_rps) == ("night", H100, 6.0)
    assert (other.label, other.device, other.best.capacity_rps) == ("a100-night", A100, 4.0)
    assert other.best.to_first is not None
    assert other.best.to_first.value == pytest.approx(4 / 6)
    assert other.best.to_first.is_different
    assert (night.best.efficiency, night.best.bill.price_per_gpu_hour) == (None, 2.99)
    assert other.best.efficiency is not None
    assert other.best.bill.price_per_gpu_hour == 1.49
    assert [len(same.entries) for same in found.configurations] == [2, 2]
    assert {difference.what for difference in found.differences} == {"device"}


def test_one_name_in_two_files_needs_the_file(h100: Path, tmp_path: Path, compared: Compare):
    a100 = make(tmp_path / "a100.db", model="m/other", device=A100)
    with pytest.raises(InputError, match="several files") as refusal:
        compared([h100, a100], ["night"])
    assert f"{a100}:night" in refusal.value.advice
    found = compared([h100, a100], [f"{a100}:night", f"{h100}:night"])
    assert [study.label for study in found.studies] == [f"{a100}:night", f"{h100}:night"]
    assert any("token" in note for note in found.notes)


def test_the_same_study_in_two_files_is_one(h100: Path, tmp_path: Path, compared: Compare):
    copy = tmp_path / "copy.db"
    copy.write_bytes(h100.read_bytes())
    assert len(compared([h100, copy]).studies) == 1
    with pytest.raises(InputError, match="two files"):
        compared([h100, copy], [f"{h100}:night", f"{copy}:night"])


def test_other_workloads_are_refused_with_what_differs(h100: Path, tmp_path: Path, compared: Compare):
    other = make(tmp_path / "other.db", study="other", workload={"input_tokens": 256, "output_tokens": 32})
    with pytest.raises(InputError, match="input_tokens: 128 and 256"):
        compared([h100, other])


def test_other_slos_are_refused_until_one_set_is_asked_for(h100: Path, tmp_path: Path, compared: Compare):
    other = make(tmp_path / "other.db", study="other", slos={"ttft_p95": "300ms"})
    with pytest.raises(InputError, match="other SLOs") as refusal:
        compared([h100, other])
    assert "--slo ttft_p95=500ms" in refusal.value.advice
    assert compared([h100, other], slos=[parse_slo("ttft_p95=400ms")]).slos == ("ttft_p95 ≤ 400 ms",)


def test_other_target_rates_are_refused_until_one_is_asked_for(h100: Path, tmp_path: Path, compared: Compare):
    other = make(tmp_path / "other.db", study="other", target_rps=4.0)
    with pytest.raises(InputError, match="other target rates") as refusal:
        compared([h100, other])
    assert "--target-rps 4" in refusal.value.advice
    assert compared([h100, other], target_rps=4.0).target_rps == 4.0


def test_a_price_that_fits_no_study_is_refused_with_the_devices(h100: Path, compared: Compare):
    with pytest.raises(InputError, match="H100 80GB HBM3"):
        compared([h100], prices=[parse_price("b200=6")])
    with pytest.raises(InputError, match="one device"):
        compared([h100], prices=[parse_price("h100=2"), parse_price("nvidia=3")])


def test_unknown_names_and_studies_without_figures_are_refused(h100: Path, tmp_path: Path, compared: Compare):
    with pytest.raises(InputError, match="there are: night"):
        compared([h100], ["nigth"])
    empty = make(tmp_path / "empty.db", (), study="empty")
    with pytest.raises(InputError, match="measured yet"):
        compared([h100, empty])
    with pytest.raises(InputError, match="two or three figures"):
        compared([h100], metrics=["capacity_rps"])
