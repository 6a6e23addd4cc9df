"""Mistakes people make with `python -m inference.recognize` alone."""

import pyarrow.parquet as pq
import pytest

from inference import recognize
from inference.recognizer import Prediction
from pipeline.tasks.fingerspelling import Fingerspelling

FOLDER = "data/train_landmarks"
FILE = f"{FOLDER}/1.parquet"
GOOD = f"{FILE} --model export"
AGAIN = "export it again"

MISTAKES = {
    "a misspelt file": (None, f"{FOLDER}/11.parquet --model export", f"{FOLDER}/11.parquet: no...did you mean {FILE}?"),
    "a pattern the shell left": (None, "data/*.parquet --model export", "data/*.parquet: no such file or directory"),
    "the folder of the data": (None, "data --model export", f"data holds no parquet file...did you mean {FOLDER}?"),
    "the file of the model": (None, f"{FILE} --model export/model.tflite", "export/model...did you mean export?"),
    "no model in it": (("removed", "export/model.tflite"), GOOD, "export...lacks model.tflite"),
    "columns cut short": (("cut", "export/inference_args.json"), GOOD, "export/inference_args.json...make it again"),
    "no such task": (("task", "export/inference_args.json", "toy"), GOOD, "export/inference_args.json...no task 'toy'"),
    "a web page": (("holds", "export/model.tflite", "<!DOCTYPE html>" * 99), GOOD, f"export holds a...{AGAIN}"),
    "too many threads": (
        None,
        f"{GOOD} --threads 9000000000",
        "argument --threads: '9000000000' is not a whole number of at",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("inference.recognize", *MISTAKES[name])


class Mute:
    """Stands in for a `Recognizer`."""

    task = Fingerspelling()

    def __init__(self, *_, **__):
        pass

    def recognize(self, _, *, greedy=False):
        return Prediction("", 0.0, 0.0)


def without_rows(path):
    pq.write_table(pq.read_table(path).slice(0, 0), path)


FILES = {
    "one of several is cut": (("cut", FILE), f"{FOLDER} --model export", f"cannot read {FILE} as parquet...Download"),
    "a video": (("holds", "a.mp4", b"\0\0\0 ftypisom"), "a.mp4 --model export", "cannot read a.mp4 as parquet"),
    "without rows": (("edited", FILE, without_rows), GOOD, f"{FILE} has no rows: nothing to recognize"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(refused, monkeypatch, name):
    monkeypatch.setattr(recognize, "Recognizer", Mute)
    refused("inference.recognize", *FILES[name])
