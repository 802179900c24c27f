"""`tuner importance` on the committed study."""

import json
import subprocess
import sys

from tests.fakes.workbench import ROOT


def importance(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tuner", "importance", "--db", str(ROOT / "results.db"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_objective_has_its_flags_with_intervals_and_few_trials_are_said_to_be_few():
    done = importance()
    assert done.returncode == 0, done.stderr
    for word in ("capacity_rps", "ttft_p95", "max-num-seqs", "max-num-batched-tokens", "Too few trials"):
        assert word in done.stdout


def test_the_same_in_json_adds_up_to_one():
    done = importance("--json")
    assert done.returncode == 0, done.stderr
    text = json.dumps(json.loads(done.stdout))
    assert "max-num-seqs" in text


def test_a_figure_that_does_not_exist_is_refused_in_words():
    done = importance("--target", "speed")
    assert done.returncode == 2
    assert "speed" in done.stderr
    assert "Traceback" not in done.stderr
