import itertools
import types

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.recognizer import as_inputs
from inference.tflite import graph
from pipeline.tasks.fingerspelling import CHARACTER_TO_INDEX, Fingerspelling
from training.config import Head
from training.data.augment import resample
from training.network.heads import CtcHead

TASK = Fingerspelling()
BLANK = len(TASK.classes)
A, L, SPACE = (CHARACTER_TO_INDEX[c] for c in "al ")


class Model:
    """Stands in for a `training.network.model.Model`: its outputs are numbered by frame, its inputs are kept."""

    task = TASK

    def __init__(self, *, per_frame=True, frames=lambda num_frames: num_frames):
        self.head = types.SimpleNamespace(per_frame=per_frame)
        self.frames = frames

    def __call__(self, inputs, training):
        assert not training
        self.landmarks, self.num_frames = inputs["landmarks"].numpy(), inputs["num_frames"].numpy().tolist()
        numbers = tf.range(self.frames(self.landmarks.shape[1]))
        return tf.tile(numbers[None, :, None], (1, 1, 60)) if self.head.per_frame else tf.fill((1, 250), 7)


def outputs(model, landmarks, max_frames):
    return graph.clip_outputs(model, tf.constant(as_inputs(landmarks, TASK)), max_frames).numpy()


def test_columns_become_points_again(noise):
    model = Model()
    outputs(model, noise(4), 10)
    np.testing.assert_array_equal(model.landmarks[0, :4], noise(4))
    assert model.num_frames == [4]


@pytest.mark.parametrize("num_frames", [0, 1, 9, 10, 11, 30])
def test_the_frame_budget(noise, num_frames):
    """A clip has its own length up to the budget, and is resampled to it beyond; at least one frame."""
    model = Model()
    expected = min(max(num_frames, 1), 10)
    assert outputs(model, noise(num_frames), 10)[:, 0].tolist() == list(range(expected))
    assert model.num_frames == [expected]
    if num_frames:
        np.testing.assert_allclose(model.landmarks[0, :expected], resample(noise(num_frames), expected), atol=1e-6)


def test_infinite_is_missing(noise):
    model = Model()
    landmarks = noise(4)
    landmarks[1, 3], landmarks[2, 5, 0] = np.inf, -np.inf
    outputs(model, landmarks, 10)
    np.testing.assert_array_equal(model.landmarks[0, :4], np.where(np.isinf(landmarks), np.nan, landmarks))


@pytest.mark.parametrize("num_frames", [0, 1, 4, 5, 10, 30])
def test_an_encoder_that_halves_the_frames(noise, num_frames):
    half = Model(frames=lambda num_frames: (num_frames + 1) // 2)
    assert len(outputs(half, noise(num_frames), 10)) == (min(max(num_frames, 1), 10) + 1) // 2


def test_a_head_that_looks_at_the_whole_clip(noise):
    assert outputs(Model(per_frame=False), noise(4), 10).tolist() == [7] * 250


@pytest.mark.parametrize("new", [1, 2, 3, 7, 15, 20, 21, 39, 60])
def test_resampling_is_the_one_that_batches_are_made_with(new):
    landmarks = np.random.default_rng(new).normal(0.4, 0.2, (20, *TASK.points.shape)).astype(np.float32)
    landmarks[3:6] = np.nan
    landmarks[10, TASK.points.groups["left_hand"]] = np.nan
    landmarks[15:, TASK.points.groups["right_hand"]] = np.nan
    landmarks[0, 5, 1] = np.nan
    found = graph.interpolate(landmarks, graph.positions(tf.range(float(new)), 20.0, float(new)))
    np.testing.assert_allclose(found, resample(landmarks, new), atol=1e-6)


def answer(best_U):
    """What the rows say that are answered where these classes are the best ones, read as the competition reads them."""
    rows = CtcHead(Head(), BLANK, 8).answer(tf.one_hot(best_U, BLANK + 1), TASK.contract.filler).numpy()
    assert rows.shape[1] == BLANK
    np.testing.assert_array_equal(np.sort(rows)[:, -2:], np.tile([0, 1], (len(rows), 1)))
    return TASK.decode(rows.argmax(axis=1))


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
def test_answer(best, expected):
    assert answer(best) == expected


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([SPACE, A, L, 58, BLANK]), min_size=1, max_size=12))
def test_any_answer(best):
    said = TASK.decode(each for each, _ in itertools.groupby(best) if each != BLANK)
    assert answer(best) == (said or " ")
