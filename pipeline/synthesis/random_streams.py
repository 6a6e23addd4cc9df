"""Independent random numbers for each part of the data, so that no part changes when another draws more."""

import enum

import numpy as np


class Stream(enum.IntEnum):
    """The values enter the seeds: to change one is to change the data."""

    PHRASE = 0
    MOTION = 1
    SIGNER = 2
    PLAN = 3
    SIGN = 4
    SIGNING_STYLE = 5


def generator(seed: int, stream: Stream, index: int = 0) -> np.random.Generator:
    """The same numbers for the same arguments, unrelated ones for any others. `seed` and `index` are at least 0."""
    return np.random.default_rng(np.random.SeedSequence([seed, stream, index]))
