"""The published CTC transformer, and the model that is trained and exported: features and network as one.

Shapes: B sequences, T frames, P = 100 points, F features (600, or 642 with hand shapes), V = 60 classes (the
blank is the last).
"""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from pipeline import landmarks as lm
from pipeline import vocabulary
from training import config as cfg
from training import ctc, devices
from training.features import Features
from training.layers import (
    BatchNorm,
    ConvolutionUnit,
    Dense,
    LateDropout,
    TransformerUnit,
    frame_numbers,
    sinusoidal_positions,
)

KERNELS = (11, 7, 3)


class Network(keras.Model):
    """Features (B, T, F) and mask (B, T) to logits (B, T, V), as published: 12th place, ASL fingerspelling, 2023.

    A stem, then blocks of three convolution units and one transformer unit, then a head. Positions are added after the
    first three convolution units.
    """

    def __init__(self, config: cfg.Network, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        width = config.width
        self.stem = Dense(width, use_bias=False, name="stem")
        self.stem_norm = BatchNorm(name="stem_norm")
        self.blocks = [
            (
                [
                    ConvolutionUnit(width, kernel, config.expansion, config.dropout, name=f"convolution_{b}_{kernel}")
                    for kernel in KERNELS
                ],
                TransformerUnit(
                    width,
                    config.heads,
                    config.expansion,
                    config.dropout,
                    config.attention_dropout,
                    name=f"transformer_{b}",
                ),
            )
            for b in range(config.blocks)
        ]
        self.top = Dense(2 * width, activation="relu", name="top")
        self.late_dropout = LateDropout(name="late_dropout")
        # The loss is computed in float32 whatever the precision of the rest.
        self.classifier = Dense(vocabulary.NUM_CLASSES, dtype="float32", name="classifier")

    def build(self, features_shape):
        self.stem.build(features_shape)
        hidden = (*features_shape[:-1], self.stem.units)
        self.stem_norm.build(hidden)
        for convolutions, transformer in self.blocks:
            for unit in (*convolutions, transformer):
                unit.build(hidden)
        self.top.build(hidden)
        top = (*features_shape[:-1], self.top.units)
        self.late_dropout.build(top)
        self.classifier.build(top)

    def call(self, features_BxTxF, mask, training=False):
        x = self.stem_norm(self.stem(features_BxTxF), training=training, mask=mask)
        for index, (convolutions, transformer) in enumerate(self.blocks):
            for unit in convolutions:
                x = unit(x, mask=mask, training=training)
            if index == 0:
                x = x + ops.cast(sinusoidal_positions(frame_numbers(mask), x.shape[-1]), x.dtype)
            x = transformer(x, mask=mask, training=training)
        return self.classifier(self.late_dropout(self.top(x), training=training))


class Recogniser(keras.Model):
    """Landmarks to logits: features, standardisation and network as one, with the CTC loss.

    Inputs: {"landmarks": (B, T, P, 2) float32 with NaN for missing, "num_frames": (B,) int32}; frames from num_frames
    on are padding. Outputs: logits (B, T, V) float32; those of padding frames mean nothing.
    The network computes in `precision`; features, loss and all variables are float32.
    Targets: {"labels": (B, L) int32, "label_lengths": (B,) int32}.
    """

    def __init__(self, config: cfg.Network, mean: np.ndarray, std: np.ndarray, *, precision: str = "float32"):
        # Named: Keras would number a second model of the same process, and so the names of its saved variables.
        super().__init__(name="recogniser", dtype="float32")
        self.features = Features(mean, std, hand_shape=config.hand_shape, name="features")
        with _precision(precision):
            self.network = Network(config, name="network")
        self.without_loss = keras.metrics.Sum(name="sequences_without_loss")

    def build(self, input_shape=None):
        self.features.build((None, None, lm.NUM_POINTS, 2))
        self.network.build((None, None, self.features.width))

    def call(self, inputs, training=False):
        mask = frame_mask(inputs)
        return self.network(self.features(inputs["landmarks"], mask=mask), mask=mask, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean CTC loss over the sequences whose phrase fits their frames; others give no loss and no gradient."""
        del sample_weight, training
        loss_B, fits_B = ctc.ctc_loss(
            labels_BxL=y["labels"],
            label_lengths_B=y["label_lengths"],
            logits_BxTxV=y_pred,
            num_frames_B=x["num_frames"],
            sparse=not (devices.compiled() or self.jit_compile),
        )
        self.without_loss.update_state(ops.logical_not(fits_B))
        return ops.sum(loss_B) / ops.maximum(ops.sum(ops.cast(fits_B, loss_B.dtype)), 1)


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
    """(B, T): true where a frame is part of the sequence, false where it is padding."""
    frames_T = frame_numbers(inputs["landmarks"][:, :, 0, 0])
    return frames_T[None, :] < ops.cast(inputs["num_frames"], "float32")[:, None]
