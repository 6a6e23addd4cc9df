"""CTC prefix beam search with a language model. numpy alone.

U frames, V classes; the blank is class V. Source: A. Hannun et al., "First-pass large vocabulary continuous speech
recognition using bi-directional recurrent DNNs", 2014; A. Graves, 2012.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

_LEAST = -math.inf
_WIDTH = 8  # labels that are followed from frame to frame
_RARE = math.log(1e-3)  # classes of a lower probability in a frame are not tried there


class LanguageModel(Protocol):
    def log_probabilities(self, label: Sequence[int]) -> np.ndarray:
        """(V + 1,) of each class to be the next after those of `label`, and last of the label to end there."""


class _Prefix(NamedTuple):
    """Log-probabilities that the frames so far spell a label: those that end with a blank, and that end without."""

    blank: float
    other: float


def decode(
    outputs_UxV1: np.ndarray, language: LanguageModel, *, weight: float, bonus: float, width: int = _WIDTH
) -> tuple[list[int], float]:
    """The classes of the likeliest label, and the log of its probability by the network alone.

    Args:
      outputs_UxV1: (U, V + 1) logits.
      weight: of the language model's log-probability, beside the network's.
      bonus: of each class of a label.
      width: how many labels are followed from frame to frame.
    """
    shifted = outputs_UxV1 - outputs_UxV1.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    blank = logs.shape[1] - 1
    prior: dict[tuple[int, ...], float] = {(): 0.0}
    following: dict[tuple[int, ...], np.ndarray] = {}
    beam: dict[tuple[int, ...], _Prefix] = {(): _Prefix(0.0, _LEAST)}

    def value(label: tuple[int, ...], found: _Prefix) -> float:
        return _add(*found) + prior[label]

    for frame in logs.tolist():
        tried = [c for c in range(blank) if frame[c] > _RARE]
        grown: dict[tuple[int, ...], list[float]] = {}

        def grow(label, at, log, grown=grown):
            found = grown.setdefault(label, [_LEAST, _LEAST])
            found[at] = _add(found[at], log)

        for label, found in beam.items():
            whole = _add(*found)
            grow(label, 0, whole + frame[blank])
            if label:
                grow(label, 1, found.other + frame[label[-1]])
            for c in tried:
                log = (found.blank if label and c == label[-1] else whole) + frame[c]
                if log == _LEAST:
                    continue
                longer = (*label, c)
                if longer not in prior:
                    if label not in following:
                        following[label] = weight * language.log_probabilities(label) + bonus
                    prior[longer] = prior[label] + float(following[label][c])
                grow(longer, 1, log)
        made = {label: _Prefix(*found) for label, found in grown.items()}
        beam = dict(sorted(made.items(), key=lambda item: -value(*item))[:width])

    def final(label: tuple[int, ...]) -> float:
        return value(label, beam[label]) + weight * float(language.log_probabilities(label)[-1])

    best = max(beam, key=final)
    return list(best), _add(*beam[best])


def _add(first: float, second: float) -> float:
    """log(exp(first) + exp(second))"""
    if first < second:
        first, second = second, first
    return first if second == _LEAST else first + math.log1p(math.exp(second - first))
