"""The published encoder: 12th place, ASL fingerspelling, 2023. Causal convolutions and self-attention in turn."""

import dataclasses

from training.network.encoders.encoder import AttentionSettings
from training.settings import setting

KERNELS = (11, 7, 3)  # of the convolution units of a block


@dataclasses.dataclass(frozen=True)
class Published(AttentionSettings):
    """Its topology, and the base model's settings."""

    name = "published"

    width: int = setting(384, "channels; an even multiple of encoder.heads", at_least=2)
    blocks: int = setting(3, "blocks of three convolution units and one transformer unit", at_least=1)
    heads: int = setting(6, "heads of attention", at_least=1)
    expansion: int = setting(2, "how many times as wide the inner layers of a unit are", at_least=1)
    dropout: float = setting(0.2, "share of the clips for which a residual branch is dropped", at_least=0, below=1)
    attention_dropout: float = setting(0.2, "dropout of attention weights", at_least=0, below=1)
    halved_after: str = setting(
        "none",
        "what the mean of every two frames is taken after, so that the rest computes half as much; not published",
        choices=("none", "stem", "block"),
    )

    def make(self):
        from training.network import layers  # only now: Keras needs its backend to be chosen

        class PublishedEncoder(layers.MaskedLayer):
            """Features (B, T, F) and mask (B, T) to hidden values (B, U, D) and their mask, as published.

            A stem, then blocks of three convolution units and one transformer unit. Positions are added after the
            first three convolution units. The frame rate may be halved after the stem, or after the first block.
            """

            def __init__(self, settings: Published, **kwargs):
                super().__init__(**kwargs)
                self.width = width = settings.width
                self.halved_after = settings.halved_after
                self.stem = layers.Dense(width, use_bias=False, name="stem")
                self.stem_norm = layers.BatchNorm(name="stem_norm")
                own = (settings.expansion, settings.dropout)
                self.blocks = []
                for b in range(settings.blocks):
                    convolutions = [
                        layers.ConvolutionUnit(width, kernel, *own, name=f"convolution_{b}_{kernel}")
                        for kernel in KERNELS
                    ]
                    transformer = layers.TransformerUnit(
                        width, settings.heads, *own, settings.attention_dropout, name=f"transformer_{b}"
                    )
                    self.blocks.append((convolutions, transformer))

            def build(self, features_shape):
                self.stem.build(features_shape)
                hidden = (*features_shape[:-1], self.width)
                self.stem_norm.build(hidden)
                for convolutions, transformer in self.blocks:
                    for unit in (*convolutions, transformer):
                        unit.build(hidden)

            def call(self, features_BxTxF, mask, training=False):
                x = self.stem_norm(self.stem(features_BxTxF), training=training, mask=mask)
                if self.halved_after == "stem":
                    x, mask = layers.halved(x, mask)
                for index, (convolutions, transformer) in enumerate(self.blocks):
                    for unit in convolutions:
                        x = unit(x, mask=mask, training=training)
                    if index == 0:
                        x = layers.with_positions(x, mask)
                    x = transformer(x, mask=mask, training=training)
                    if index == 0 and self.halved_after == "block":
                        x, mask = layers.halved(x, mask)
                return x, mask

        return PublishedEncoder(self, name="encoder")
