"""The threshold of the filter, chosen from scores, or from probabilities of labels, alone."""

import math
from collections.abc import Collection, Iterable

import numpy as np

from pipeline.scores.score_table import Row

_BINS = 100
# Beyond these no valley is believed: below, hardly anything is dropped; above, good clips are.
_LOWEST, _HIGHEST = 0.1, 0.5
_LEAST = 1e-6  # what is less probable is as good as impossible


def threshold_for(training: Collection[Row]) -> float:
    """The threshold that is chosen by itself for the training clips of a table of scores."""
    known = all(row.probability is not None for row in training)
    return choose_threshold([row.quality for row in training], probabilities=known)


def choose_threshold(values: Iterable[float], *, probabilities: bool = False) -> float:
    """What best divides the bad clips from the good: Otsu's threshold of these scores, or probabilities of labels.

    It is chosen from them alone: nothing here knows which clips are bad. Of scores it lies between 0.1 and 0.5. Of
    probabilities, which tell more the smaller they are, it is that of their logarithms, and at most 0.5. But it is
    never so high that it would drop more than half: then the base model, not the data, is at fault. There must be some.
    """
    known = np.fromiter(values, np.float64)
    if probabilities:
        threshold = math.exp(_otsu(np.log(np.maximum(known, _LEAST)), math.log(_LEAST), 0))
    else:
        threshold = max(_otsu(known, 0, 1), _LOWEST)
    return min(round(min(threshold, _HIGHEST), 3), math.floor(np.median(known) * 1000) / 1000)


def _otsu(values: np.ndarray, low: float, high: float) -> float:
    """The value that makes the variance between its two sides greatest (N. Otsu, 1979); `low` where all are alike.

    The values, cut off at both ends, are counted in bins. Of equally good edges, which enclose an empty valley, the
    middle.
    """
    counts, edges = np.histogram(np.clip(values, low, high), _BINS, (low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sum_below = np.cumsum(counts * centres)[:-1]
    sum_above = (counts * centres).sum() - sum_below
    difference = sum_below / np.maximum(below, 1) - sum_above / np.maximum(above, 1)
    between = below * above * np.square(difference)
    best = np.flatnonzero(np.isclose(between, between.max(), rtol=1e-9, atol=0))
    return float(edges[1:-1][best].mean()) if between.max() > 0 else low
