"""The configuration of a training run: one small dataclass per concern, presets, TOML files and overrides."""

import contextlib
import dataclasses
import difflib
import tomllib
from typing import Any

from pipeline.common import errors
from pipeline.common.errors import UserError, nearest
from pipeline.common.storage import AnyPath
from training import settings
from training.network.encoders import ENCODERS, Conformer, EncoderSettings, Published
from training.settings import probability, setting, share


@dataclasses.dataclass(frozen=True)
class Features:
    kind: str = setting(
        "published",
        "what is seen where the task has hands: all landmarks, as published; these and the shape of the spelling hand,"
        " everyone right-handed (with-hand); or that hand alone, its shape and movement (hand)",
        choices=("published", "with-hand", "hand"),
    )


@dataclasses.dataclass(frozen=True)
class Head:
    dropout: float = setting(0.4, "dropout before the last layer", at_least=0, below=1)
    dropout_epoch: int = setting(0, "the epoch, from 0 on, with which that dropout begins", at_least=0)
    label_smoothing: float = setting(
        0.0, "share of the label that is spread over all classes; only of heads for whole clips", at_least=0, below=1
    )


@dataclasses.dataclass(frozen=True)
class Data:
    max_frames: int = setting(380, "the frame budget: longer clips are resampled to it", at_least=1)
    plausible_only: bool = setting(True, "train only on clips that can hold their label, by the task's rule")
    validation_share: float = setting(
        0.05,
        "share of the training labels (or signers, as the task says) held out to validate on, where the dataset has no"
        " validation split; 0: none validate, and the last weights are kept",
        at_least=0,
        below=1,
    )
    folds: int = setting(
        0, "divide the training clips into so many folds and leave one out, to be scored by this model", at_least=0
    )
    fold: int = setting(0, "the fold that is left out, from 1 on, of validation too", at_least=0)
    fold_by_clip: bool = setting(False, "divide by clip into folds, not by signer")


@dataclasses.dataclass(frozen=True)
class Augment:
    resample_probability: float = probability(0.8, "changing the speed")
    resample_low: float = setting(0.5, "least frames, relative to what there were", above=0)
    resample_high: float = setting(1.5, "most frames, relative to what there were", above=0)
    mirror_probability: float = probability(0.5, "exchanging left and right")
    affine_probability: float = probability(0.75, "rotation, shear and shift")
    rotation_degrees: float = setting(30.0, "largest rotation", at_least=0)
    shear: float = setting(0.15, "largest shear", at_least=0)
    shift: float = setting(0.1, "largest shift, in widths of the image", at_least=0)
    hand_scale: float = setting(0.2, "largest scale of the hands against face and body", at_least=0, below=1)
    hand_shift: float = setting(0.1, "largest shift of the hands against face and body", at_least=0)
    aspect_ratio: float = setting(1.9, "height by width of the image that rotation assumes", above=0)
    time_mask_probability: float = probability(0.5, "masking frames")
    time_mask_low: float = share(0.2, "least share of the frames masked")
    time_mask_high: float = share(0.4, "largest share of the frames masked")
    spatial_mask_probability: float = probability(0.5, "masking a window of the image")
    spatial_mask_low: float = share(0.2, "smallest window, as a share of the image's sides")
    spatial_mask_high: float = share(0.4, "largest window, as a share of the image's sides")
    # Of recordings that are no positions: the channels of sensors.
    turn_probability: float = probability(0.0, "turning the sensors that have three axes")
    turn_degrees: float = setting(30.0, "largest turn", at_least=0)
    channel_scale_probability: float = probability(0.0, "scaling each channel")
    channel_scale: float = setting(0.2, "largest scale of a channel", at_least=0, below=1)
    noise_probability: float = probability(0.0, "adding noise to each channel")
    noise: float = setting(0.05, "its deviation, relative to that of the channel in the clip", at_least=0)
    channel_mask_probability: float = probability(0.0, "leaving out one channel")
    # Not published. Others gained by them (Kaggle's 1st place: 0.1 each), with other networks; with the small network
    # and the features `with-hand` joining gained nothing, and dropping lost (training/README.md).
    drop_hand_probability: float = probability(0.0, "leaving out the hand that is seen less")
    drop_fingers_probability: float = probability(0.0, "leaving out two to six of ten fingers")
    drop_face_probability: float = probability(0.0, "leaving out the face")
    drop_pose_probability: float = probability(0.0, "leaving out the body")
    join_probability: float = probability(0.0, "joining another clip of the signer, where both fit the frame budget")


@dataclasses.dataclass(frozen=True)
class Optimizer:
    epochs: int = setting(300, "passes over the training clips; see also fewest_steps", at_least=1)
    fewest_steps: int = setting(
        0,
        "steps of the whole run, at least: of few clips, an epoch goes over all of them as often as that takes",
        at_least=0,
        at_most=10**9,
    )
    batch_size: int = setting(128, "clips a step", at_least=1)
    learning_rate: float = setting(1e-3, "peak rate of AdamW, after which it falls to 0 as a cosine", above=0)
    warmup_epochs: float = setting(5.0, "epochs in which the rate rises from 0", at_least=0)
    weight_decay: float = setting(0.05, "decoupled; not of biases, scales and offsets", at_least=0)
    clip_norm: float = setting(5.0, "largest norm of all gradients together", above=0)
    ema: float = setting(
        0.0,
        "momentum of the weights' moving average, such as 0.999, which is validated and kept; 0: none. It pays where"
        " the run is much longer than 1 / (1 - ema) steps",
        at_least=0,
        below=1,
    )


@dataclasses.dataclass(frozen=True)
class Config:
    features: Features = Features()
    encoder: EncoderSettings = Published()  # noqa: RUF009  # it is frozen
    head: Head = Head()
    data: Data = Data()
    augment: Augment = Augment()
    optimizer: Optimizer = Optimizer()
    seed: int = setting(0, "another seed draws other weights, batches and augmentations", at_least=0, at_most=2**32 - 1)
    precision: str = setting(
        "float32",
        "what the network computes in while it trains; its weights are float32",
        choices=("float32", "bfloat16", "float16"),
    )


# Milder than published: a few epochs are too few to learn what the neighbours say of a masked character. Nothing is
# mirrored, for `features.kind` does that where it helps; a hand alone is the same wherever it is, and however large: a
# shift changes nothing.
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
_SMALL_ENCODER = Published(width=96, blocks=2, heads=4, dropout=0.1, attention_dropout=0.0)
_SMALL_FINAL_ENCODER = dataclasses.replace(_SMALL_ENCODER, width=144)
_SMALL = Config(
    features=Features(kind="hand"),
    encoder=_SMALL_ENCODER,
    head=Head(dropout=0.2),
    data=Data(max_frames=160),
    augment=_SMALL_AUGMENT,
    optimizer=Optimizer(epochs=8, batch_size=8, learning_rate=2e-3, warmup_epochs=0.5),
)

_SMALL_FINAL = dataclasses.replace(
    _SMALL,
    encoder=_SMALL_FINAL_ENCODER,
    data=Data(max_frames=160, plausible_only=False),
    optimizer=dataclasses.replace(_SMALL.optimizer, epochs=12),
)


def _fast(config: Config, encoder: EncoderSettings, *, epochs: int) -> Config:
    return dataclasses.replace(config, encoder=encoder, optimizer=dataclasses.replace(config.optimizer, epochs=epochs))


# The published base and final model; a pair of the same kind that two CPU cores train in minutes; and one at half the
# frame rate, for phones, whose final model is a Conformer, which pays off in a longer training.
PRESETS: dict[str, Config] = {
    "base": Config(),
    "final": Config(
        encoder=Published(blocks=5),
        head=Head(dropout=0.8, dropout_epoch=15),
        data=Data(max_frames=340, plausible_only=False),
        optimizer=Optimizer(epochs=1500, batch_size=256),
    ),
    "small": _SMALL,
    "small-final": _SMALL_FINAL,
    "fast": _fast(_SMALL, dataclasses.replace(_SMALL_ENCODER, halved_after="stem"), epochs=11),
    "fast-final": _fast(_SMALL_FINAL, Conformer(halved_after="stem"), epochs=30),
}


# Isolated signs: the published encoder for an accelerator, and a small one. Clips are few and short: they are augmented
# as in a long training, and the label is softened.
PRESETS |= {
    "signs": Config(
        head=Head(dropout=0.4, label_smoothing=0.1),
        data=Data(max_frames=160),
        optimizer=Optimizer(epochs=100, batch_size=128),
    ),
    "signs-small": Config(
        features=Features(kind="with-hand"),
        encoder=Published(width=96, blocks=1, heads=4, dropout=0.2, attention_dropout=0.1),
        head=Head(dropout=0.4, label_smoothing=0.1),
        data=Data(max_frames=96, validation_share=0.1),
        augment=Augment(
            mirror_probability=0.0, affine_probability=0.75, time_mask_probability=0.3, spatial_mask_probability=0.2
        ),
        optimizer=Optimizer(epochs=40, batch_size=16, learning_rate=2e-3, warmup_epochs=2.0),
    ),
}

# Recordings of other kinds, often few: as many steps as if they were more. What is augmented is time and channels.
_SEQUENCE_SMALL = Config(
    encoder=Published(width=96, blocks=1, heads=4, dropout=0.2, attention_dropout=0.1),
    head=Head(dropout=0.4, label_smoothing=0.1),
    data=Data(max_frames=256, validation_share=0.1),
    augment=Augment(
        resample_probability=0.5,
        resample_low=0.75,
        resample_high=1.25,
        mirror_probability=0.0,
        affine_probability=0.0,
        time_mask_probability=0.3,
        time_mask_low=0.05,
        time_mask_high=0.3,
        spatial_mask_probability=0.0,
        turn_probability=0.5,
        channel_scale_probability=0.5,
        noise_probability=0.5,
    ),
    optimizer=Optimizer(epochs=20, fewest_steps=1500, batch_size=16, learning_rate=2e-3, warmup_epochs=2.0),
)
# Base models are trained out of fold (data.folds), each without the people that it scores: of the few that are left
# none is held out to validate as well. More labels that were exchanged on purpose are found so (pipeline/README.md).
PRESETS |= {
    "sequence-small": dataclasses.replace(
        _SEQUENCE_SMALL, data=dataclasses.replace(_SEQUENCE_SMALL.data, validation_share=0.0)
    ),
    "sequence-small-final": _SEQUENCE_SMALL,
}


def resolve(preset: str, *, file: AnyPath | None = None, overrides: list[str] | None = None) -> Config:
    """The preset, changed by a TOML file (tables as in `Config`), then by overrides like `optimizer.epochs=40`.

    `encoder.name` chooses another encoder, with its own settings.

    Raises:
      UserError: an unknown name (the nearest is suggested) or a value of another type or beyond its range.
    """
    values = as_json(PRESETS[preset])
    if file is not None:
        try:
            changes = _toml(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {file}: {errors.reason(error)}") from error
        _update(values, changes, where=str(file))
    # Another encoder comes first: it has other settings.
    for override in sorted(overrides or [], key=lambda text: not text.startswith("encoder.name=")):
        name, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--set {override}: expected name=value, such as optimizer.epochs=40")
        change: Any = _value(text)
        for key in reversed(name.split(".")):
            change = {key: change}
        _update(values, change, where=f"--set {override}")
    config = from_json(values)
    settings.check(config)
    _check(config)
    return config


def as_json(config: Config) -> dict[str, Any]:
    """What `from_json` makes the configuration of again."""
    values = dataclasses.asdict(config)
    return values | {"encoder": {"name": config.encoder.name} | values["encoder"]}


def from_json(values: dict[str, Any], *, where: str = "") -> Config:
    """Raises `UserError` for an encoder that does not exist, `TypeError` or `LookupError` for no configuration.

    Args:
      where: the beginning of a message.
    """
    sections: dict[str, Any] = {"features": Features, "head": Head, "data": Data, "augment": Augment}
    sections |= {"optimizer": Optimizer}
    made = {name: section(**values[name]) for name, section in sections.items()}
    encoder = {name: value for name, value in values["encoder"].items() if name != "name"}
    settings_of_encoder = _encoder(values["encoder"]["name"], where)(**encoder)
    return Config(**made, encoder=settings_of_encoder, seed=values["seed"], precision=values["precision"])


def help_text() -> str:
    """Every setting: its name, default (of the preset base), meaning, type and range."""
    lines = ["settings, of --set and --config, with the values of the preset base:", *settings.describe(Config())]
    for name, other in ENCODERS.items():
        lines += [f"\nwith encoder.name={name}:", *settings.describe(other(), "encoder.")]
    return "\n".join(lines)


def _encoder(name: Any, where: str = "") -> type[EncoderSettings]:
    if not isinstance(name, str) or name not in ENCODERS:
        raise UserError(f"{where}there is no encoder {name!r}{nearest(str(name), ENCODERS)}")
    return ENCODERS[name]


def _check(config: Config) -> None:
    """Raises `UserError` for values that do not go together."""
    data, augment, optimizer = config.data, config.augment, config.optimizer
    if (data.folds or data.fold) and not (data.folds >= 2 and 1 <= data.fold <= data.folds):
        raise UserError(
            f"data.fold is {data.fold} and data.folds {data.folds}, expected 2 folds at least, and one of them"
        )
    if fault := config.encoder.fault():
        raise UserError(fault)
    if optimizer.warmup_epochs > optimizer.epochs:
        raise UserError(
            f"optimizer.warmup_epochs is {optimizer.warmup_epochs}, expected at most optimizer.epochs"
            f" ({optimizer.epochs})"
        )
    for name in ("resample", "time_mask", "spatial_mask"):
        low, high = getattr(augment, f"{name}_low"), getattr(augment, f"{name}_high")
        if low > high:
            raise UserError(f"augment.{name}_low is {low}, expected at most augment.{name}_high ({high})")
    for part, what in (("face", "the face"), ("pose", "the body")):
        if (chance := getattr(augment, f"drop_{part}_probability")) and config.features.kind == "hand":
            raise UserError(
                f"augment.drop_{part}_probability is {chance}, but features.kind=hand does not see {what}: expected 0"
            )


def _value(text: str) -> Any:
    """A value as TOML has it; a word needs no quotes here, and true may be written True."""
    with contextlib.suppress(ValueError):
        found = _toml(f"value = {text}")
        if len(found) == 1:  # not more lines, with more settings
            return found["value"]
    return {"true": True, "false": False}.get(text.lower(), text)


def _toml(text: str) -> dict[str, Any]:
    """Raises `ValueError` for whatever is wrong."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _update(values: dict[str, Any], changes: dict[str, Any], *, where: str, section: str = "") -> None:
    if section == "encoder" and changes.get("name", values["name"]) != values["name"]:
        other = _encoder(changes["name"], f"{where}: ")
        values.clear()
        values |= {"name": other.name} | dataclasses.asdict(other())
    for name, value in changes.items():
        if name not in values:
            elsewhere = (each for each, *_ in settings.flat(Config()) if not each.startswith(f"{section}."))
            full = [each for each in elsewhere if each.endswith(f".{name}")]
            close = full or difflib.get_close_matches(name, values, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(values)}"
            raise UserError(f"{where}: no setting {name!r} ({hint})")
        expected = values[name]
        if isinstance(expected, dict) and isinstance(value, dict):
            _update(expected, value, where=where, section=name)
        elif isinstance(expected, float) and type(value) is int and abs(value) < 2**53:
            values[name] = float(value)
        elif type(value) is type(expected):
            values[name] = value
        else:
            raise UserError(f"{where}: {name} must be {_describe(expected)}, not {str(value)[:40]!r}")


def _describe(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    return "true or false" if isinstance(value, bool) else f"of type {type(value).__name__} (such as {value!r})"
