"""What the capacity search is worth: accuracy beside a line through eight points, coverage, twice on real servers."""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from tests.benchmarks.capacity.queue import SlotQueue
from tests.benchmarks.capacity.repeated import found_twice
from tests.benchmarks.capacity.simulation import Searched, line_through_eight, search
from tuner.domain.arrivals import PoissonArrivals
from tuner.domain.lengths import FixedLength
from tuner.domain.load import LoadJob, LoadResult
from tuner.domain.measurement import Capacity
from tuner.domain.slo import Slo, parse_slo
from tuner.domain.study import LoadPlan
from tuner.domain.workload import Workload
from tuner.load.process import run_job
from tuner.metrics.capacity import capacity
from tuner.metrics.evidence import Measured, evidence
from tuner.metrics.search import Probe, next_probe
from tuner.metrics.validity import invalid_reasons

QUEUE = SlotQueue(slots=16, service_s=2.0)
SLOS = (parse_slo("ttft_p95=500ms"),)
QUEUES = tuple(
    SlotQueue(slots, seconds, exponential=exponential)
    for slots, seconds, exponential in (
        (1, 0.1, False), (1, 0.1, True), (2, 0.2, False), (2, 0.2, True), (4, 0.5, False), (4, 0.5, True),
        (4, 0.2, True), (8, 1.0, False), (8, 1.0, True), (16, 2.0, False), (16, 1.3, True), (32, 3.0, False),
        (32, 3.0, True), (64, 8.0, False), (64, 8.0, True),
    )
)  # fmt: skip
SERVER = Path(__file__).parents[2] / "fakes" / "slot_server.py"
REAL = SlotQueue(slots=8, service_s=0.08, first_token_s=0.01)
REAL_SLOS = (parse_slo("ttft_p95=60ms"),)


def main() -> None:
    """Run one of the four benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["accuracy", "coverage", "real", "vllm"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--requests", type=int, help="coverage: a time budget worth so many requests at the capacity")
    parser.add_argument("--vllm-python", type=Path, default=Path(".venv-vllm/bin/python"))
    parser.add_argument("--seconds", type=float, default=240.0, help="vllm: the time budget of a search")
    given = parser.parse_args()
    if given.what == "accuracy":
        accuracy(given.seeds)
    elif given.what == "coverage":
        coverage(given.seeds, given.tolerance, given.requests)
    elif given.what == "real":
        real(given.tolerance)
    else:
        vllm(given.vllm_python.absolute(), given.seconds, given.tolerance)


def accuracy(seeds: int) -> None:
    """Print how often the search, and the line, lie within 5 % of the truth, and what they cost."""
    truth = _truth(QUEUE, SLOS[0])
    print(f"truth: {truth:.3f} req/s, {truth / QUEUE.ceiling:.1%} of slots/service")
    for requests in (459, 1000, 3000):
        found = [line_through_eight(QUEUE, SLOS[0].limit, 0.95, requests, seed) for seed in range(seeds)]
        _print_accuracy(f"line, 8 x {requests}", np.array(found) / truth - 1, [8.0 * requests])
    for tolerance, budget in ((0.05, 22_000), (0.05, None), (0.04, None), (0.03, None)):
        done = _searches(QUEUE, truth, seeds, tolerance, budget)
        errors = np.array([one.capacity.rps for one in done]) / truth - 1
        limit = f", {budget} at most" if budget else ""
        _print_accuracy(f"search to {tolerance:.0%}{limit}", errors, [float(one.requests) for one in done])


def coverage(seeds: int, tolerance: float, requests: int | None) -> None:
    """Print for several queues how often the 90 % interval holds the truth, its width and its cost."""
    print(f"{'queue':27}  crossing coverage  within 5 %  half-width  requests  points")
    for queue in QUEUES:
        truth = _truth(queue, SLOS[0])
        done = _searches(queue, truth, seeds, tolerance, requests)
        covered = [one.capacity.lower_rps <= truth <= (one.capacity.upper_rps or np.inf) for one in done]
        near = [abs(one.capacity.rps / truth - 1) < 0.05 for one in done]
        widths = [_half_width(one.capacity) for one in done]
        kind = "exponential" if queue.exponential else "fixed"
        cost, points = np.mean([one.requests for one in done]), np.mean([one.points for one in done])
        print(
            f"{queue.slots:3} slots, {queue.service_s:4} s {kind:12} {truth / queue.ceiling:8.1%} "
            f"{np.mean(covered):9.1%}{np.mean(near):12.1%}{np.median(widths):12.1%}{cost:10.0f}{points:8.1f}",
            flush=True,
        )


def real(tolerance: float) -> None:
    """Search twice on a real server process, and print both beside the simulated truth."""
    truth = _truth(REAL, REAL_SLOS[0])
    print(f"simulated truth: {truth:.1f} req/s; the server adds what its own work takes")
    for attempt in (1, 2):
        with slot_server(REAL) as url:
            began = time.monotonic()
            found, sent = asyncio.run(_search_for_real(url, truth / 2, tolerance, attempt))
            took = time.monotonic() - began
        print(
            f"run {attempt}: {found.rps:.1f} [{found.lower_rps:.1f}, {found.upper_rps or float('inf'):.1f}] req/s, "
            f"{found.rps / truth - 1:+.1%}, {sent} requests, {took:.0f} s {found.note}",
            flush=True,
        )


def vllm(python: Path, seconds: float, tolerance: float) -> None:
    """Search twice on the real vLLM, a launch each, and print whether either interval holds the other's estimate."""
    first, second = found_twice(python, seconds, tolerance)
    for number, found in enumerate((first, second), start=1):
        upper = found.upper_rps or float("inf")
        print(
            f"run {number}: {found.rps:.2f} [{found.lower_rps:.2f}, {upper:.2f}] req/s, {found.limited_by} {found.note}"
        )
    for found, other in ((first, second), (second, first)):
        inside = other.lower_rps <= found.rps <= (other.upper_rps or float("inf"))
        print(f"{found.rps:.2f} lies {'within' if inside else 'outside of'} the other run's interval")


@contextmanager
def slot_server(queue: SlotQueue) -> Generator[str]:
    """Run the server process of a queue, and yield its URL."""
    command = [sys.executable, str(SERVER), str(queue.slots), str(queue.service_s), str(queue.first_token_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _search_for_real(url: str, target: float, tolerance: float, attempt: int) -> tuple[Capacity, int]:
    plan = LoadPlan(tolerance=tolerance, duration=10.0, time_budget=240.0)
    measured: list[Measured] = []
    sent = 0
    while (probe := next_probe(plan, REAL_SLOS, target, measured, sum(one.seconds for one in measured))) is not None:
        began = time.monotonic()
        result = await measure(url, probe, seed=attempt * 1000 + len(measured))
        arrivals = PoissonArrivals(rate=probe.rate)
        valid = not invalid_reasons(result, arrivals)
        seconds = time.monotonic() - began
        measured.append(evidence(result, arrivals, REAL_SLOS, requests=probe.requests, seconds=seconds, valid=valid))
        sent += len(result.records)
        _show(measured[-1], len(result.records))
    return capacity(plan, REAL_SLOS, target, measured), sent


async def measure(url: str, probe: Probe, seed: int) -> LoadResult:
    """Run one load point with the tuner's own load generator."""
    job = LoadJob(
        url=url,
        model="slots",
        vocabulary=1000,
        workload=Workload(input_tokens=FixedLength(tokens=8), output_tokens=FixedLength(tokens=2)),
        arrivals=PoissonArrivals(rate=probe.rate),
        requests=probe.requests,
        deadline_s=probe.requests / probe.rate * 1.5 + 30,
        give_up=probe.give_up,
        seed=seed,
    )
    return await run_job(job, api_key="", on_progress=lambda _done, _total: None)


def _show(point: Measured, sent: int) -> None:
    levels = ", ".join(f"{one.name} {one.level:.1%}" for one in point.criteria)
    marks = [mark for mark, set_ in (("given up", point.given_up), ("invalid", not point.valid)) if set_]
    print(f"  {point.rate:6.1f} req/s, {sent:5} requests, above the limit: {levels} {' '.join(marks)}", flush=True)


def _searches(queue: SlotQueue, truth: float, seeds: int, tolerance: float, requests: int | None) -> list[Searched]:
    budget = None if requests is None else requests / truth
    plan = LoadPlan(tolerance=tolerance, time_budget=budget, max_points=30)
    run = partial(search, queue, plan, SLOS, truth / 2)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(run, range(seeds), chunksize=4))


def _truth(queue: SlotQueue, slo: Slo) -> float:
    return queue.crossing(slo.limit, 0.95)


def _half_width(found: Capacity) -> float:
    return ((found.upper_rps or np.inf) - found.lower_rps) / 2 / found.rps if found.rps else float("inf")


def _print_accuracy(name: str, errors: "np.ndarray[tuple[int], np.dtype[np.float64]]", cost: list[float]) -> None:
    within = int((abs(errors) < 0.05).sum())
    print(
        f"{name:28} within 5 %: {within} of {errors.size}; mean error {errors.mean():+.1%}, sd {errors.std():.1%}; "
        f"requests: mean {np.mean(cost):.0f}, most {np.max(cost):.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
