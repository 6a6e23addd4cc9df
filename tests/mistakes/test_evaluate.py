"""Mistakes people make with `python -m inference.evaluate`."""

import pytest

from inference import evaluate

NEEDS = ("data", "dataset", "run", "model", "evaluation")
SHARD = "dataset/shards/test-00001-of-00002.tfrecord.gz"
GOOD = "--model model --dataset dataset --output o"
A_DATASET = "expected a dataset, which pipeline.convert or pipeline.filter makes"
A_MODEL = "expected a model, which inference.export makes"
REPLACED = (
    "is not the file that manifest.json tells of: it was cut short, changed or replaced; delete model and make it again"
)

OPTIONS = {
    "": "the following arguments are required: --model, --dataset, --output",
    "--model model --data dataset --output o": "the following arguments are required: --dataset (did you mean --dataset"
    " instead of --data?)",
    f"{GOOD} --spilt test": "unrecognized arguments: --spilt test (did you mean --split instead of --spilt?)",
    f"{GOOD} --split tests": "argument --split: invalid choice: 'tests' (choose from ...)",
    f"{GOOD} --threads 0": "argument --threads: '0' is not a whole number of at least 1",
    f"{GOOD} --threads two": "argument --threads: 'two' is not a whole number of at least 1",
    "--model s3://bucket/model --dataset dataset --output o": "argument --model: 's3://bucket/model' is neither ... nor gs://BUCKET/FOLDER",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(evaluate, words, OPTIONS[words])


MISTAKES = {
    "swapped": (None, "--model dataset --dataset model --output o", f"dataset is a dataset; {A_MODEL}"),
    "a run that was not exported": (None, "--model run --dataset dataset --output o", f"run is a run; {A_MODEL}"),
    "a misspelt folder": (
        None,
        "--model modl --dataset dataset --output o",
        f"modl: no such file or directory; {A_MODEL} (did you mean model?)",
    ),
    "the file in it": (
        None,
        "--model model/model.tflite --dataset dataset --output o",
        f"model/model.tflite: a file, not a directory; {A_MODEL} (did you mean model?)",
    ),
    "the folder of Kaggle data": (
        None,
        "--model model --dataset data --output o",
        f"data has no manifest.json; {A_DATASET}",
    ),
    "an unfinished export": (
        ("removed", "model/manifest.json"),
        GOOD,
        "model is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "a model of another version": (
        ("says", "model/manifest.json", {"schema_version": 0}),
        GOOD,
        "model is a model of another version of this program (schema version 0, this one has 1): "
        "delete it and make it again",
    ),
    "an edited manifest": (
        ("says", "model/manifest.json", {"model_sha256": None}),
        GOOD,
        "model/manifest.json lacks model_sha256: of another version, delete model and make it again",
    ),
    "a manifest that is no JSON": (
        ("holds", "model/manifest.json", "model"),
        GOOD,
        "cannot read model/manifest.json (...): model is damaged, delete it and make it again",
    ),
    "a manifest one may not read": (
        ("cannot_be_read", "model/manifest.json"),
        GOOD,
        "cannot read model/manifest.json: Permission denied: get access to it, or name another place",
    ),
    "no file in it": (
        ("removed", "model/model.tflite"),
        GOOD,
        "cannot read model/model.tflite (No such file or directory): delete model and make it again",
    ),
    "an empty file": (("holds", "model/model.tflite", ""), GOOD, f"model/model.tflite {REPLACED}"),
    "a file that is cut short": (("cut", "model/model.tflite"), GOOD, f"model/model.tflite {REPLACED}"),
    "a file of another model": (("holds", "model/model.tflite", b"TFL3"), GOOD, f"model/model.tflite {REPLACED}"),
    "a file that LiteRT cannot read": (
        None,
        GOOD,
        "cannot read model (...): export it again",
    ),
    "no arguments": (
        ("removed", "model/inference_args.json"),
        GOOD,
        "model is no export: it lacks inference_args.json; expected what inference.export makes",
    ),
    "arguments that are cut short": (
        ("cut", "model/inference_args.json"),
        GOOD,
        "cannot read model (...): export it again",
    ),
    "a split without sequences": (
        None,
        f"{GOOD} --split validation",
        "dataset has no validation sequences: name a split that it has with --split: train, test",
    ),
    "a record file that is cut short": (
        ("cut", SHARD),
        GOOD,
        f"{SHARD} has ... bytes, the manifest says ...: cut short, or another data set's; delete it and its data set's"
        " manifest.json, then run the command that made it: it makes what is missing",
    ),
    "an unfinished data set": (
        ("removed", "dataset/manifest.json"),
        GOOD,
        "dataset is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "the model as output": (
        None,
        "--model model --dataset dataset --output model",
        "model holds a model, not an evaluation: choose another directory",
    ),
    "output over another evaluation": (
        ("says", "evaluation/request.json", {"settings": {"split": "train"}}),
        "--model model --dataset dataset --output evaluation",
        "evaluation holds an evaluation made with other settings (...); delete it first if you mean to replace it:"
        " choose another directory",
    ),
    "output to a file": (
        None,
        "--model model --dataset dataset --output data/train.csv",
        "data/train.csv is a file, not a directory: choose another directory to write to",
    ),
    "no permission": (
        ("cannot_be_written", "o/request.json", 13),
        GOOD,
        "cannot write to o: Permission denied: get access to it, or name another place",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(evaluate, *MISTAKES[name])


class Mute:
    """Stands in for a `Recognizer`."""

    def __init__(self, *_, **__):
        pass

    def text(self, _):
        return ""


def test_no_space(mistake, monkeypatch):
    """For the table, once everything is recognised."""
    monkeypatch.setattr(evaluate, "Recognizer", Mute)
    said = "o/scores.csv: No space left on device: make room there, then run the same command: it goes on"
    mistake(evaluate, ("cannot_be_written", "o/scores.csv"), GOOD, said)
