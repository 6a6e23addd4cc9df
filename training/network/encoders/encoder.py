"""What an encoder says of itself."""

import abc
import dataclasses
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True)
class EncoderSettings(abc.ABC):
    """The settings of an encoder, a frozen dataclass of fields made by `training.settings.setting`.

    Without Keras: a command line is understood before a backend is chosen. So `make` imports what it needs.

    Attributes:
      name: of `encoder.name`.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def make(self) -> Any:
        """The `keras.layers.Layer`, named "encoder".

        `layer(features_BxTxF, mask=mask_BxT, training=...)` returns (hidden (B, U, D), mask (B, U)), and `layer.width`
        is D. Every layer in it that mixes frames leaves the padding out, and every one has a name of its own: saved
        weights go by it, and Keras' own names count the layers of the process.
        """

    def frames(self, num_frames: Any) -> Any:
        """U for T: of an int, of an array or of a tensor of integers. Never falls where T rises."""
        return num_frames

    def fault(self) -> str | None:
        """What is wrong with settings that do not fit together."""
        return None


class AttentionSettings(EncoderSettings):
    """Of encoders with self-attention and sinusoidal positions, whose frame rate may be halved: `layers.halved`."""

    width: int
    heads: int
    halved_after: str

    def frames(self, num_frames):
        return num_frames if self.halved_after == "none" else (num_frames + 1) // 2

    def fault(self) -> str | None:
        if self.width % self.heads or self.width % 2:
            return f"encoder.width is {self.width}, expected an even multiple of encoder.heads ({self.heads})"
        return None
