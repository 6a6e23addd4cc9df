"""Encoders by name, and one that is only registered here: it gives half as many frames as it gets."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from pipeline.scores import score_table
from training import config as cfg
from training import predict, score, train
from training.data.corpus import Corpus
from training.network.encoders import ENCODERS, Conformer, Published, Recurrent
from training.network.model import Model
from training.runs import Run
from training.trainer import Trainer


def test_encoders_go_by_their_names():
    assert {"published": Published, "recurrent": Recurrent, "conformer": Conformer} == ENCODERS
    assert cfg.Config().encoder == Published()


@pytest.mark.parametrize("encoder", [Published, Conformer])
@pytest.mark.parametrize(("width", "heads"), [(96, 5), (9, 3), (9, 1)])
def test_a_width_that_the_heads_do_not_divide_or_that_is_odd(encoder, width, heads):
    assert encoder(width=width, heads=heads).fault() == (
        f"encoder.width is {width}, expected an even multiple of encoder.heads ({heads})"
    )
    assert encoder(width=2 * width * heads, heads=heads).fault() is None
    with pytest.raises(UserError, match=rf"^encoder.width is {width}, expected an even multiple"):
        cfg.resolve("base", overrides=[f"encoder.width={width}", f"encoder.heads={heads}"])


def test_settings_of_another_encoder(halving_encoder):
    """They are its own, at their defaults but for those that are given; the name may come with them or before."""
    assert cfg.resolve("small", overrides=["encoder.name=halving"]).encoder == halving_encoder()
    config = cfg.resolve("small", overrides=["encoder.name=halving", "encoder.width=4"])
    assert config.encoder == halving_encoder(width=4)
    assert dataclasses.replace(config, encoder=Published()) == dataclasses.replace(
        cfg.PRESETS["small"], encoder=Published()
    )
    assert cfg.from_json(cfg.as_json(config)) == config
    with pytest.raises(UserError, match=r"no setting 'heads' \(known: name, width\)"):
        cfg.resolve("small", overrides=["encoder.name=halving", "encoder.heads=4"])
    assert "\nwith encoder.name=halving:\n  encoder.width = 6\n" in cfg.help_text()


@pytest.fixture(params=["registered", "stem", "block", "conformer"])
def halving_model(request, halving_encoder, task):
    if request.param == "registered":
        encoder = halving_encoder()
    elif request.param == "conformer":
        encoder = Conformer(width=24, blocks=2, heads=2, kernel=4, halved_after="stem")
    else:
        encoder = Published(width=24, blocks=2, heads=2, halved_after=request.param)
    model = Model(cfg.Config(encoder=encoder), task, np.zeros(600), np.ones(600))
    model.build()
    model.compile(jit_compile=False)
    return model


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_the_loss_is_that_of_its_frames(halving_model, clips, pad, padding):
    """Of five frames there are three, which hold "abc" but not "aab"."""
    inputs = pad([clips["all missing"], clips["all missing"], clips["clean"]], 12 + padding, "noise")
    targets = {
        "labels": np.array([[33, 34, 35], [33, 33, 34], [33, 33, 34]], np.int32),
        "label_lengths": np.array([3, 3, 3], np.int32),
    }
    logits = halving_model(inputs)
    assert logits.shape == (3, (13 + padding) // 2, 60)

    def loss_of(row, frames):
        label, each = targets["labels"][row, None], logits[row, None, :frames]
        return float(tf.nn.ctc_loss(label, each, [3], [frames], logits_time_major=False, blank_index=59)[0])

    found = halving_model.compute_loss(x=inputs, y=targets, y_pred=logits)
    assert float(found) == pytest.approx((loss_of(0, 3) + loss_of(2, 6)) / 2, rel=1e-5)
    assert float(halving_model.without_loss.result()) == 1


def test_predicted_are_its_frames(halving_model, corpus, pad):
    outputs = dict(predict.clip_outputs(halving_model, corpus, max_frames=40, batch_size=4))
    for position, found in outputs.items():
        frames = min(40, corpus.num_frames[position])
        assert found.shape == ((frames + 1) // 2, 60)
        if frames == corpus.num_frames[position]:
            alone = halving_model(pad([corpus.landmarks(position)], frames))[0]
            np.testing.assert_allclose(found, alone, atol=1e-4)
    predictions = predict.predict(halving_model, corpus, max_frames=40)
    assert len(set(predictions)) > 1
    for position, prediction in enumerate(predictions):
        classes, _ = halving_model.head.decode(tf.constant(outputs[position]))
        assert prediction == halving_model.task.decode(classes.numpy())


def test_clips_are_chosen_by_its_frames(halving_encoder, toy_dataset, tmp_path):
    """Of six frames there are three; augmentation leaves as many as become two for each character."""
    config = cfg.Config(
        encoder=halving_encoder(),
        data=cfg.Data(max_frames=6, validation_share=0.3, plausible_only=False),
        optimizer=cfg.Optimizer(batch_size=1),
    )
    trainer = Trainer(Dataset.open(toy_dataset), config, tmp_path)
    for position, each in enumerate(trainer.training.clips):
        needed = len(each.label) + sum(map(str.__eq__, each.label, each.label[1:]))
        assert (position in trainer.chosen) == (needed <= (min(6, each.num_frames) + 1) // 2)
    assert 0 < len(trainer.chosen) < len(trainer.training)
    assert trainer.model.fewest_frames(np.array([0, 1, 9])).tolist() == [1, 3, 7]  # 7: more than there may be


def test_it_trains_and_is_scored(halving_encoder, toy_dataset, command, tmp_path):
    words = ["--preset", "small", "--set", "encoder.name=halving", "--set", "data.max_frames=16"]
    words += ["--set", "data.validation_share=0.3", "--set", "optimizer.batch_size=4", "--set", "optimizer.epochs=2"]
    run, scores = tmp_path / "run", tmp_path / "scores"
    command(train, "--dataset", toy_dataset, "--output", run, *words)
    trained = Run.open(run)
    assert trained.config.encoder == halving_encoder()
    assert trained.manifest["too_few_frames"] == 0
    command(score, "--run", run, "--dataset", toy_dataset, "--output", scores)
    rows = score_table.read(scores / score_table.FILE_NAME)
    assert len(rows) == 36
    corpus = Corpus.of(Dataset.open(toy_dataset), "test")
    outputs = dict(predict.clip_outputs(trained.load_model(), corpus, max_frames=16))
    assert [len(outputs[i]) for i in range(len(corpus))] == [(min(16, n) + 1) // 2 for n in corpus.num_frames]
    predictions = predict.predict(trained.load_model(), corpus, max_frames=16)
    assert [rows[i].prediction for i in corpus.sequence_ids] == predictions
