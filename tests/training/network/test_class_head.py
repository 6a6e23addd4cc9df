"""The head of one class a clip, alone and behind each encoder."""

import dataclasses

import keras
import numpy as np
import pytest

from pipeline.tasks.isolated_signs import IsolatedSigns
from training import config as cfg
from training.network.encoders import Published, Recurrent
from training.network.heads import ClassHead
from training.network.model import Model

TASK = IsolatedSigns(("a", "b", "c"))
ENCODERS = [
    Published(width=8, blocks=1, heads=2),
    Recurrent(width=8, layers=1),
    Recurrent(cell="gru", width=6, both_directions=False),
]


def make(encoder, **head):
    config = dataclasses.replace(cfg.Config(), encoder=encoder, head=cfg.Head(**head), data=cfg.Data(max_frames=20))
    keras.utils.set_random_seed(0)
    model = Model(config, TASK, np.zeros(600, np.float32), np.ones(600, np.float32))
    model.build()
    return model


def batch(lengths, pad_to):
    landmarks = np.zeros((len(lengths), pad_to, 100, 2), np.float32)
    for row, length in enumerate(lengths):
        landmarks[row, :length] = np.random.default_rng(row).uniform(0, 1, (length, 100, 2))
    return {"landmarks": landmarks, "num_frames": np.array(lengths, np.int32)}


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_padding_changes_nothing(encoder):
    model = make(encoder)
    lengths = [1, 4, 9]
    expected = [model(batch([n], n) if i == 0 else rows(i, n), training=False)[0] for i, n in enumerate(lengths)]
    found = model(batch(lengths, 20), training=False)
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-5)


def rows(row, length):
    whole = batch([1] * row + [length], length)
    return {name: array[row:] for name, array in whole.items()}


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_it_learns(encoder):
    model = make(encoder, dropout=0.0)
    inputs, labels = batch([9] * 3, 9), np.array([[0], [1], [2]], np.int32)
    targets = {"labels": labels, "label_lengths": np.ones(3, np.int32)}
    model.compile(optimizer=keras.optimizers.Adam(0.02))
    for _ in range(60):
        model.train_on_batch(inputs, targets)
    assert model(inputs, training=False).numpy().argmax(axis=1).tolist() == [0, 1, 2]


def test_the_loss_is_cross_entropy_with_the_smoothed_label():
    head = ClassHead(cfg.Head(label_smoothing=0.1), 3, 8)
    logits = np.array([[2.0, 0.5, -1.0], [0.0, 0.0, 0.0]], np.float32)
    loss, fits = head.loss(
        logits, labels_BxL=np.array([[0], [2]]), label_lengths_B=np.ones(2), num_frames_B=np.array([5, 0]), sparse=True
    )
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1, reduction="none")
    np.testing.assert_allclose(loss, expected(np.eye(3)[[0, 2]], logits), rtol=1e-5)
    assert np.array(fits).tolist() == [True, False]


def test_decoding():
    head = ClassHead(cfg.Head(), 3, 8)
    classes, probabilities = head.decode(np.array([0.0, 3.0, 1.0], np.float32))
    assert np.array(classes).tolist() == [1]
    np.testing.assert_allclose(probabilities, [np.exp(3) / np.exp([0, 3, 1]).sum()], rtol=1e-5)
    np.testing.assert_allclose(head.answer(np.zeros(3, np.float32), None), [1 / 3] * 3, rtol=1e-6)


def test_a_recurrent_encoder_of_two_directions_needs_an_even_width():
    assert Recurrent(width=7).fault() == "encoder.width is 7, expected an even number for two directions"
    assert Recurrent(width=7, both_directions=False).fault() is None
