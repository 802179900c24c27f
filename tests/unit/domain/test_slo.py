import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tuner.domain.slo import SLO_NAMES, Latency, Percentile, Slo, Slos, make_slo, parse_slo, split_name

SET: TypeAdapter[tuple[Slo, ...]] = TypeAdapter(Slos)


def test_an_slo_is_read_from_a_command_line() -> None:
    slo = parse_slo("ttft_p95=500ms")
    assert slo == Slo(latency=Latency.TTFT, percentile=Percentile.P95, limit=0.5)
    assert slo.name == "ttft_p95"
    assert str(slo) == "ttft_p95 ≤ 500 ms"


def test_a_bare_number_is_milliseconds() -> None:
    assert make_slo("tpot_mean", 50).limit == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ttft_p95", "write it like ttft_p95=500ms"),
        ("ttft_p59=1s", "nearest: ttft_p9"),
        ("latency=1s", "no latency percentile"),
        ("ttft_p95=fast", "the limit of ttft_p95: 'fast' is not a duration"),
        ("ttft_p95=", "not a duration"),
        ("ttft_p95=0", "must be above zero"),
        ("ttft_p95=-5", "not a duration"),
        ("ttft_p95=1s;rm", "not a duration"),
    ],
)
def test_a_bad_slo_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_slo(text)


@given(st.sampled_from(SLO_NAMES), st.integers(1, 10**6))
def test_every_name_and_limit_reads_back(name: str, milliseconds: int) -> None:
    slo = parse_slo(f"{name}={milliseconds}ms")
    assert split_name(slo.name) == (slo.latency, slo.percentile)
    assert slo.limit == pytest.approx(milliseconds / 1e3)


def test_a_mapping_and_a_stored_list_give_the_same_set() -> None:
    slos = SET.validate_python({"ttft_p95": "500ms", "tpot_p95": 50})
    assert SET.validate_json(SET.dump_json(slos)) == slos


@pytest.mark.parametrize("value", [5, "ttft_p95=1s", None, True])
def test_something_that_is_no_mapping_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="must be a mapping"):
        SET.validate_python(value)
