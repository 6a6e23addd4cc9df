import numpy as np
import pytest

from training.network.encoders import Conformer, Published
from training.network.layers import SelfAttention, halved, sample_dropout


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def swish(x):
    return x * sigmoid(x)


def batch_norm(x, layer):
    mean, variance, gamma, beta = map(np.array, (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta))
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def layer_norm(x, layer):
    return np.stack([(r - r.mean()) / np.sqrt(r.var() + 1e-6) for r in x]) * layer.gamma + layer.beta


def convolution_unit(x, unit):
    y = swish(x @ unit.expand.kernel + unit.expand.bias)
    kernel = np.array(unit.convolution.kernel)[:, :, 0]
    length = len(kernel)
    convolved = np.zeros_like(y)
    for t in range(len(y)):
        for back in range(length):
            if t - back >= 0:
                convolved[t] += y[t - back] * kernel[length - 1 - back]
    y = batch_norm(convolved, unit.norm)
    mean = np.pad(y.mean(axis=0), 2)
    five = np.array(unit.attention.conv.kernel)[:, 0, 0]
    gate = sigmoid(np.array([mean[c : c + 5] @ five for c in range(y.shape[1])]))
    return x + (y * gate) @ unit.project.kernel + unit.project.bias


def self_attention(x, attention):
    width = x.shape[1]
    per_head = width // attention.heads
    projected = x @ attention.query_key_value.kernel
    heads = []
    for head in range(attention.heads):
        own = projected[:, 3 * per_head * head :][:, : 3 * per_head]
        query, key, value = own[:, :per_head], own[:, per_head : 2 * per_head], own[:, 2 * per_head :]
        scores = np.exp(query @ key.T / np.sqrt(width))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ value)
    return np.concatenate(heads, axis=1) @ attention.project.kernel


def transformer_unit(x, unit):
    x = x + self_attention(layer_norm(x, unit.attention_norm), unit.attention)
    return x + swish(layer_norm(x, unit.feed_forward_norm) @ unit.expand.kernel) @ unit.project.kernel


def stem(x, encoder):
    x = batch_norm(x @ encoder.stem.kernel, encoder.stem_norm)
    if encoder.halved_after == "stem":
        x = np.stack([x[t : t + 2].mean(axis=0) for t in range(0, len(x), 2)])
    return x


def add_positions(x):
    half = x.shape[1] // 2
    for t in range(len(x)):
        angles = [t / 10000 ** (d / half) for d in range(half)]
        x[t] += [*np.sin(angles), *np.cos(angles)]


def published(encoder, x_TxF):
    x = stem(x_TxF, encoder)
    for index, (convolutions, transformer) in enumerate(encoder.blocks):
        for unit in convolutions:
            x = convolution_unit(x, unit)
        if index == 0:
            add_positions(x)
        x = transformer_unit(x, transformer)
    return x


def half_feed_forward(x, unit):
    inner = swish(layer_norm(x, unit.norm) @ unit.expand.kernel + unit.expand.bias)
    return x + (inner @ unit.project.kernel + unit.project.bias) / 2


def gated_convolution(x, unit):
    y = layer_norm(x, unit.input_norm)
    y = (y @ unit.value.kernel + unit.value.bias) * sigmoid(y @ unit.gate.kernel + unit.gate.bias)
    kernel = np.array(unit.depthwise.kernel)[:, :, 0]
    convolved = np.zeros_like(y)
    for t in range(len(y)):
        for tap, weights in enumerate(kernel):
            if 0 <= (read := t + tap - len(kernel) // 2) < len(y):
                convolved[t] += y[read] * weights
    return x + swish(batch_norm(convolved, unit.norm)) @ unit.project.kernel + unit.project.bias


def conformer(encoder, x_TxF):
    x = stem(x_TxF, encoder)
    add_positions(x)
    for block in encoder.blocks:
        x = half_feed_forward(x, block.feed_forward_before)
        x = x + self_attention(layer_norm(x, block.attention_norm), block.attention)
        x = gated_convolution(x, block.convolution)
        x = layer_norm(half_feed_forward(x, block.feed_forward_after), block.norm)
    return x


# In numpy, at inference, one clip without padding, one frame or head at a time.
DEFINITIONS = {"published": published, "conformer": conformer}
DEFINED = [Published(width=8, blocks=2, heads=2), Published(width=8, blocks=1, heads=2, halved_after="stem")]
DEFINED += [Conformer(width=12, blocks=2, heads=3, kernel=kernel) for kernel in (1, 4, 5)]
DEFINED += [Conformer(width=12, blocks=2, heads=3, kernel=4, halved_after="stem")]


@pytest.mark.parametrize("settings", DEFINED, ids=str)
def test_an_encoder_is_as_defined(settings, randomize):
    encoder = settings.make()
    encoder.build((None, None, 20))
    randomize(encoder.weights)
    lengths = [20, 1, 7]
    features = np.random.default_rng(0).normal(0, 1, (3, 20, 20)).astype(np.float32)
    hidden, mask = encoder(features, mask=np.arange(20)[None, :] < np.array(lengths)[:, None])
    assert np.array(mask).sum(axis=1).tolist() == [settings.frames(length) for length in lengths]
    for row, length in enumerate(lengths):
        expected = DEFINITIONS[settings.name](encoder, features[row, :length].astype(np.float64))
        np.testing.assert_allclose(hidden[row, : len(expected)], expected, atol=2e-4)


def test_a_residual_branch_is_dropped_for_a_whole_clip():
    dropped = np.array(sample_dropout(0.5, "dropout")(np.ones((200, 3, 2), np.float32), training=True))
    assert {tuple(np.unique(each)) for each in dropped} == {(0.0,), (2.0,)}


@pytest.fixture(params=[Published, Conformer])
def made(request, randomize):
    """`made(**settings)`: an encoder of one block, random."""

    def make(**settings):
        encoder = request.param(width=8, blocks=1, heads=2, **settings).make()
        encoder.build((None, None, 20))
        randomize(encoder.weights)
        return encoder

    return make


def hidden(encoder, *, training):
    features = np.random.default_rng(0).normal(0, 1, (2, 5, 20)).astype(np.float32)
    return np.array(encoder(features, mask=np.ones((2, 5), bool), training=training)[0])


@pytest.mark.parametrize("rate", ["dropout", "attention_dropout"])
def test_dropout_is_for_training_only(made, rate):
    encoder = made(**{"dropout": 0.0, "attention_dropout": 0.0, rate: 0.5})
    found = [hidden(encoder, training=True) for _ in range(4)]
    assert max(np.abs(each - found[0]).max() for each in found) > 1e-3
    np.testing.assert_array_equal(hidden(encoder, training=False), hidden(encoder, training=False))


def test_every_residual_branch_is_dropped(made):
    """At a rate near 1 what a branch computes makes no difference."""
    encoder = made(dropout=1 - 1e-6, attention_dropout=0.0)
    before = hidden(encoder, training=True)
    branches = [v for v in encoder.trainable_variables if "project" in v.path]
    assert len(branches) >= 5
    for variable in branches:
        variable.assign(variable + 1.0)
    np.testing.assert_array_equal(hidden(encoder, training=True), before)
    assert np.abs(hidden(encoder, training=False) - before).max() > 1e-3


def test_a_width_that_the_heads_do_not_divide():
    with pytest.raises(ValueError, match="width 8 is not a multiple of the number of heads 3"):
        SelfAttention(8, 3, 0.0)


@pytest.mark.parametrize("num_frames", [0, 1, 2, 5, 6])
@pytest.mark.parametrize("length", [6, 7])
def test_every_two_frames_become_their_mean(num_frames, length):
    """Whatever the padding holds, and if it begins between the two."""
    x = np.random.default_rng(0).normal(size=(1, length, 3)).astype(np.float32)
    x[:, num_frames:] = 1e6
    found, mask = halved(x, np.arange(length)[None] < num_frames)
    expected = [x[0, first : min(first + 2, num_frames)].mean(axis=0) for first in range(0, num_frames, 2)]
    assert found.shape == (1, (length + 1) // 2, 3)
    assert np.array(mask)[0].tolist() == [True] * len(expected) + [False] * (found.shape[1] - len(expected))
    np.testing.assert_allclose(np.array(found)[0, : len(expected)], np.reshape(expected, (-1, 3)), rtol=1e-6)
