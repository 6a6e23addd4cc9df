import itertools

import jax
import numpy as np
import optax
import pytest
import tensorflow as tf

from training.network.ctc import ctc_loss, minimal_frames

KERNELS = pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
CLASSES = 60
BLANK = 59
SPACE = 0
A, B = 33, 34

LABELS = [[], [SPACE], [A], [58], [SPACE, SPACE], [A, SPACE], [A, A], [A, B], [A, B, A], [A, A, B], [B, SPACE, A, B]]


def padded(labels, filler=BLANK):
    lengths = np.array([len(label) for label in labels], np.int32)
    rows = np.full((len(labels), max(1, lengths.max())), filler, np.int32)
    for row, label in zip(rows, labels, strict=True):
        row[: len(label)] = label
    return rows, lengths


def evaluate(labels, logits, num_frames, *, sparse, filler=BLANK, blank=BLANK):
    """Loss, gradient with respect to the logits, and whether each label fits."""
    rows, lengths = padded(labels, filler)
    x = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss, fits = ctc_loss(
            labels_BxL=tf.constant(rows),
            label_lengths_B=tf.constant(lengths),
            logits_BxTxV=x,
            num_frames_B=tf.constant(num_frames, tf.int32),
            blank=blank,
            sparse=sparse,
        )
    return loss.numpy(), tape.gradient(loss, x).numpy(), np.array(fits)


def spelt(path):
    return [c for c, _ in itertools.groupby(path) if c != BLANK]


def enumerated(label, logits):
    """The definition: the sum over all paths that spell the label. Classes that are all but impossible are left out."""
    probabilities = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    used = [c for c in range(CLASSES) if probabilities[:, c].max() > 1e-30]
    total = sum(
        np.prod([probabilities[t, c] for t, c in enumerate(path)])
        for path in itertools.product(used, repeat=len(logits))
        if spelt(path) == label
    )
    return -np.log(total)


def few_classes(random, num_frames, label):
    """Logits of one clip in which only the label's classes, the blank and one more are possible."""
    logits = np.full((num_frames, CLASSES), -1e4, np.float32)
    possible = sorted({*label, BLANK, 7})
    logits[:, possible] = random.normal(0, 2, (num_frames, len(possible)))
    return logits


def needed(label):
    return len(label) + sum(a == b for a, b in itertools.pairwise(label))


@KERNELS
@pytest.mark.parametrize("spare_frames", [0, 1])
def test_the_loss_is_as_defined(sparse, spare_frames):
    """All labels as one batch, each in its fewest frames and in one more; what follows in the padding is garbage."""
    random = np.random.default_rng(0)
    num_frames = [max(1, needed(label)) + spare_frames for label in LABELS]
    logits = random.normal(0, 30, (len(LABELS), max(num_frames) + 2, CLASSES)).astype(np.float32)
    for row, label, length in zip(logits, LABELS, num_frames, strict=True):
        row[:length] = few_classes(random, length, label)
    loss, gradient, fits = evaluate(LABELS, logits, num_frames, sparse=sparse)
    assert fits.all()
    for each, row, label, length in zip(loss, logits, LABELS, num_frames, strict=True):
        assert each == pytest.approx(enumerated(label, row[:length].astype(np.float64)), rel=1e-4), label
    for each, length in zip(gradient, num_frames, strict=True):
        assert not each[length:].any()


@KERNELS
def test_random_labels_have_the_loss_as_defined(sparse):
    """Repeats, spaces, nothing at all; in the fewest frames and up to two more."""
    random = np.random.default_rng(5)
    labels = [random.choice([SPACE, A, B], random.integers(0, 4)).tolist() for _ in range(20)]
    num_frames = [max(1, needed(label)) + int(random.integers(0, 3)) for label in labels]
    logits = random.normal(0, 30, (len(labels), max(num_frames), CLASSES)).astype(np.float32)
    for row, label, length in zip(logits, labels, num_frames, strict=True):
        row[:length] = few_classes(random, length, label)
    loss, _, _ = evaluate(labels, logits, num_frames, sparse=sparse)
    expected = [enumerated(*each) for each in zip(labels, map(cut, logits, num_frames), strict=True)]
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)


def cut(logits, length):
    return logits[:length].astype(np.float64)


def various_batch():
    """40 labels of up to 8 characters, half of them of two characters and so full of repeats, one empty, one that does
    not fit; every third in the fewest frames."""
    random = np.random.default_rng(6)
    labels = [random.integers(0, 59, random.integers(1, 9)).tolist() for _ in range(20)]
    labels += [random.choice([SPACE, A], random.integers(1, 9)).tolist() for _ in range(20)]
    labels[3] = []
    num_frames = [needed(label) + (int(random.integers(1, 9)) if i % 3 else 0) for i, label in enumerate(labels)]
    num_frames = np.array([max(1, n) for n in num_frames], np.int32)
    num_frames[-1] = needed(labels[-1]) - 1
    return labels, random.normal(0, 3, (40, num_frames.max() + 2, CLASSES)).astype(np.float32), num_frames


def by_optax(labels, logits, num_frames):
    """Loss and gradient."""
    rows, lengths = padded(labels)
    frames_padded = (np.arange(logits.shape[1]) >= num_frames[:, None]).astype(np.float32)
    labels_padded = (np.arange(rows.shape[1]) >= lengths[:, None]).astype(np.float32)

    def total(x):
        loss = optax.ctc_loss(x, frames_padded, rows, labels_padded, blank_id=BLANK)
        return loss.sum(), loss

    (_, loss), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(logits)
    return np.array(loss), np.array(gradient)


UNDER_JAX = """
import jax, keras
from training.network.ctc import ctc_loss
assert keras.backend.backend() == "jax"
def total(logits):
    loss, fits = ctc_loss(labels_BxL=given["labels"], label_lengths_B=given["lengths"], logits_BxTxV=logits,
                          num_frames_B=given["num_frames"], blank=59, sparse=False)
    return loss.sum(), (loss, fits)
gradient_of = jax.jit(jax.value_and_grad(total, has_aux=True))
(_, (found["loss"], found["fits"])), found["gradient"] = gradient_of(given["logits"])
"""


@pytest.fixture(scope="module")
def expected_by_optax():
    loss, gradient = by_optax(*various_batch())
    assert loss[-1] > 1e4  # what does not fit
    loss[-1], gradient[-1] = 0, 0
    return loss, gradient


@pytest.mark.parametrize("kernel", ["sparse", "dense", "jax"])
def test_an_independent_implementation_agrees(kernel, expected_by_optax, under_jax):
    labels, logits, num_frames = various_batch()
    if kernel == "jax":
        rows, lengths = padded(labels)
        found = under_jax(UNDER_JAX, labels=rows, lengths=lengths, logits=logits, num_frames=num_frames)
        loss, gradient, fits = found["loss"], found["gradient"], found["fits"]
    else:
        loss, gradient, fits = evaluate(labels, logits, num_frames, sparse=kernel == "sparse")
    assert fits.tolist() == [True] * 39 + [False]
    np.testing.assert_allclose(loss, expected_by_optax[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_by_optax[1], atol=1e-4)


@pytest.mark.parametrize("kernel", ["sparse", "dense", "jax"])
def test_published_loss_and_gradient(published, kernel, under_jax):
    """What follows a clip's frames has no gradient here."""
    names = ("logits", "labels", "label_lengths", "num_frames", "loss", "gradient")
    logits, rows, lengths, num_frames, loss, gradient = (published[f"ctc/{name}"] for name in names)
    if kernel == "jax":
        found = under_jax(UNDER_JAX, labels=rows, lengths=lengths, logits=logits, num_frames=num_frames)
        found_loss, found_gradient, fits = found["loss"], found["gradient"], found["fits"]
    else:
        labels = [row[:length].tolist() for row, length in zip(rows, lengths, strict=True)]
        found_loss, found_gradient, fits = evaluate(labels, logits, num_frames, sparse=kernel == "sparse")
    assert fits.all()
    np.testing.assert_allclose(found_loss, loss, rtol=1e-5)
    np.testing.assert_allclose(found_gradient, gradient, atol=1e-4)
    assert np.abs(gradient).max() > 0.1


@KERNELS
def test_another_class_may_be_the_blank(sparse):
    """As a model of five classes has it: the same loss as with every class renamed."""
    random = np.random.default_rng(7)
    logits = random.normal(0, 2, (2, 6, 6)).astype(np.float32)
    logits[1, 4:] = 9
    expected, gradient, _ = evaluate([[0, 1, 1], [2]], logits, [6, 4], sparse=sparse, filler=5, blank=5)
    wide = np.full((2, 6, CLASSES), -1e4, np.float32)
    wide[..., [0, 1, 2, 3, 4, BLANK]] = logits
    as_usual, wide_gradient, _ = evaluate([[0, 1, 1], [2]], wide, [6, 4], sparse=sparse)
    np.testing.assert_allclose(expected, as_usual, rtol=1e-5)
    np.testing.assert_allclose(gradient, wide_gradient[..., [0, 1, 2, 3, 4, BLANK]], atol=1e-5)


def random_batch(num_clips=6, num_frames=12):
    random = np.random.default_rng(1)
    labels = [random.integers(0, 59, random.integers(1, 6)).tolist() for _ in range(num_clips)]
    labels[0] = [SPACE, SPACE, A, A, SPACE]
    lengths = random.integers(9, num_frames + 1, num_clips)
    return labels, random.normal(0, 3, (num_clips, num_frames, CLASSES)).astype(np.float32), lengths


def test_the_kernels_agree():
    labels, logits, num_frames = random_batch()
    loss, gradient, _ = evaluate(labels, logits, num_frames, sparse=True)
    dense_loss, dense_gradient, _ = evaluate(labels, logits, num_frames, sparse=False)
    np.testing.assert_allclose(loss, dense_loss, rtol=1e-5)
    np.testing.assert_allclose(gradient, dense_gradient, atol=1e-4)
    assert np.abs(gradient).max() > 0.1


@KERNELS
def test_what_follows_a_label_is_ignored(sparse):
    labels, logits, num_frames = random_batch()
    loss, gradient, _ = evaluate(labels, logits, num_frames, sparse=sparse)
    for filler in (SPACE, A):
        other_loss, other_gradient, fits = evaluate(labels, logits, num_frames, sparse=sparse, filler=filler)
        assert fits.all()
        np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
        np.testing.assert_allclose(other_gradient, gradient, atol=1e-6)


@KERNELS
def test_padding_frames_change_nothing(sparse):
    labels, logits, num_frames = random_batch()
    more = np.concatenate([logits, np.full((len(labels), 5, CLASSES), 1e4, np.float32)], axis=1)
    loss, gradient, _ = evaluate(labels, logits, num_frames, sparse=sparse)
    padded_loss, padded_gradient, _ = evaluate(labels, more, num_frames, sparse=sparse)
    np.testing.assert_allclose(padded_loss, loss, rtol=1e-6)
    np.testing.assert_allclose(padded_gradient[:, :-5], gradient, atol=1e-6)
    assert not padded_gradient[:, -5:].any()


@KERNELS
def test_a_label_that_does_not_fit_has_no_loss_and_no_gradient(sparse):
    """Nor does it change what the others of its batch get."""
    impossible = [([A, B], 1), ([A, A], 2), ([SPACE] * 4, 6), ([A, B, A, B, A], 4)]
    labels, logits, num_frames = random_batch()
    alone_loss, alone_gradient, _ = evaluate(labels, logits, num_frames, sparse=sparse)
    random = np.random.default_rng(3)
    logits = np.concatenate([logits, random.normal(0, 3, (len(impossible), 12, CLASSES)).astype(np.float32)])
    loss, gradient, fits = evaluate(
        [*labels, *(label for label, _ in impossible)],
        logits,
        [*num_frames, *(length for _, length in impossible)],
        sparse=sparse,
    )
    assert fits.tolist() == [True] * len(labels) + [False] * len(impossible)
    np.testing.assert_array_equal(loss[len(labels) :], 0)
    np.testing.assert_array_equal(gradient[len(labels) :], 0)
    np.testing.assert_allclose(loss[: len(labels)], alone_loss, rtol=1e-6)
    np.testing.assert_allclose(gradient[: len(labels)], alone_gradient, atol=1e-6)


@KERNELS
def test_nothing_in_the_batch_fits(sparse):
    loss, gradient, fits = evaluate([[A, B]], np.ones((1, 1, CLASSES), np.float32), [1], sparse=sparse)
    assert (loss.tolist(), fits.tolist(), gradient.any()) == ([0], [False], False)


@KERNELS
def test_half_precision_logits_are_computed_with_in_float32(sparse):
    labels, logits, num_frames = random_batch()
    rows, lengths = padded(labels)
    loss, _ = ctc_loss(
        labels_BxL=tf.constant(rows),
        label_lengths_B=tf.constant(lengths),
        logits_BxTxV=tf.constant(logits, tf.float16),
        num_frames_B=tf.constant(num_frames, tf.int32),
        blank=BLANK,
        sparse=sparse,
    )
    assert loss.dtype == tf.float32
    expected, _, _ = evaluate(labels, logits.astype(np.float16), num_frames, sparse=sparse)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_minimal_frames():
    rows, lengths = padded(LABELS, filler=A)
    assert np.array(minimal_frames(rows, lengths)).tolist() == [needed(label) for label in LABELS]
