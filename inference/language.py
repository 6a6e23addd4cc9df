"""Which labels are likely before anything is seen: a character n-gram model of the training labels. numpy alone.

U frames, V classes (characters, as a task numbers them); class V stands for the end of a label, for what precedes one,
and in outputs for the blank.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from inference import beam
from pipeline.scores import analysis

FILE_NAME = "language.npz"
ORDER = 5  # classes that are looked at, the predicted one included
WEIGHTS = (0.25, 0.5, 0.75)
FEWEST = 20  # clips that can tell whether it helps
SURE = 0.95  # with which probability it must help; other clips might have validated


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


@dataclasses.dataclass(frozen=True)
class Language:
    """A language model, and how much it counts.

    Attributes:
      weight: of its log-probability, beside the network's.
      bonus: of each class of a label: what the language model takes from one on average, so that it favors no length.
    """

    grams: NGrams
    weight: float
    bonus: float

    def classes(self, outputs_UxV1: np.ndarray) -> tuple[list[int], float]:
        """The likeliest label for what the network gives, and the log of its probability by the network alone."""
        return beam.decode(outputs_UxV1, self.grams, weight=self.weight, bonus=self.bonus)

    def write(self, file: pathlib.Path) -> None:
        grams = self.grams
        arrays: dict[str, Any] = {f"grams_{n}": each for n, each in enumerate(grams.grams, 1)}
        arrays |= {f"counts_{n}": each.astype(np.uint32) for n, each in enumerate(grams.counts, 1)}
        np.savez_compressed(file, num_classes=grams.num_classes, weight=self.weight, bonus=self.bonus, **arrays)


def read(file: BinaryIO) -> Language:
    """What `Language.write` wrote. Raises `ValueError`, `LookupError` or `OSError` for anything else."""
    with np.load(file, allow_pickle=False) as arrays:
        order = sum(name.startswith("grams_") for name in arrays)
        grams, counts = ([arrays[f"{name}_{n}"] for n in range(1, order + 1)] for name in ("grams", "counts"))
        model = NGrams(int(arrays["num_classes"]), tuple(grams), tuple(each.astype(np.int64) for each in counts))
        return Language(model, float(arrays["weight"]), float(arrays["bonus"]))


class Heard(NamedTuple):
    """What a network makes of a clip: its outputs (U, V + 1), and the classes that it says alone; and the label."""

    outputs: np.ndarray
    alone: Sequence[int]
    label: Sequence[int]


def learn(
    labels: Iterable[Sequence[int]],
    num_classes: int,
    heard: Sequence[Heard],
    errors: Callable[[Sequence[int], Sequence[int]], int],
) -> tuple[Language | None, dict[str, Any]]:
    """A language model of labels, with the weight of `WEIGHTS` that makes the fewest errors on other clips.

    Args:
      heard: of the other clips, whose labels are not among `labels`.
      errors: of a label and a prediction.

    Returns:
      None where it does not surely (`SURE`, `FEWEST`) make fewer errors than none; and the errors with each weight, as
        JSON data.
    """
    grams = NGrams.of(labels, num_classes, ORDER)
    lengths = sum(len(each.label) + 1 for each in heard)
    taken = -sum(grams.log_probability(each.label) for each in heard) / max(lengths, 1)
    candidates = [None, *(Language(grams, weight, weight * taken) for weight in WEIGHTS)]
    said = [[each.classes(clip.outputs)[0] if each else clip.alone for clip in heard] for each in candidates]
    errors_WxN = np.array(
        [[errors(clip.label, answer) for clip, answer in zip(heard, answers, strict=True)] for answers in said],
        np.int64,
    )
    best = int(np.argmin(errors_WxN.sum(axis=1)))  # of equal ones the lowest weight
    units_N = [max(len(each.label), 1) for each in heard]
    counts = dict(zip(["none", *map(str, WEIGHTS)], errors_WxN.sum(axis=1).tolist(), strict=True))
    if not best or len(heard) < FEWEST:
        return None, counts
    found = analysis.difference(np.array([units_N, errors_WxN[0], errors_WxN[best]]).T)
    return (candidates[best] if found["probability_of_improvement"] >= SURE else None), counts
