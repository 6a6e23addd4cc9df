import dataclasses
import json
import pathlib
import subprocess
import sys
import tomllib
from unittest import mock

import pytest

from pipeline.common.errors import UserError
from training import config as cfg
from training import settings, train
from training.network.encoders import ENCODERS

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("preset", cfg.PRESETS)
def test_presets_survive_the_way_through_json_data(preset):
    config = cfg.PRESETS[preset]
    assert cfg.from_json(json.loads(json.dumps(cfg.as_json(config)))) == config
    assert cfg.resolve(preset) == config


def test_the_published_settings():
    base, final = cfg.PRESETS["base"], cfg.PRESETS["final"]
    assert (base.encoder.width, base.encoder.blocks, base.encoder.heads) == (384, 3, 6)
    assert (final.encoder.width, final.encoder.blocks, final.encoder.heads) == (384, 5, 6)
    assert (base.data.max_frames, final.data.max_frames) == (380, 340)
    assert (base.data.plausible_only, final.data.plausible_only) == (True, False)
    assert (base.head.dropout, base.head.dropout_epoch) == (0.4, 0)
    assert (final.head.dropout, final.head.dropout_epoch) == (0.8, 15)
    assert (base.optimizer.epochs, final.optimizer.epochs) == (300, 1500)
    assert (base.optimizer.batch_size, final.optimizer.batch_size) == (128, 256)
    for each in (base, final):
        assert (each.optimizer.learning_rate, each.optimizer.warmup_epochs) == (1e-3, 5)


def test_fast_is_at_half_the_frame_rate():
    base, final = cfg.PRESETS["fast"], cfg.PRESETS["fast-final"]
    assert (base.encoder.name, final.encoder.name) == ("published", "conformer")
    assert (base.encoder.frames(160), final.encoder.frames(160)) == (80, 80)
    assert (base.features.kind, final.features.kind) == ("hand", "hand")


def test_published_augmentation():
    """Of base and final alike; what is not published is off in every preset."""
    augment = cfg.PRESETS["base"].augment
    assert cfg.PRESETS["final"].augment == augment
    published = {"resample": 0.8, "mirror": 0.5, "affine": 0.75, "time_mask": 0.5, "spatial_mask": 0.5}
    assert {name: getattr(augment, f"{name}_probability") for name in published} == published
    for name in ("drop_hand", "drop_fingers", "drop_face", "drop_pose", "join"):
        assert {getattr(preset.augment, f"{name}_probability") for preset in cfg.PRESETS.values()} == {0.0}


def test_a_file_and_then_overrides(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("seed = 3\n[encoder]\nwidth = 64\ndropout = 0\n[optimizer]\nepochs = 7\n")
    config = cfg.resolve("small", file=file, overrides=["optimizer.epochs=9", "data.plausible_only=false"])
    small = cfg.PRESETS["small"]
    assert config == dataclasses.replace(
        small,
        encoder=dataclasses.replace(small.encoder, width=64, dropout=0.0),
        data=dataclasses.replace(small.data, plausible_only=False),
        optimizer=dataclasses.replace(small.optimizer, epochs=9),
        seed=3,
    )
    assert isinstance(config.encoder.dropout, float)
    assert cfg.PRESETS["small"] == small


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.epoch=4", r"no setting 'epoch' \(did you mean epochs\?\)"),
        ("optimiser.epochs=4", r"no setting 'optimiser' \(did you mean optimizer\?\)"),
        ("zzz=4", r"no setting 'zzz' \(known: features, encoder, head, data"),
        ("optimizer.epochs=4.5", "epochs must be of type int .* not '4.5'"),
        ("optimizer.epochs=true", "epochs must be of type int .* not 'True'"),
        ("optimizer.learning_rate=true", "learning_rate must be of type float .* not 'True'"),
        ("data.plausible_only=1", "plausible_only must be true or false, not '1'"),
        ("data.plausible_only=yes", "plausible_only must be true or false, not 'yes'"),
        ("encoder=4", "encoder must be a table, not '4'"),
        ("encoder.name=publishd", r"there is no encoder 'publishd' \(did you mean published\?\)"),
        ("encoder.name=zzz", r"there is no encoder 'zzz': expected published or recurrent or conformer$"),
        ("encoder.name=[1]", r"there is no encoder \[1\]"),
        ("seed.a=4", "seed must be of type int"),
        ("optimizer.epochs=many", "epochs must be of type int .* not 'many'"),
        ("optimizer.epochs=", "epochs must be of type int .* not ''"),
        ("epochs=4", r"no setting 'epochs' \(did you mean optimizer\.epochs\?\)"),
        ("head.epochs=4", r"no setting 'epochs' \(did you mean optimizer\.epochs\?\)"),
        ("precision=16", "precision must be of type str .* not '16'"),
        ("optimizer.epochs", "expected name=value, such as optimizer.epochs=40"),
    ],
)
def test_overrides_that_are_refused(override, message):
    with pytest.raises(UserError, match=message) as raised:
        cfg.resolve("base", overrides=[override])
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"--set {override}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("epochs = ", "cannot read"),
        ("[encoder]\nwidht = 3", r"no setting 'widht' \(did you mean width\?\)"),
        ("[encoder]\nwidth = 'wide'", "width must be of type int .* not 'wide'"),
    ],
)
def test_files_that_are_refused(tmp_path, text, message):
    file = tmp_path / "a.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=rf"a\.toml.*{message}|{message}.*a\.toml"):
        cfg.resolve("base", file=file)


def test_every_setting_can_be_written_as_toml():
    def lines(values, table=""):
        for name, value in values.items():
            if isinstance(value, dict):
                yield from lines(value, f"{name}.")
            else:
                yield f"{table}{name}={json.dumps(value)}"

    written = list(lines(cfg.as_json(cfg.PRESETS["final"])))
    assert cfg.from_json(tomllib.loads("\n".join(written))) == cfg.PRESETS["final"]
    assert cfg.resolve("small", overrides=written) == cfg.PRESETS["final"]


@pytest.mark.parametrize(("text", "value"), [("True", True), ("true", True), ("False", False), ("false", False)])
def test_true_and_false_as_toml_or_python_writes_them(text, value):
    for preset in ("base", "final"):  # of which one has it, and one has not
        assert cfg.resolve(preset, overrides=[f"data.plausible_only={text}"]).data.plausible_only is value


def test_a_word_needs_no_quotes():
    for word in ("bfloat16", "'bfloat16'", '"bfloat16"'):
        assert cfg.resolve("small", overrides=[f"precision={word}"]).precision == "bfloat16"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.batch_size=0", "optimizer.batch_size is 0, expected at least 1"),
        ("optimizer.batch_size=2147483648", "optimizer.batch_size is 2147483648, expected at most 2147483647"),
        ("optimizer.epochs=0", "optimizer.epochs is 0, expected at least 1"),
        ("encoder.heads=5", r"encoder.width is 96, expected an even multiple of encoder.heads \(5\)"),
        ("head.dropout=1.0", "head.dropout is 1.0, expected at least 0 and below 1"),
        ("head.dropout_epoch=-1", "head.dropout_epoch is -1, expected at least 0"),
        ("data.validation_share=nan", "data.validation_share is nan"),
        ("optimizer.learning_rate=0.0", "optimizer.learning_rate is 0.0, expected above 0"),
        ("optimizer.weight_decay=-0.1", "optimizer.weight_decay is -0.1, expected at least 0"),
        ("optimizer.warmup_epochs=-1", "optimizer.warmup_epochs is -1.0, expected at least 0"),
        ("optimizer.warmup_epochs=9", r"optimizer.warmup_epochs is 9.0, expected at most optimizer.epochs \(8\)"),
        ("optimizer.ema=1", "optimizer.ema is 1.0, expected at least 0 and below 1"),
        ("augment.mirror_probability=1.5", "augment.mirror_probability is 1.5, expected at least 0 and at most 1"),
        ("augment.time_mask_high=1.5", "augment.time_mask_high is 1.5, expected at least 0 and at most 1"),
        ("augment.time_mask_low=0.9", r"augment.time_mask_low is 0.9, expected at most augment.time_mask_high \(0.2\)"),
        ("seed=-1", "seed is -1, expected at least 0 and at most 4294967295"),
        ("seed=4294967296", "seed is 4294967296, expected at least 0 and at most 4294967295"),
        ("precision=float64", "precision is float64, expected float32 or bfloat16 or float16"),
        ("data.folds=3", "data.fold is 0 and data.folds 3, expected 2 folds at least, and one of them"),
        ("data.fold=1", "data.fold is 1 and data.folds 0, expected 2 folds at least"),
        ("augment.join_probability=1.5", "augment.join_probability is 1.5, expected at least 0 and at most 1"),
        ("augment.drop_face_probability=nan", "augment.drop_face_probability is nan, expected at least 0"),
        ("augment.spatial_mask_low=0.5", "spatial_mask_low is 0.5, expected at most augment.spatial_mask_high"),
        ("augment.hand_scale=1.0", "augment.hand_scale is 1.0, expected at least 0 and below 1"),
        ("augment.drop_face_probability=0.5", "is 0.5, but features.kind=hand does not see the face: expected 0"),
        ("augment.drop_pose_probability=0.5", "is 0.5, but features.kind=hand does not see the body: expected 0"),
    ],
)
def test_values_that_cannot_be_trained_with(override, message):
    with pytest.raises(UserError, match=message):
        cfg.resolve("small", overrides=[override])


def test_no_number_may_be_nan_infinite_or_far_below_zero():
    """So every number has its range."""
    numbers = {name: value for name, value, _ in settings.flat(cfg.Config()) if type(value) in (int, float)}
    assert "optimizer.clip_norm" in numbers
    for name, default in numbers.items():
        for value in ("nan", "inf", "-inf", "-1.0") if isinstance(default, float) else ("-1", str(2**33)):
            with pytest.raises(UserError, match=f"^{name} is {value}, expected"):
                cfg.resolve("base", overrides=[f"{name}={value}"])


def test_every_setting_is_told_with_its_meaning_and_range():
    text = cfg.help_text()
    told = [line.split(" = ")[0].strip() for line in text.splitlines() if line.startswith("  ") and " = " in line]
    named = [name for name, *_ in settings.flat(cfg.Config())]
    others = {name for encoder in ENCODERS.values() for name, *_ in settings.flat(encoder(), "encoder.")}
    assert set(told) == set(named) | others
    assert {"seed", "precision", "features.kind", "encoder.width", "head.dropout_epoch"} <= set(named)
    for name, value, field in settings.flat(cfg.Config()):
        shown = str(value).lower() if isinstance(value, bool) else value
        limits = "true or false" if isinstance(value, bool) else str(field.metadata["range"])
        assert len(field.metadata["help"].split()) > 1, name
        assert limits != "any", name
        lines = text[text.index(f"\n  {name} = {shown}\n") :].splitlines()
        assert field.metadata["help"] in lines[2]
        assert lines[2].endswith(f"{limits})")
    assert "\nwith encoder.name=published:\n  encoder.width = 384\n" in text


def test_the_help_of_the_command_tells_them(capsys):
    with pytest.raises(SystemExit), mock.patch.object(sys, "argv", ["train", "--help"]):
        train.main()
    assert cfg.help_text() in capsys.readouterr().out


def test_a_configuration_is_made_without_keras():
    """A command line is understood before a backend is chosen."""
    words = "import sys; from training import train; train.cfg.help_text(); train.cfg.resolve('small')"
    words += "; print({'keras', 'tensorflow', 'jax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"


def test_no_configuration():
    values = cfg.as_json(cfg.Config())
    for changed in ({"head": {"late": 1}}, {"encoder": {"name": "published", "depth": 1}}):
        with pytest.raises(TypeError):
            cfg.from_json(values | changed)
    for missing in ("head", "encoder", "seed"):
        with pytest.raises(LookupError):
            cfg.from_json({name: value for name, value in values.items() if name != missing})
    with pytest.raises(UserError, match=r"no encoder 'publish' \(did you mean published\?\)"):
        cfg.from_json(values | {"encoder": {"name": "publish"}})
