import json

import numpy as np
import pytest

from inference.recognizer import Recognizer
from pipeline import landmarks as lm
from pipeline.commands import UserError


@pytest.fixture
def copy(toy_model, tmp_path):
    """A directory with the two files, to be spoiled."""
    for name in ("model.tflite", "inference_args.json"):
        (tmp_path / name).write_bytes((toy_model / name).read_bytes())
    return tmp_path


def test_the_two_files_are_enough(copy):
    landmarks = np.random.default_rng(0).random((12, lm.NUM_POINTS, 2))
    text = Recognizer(copy).recognize(landmarks)
    assert Recognizer(str(copy), threads=2).recognize(landmarks) == text


def refused(directory, message):
    with pytest.raises(UserError, match=message) as raised:
        Recognizer(directory)
    assert str(directory) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_directories_that_are_no_export(tmp_path, toy_dataset):
    refused(tmp_path / "absent", r"is no export: no such file or directory; expected what inference\.export makes")
    refused(toy_dataset, r"is no export: it lacks inference_args\.json")


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"hello", lambda data: data[: len(data) // 2]])
def test_a_file_that_is_no_model(copy, damage):
    path = copy / "model.tflite"
    data = damage(path.read_bytes())
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    refused(copy, "cannot read|is no export: it lacks model.tflite")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"selected_columns": 5}', '{"selected_columns": null}', "\xff"])
def test_arguments_that_are_none(copy, text):
    (copy / "inference_args.json").write_text(text, encoding="latin-1")
    refused(copy, "cannot read|holds a model of another program")


def test_a_model_of_another_program(copy):
    """Other columns, or no second signature."""
    columns = list(lm.COLUMNS)
    (copy / "inference_args.json").write_text(json.dumps({"selected_columns": columns[::-1]}))
    refused(copy, "holds a model of another program or version: export it again")


def test_no_second_signature(copy):
    import tensorflow as tf

    function = tf.function(lambda inputs: {"outputs": inputs[:, :59]})
    concrete = function.get_concrete_function(tf.TensorSpec((None, 200), tf.float32, name="inputs"))
    module = tf.Module()
    (copy / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert())
    refused(copy, "holds a model of another program or version: export it again")
