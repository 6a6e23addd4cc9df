"""A recurrent encoder, as a baseline: LSTM or GRU layers, in one direction or both."""

import dataclasses

from training.network.encoders.encoder import EncoderSettings
from training.settings import setting


@dataclasses.dataclass(frozen=True)
class Recurrent(EncoderSettings):
    """Layers one after the other, each over all frames."""

    name = "recurrent"

    cell: str = setting("lstm", "cell of the layers", choices=("lstm", "gru"))
    width: int = setting(128, "channels that a layer gives, both directions together", at_least=2)
    layers: int = setting(2, "layers", at_least=1)
    both_directions: bool = setting(True, "read the frames from both ends")
    dropout: float = setting(0.2, "dropout before each layer", at_least=0, below=1)

    def make(self):
        import keras  # only now: it needs its backend to be chosen

        from training.network.layers import MaskedLayer

        class RecurrentEncoder(MaskedLayer):
            """Padding is masked: it neither changes a state nor is read."""

            def __init__(self, settings: Recurrent, **kwargs):
                super().__init__(**kwargs)
                self.width = settings.width
                cell = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[settings.cell]
                units = settings.width // (1 + settings.both_directions)
                self.parts = []
                for number in range(settings.layers):
                    layer = cell(units, return_sequences=True, name=f"layer_{number}")
                    if settings.both_directions:
                        layer = keras.layers.Bidirectional(layer, name=f"layer_{number}")
                    self.parts.append((keras.layers.Dropout(settings.dropout, name=f"dropout_{number}"), layer))

            def build(self, features_shape):
                shape = features_shape
                for _, layer in self.parts:
                    layer.build(shape)
                    shape = (*features_shape[:-1], self.width)

            def call(self, x_BxTxF, mask, training=False):
                for dropout, layer in self.parts:
                    x_BxTxF = layer(dropout(x_BxTxF, training=training), mask=mask, training=training)
                return x_BxTxF, mask

        return RecurrentEncoder(self, name="encoder")

    def fault(self) -> str | None:
        if self.both_directions and self.width % 2:
            return f"encoder.width is {self.width}, expected an even number for two directions"
        return None
