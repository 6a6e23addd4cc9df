"""What goes along with the steps of an epoch, and the log of an epoch for TensorBoard."""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from pipeline import storage
from pipeline.storage import Path


class Steps(keras.callbacks.Callback):
    """Lets the `fit` of an epoch begin in its middle, and calls back after each step.

    `self.model`, not the model itself: with JAX, that is what brings the variables up to date.

    Args:
      sums: values of the metrics' variables to go on from, which `fit` sets to 0.
      after_step: called with the number of steps done by this `fit` and the mean loss of the epoch so far.
    """

    def __init__(self, sums: list[np.ndarray], after_step: Callable[[int, float], None]):
        super().__init__()
        self._sums = sums
        self._after_step = after_step
        self.weights: list[np.ndarray] = []  # the trainable ones, at the end of the epoch

    def on_epoch_begin(self, epoch, logs=None):
        for v, value in zip(self.model.metrics_variables, self._sums, strict=True):
            v.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        self._after_step(batch + 1, logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        # After this, `fit` puts the optimizer's averages, if there are any, in the place of the weights.
        self.weights = [np.array(v) for v in self.model.trainable_variables]


def write_scalars(logs: Path, epoch: int, scalars: dict[str, float]) -> None:
    """Writes the epoch's points as an event file of TensorBoard.

    One file an epoch, which an epoch that is run again replaces: so no point is doubled or lost, whenever the run was
    interrupted. TensorFlow writes it by itself; only to look at it is the package `tensorboard` needed.
    """
    now = time.time()
    values = [tf.compat.v1.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
    events = (
        tf.compat.v1.Event(wall_time=now, file_version="brain.Event:2"),
        tf.compat.v1.Event(wall_time=now, step=epoch, summary=tf.compat.v1.Summary(value=values)),
    )
    logs.mkdir(parents=True, exist_ok=True)
    path = logs / f"events.out.tfevents.{epoch:010d}"
    with storage.replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for event in events:
            writer.write(event.SerializeToString())
