"""The training loop: epochs of planned batches, the learning rate, validation, best weights and checkpoints."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from pipeline.common import directories, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset.dataset import STATISTICS, Dataset
from pipeline.dataset.splits import TRAIN
from pipeline.scores.score_table import Learnt, Row
from training import checkpoint, devices, runs
from training import config as cfg
from training.data.corpus import Corpus
from training.data.holdout import Holdout
from training.data.input_pipeline import Plan, passes, plan_epoch, training_batches
from training.network.model import Model
from training.predict import fits, recognize


class Trainer:
    """Trains one model in a run directory, from its last checkpoint if there is one, exactly as if never interrupted.

    Args:
      checkpoint_seconds: how long at most is trained without a checkpoint; 0: one after every step.

    Raises:
      UserError: no clips to train on, or fewer than a batch; none to validate on, where some should; a checkpoint of
        another run.
    """

    def __init__(self, dataset: Dataset, config: cfg.Config, directory: AnyPath, *, checkpoint_seconds: float = 300.0):
        self.task = dataset.task
        self.config = config
        self.directory = directory
        self.checkpoint_seconds = checkpoint_seconds
        holdout = Holdout.of(dataset, config.data)
        self.validation_words = holdout.words
        of_training_split = Corpus.of(dataset, TRAIN)
        self.training = _select(of_training_split, holdout.training)
        in_training_split = holdout.validation_split == TRAIN
        validation = of_training_split if in_training_split else Corpus.of(dataset, holdout.validation_split)
        self.validation = _select(validation, holdout.validation)
        keras.utils.set_random_seed(config.seed)
        self.model = Model(config, dataset.task, dataset.mean, dataset.std, precision=config.precision)
        self.model.build()
        self.chosen, self.left_out = self._choose()
        self.passes = passes(len(self.chosen), config.optimizer)
        self.steps_per_epoch = self.passes * len(self.chosen) // config.optimizer.batch_size
        self._check_sizes(dataset)
        self.model.compile(optimizer=_optimizer(config, self.steps_per_epoch), jit_compile=devices.compiled())
        self.model.optimizer.build(self.model.trainable_variables)
        # How far the run is: epochs that are finished, steps of the next one that are done.
        self.epochs_done = keras.Variable(0, dtype="int32", trainable=False, name="epochs_done")
        self.steps_done = keras.Variable(0, dtype="int32", trainable=False, name="steps_done")
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"epoch": 0, "score": None, "sha256": ""}
        self._run = runs.request(config, dataset).fingerprint
        for folder in (directory, directory / runs.LOGS):
            storage.remove_leftovers(folder)
        directories.write_json(directory / STATISTICS, {"mean": dataset.mean.tolist(), "std": dataset.std.tolist()})
        if (directory / runs.CHECKPOINT).is_file():
            self._restore()
        self._remove_other_weights()

    def _choose(self) -> tuple[np.ndarray, dict[str, int]]:
        """Positions of the clips to train on, and how many are left out for what reason."""
        plausible = np.array([each.plausible for each in self.training.clips], bool)
        plausible |= not self.config.data.plausible_only
        fitting = fits(self.model, self.training, max_frames=self.config.data.max_frames)
        left_out = {"implausible": int((~plausible).sum()), "too_few_frames": int((plausible & ~fitting).sum())}
        return np.flatnonzero(plausible & fitting), left_out

    @property
    def left_out_words(self) -> str:
        implausible, short = self.left_out.values()
        return (
            f"of {len(self.training):,} that are not for validation, left out are {implausible:,} without"
            f" {self.task.plausible_rule} and {short:,} with too few frames for their label"
        )

    def _check_sizes(self, dataset: Dataset) -> None:
        if not self.steps_per_epoch:
            others = "data.plausible_only=false, data.max_frames higher or data.validation_share lower"
            raise UserError(
                f"{dataset.path}: {len(self.chosen)} clips to train on, fewer than a batch"
                f" ({self.config.optimizer.batch_size}): {self.left_out_words};"
                f" set {'optimizer.batch_size lower' if len(self.chosen) else others}"
            )
        if not len(self.validation) and self.config.data.validation_share:
            raise UserError(
                f"{dataset.path}: no validation clips: set data.validation_share higher, or to 0 to keep the last"
                " weights, or convert with --validation-signers"
            )

    def _restore(self) -> None:
        """Takes the state and the history of the last checkpoint."""
        path = self.directory / runs.CHECKPOINT
        note = checkpoint.load(path, self._state())
        if note.get("run") != self._run:
            raise UserError(
                f"{path} is of a run with other settings or another dataset: put this run's own back, or delete"
                f" {self.directory} and train it again"
            )
        self.history, self.best = note["history"], note["best"]
        if self.history:
            self._check_best()

    def _check_best(self) -> None:
        """Raises `UserError` where the best weights are not those of the last checkpoint."""
        best = self.directory / runs.best_name(self.best["epoch"])
        directories.check_file(best, self.best["sha256"], described_by=runs.CHECKPOINT)

    def _remove_other_weights(self) -> None:
        """Removes weights that the last checkpoint does not name: those of before, or of a process that was killed."""
        for file in self.directory.glob(runs.WEIGHTS):
            if file.name != runs.best_name(self.best["epoch"]):
                file.unlink(missing_ok=True)

    @property
    def start_epoch(self) -> int:
        return int(self.epochs_done)

    @property
    def start_step(self) -> int:
        """Of the whole run."""
        return self.start_epoch * self.steps_per_epoch + int(self.steps_done)

    def run_epoch(self, epoch: int, step_done: Callable[[], None]) -> str:
        """Trains what is left of an epoch, scores the validation clips, if any, and saves. Returns a line to show."""
        started = time.monotonic()
        self.model.begin_epoch(epoch)
        first_step = int(self.steps_done)
        plan = plan_epoch(self.training, self.chosen, self.config, self.model.fewest_frames, epoch=epoch)
        batches = training_batches(
            self.training,
            self.task.points,
            self.config,
            plan,
            epoch=epoch,
            first_step=first_step,
            pad_to=devices.pad_to(self.config.data.max_frames),
        )
        steps = Steps(self, plan, step_done)
        # Not train_on_batch: TensorFlow would compile the first step of a process for its batch's own shape, with other
        # rounding errors than the later ones, and a continued run would not end exactly as an uninterrupted one.
        fitted = self.model.fit(batches, shuffle=False, verbose=0, callbacks=steps)
        seconds_of_steps = time.monotonic() - started
        steps.check_loss(self.steps_per_epoch, fitted.history["loss"][0])
        if self.config.optimizer.ema:
            # Arrays of their own: `fit` let the weights share those of the averages, and with JAX, to predict is to
            # give up the arrays of the weights.
            for v in self.model.trainable_variables:
                v.assign(np.array(v))
        self._check_weights()
        # With the averages of the weights, if there are any, for `fit` ends with them.
        scores = self._validate()
        score = scores.get("validation_score")
        self.history.append(
            {
                "epoch": epoch + 1,
                "loss": float(fitted.history["loss"][0]),
                **scores,
                "clips_without_loss": int(fitted.history["clips_without_loss"][0]),
                "learning_rate": float(self.model.optimizer.learning_rate),
                "seconds": round(time.monotonic() - started, 2),  # since it began, or was continued
                "steps_per_second": round((self.steps_per_epoch - first_step) / seconds_of_steps, 3),
            }
        )
        # Of equal scores, which are frequent where clips are few and have one class, the surer one. Without scores, the
        # last.
        quality = [score, scores.get("validation_probability", 0.0)]
        if self.best["score"] is None or quality > self.best["quality"]:
            # Beside the best so far, which the last checkpoint names.
            path = self.directory / runs.best_name(epoch + 1)
            checkpoint.save(path, self.model.weights)
            self.best = {"epoch": epoch + 1, "score": score, "quality": quality, "sha256": directories.sha256_of(path)}
        runs.write_history(self.directory, self.history)
        for v, value in zip(self.model.trainable_variables, steps.weights, strict=True):
            v.assign(value)
        self.model.reset_metrics()
        self.epochs_done.assign(epoch + 1)
        self.steps_done.assign(0)
        # Without it the end of the epoch is repeated, from the state before it.
        self.save()
        self._remove_other_weights()
        told = "" if score is None else f", validation score {score:.4f}"
        return f"epoch {epoch + 1}: loss {self.history[-1]['loss']:.3f}{told}"

    def _validate(self) -> dict[str, float]:
        """The score of the validation clips; nothing where there are none.

        And where a clip has one class, the share of the clips with it among the best five, and its mean probability.
        """
        if not len(self.validation):
            return {}
        found = recognize(self.model, self.validation, max_frames=self.config.data.max_frames)
        labels = [each.label for each in self.validation.clips]
        scores = {"validation_score": self.task.score(labels, [label for label, _ in found])}
        if not self.model.head.per_frame:
            known = Learnt.of([])
            pairs = zip(self.validation.clips, found, strict=True)
            rows = [Row.of(clip, label, self.task, known, probabilities=each) for clip, (label, each) in pairs]
            scores["validation_top5"] = sum(row.rank <= 5 for row in rows) / len(rows)
            scores["validation_probability"] = float(np.mean([row.probability for row in rows]))
        return scores

    def finish(self) -> dict[str, Any]:
        """What the manifest says about the run. Raises `UserError` where its weights are not what was saved."""
        self._check_best()
        runs.write_history(self.directory, self.history)
        return {
            "weights": runs.best_name(self.best["epoch"]),
            "best_score": self.best["score"],
            "best_epoch": self.best["epoch"],
            "training_clips": len(self.chosen),
            **self.left_out,
            "passes_an_epoch": self.passes,
            "validation_clips": len(self.validation),
            "validation": self.validation_words,
            "seconds": round(sum(row["seconds"] for row in self.history), 1),
            "trainable_parameters": self.model.trained_weights,
            "backend": keras.backend.backend(),
            "devices": devices.count(),
        }

    def _check_weights(self) -> None:
        """The last step may have spoiled them with a loss that was a number: then nothing is scored or saved."""
        if not all(np.isfinite(np.asarray(v)).all() for v in self.model.trainable_variables):
            raise UserError(
                f"{self.directory}: weights became NaN or infinite in epoch {self.start_epoch + 1}; the last checkpoint"
                " is whole: lower optimizer.learning_rate or optimizer.clip_norm, and train into another directory"
            )

    def save(self) -> None:
        """Writes the checkpoint: what is trained, and how far."""
        self._check_weights()
        note = {"run": self._run, "history": self.history, "best": self.best}
        checkpoint.save(self.directory / runs.CHECKPOINT, self._state(), note)

    def _state(self) -> list[keras.Variable]:
        """Everything a step changes: weights, seeds of the dropouts, optimizer and averages, sums of the loss."""
        model = self.model
        progress = [self.epochs_done, self.steps_done]
        return [*model.variables, *model.optimizer.variables, *model.metrics_variables, *progress]


class Steps(keras.callbacks.CallbackList):
    """What goes along with the steps of an epoch: its `fit` may begin in the middle, and checkpoints are saved.

    A list of callbacks, for Keras' own waits after each step until the loss is a number on the host; here the loss is
    looked at one step later, while the device is busy with the next.
    """

    def __init__(self, trainer: Trainer, plan: Plan, step_done: Callable[[], None]):
        super().__init__([], add_history=True, model=trainer.model)
        self._trainer = trainer
        self._plan = plan
        self._step_done = step_done
        self._first_step = int(trainer.steps_done)
        self._sums = [np.array(v) for v in trainer.model.metrics_variables]  # which `fit` sets to 0
        self._saved = time.monotonic()
        self._loss_before: Any = 0.0
        self.weights: list[np.ndarray] = []  # the trainable ones at the end of the epoch, not averaged

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        for v, value in zip(self._trainer.model.metrics_variables, self._sums, strict=True):
            v.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        trainer = self._trainer
        step = self._first_step + batch + 1
        self.check_loss(step - 1, self._loss_before)
        self._loss_before = logs["loss"]  # the mean so far
        # The last step's checkpoint is written after validation.
        if step < trainer.steps_per_epoch and time.monotonic() - self._saved >= trainer.checkpoint_seconds:
            self.check_loss(step, self._loss_before)
            _synchronize(trainer.model)
            trainer.steps_done.assign(step)
            trainer.save()
            self._saved = time.monotonic()
        self._step_done()

    def on_epoch_end(self, epoch, logs=None):
        # After this, `fit` puts the optimizer's averages, if there are any, in the place of the weights.
        _synchronize(self._trainer.model)
        self.weights = [np.array(v) for v in self._trainer.model.trainable_variables]
        super().on_epoch_end(epoch, logs)

    def check_loss(self, step: int, loss: Any) -> None:
        """Raises `UserError` where the loss up to `step`, from 1 on, is not a number."""
        if np.isfinite(loss):
            return
        positions = np.concatenate([self._plan.positions[step - 1], self._plan.partners[step - 1]])
        ids = ", ".join(str(self._trainer.training.clips[i].sequence_id) for i in positions[positions >= 0])
        raise UserError(
            f"the loss became {float(loss)} in epoch {self._trainer.start_epoch + 1}, step {step} of"
            f" {self._trainer.steps_per_epoch}; its clips: {ids}; lower optimizer.learning_rate, and train into another"
            " directory"
        )


def _synchronize(model: keras.Model) -> None:
    """With JAX, `fit` keeps the variables' values elsewhere while it runs."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def _select(corpus: Corpus, ids: frozenset[int]) -> Corpus:
    return corpus.select(np.isin(corpus.sequence_ids, list(ids)))


def _optimizer(config: cfg.Config, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """AdamW with linear warm-up and cosine decay to 0; no decay of biases and of scales and offsets of norms."""
    settings = config.optimizer
    warmup_steps = round(settings.warmup_epochs * steps_per_epoch)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, settings.epochs * steps_per_epoch - warmup_steps),
        warmup_target=settings.learning_rate,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(
        learning_rate=schedule,
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm,
        use_ema=settings.ema > 0,
        ema_momentum=settings.ema,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    # Gradients of float16 would vanish. Keras does it by itself only where the outermost layer has that precision.
    return keras.optimizers.LossScaleOptimizer(optimizer) if config.precision == "float16" else optimizer
