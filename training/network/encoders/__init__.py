"""Encoders by name. Each is one file here: its settings, and how its layer is made.

An encoder's layer takes features (B, T, F) and their mask (B, T), and gives hidden values (B, U, D) and their mask
(B, U). `frames` says how many frames it gives for how many: all that comes after it (loss, decoding, export, checks)
goes by that.

To add one, write a file beside `published.py` and list its settings in `ENCODERS`.
"""

from training.network.encoders.conformer import Conformer
from training.network.encoders.encoder import EncoderSettings
from training.network.encoders.published import Published
from training.network.encoders.recurrent import Recurrent

ENCODERS: dict[str, type[EncoderSettings]] = {settings.name: settings for settings in (Published, Recurrent, Conformer)}
