import itertools

import numpy as np
import pytest
from keras import ops

from training import config as cfg
from training.network.heads import HEADS, CtcHead, LateDropout


@pytest.fixture(scope="module")
def head():
    return CtcHead(cfg.Head(dropout=0.7, dropout_epoch=3), num_classes=59, width=8)


def outputs_of(path, random):
    """Outputs whose best class of each frame is the path's."""
    outputs = random.normal(0, 1, (len(path), 60)).astype(np.float32)
    outputs[np.arange(len(path)), path] = outputs.max(axis=1) + random.uniform(0.1, 2, len(path))
    return outputs


def decoded(head, outputs):
    classes, probabilities = head.decode(ops.convert_to_tensor(outputs))
    assert classes.dtype == "int32"
    return np.array(classes).tolist(), np.array(probabilities)


def test_published_greedy_decoding(head, published):
    random = np.random.default_rng(0)
    for path, length, characters in zip(
        *(published[f"decode/{name}"] for name in ("paths", "lengths", "characters")), strict=True
    ):
        found, _ = decoded(head, outputs_of(path[:length], random))
        assert found == characters[characters >= 0].tolist()


def by_definition(outputs):
    """Classes and probabilities: one of each run, and the highest in it."""
    exponentials = np.exp(outputs.astype(np.float64))
    probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).max(axis=1)
    runs = itertools.groupby(zip(outputs.argmax(axis=1).tolist(), probabilities, strict=True), key=lambda each: each[0])
    found = [(best, max(probability for _, probability in run)) for best, run in runs if best != 59]
    return [best for best, _ in found], [probability for _, probability in found]


@pytest.mark.parametrize("num_frames", [1, 2, 40])
def test_repeats_are_merged_and_blanks_removed(head, num_frames):
    random = np.random.default_rng(num_frames)
    for _ in range(30):
        outputs = outputs_of(random.choice([0, 1, 58, 59], num_frames), random)
        classes, probabilities = decoded(head, outputs)
        expected, expected_probabilities = by_definition(outputs)
        assert classes == expected
        np.testing.assert_allclose(probabilities, expected_probabilities, rtol=1e-5)


UNDER_JAX = """
from training import config as cfg
from training.network.heads import CtcHead
head = CtcHead(cfg.Head(), num_classes=59, width=8)
found["classes"], found["probabilities"] = head.decode(given["outputs"])
"""


def test_jax_without_tensorflow_decodes_the_same(head, under_jax):
    random = np.random.default_rng(1)
    outputs = outputs_of(random.choice([0, 1, 58, 59], 50), random)
    found = under_jax(UNDER_JAX, outputs=outputs)
    classes, probabilities = decoded(head, outputs)
    assert found["classes"].tolist() == classes
    np.testing.assert_allclose(found["probabilities"], probabilities, rtol=1e-5)


def test_the_answer_of_the_exported_file(head):
    """A row for each class decoded; where there is none, one of the class that fills."""
    random = np.random.default_rng(2)
    for path, classes in (([59, 3, 3, 59, 3, 0], [3, 3, 0]), ([59, 59], [7])):
        answer = np.array(head.answer(ops.convert_to_tensor(outputs_of(path, random)), filler=7))
        np.testing.assert_array_equal(answer, np.eye(59)[classes])


def test_which_clips_hold_their_label(head):
    """A frame for each character, and one more between equal neighbours; augmentation leaves two a character."""
    labels = np.array([[5, 5, 5, 59], [1, 2, 3, 59], [1, 2, 3, 3]])
    lengths = np.array([3, 3, 3])
    assert head.fits(labels, lengths, np.array([5, 3, 3])).tolist() == [True] * 3
    assert head.fits(labels, lengths, np.array([4, 2, 2])).tolist() == [False] * 3
    assert head.fewest_frames(lengths).tolist() == [6] * 3


def test_late_dropout_begins_in_its_epoch(head):
    head.build((None, None, 8))
    rates = []
    for epoch in (0, 2, 3, 4):
        head.begin_epoch(epoch)
        rates.append(float(head.dropout.rate))
    assert rates == pytest.approx([0, 0, 0.7, 0.7])


def test_late_dropout_begins_when_its_rate_is_set():
    layer = LateDropout()
    x = np.ones((4, 50, 20), np.float32)
    np.testing.assert_array_equal(layer(x, training=True), x)
    layer.set_rate(0.75)
    np.testing.assert_array_equal(layer(x, training=False), x)
    dropped = np.array(layer(x, training=True))
    assert set(np.unique(dropped)) == {0, 4}
    assert (dropped == 0).mean() == pytest.approx(0.75, abs=0.05)
    assert not np.array_equal(layer(x, training=True), dropped)


def test_a_task_names_its_head(task):
    assert HEADS[task.head] is CtcHead
