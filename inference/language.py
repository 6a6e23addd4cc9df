"""Which labels are likely before anything is seen: a character n-gram model of the training labels. numpy alone.

V classes (characters, as a task numbers them); class V stands for the end of a label, and for what precedes one.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


@dataclasses.dataclass(frozen=True)
class NGrams:
    """Interpolated as by Witten and Bell (1991): a class is as likely to be new as many different ones followed.

    Attributes:
      num_classes: V.
      grams: for each length from 1 on, the sorted numbers of the n-grams that were seen: their classes as the digits of
        a number in base V + 1.
      counts: how often each was seen.
    """

    num_classes: int
    grams: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, labels: Iterable[Sequence[int]], num_classes: int, order: int) -> "NGrams":
        """Of labels; `order` classes are looked at, the predicted one included. Raises `ValueError` for too many."""
        base, end = num_classes + 1, num_classes
        if base**order > np.iinfo(np.int64).max:
            raise ValueError(f"n-grams of {order} of {base} classes have no number of 64 bits")
        before = [end] * (order - 1)
        padded = [np.array([*before, *label, end], np.int64) for label in labels]
        found = []
        for length in range(1, order + 1):
            places = base ** np.arange(length - 1, -1, -1)
            windows = [sliding_window_view(each[order - length :], length) @ places for each in padded]
            found.append(np.unique(np.concatenate([np.empty(0, np.int64), *windows]), return_counts=True))
        return cls(num_classes, tuple(grams for grams, _ in found), tuple(counts for _, counts in found))

    @property
    def order(self) -> int:
        return len(self.grams)

    def log_probabilities(self, label: Sequence[int]) -> np.ndarray:
        """(V + 1,) of each class to be the next after those of `label`, and last of the label to end there."""
        base = self.num_classes + 1
        before = [*[self.num_classes] * (self.order - 1), *label][len(label) :]
        shares, context = np.full(base, 1 / base), 0
        for length, (grams, counts) in enumerate(zip(self.grams, self.counts, strict=True)):
            if length:
                context += before[-length] * base ** (length - 1)
            first, last = np.searchsorted(grams, (context * base, (context + 1) * base))
            if first == last:
                break
            total, different = counts[first:last].sum(), last - first
            shares *= different / (total + different)
            shares[grams[first:last] - context * base] += counts[first:last] / (total + different)
        return np.log(shares)

    def log_probability(self, label: Sequence[int]) -> float:
        """Of a whole label, its end included."""
        ahead = [*label, self.num_classes]
        return float(sum(self.log_probabilities(ahead[:at])[each] for at, each in enumerate(ahead)))
