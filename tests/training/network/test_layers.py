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


def by_definition(encoder, x_TxF):
    """The published encoder in numpy, at inference, one clip without padding, one frame or head at a time."""
    x = batch_norm(x_TxF @ encoder.stem.kernel, encoder.stem_norm)
    for index, (convolutions, transformer) in enumerate(encoder.blocks):
        for unit in convolutions:
            x = convolution_unit(x, unit)
        if index == 0:
            half = x.shape[1] // 2
            for t in range(len(x)):
                angles = [t / 10000 ** (d / half) for d in range(half)]
                x[t] += [*np.sin(angles), *np.cos(angles)]
        x = transformer_unit(x, transformer)
    return x


def test_the_encoder_is_as_defined(tiny_model):
    encoder = tiny_model.encoder
    lengths = [20, 1, 7]
    features = np.random.default_rng(0).normal(0, 1, (3, 20, tiny_model.features.width)).astype(np.float32)
    mask = np.arange(20)[None, :] < np.array(lengths)[:, None]
    hidden, mask_after = encoder(features, mask=mask)
    np.testing.assert_array_equal(mask_after, mask)
    assert hidden.shape == (3, 20, encoder.width)
    for row, length in enumerate(lengths):
        expected = by_definition(encoder, features[row, :length].astype(np.float64))
        np.testing.assert_allclose(hidden[row, :length], expected, atol=2e-4)


def conformer_by_definition(encoder, x_TxF):
    """The Conformer in numpy, at inference, one clip without padding, at the full frame rate."""
    x = batch_norm(x_TxF @ encoder.stem.kernel, encoder.stem_norm)
    half = x.shape[1] // 2
    for t in range(len(x)):
        angles = [t / 10000 ** (d / half) for d in range(half)]
        x[t] += [*np.sin(angles), *np.cos(angles)]
    for block in encoder.blocks:
        x = half_feed_forward(x, block.first)
        x = x + self_attention(layer_norm(x, block.attention_norm), block.attention)
        module = block.module
        y = layer_norm(x, module.input_norm)
        gate = sigmoid(y @ module.gate.kernel + module.gate.bias)
        y = (y @ module.value.kernel + module.value.bias) * gate
        kernel = np.array(module.convolution.kernel)[:, :, 0]
        convolved = np.zeros_like(y)
        for t in range(len(y)):
            for tap, weights in enumerate(kernel):
                if 0 <= (read := t + tap - len(kernel) // 2) < len(y):
                    convolved[t] += y[read] * weights
        x = x + swish(batch_norm(convolved, module.norm)) @ module.project.kernel + module.project.bias
        x = layer_norm(half_feed_forward(x, block.second), block.norm)
    return x


def half_feed_forward(x, unit):
    inner = swish(layer_norm(x, unit.norm) @ unit.expand.kernel + unit.expand.bias)
    return x + (inner @ unit.project.kernel + unit.project.bias) / 2


@pytest.mark.parametrize("kernel", [1, 4, 5])
def test_the_conformer_is_as_defined(kernel):
    encoder = Conformer(width=12, blocks=2, heads=3, kernel=kernel).make()
    encoder.build((None, None, 20))
    random = np.random.default_rng(0)
    for variable in encoder.trainable_variables:
        variable.assign(random.normal(1.0 if "gamma" in variable.path else 0.0, 0.3, variable.shape))
    lengths = [20, 1, 7]
    features = random.normal(0, 1, (3, 20, 20)).astype(np.float32)
    mask = np.arange(20)[None, :] < np.array(lengths)[:, None]
    hidden, mask_after = encoder(features, mask=mask)
    np.testing.assert_array_equal(mask_after, mask)
    for row, length in enumerate(lengths):
        expected = conformer_by_definition(encoder, features[row, :length].astype(np.float64))
        np.testing.assert_allclose(hidden[row, :length], expected, atol=2e-4)


def test_a_residual_branch_is_dropped_for_a_whole_clip():
    dropped = np.array(sample_dropout(0.5, "dropout")(np.ones((200, 3, 2), np.float32), training=True))
    assert {tuple(np.unique(each)) for each in dropped} == {(0.0,), (2.0,)}


@pytest.fixture
def encoder():
    made = Published(width=8, blocks=1, heads=2).make()
    made.build((None, None, 600))
    return made


def test_dropout_is_for_training_only(encoder):
    features = np.random.default_rng(0).normal(0, 1, (2, 5, 600)).astype(np.float32)
    mask = np.ones((2, 5), bool)
    first, second = (encoder(features, mask=mask, training=True)[0].numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(encoder(features, mask=mask)[0], encoder(features, mask=mask)[0])


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
