"""The configuration of a training run: one small dataclass per concern, presets, TOML files and overrides."""

import dataclasses
import difflib
import math
import tomllib
from typing import Any

from pipeline.commands import UserError
from pipeline.storage import Path


@dataclasses.dataclass(frozen=True)
class Network:
    """The published topology; `width`, `blocks` and `heads` are what the presets differ in."""

    hand_shape: bool = False  # everyone right-handed, and the hand's shape beside the 600 features; not published
    width: int = 384
    blocks: int = 3
    heads: int = 6
    expansion: int = 2
    dropout: float = 0.2  # of a residual branch, per sequence
    attention_dropout: float = 0.2
    late_dropout: float = 0.4  # before the last layer
    late_dropout_epoch: int = 0  # the epoch from which late dropout is applied


@dataclasses.dataclass(frozen=True)
class Data:
    max_frames: int = 380  # the frame budget: longer sequences are resampled to it
    length_rule: bool = True  # train only on sequences with more than two hand frames a character
    # Where no signers were set aside for validation, this share of the phrases of the training signers is.
    validation_phrase_share: float = 0.05


@dataclasses.dataclass(frozen=True)
class Augment:
    """Probabilities and ranges of the augmentations of `training.augment`."""

    resample_probability: float = 0.8
    resample_low: float = 0.5
    resample_high: float = 1.5
    mirror_probability: float = 0.5
    affine_probability: float = 0.75
    rotation_degrees: float = 30.0
    shear: float = 0.15
    shift: float = 0.1
    aspect_ratio: float = 1.9  # of the assumed image, height by width
    time_mask_probability: float = 0.5
    time_mask_low: float = 0.2
    time_mask_high: float = 0.4


@dataclasses.dataclass(frozen=True)
class Optimizer:
    epochs: int = 300
    batch_size: int = 128
    learning_rate: float = 1e-3
    warmup_epochs: float = 5.0
    weight_decay: float = 0.05
    clip_norm: float = 5.0


@dataclasses.dataclass(frozen=True)
class Config:
    network: Network = Network()
    data: Data = Data()
    augment: Augment = Augment()
    optimizer: Optimizer = Optimizer()
    seed: int = 0


# Milder than published: a few epochs are too few to learn what the neighbours say of a masked character. Nothing is
# mirrored, for `network.hand_shape` does that where it helps.
_SMALL_AUGMENT = Augment(
    resample_probability=0.5,
    resample_high=1.25,
    mirror_probability=0.0,
    affine_probability=0.5,
    time_mask_probability=0.2,
    time_mask_low=0.05,
    time_mask_high=0.2,
)

# The published base and final model, and a pair of the same kind that two CPU cores train in minutes.
PRESETS: dict[str, Config] = {
    "base": Config(),
    "final": Config(
        network=Network(blocks=5, late_dropout=0.8, late_dropout_epoch=15),
        data=Data(max_frames=340, length_rule=False),
        optimizer=Optimizer(epochs=1500, batch_size=256),
    ),
    "small": Config(
        network=Network(
            hand_shape=True, width=96, blocks=2, heads=4, dropout=0.1, attention_dropout=0.0, late_dropout=0.2
        ),
        data=Data(max_frames=160),
        augment=_SMALL_AUGMENT,
        optimizer=Optimizer(epochs=8, batch_size=8, learning_rate=2e-3, warmup_epochs=0.5),
    ),
    "small-final": Config(
        network=Network(
            hand_shape=True, width=144, blocks=2, heads=4, dropout=0.1, attention_dropout=0.0, late_dropout=0.2
        ),
        data=Data(max_frames=160, length_rule=False),
        augment=_SMALL_AUGMENT,
        optimizer=Optimizer(epochs=12, batch_size=8, learning_rate=2e-3, warmup_epochs=0.5),
    ),
}


def resolve(preset: str, *, file: Path | None = None, overrides: list[str] | None = None) -> Config:
    """The preset, changed by a TOML file (tables as in `Config`), then by overrides like `optimizer.epochs=40`.

    Raises:
      UserError: an unknown name (the nearest is suggested) or a value of another type.
    """
    values = dataclasses.asdict(PRESETS[preset])
    if file is not None:
        try:
            changes = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {file}: {error}") from error
        _update(values, changes, where=str(file))
    for override in overrides or []:
        name, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--set {override}: expected name=value, such as optimizer.epochs=40")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            raise UserError(f"--set {override}: {text!r} is not a number, true or false") from None
        for key in reversed(name.split(".")):
            value = {key: value}
        _update(values, value, where=f"--set {override}")
    config = from_dict(values)
    _check(config)
    return config


def from_dict(values: dict[str, Any]) -> Config:
    """The configuration whose `dataclasses.asdict` is `values`."""
    return Config(
        network=Network(**values["network"]),
        data=Data(**values["data"]),
        augment=Augment(**values["augment"]),
        optimizer=Optimizer(**values["optimizer"]),
        seed=values["seed"],
    )


def _check(config: Config) -> None:
    """Raises `UserError` for a value that could not be trained with."""
    network, data, augment, optimizer = config.network, config.data, config.augment, config.optimizer
    sizes = {
        **{f"network.{name}": getattr(network, name) for name in ("width", "blocks", "heads", "expansion")},
        "data.max_frames": data.max_frames,
        "optimizer.epochs": optimizer.epochs,
        "optimizer.batch_size": optimizer.batch_size,
    }
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name} is {size}, expected at least 1")
    if config.seed < 0:
        raise UserError(f"seed is {config.seed}, expected at least 0")
    if network.width % network.heads:
        raise UserError(f"network.width is {network.width}, expected a multiple of network.heads ({network.heads})")
    shares = {
        **{f"network.{name}": getattr(network, name) for name in ("dropout", "attention_dropout", "late_dropout")},
        "data.validation_phrase_share": data.validation_phrase_share,
    }
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise UserError(f"{name} is {share}, expected at least 0 and less than 1")
    for name in ("resample", "mirror", "affine", "time_mask"):
        probability = getattr(augment, f"{name}_probability")
        if not 0 <= probability <= 1:
            raise UserError(f"augment.{name}_probability is {probability}, expected 0 to 1")
    for name in ("resample", "time_mask"):
        low, high = getattr(augment, f"{name}_low"), getattr(augment, f"{name}_high")
        if not 0 <= low <= high:
            raise UserError(f"augment.{name}_low is {low}, expected 0 to augment.{name}_high ({high})")
    positive = {
        "augment.resample_low": augment.resample_low,
        "augment.resample_high": augment.resample_high,
        "augment.aspect_ratio": augment.aspect_ratio,
        "optimizer.learning_rate": optimizer.learning_rate,
        "optimizer.clip_norm": optimizer.clip_norm,
    }
    for name, value in positive.items():
        if not 0 < value < math.inf:
            raise UserError(f"{name} is {value}, expected a number above 0")


def _update(values: dict[str, Any], changes: dict[str, Any], *, where: str) -> None:
    for name, value in changes.items():
        if name not in values:
            nearest = difflib.get_close_matches(name, values, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(values)}"
            raise UserError(f"{where}: no setting {name!r} ({hint})")
        expected = values[name]
        if isinstance(expected, dict) and isinstance(value, dict):
            _update(expected, value, where=where)
        elif isinstance(expected, float) and type(value) is int:
            values[name] = float(value)
        elif type(value) is type(expected):
            values[name] = value
        else:
            raise UserError(f"{where}: {name} must be {_describe(expected)}, not {value!r}")


def _describe(value: Any) -> str:
    return "a table" if isinstance(value, dict) else f"of type {type(value).__name__} (such as {value!r})"
