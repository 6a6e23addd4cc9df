"""Mistakes people make with `python -m pipeline.track` alone.

Those that OpenCV finds, such as a codec that it lacks, are in tests/pipeline/tracking/test_holistic.py.
"""

import json

import pytest

from pipeline import track
from tests.pipeline.tracking import fake

GOOD = "v --output o --workers 1"
HEAD = "file,phrase,signer\n"
ROWS = "a.mp4,hello,1\nb.mp4,there,2\n"


def video(**said):
    return ("holds", "v/b.mp4", json.dumps({"frames": 5, **said}))


def labels(text):
    return ("holds", "l.csv", HEAD + text)


LABELLED = f"{GOOD} --labels l.csv"
MISTAKES = {
    "neither videos nor a camera": (None, "--output o", "name either videos, or a camera: --camera 0"),
    "both": (None, f"{GOOD} --camera 0", "name either videos, or a camera"),
    "a camera below 0": (None, "--output o --camera -1", "camera -1: expected a number from 0 on"),
    "a camera by name": (None, "--output o --camera front", "argument --camera: not a whole number: 'front'"),
    "a camera for hours": (None, "--output o --camera 0 --seconds 3600", "argument --seconds: '3600' is not"),
    "no such video": (None, "v/c.mp4 --output o", "v/c.mp4: no such file...did you mean v/"),
    "an empty folder": (None, "data --output o", "data holds no videos: expected a video, or a folder"),
    "not a video": (video(fault="is no video"), GOOD, "v/b.mp4 is no video"),
    "one that never ends": (video(frames=32_769), GOOD, "v/b.mp4 has 32,769 frames, more than the 32,768"),
    "one that kills the worker": (video(does="dies"), GOOD, "a worker process was killed...--workers 1"),
    "a full disk": (video(does="fills the disk"), GOOD, "cannot write to o: No space left on device: make room"),
    "a full disk at the end": (("cannot_be_written", "o/manifest.json"), GOOD, "cannot write to o: No space left"),
    "no labels": (None, LABELLED, "cannot read l.csv: No such file"),
    "labels without a column": (("holds", "l.csv", "file,phrase\n"), LABELLED, "l.csv lacks the column signer"),
    "a label of a missing video": (labels(ROWS + "c.mp4,x,1\n"), LABELLED, "l.csv, line 4: 'c.mp4' is not among"),
    "a video labelled twice": (labels(ROWS + "a.mp4,x,1\n"), LABELLED, "l.csv, line 4: a.mp4 is labelled twice"),
    "a video without a label": (labels("a.mp4,hello,1\n"), LABELLED, "l.csv has no row for b.mp4: add one"),
    "a signer by name": (labels("a.mp4,hello,Ann\n"), LABELLED, "line 2: signer 'Ann' is not a whole number"),
    "an empty phrase": (labels("a.mp4, ,1\n"), LABELLED, "line 2: a.mp4 has an empty phrase"),
    "a folder of something else": (None, "v --output data", "data already holds something else"),
}


@pytest.fixture(autouse=True)
def videos(place, monkeypatch):
    for name in "ab":
        fake.write(place / f"v/{name}.mp4")
    monkeypatch.setattr(track, "_tracker", lambda: fake.TRACKER)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("pipeline.track", *MISTAKES[name])
