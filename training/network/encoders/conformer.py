"""A Conformer: Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition", 2020."""

import dataclasses

from training.network.encoders.encoder import AttentionSettings
from training.settings import setting


@dataclasses.dataclass(frozen=True)
class Conformer(AttentionSettings):
    """Blocks of two half feed-forward units with self-attention and a convolution that looks both ways between them.

    Smaller than in the paper: three blocks, inner layers twice as wide and 15 frames of convolution, where its smallest
    Conformer, as wide as this one, has 16 blocks, four times and 32 frames. Other differences: a dense stem with batch
    normalization in place of convolutions that subsample; sinusoidal positions, added after it, in place of relative
    ones; attention as in the published encoder, without biases; no bias of the depthwise convolution; in training a
    whole branch is dropped for a clip, where the paper drops single values.
    """

    name = "conformer"

    width: int = setting(144, "channels; an even multiple of encoder.heads", at_least=2)
    blocks: int = setting(3, "blocks", at_least=1)
    heads: int = setting(4, "heads of attention", at_least=1)
    expansion: int = setting(2, "how many times as wide the inner layer of a feed-forward unit is", at_least=1)
    kernel: int = setting(
        15, "frames that a convolution reads, the middle one its own; of an even number the later of two", at_least=1
    )
    dropout: float = setting(0.1, "share of the clips for which a residual branch is dropped", at_least=0, below=1)
    attention_dropout: float = setting(0.0, "dropout of attention weights", at_least=0, below=1)
    halved_after: str = setting(
        "none",
        "what the mean of every two frames is taken after, so that the rest computes half as much",
        choices=("none", "stem"),
    )

    def make(self):
        from training.network import layers  # only now: Keras needs its backend to be chosen

        class ConformerEncoder(layers.MaskedLayer):
            """A stem, perhaps half the frame rate, positions, and the blocks."""

            def __init__(self, settings: Conformer, **kwargs):
                super().__init__(**kwargs)
                self.width = width = settings.width
                self.halved_after = settings.halved_after
                self.stem = layers.Dense(width, use_bias=False, name="stem")
                self.stem_norm = layers.BatchNorm(name="stem_norm")
                self.blocks = [
                    layers.ConformerBlock(
                        width,
                        settings.heads,
                        settings.expansion,
                        settings.kernel,
                        settings.dropout,
                        settings.attention_dropout,
                        name=f"block_{b}",
                    )
                    for b in range(settings.blocks)
                ]

            def build(self, features_shape):
                self.stem.build(features_shape)
                hidden = (*features_shape[:-1], self.width)
                for layer in (self.stem_norm, *self.blocks):
                    layer.build(hidden)

            def call(self, features_BxTxF, mask, training=False):
                x = self.stem_norm(self.stem(features_BxTxF), training=training, mask=mask)
                if self.halved_after == "stem":
                    x, mask = layers.halved(x, mask)
                x = layers.with_positions(x, mask)
                for block in self.blocks:
                    x = block(x, mask=mask, training=training)
                return x, mask

        return ConformerEncoder(self, name="encoder")
