"""The training loop: epochs of planned batches, the learning rate, validation, best weights and checkpoints."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from pipeline import directories, scoring
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.sequences import Sequence
from pipeline.splits import TRAIN, VALIDATION
from pipeline.storage import Path
from training import checkpoint, ctc, runs
from training import config as cfg
from training.input_pipeline import Corpus, is_validation_phrase, plan_epoch, training_batches
from training.model import Recogniser
from training.recognition import recognise


class Trainer:
    """Trains one model in a run directory, from its last checkpoint if there is one.

    Raises:
      UserError: no sequences to train or validate on, or fewer than a batch.
    """

    def __init__(self, dataset: Dataset, config: cfg.Config, directory: Path):
        self.config = config
        self.directory = directory
        self.training, self.validation, self.validation_name = _split(dataset, config)
        passes = self.training.passes_length_rule | (not config.data.length_rule)
        fits = _phrases_fit(self.training, config.data.max_frames)
        self.chosen = np.flatnonzero(passes & fits)
        self.left_out = {"refused_by_length_rule": int((~passes).sum()), "too_few_frames": int((passes & ~fits).sum())}
        self.steps_per_epoch = len(self.chosen) // config.optimizer.batch_size
        if not self.steps_per_epoch:
            raise UserError(
                f"{dataset.path}: {len(self.chosen)} sequences to train on, fewer than a batch"
                f" ({config.optimizer.batch_size}): set optimizer.batch_size lower"
            )
        if not len(self.validation):
            raise UserError(
                f"{dataset.path}: no validation sequences: set data.validation_phrase_share higher, or convert with"
                " --validation-participants"
            )
        keras.utils.set_random_seed(config.seed)
        self.model = Recogniser(config.network, dataset.mean, dataset.std)
        self.model.build()
        self.model.compile(optimizer=_optimizer(config.optimizer, self.steps_per_epoch), jit_compile=_jit_compile())
        self.model.optimizer.build(self.model.trainable_variables)
        directories.write_json(
            directory / runs.STATISTICS, {"mean": dataset.mean.tolist(), "std": dataset.std.tolist()}
        )
        if (directory / runs.CHECKPOINT).is_file():
            checkpoint.load(directory / runs.CHECKPOINT, self._state())
        # The checkpoint decides: a run that was killed just before writing it has one line of history too many.
        finished_epochs = int(self.model.optimizer.iterations) // self.steps_per_epoch
        self.history = runs.read_history(directory / runs.HISTORY)[:finished_epochs]
        if len(self.history) < finished_epochs:
            raise UserError(
                f"{directory}: {runs.HISTORY} has {len(self.history)} epochs, {runs.CHECKPOINT} {finished_epochs}:"
                " delete the directory and train it again"
            )

    @property
    def start_epoch(self) -> int:
        return len(self.history)

    def run_epoch(self, epoch: int, step_done: Callable[[], None]) -> str:
        """Trains one epoch, scores the validation sequences, and saves. Returns a line to show."""
        started = time.monotonic()
        network = self.config.network
        late = network.late_dropout if epoch >= network.late_dropout_epoch else 0.0
        self.model.network.late_dropout.set_rate(late)
        plan = plan_epoch(self.training, self.chosen, self.config, epoch=epoch)

        def after_step(batch: int, logs: dict[str, float]) -> None:
            if not np.isfinite(logs["loss"]):  # the mean so far
                ids = ", ".join(map(str, self.training.sequence_ids[plan.positions[batch]]))
                raise UserError(
                    f"the loss became {logs['loss']} in epoch {epoch + 1}, step {batch + 1} of {self.steps_per_epoch};"
                    f" its sequences: {ids}; lower optimizer.learning_rate"
                )
            step_done()

        # Not train_on_batch: TensorFlow would compile the first step of a process for its batch's own shape, with other
        # rounding errors than the later ones, and a continued run would not end exactly as an uninterrupted one.
        fitted = self.model.fit(
            training_batches(self.training, self.config, plan, epoch=epoch),
            shuffle=False,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=after_step)],
        )
        loss = fitted.history["loss"][0]
        texts = recognise(self.model, self.validation, max_frames=self.config.data.max_frames)
        score = scoring.pooled_score(zip(self.validation.texts, texts, strict=True))
        best_so_far = max((row["validation_score"] for row in self.history), default=-np.inf)
        self.history.append(
            {
                "epoch": epoch + 1,
                "loss": float(loss),
                "validation_score": score,
                "seconds": round(time.monotonic() - started, 2),
            }
        )
        if score > best_so_far:
            checkpoint.save(self.directory / runs.BEST, self.model.weights)
        runs.write_history(self.directory / runs.HISTORY, self.history)
        # Last: without it the epoch is repeated, from the state before it.
        checkpoint.save(self.directory / runs.CHECKPOINT, self._state())
        return f"epoch {epoch + 1}: loss {loss:.3f}, validation score {score:.4f}"

    def finish(self) -> dict[str, Any]:
        """What the manifest says about the run."""
        best = max(self.history, key=lambda row: row["validation_score"])
        return {
            "weights_sha256": directories.sha256_of(self.directory / runs.BEST),
            "best_score": best["validation_score"],
            "best_epoch": int(best["epoch"]),
            "training_sequences": len(self.chosen),
            **self.left_out,
            "validation_sequences": len(self.validation),
            "validation": self.validation_name,
            "seconds": round(sum(row["seconds"] for row in self.history), 1),
            "trainable_parameters": int(sum(np.prod(v.shape) for v in self.model.trainable_variables)),
        }

    def _state(self) -> list[keras.Variable]:
        """Everything an epoch changes: weights, seeds of the dropouts, optimizer."""
        return [*self.model.variables, *self.model.optimizer.variables]


def _split(dataset: Dataset, config: cfg.Config) -> tuple[Corpus, Corpus, str]:
    """Training and validation sequences, and in words where the latter come from."""
    sequences = list(dataset.read(TRAIN))
    if dataset.count(VALIDATION):
        shared = set(dataset.participants(TRAIN)) & set(dataset.participants(VALIDATION))
        name = "other sequences, of training signers too" if shared else "other signers"
        return Corpus.read(sequences), Corpus.read(dataset.read(VALIDATION)), name
    share = config.data.validation_phrase_share
    parts: tuple[list[Sequence], list[Sequence]] = ([], [])
    for sequence in sequences:
        parts[is_validation_phrase(sequence.label, share)].append(sequence)
    return Corpus.read(parts[False]), Corpus.read(parts[True]), "other phrases of the training signers"


def _phrases_fit(corpus: Corpus, max_frames: int) -> np.ndarray:
    """(N,) bool: whether a sequence has frames enough for CTC to spell its phrase, within the frame budget."""
    needed_N = keras.ops.convert_to_numpy(ctc.minimal_frames(corpus.labels, corpus.label_lengths))
    return needed_N <= np.minimum(corpus.num_frames, max_frames)


def _optimizer(config: cfg.Optimizer, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """AdamW with linear warm-up and cosine decay to 0; no decay of biases and of scales and offsets of norms."""
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, config.epochs * steps_per_epoch - warmup_steps),
        warmup_target=config.learning_rate,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(
        learning_rate=schedule, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _jit_compile() -> bool:
    # TensorFlow's fast CTC kernel is not for XLA; the other backends are nothing without it.
    return keras.backend.backend() != "tensorflow"
