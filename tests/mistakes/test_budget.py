"""Mistakes people make with `python -m inference.budget` alone."""

import pytest

from training.data.holdout import Holdout

GOOD = "--run run --dataset dataset --output o"

MISTAKES = {
    "a list with a gap": (None, f"{GOOD} --max-frames 9,", "argument --max-frames: '' is not a whole number"),
    "no such storage": (None, f"{GOOD} --weights int4", "argument --weights: 'int4'...float32, float16, int8"),
    "another network": (None, GOOD, "run/best-0001.npz holds another model...delete run and train it again"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("inference.budget", *MISTAKES[name])


def test_no_validation_clips(refused, monkeypatch):
    monkeypatch.setattr(Holdout, "read_validation", lambda *_: iter(()))
    refused("inference.budget", None, GOOD, "dataset has no clips that validate run: convert with --validation-signers")
