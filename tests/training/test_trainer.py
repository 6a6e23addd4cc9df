import dataclasses
import itertools
import types

import numpy as np
import pytest

from pipeline import convert
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.runners import Runner
from pipeline.splits import SplitRule
from training import config as cfg
from training import runs
from training.input_pipeline import plan_epoch
from training.trainer import Trainer

CONFIG = cfg.Config(
    network=cfg.Network(width=8, blocks=1, heads=2),
    data=cfg.Data(max_frames=16, validation_phrase_share=0.3),
    optimizer=cfg.Optimizer(epochs=10, batch_size=4, learning_rate=0.01, warmup_epochs=2.0, weight_decay=0.1),
)


def changed(**changes):
    """`CONFIG` with other values, as `changed(data={"max_frames": 3})`."""
    return dataclasses.replace(
        CONFIG, **{name: dataclasses.replace(getattr(CONFIG, name), **values) for name, values in changes.items()}
    )


@pytest.fixture(scope="module")
def dataset(toy_dataset):
    return Dataset.open(toy_dataset)


@pytest.fixture
def trainer(dataset, tmp_path):
    return Trainer(dataset, CONFIG, tmp_path)


def test_who_trains_and_who_validates(dataset, tmp_path, monkeypatch):
    read = []
    original = Dataset.read
    monkeypatch.setattr(Dataset, "read", lambda self, split: read.append(split) or original(self, split))
    trainer = Trainer(dataset, CONFIG, tmp_path)
    assert set(read) == {"train"}
    training, validation = set(trainer.training.texts), set(trainer.validation.texts)
    assert training
    assert validation
    assert not training & validation
    assert len(trainer.training) + len(trainer.validation) == dataset.count("train")
    assert trainer.validation_name == "other phrases of the training signers"


def test_a_validation_split_is_used_as_it_is(toy_data, tmp_path):
    rule = SplitRule(validation_participants=(2,), test_participants=(3,))
    convert.convert(toy_data, tmp_path / "dataset", rule, num_shards=1, runner=Runner())
    trainer = Trainer(Dataset.open(tmp_path / "dataset"), CONFIG, tmp_path)
    assert set(trainer.training.participant_ids) == {1}
    assert set(trainer.validation.participant_ids) == {2}
    assert (len(trainer.training), len(trainer.validation)) == (12, 12)
    assert trainer.validation_name == "other signers"


@pytest.mark.parametrize(
    ("config", "left_out"),
    [
        (CONFIG, {"refused_by_length_rule": 1, "too_few_frames": 0}),
        (changed(data={"length_rule": False}), {"refused_by_length_rule": 0, "too_few_frames": 0}),
        # Of the phrases, those of three characters with a double letter need four frames.
        (changed(data={"length_rule": False, "max_frames": 3}), {"refused_by_length_rule": 0}),
    ],
)
def test_what_is_left_out_of_training_is_counted(dataset, tmp_path, config, left_out):
    trainer = Trainer(dataset, config, tmp_path)
    assert trainer.left_out | left_out == trainer.left_out
    assert len(trainer.chosen) == len(trainer.training) - sum(trainer.left_out.values())
    for position in trainer.chosen:
        phrase = trainer.training.texts[position]
        repeats = sum(a == b for a, b in itertools.pairwise(phrase))
        assert len(phrase) + repeats <= min(config.data.max_frames, trainer.training.num_frames[position])
    if config.data.max_frames == 3:
        assert trainer.left_out["too_few_frames"] > 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed(optimizer={"batch_size": 100}), r"\d+ sequences to train on, fewer than a batch \(100\)"),
        (changed(data={"validation_phrase_share": 0.0}), "no validation sequences: set data.validation_phrase_share"),
        (changed(data={"validation_phrase_share": 1.0}), "0 sequences to train on, fewer than a batch"),
    ],
)
def test_too_few_sequences(dataset, tmp_path, config, message):
    with pytest.raises(UserError, match=message) as raised:
        Trainer(dataset, config, tmp_path)
    assert str(dataset.path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_loss_that_is_no_number_stops_with_step_and_ids(trainer, tmp_path):
    trainer.model.run_eagerly = True
    bias = trainer.model.network.classifier.bias
    with pytest.raises(UserError) as raised:
        trainer.run_epoch(4, lambda: bias.assign(np.full(bias.shape, np.nan)))
    plan = plan_epoch(trainer.training, trainer.chosen, CONFIG, epoch=4)
    ids = ", ".join(str(trainer.training.sequence_ids[position]) for position in plan.positions[1])
    expected = f"the loss became nan in epoch 5, step 2 of {trainer.steps_per_epoch}; its sequences: {ids}; lower"
    assert str(raised.value).startswith(expected)
    assert not (tmp_path / runs.CHECKPOINT).exists()


def test_weight_decay_is_applied_but_not_to_biases_and_norms(trainer):
    optimizer = trainer.model.optimizer
    optimizer.iterations.assign(2 * trainer.steps_per_epoch)  # the end of the warm-up: the rate's peak
    before = [v.numpy() for v in trainer.model.trainable_variables]
    for v in trainer.model.trainable_variables:
        v.assign(v.numpy() + 1)
    optimizer.apply([np.zeros(v.shape, np.float32) for v in trainer.model.trainable_variables])
    decayed = 0
    for v, value in zip(trainer.model.trainable_variables, before, strict=True):
        # Vectors are biases, scales and offsets; everything else multiplies inputs.
        factor = 1 - 0.01 * 0.1 if len(v.shape) > 1 else 1
        decayed += factor < 1
        np.testing.assert_allclose(v, (value + 1) * factor, rtol=1e-6, err_msg=v.path)
    assert decayed == 19


def test_the_learning_rate(trainer):
    """Linear to its peak at the end of the warm-up, then a cosine to 0."""

    def rate(epoch):
        trainer.model.optimizer.iterations.assign(round(epoch * trainer.steps_per_epoch))
        return float(trainer.model.optimizer.learning_rate)

    assert rate(0) == 0
    assert rate(1) == pytest.approx(0.005)
    assert rate(2) == pytest.approx(0.01)
    assert rate(6) == pytest.approx(0.005)
    assert rate(10) == pytest.approx(0, abs=1e-9)


def fitted_at_once(batches, **_):
    return types.SimpleNamespace(history={"loss": [1.0]})


def test_late_dropout_begins_in_its_epoch(dataset, tmp_path, monkeypatch):
    trainer = Trainer(dataset, changed(network={"late_dropout": 0.7, "late_dropout_epoch": 3}), tmp_path)
    monkeypatch.setattr(trainer.model, "fit", fitted_at_once)
    monkeypatch.setattr("training.trainer.recognise", lambda model, corpus, max_frames: corpus.texts)
    rates = []
    for epoch in (0, 2, 3, 4):
        trainer.run_epoch(epoch, lambda: None)
        rates.append(float(trainer.model.network.late_dropout.rate))
    assert rates == pytest.approx([0, 0, 0.7, 0.7])


def test_the_best_weights_are_those_of_the_best_score(dataset, tmp_path, monkeypatch):
    """Of equal scores the first."""
    trainer = Trainer(dataset, CONFIG, tmp_path)
    bias = trainer.model.network.classifier.bias
    monkeypatch.setattr(trainer.model, "fit", fitted_at_once)
    for epoch, score in enumerate([0.1, 0.5, 0.3, 0.5]):
        bias.assign(np.full(bias.shape, epoch + 1.0))
        monkeypatch.setattr("training.trainer.recognise", lambda model, corpus, max_frames: corpus.texts)
        monkeypatch.setattr("training.trainer.scoring.pooled_score", lambda pairs, score=score: score)
        trainer.run_epoch(epoch, lambda: None)
    result = trainer.finish()
    assert (result["best_score"], result["best_epoch"]) == (0.5, 2)
    with np.load(tmp_path / runs.BEST) as saved:
        assert {float(each) for each in saved[saved.files[-1]]} == {2.0}
