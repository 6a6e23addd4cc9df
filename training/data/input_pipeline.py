"""The plan of an epoch's batches, and the `tf.data` pipeline that augments and pads them.

Batches are planned on the host from (seed, epoch) alone, as rows of clip positions, so that any step can be made
again.
Shapes: B clips, T frames, P points, D dimensions of a point, L entries of a label.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.tasks.task import Points
from training import config as cfg
from training.data import augment
from training.data.corpus import Corpus

_NO_PARTNER = -1
# Threads that make batches. Some of the work needs Python's lock: with more, all wait longer (training/README.md).
_THREADS = 2


@dataclasses.dataclass(frozen=True)
class Plan:
    """Batches in order, one a row.

    Attributes:
      positions: (steps, B) int64, of clips in the corpus.
      partners: (steps, B) int64, of the clip that is joined to each, -1 for none.
      num_frames: (steps, B) int64, frames that each, joined, is resampled to.
    """

    positions: np.ndarray
    partners: np.ndarray
    num_frames: np.ndarray


def passes(num_clips: int, optimizer: cfg.Optimizer) -> int:
    """How often an epoch goes over the clips to train on: once, unless the run needs more steps."""
    steps = math.ceil(optimizer.fewest_steps / optimizer.epochs)
    return max(1, math.ceil(steps * optimizer.batch_size / max(1, num_clips)))


def plan_epoch(
    corpus: Corpus,
    chosen: np.ndarray,
    config: cfg.Config,
    fewest_frames: Callable[[np.ndarray], np.ndarray],
    *,
    epoch: int,
) -> Plan:
    """The batches of an epoch: shuffled, those of similar length together, the remainder dropped.

    Which clips the remainder holds differs from epoch to epoch. Drawn here are what each is joined to, and the number
    of frames for the time-resampling augmentation, which keeps to the frame budget.

    Args:
      chosen: positions of the clips to train on.
      fewest_frames: for lengths of labels (N,), the frames (N,) that resampling leaves where there were as many.
    """
    random = np.random.default_rng([config.seed, epoch])
    batch_size = config.optimizer.batch_size
    positions = np.concatenate([random.permutation(chosen) for _ in range(passes(len(chosen), config.optimizer))])
    positions = positions[: len(positions) // batch_size * batch_size]
    augment_config = config.augment
    factor = random.uniform(augment_config.resample_low, augment_config.resample_high, len(positions))
    factor[random.uniform(size=len(positions)) >= augment_config.resample_probability] = 1.0
    partners = _partners(corpus, positions, chosen, config, random)
    joined = partners != _NO_PARTNER
    frames = corpus.num_frames[positions] + joined * corpus.num_frames[partners]
    label_lengths = corpus.label_lengths[positions] + joined * corpus.label_lengths[partners]
    fewest = np.maximum(1, np.minimum(frames, fewest_frames(label_lengths)))
    frames = np.minimum(np.maximum(np.rint(frames * factor).astype(np.int64), fewest), config.data.max_frames)
    # Sorted within pools of some batches: little padding, yet other neighbours in every epoch.
    pool = np.arange(len(frames)) // (16 * batch_size)
    order = np.lexsort((frames, pool))
    steps = random.permutation(order.reshape(-1, batch_size))
    return Plan(positions[steps], partners[steps], frames[steps])


def _partners(
    corpus: Corpus, positions: np.ndarray, chosen: np.ndarray, config: cfg.Config, random: np.random.Generator
) -> np.ndarray:
    """What each is joined to, or -1: with its probability, one of `chosen` by the same signer, where both fit.

    Both fit if their frames keep to the frame budget and their labels to the width of all.
    """
    partners = np.full(len(positions), _NO_PARTNER, np.int64)
    # Drawn even where nothing is to be joined: the probability changes nothing else of the plan.
    wanted = random.uniform(size=len(positions)) < config.augment.join_probability
    draws = random.uniform(size=len(positions))
    by_signer = chosen[np.argsort(corpus.signers[chosen], kind="stable")]
    signers = corpus.signers[by_signer]
    first, after = (np.searchsorted(signers, corpus.signers[positions], side) for side in ("left", "right"))
    drawn = by_signer[first + (draws * (after - first)).astype(np.int64)]
    frames = corpus.num_frames[positions] + corpus.num_frames[drawn]
    lengths = corpus.label_lengths[positions] + corpus.label_lengths[drawn]
    fits = (frames <= config.data.max_frames) & (lengths <= corpus.label_ids.shape[1]) & (drawn != positions)
    return np.where(wanted & fits, drawn, partners)


def training_batches(
    corpus: Corpus,
    points: Points,
    config: cfg.Config,
    plan: Plan,
    *,
    epoch: int,
    first_step: int = 0,
    pad_to: int | None = None,
) -> tf.data.Dataset:
    """Augmented batches in the order of the plan, from `first_step` on.

    A batch's variations follow from (seed, epoch, step). Joined clips are augmented as one;
    their label is both labels with nothing between: nobody spelled a space.

    Args:
      pad_to: frames of every batch; otherwise each is padded to its longest clip.
    """

    def batch(step: int, positions: np.ndarray, partners: np.ndarray, num_frames: np.ndarray):
        labels, label_lengths = corpus.label_ids[positions], corpus.label_lengths[positions]  # copies
        # Not [seed, epoch, step]: with step 0 that is the same stream as the plan's [seed, epoch].
        random = np.random.default_rng([config.seed, epoch, 1 + step])
        inputs = []
        for row, (position, partner) in enumerate(zip(positions, partners, strict=True)):
            landmarks = corpus.landmarks(position)
            if partner != _NO_PARTNER:
                landmarks = np.concatenate([landmarks, corpus.landmarks(partner)])
                added = corpus.label_ids[partner, : corpus.label_lengths[partner]]
                labels[row, label_lengths[row] : label_lengths[row] + len(added)] = added
                label_lengths[row] += len(added)
            inputs.append(augment.augment(augment.resample(landmarks, num_frames[row]), points, config.augment, random))
        return _padded(inputs, pad_to), num_frames, labels, label_lengths

    steps = np.arange(first_step, len(plan.positions))
    rows = _rows(steps, plan.positions[steps], plan.partners[steps], plan.num_frames[steps])
    return _batches(batch, rows, (None, pad_to, *points.shape))


def evaluation_batches(
    corpus: Corpus, *, max_frames: int, batch_size: int, pad_to: int | None = None
) -> tuple[tf.data.Dataset, np.ndarray]:
    """Batches of every clip, none dropped, the longest first; and the (N,) positions in that order.

    Args:
      pad_to: frames of every batch; otherwise each is padded to its longest clip.
    """
    order = np.argsort(-corpus.num_frames, kind="stable")

    def batch(chosen: np.ndarray, num_frames: np.ndarray):
        inputs = [augment.resample(corpus.landmarks(i), n) for i, n in zip(chosen, num_frames, strict=True)]
        return _padded(inputs, pad_to), num_frames, corpus.label_ids[chosen], corpus.label_lengths[chosen]

    rows = _rows(order, np.minimum(corpus.num_frames[order], max_frames))
    return _batches(batch, rows.batch(batch_size), (None, pad_to, *corpus.frames.shape[1:])), order


def _rows(*arrays: np.ndarray) -> tf.data.Dataset:
    # Not in the closure of the function that makes batches: TensorFlow keeps every such function of a process for good.
    return tf.data.Dataset.from_tensor_slices(arrays)


def _padded(inputs: list[np.ndarray], pad_to: int | None) -> np.ndarray:
    """(B, T, P, D): clips side by side, 0 after the end of each."""
    longest = max(map(len, inputs))
    if pad_to is not None and longest > pad_to:
        raise ValueError(f"a clip of {longest} frames cannot be padded to {pad_to}")
    batch = np.zeros((len(inputs), pad_to or longest, *inputs[0].shape[1:]), np.float32)
    for row, landmarks in zip(batch, inputs, strict=True):
        row[: len(landmarks)] = landmarks
    return batch


def _batches(
    batch: Callable[..., tuple[Any, Any, Any, Any]], rows: tf.data.Dataset, shape: tuple[int | None, ...]
) -> tf.data.Dataset:
    """A batch of each row, made in numpy by `_THREADS`.

    One call for a whole batch: what `tf.data` does for each element costs more than the augmentation of it.
    """

    def arrays(*row):
        landmarks, *integers = batch(*row)
        return landmarks, *(np.asarray(each, np.int32) for each in integers)

    def element(*row):
        landmarks, num_frames, labels, label_lengths = tf.numpy_function(
            arrays, row, (tf.float32, tf.int32, tf.int32, tf.int32)
        )
        inputs = {"landmarks": tf.ensure_shape(landmarks, shape), "num_frames": tf.ensure_shape(num_frames, (None,))}
        return inputs, {
            "labels": tf.ensure_shape(labels, (None, None)),
            "label_lengths": tf.ensure_shape(label_lengths, (None,)),
        }

    options = tf.data.Options()
    # Threads and batches ahead are fixed: there is nothing to tune. And an iterator may wait, at its end, until the
    # thread that tunes wakes: 10 s were seen; TensorFlow 2.21 lets it sleep up to a minute.
    options.autotune.enabled = False
    return rows.map(element, _THREADS, deterministic=True).prefetch(2).with_options(options)
