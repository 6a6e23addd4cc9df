import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import scoring, vocabulary

TEXT = st.text("ab ", max_size=5)
B = vocabulary.BLANK
A, L = vocabulary.CHARACTER_TO_INDEX["a"], vocabulary.CHARACTER_TO_INDEX["l"]


def edits(a, b):
    @functools.cache
    def distance(i, j):
        if not i or not j:
            return i + j
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return distance(len(a), len(b))


@given(TEXT.filter(bool), TEXT)
def test_score(target, recognised):
    assert scoring.score(target, recognised) == (len(target) - edits(target, recognised)) / len(target)


@pytest.mark.parametrize(
    ("target", "recognised", "expected"),
    [("abcd", "abcd", 1), ("abcd", "", 0), ("abcd", "xbcd", 0.75), ("a", "bcd", -2)],
)
def test_some_scores(target, recognised, expected):
    assert scoring.score(target, recognised) == expected


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1).filter(lambda pairs: any(target for target, _ in pairs)))
def test_pooled_score(pairs):
    """Characters and edits are each summed over all: long phrases weigh more."""
    characters = sum(len(target) for target, _ in pairs)
    expected = (characters - sum(edits(*pair) for pair in pairs)) / characters
    assert scoring.pooled_score(pairs) == pytest.approx(expected)
    assert scoring.pooled_score(reversed(pairs)) == pytest.approx(expected)


def test_nothing_to_score():
    with pytest.raises(ValueError, match="no target characters"):
        scoring.pooled_score([("", "a")])


def test_a_row_is_scored():
    row = scoring.score_row(
        sequence_id=1,
        participant_id=2,
        split="train",
        num_frames=3,
        passes_length_rule=True,
        target="abcd",
        recognised="abc",
    )
    assert (row.score, row.exact) == (0.75, False)


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        ([A, A, A], "a"),
        ([L, B, L], "ll"),
        ([L, L, B, L, L], "ll"),
        ([B, B], ""),
        ([0, 0, A, 0], " a "),
        ([B, A, L, L, B], "al"),
    ],
)
def test_greedy_decoding(best, expected):
    assert scoring.greedy_decode(np.array(best)) == expected


@given(st.lists(st.sampled_from([0, A, L, B]), min_size=1, max_size=10))
def test_repeats_are_merged_before_blanks_are_removed(best):
    runs = [index for index, _ in itertools.groupby(best)]
    assert scoring.greedy_decode(np.array(best)) == vocabulary.decode(index for index in runs if index != B)
