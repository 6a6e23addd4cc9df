import dataclasses
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
        ("optimizer.epochs=many", "'many' is not a number, true or false"),
        ("optimizer.epochs=", "'' is not a number, true or false"),
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
                yield f"{table}{name}={str(value).lower()}"

    written = list(lines(dataclasses.asdict(cfg.PRESETS["final"])))
    assert cfg.from_dict(tomllib.loads("\n".join(written))) == cfg.PRESETS["final"]
    assert cfg.resolve("small", overrides=written) == cfg.PRESETS["final"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.batch_size=0", "optimizer.batch_size is 0, expected at least 1"),
        ("optimizer.epochs=0", "optimizer.epochs is 0, expected at least 1"),
        ("network.heads=5", r"network.width is 96, expected a multiple of network.heads \(5\)"),
        ("network.late_dropout=1.0", "network.late_dropout is 1.0, expected at least 0 and less than 1"),
        ("data.validation_phrase_share=nan", "data.validation_phrase_share is nan"),
        ("optimizer.learning_rate=0.0", "optimizer.learning_rate is 0.0, expected a number above 0"),
        ("seed=-1", "seed is -1, expected at least 0"),
    ],
)
def test_values_that_cannot_be_trained_with(override, message):
    with pytest.raises(UserError, match=message):
        cfg.resolve("small", overrides=[override])
