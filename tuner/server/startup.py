"""How long each phase of a start took, read from the server's log. Pure: text and clock readings in, seconds out.

vLLM stamps its lines to the second, in local time and without a year; a phase that it times itself (weights,
compilation, CUDA graphs) has its own figure. Texts of 0.6 to 0.32, engines V0 and V1.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

_STAMP = re.compile(r"\b(?:DEBUG|INFO|WARNING|ERROR) (\d\d)-(\d\d) (\d\d):(\d\d):(\d\d) ")
_LOADING = re.compile(r"Starting to load model ")
_LOADED = re.compile(r"(?:Model loading|Loading (?:model )?weights|Initializing model) took ")
_SIZED = re.compile(r"KV cache size: |# (?:GPU|cuda|CPU) blocks: ")
_READY = re.compile(r"init engine \(.*\) took ")
_COMPILE = re.compile(r"torch\.compile (?:takes|took) ([\d.]+) s in total")
_CAPTURE = re.compile(r"Graph capturing finished in ([\d.]+) secs?")
_RESOLUTION_S = 1.0
"""What a stamp may be early by."""


def startup_phases(log: str, *, started: datetime, ready_after: float) -> dict[str, float]:
    """Return the seconds of each phase of a start, which add up to `ready_after`.

    `imports` is everything until the model is loaded: processes, imports, configuration. Then come `weights`,
    `compile`, `profiling` (memory, up to the size of the KV cache), `graphs` (their capture), `warm_up` (the rest of
    the engine's start) and `serving` (from the engine's start to the first correct completion). A phase that did not
    happen, or that took no measurable time, is absent; so are all of them when the log's stamps make no sense.

    Args:
        log: the whole log.
        started: when the server was started, in its own local time.
        ready_after: seconds from there to the first correct completion.
    """
    marks = list(_marks(log, started))
    gaps = [later - earlier for earlier, later in pairwise([0.0, *marks, ready_after])]
    if len(marks) != len(_BOUNDS) or min(gaps) < -_RESOLUTION_S:
        return {}
    imports, load, size, warm, serving = (max(gap, 0.0) for gap in gaps)
    compiling = min(_longest(_COMPILE, log), size)
    capturing = min(_longest(_CAPTURE, log), warm)
    phases = {
        "imports": imports,
        "weights": load,
        "compile": compiling,
        "profiling": size - compiling,
        "graphs": capturing,
        "warm_up": warm - capturing,
        "serving": serving,
    }
    return {name: round(seconds, 1) for name, seconds in phases.items() if round(seconds, 1) > 0}


_BOUNDS = (_LOADING, _LOADED, _SIZED, _READY)
"""What ends the phases. Of several workers the first begins the loading, and the last ends each phase."""


def _marks(log: str, started: datetime) -> Iterator[float]:
    """Yield the seconds at which each bound was passed, as far as all of them were."""
    stamped = [(_seconds_since(started, match), line) for line in log.splitlines() if (match := _STAMP.search(line))]
    for bound in _BOUNDS:
        times = [seconds for seconds, line in stamped if bound.search(line)]
        if not times:
            return
        yield times[0] if bound is _LOADING else times[-1]


def _seconds_since(started: datetime, stamp: re.Match[str]) -> float:
    """Return a stamp's distance from the start; a stamp of January after a start in December is of the next year."""
    month, day, hour, minute, second = map(int, stamp.groups())
    year = started.year + (month < started.month)
    try:
        at = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  # both are the server's local time
    except ValueError:
        return -1.0
    return max((at - started + timedelta(seconds=_RESOLUTION_S / 2)).total_seconds(), -2 * _RESOLUTION_S)


def _longest(pattern: re.Pattern[str], log: str) -> float:
    return max(map(float, pattern.findall(log)), default=0.0)
