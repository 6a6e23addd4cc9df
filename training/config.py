"""The configuration of a training run: one small dataclass per concern, presets, TOML files and overrides."""

import dataclasses
import difflib
import fnmatch
import math
import tomllib
from collections.abc import Callable
from typing import Any

from pipeline.commands import UserError
from pipeline.storage import Path

# A split with more is kept in a file, of which the system holds in memory what there is room for.
LANDMARKS_IN_MEMORY = 2 << 30  # 2 GiB


@dataclasses.dataclass(frozen=True)
class Network:
    """The published topology, and the base model's settings."""

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
    # Where not 0, the training sequences are divided into so many folds, of whole signers or of sequences, and number
    # `fold` of 1 to `folds` is left out, of validation too: this model can score it as nothing that it has seen.
    folds: int = 0
    fold: int = 0
    fold_by_sequence: bool = False


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
    hand_scale: float = 0.2  # of the hands against face and body
    hand_shift: float = 0.1
    aspect_ratio: float = 1.9  # of the assumed image, height by width
    time_mask_probability: float = 0.5
    time_mask_low: float = 0.2
    time_mask_high: float = 0.4
    spatial_mask_probability: float = 0.5
    spatial_mask_low: float = 0.2  # of the image's width and height
    spatial_mask_high: float = 0.4
    # Not published. Others gained by them (Kaggle's 1st place: 0.1 each), with other networks; until that is measured
    # with these ones, the presets are the published recipe.
    drop_hand_probability: float = 0.0  # the one that is seen less
    drop_fingers_probability: float = 0.0  # two to six of the ten
    drop_face_probability: float = 0.0
    drop_pose_probability: float = 0.0
    join_probability: float = 0.0  # with another sequence of the signer, where both together fit


@dataclasses.dataclass(frozen=True)
class Optimizer:
    epochs: int = 300
    batch_size: int = 128
    learning_rate: float = 1e-3
    warmup_epochs: float = 5.0
    weight_decay: float = 0.05
    clip_norm: float = 5.0
    # Momentum of the weights' moving average, such as 0.999, with which is validated; 0: none. It pays where the run is
    # much longer than 1 / (1 - ema) steps.
    ema: float = 0.0


@dataclasses.dataclass(frozen=True)
class Config:
    network: Network = Network()
    data: Data = Data()
    augment: Augment = Augment()
    optimizer: Optimizer = Optimizer()
    seed: int = 0
    precision: str = "float32"  # of the network while it trains: or bfloat16, or float16; its weights are float32


# What values can be trained with, in words and as a test that NaN and infinity fail; and the settings they are of.
_RANGES: list[tuple[str, Callable[[Any], bool], str]] = [
    (
        "at least 1",
        lambda value: 1 <= value < math.inf,
        "network.width network.blocks network.heads network.expansion data.max_frames optimizer.epochs"
        " optimizer.batch_size",
    ),
    (
        "at least 0",
        lambda value: 0 <= value < math.inf,
        "network.late_dropout_epoch data.fold data.folds augment.rotation_degrees augment.shear augment.*shift"
        " optimizer.warmup_epochs optimizer.weight_decay",
    ),
    (
        "a number above 0",
        lambda value: 0 < value < math.inf,
        "augment.resample_low augment.resample_high augment.aspect_ratio optimizer.learning_rate optimizer.clip_norm",
    ),
    (
        "at least 0 and less than 1",
        lambda value: 0 <= value < 1,
        "network.*dropout data.validation_phrase_share optimizer.ema augment.hand_scale",
    ),
    ("0 to 1", lambda value: 0 <= value <= 1, "augment.*_probability augment.*_mask_low augment.*_mask_high"),
    ("0 to 4294967295", lambda value: 0 <= value < 2**32, "seed"),
    ("float32, bfloat16 or float16", lambda value: value in ("float32", "bfloat16", "float16"), "precision"),
]


# Milder than published: a few epochs are too few to learn what the neighbours say of a masked character. Nothing is
# mirrored, for `network.hand_shape` does that where it helps; that shape is the same wherever the hand is, and however
# large.
_SMALL_AUGMENT = Augment(
    resample_probability=0.5,
    resample_high=1.25,
    mirror_probability=0.0,
    affine_probability=0.5,
    hand_scale=0.0,
    hand_shift=0.0,
    time_mask_probability=0.2,
    time_mask_low=0.05,
    time_mask_high=0.2,
    spatial_mask_probability=0.0,
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
            value = text  # a word needs no quotes here
        for key in reversed(name.split(".")):
            value = {key: value}
        _update(values, value, where=f"--set {override}")
    config = from_dict(values)
    _check(config)
    return config


def settings(config: Config) -> dict[str, Any]:
    """Every setting by its full name, such as `optimizer.epochs`."""
    named: dict[str, Any] = {}
    for name, value in dataclasses.asdict(config).items():
        inner = {f"{name}.{each}": setting for each, setting in value.items()} if isinstance(value, dict) else None
        named |= inner or {name: value}
    return named


def from_dict(values: dict[str, Any]) -> Config:
    """The configuration whose `dataclasses.asdict` is `values`."""
    return Config(
        network=Network(**values["network"]),
        data=Data(**values["data"]),
        augment=Augment(**values["augment"]),
        optimizer=Optimizer(**values["optimizer"]),
        seed=values["seed"],
        precision=values["precision"],
    )


def _check(config: Config) -> None:
    """Raises `UserError` for a value that could not be trained with."""
    for name, value in settings(config).items():
        for words, fits, names in _RANGES:
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in names.split()) and not fits(value):
                raise UserError(f"{name} is {value}, expected {words}")
    network, data, augment, optimizer = config.network, config.data, config.augment, config.optimizer
    if (data.folds or data.fold) and not (data.folds >= 2 and 1 <= data.fold <= data.folds):
        raise UserError(
            f"data.fold is {data.fold} and data.folds {data.folds}, expected 2 folds at least, and one of them"
        )
    if network.width % network.heads or network.width % 2:
        raise UserError(
            f"network.width is {network.width}, expected an even multiple of network.heads ({network.heads})"
        )
    if optimizer.warmup_epochs > optimizer.epochs:
        raise UserError(
            f"optimizer.warmup_epochs is {optimizer.warmup_epochs}, expected at most optimizer.epochs"
            f" ({optimizer.epochs})"
        )
    for name in ("resample", "time_mask", "spatial_mask"):
        low, high = getattr(augment, f"{name}_low"), getattr(augment, f"{name}_high")
        if low > high:
            raise UserError(f"augment.{name}_low is {low}, expected at most augment.{name}_high ({high})")


def _update(values: dict[str, Any], changes: dict[str, Any], *, where: str) -> None:
    for name, value in changes.items():
        if name not in values:
            full = [each for each in settings(Config()) if each.endswith(f".{name}")]
            nearest = full or difflib.get_close_matches(name, values, n=1)
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
