"""Heads by name: the network's last part, with its loss and its decoding. A task says which one it takes.

Shapes: B clips, U frames that the encoder gave, D channels, V outputs (classes, with the blank where there is one), L
entries of a label, C decoded classes.

A head is a layer made with (settings of `config.Head`, number of classes, D): (B, U, D) and mask (B, U) to outputs,
float32, (B, U, V) if it is `per_frame`, (B, V) for whole clips otherwise. Its methods are those of `CtcHead`:

  loss(outputs, ...)     loss (B,), and whether each clip counts (B,) bool: one that cannot hold its label has no loss
  fits(labels, ...)      whether so many frames of the encoder can hold the labels
  fewest_frames(lengths) frames of the encoder that augmentation leaves a label where there were as many
  decode(outputs)        classes (C,) int32 and their probabilities (C,) of one clip: for training, export and checks
  answer(outputs, ...)   what the exported file gives for one clip
  begin_epoch(epoch)     sets what depends on the epoch, from 0 on
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from training import config as cfg
from training.network import ctc
from training.network.layers import Dense, MaskedLayer


class CtcHead(MaskedLayer):
    """A wide layer, late dropout, and the logits of classes and blank for each frame. The blank comes last.

    Late dropout begins with epoch `settings.dropout_epoch`: its rate is a variable, 0 until then.
    """

    per_frame = True

    def __init__(self, settings: cfg.Head, num_classes: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.settings = settings
        self.num_classes = num_classes
        self.blank = num_classes
        self.num_outputs = num_classes + 1
        self.top = Dense(2 * width, activation="relu", name="top")
        self.dropout = LateDropout(name="late_dropout")
        # The loss is computed in float32 whatever the precision of the rest.
        self.classifier = Dense(self.num_outputs, dtype="float32", name="classifier")

    def build(self, hidden_shape):
        self.top.build(hidden_shape)
        top = (*hidden_shape[:-1], self.top.units)
        self.dropout.build(top)
        self.classifier.build(top)

    def call(self, hidden_BxUxD, mask, training=False):
        del mask  # a frame's logits depend on no other frame
        return self.classifier(self.dropout(self.top(hidden_BxUxD), training=training))

    def begin_epoch(self, epoch: int) -> None:
        self.dropout.set_rate(self.settings.dropout if epoch >= self.settings.dropout_epoch else 0.0)

    def loss(self, outputs, *, labels_BxL, label_lengths_B, num_frames_B, sparse: bool):
        return ctc.ctc_loss(
            labels_BxL=labels_BxL,
            label_lengths_B=label_lengths_B,
            logits_BxTxV=outputs,
            num_frames_B=num_frames_B,
            blank=self.blank,
            sparse=sparse,
        )

    def fits(self, labels_NxL: np.ndarray, label_lengths_N: np.ndarray, num_frames_N: np.ndarray) -> np.ndarray:
        return ops.convert_to_numpy(ctc.minimal_frames(labels_NxL, label_lengths_N)) <= num_frames_N

    def fewest_frames(self, label_lengths_N: np.ndarray) -> np.ndarray:
        return 2 * label_lengths_N

    def decode(self, outputs):
        """Greedy: the best class of each frame, repeats merged, then blanks removed, the last run included.

        The probability of a class is the highest in its run of frames.
        """
        # Not ops.argmax: what it does about a negative zero is no built-in operator of TFLite.
        best_U = ops.cast(ops.top_k(outputs, 1)[1][:, 0], "int32")
        starts_U = ops.concatenate([ops.ones_like(best_U[:1], dtype="bool"), best_U[1:] != best_U[:-1]], axis=0)
        run_U = ops.cumsum(ops.cast(starts_U, "int32")) - 1
        peaks_U = ops.max(ops.softmax(outputs, axis=-1), axis=-1)
        # As many runs as there are frames: their number must follow from the input's shape; see `layers`.
        highest_U = ops.segment_max(peaks_U, run_U, num_segments=ops.shape(outputs)[0])
        chosen_C = _where(ops.logical_and(starts_U, best_U != self.blank))
        classes_C = ops.take(best_U, chosen_C, axis=0)
        return classes_C, ops.take(highest_U, ops.take(run_U, chosen_C, axis=0), axis=0)

    def answer(self, outputs, filler: int):
        """One-hot rows (C, classes); where nothing was decoded one row, of the class `filler`."""
        classes_C, _ = self.decode(outputs)
        nothing = ops.maximum(0, 1 - ops.shape(classes_C)[0])
        return ops.one_hot(ops.pad(classes_C, [[0, nothing]], constant_values=filler), self.num_classes)


def _where(chosen_U):
    """(C,) the positions that are true."""
    if keras.backend.backend() != "tensorflow":
        return ops.nonzero(chosen_U)[0]
    import tensorflow as tf  # Keras would add an operator that TFLite has not built in

    return tf.cast(tf.where(chosen_U)[:, 0], tf.int32)


class ClassHead(MaskedLayer):
    """One class a clip: the mean over its frames, a wide layer, late dropout, and the logits of the classes."""

    per_frame = False

    def __init__(self, settings: cfg.Head, num_classes: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.settings = settings
        self.num_classes = num_classes
        self.num_outputs = num_classes
        self.top = keras.layers.Dense(2 * width, activation="swish", name="top")
        self.dropout = LateDropout(name="late_dropout")
        self.classifier = keras.layers.Dense(self.num_outputs, dtype="float32", name="classifier")

    def build(self, hidden_shape):
        clip = (hidden_shape[0], hidden_shape[-1])
        self.top.build(clip)
        self.dropout.build((hidden_shape[0], self.top.units))
        self.classifier.build((hidden_shape[0], self.top.units))

    def call(self, hidden_BxUxD, mask, training=False):
        inside_BxUx1 = ops.cast(mask, hidden_BxUxD.dtype)[:, :, None]
        mean_BxD = ops.sum(hidden_BxUxD * inside_BxUx1, axis=1) / ops.maximum(ops.sum(inside_BxUx1, axis=1), 1)
        return self.classifier(self.dropout(self.top(mean_BxD), training=training))

    def begin_epoch(self, epoch: int) -> None:
        self.dropout.set_rate(self.settings.dropout if epoch >= self.settings.dropout_epoch else 0.0)

    def loss(self, outputs, *, labels_BxL, label_lengths_B, num_frames_B, sparse: bool):
        """Cross-entropy with the smoothed label."""
        del label_lengths_B, sparse
        smooth = self.settings.label_smoothing
        target_BxV = ops.one_hot(labels_BxL[:, 0], self.num_classes) * (1 - smooth) + smooth / self.num_classes
        loss_B = -ops.sum(target_BxV * ops.log_softmax(ops.cast(outputs, "float32"), axis=-1), axis=-1)
        return loss_B, num_frames_B > 0

    def fits(self, labels_NxL: np.ndarray, label_lengths_N: np.ndarray, num_frames_N: np.ndarray) -> np.ndarray:
        return num_frames_N > 0

    def fewest_frames(self, label_lengths_N: np.ndarray) -> np.ndarray:
        return np.ones_like(label_lengths_N)

    def decode(self, outputs):
        """The best class."""
        probabilities, classes = ops.top_k(ops.softmax(outputs[None], axis=-1), 1)
        return ops.cast(classes[0], "int32"), probabilities[0]

    def answer(self, outputs, filler: int | None):
        """The probability of each class."""
        del filler
        return ops.softmax(outputs[None], axis=-1)[0]


class LateDropout(MaskedLayer):
    """Dropout that begins when its rate is set: `rate` is a variable, 0 until `set_rate` is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape):
        self.rate = self.add_weight(
            shape=(), initializer="zeros", trainable=False, dtype="float32", autocast=False, name="rate"
        )

    def set_rate(self, rate: float) -> None:
        self.rate.assign(rate)

    def call(self, x, training=False):
        if not training:
            return x
        kept = keras.random.uniform(ops.shape(x), seed=self.seed_generator) >= self.rate
        return ops.where(kept, x / ops.cast(1.0 - self.rate, x.dtype), 0)


HEADS: dict[str, Any] = {"ctc": CtcHead, "class": ClassHead}
