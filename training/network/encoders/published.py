"""The published encoder: 12th place, ASL fingerspelling, 2023. Causal convolutions and self-attention in turn."""

import dataclasses

from training.network.encoders.encoder import EncoderSettings
from training.settings import setting


@dataclasses.dataclass(frozen=True)
class Published(EncoderSettings):
    """Its topology, and the base model's settings."""

    name = "published"

    width: int = setting(384, "channels; an even multiple of encoder.heads", at_least=2)
    blocks: int = setting(3, "blocks of three convolution units and one transformer unit", at_least=1)
    heads: int = setting(6, "heads of attention", at_least=1)
    expansion: int = setting(2, "how many times as wide the inner layers of a unit are", at_least=1)
    dropout: float = setting(0.2, "share of the clips for which a residual branch is dropped", at_least=0, below=1)
    attention_dropout: float = setting(0.2, "dropout of attention weights", at_least=0, below=1)

    def make(self):
        from training.network.layers import PublishedEncoder  # only now: Keras needs its backend to be chosen

        return PublishedEncoder(self, name="encoder")

    def fault(self) -> str | None:
        if self.width % self.heads or self.width % 2:
            return f"encoder.width is {self.width}, expected an even multiple of encoder.heads ({self.heads})"
        return None
