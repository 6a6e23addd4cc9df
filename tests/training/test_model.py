import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from pipeline.features import NUM_FEATURES
from training import checkpoint
from training import config as cfg
from training.layers import LateDropout, sample_dropout
from training.model import Network, frame_mask


def size(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


def in_creation_order(network):
    """The weights in the order in which the published program creates its own."""

    def norm(layer):
        return [layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance]

    found = [network.stem.kernel, *norm(network.stem_norm)]
    for convolutions, transformer in network.blocks:
        for unit in convolutions:
            found += [unit.expand.kernel, unit.expand.bias, unit.convolution.kernel, *norm(unit.norm)]
            found += [unit.attention.conv.kernel, unit.project.kernel, unit.project.bias]
        found += [transformer.attention_norm.gamma, transformer.attention_norm.beta]
        found += [transformer.attention.query_key_value.kernel, transformer.attention.project.kernel]
        found += [transformer.feed_forward_norm.gamma, transformer.feed_forward_norm.beta]
        found += [transformer.expand.kernel, transformer.project.kernel]
    return [
        *found,
        network.top.kernel,
        network.top.bias,
        network.classifier.kernel,
        network.classifier.bias,
    ]


@pytest.mark.parametrize(
    ("preset", "trainable", "total"), [("base", 9_497_577, 9_512_169), ("final", 15_447_303, 15_471_111)]
)
def test_the_published_numbers_of_parameters(preset, trainable, total):
    network = Network(cfg.PRESETS[preset].network)
    network.build((None, None, NUM_FEATURES))
    assert size(network.trainable_weights) == trainable
    # Besides, the weights hold one number: the rate of late dropout.
    assert network.late_dropout.rate.shape == ()
    assert size(network.weights) - 1 == total
    assert size(in_creation_order(network)) == total


@pytest.mark.parametrize(("name", "blocks"), [("base_small", 3), ("final_small", 5)])
def test_published_logits(reference, name, blocks):
    arrays = reference("reference_model.npz")
    network = Network(cfg.Network(width=48, blocks=blocks))
    network.build((None, None, NUM_FEATURES))
    weights = in_creation_order(network)
    assert len(weights) == len(arrays[f"{name}/weight_names"])
    for index, (v, published) in enumerate(zip(weights, arrays[f"{name}/weight_names"], strict=True)):
        # Their names end in the same words, but for those of the depthwise kernel.
        assert v.name == published.split("/")[-1].removesuffix(":0").removeprefix("depthwise_"), (index, published)
        v.assign(arrays[f"{name}/weights/{index:03d}"])
    features = arrays[f"{name}/input"]
    logits = network(features, mask=np.ones(features.shape[:2], bool))
    np.testing.assert_allclose(logits, arrays[f"{name}/logits"], atol=1e-4)


def naive(network, x_TxF):
    """The published network in numpy, at inference, one sequence without padding, one frame or head at a time."""

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

    def transformer_unit(x, unit):
        attention = unit.attention
        width = x.shape[1]
        per_head = width // attention.heads
        projected = layer_norm(x, unit.attention_norm) @ attention.query_key_value.kernel
        heads = []
        for head in range(attention.heads):
            own = projected[:, 3 * per_head * head :][:, : 3 * per_head]
            query, key, value = own[:, :per_head], own[:, per_head : 2 * per_head], own[:, 2 * per_head :]
            scores = np.exp(query @ key.T / np.sqrt(width))
            heads.append(scores / scores.sum(axis=1, keepdims=True) @ value)
        x = x + np.concatenate(heads, axis=1) @ attention.project.kernel
        return x + swish(layer_norm(x, unit.feed_forward_norm) @ unit.expand.kernel) @ unit.project.kernel

    x = batch_norm(x_TxF @ network.stem.kernel, network.stem_norm)
    for index, (convolutions, transformer) in enumerate(network.blocks):
        for unit in convolutions:
            x = convolution_unit(x, unit)
        if index == 0:
            half = x.shape[1] // 2
            for t in range(len(x)):
                angles = [t / 10000 ** (d / half) for d in range(half)]
                x[t] += [*np.sin(angles), *np.cos(angles)]
        x = transformer_unit(x, transformer)
    x = np.maximum(x @ network.top.kernel + network.top.bias, 0)
    return x @ network.classifier.kernel + network.classifier.bias


def test_the_network_is_as_defined(tiny_recogniser):
    network = tiny_recogniser.network
    random = np.random.default_rng(0)
    lengths = [20, 1, 7]
    features = random.normal(0, 1, (3, 20, tiny_recogniser.features.width)).astype(np.float32)
    mask = np.arange(20)[None, :] < np.array(lengths)[:, None]
    logits = network(features, mask=mask).numpy()
    for row, length in enumerate(lengths):
        expected = naive(network, features[row, :length].astype(np.float64))
        np.testing.assert_allclose(logits[row, :length], expected, atol=2e-4)


CONTENTS = [0.0, np.nan, np.inf, "noise"]


@pytest.mark.filterwarnings("ignore:You are using a softmax")  # of one frame
@pytest.mark.parametrize("padding", [0, 1, 3, 300])
@pytest.mark.parametrize("content", CONTENTS, ids=str)
def test_padding_changes_no_logits(tiny_recogniser, clips, pad, content, padding):
    """Nor does what else is in the batch: each sequence alone, at its own length, is what the padded batch gives."""
    together = list(clips.values())
    padded = tiny_recogniser(pad(together, max(map(len, together)) + padding, content)).numpy()
    for row, (name, each) in enumerate(clips.items()):
        alone = tiny_recogniser(pad([each], len(each))).numpy()[0]
        np.testing.assert_allclose(padded[row, : len(each)], alone, atol=1e-4, err_msg=name)


def labels(count):
    random = np.random.default_rng(count)
    found = random.integers(0, 59, (count, 3)).astype(np.int32)
    return {"labels": found, "label_lengths": random.integers(0, 4, count).astype(np.int32)}


def train_step(model, inputs, targets):
    """Loss, gradients and the moving statistics after a step; the model is left as it was."""
    statistics = [v for v in model.network.non_trainable_weights if v.name.startswith("moving")]
    before = [v.numpy() for v in statistics]
    with tf.GradientTape() as tape:
        logits = model(inputs, training=True)
        loss = model.compute_loss(x=inputs, y=targets, y_pred=logits)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_weights])
    after = [v.numpy() for v in statistics]
    for v, value in zip(statistics, before, strict=True):
        v.assign(value)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(after, before, strict=True))
    return float(loss), [np.array(g) for g in gradients], after


@pytest.mark.parametrize(("content", "padding"), [("noise", 1), ("noise", 9), ("noise", 300), (np.nan, 9)], ids=str)
def test_padding_changes_nothing_in_training(tiny_recogniser, clips, pad, content, padding):
    together = list(clips.values())
    targets = labels(len(together))
    longest = max(map(len, together))
    loss, gradients, statistics = train_step(tiny_recogniser, pad(together, longest), targets)
    padded_loss, padded_gradients, padded_statistics = train_step(
        tiny_recogniser, pad(together, longest + padding, content), targets
    )
    assert loss > 0
    assert padded_loss == pytest.approx(loss, rel=1e-5)
    for v, gradient, padded in zip(tiny_recogniser.trainable_weights, gradients, padded_gradients, strict=True):
        assert np.abs(gradient).max() > 0, v.path
        difference = np.linalg.norm(padded - gradient) / np.linalg.norm(gradient)
        assert difference < 1e-3, (v.path, difference)
    for found, expected in zip(padded_statistics, statistics, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


UNDER_JAX = """
import json, jax
from pathlib import Path
from training import checkpoint
from training import config as cfg
from training.model import Recogniser, frame_mask

model = Recogniser(cfg.Network(**json.loads(str(given["config"]))), given["mean"], given["std"])
model.build()
model.compile(jit_compile=True)
checkpoint.load(Path(str(given["weights"])), model.weights)
inputs = {"landmarks": given["landmarks"], "num_frames": given["num_frames"]}
targets = {"labels": given["labels"], "label_lengths": given["label_lengths"]}
found["features"] = jax.jit(lambda x: model.features(x["landmarks"], mask=frame_mask(x)))(inputs)
found["logits"] = model.predict_on_batch(inputs)

def loss(trainable):
    values = [v.value for v in model.non_trainable_variables]
    logits, values = model.stateless_call(trainable, values, inputs, training=True)
    return model.compute_loss(x=inputs, y=targets, y_pred=logits), values

(found["loss"], values), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(
    [v.value for v in model.trainable_variables]
)
found |= {f"gradient of {v.path}": g for v, g in zip(model.trainable_variables, gradients)}
found |= {v.path: value for v, value in zip(model.non_trainable_variables, values)}
"""


@pytest.mark.filterwarnings("ignore:You are using a softmax")  # of one frame
def test_jax_without_tensorflow_computes_the_same(tiny_recogniser, tiny_network, clips, pad, under_jax, tmp_path):
    """Features, logits, loss, gradients and batch statistics, with weights saved under TensorFlow."""
    model = tiny_recogniser
    inputs, targets = pad(list(clips.values()), 20, "noise"), labels(len(clips))
    checkpoint.save(tmp_path / "weights.npz", model.weights)
    found = under_jax(
        UNDER_JAX,
        config=json.dumps(dataclasses.asdict(tiny_network)),
        weights=str(tmp_path / "weights.npz"),
        mean=model.features.mean,
        std=model.features.std,
        **inputs,
        **targets,
    )
    mask = np.array(frame_mask(inputs))
    features = np.array(model.features(inputs["landmarks"], mask=mask))
    np.testing.assert_allclose(found["features"], features, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["logits"][mask], model(inputs).numpy()[mask], atol=1e-4)
    loss, gradients, statistics = train_step(model, inputs, targets)
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    for v, gradient in zip(model.trainable_weights, gradients, strict=True):
        difference = np.linalg.norm(found[f"gradient of {v.path}"] - gradient) / np.linalg.norm(gradient)
        assert difference < 1e-3, (v.path, difference)
    moving = [v for v in model.network.non_trainable_weights if v.name.startswith("moving")]
    for v, expected in zip(moving, statistics, strict=True):
        np.testing.assert_allclose(found[v.path], expected, atol=1e-5, err_msg=v.path)


def test_the_loss_is_the_mean_over_the_phrases_that_fit(tiny_recogniser, clips, pad):
    inputs = pad([clips["clean"], clips["two frames"], clips["three frames"]], 12)
    targets = {"labels": np.array([[1, 2, 3]] * 3, np.int32), "label_lengths": np.array([3, 3, 3], np.int32)}

    def loss(rows):
        x = {name: value[rows] for name, value in inputs.items()}
        y = {name: value[rows] for name, value in targets.items()}
        return float(tiny_recogniser.compute_loss(x=x, y=y, y_pred=tiny_recogniser(x)))

    assert loss([1]) == 0
    assert loss([0, 1, 2]) == pytest.approx((loss([0]) + loss([2])) / 2, rel=1e-5)


def test_order_matters(tiny_recogniser, clips, pad):
    """Positions and causal convolutions: a clip reversed in time does not give the reversed logits."""
    forward = tiny_recogniser(pad([clips["clean"]], 12)).numpy()[0]
    backward = tiny_recogniser(pad([clips["clean"][::-1]], 12)).numpy()[0]
    assert np.abs(forward - backward[::-1]).max() > 0.1


def test_frame_mask():
    inputs = {"landmarks": np.zeros((3, 4, 100, 2)), "num_frames": np.array([0, 1, 4])}
    assert np.array(frame_mask(inputs)).sum(axis=1).tolist() == [0, 1, 4]


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


def test_a_residual_branch_is_dropped_for_a_whole_sequence():
    dropped = np.array(sample_dropout(0.5, "dropout")(np.ones((200, 3, 2), np.float32), training=True))
    assert {tuple(np.unique(each)) for each in dropped} == {(0.0,), (2.0,)}


def test_dropout_is_for_training_only():
    network = Network(cfg.Network(width=8, blocks=1, heads=2))
    network.build((None, None, NUM_FEATURES))
    features = np.random.default_rng(0).normal(0, 1, (2, 5, NUM_FEATURES)).astype(np.float32)
    mask = np.ones((2, 5), bool)
    first, second = (network(features, mask=mask, training=True).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(network(features, mask=mask), network(features, mask=mask))


def test_a_width_that_the_heads_do_not_divide():
    with pytest.raises(ValueError, match="width 8 is not a multiple of the number of heads 3"):
        Network(cfg.Network(width=8, heads=3))


def test_no_bias_nor_norm_is_missing_from_the_exclusion_of_weight_decay():
    """Vectors are biases, scales and offsets; everything else multiplies inputs."""
    network = Network(cfg.Network(width=8, blocks=1, heads=2))
    network.build((None, None, NUM_FEATURES))
    for v in network.trainable_weights:
        assert (len(v.shape) == 1) == (v.name in ("bias", "gamma", "beta")), v.path
