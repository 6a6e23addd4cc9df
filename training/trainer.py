"""The training loop: epochs of planned batches, the learning rate, validation, best weights and checkpoints."""

import importlib
import itertools
import platform
import shlex
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from pipeline import directories, scoring, storage
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.splits import TEST, TRAIN, VALIDATION
from pipeline.storage import Path
from training import checkpoint, ctc, devices, runs
from training import config as cfg
from training.callbacks import Steps, write_scalars
from training.corpus import Corpus, is_validation_phrase
from training.folds import held_out
from training.input_pipeline import plan_epoch, training_batches
from training.model import Recogniser
from training.recognition import recognise


class Trainer:
    """Trains one model in a run directory, from its last checkpoint if there is one, exactly as if never interrupted.

    Args:
      checkpoint_seconds: how long at most is trained without a checkpoint; 0: one after every step.

    Raises:
      UserError: no sequences to train or validate on, or fewer than a batch; signers that should be in one split are in
        several; a checkpoint of another run.
    """

    def __init__(self, dataset: Dataset, config: cfg.Config, directory: Path, *, checkpoint_seconds: float = 300.0):
        self.config = config
        self.directory = directory
        self.checkpoint_seconds = checkpoint_seconds
        _check_signers(dataset)
        self.training, self.validation, self.validation_name = _split(dataset, config)
        passes = self.training.passes_length_rule | (not config.data.length_rule)
        fits = _phrases_fit(self.training, config.data.max_frames)
        self.chosen = np.flatnonzero(passes & fits)
        self.left_out = {"refused_by_length_rule": int((~passes).sum()), "too_few_frames": int((passes & ~fits).sum())}
        self.steps_per_epoch = len(self.chosen) // config.optimizer.batch_size
        if not self.steps_per_epoch:
            refused, short = self.left_out.values()
            others = "data.length_rule=false, data.max_frames higher or data.validation_phrase_share lower"
            raise UserError(
                f"{dataset.path}: {len(self.chosen)} sequences to train on, fewer than a batch"
                f" ({config.optimizer.batch_size}): of {len(self.training)} that are not for validation, the length"
                f" rule refuses {refused}, and {short} have too few frames for their phrase; set"
                f" {'optimizer.batch_size lower' if len(self.chosen) else others}"
            )
        if not len(self.validation):
            raise UserError(
                f"{dataset.path}: no validation sequences: set data.validation_phrase_share higher, or convert with"
                " --validation-participants"
            )
        keras.utils.set_random_seed(config.seed)
        self.model = Recogniser(config.network, dataset.mean, dataset.std, precision=config.precision)
        self.model.build()
        self.model.compile(optimizer=_optimizer(config, self.steps_per_epoch), jit_compile=devices.compiled())
        self.model.optimizer.build(self.model.trainable_variables)
        # How far the run is: epochs that are finished, steps of the next one that are done.
        self.epochs_done = keras.Variable(0, dtype="int32", trainable=False, name="epochs_done")
        self.steps_done = keras.Variable(0, dtype="int32", trainable=False, name="steps_done")
        self._run = runs.request(config, dataset).fingerprint
        for folder in (directory, directory / runs.LOGS):
            storage.remove_leftovers(folder)
        directories.write_json(
            directory / runs.STATISTICS, {"mean": dataset.mean.tolist(), "std": dataset.std.tolist()}
        )
        self._restore()

    def _restore(self) -> None:
        """Takes the state and the history of the last checkpoint, if there is one."""
        directory = self.directory
        if (directory / runs.CHECKPOINT).is_file():
            checkpoint.load(directory / runs.CHECKPOINT, self._state(self.model), run=self._run)
        # The checkpoint decides: a run that was killed just before writing it has one line of history too many.
        self.history = runs.read_history(directory / runs.HISTORY)[: self.start_epoch]
        if len(self.history) < self.start_epoch:
            raise UserError(
                f"{directory}: {runs.HISTORY} has {len(self.history)} epochs, {runs.CHECKPOINT} {self.start_epoch}:"
                " delete the directory and train it again"
            )

    @property
    def start_epoch(self) -> int:
        return int(self.epochs_done)

    @property
    def start_step(self) -> int:
        """Of the whole run."""
        return self.start_epoch * self.steps_per_epoch + int(self.steps_done)

    def run_epoch(self, epoch: int, step_done: Callable[[], None]) -> str:
        """Trains what is left of an epoch, scores the validation sequences, and saves. Returns a line to show."""
        started = time.monotonic()
        network = self.config.network
        late = network.late_dropout if epoch >= network.late_dropout_epoch else 0.0
        self.model.network.late_dropout.set_rate(late)
        first_step = int(self.steps_done)
        fitted, weights = self._fit(epoch, first_step, step_done)
        seconds_of_steps = time.monotonic() - started
        self._check_weights(self.model)
        # With the averages of the weights, if there are any, for `fit` ends with them.
        texts = recognise(self.model, self.validation, max_frames=self.config.data.max_frames)
        score = scoring.pooled_score(zip(self.validation.texts, texts, strict=True))
        best_so_far = max((row["validation_score"] for row in self.history), default=-np.inf)
        row = {
            "epoch": epoch + 1,
            "loss": float(fitted["loss"]),
            "validation_score": score,
            "sequences_without_loss": int(fitted["sequences_without_loss"]),
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": round(time.monotonic() - started, 2),  # since it began, or was continued
        }
        self.history.append(row)
        if score > best_so_far:
            checkpoint.save(self.directory / runs.BEST, self.model.weights)
        runs.write_history(self.directory / runs.HISTORY, self.history)
        rate = (self.steps_per_epoch - first_step) / seconds_of_steps
        scalars = {name: value for name, value in row.items() if name not in ("epoch", "seconds")}
        write_scalars(self.directory / runs.LOGS, epoch + 1, scalars | {"steps_per_second": rate})
        for v, value in zip(self.model.trainable_variables, weights, strict=True):
            v.assign(value)
        self.model.reset_metrics()
        self.epochs_done.assign(epoch + 1)
        self.steps_done.assign(0)
        # Last: without it the end of the epoch is repeated, from the state before it.
        self._save(self.model)
        return f"epoch {epoch + 1}: loss {row['loss']:.3f}, validation score {score:.4f}"

    def _fit(self, epoch: int, first_step: int, step_done: Callable[[], None]) -> tuple[dict[str, float], list]:
        """Takes the steps from `first_step` on. Returns the epoch's metrics, and the weights that are not averaged."""
        plan = plan_epoch(self.training, self.chosen, self.config, epoch=epoch)
        saved = time.monotonic()

        def after_step(done: int, loss: float) -> None:
            nonlocal saved
            step = first_step + done
            if not np.isfinite(loss):  # the mean so far
                positions = np.concatenate([plan.positions[step - 1], plan.partners[step - 1]])
                ids = ", ".join(map(str, self.training.sequence_ids[positions[positions >= 0]]))
                raise UserError(
                    f"the loss became {loss} in epoch {epoch + 1}, step {step} of {self.steps_per_epoch};"
                    f" its sequences: {ids}; lower optimizer.learning_rate, and train into another directory"
                )
            # The last step's is written after validation.
            if step < self.steps_per_epoch and time.monotonic() - saved >= self.checkpoint_seconds:
                self.steps_done.assign(step)
                self._save(steps.model)
                saved = time.monotonic()
            step_done()

        steps = Steps([np.array(v) for v in self.model.metrics_variables], after_step)
        # Not train_on_batch: TensorFlow would compile the first step of a process for its batch's own shape, with other
        # rounding errors than the later ones, and a continued run would not end exactly as an uninterrupted one.
        fitted = self.model.fit(
            training_batches(
                self.training,
                self.config,
                plan,
                epoch=epoch,
                first_step=first_step,
                pad_to=devices.pad_to(self.config.data.max_frames),
            ),
            shuffle=False,
            verbose=0,
            callbacks=[steps],
        )
        if self.config.optimizer.ema:
            # Arrays of their own: `fit` let the weights share those of the averages, and with JAX, to recognise is to
            # give up the arrays of the weights.
            for v in self.model.trainable_variables:
                v.assign(np.array(v))
        return {name: values[0] for name, values in fitted.history.items()}, steps.weights

    def finish(self) -> dict[str, Any]:
        """What the manifest says about the run."""
        best = max(self.history, key=lambda row: row["validation_score"])
        backend = keras.backend.backend()
        return {
            "weights_sha256": directories.sha256_of(self.directory / runs.BEST),
            "statistics_sha256": directories.sha256_of(self.directory / runs.STATISTICS),
            "best_score": best["validation_score"],
            "best_epoch": int(best["epoch"]),
            "training_sequences": len(self.chosen),
            **self.left_out,
            "validation_sequences": len(self.validation),
            "validation": self.validation_name,
            "seconds": round(sum(row["seconds"] for row in self.history), 1),
            "trainable_parameters": int(sum(np.prod(v.shape) for v in self.model.trainable_variables)),
            "command": shlex.join(sys.orig_argv),
            "versions": {
                "python": platform.python_version(),
                **{name: importlib.import_module(name).__version__ for name in ("numpy", "keras", backend)},
            },
            "backend": backend,
            "devices": devices.count(),
        }

    def _check_weights(self, model: Recogniser) -> None:
        """The last step may have spoiled them with a loss that was a number: then nothing is scored or saved."""
        if not all(np.isfinite(np.asarray(v)).all() for v in model.trainable_variables):
            raise UserError(
                f"{self.directory}: weights became NaN or infinite in epoch {self.start_epoch + 1}; the last checkpoint"
                " is whole: lower optimizer.learning_rate or optimizer.clip_norm, and train into another directory"
            )

    def _save(self, model: Recogniser) -> None:
        self._check_weights(model)
        checkpoint.save(self.directory / runs.CHECKPOINT, self._state(model), run=self._run)

    def _state(self, model: Recogniser) -> list[keras.Variable]:
        """Everything a step changes: weights, seeds of the dropouts, optimizer and averages, sums of the loss."""
        return [
            *model.variables,
            *model.optimizer.variables,
            *model.metrics_variables,
            self.epochs_done,
            self.steps_done,
        ]


def _check_signers(dataset: Dataset) -> None:
    """Raises `UserError` where a signer is in two splits, and nobody asked for it."""
    for one, other in itertools.combinations((TRAIN, VALIDATION, TEST), 2):
        shared = sorted(set(dataset.participants(one)) & set(dataset.participants(other)))
        if shared and dataset.signers_apart:
            raise UserError(
                f"{dataset.path}: signer {shared[0]} is in {one} and in {other}, but the data were split by signer:"
                " delete it and make it again; to have signers in several splits, convert with --split-by file or"
                " sequence"
            )


def _split(dataset: Dataset, config: cfg.Config) -> tuple[Corpus, Corpus, str]:
    """Training and validation sequences, and in words where the latter come from."""
    training = Corpus.of(dataset, TRAIN)
    training = training.select(~np.isin(training.sequence_ids, list(held_out(dataset, config.data))))
    if dataset.count(VALIDATION):
        who, learnt, tested = (set(dataset.participants(split)) for split in (VALIDATION, TRAIN, TEST))
        name = "other sequences, of training signers too" if who & learnt else "other signers"
        name += ", test signers among them" if who & tested else ""
        return training, Corpus.of(dataset, VALIDATION), name
    share = config.data.validation_phrase_share
    validation = np.array([is_validation_phrase(text, share) for text in training.texts], bool)
    return training.select(~validation), training.select(validation), "other phrases of the training signers"


def _phrases_fit(corpus: Corpus, max_frames: int) -> np.ndarray:
    """(N,) bool: whether a sequence has frames enough for CTC to spell its phrase, within the frame budget."""
    needed_N = keras.ops.convert_to_numpy(ctc.minimal_frames(corpus.labels, corpus.label_lengths))
    return needed_N <= np.minimum(corpus.num_frames, max_frames)


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
