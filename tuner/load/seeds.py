"""Owns which random stream serves which purpose, so that no purpose ever disturbs another. Draws nothing itself."""

from enum import IntEnum

import numpy as np

_MASK = (1 << 64) - 1


class Purpose(IntEnum):
    """What a random stream is for. The numbers are part of every seed's meaning: never renumber."""

    ARRIVALS = 1
    INPUT_LENGTHS = 2
    OUTPUT_LENGTHS = 3
    PROMPTS = 4
    LOOKS = 5
    CHOICES = 6
    PAUSES = 7
    PREFIXES = 8
    ANSWERS = 9
    BLOCKS = 10


def generator(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """Return the generator of one purpose: equal for equal arguments, independent of any other purpose's or key's."""
    parts = tuple(part & _MASK for part in key)
    return np.random.default_rng(np.random.SeedSequence([seed & _MASK, purpose], spawn_key=parts))
