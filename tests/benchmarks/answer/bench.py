"""What `tuner best` is worth: identical configurations, the best one named, intervals that hold the truth."""

import argparse
import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from tests.benchmarks.answer.studies import FAR, HEADROOM, NEAR, RPS, SLOS, Night, Noise
from tests.benchmarks.capacity.queue import SlotQueue
from tests.benchmarks.capacity.simulation import search
from tuner.analysis.best import Answer, answer
from tuner.analysis.confirmation import Status
from tuner.analysis.contender import Contender
from tuner.analysis.ties import race
from tuner.domain.measurement import Capacity
from tuner.domain.study import LoadPlan

REPEATS = 5
WITHIN = math.log(1.03)
QUEUE = SlotQueue(slots=8, service_s=1.0)
_SEARCHES = 400


def main() -> None:
    """Run one of the three benchmarks, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["identical", "winner", "rules", "all"], nargs="?", default="all")
    parser.add_argument("--studies", type=int, default=1000)
    given = parser.parse_args()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        each = partial(_each, pool, given.studies)
        if given.what in {"identical", "all"}:
            identical(each, _searched(pool))
        if given.what in {"winner", "all"}:
            winner(each)
        if given.what in {"rules", "all"}:
            rules(given.studies)


Each = Callable[[Callable[[int], "Seen"]], "list[Seen]"]
"""Simulates so many studies."""


def _each(pool: ProcessPoolExecutor, studies: int, simulate: "Callable[[int], Seen]") -> "list[Seen]":
    return list(pool.map(simulate, range(studies), chunksize=25))


def _searched(pool: ProcessPoolExecutor) -> tuple[Capacity, ...]:
    """Return what the real search finds on a queue, over its true capacity."""
    truth = QUEUE.crossing(SLOS[0].limit, 0.95)
    plan = LoadPlan(tolerance=0.05, time_budget=None, max_points=30)
    found = pool.map(partial(search, QUEUE, plan, SLOS, truth / 2), range(_SEARCHES), chunksize=4)
    return tuple(_over(one.capacity, truth) for one in found)


def _over(found: Capacity, truth: float) -> Capacity:
    upper = None if found.upper_rps is None else found.upper_rps / truth
    return Capacity(rps=found.rps / truth, lower_rps=found.lower_rps / truth, upper_rps=upper)


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer beside the truth."""

    different: bool
    """The last two configurations are not called equal: one is tied with the best and the other is not."""
    clear: bool
    lost: float
    """How much worse than the truly best the named one is, as a logarithm."""
    ratio: float | None
    """The gain's estimate over the truth, as a logarithm; None without one."""
    covered: bool
    """The gain's interval holds the truth."""
    plainly: bool
    """The interval that ignores the choice would hold it."""
    expected: bool
    """The capacity's interval holds the truth."""
    status: Status
    false: bool
    """It is confirmed to be better than the defaults, and is not."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One study before and after its confirmation."""

    before: Judged
    after: Judged


def identical(each: Each, searched: tuple[Capacity, ...]) -> None:
    """Print how often two identical configurations are called different."""
    print("identical configurations called different: before, after a confirmation; a clear winner: before, after")
    log_normal = [(f"launches differ by {launch:.0%}", Noise(launch=launch)) for launch in (0.0, 0.02, 0.03, 0.05)]
    real = [
        (f"real searches, launches by {launch:.0%}", Noise(launch=launch, searched=searched)) for launch in (0, 0.02)
    ]
    for others in (0, 1, 10):
        for name, noise in (*log_normal, *real):
            simulate = partial(twins, noise, others, FAR)
            _print_twins(f"{others + 2:2} configurations, {name}", each(simulate))
    for latency in (0.05, 0.1):
        simulate = partial(twins, Noise(latency=latency), 1, NEAR)
        _print_twins(f" 3 configurations, latency decides, noise {latency:.0%}", each(simulate))


def _print_twins(name: str, seen: Sequence[Seen]) -> None:
    print(
        f"  {name:62} {_share(one.before.different for one in seen)} {_share(one.after.different for one in seen)}   "
        f"{_share(one.before.clear for one in seen)} {_share(one.after.clear for one in seen)}",
        flush=True,
    )


def twins(noise: Noise, others: int, target_rps: float, seed: int) -> Seen:
    """Simulate a study whose last two configurations are identical and best; the others are up to 20 % worse.

    With no others, one of the two is vLLM's defaults.
    """
    draw = np.random.default_rng((seed, others, 1))
    truth = [*np.log(draw.uniform(0.8, 0.95, others)).tolist(), 0.0, 0.0]
    shares = [0.3] * others + [0.0, 0.0]
    return study(Night(truth, noise, draw, [min(place, 2) for place in range(others + 2)], shares), target_rps)


def winner(each: Each) -> None:
    """Print how often the best is named, and how often intervals hold the truth."""
    print(
        "named within 3 % of the best; 90 % intervals of gain and capacity hold the truth; before, after confirmation"
    )
    for launch in (0.02, 0.0, 0.05):
        print(f" launches differ by {launch:.0%} (2 % is assumed until there are repeats)")
        for spread in (0.0, 0.03, 0.1):
            for size in (2, 3, 5, 8, 12) if launch == Noise().launch else (2, 5, 12):
                seen = each(partial(random_study, Noise(launch=launch), size, spread))
                _print_winner(f"{size:2} configurations, spread {spread:.0%}", seen)


def _print_winner(name: str, seen: Sequence[Seen]) -> None:
    print(f"  {name:32} {_figures([one.before for one in seen])}   {_figures([one.after for one in seen])}", end="")
    said = [one.after.status for one in seen]
    verdicts = " ".join(f"{status[:5]} {said.count(status) / len(said):.0%}" for status in Status if status in said)
    print(f"   {verdicts}; falsely confirmed {_share(one.after.false for one in seen)}", flush=True)


def _figures(found: Sequence[Judged]) -> str:
    gains = [one for one in found if one.ratio is not None]
    bias = float(np.median([one.ratio or 0.0 for one in gains])) if gains else 0.0
    return (
        f"named {_share(one.lost <= WITHIN for one in found)} gain {_share(one.covered for one in gains)} "
        f"(plain {_share(one.plainly for one in gains)}; {len(gains):4}; bias {bias:+.1%}) "
        f"capacity {_share(one.expected for one in found)}"
    )


def random_study(noise: Noise, size: int, spread: float, seed: int) -> Seen:
    """Simulate a study of configurations whose capacities are drawn, the defaults' among them."""
    draw = np.random.default_rng((seed, size, 2))
    changed = [0, *draw.integers(1, 5, size - 1).tolist()]
    return study(Night(draw.normal(0, spread, size).tolist(), noise, draw, changed), FAR)


def study(night: Night, target_rps: float) -> Seen:
    """Simulate a study and its confirmation."""
    before = judged(night, night.measure(), target_rps)
    return Seen(before, judged(night, night.confirm(target_rps, REPEATS), target_rps))


def judged(night: Night, contenders: Sequence[Contender], target_rps: float) -> Judged:
    """Hold the answer of a study against its truth."""
    found = answer("night", "m", {}, contenders, target_rps=target_rps, headroom=HEADROOM, slos=SLOS)
    truth, named = night.truth, found.trial
    gained = truth[named] - truth[0]
    last = {len(truth) - 2, len(truth) - 1}
    ratio, plain = _ratio(found), _plain(found)
    expected = found.expected
    return Judged(
        different=len(last & set(found.ties or (named,))) == 1,
        clear=found.clear_winner,
        lost=max(truth) - truth[named],
        ratio=None if ratio is None else ratio[1] - gained,
        covered=ratio is not None and ratio[0] <= gained <= ratio[2],
        plainly=plain is not None and plain[0] <= gained <= plain[1],
        expected=expected is not None and _holds(expected.lower_rps, expected.upper_rps, truth[named]),
        status=found.confirmed.status,
        false=found.confirmed.status is Status.CONFIRMED and named != 0 and gained <= 0,
    )


def _ratio(found: Answer) -> tuple[float, float, float] | None:
    gain = found.gain
    if gain is None or not gain.ratio or not gain.lower or not gain.upper or gain.lower == gain.upper:
        return None
    return math.log(gain.lower), math.log(gain.ratio), math.log(gain.upper)


def _plain(found: Answer) -> tuple[float, float] | None:
    """Return the interval of the ratio of the two estimates that are told, as if nothing had been chosen by them."""
    mine, theirs = found.best, found.baseline
    if theirs is None or mine.capacity_upper_rps is None or theirs.capacity_upper_rps is None:
        return None
    ratio = math.log(mine.capacity_rps / theirs.capacity_rps)
    reach = math.hypot(
        math.log(mine.capacity_upper_rps / mine.capacity_rps), math.log(theirs.capacity_upper_rps / theirs.capacity_rps)
    )
    return ratio - reach, ratio + reach


def _holds(lower_rps: float, upper_rps: float, truth: float) -> bool:
    return lower_rps <= RPS * math.exp(truth) <= upper_rps


def rules(studies: int) -> None:
    """Print what it costs to name the simplest of all ties, of those within one standard error, or none."""
    print(
        "how much worse than the truly best: the simplest of all ties, of those within one standard error, the leader"
    )
    for spread in (0.03, 0.1):
        for size in (2, 5, 12):
            lost = [_lost(size, spread, seed) for seed in range(studies)]
            simplest, rule, best = np.mean(lost, axis=0)
            print(f"  {size:2} configurations, spread {spread:.0%}: {simplest:.1%} {rule:.1%} {best:.1%}", flush=True)


def _lost(size: int, spread: float, seed: int) -> tuple[float, float, float]:
    draw = np.random.default_rng((seed, size, 2))
    changed = [0, *draw.integers(1, 5, size - 1).tolist()]
    night = Night(draw.normal(0, spread, size).tolist(), Noise(), draw, changed)
    run = race(night.measure(), FAR, HEADROOM, SLOS)
    simplest = min(run.tied, key=lambda place: (changed[place], place))
    named = (simplest, run.named, run.best)
    first, second, third = (max(night.truth) - night.truth[place] for place in named)
    return first, second, third


def _share(found: Iterable[bool]) -> str:
    values = list(found)
    return f"{np.mean(values):6.1%}" if values else "     –"


if __name__ == "__main__":
    main()
