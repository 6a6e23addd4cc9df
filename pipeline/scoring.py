"""Scores of recognised text, and greedy CTC decoding. No framework: lists, numpy and python-Levenshtein."""

from collections.abc import Iterable

import numpy as np

from pipeline import vocabulary
from pipeline.score_table import Row


def score(target: str, recognised: str) -> float:
    """(N - D) / N of one sequence: N characters in the target, D edits (insertions, deletions, substitutions).

    At most 1; negative when more edits than characters are needed. The target must not be empty.
    """
    return (len(target) - _edits(target, recognised)) / len(target)


def _edits(target: str, recognised: str) -> int:
    import Levenshtein  # only here: a command that lacks it can say so (`commands.run`)

    return Levenshtein.distance(target, recognised)


def pooled_score(pairs: Iterable[tuple[str, str]]) -> float:
    """(N - D) / N over a corpus of (target, recognised) pairs, N and D summed over all: the competition's metric.

    Raises:
      ValueError: there are no target characters.
    """
    characters = edits = 0
    for target, recognised in pairs:
        characters += len(target)
        edits += _edits(target, recognised)
    if not characters:
        raise ValueError("no target characters to score")
    return (characters - edits) / characters


def score_row(*, target: str, recognised: str, **attributes) -> Row:
    """A row of the score table; `attributes` are its other fields, but for the score, which is computed."""
    return Row(target=target, recognised=recognised, score=score(target, recognised), **attributes)


def greedy_decode(best_T: np.ndarray) -> str:
    """Text of the most probable class of each frame: repeats merged, then blanks removed, the last run included."""
    starts_run = np.diff(best_T, prepend=-1) != 0
    return vocabulary.decode(best_T[starts_run & (best_T != vocabulary.BLANK)])
