import errno
import io
import os
import pathlib

import keras
import numpy as np
import pytest

from pipeline.commands import UserError
from training import checkpoint


def model(width=4):
    layers = [keras.layers.Dense(width, name="first"), keras.layers.Dropout(0.5), keras.layers.Dense(2, name="last")]
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
    checkpoint.load(tmp_path / "a.npz", variables(loaded))
    for a, b in zip(variables(saved), variables(loaded), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: variables(model(5)), r"holds another model \(0000\.\w+\.first\.kernel is \(3, 4\) there and \(3, 5\)"),
        (lambda: model().variables, r"holds another model \(.* there and None here"),
    ],
)
def test_another_model_is_refused(tmp_path, change, message):
    checkpoint.save(tmp_path / "a.npz", variables(model()))
    with pytest.raises(UserError, match=message):
        checkpoint.load(tmp_path / "a.npz", change())


def test_of_another_run(tmp_path):
    path = tmp_path / "a.npz"
    checkpoint.save(path, model().variables, run="this")
    checkpoint.load(path, model().variables, run="this")
    with pytest.raises(UserError, match=r"a\.npz is of a run with other settings or another data set"):
        checkpoint.load(path, model().variables, run="that")


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
