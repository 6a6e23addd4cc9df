import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from inference import graph
from inference.recognizer import columns
from pipeline import landmarks as lm
from pipeline import scoring, vocabulary

BLANK = vocabulary.BLANK


def text(best_T):
    """What the graph's rows say, read as the competition reads them."""
    logits = tf.one_hot(best_T, vocabulary.NUM_CLASSES)
    rows = graph.decode(logits).numpy()
    assert rows.shape[1] == vocabulary.NUM_CHARACTERS
    np.testing.assert_array_equal(rows.sum(axis=1), 1)
    return vocabulary.decode(rows.argmax(axis=1))


A, L, SPACE = (vocabulary.CHARACTER_TO_INDEX[c] for c in "al ")


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        ([L, BLANK, L], "ll"),
        ([L, L, L], "l"),
        ([A], "a"),
        ([BLANK, A, A, BLANK, BLANK, L, A], "ala"),
        ([A, SPACE, SPACE, A], "a a"),
        ([SPACE, A], " a"),
        # At least one row, even of nothing.
        ([BLANK], " "),
        ([BLANK, BLANK, BLANK], " "),
    ],
)
def test_decode(best, expected):
    assert text(best) == expected


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([SPACE, A, L, 58, BLANK]), min_size=1, max_size=12))
def test_it_decodes_as_scoring_does(best):
    assert text(best) == (scoring.greedy_decode(np.array(best)) or " ")


def test_columns():
    """They are in the order of the names, and the graph takes them back to points."""
    landmarks = np.random.default_rng(0).random((4, lm.NUM_POINTS, 2)).astype(np.float32)
    table = columns(landmarks)
    assert table.shape == (4, len(lm.COLUMNS))
    assert table.dtype == np.float32
    for axis, letter in enumerate("xy"):
        for point in (0, lm.CENTRE_POINT, 99):
            at = lm.COLUMNS.index(f"{letter}_{lm.POINT_NAMES[point]}")
            np.testing.assert_array_equal(table[:, at], landmarks[:, point, axis])

    seen = []

    def model(inputs, training):
        seen.append(inputs)
        return tf.zeros((1, 5, 60))

    graph.frame_logits(model, tf.constant(table), 10)
    np.testing.assert_array_equal(seen[0]["landmarks"][0, :4], landmarks)
    assert seen[0]["num_frames"].numpy().tolist() == [4]
