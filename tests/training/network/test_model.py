"""The whole model: as published, whatever the padding, and the same under JAX."""

import json

import numpy as np
import pytest
import tensorflow as tf

from training import checkpoint
from training import config as cfg
from training.network.encoders import Published
from training.network.model import Model, frame_mask


def make(config, task):
    model = Model(config, task, np.zeros(600), np.ones(600))
    model.build()
    return model


def size(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


def in_creation_order(model):
    """The weights in the order in which the published program creates its own."""

    def norm(layer):
        return [layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance]

    encoder, head = model.encoder, model.head
    found = [encoder.stem.kernel, *norm(encoder.stem_norm)]
    for convolutions, transformer in encoder.blocks:
        for unit in convolutions:
            found += [unit.expand.kernel, unit.expand.bias, unit.convolution.kernel, *norm(unit.norm)]
            found += [unit.attention.conv.kernel, unit.project.kernel, unit.project.bias]
        found += [transformer.attention_norm.gamma, transformer.attention_norm.beta]
        found += [transformer.attention.query_key_value.kernel, transformer.attention.project.kernel]
        found += [transformer.feed_forward_norm.gamma, transformer.feed_forward_norm.beta]
        found += [transformer.expand.kernel, transformer.project.kernel]
    return [*found, head.top.kernel, head.top.bias, head.classifier.kernel, head.classifier.bias]


@pytest.mark.parametrize(
    ("preset", "trainable", "total"), [("base", 9_497_577, 9_512_169), ("final", 15_447_303, 15_471_111)]
)
def test_the_published_numbers_of_parameters(task, preset, trainable, total):
    model = make(cfg.PRESETS[preset], task)
    assert size(model.trainable_weights) == model.trained_weights == trainable
    # Besides, the weights hold one number: the rate of late dropout.
    assert model.head.dropout.rate.shape == ()
    assert size(model.weights) - 1 == total
    assert size(in_creation_order(model)) == total


def test_published_logits(published, task):
    model = make(cfg.Config(encoder=Published(width=24)), task)
    weights, names = in_creation_order(model), published["base_small/weight_names"]
    assert len(weights) == len(names) == 123
    for index, (v, name) in enumerate(zip(weights, names, strict=True)):
        # Their names end in the same words, but for those of the depthwise kernel.
        assert v.name == name.split("/")[-1].removesuffix(":0").removeprefix("depthwise_"), (index, name)
        v.assign(published[f"base_small/weights/{index:03d}"])
    features = published["base_small/input"]
    hidden, mask = model.encoder(features, mask=np.ones(features.shape[:2], bool))
    logits = model.head(hidden, mask=mask)
    assert np.abs(published["base_small/logits"]).max() > 1
    np.testing.assert_allclose(logits, published["base_small/logits"], atol=1e-4)


@pytest.mark.filterwarnings("ignore:You are using a softmax")  # of one frame
@pytest.mark.parametrize(("content", "padding"), [(0.0, 0), (np.nan, 1), (np.inf, 3), ("noise", 300)], ids=str)
def test_padding_changes_no_logits(tiny_model, clips, pad, content, padding):
    """Nor does what else is in the batch: each clip alone, at its own length, is what the padded batch gives."""
    together = list(clips.values())
    padded = tiny_model(pad(together, max(map(len, together)) + padding, content)).numpy()
    for row, (name, each) in enumerate(clips.items()):
        alone = tiny_model(pad([each], len(each))).numpy()[0]
        np.testing.assert_allclose(padded[row, : len(each)], alone, atol=1e-4, err_msg=name)


def labels(count):
    random = np.random.default_rng(count)
    found = random.integers(0, 59, (count, 3)).astype(np.int32)
    return {"labels": found, "label_lengths": random.integers(0, 4, count).astype(np.int32)}


def moving(model):
    return [v for v in model.non_trainable_weights if v.name.startswith("moving")]


def train_step(model, inputs, targets):
    """Loss, gradients and the moving statistics after a step; the model is left as it was."""
    statistics = moving(model)
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
def test_padding_changes_nothing_in_training(tiny_model, clips, pad, content, padding):
    together = list(clips.values())
    targets = labels(len(together))
    longest = max(map(len, together))
    loss, gradients, statistics = train_step(tiny_model, pad(together, longest), targets)
    padded_loss, padded_gradients, padded_statistics = train_step(
        tiny_model, pad(together, longest + padding, content), targets
    )
    assert loss > 0
    assert padded_loss == pytest.approx(loss, rel=1e-5)
    for v, gradient, padded in zip(tiny_model.trainable_weights, gradients, padded_gradients, strict=True):
        assert np.abs(gradient).max() > 0, v.path
        difference = np.linalg.norm(padded - gradient) / np.linalg.norm(gradient)
        assert difference < 1e-3, (v.path, difference)
    for found, expected in zip(padded_statistics, statistics, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


UNDER_JAX = """
import json, jax
from pathlib import Path
from pipeline.tasks.fingerspelling import Fingerspelling
from training import checkpoint
from training import config as cfg
from training.network.model import Model, frame_mask

config = cfg.from_json(json.loads(str(given["config"])))
model = Model(config, Fingerspelling(), given["mean"], given["std"])
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
def test_jax_without_tensorflow_computes_the_same(tiny_model, tiny_config, clips, pad, under_jax, tmp_path):
    """Features, logits, loss, gradients and batch statistics, with weights saved under TensorFlow."""
    model = tiny_model
    inputs, targets = pad(list(clips.values()), 20, "noise"), labels(len(clips))
    checkpoint.save(tmp_path / "weights.npz", model.weights)
    found = under_jax(
        UNDER_JAX,
        config=json.dumps(cfg.as_json(tiny_config)),
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
    for v, expected in zip(moving(model), statistics, strict=True):
        np.testing.assert_allclose(found[v.path], expected, atol=1e-5, err_msg=v.path)


def test_the_loss_is_the_mean_over_the_labels_that_fit(tiny_model, clips, pad):
    inputs = pad([clips["clean"], clips["two frames"], clips["three frames"]], 12)
    targets = {"labels": np.array([[1, 2, 3]] * 3, np.int32), "label_lengths": np.array([3, 3, 3], np.int32)}

    def loss(rows):
        x = {name: value[rows] for name, value in inputs.items()}
        y = {name: value[rows] for name, value in targets.items()}
        return float(tiny_model.compute_loss(x=x, y=y, y_pred=tiny_model(x)))

    assert loss([1]) == 0
    assert loss([0, 1, 2]) == pytest.approx((loss([0]) + loss([2])) / 2, rel=1e-5)


def test_order_matters(tiny_model, clips, pad):
    """Positions and causal convolutions: a clip reversed in time does not give the reversed logits."""
    forward = tiny_model(pad([clips["clean"]], 12)).numpy()[0]
    backward = tiny_model(pad([clips["clean"][::-1]], 12)).numpy()[0]
    assert np.abs(forward - backward[::-1]).max() > 0.1


def test_frame_mask():
    inputs = {"landmarks": np.zeros((3, 4, 100, 2)), "num_frames": np.array([0, 1, 4])}
    assert np.array(frame_mask(inputs)).sum(axis=1).tolist() == [0, 1, 4]


def test_no_bias_nor_norm_is_missing_from_the_exclusion_of_weight_decay(tiny_model):
    """Vectors are biases, scales and offsets; everything else multiplies inputs."""
    for v in tiny_model.trainable_weights:
        assert (len(v.shape) == 1) == (v.name in ("bias", "gamma", "beta")), v.path
