"""Mistakes people make with `python -m inference.evaluate` alone."""

import pytest

from inference import evaluate
from inference.recognizer import Prediction

GOOD = "--model model --dataset dataset --output o"

MISTAKES = {
    "a split without clips": (None, f"{GOOD} --split validation", "dataset has no validation clips...train, test"),
    "a file that LiteRT cannot read": (None, GOOD, "cannot read model...export it again"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("inference.evaluate", *MISTAKES[name])


class Mute:
    """Stands in for a `Recognizer`."""

    language = None

    def __init__(self, *_, **__):
        pass

    def recognize(self, _, *, greedy=False):
        return Prediction("", 0.0, 1.0)


def test_no_space(refused, monkeypatch):
    """For the table, once everything is recognized."""
    monkeypatch.setattr(evaluate, "Recognizer", Mute)
    refused("inference.evaluate", ("cannot_be_written", "o/scores.csv"), GOOD, "o/scores.csv: No space left")
