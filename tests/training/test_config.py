import dataclasses
import json
import tomllib

import pytest

from pipeline.commands import UserError
from training import config as cfg


@pytest.mark.parametrize("preset", cfg.PRESETS)
def test_presets_survive_the_way_through_json_data(preset):
    config = cfg.PRESETS[preset]
    assert cfg.from_dict(dataclasses.asdict(config)) == config
    assert cfg.resolve(preset) == config


def test_the_published_settings():
    base, final = cfg.PRESETS["base"], cfg.PRESETS["final"]
    assert (base.network.width, base.network.blocks, base.network.heads) == (384, 3, 6)
    assert (final.network.width, final.network.blocks, final.network.heads) == (384, 5, 6)
    assert (base.data.max_frames, final.data.max_frames) == (380, 340)
    assert (base.data.length_rule, final.data.length_rule) == (True, False)
    assert (base.network.late_dropout, base.network.late_dropout_epoch) == (0.4, 0)
    assert (final.network.late_dropout, final.network.late_dropout_epoch) == (0.8, 15)
    assert (base.optimizer.epochs, final.optimizer.epochs) == (300, 1500)
    assert (base.optimizer.batch_size, final.optimizer.batch_size) == (128, 256)
    for each in (base, final):
        assert (each.optimizer.learning_rate, each.optimizer.warmup_epochs) == (1e-3, 5)


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
    file.write_text("seed = 3\n[network]\nwidth = 64\ndropout = 0\n[optimizer]\nepochs = 7\n")
    config = cfg.resolve("small", file=file, overrides=["optimizer.epochs=9", "data.length_rule=false"])
    small = cfg.PRESETS["small"]
    assert config == dataclasses.replace(
        small,
        network=dataclasses.replace(small.network, width=64, dropout=0.0),
        data=dataclasses.replace(small.data, length_rule=False),
        optimizer=dataclasses.replace(small.optimizer, epochs=9),
        seed=3,
    )
    assert isinstance(config.network.dropout, float)
    assert cfg.PRESETS["small"] == small


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.epoch=4", r"no setting 'epoch' \(did you mean epochs\?\)"),
        ("optimiser.epochs=4", r"no setting 'optimiser' \(did you mean optimizer\?\)"),
        ("zzz=4", r"no setting 'zzz' \(known: network, data"),
        ("optimizer.epochs=4.5", "epochs must be of type int .* not 4.5"),
        ("optimizer.epochs=true", "epochs must be of type int .* not True"),
        ("optimizer.learning_rate=true", "learning_rate must be of type float .* not True"),
        ("data.length_rule=1", "length_rule must be of type bool .* not 1"),
        ("network=4", "network must be a table, not 4"),
        ("seed.a=4", "seed must be of type int"),
        ("optimizer.epochs=many", "epochs must be of type int .* not 'many'"),
        ("optimizer.epochs=", "epochs must be of type int .* not ''"),
        ("epochs=4", r"no setting 'epochs' \(did you mean optimizer\.epochs\?\)"),
        ("network.epochs=4", r"no setting 'epochs' \(did you mean optimizer\.epochs\?\)"),
        ("precision=16", "precision must be of type str .* not 16"),
        ("optimizer.epochs", "expected name=value, such as optimizer.epochs=40"),
    ],
)
def test_overrides_that_are_refused(override, message):
    with pytest.raises(UserError, match=f"--set {override}.*{message}") as raised:
        cfg.resolve("base", overrides=[override])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("epochs = ", "cannot read"),
        ("[network]\nwidht = 3", r"no setting 'widht' \(did you mean width\?\)"),
        ("[network]\nwidth = 'wide'", "width must be of type int .* not 'wide'"),
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

    written = list(lines(dataclasses.asdict(cfg.PRESETS["final"])))
    assert cfg.from_dict(tomllib.loads("\n".join(written))) == cfg.PRESETS["final"]
    assert cfg.resolve("small", overrides=written) == cfg.PRESETS["final"]


def test_a_word_needs_no_quotes():
    for word in ("bfloat16", "'bfloat16'", '"bfloat16"'):
        assert cfg.resolve("small", overrides=[f"precision={word}"]).precision == "bfloat16"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.batch_size=0", "optimizer.batch_size is 0, expected at least 1"),
        ("optimizer.epochs=0", "optimizer.epochs is 0, expected at least 1"),
        ("network.heads=5", r"network.width is 96, expected an even multiple of network.heads \(5\)"),
        ("network.late_dropout=1.0", "network.late_dropout is 1.0, expected at least 0 and less than 1"),
        ("network.late_dropout_epoch=-1", "network.late_dropout_epoch is -1, expected at least 0"),
        ("data.validation_phrase_share=nan", "data.validation_phrase_share is nan"),
        ("optimizer.learning_rate=0.0", "optimizer.learning_rate is 0.0, expected a number above 0"),
        ("optimizer.weight_decay=-0.1", "optimizer.weight_decay is -0.1, expected at least 0"),
        ("optimizer.warmup_epochs=-1", "optimizer.warmup_epochs is -1.0, expected at least 0"),
        ("optimizer.warmup_epochs=9", r"optimizer.warmup_epochs is 9.0, expected at most optimizer.epochs \(8\)"),
        ("optimizer.ema=1", "optimizer.ema is 1.0, expected at least 0 and less than 1"),
        ("augment.mirror_probability=1.5", "augment.mirror_probability is 1.5, expected 0 to 1"),
        ("augment.time_mask_high=1.5", "augment.time_mask_high is 1.5, expected 0 to 1"),
        ("augment.time_mask_low=0.9", r"augment.time_mask_low is 0.9, expected at most augment.time_mask_high \(0.2\)"),
        ("seed=-1", "seed is -1, expected 0 to 4294967295"),
        ("seed=4294967296", "seed is 4294967296, expected 0 to 4294967295"),
        ("precision=float64", "precision is float64, expected float32, bfloat16 or float16"),
        ("data.folds=3", "data.fold is 0 and data.folds 3, expected 2 folds at least, and one of them"),
        ("data.fold=1", "data.fold is 1 and data.folds 0, expected 2 folds at least"),
        ("augment.join_probability=1.5", "augment.join_probability is 1.5, expected 0 to 1"),
        ("augment.drop_face_probability=nan", "augment.drop_face_probability is nan, expected 0 to 1"),
        (
            "augment.spatial_mask_low=0.5",
            "spatial_mask_low is 0.5, expected at most augment.spatial_mask_high",
        ),
        ("augment.hand_scale=1.0", "augment.hand_scale is 1.0, expected at least 0 and less than 1"),
    ],
)
def test_values_that_cannot_be_trained_with(override, message):
    with pytest.raises(UserError, match=message):
        cfg.resolve("small", overrides=[override])


def test_no_number_may_be_nan_infinite_or_far_below_zero():
    """So every number has its range."""
    numbers = [name for name, value in cfg.settings(cfg.Config()).items() if type(value) in (int, float)]
    assert "optimizer.clip_norm" in numbers
    for name in numbers:
        isfloat = isinstance(cfg.settings(cfg.Config())[name], float)
        for value in ("nan", "inf", "-inf", "-1.0") if isfloat else ("-1",):
            with pytest.raises(UserError, match=f"^{name} is {value}, expected"):
                cfg.resolve("base", overrides=[f"{name}={value}"])
