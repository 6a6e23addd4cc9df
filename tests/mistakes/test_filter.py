"""Mistakes people make with `python -m pipeline.filter` alone."""

import pytest

SCORES = "scores/scores.csv"
GOOD = "--dataset dataset --scores scores --output o --workers 1"

MISTAKES = {
    "a share as per cent": (None, f"{GOOD} --threshold 9%", "argument --threshold: '9%' is not auto, or a number"),
    "no number": (None, f"{GOOD} --threshold nan", "argument --threshold: 'nan' is not auto, or a number"),
    "scores of an exported model": (
        None,
        f"{GOOD} --scores evaluation",
        "evaluation is an evaluation; expected a score",
    ),
    "scores of other data": (("says", "scores/manifest.json", {"dataset": "x"}), GOOD, "scores holds...score this one"),
    "a row cut short": (("replaced", SCORES, ",1.0,1", ""), GOOD, f"{SCORES} is not the file that...delete scores"),
    "another clip": (
        [("replaced", SCORES, "\n100,", "\n99,"), ("sealed", "scores")],
        GOOD,
        f"{SCORES} has no score of clip 100",
    ),
    "a threshold in per cent": (None, f"{GOOD} --threshold 20", "--threshold 20 leaves nothing to train on"),
    "no space": (("cannot_be_written", "o/dropped.jsonl"), GOOD, "o: No space left on device: make room"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("pipeline.filter", *MISTAKES[name])
