"""Owns the question whether a server is warm. Loads nothing.

A server becomes quicker while it warms up (compilation, caches, allocators), and then no quicker. Rounds of equal work
are compared, so that chance alone, which makes a round slower as often as quicker, doesn't keep a warm server waiting.
"""

from collections.abc import Sequence

_ROUNDS = 3
_QUICKER = 0.05


def stable(took: Sequence[float]) -> bool:
    """Return whether the last of equal rounds was no more than 5 % quicker than the quicker of the two before it.

    Args:
        took: seconds of every round so far, in order; fewer than three prove nothing.
    """
    if len(took) < _ROUNDS:
        return False
    *_, earlier, before, last = took
    return last >= min(earlier, before) * (1 - _QUICKER)
