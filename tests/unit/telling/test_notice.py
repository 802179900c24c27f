"""What webhooks are told."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.builders import make_trial
from tests.fakes.stories import LATER, NIGHT, OOM, SESSION, told
from tests.fakes.workbench import ROOT
from tuner.domain.events import Event, TrialFinished
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.trial import TrialState
from tuner.telling.notice import Best, Notice, NoticeKind, inert, notice

PAGE = (ROOT / "docs" / "overnight.md").read_text()


def sentence(event: NoticeKind, reason: str, events: list[Event]) -> str:
    return notice(event, reason, told(events), SESSION, at=LATER).text


def test_the_payload_of_a_finished_study():
    told_of = notice(NoticeKind.FINISHED, "the time is up", told(NIGHT), SESSION, at=LATER)
    payload = json.loads(told_of.model_dump_json())
    assert payload.pop("text") == payload.pop("content")
    assert payload.pop("tuner_version")
    assert payload == {
        "event": "study_finished",
        "study": "night",
        "reason": "the time is up",
        "failure": None,
        "trials": {"measured": 2, "failed": 1},
        "best": {
            "trial": 1,
            "flags": {"max-num-seqs": 8},
            "capacity_rps": 6.0,
            "lower_rps": pytest.approx(5.4),
            "upper_rps": pytest.approx(6.6),
            "confidence": 0.9,
            "limited_by": "ttft_p95",
        },
        "target_rps": 2.0,
        "slos": ["ttft_p95 ≤ 500 ms"],
        "resume": "tuner resume night",
        "directory": "/srv/tuner",
        "host": "gpu-3",
        "started_at": "2026-01-01T18:00:00Z",
        "at": "2026-01-02T06:00:00Z",
    }


def test_a_finished_study_in_one_sentence():
    assert sentence(NoticeKind.FINISHED, "the time is up", NIGHT) == (
        "tuner on gpu-3: study night finished (the time is up); "
        "best is trial 1 with 6 req/s (5.4–6.6) for a target of 2: --max-num-seqs=8; 1 failed, 2 measured"
    )


def test_a_stop_says_why_and_how_to_go_on():
    assert sentence(NoticeKind.STOPPED, "trial 0 failed", NIGHT[:2]) == (
        "tuner on gpu-3: study night stopped itself (trial 0 failed); nothing is measured yet; "
        "to go on: `tuner resume night`"
    )
    assert "was stopped by SIGTERM" in sentence(NoticeKind.INTERRUPTED, "SIGTERM", NIGHT[:2])
    assert "ended unexpectedly (internal error, KeyError)" in sentence(
        NoticeKind.FAILED, "internal error, KeyError", NIGHT[:2]
    )


def test_a_failed_baseline_says_so_while_the_study_goes_on():
    text = sentence(NoticeKind.BASELINE_FAILED, "trial 0, vLLM's defaults, failed (oom_start): x", NIGHT[:2])
    assert text.startswith("tuner on gpu-3: study night: trial 0, vLLM's defaults, failed (oom_start): x; nothing")
    assert "resume" not in text


def test_the_failure_is_there_where_it_is_the_reason_alone():
    standing = told(NIGHT)
    assert notice(NoticeKind.STOPPED, "x", standing, SESSION, at=LATER, failed=True).failure == OOM
    assert notice(NoticeKind.INTERRUPTED, "SIGINT", standing, SESSION, at=LATER).failure is None


def test_what_a_server_answered_is_never_told_because_it_may_quote_a_prompt():
    failure = Failure(kind=FailureKind.LOAD_FAILED, evidence="no request succeeded; the first one: 400 SECRET PROMPT")
    standing = told([TrialFinished(make_trial(0, state=TrialState.FAILED, failure=failure), None)])
    reason = f"trial 0 failed (load_failed): {failure.evidence}"
    told_of = notice(NoticeKind.STOPPED, reason, standing, SESSION, at=LATER, failed=True)
    assert "SECRET PROMPT" not in told_of.model_dump_json()
    assert told_of.failure is not None
    assert told_of.failure.kind == "load_failed"


@given(st.text(max_size=3000))
def test_a_sentence_is_inert_whatever_is_in_it(text: str):
    line = inert(text)
    assert len(line) <= 1500
    assert not re.search(r"[\x00-\x1f\x7f<>`]|@(?!\u200b)", line)


def test_a_hostile_log_line_mentions_nobody_and_breaks_no_line():
    text = sentence(NoticeKind.STOPPED, "<!channel> @everyone\n`x` <http://a|b>", NIGHT[:1])
    assert "\n" not in text
    assert "<" not in text
    assert "@everyone" not in text


def test_a_long_reason_is_cut_in_the_sentence_and_whole_in_its_key():
    told_of = notice(NoticeKind.FAILED, "x" * 5000, told([]), SESSION, at=LATER)
    assert len(told_of.text) < 600
    assert len(told_of.reason) == 5000


@pytest.mark.parametrize("name", [*Notice.model_fields, *Best.model_fields, *NoticeKind])
def test_every_key_and_every_event_is_documented(name: str):
    assert f"`{name}`" in PAGE
