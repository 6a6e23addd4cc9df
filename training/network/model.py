"""The model that is trained and exported: features, encoder and head as one.

Shapes: B clips, T frames, P points, D dimensions of a point, U frames that the encoder gives, V outputs of the head, L
entries of a label.
"""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from pipeline.tasks.task import Task
from training import config as cfg
from training import devices
from training.network.features import Features
from training.network.heads import HEADS
from training.network.layers import frame_numbers


class Model(keras.Model):
    """Landmarks to the outputs of the head, with its loss.

    Inputs: {"landmarks": (B, T, P, D) float32 with NaN for missing, "num_frames": (B,) int32}; frames from num_frames
    on are padding. Outputs: (B, U, V) float32, or (B, V) of a head that looks at whole clips; those of padding mean
    nothing.
    Encoder and head compute in `precision`; features, loss and all variables are float32.
    Targets: {"labels": (B, L) int32, "label_lengths": (B,) int32}.
    """

    def __init__(
        self, config: cfg.Config, task: Task, mean: np.ndarray, std: np.ndarray, *, precision: str = "float32"
    ):
        # Named: Keras would number a second model of the same process, and so the names of its saved variables.
        super().__init__(name="model", dtype="float32")
        self.task = task
        self.frames = config.encoder.frames
        self._max_frames = config.data.max_frames
        self.features = Features(task.points, mean, std, kind=config.features.kind, name="features")
        with _precision(precision):
            self.encoder = config.encoder.make()
            self.head = HEADS[task.head](config.head, len(task.classes), self.encoder.width, name="head")
        self.without_loss = keras.metrics.Sum(name="clips_without_loss")

    def build(self, input_shape=None):
        self.features.build((None, None, *self.task.points.shape))
        self.encoder.build((None, None, self.features.width))
        self.head.build((None, None, self.encoder.width))

    def begin_epoch(self, epoch: int) -> None:
        self.head.begin_epoch(epoch)

    def call(self, inputs, training=False):
        mask = frame_mask(inputs)
        features = self.features(inputs["landmarks"], mask=mask)
        hidden_BxUxD, mask_BxU = self.encoder(features, mask=mask, training=training)
        return self.head(hidden_BxUxD, mask=mask_BxU, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean loss over the clips whose label fits their frames; others give no loss and no gradient."""
        del sample_weight, training
        loss_B, fits_B = self.head.loss(
            y_pred,
            labels_BxL=y["labels"],
            label_lengths_B=y["label_lengths"],
            num_frames_B=self.frames(x["num_frames"]),
            sparse=not (devices.compiled() or self.jit_compile),
        )
        self.without_loss.update_state(ops.logical_not(fits_B))
        return ops.sum(loss_B) / ops.maximum(ops.sum(ops.cast(fits_B, loss_B.dtype)), 1)

    def fewest_frames(self, label_lengths_N: np.ndarray) -> np.ndarray:
        """(N,) the fewest frames for which the encoder gives as many as augmentation is to leave a label."""
        given = self.frames(np.arange(1, self._max_frames + 1))
        return np.searchsorted(given, self.head.fewest_frames(label_lengths_N)) + 1

    @property
    def trained_weights(self) -> int:
        """How many numbers training changes: an exported file holds them all."""
        return sum(int(np.prod(v.shape)) for v in self.trainable_variables)


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    """Layers made within the block compute in this precision; their variables are float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name if name == "float32" else f"mixed_{name}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def frame_mask(inputs):
    """(B, T): true where a frame is part of the clip, false where it is padding."""
    frames_T = frame_numbers(inputs["landmarks"][:, :, 0, 0])
    return frames_T[None, :] < ops.cast(inputs["num_frames"], "float32")[:, None]
