"""The fault matrix in its long form: `scripts/torture`. Prints one table, ends with 1 where a target was missed."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.torture import hostile, kills, parts, power, soak, surroundings
from tests.torture.report import HEAD, Row

JUMPS_S = (86_400.0, -86_400.0, 3_600.0, -3_600.0)
DISKS_KIB = (128, 160, 192, 256, 320, 384, 512)
LOCKED_S = 30.0

Run = Callable[[Path, int], Row]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _soaked(directory: Path, count: int) -> Row:
    row, samples = soak.soak(directory, count)
    _say(soak.curve(samples))
    return row


ROWS: dict[str, tuple[int, Run]] = {
    "1": (200, kills.at_random),
    "2": (0, kills.at_steps),
    "3": (36, lambda directory, count: parts.broken(directory, count, signals=(signal.SIGKILL,))),
    "4": (18, lambda directory, count: parts.broken(directory, count, signals=(signal.SIGSTOP,))),
    "6": (21, parts.stubborn),
    "10": (50, surroundings.foreign_server),
    "11": (len(DISKS_KIB), lambda directory, count: surroundings.full_disk(directory, DISKS_KIB[:count])),
    "read-only": (1, lambda directory, _: surroundings.read_only(directory)),
    "12": (20, lambda directory, count: surroundings.locked(directory, count, LOCKED_S)),
    "13": (20, surroundings.two_tuners),
    "17": (200, hostile.names),
    "18": (1, lambda directory, _: hostile.canary(directory)),
    "19": (20, kills.by_signals),
    "20": (500, _soaked),
    "21": (10, surroundings.other_versions),
    "clock": (len(JUMPS_S), lambda directory, count: surroundings.jumping_clock(directory, JUMPS_S[:count])),
    "power": (1000, power.lost_power),
}
"""Row of reliability, count of its long form, and what runs it. Row 2's count of 0 is every step."""

REAL_ROWS: dict[str, tuple[int, Callable[..., Row]]] = {
    "1": (20, kills.the_quickstart),
    "3": (18, partial(parts.broken, signals=(signal.SIGKILL,))),
    "4": (9, partial(parts.broken, signals=(signal.SIGSTOP,))),
    "19": (15, kills.by_signals),
}
"""The same for rows that run on a real engine; each takes `vllm_python` too."""


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--rows", help=f"which, separated by commas: {','.join(ROWS)} (all of them without it)")
    parser.add_argument("--count", type=int, help="runs of each row, instead of its own count")
    parser.add_argument("--vllm-python", type=Path, help=f"on this real vLLM: rows {','.join(REAL_ROWS)}")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Run the rows and print the table; return the exit code."""
    arguments = _arguments(words)
    chosen = arguments.rows.split(",") if arguments.rows else list(REAL_ROWS if arguments.vllm_python else ROWS)
    rows: list[Row] = []
    _say(HEAD)
    for name in chosen:
        count, run = _row(name, arguments.vllm_python)
        count = count if arguments.count is None else arguments.count
        with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as directory:
            began = time.monotonic()
            rows.append(run(Path(directory), count))
            _say(rows[-1].line())
            sys.stderr.write(f"row {name}: {time.monotonic() - began:.0f} s\n")
    for row in rows:
        for violation in row.violations:
            _say(f"{row.number}: {violation}")
    return 1 if any(row.violations for row in rows) else 0


def _row(name: str, vllm_python: Path | None) -> tuple[int, Run]:
    """Return a row's count, and what runs it on the engine that was asked for."""
    if vllm_python is None:
        return ROWS[name]
    count, run = REAL_ROWS[name]
    return count, partial(run, vllm_python=vllm_python.absolute())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
