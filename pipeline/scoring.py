"""Scores of recognised text, and greedy CTC decoding. No framework: lists, numpy and python-Levenshtein."""

from collections.abc import Iterable

import numpy as np

from pipeline import vocabulary
from pipeline.score_table import Row


def score(target: str, recognised: str) -> float:
    """(N - D) / N of one sequence: N characters in the target, D edits (insertions, deletions, substitutions).

    At most 1; negative when more edits than characters are needed. The target must not be empty.
    """
    return (len(target) - edits(target, recognised)) / len(target)


def edits(target: str, recognised: str) -> int:
    """The Levenshtein distance: the fewest insertions, deletions and substitutions."""
    import Levenshtein  # only here: a command that lacks it can say so (`commands.run`)

    return Levenshtein.distance(target, recognised)


def pooled_score(pairs: Iterable[tuple[str, str]]) -> float:
    """(N - D) / N over a corpus of (target, recognised) pairs, N and D summed over all: the competition's metric.

    Raises:
      ValueError: there are no target characters.
    """
    characters = errors = 0
    for target, recognised in pairs:
        characters += len(target)
        errors += edits(target, recognised)
    if not characters:
        raise ValueError("no target characters to score")
    return (characters - errors) / characters


def edit_operations(target: str, recognised: str) -> list[tuple[str, str]]:
    """The edits that turn the target into the recognised text, a shortest list: pairs of characters.

    ("a", "") is a deletion, ("", "b") an insertion, ("a", "b") a substitution.
    """
    import Levenshtein

    return [
        ("" if name == "insert" else target[i], "" if name == "delete" else recognised[j])
        for name, i, j in Levenshtein.editops(target, recognised)
    ]


def score_row(*, target: str, recognised: str, **attributes) -> Row:
    """A row of the score table; `attributes` are its other fields, but for the score, which is computed."""
    return Row(target=target, recognised=recognised, score=score(target, recognised), **attributes)


def greedy_decode(best_T: np.ndarray) -> str:
    """Text of the most probable class of each frame: repeats merged, then blanks removed, the last run included."""
    starts_run = np.diff(best_T, prepend=-1) != 0
    return vocabulary.decode(best_T[starts_run & (best_T != vocabulary.BLANK)])
