import dataclasses
import itertools
import types

import keras
import numpy as np
import pytest

from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common.errors import UserError
from pipeline.dataset.dataset import STATISTICS, Dataset
from pipeline.dataset.splits import SplitRule
from training import checkpoint, runs
from training import config as cfg
from training.data.input_pipeline import evaluation_batches, plan_epoch
from training.network.encoders import Published
from training.trainer import Trainer

CONFIG = cfg.Config(
    encoder=Published(width=8, blocks=1, heads=2),
    data=cfg.Data(max_frames=16, validation_share=0.3),
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


def recognized(corpus):
    return [(label, None) for label in labels_of(corpus)]


def labels_of(corpus):
    return [each.label for each in corpus.clips]


def test_who_trains_and_who_validates(dataset, tmp_path, monkeypatch):
    """As `Holdout` says; of the test split nothing is read."""
    read = []
    original = Dataset.read
    monkeypatch.setattr(Dataset, "read", lambda self, split: read.append(split) or original(self, split))
    trainer = Trainer(dataset, CONFIG, tmp_path)
    assert set(read) == {"train"}
    training, validation = set(labels_of(trainer.training)), set(labels_of(trainer.validation))
    assert training
    assert validation
    assert not training & validation
    assert len(trainer.training) + len(trainer.validation) == dataset.count("train")
    assert trainer.validation_words == "other labels of the training signers"


def test_a_validation_split_is_used_as_it_is(toy_data, tmp_path):
    rule = SplitRule(validation_signers=(2,), test_signers=(3,))
    conversion.convert(toy_data, tmp_path / "dataset", rule, num_shards=1, runner=Runner())
    trainer = Trainer(Dataset.open(tmp_path / "dataset"), CONFIG, tmp_path)
    assert set(trainer.training.signers) == {1}
    assert set(trainer.validation.signers) == {2}
    assert (len(trainer.training), len(trainer.validation)) == (12, 12)


def test_a_fold_that_is_left_out_is_not_there(dataset, tmp_path):
    trainer = Trainer(dataset, changed(data={"folds": 2, "fold": 1}), tmp_path)
    (signer,) = {*trainer.training.signers, *trainer.validation.signers}
    assert len(trainer.training) + len(trainer.validation) == 12
    assert signer in (1, 2)


@pytest.mark.parametrize(
    ("config", "left_out"),
    [
        (CONFIG, {"implausible": 1, "too_few_frames": 0}),
        (changed(data={"plausible_only": False}), {"implausible": 0, "too_few_frames": 0}),
        # Of the labels, those of three characters with a double letter need four frames.
        (changed(data={"plausible_only": False, "max_frames": 3}), {"implausible": 0}),
    ],
)
def test_what_is_left_out_of_training_is_counted(dataset, tmp_path, config, left_out):
    trainer = Trainer(dataset, config, tmp_path)
    assert trainer.left_out | left_out == trainer.left_out
    assert len(trainer.chosen) == len(trainer.training) - sum(trainer.left_out.values())
    for position in trainer.chosen:
        label = trainer.training.clips[position].label
        repeats = sum(a == b for a, b in itertools.pairwise(label))
        assert len(label) + repeats <= min(config.data.max_frames, trainer.training.num_frames[position])
    if config.data.max_frames == 3:
        assert trainer.left_out["too_few_frames"] > 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed(optimizer={"batch_size": 100}), r"\d+ clips to train on, fewer than a batch \(100\)"),
        (changed(data={"validation_share": 1e-9}), "no validation clips: set data.validation_share"),
        (changed(data={"validation_share": 1.0}), "0 clips to train on.* data.validation_share lower"),
        (
            changed(data={"max_frames": 1}),
            "1 without more than two frames with a hand .* 15 with too few frames.*; set data.plausible_only",
        ),
    ],
)
def test_too_few_clips(dataset, tmp_path, config, message):
    with pytest.raises(UserError, match=message) as raised:
        Trainer(dataset, config, tmp_path)
    assert str(dataset.path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_loss_that_is_no_number_stops_with_step_and_ids(trainer, tmp_path):
    trainer.model.run_eagerly = True
    trainer.epochs_done.assign(4)
    bias = trainer.model.head.classifier.bias
    with pytest.raises(UserError) as raised:
        trainer.run_epoch(4, lambda: bias.assign(np.full(bias.shape, np.nan)))
    plan = plan_epoch(trainer.training, trainer.chosen, CONFIG, trainer.model.fewest_frames, epoch=4)
    ids = ", ".join(str(trainer.training.sequence_ids[position]) for position in plan.positions[1])
    expected = f"the loss became nan in epoch 5, step 2 of {trainer.steps_per_epoch}; its clips: {ids}; lower"
    assert str(raised.value).startswith(expected)
    assert not (tmp_path / runs.CHECKPOINT).exists()
    # The same where the epoch is continued, from its second step on.
    trainer.steps_done.assign(1)
    with pytest.raises(UserError) as continued:
        trainer.run_epoch(4, lambda: None)
    assert str(continued.value) == str(raised.value)


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


def test_gradients_are_clipped_by_their_common_norm(trainer):
    optimizer, weights = trainer.model.optimizer, trainer.model.trainable_variables
    optimizer.apply([np.full(v.shape, 3.0, np.float32) for v in weights])
    moments = [v.numpy() for v in optimizer.variables if v.path.endswith("_momentum")]
    assert len(moments) == len(weights)
    # Adam's first moment is a tenth of the first gradient.
    assert np.sqrt(sum(np.square(each).sum() for each in moments)) == pytest.approx(0.1 * 5.0, rel=1e-5)
    assert all((each > 0).all() for each in moments)


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


def fits_at_once(trainer, monkeypatch, during=lambda steps: None):
    """The trainer's epochs take no step; `during` is called with the callback."""

    def fit(batches, callbacks, **_):
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        during(callbacks)
        callbacks.on_epoch_end(0)
        return types.SimpleNamespace(history={"loss": [1.0], "clips_without_loss": [0.0]})

    monkeypatch.setattr(trainer.model, "fit", fit)


@pytest.fixture
def light(monkeypatch):
    """A network without convolution units, and no augmentation but resampling: made in a third of the time."""
    monkeypatch.setattr("training.network.encoders.published.KERNELS", ())
    monkeypatch.setattr("training.data.augment.augment", lambda landmarks, points, config, random: landmarks)


def arrays(path):
    """But for the note."""
    with np.load(path) as saved:
        return {name: saved[name] for name in saved.files if name != "note"}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    assert not [name for name in expected if not np.array_equal(found[name], expected[name])]


def without_times(history):
    return [{name: row[name] for name in row.keys() - {"seconds", "steps_per_second"}} for row in history]


def weights_of(trainer):
    """The file of the best weights, which is the only one."""
    (file,) = trainer.directory.glob("best-*.npz")
    assert file.name == trainer.finish()["weights"]
    return file


@pytest.mark.parametrize(("precision", "steps"), [("float32", slice(None)), ("float16", slice(2, 3))])
def test_restored_at_every_step_it_ends_the_same(dataset, tmp_path, monkeypatch, precision, steps):
    """With averaged weights, late dropout from the second epoch on, and everything that is random.

    In float16, whose optimizer scales the loss, at one.
    """
    monkeypatch.setattr("training.network.encoders.published.KERNELS", (3,))  # a convolution unit of three: made sooner
    late = {"dropout": 0.5, "dropout_epoch": 1}
    config = changed(head=late, optimizer={"epochs": 2, "ema": 0.7, "warmup_epochs": 1.0, "batch_size": 3})
    config = dataclasses.replace(config, precision=precision)
    trainer = Trainer(dataset, config, tmp_path, checkpoint_seconds=0)
    path, checkpoints, bests, save = tmp_path / runs.CHECKPOINT, [], [], checkpoint.save

    def save_and_keep(file, *arguments, **options):
        save(file, *arguments, **options)
        if file == path:
            checkpoints.append(path.read_bytes())
            bests.append({each.name: each.read_bytes() for each in tmp_path.glob("best-*.npz")})

    def finish():
        for epoch in range(trainer.start_epoch, 2):
            trainer.run_epoch(epoch, lambda: None)
        return arrays(path), arrays(weights_of(trainer)), without_times(trainer.history)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", save_and_keep)
        state, best, history = finish()
    assert len(checkpoints) == 2 * trainer.steps_per_epoch >= 8
    assert any("dynamic_scale" in name for name in state) == (precision == "float16")
    for step, kept in list(enumerate(checkpoints, start=1))[steps]:
        path.write_bytes(kept)
        for name, content in bests[step - 1].items():
            (tmp_path / name).write_bytes(content)
        if precision == "float16":
            trainer.model.optimizer.dynamic_scale.assign(1.0)
        trainer._restore()
        assert trainer.start_step == step
        found_state, found_best, found_history = finish()
        assert_equal(found_state, state)
        assert_equal(found_best, best)
        assert found_history == history


def test_averages_are_validated_and_kept_but_not_trained_on(dataset, tmp_path, monkeypatch, light):
    trainer = Trainer(dataset, changed(optimizer={"ema": 0.9}), tmp_path)
    validated = {}

    def predict(model, corpus, max_frames):
        validated.update({v.path: v.numpy() for v in model.trainable_variables})
        return recognized(corpus)

    monkeypatch.setattr("training.trainer.recognize", predict)
    weights, averages = [], {}

    def after_step():  # what the averages should be, in float64; the first step's are its weights
        for v in trainer.model.trainable_variables:
            averages[v.path] = 0.9 * averages[v.path] + 0.1 * v.numpy() if weights else v.numpy().astype(float)
        weights.append({v.path: v.numpy() for v in trainer.model.trainable_variables})

    trainer.run_epoch(0, after_step)
    for v in trainer.model.trainable_variables:
        np.testing.assert_array_equal(v, weights[-1][v.path])
        np.testing.assert_allclose(validated[v.path], averages[v.path], atol=1e-6)
    assert any(np.abs(validated[path] - weights[-1][path]).max() > 1e-4 for path in validated)
    best = arrays(weights_of(trainer))
    for v in trainer.model.weights:
        np.testing.assert_array_equal(best[v.path.replace("/", ".")], validated.get(v.path, v.numpy()))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision(dataset, tmp_path, precision, light):
    """Only the network computes in it: variables, features, statistics of norms, logits and loss are float32."""
    trainer = Trainer(dataset, dataclasses.replace(CONFIG, precision=precision), tmp_path)
    exact = Trainer(dataset, CONFIG, tmp_path)
    dtypes = {v.dtype for v in trainer.model.variables if "seed" not in v.path}
    assert dtypes == {"float32"}
    for v, value in zip(trainer.model.weights, exact.model.weights, strict=True):
        v.assign(value)
    inputs, _ = next(iter(evaluation_batches(trainer.validation, max_frames=16, batch_size=4)[0]))
    found, expected = trainer.model(inputs, training=True), exact.model(inputs, training=False)
    assert found.dtype == "float32"
    found = trainer.model(inputs, training=False)
    difference = np.abs(found - exact.model(inputs, training=False)).max()
    assert 0 < difference < 0.1 < np.abs(expected).max()
    mean = trainer.model.encoder.stem_norm.moving_mean.numpy()
    assert (mean != mean.astype(trainer.model.encoder.compute_dtype)).any()
    assert keras.config.dtype_policy().name == "float32"
    trainer.run_epoch(0, lambda: None)
    assert np.isfinite(trainer.history[0]["loss"])
    scaled = isinstance(trainer.model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "float16")
    # Also where a step was left out because its scaled gradients overflowed.
    assert trainer.start_step == trainer.steps_per_epoch


def test_clips_without_loss_are_counted(dataset, tmp_path, light):
    """Should any come to it, for what cannot be trained on is not chosen."""
    trainer = Trainer(dataset, changed(data={"plausible_only": False, "max_frames": 3}), tmp_path)
    fits = set(trainer.chosen)
    trainer.chosen = np.arange(len(trainer.training))
    trainer.steps_per_epoch = len(trainer.chosen) // 4
    trainer.run_epoch(0, lambda: None)
    plan = plan_epoch(trainer.training, trainer.chosen, trainer.config, trainer.model.fewest_frames, epoch=0)
    expected = sum(position not in fits for position in plan.positions.ravel())
    assert trainer.history[0]["clips_without_loss"] == expected > 0


def test_a_checkpoint_when_it_is_time(dataset, tmp_path, monkeypatch):
    clock, saved = [0.0], []
    trainer = Trainer(dataset, CONFIG, tmp_path, checkpoint_seconds=60)
    monkeypatch.setattr("training.trainer.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("training.trainer.recognize", lambda model, corpus, max_frames: recognized(corpus))
    keep = checkpoint.save

    def save(path, variables, *note):
        keep(path, variables, *note)
        if path.name == runs.CHECKPOINT:
            saved.append([int(trainer.epochs_done), int(trainer.steps_done)])

    monkeypatch.setattr(checkpoint, "save", save)

    def eight_steps(steps):
        for batch in range(8):
            clock[0] += 25
            steps.on_train_batch_end(batch, {"loss": 1.0})

    trainer.steps_per_epoch = 8
    fits_at_once(trainer, monkeypatch, eight_steps)
    trainer.run_epoch(0, lambda: None)
    assert saved == [[0, 3], [0, 6], [1, 0]]


def test_a_checkpoint_of_another_run(dataset, tmp_path):
    """With arrays of the same shapes."""
    Trainer(dataset, CONFIG, tmp_path).save()
    Trainer(dataset, CONFIG, tmp_path)
    with pytest.raises(UserError, match=r"checkpoint\.npz is of a run with other settings or another dataset: put"):
        Trainer(dataset, changed(optimizer={"learning_rate": 0.02}), tmp_path)


def test_late_dropout_begins_in_its_epoch(dataset, tmp_path, monkeypatch):
    trainer = Trainer(dataset, changed(head={"dropout": 0.7, "dropout_epoch": 3}), tmp_path)
    fits_at_once(trainer, monkeypatch)
    monkeypatch.setattr(Trainer, "_validate", lambda self: {"validation_score": 0.5})
    rates = []
    for epoch in (0, 2, 3, 4):
        trainer.run_epoch(epoch, lambda: None)
        rates.append(float(trainer.model.head.dropout.rate))
    assert rates == pytest.approx([0, 0, 0.7, 0.7])


@pytest.fixture
def scoring(dataset, tmp_path, monkeypatch):
    """`scoring(*epochs)`: a trainer goes on for so many epochs, each given as its score and what its weights become."""

    def run(*epochs):
        trainer = Trainer(dataset, CONFIG, tmp_path)
        fits_at_once(trainer, monkeypatch)
        bias = trainer.model.head.classifier.bias
        for score, value in epochs:
            bias.assign(np.full(bias.shape, value))
            monkeypatch.setattr(Trainer, "_validate", lambda self, score=score: {"validation_score": score})
            trainer.run_epoch(trainer.start_epoch, lambda: None)
        return trainer

    return run


class Killed(BaseException):
    """Nothing catches it, as when the process is killed."""


def killed(*_):
    raise Killed


def assert_best(trainer, epoch, score, value):
    """The result, the history, the one file of weights and its hash tell of the same weights."""
    result = trainer.finish()
    assert (result["best_epoch"], result["best_score"]) == (epoch, score)
    assert trainer.history[epoch - 1]["validation_score"] == score
    assert max(row["validation_score"] for row in trainer.history) == score
    file = weights_of(trainer)
    assert file.name == result["weights"]
    assert set(arrays(file)["model.head.classifier.bias"]) == {value}


def test_the_best_weights_are_those_of_the_best_score(scoring):
    """Of equal scores the first; also where the best come before and after an interruption."""
    assert_best(scoring((0.1, 1), (0.5, 2), (0.3, 3), (0.5, 4)), 2, 0.5, 2)
    assert_best(scoring((0.4, 5)), 2, 0.5, 2)
    assert_best(scoring((0.6, 6)), 6, 0.6, 6)


def test_where_none_validate_the_last_weights_are_kept(dataset, tmp_path, monkeypatch):
    """Also by a trainer that goes on; no score is told anywhere."""
    config = changed(data={"validation_share": 0.0})
    for value in (1, 2, 3):
        trainer = Trainer(dataset, config, tmp_path)
        fits_at_once(trainer, monkeypatch)
        bias = trainer.model.head.classifier.bias
        bias.assign(np.full(bias.shape, value))
        line = trainer.run_epoch(trainer.start_epoch, lambda: None)
        assert line.startswith(f"epoch {value}: loss ")
        assert "validation" not in line
        result = trainer.finish()
        assert (result["best_epoch"], result["best_score"]) == (value, None)
        assert (result["validation_clips"], result["validation"]) == (0, "none")
        assert set(arrays(weights_of(trainer))["model.head.classifier.bias"]) == {value}
    assert not [name for row in trainer.history for name in row if name.startswith("validation")]
    assert len(trainer.training) == dataset.count("train")


@pytest.mark.parametrize(("again", "best"), [((0.2, 9), (1, 0.3, 1)), ((0.4, 9), (2, 0.4, 9))], ids=["worse", "better"])
def test_killed_between_weights_and_checkpoint(scoring, tmp_path, monkeypatch, again, best):
    """On a GPU the epoch that is repeated may score otherwise: then the weights of the first time are not kept."""
    scoring((0.3, 1))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Trainer, "save", killed)
        scoring((0.5, 2))
    assert len(list(tmp_path.glob("best-*.npz"))) == 2
    assert_best(scoring(again), *best)


def test_killed_in_the_first_epoch(scoring, tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Trainer, "save", killed)
        scoring((0.5, 2))
    assert len(list(tmp_path.glob("best-*.npz"))) == 1
    scoring()
    assert list(tmp_path.glob("best-*.npz")) == []
    assert_best(scoring((0.1, 3)), 1, 0.1, 3)


def test_killed_before_the_weights_of_before_are_removed(scoring, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_remove_other_weights", lambda self: None)
        scoring((0.3, 1), (0.5, 2))
    assert len(list(tmp_path.glob("best-*.npz"))) == 2
    assert_best(scoring(), 2, 0.5, 2)


def test_weights_that_are_not_those_of_the_checkpoint_are_refused(scoring, tmp_path):
    file = weights_of(scoring((0.3, 1)))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"!")
    with pytest.raises(UserError, match=rf"{file} is not the file that"):
        scoring()
    file.unlink()
    with pytest.raises(UserError, match=f"cannot read {file}"):
        scoring()
    file.write_bytes(whole)
    scoring()


def test_what_is_left_of_a_process_that_was_killed_is_removed(dataset, tmp_path):
    (tmp_path / runs.LOGS).mkdir()
    leftovers = [tmp_path / ".checkpoint.npz.0a1b2c3d.tmp", tmp_path / runs.LOGS / ".events.0a1b2c3d.tmp"]
    for file in leftovers:
        file.touch()
    Trainer(dataset, CONFIG, tmp_path)
    assert [file.exists() for file in leftovers] == [False, False]
    assert sorted(each.name for each in tmp_path.iterdir()) == [runs.LOGS, STATISTICS]
