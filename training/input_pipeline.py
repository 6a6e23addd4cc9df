"""Sequences in memory, the plan of an epoch's batches, and the `tf.data` pipeline that augments and pads them.

Batches are planned on the host from (seed, epoch) alone, as rows of sequence positions, so that any step can be made
again.
Shapes: B sequences, T frames, P = 100 points, L label characters.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from pipeline import landmarks as lm
from pipeline import vocabulary
from pipeline.sequences import Sequence, passes_length_rule
from training import augment
from training import config as cfg


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Sequences held in memory, their frames one after the other.

    Attributes:
      frames: (all frames, P, 2) float32, NaN for missing.
      starts: (N + 1,) int64; sequence i has frames starts[i] : starts[i + 1].
      labels: (N, L) int32, padded with the blank.
      label_lengths: (N,) int32.
      texts, sequence_ids, participant_ids: one for each sequence.
      passes_length_rule: (N,) bool.
    """

    frames: np.ndarray
    starts: np.ndarray
    labels: np.ndarray
    label_lengths: np.ndarray
    texts: list[str]
    sequence_ids: np.ndarray
    participant_ids: np.ndarray
    passes_length_rule: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def num_frames(self) -> np.ndarray:
        return np.diff(self.starts)

    @functools.cached_property
    def tensors(self) -> tuple[tf.Tensor, ...]:
        """Frames, starts, labels and label lengths on the host, made once: `tf.data` slices them without a copy."""
        with tf.init_scope(), tf.device("cpu"):
            return tuple(tf.constant(x) for x in (self.frames, self.starts, self.labels, self.label_lengths))

    def landmarks(self, position: tf.Tensor) -> tf.Tensor:
        """(T, P, 2) landmarks of a sequence, in a `tf.data` graph."""
        frames, starts, _, _ = self.tensors
        return frames[starts[position] : starts[position + 1]]

    @classmethod
    def read(cls, sequences: Iterable[Sequence]) -> "Corpus":
        kept = list(sequences)
        label_lengths = np.array([len(s.label) for s in kept], np.int32)
        labels = np.full((len(kept), max(1, label_lengths.max(initial=0))), vocabulary.BLANK, np.int32)
        for row, s in zip(labels, kept, strict=True):
            row[: len(s.label)] = vocabulary.encode(s.label)
        frames = np.concatenate([s.landmarks for s in kept]) if kept else np.zeros((0, lm.NUM_POINTS, 2), np.float32)
        return cls(
            frames=frames,
            starts=np.cumsum([0, *(s.num_frames for s in kept)]),
            labels=labels,
            label_lengths=label_lengths,
            texts=[s.label for s in kept],
            sequence_ids=np.array([s.sequence_id for s in kept], np.int64),
            participant_ids=np.array([s.participant_id for s in kept], np.int64),
            passes_length_rule=np.array([passes_length_rule(s.landmarks, s.label) for s in kept], bool),
        )


def is_validation_phrase(phrase: str, share: float) -> bool:
    """Whether a phrase belongs to the share set aside for validation: a stable hash of the phrase decides."""
    digest = hashlib.sha256(b"validation phrase\0" + phrase.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclasses.dataclass(frozen=True)
class Plan:
    """Batches in order, one a row.

    Attributes:
      positions: (steps, B) int64, of sequences in the corpus.
      num_frames: (steps, B) int64, frames that each is resampled to.
    """

    positions: np.ndarray
    num_frames: np.ndarray


def plan_epoch(corpus: Corpus, chosen: np.ndarray, config: cfg.Config, *, epoch: int) -> Plan:
    """The batches of an epoch: shuffled, those of similar length together, the remainder dropped.

    `chosen` are the positions to train on. Which of them the remainder holds differs from epoch to epoch. The number of
    frames is drawn here for the time-resampling augmentation; it keeps to the frame budget, and to two frames a
    character where there were as many.
    """
    random = np.random.default_rng([config.seed, epoch])
    batch_size = config.optimizer.batch_size
    positions = random.permutation(chosen)[: len(chosen) // batch_size * batch_size]
    frames = corpus.num_frames[positions]
    augment_config = config.augment
    factor = random.uniform(augment_config.resample_low, augment_config.resample_high, len(frames))
    factor[random.uniform(size=len(frames)) >= augment_config.resample_probability] = 1.0
    fewest = np.maximum(1, np.minimum(frames, 2 * corpus.label_lengths[positions]))
    frames = np.minimum(np.maximum(np.rint(frames * factor).astype(np.int64), fewest), config.data.max_frames)
    # Sorted within pools of some batches: little padding, yet other neighbours in every epoch.
    pool = np.arange(len(frames)) // (16 * batch_size)
    order = np.lexsort((frames, pool))
    steps = random.permutation(order.reshape(-1, batch_size))
    return Plan(positions[steps], frames[steps])


def training_batches(corpus: Corpus, config: cfg.Config, plan: Plan, *, epoch: int) -> tf.data.Dataset:
    """Augmented batches in the order of the plan, padded to the longest sequence of each batch."""
    slots = np.arange(plan.positions.size)
    seeds = np.stack([np.full_like(slots, config.seed * 100_003 + epoch), slots], axis=1).astype(np.int32)

    def element(position, num_frames, seed):
        landmarks = augment.resample(corpus.landmarks(position), num_frames)
        return _with_targets(corpus, position, augment.augment(landmarks, config.augment, seed))

    elements = tf.data.Dataset.from_tensor_slices((plan.positions.ravel(), plan.num_frames.ravel(), seeds))
    return _batches(elements.map(element, tf.data.AUTOTUNE, deterministic=True), plan.positions.shape[1])


def evaluation_batches(corpus: Corpus, *, max_frames: int, batch_size: int) -> tuple[tf.data.Dataset, np.ndarray]:
    """Batches of every sequence, none dropped, the longest first; and the (N,) positions in that order."""
    order = np.argsort(-corpus.num_frames, kind="stable")

    def element(position, num_frames):
        return _with_targets(corpus, position, augment.resample(corpus.landmarks(position), num_frames))

    num_frames = np.minimum(corpus.num_frames[order], max_frames)
    elements = tf.data.Dataset.from_tensor_slices((order, num_frames))
    return _batches(elements.map(element, tf.data.AUTOTUNE, deterministic=True), batch_size), order


def _with_targets(corpus: Corpus, position: tf.Tensor, landmarks_TxPx2: tf.Tensor):
    _, _, labels, label_lengths = corpus.tensors
    landmarks_TxPx2 = tf.ensure_shape(landmarks_TxPx2, (None, *corpus.frames.shape[1:]))
    inputs = {"landmarks": landmarks_TxPx2, "num_frames": tf.shape(landmarks_TxPx2)[0]}
    return inputs, {"labels": labels[position], "label_lengths": label_lengths[position]}


def _batches(elements: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    return elements.padded_batch(batch_size).prefetch(2)
