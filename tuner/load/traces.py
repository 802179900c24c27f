"""Owns recorded traces as files: opening them, knowing them again, and their requests in order of time.

A trace is known by the hash of its file's bytes. A file that changed since is refused: its measurements would stand
beside others under one name.
"""

import hashlib
import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import BinaryIO, cast

from tuner.domain.errors import InputError
from tuner.domain.workload import Trace
from tuner.load.library import locate
from tuner.load.trace_formats import TraceRequest, reader_of

__all__ = ["TraceRequest", "describe_trace", "estimated_tokens", "read_trace"]

BYTES_PER_TOKEN = 3
"""Of a prompt's UTF-8 text: tokenizers in use need fewer tokens than this for nearly all text."""


def read_trace(trace: Trace, *, at_most: int | None = None) -> tuple[TraceRequest, ...]:
    """Return a trace's requests in order of time, the first one at 0 s; in the file's order where it knows no time.

    Args:
        trace: the trace; where it has a `sha256`, the file must still be the same.
        at_most: read only so many requests, the first ones of the file; a long trace need not be read whole.

    Raises:
        InputError: no such file, not of its format (file, line, key and reason), without any request, or changed since.
    """
    with _opened(trace) as file:
        _checked_digest(file, trace)
        found = tuple(islice((one for one in _requests(file, trace) if one is not None), at_most))
    if not found:
        raise _empty(trace)
    return _from_the_first(found)


def describe_trace(trace: Trace) -> Trace:
    """Return the trace with what its file says filled in: hash, counts, the longest request, how long it took.

    Raises:
        InputError: as `read_trace`.
    """
    requests = skipped = longest = 0
    first, last = math.inf, -math.inf
    with _opened(trace) as file:
        digest = _checked_digest(file, trace)
        for request in _requests(file, trace):
            if request is None:
                skipped += 1
                continue
            requests += 1
            longest = max(longest, _tokens(request))
            if request.at is not None:
                first, last = min(first, request.at), max(last, request.at)
    if not requests:
        raise _empty(trace)
    seconds = last - first if first <= last else None
    found = {"sha256": digest, "requests": requests, "skipped": skipped, "longest": longest, "seconds": seconds}
    return trace.model_copy(update=found)


def estimated_tokens(text: str) -> int:
    """Return how many tokens a text has at most, in nearly all cases: its UTF-8 bytes over 3, rounded up."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def _requests(file: BinaryIO, trace: Trace) -> Iterator[TraceRequest | None]:
    """Yield the file's requests; None for one that is left out."""
    most = math.inf if trace.max_tokens is None else trace.max_tokens
    for request in reader_of(trace.format)(file, trace.file, trace.output_tokens):
        yield request if request is not None and _tokens(request) <= most else None


def _tokens(request: TraceRequest) -> int:
    prompt = request.input_tokens if request.text is None else estimated_tokens(request.text)
    return (prompt or 0) + request.output_tokens


def _from_the_first(requests: tuple[TraceRequest, ...]) -> tuple[TraceRequest, ...]:
    timed = [(one.at, one) for one in requests if one.at is not None]
    if not timed:
        return requests
    timed.sort(key=lambda pair: pair[0])
    zero = timed[0][0]
    return tuple(
        TraceRequest(at - zero, one.input_tokens, one.output_tokens, one.text, one.prefix_blocks) for at, one in timed
    )


@contextmanager
def _opened(trace: Trace) -> Generator[BinaryIO]:
    try:
        file = cast("BinaryIO", locate(trace.file).open("rb"))
    except FileNotFoundError as error:
        advice = "a workload replays it: bring it back, or name its new place in the workload's trace"
        raise InputError("there is no such file", where=trace.file, advice=advice) from error
    except (OSError, ValueError) as error:  # ValueError: a path that holds a null byte
        raise InputError(f"can't be read: {error}", where=trace.file) from error
    with file:
        yield file


def _checked_digest(file: BinaryIO, trace: Trace) -> str:
    """Return the sha256 of the whole file, and go back to its beginning."""
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
    file.seek(0)
    if trace.sha256 not in ("", digest):
        raise InputError(
            f"has changed: its sha256 was {trace.sha256[:12]}…, now it is {digest[:12]}…",
            where=trace.file,
            advice="bring the old file back, or measure the new one in a study of another name",
        )
    return digest


def _empty(trace: Trace) -> InputError:
    return InputError("holds no request that can be sent again", where=trace.file)
