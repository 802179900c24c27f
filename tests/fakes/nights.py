"""A whole night to report on: trials that were measured, failed and repeated, on two GPUs, with everything in it."""

from collections.abc import Iterator
from datetime import UTC, timedelta

from tests.fakes.builders import BEGAN, make_point, make_study, make_trial
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.trial import Launch, Provenance, Purpose, Study, Trial, TrialRole, TrialState
from tuner.report.material import Judged, Material, Reading, Weight, Weights
from tuner.report.page_model import Fact, Verdict

METRICS = ("capacity_rps", "ttft_p95")
OUT_OF_MEMORY = Failure(
    kind=FailureKind.OOM_START, evidence="torch.OutOfMemoryError: CUDA out of memory", advice="Lower the utilisation."
)
WEIGHTS = Weights(
    single=(
        Weight("capacity_rps", "max-num-batched-tokens", 0.3, 0.1, 0.5, is_apart=False),
        Weight("capacity_rps", "max-num-seqs", 0.7, 0.5, 0.9, is_apart=True),
    ),
    pairs=(("capacity_rps", "max-num-seqs", "max-num-batched-tokens", 0.12),),
)
HOLDS = {0: 4.0, 1: 6.0, 2: 5.0, 3: 8.0, 4: 3.0, 6: 7.0}
"""Capacity by trial number; trial 5 failed, trial 7 needed no launch."""
ROLES = {0: TrialRole.BASELINE, 1: TrialRole.CANDIDATE}


def capacity(rps: float) -> Capacity:
    """A capacity known to 10 %."""
    return Capacity(rps=rps, lower_rps=rps * 0.9, upper_rps=rps * 1.1, limited_by="ttft_p95")


def launch(number: int, attempt: int = 1, purpose: Purpose = Purpose.MEASURE, *, rps: float | None = None) -> Launch:
    """A launch within its trial's minute; later ones follow at the end of the night."""
    began = BEGAN + timedelta(minutes=number if attempt == 1 else 20 + attempt)
    return Launch(
        id=number * 10 + attempt,
        trial_id=number + 1,
        attempt=attempt,
        purpose=purpose,
        argv=("vllm",),
        log_path=f"logs/{number}.log",
        started_at=began,
        ready_after=None if number == 5 else 20.0,
        ended_at=began + timedelta(seconds=55),
        capacity=capacity(rps) if rps else None,
        failure=OUT_OF_MEMORY if number == 5 else None,
    )


def flags_of(number: int) -> dict[str, FlagValue]:
    """The flags of a trial of the night."""
    return {} if number == 0 else {"max-num-seqs": 8 * number, "max-num-batched-tokens": 128 * number}


def points_of(number: int) -> tuple[LoadPoint, ...]:
    """Load points at 2, 4, 6 and 8 requests per second, broken above the capacity."""
    return tuple(
        make_point(rate, index=index, ttft=0.05 * number + 0.02 * rate, met=rate <= HOLDS[number])
        for index, rate in enumerate((2.0, 4.0, 6.0, 8.0))
    )


def trials_of_night() -> tuple[Trial, ...]:
    """Six measured trials, one that ran out of memory, one refused; the defaults were measured again twice."""
    return tuple(_trials())


def _trials() -> Iterator[Trial]:
    for number in range(7):
        later = (launch(0, 2, Purpose.DRIFT, rps=4.1), launch(0, 3, Purpose.CONFIRM, rps=3.9)) if number == 0 else ()
        measured = number in HOLDS
        yield make_trial(
            number,
            flags=flags_of(number),
            role=ROLES.get(number, TrialRole.SAMPLED),
            state=TrialState.MEASURED if measured else TrialState.FAILED,
            points=points_of(number) if measured else (),
            capacity=capacity(HOLDS[number]) if measured else None,
            failure=None if measured else OUT_OF_MEMORY,
            launches=(launch(number, rps=HOLDS.get(number)), *later),
        )
    refused = Failure(kind=FailureKind.INFEASIBLE, evidence="max-num-batched-tokens < max-num-seqs")
    yield make_trial(7, flags=flags_of(7), state=TrialState.INFEASIBLE, failure=refused)


def judged_of(trials: tuple[Trial, ...]) -> dict[int, Judged]:
    """What was measured, with trials 0, 2 and 3 on the front."""
    return {
        trial.number: Judged(
            capacity=trial.capacity,
            points=trial.load_points,
            figures={"capacity_rps": trial.capacity.rps, "ttft_p95": trial.load_points[0].summary.ttft.p95 or 0.0},
            on_front=trial.number in {0, 2, 3},
        )
        for trial in trials
        if trial.capacity is not None
    }


def readings() -> tuple[Reading, ...]:
    """Clock, power and temperature of two GPUs, once a minute."""
    return tuple(
        Reading(BEGAN + timedelta(minutes=minute), gpu, 1980.0 - 10 * minute, 650.0 + gpu, 60.0)
        for minute in range(7)
        for gpu in (0, 1)
    )


def make_material(**changes: object) -> Material:
    """The night as a report gets it: trial 3 is the answer, trial 6 ties with it."""
    trials = trials_of_night()
    study = make_study().model_copy(update={"provenance": Provenance(device="NVIDIA H100", vllm_version="0.32.0")})
    values: dict[str, object] = {
        "study": study,
        "label": "night",
        "trials": trials,
        "judged": judged_of(trials),
        "slos": study.spec.slos,
        "target_rps": 2.0,
        "headroom": 2.0,
        "metrics": METRICS,
        "verdict": Verdict("Deploy trial 3", "Asked: 2 req/s.", "vllm serve m", (Fact("capacity", "8 req/s"),)),
        "zone": UTC,
        "best": 3,
        "ties": frozenset({6}),
        "weights": WEIGHTS,
        "readings": readings(),
        "intervals": {(3, 0, "ttft_p95"): (0.15, 0.25)},
    }
    return Material(**{**values, **changes})  # pyright: ignore[reportArgumentType]


def named(study: Study, **changes: object) -> Study:
    """The study with other words in its specification."""
    return study.model_copy(update={"spec": study.spec.model_copy(update=changes)})
