"""Mistakes people make with `python -m inference.recognize`."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference import recognize
from inference.recognizer import Recognition

NEEDS = ("data", "dataset", "run", "model")
FILE = "data/train_landmarks/1.parquet"
GOOD = f"{FILE} --model model"
PARQUET = "expected a parquet file, or a folder of them"
EXPORT = "expected what inference.export makes"
DOWNLOAD = "half-downloaded? Download it again"

OPTIONS = {
    "--model model": "the following arguments are required: input",
    FILE: "the following arguments are required: --model",
    f"{FILE} --modle model": "the following arguments are required: --model (did you mean --model instead of --modle?)",
    f"{FILE} data/train_landmarks/2.parquet --model model": "unrecognized arguments: data/train_landmarks/2.parquet (no"
    " option takes it: write a list as 3,17, and quotes around a path with spaces)",
    f"{GOOD} --output o": "unrecognized arguments: --output o",
    f"{GOOD} --thread 2": "unrecognized arguments: --thread 2 (did you mean --threads instead of --thread?)",
    f"{GOOD} --threads two": "argument --threads: 'two' is not a whole number of at least 1",
    "s3://bucket/1.parquet --model model": "argument input: 's3://bucket/1.parquet' is neither ... nor gs://BUCKET/FOLDER",
    f"{FILE} --model=": "argument --model: the path is empty (a variable that is not set?)",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(recognize, words, OPTIONS[words])


MISTAKES = {
    # What is to be recognised.
    "a misspelt file": (
        None,
        "data/train_landmarks/11.parquet --model model",
        f"data/train_landmarks/11.parquet: no such file or directory; {PARQUET} (did you mean {FILE}?)",
    ),
    "a pattern that the shell left": (
        None,
        "data/*.parquet --model model",
        f"data/*.parquet: no such file or directory; {PARQUET}",
    ),
    "the folder of the data": (
        None,
        "data --model model",
        f"data holds no parquet file; {PARQUET} (did you mean data/train_landmarks?)",
    ),
    "a data set": (None, "dataset --model model", f"dataset holds no parquet file; {PARQUET}"),
    "swapped": (None, f"model --model {FILE}", f"model holds no parquet file; {PARQUET}"),
    "a link to nowhere": (
        ("links_nowhere", "a.parquet"),
        "a.parquet --model model",
        f"a.parquet: a link to gone, which is not there; {PARQUET}",
    ),
    # The model.
    "a misspelt folder": (
        None,
        f"{FILE} --model modl",
        f"modl is no export: no such file or directory; {EXPORT} (did you mean model?)",
    ),
    "the file in it": (
        None,
        f"{FILE} --model model/model.tflite",
        f"model/model.tflite is no export: a file, not a directory; {EXPORT} (did you mean model?)",
    ),
    "the folder around it": (
        None,
        f"{FILE} --model .",
        f". is no export: it lacks inference_args.json; {EXPORT} (did you mean model?)",
    ),
    "a run that was not exported": (
        None,
        f"{FILE} --model run",
        f"run is no export: it lacks inference_args.json; {EXPORT}",
    ),
    "no file in it": (
        ("removed", "model/model.tflite"),
        GOOD,
        f"model is no export: it lacks model.tflite; {EXPORT}",
    ),
    "no arguments": (
        ("removed", "model/inference_args.json"),
        GOOD,
        f"model is no export: it lacks inference_args.json; {EXPORT}",
    ),
    "arguments that are cut short": (
        ("cut", "model/inference_args.json"),
        GOOD,
        "cannot read model (...): export it again",
    ),
    "an empty file": (
        ("holds", "model/model.tflite", ""),
        GOOD,
        "cannot read model (...): export it again",
    ),
    "a web page": (
        ("holds", "model/model.tflite", "<!DOCTYPE html>" * 99),
        GOOD,
        "cannot read model (The model is not a valid Flatbuffer buffer): export it again",
    ),
    "more threads than can be counted": (
        None,
        f"{GOOD} --threads 9000000000",
        "cannot read model (...): export it again",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(recognize, *MISTAKES[name])


class Mute:
    """Stands in for a `Recognizer`."""

    def __init__(self, *_, **__):
        pass

    def recognize(self, _):
        return Recognition("", 0.0, 0.0)


def without_rows(path):
    pq.write_table(pq.read_table(path).slice(0, 0), path)


def without_a_column(path):
    pq.write_table(pq.read_table(path).drop_columns(["y_face_17"]), path)


def isolated(path):
    pq.write_table(pa.table({"frame": [1], "type": ["face"], "landmark_index": [0], "x": [0.1]}), path)


FILES = {
    "half-downloaded": (("cut", FILE), GOOD, f"cannot read {FILE} as parquet (...): {DOWNLOAD}"),
    "one of several half-downloaded": (
        ("cut", "data/train_landmarks/2.parquet"),
        "data/train_landmarks --model model",
        f"cannot read data/train_landmarks/2.parquet as parquet (...): {DOWNLOAD}",
    ),
    "empty": (
        ("holds", FILE, ""),
        GOOD,
        f"cannot read {FILE} as parquet (Parquet file size is 0 bytes): {DOWNLOAD}",
    ),
    "a video": (
        ("holds", "a.mp4", b"\0\0\0 ftypisom"),
        "a.mp4 --model model",
        f"cannot read a.mp4 as parquet (...): {DOWNLOAD}",
    ),
    "the table of the data": (
        None,
        "data/train.csv --model model",
        f"cannot read data/train.csv as parquet (...): {DOWNLOAD}",
    ),
    "without rows": (("edited", FILE, without_rows), GOOD, f"{FILE} has no rows: nothing to recognise"),
    "without a column": (
        ("edited", FILE, without_a_column),
        GOOD,
        f"{FILE} lacks the column y_face_17: expected the Kaggle layout",
    ),
    "of the isolated-sign set": (
        ("edited", FILE, isolated),
        GOOD,
        f"{FILE} is of the isolated-sign set (asl-signs), a row a landmark: expected fingerspelling, a row a frame",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files(mistake, monkeypatch, name):
    monkeypatch.setattr(recognize, "Recognizer", Mute)
    mistake(recognize, *FILES[name])
