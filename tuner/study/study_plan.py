"""How long a study will take, what it will not have time for, and its GPU-hours. Pure: the time of day is handed in.

Each figure is measured, by what the result file holds of this study, or expected, by rules that stand here.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Literal

from tuner.domain.base import Frozen
from tuner.domain.device import Device
from tuner.domain.plan import Plan
from tuner.domain.space import CategoricalParameter, IntParameter
from tuner.domain.study import LoadPlan, StudySpec
from tuner.domain.trial import Trial, TrialState
from tuner.study.budget import counted, deadline, spent_seconds
from tuner.study.shortfalls import configurations, shortfalls

_GPU_START_S, _CPU_START_S = 35.0, 32.0
"""Seconds until an engine has imported everything and answers, weights and compilation apart (CPU: seen, vLLM 0.32)."""
_GPU_COMPILE_S, _CPU_COMPILE_S = 45.0, 30.0
"""Seconds of torch.compile and CUDA graph capture; none with --enforce-eager."""
_WEIGHTS_PER_S = 1.5e9
"""Bytes of weights read per second from a local disk."""
_STOP_S = 6.0
"""Seconds to stop a server and to store what was measured."""
_SEARCH_REQUESTS = 15_000
"""Requests of a search for the capacity to 5 % (docs/capacity.md); a tolerance of half needs four times as many."""
_SEARCH_TOLERANCE = 0.05


Bound = Literal["trials", "hours", "until", "search_space", "nothing"]
_OTHER: dict[Bound, str] = {"hours": "until", "until": "hours"}


class Estimate(Frozen):
    """A figure of a study's course."""

    value: float
    basis: Literal["measured", "expected"]
    why: str


class StudyPlan(Frozen):
    """A study's course, as far as it lies ahead."""

    start_up_s: Estimate
    """Seconds of one launch until it answers."""
    load_s: Estimate
    """Seconds of one trial's load points."""
    trial_s: Estimate
    """Seconds of one trial, from its launch to its stop."""
    done: int
    """Trials that are stored already and count against the budget."""
    launches: Estimate | None
    """Trials still to come that need a launch; None without a budget."""
    seconds: Estimate | None
    """Of all of them; None without a budget."""
    ends_by: Bound
    """Which bound of the budget ends it, or that the search space is measured whole."""
    gpus: int
    """GPUs that it keeps busy; 0 on a CPU."""
    gpu_hours: Estimate | None
    """None without a budget."""
    configurations: float | None
    """How many configurations the search space has; None where a parameter is continuous."""
    no_time_for: tuple[str, ...]
    """What the budget leaves out, in words."""


def study_plan(
    spec: StudySpec, plan: Plan, device: Device, trials: Sequence[Trial], *, calls: float = 1.0, now: datetime
) -> StudyPlan:
    """Return a study's course.

    Args:
        spec: the study.
        plan: of its defaults on the device.
        device: what it runs on.
        trials: what is stored of it already.
        calls: model calls of one of the workload's requests.
        now: the local time, aware.
    """
    rate = _likely_rate(spec, plan, trials, calls)
    holds = plan.expected_rps is not None and plan.expected_rps.low / calls >= spec.target_rps * spec.load.highest
    start_up, load = _start_up(spec, plan, device, trials), _load(spec, rate, trials, holds=holds)
    trial = _trial(spec, start_up, load, trials)
    launches, ends_by = _launches(spec, trial, trials, now)
    count = None if launches is None else launches.value
    gpus = 0 if device.vendor == "cpu" else gpus_of(spec)
    seconds = None if launches is None else _times(launches, trial.value, f"{count:g} × {trial.value:.0f} s")
    return StudyPlan(
        start_up_s=start_up,
        load_s=load,
        trial_s=trial,
        done=counted(trials),
        launches=launches,
        seconds=seconds,
        ends_by=ends_by,
        gpus=gpus,
        gpu_hours=None if seconds is None else _times(seconds, gpus / 3600, f"{gpus} × {seconds.value / 3600:.2f} h"),
        configurations=configurations(spec),
        no_time_for=shortfalls(spec, rate=rate, trial_s=trial.value, done=counted(trials), launches=count),
    )


def _times(estimate: Estimate, factor: float, why: str) -> Estimate:
    return Estimate(value=estimate.value * factor, basis=estimate.basis, why=why)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _start_up(spec: StudySpec, plan: Plan, device: Device, trials: Sequence[Trial]) -> Estimate:
    took = [launch.ready_after for trial in trials for launch in trial.launches if launch.ready_after is not None]
    if took:
        return Estimate(value=_mean(took), basis="measured", why=f"mean of {len(took)} launches of this study")
    on_cpu, eager = device.vendor == "cpu", bool(spec.base_flags().get("enforce-eager"))
    start = _CPU_START_S if on_cpu else _GPU_START_S
    compiling = 0.0 if eager else _CPU_COMPILE_S if on_cpu else _GPU_COMPILE_S
    weights = 0.0 if spec.base_flags().get("load-format") == "dummy" else plan.weights_bytes / _WEIGHTS_PER_S
    why = f"{start:.0f} s for the engine, {weights:.0f} s for the weights, {compiling:.0f} s to compile"
    return Estimate(value=start + weights + compiling, basis="expected", why=why)


def _measured(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state is TrialState.MEASURED]


def _load(spec: StudySpec, rate: float, trials: Sequence[Trial], *, holds: bool) -> Estimate:
    """Return seconds of a trial's load points; `holds`: whether even the highest rate is expected to hold."""
    costs = [trial.load_cost.seconds for trial in _measured(trials) if trial.load_points]
    if costs:
        return Estimate(value=_mean(costs), basis="measured", why=f"mean of {len(costs)} trials of this study")
    search, why = _climb(spec.load, spec.target_rps) if holds else _search(spec.load, spec.target_rps, rate)
    closed = sum(max(spec.load.min_requests, 4 * users) / rate for users in spec.load.concurrency)
    more = f", and {len(spec.load.concurrency)} closed-loop points" if closed else ""
    return Estimate(value=search + closed, basis="expected", why=why + more)


def _likely_rate(spec: StudySpec, plan: Plan, trials: Sequence[Trial], calls: float) -> float:
    """Return requests per second near a capacity: as measured, else as the plan expects, within what is searched."""
    found = [trial.capacity.rps for trial in _measured(trials) if trial.capacity and trial.capacity.rps > 0]
    if found:
        return median(found)
    lowest, highest = spec.target_rps * spec.load.lowest, spec.target_rps * spec.load.highest
    expected = plan.expected_rps
    middle = math.sqrt(expected.low * expected.high) / calls if expected and expected.low > 0 else spec.target_rps
    return min(max(middle, lowest), highest)


def _climb(load: LoadPlan, target_rps: float) -> tuple[float, str]:
    """Return seconds of load points up to the highest rate, each at twice the rate of the one before, and why."""
    steps = math.ceil(math.log2(load.highest))
    above = (target_rps * min(2**step, load.highest) for step in range(1, steps + 1))
    climb = sum(max(load.duration / 2, load.min_requests / rate) for rate in above)
    why = "everything is expected to hold up to load.highest, where the search ends"
    return load.requests(target_rps) / target_rps + climb, why


def _search(load: LoadPlan, target_rps: float, rate: float) -> tuple[float, str]:
    """Return seconds of a search for the capacity, and why so many."""
    first = load.requests(target_rps) / target_rps
    requests = _SEARCH_REQUESTS * (_SEARCH_TOLERANCE / load.tolerance) ** 2
    wanted = max(requests / rate, first)
    if load.time_budget is not None and load.time_budget < wanted:
        return max(load.time_budget, first), f"load.time_budget; ±{load.tolerance:.0%} is likely to take longer"
    return wanted, f"{requests:,.0f} requests for ±{load.tolerance:.0%}, at about {rate:.3g} req/s"


def _trial(spec: StudySpec, start_up: Estimate, load: Estimate, trials: Sequence[Trial]) -> Estimate:
    took = [seconds for trial in _measured(trials) if (seconds := trial.seconds) is not None]
    if took:
        return Estimate(value=_mean(took), basis="measured", why=f"mean of {len(took)} trials of this study")
    rest = spec.load.warmup_requests / spec.target_rps + _STOP_S
    why = f"start-up, load points, and {rest:.0f} s to warm up and to stop"
    return Estimate(value=start_up.value + load.value + rest, basis="expected", why=why)


def _launches(
    spec: StudySpec, trial: Estimate, trials: Sequence[Trial], now: datetime
) -> tuple[Estimate | None, Bound]:
    """Return how many trials still come, and the bound that ends them."""
    budget, done = spec.budget, counted(trials)
    size = configurations(spec)
    bounds: list[tuple[float, Bound, str]] = []
    if budget.trials is not None:
        bounds.append((budget.trials - done, "trials", f"{budget.trials} trials, {done} of them done"))
    if size is not None:
        given = 1 + len(spec.candidates)
        bounds.append((size + given - done, "search_space", f"the search space holds {size:,.0f} configurations"))
    for bound in ("hours", "until"):
        ends = deadline(budget.model_copy(update={_OTHER[bound]: None}), now=now, spent=spent_seconds(trials))
        if ends is not None:
            left = (ends - now).total_seconds()
            bounds.append((left // trial.value, bound, f"as many as fit into {left / 3600:.3g} h"))
    if all(bound == "search_space" for _, bound, _ in bounds):
        return None, "nothing"
    value, bound, why = min(bounds)
    return Estimate(value=max(value, 0), basis=trial.basis, why=why), bound


def gpus_of(spec: StudySpec) -> int:
    """Return how many GPUs a study keeps busy: those it names, or those of its largest replica."""
    if spec.engine.gpus is not None:
        return len(spec.engine.gpus)
    sizes = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")
    return math.prod(_largest(spec, name) for name in sizes)


def _largest(spec: StudySpec, name: str) -> int:
    tuned = spec.search_space.parameters.get(name)
    values: list[object] = [1, spec.base_flags().get(name), *(flags.get(name) for flags in spec.candidates)]
    if isinstance(tuned, IntParameter):
        values.append(tuned.high)
    if isinstance(tuned, CategoricalParameter):
        values += tuned.choices
    return max(value for value in values if isinstance(value, int))
