"""What every form has in common."""

import pytest

from tests.fakes.deployables import SECRET, make_deployable, make_hostile
from tuner.deploy.emit import emit
from tuner.deploy.form import Form
from tuner.domain.measurement import Capacity

every_form = pytest.mark.parametrize("form", Form)


def comment_of(text: str) -> list[str]:
    lines = text.splitlines()
    return lines[: next(index for index, line in enumerate(lines) if not line.startswith("# "))]


@every_form
def test_a_form_begins_with_what_it_is_and_what_it_was_measured_to_do(form: Form):
    comment = "\n".join(comment_of(emit(form, make_deployable())))
    assert "Study night, trial 7: chosen for 10 req/s with ttft_p95 ≤ 500 ms, tpot_p95 ≤ 50 ms, 2x headroom" in comment
    assert "24.1 req/s (23–25.2), 90% interval: 2.4 times the target" in comment
    assert "2 x NVIDIA H100 80GB HBM3 (driver 550.54) with vLLM 0.32.0, model Qwen/Qwen3-8B (revision 0123" in comment
    assert "The figures hold for that" in comment


@every_form
def test_a_capacity_that_no_measured_rate_broke_is_said_to_be_a_bound(form: Form):
    text = emit(form, make_deployable(capacity=Capacity(rps=40.0, lower_rps=38.0, upper_rps=None)))
    assert "One replica sustains ≥ 40 req/s: 4 times the target." in text


@every_form
def test_random_weights_missing_replicas_and_cautions_are_warned_of(form: Form):
    text = emit(form, make_deployable(flags={"load-format": "dummy"}, replicas=3, cautions=("mind the gap.",)))
    assert "random weights" in text
    assert ("20 req/s need 3 replicas" in text) == (form is not Form.KUBERNETES), "a Deployment has them all"
    assert "# Note: mind the gap." in text
    none = emit(form, make_deployable(replicas=None, capacity=Capacity(rps=0.0, upper_rps=2.0)))
    assert "no measured rate held" in none
    assert "One replica sustains < 2 req/s." in none


@every_form
def test_no_name_ends_the_comment_or_brings_a_secret(form: Form):
    hostile = make_hostile(slos=("a\nrm -rf /",), study="x\n---\ny", cautions=("\r\nevil",))
    text = emit(form, hostile)
    assert "rm -rf /" in text
    assert not any(line.startswith(("rm", "evil", "y,")) for line in text.splitlines())
    assert SECRET not in text


@every_form
def test_a_form_ends_with_one_line_feed(form: Form):
    text = emit(form, make_deployable())
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
