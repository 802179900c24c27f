"""The lines between a load worker and its parent."""

import math

import pytest

from tuner.domain.load import ClientHealth, LoadResult, Outcome, RequestRecord
from tuner.load.wire import Assembly, Done, progress_line, result_lines

HEALTH = ClientHealth(cpu_s=1.5, cpu_share=0.5, lateness_p99=0.001, loop_lag_max=0.004)
RECORDS = (
    RequestRecord(0.0, 0.001, (0.02, 0.03), 0.04, Outcome.OK, 7, 2, 2),
    RequestRecord(0.5, math.nan, (), 0.6, Outcome.REFUSED, 7, 0, 2, "no »connection«"),
)


def test_a_result_survives_the_way():
    assembly = Assembly()
    for line in result_lines(LoadResult(100.0, 3.0, RECORDS, HEALTH)):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert assembly.take(line) is None
    result = assembly.result
    assert result is not None
    assert result.records[0] == RECORDS[0]
    assert math.isnan(result.records[1].sent_at)
    assert (result.records[1].error, result.records[1].outcome) == ("no »connection«", Outcome.REFUSED)
    assert (result.started_at, result.duration, result.client) == (100.0, 3.0, HEALTH)


def test_progress_comes_between():
    assembly = Assembly()
    assert assembly.take(progress_line(3, 8)) == Done(3, 8)
    assert assembly.result is None


@pytest.mark.parametrize("line", [b"hello\n", b"{}\n", b"[]\n"])
def test_anything_else_is_refused(line: bytes):
    with pytest.raises(ValueError, match=r"load worker|Expecting"):
        Assembly().take(line)
