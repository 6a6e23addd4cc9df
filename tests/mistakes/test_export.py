"""Mistakes people make with `python -m inference.export` alone."""

import pytest

from inference import export
from inference.tflite import checks, conversion

GOOD = "--run run --dataset dataset --output o"


MISTAKES = {
    "a size with a unit": (None, f"{GOOD} --max-size-mb 40MB", "argument --max-size-mb: '40MB' is not a number"),
    "a gain": (None, f"{GOOD} --max-score-loss -1", "argument --max-score-loss: '-1' is not a share"),
    "another network": (None, GOOD, "run/best-0001.npz holds another model...delete run and train it again"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("inference.export", *MISTAKES[name])


def test_no_space_for_the_saved_model(refused, monkeypatch):
    """TensorFlow names the error in its own way."""
    import tensorflow as tf

    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "o/saved_model.pb; No space left on device\nand more")

    monkeypatch.setattr(conversion, "load", lambda run: None)
    monkeypatch.setattr(conversion, "convert", full)
    refused("inference.export", None, GOOD, "not enough memory or disk space (o/saved_model.pb; No space...make room")


def test_no_space_for_the_result(refused, monkeypatch):
    def convert(_, __, place, **___):
        for name in ("model.tflite", "inference_args.json"):
            (place / name).write_bytes(b"model")

    monkeypatch.setattr(conversion, "load", lambda run: None)
    monkeypatch.setattr(conversion, "convert", convert)
    monkeypatch.setattr(checks, "prove", lambda *_, **__: ([], {"bytes": 5}))
    monkeypatch.setattr(export, "learn_language", lambda *_: None)
    refused("inference.export", ("cannot_be_written", "o/model.tflite"), GOOD, "o/model.tflite: No space left")
