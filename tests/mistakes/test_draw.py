"""Mistakes people make with `python -m inference.draw` alone."""

import pytest

MISTAKES = {
    "no such clip": (None, "dataset --clip 5 --output o.png", "dataset has no clip 5 that can be drawn"),
    "no such frame": (None, "dataset --clip 100 --frame 99 --output o.png", "--frame 99: clip 100 has the frames 0 to"),
    "a frame before all": (None, "dataset --clip 100 --frame=-1 --output o.png", "argument --frame: '-1' is not the"),
    "an id of words": (None, "dataset --clip x --output o.png", "argument --clip: not a whole number"),
    "scores": (None, "scores --clip 100 --output o.png", "scores holds no recordings: expected a data folder"),
    "no permission": (
        ("cannot_be_written", "o.png", 13),
        "dataset --clip 100 --output o.png",
        "o.png: Permission denied",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("inference.draw", *MISTAKES[name])
