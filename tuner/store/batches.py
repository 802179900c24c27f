"""Many things a few at a time, so that no query and no memory has to hold them all. Pure."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")


def batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield the items in their order, `size` at a time; the last batch may be smaller, and none is empty."""
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some
