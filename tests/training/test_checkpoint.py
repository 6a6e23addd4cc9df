import errno
import io
import os
import pathlib

import keras
import numpy as np
import pytest

from pipeline.common.errors import UserError
from training import checkpoint
from training import config as cfg
from training.network.encoders import Published
from training.network.model import Model


def model(width=4, inserted=()):
    """Two dense layers with a dropout between, and before the last one what is inserted."""
    layers = [keras.layers.Dense(width, name="first"), keras.layers.Dropout(0.5, name="dropout")]
    layers += [*inserted, keras.layers.Dense(2, name="last")]
    sequential = keras.Sequential([keras.Input((3,)), *layers], name="model")
    sequential.compile(optimizer=keras.optimizers.AdamW(), loss="mse")
    sequential.optimizer.build(sequential.trainable_variables)
    return sequential


def variables(each):
    return [*each.variables, *each.optimizer.variables]


def test_what_is_saved_is_loaded(tmp_path):
    saved = model()
    random = np.random.default_rng(0)
    for v in variables(saved):
        v.assign(random.integers(0, 100, v.shape))
    checkpoint.save(tmp_path / "a.npz", variables(saved))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    # A second model of the same process, whose optimizer and dropout Keras numbers.
    loaded = model()
    assert checkpoint.load(tmp_path / "a.npz", variables(loaded)) == {}
    for a, b in zip(variables(saved), variables(loaded), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def saved_names(path, each):
    checkpoint.save(path, variables(each))
    with np.load(path) as saved:
        return saved.files


def test_names_do_not_depend_on_what_else_the_process_made(tmp_path):
    names = saved_names(tmp_path / "a.npz", model())
    assert {"model.first.kernel", "model.last.bias"} <= {name.removeprefix("adam_w.") for name in names}
    assert len(set(names)) == len(names)
    for _ in range(3):
        model()
    assert saved_names(tmp_path / "a.npz", model()) == names


def test_names_stay_where_a_layer_is_inserted_before(tmp_path):
    """Only what is inserted has new ones: its own and those of its moments."""
    names = saved_names(tmp_path / "a.npz", model())
    more = saved_names(tmp_path / "a.npz", model(inserted=[keras.layers.Dense(4, name="inserted")]))
    assert set(names) < set(more)
    assert len(set(more) - set(names)) == 6
    assert all("inserted" in name for name in set(more) - set(names))


def test_names_stay_where_the_published_encoder_has_another_block(tmp_path, task):
    def weights(blocks):
        config = cfg.Config(encoder=Published(width=8, blocks=blocks, heads=2))
        made = Model(config, task, np.zeros(600), np.ones(600))
        made.build()
        checkpoint.save(tmp_path / "a.npz", made.weights)
        with np.load(tmp_path / "a.npz") as saved:
            return set(saved.files)

    one, two = weights(1), weights(2)
    assert one < two
    assert all("_1" in name for name in two - one)
    assert "model.head.classifier.kernel" in one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: variables(model(5)), r"another model \([\w.]*first_bias_momentum is \(4,\) there and \(5,\) here"),
        (lambda: model().variables, r"holds another model \(adam_w\.[\w.]+ is \(.*\) there and None here; \d+ arrays"),
    ],
)
def test_another_model_is_refused(tmp_path, change, message):
    checkpoint.save(tmp_path / "a.npz", variables(model()))
    with pytest.raises(UserError, match=message):
        checkpoint.load(tmp_path / "a.npz", change())


def test_a_note_goes_with_them(tmp_path):
    note = {"run": "this", "history": [{"loss": 0.1 + 0.2, "epoch": 1}], "best": {"score": None}}
    checkpoint.save(tmp_path / "a.npz", model().variables, note)
    assert checkpoint.load(tmp_path / "a.npz", model().variables) == note


@pytest.mark.parametrize("note", ["[1]", "{", None])
def test_a_note_that_is_none(tmp_path, note):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros(3), **({} if note is None else {"note": note}))
    with pytest.raises(UserError, match=rf"cannot read {path} \(.*\): delete {tmp_path} and train it again"):
        checkpoint.load(path, [keras.Variable(np.zeros(3), name="x")])


def test_unreadable_files(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(UserError, match=r"cannot read .*a\.npz"):
        checkpoint.load(path, model().variables)
    checkpoint.save(path, model().variables)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"text" + whole[4:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"cannot read .*a\.npz"):
            checkpoint.load(path, model().variables)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "a.npz"
    checkpoint.save(path, model().variables)
    data = bytearray(path.read_bytes())
    data[data.index(b"NUMPY") + 130] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="cannot read"):
        checkpoint.load(path, model().variables)


def test_no_pickle_is_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}], object))
    with pytest.raises(UserError, match="cannot read"):
        checkpoint.load(tmp_path / "a.npz", [])


def test_a_disk_that_fills_up_at_any_byte(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    checkpoint.save(path, model().variables)
    before, model_variables = path.read_bytes(), model().variables
    left = 0

    class FullDisk(io.FileIO):
        def write(self, data):
            nonlocal left
            if len(data) > left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left -= len(data)
            return super().write(data)

    original = pathlib.Path.open

    def opened(file, mode="r", **options):
        return io.BufferedWriter(FullDisk(file, mode), 100) if mode == "wb" else original(file, mode, **options)

    monkeypatch.setattr(pathlib.Path, "open", opened)
    for room in range(0, len(before) - 1, 97):
        left = room
        with pytest.raises(OSError, match="No space left") as raised:
            checkpoint.save(path, model_variables)
        assert raised.value.filename == str(path)
        assert path.read_bytes() == before
        assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]


def test_a_failure_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    checkpoint.save(path, model().variables)
    before = path.read_bytes()

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, model().variables)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]
