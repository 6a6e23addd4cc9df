"""Mistakes people make with `python -m inference.submit`."""

import pytest

from inference import submit

NEEDS = ("data", "dataset", "run", "model", "scores")
GOOD = "--model model --data data --output o"
A_MODEL = "expected a model, which inference.export makes"
PARQUET = "expected a parquet file, or a folder of them"

OPTIONS = {
    "--model model": "the following arguments are required: --data, --output",
    "--modle model --data data --output o": "the following arguments are required: --model"
    " (did you mean --model instead of --modle?)",
    f"{GOOD} --participants two": "argument --participants: ...",
    f"{GOOD} --sequences 0": "argument --sequences: '0' is not a whole number of at least 1",
    f"{GOOD} --test-sequences many": "argument --test-sequences: 'many' is not a whole number of at least 1",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(submit, words, OPTIONS[words])


MISTAKES = {
    # The model.
    "a run that was not exported": (
        None,
        "--model run --data data --output o",
        f"run is a run; {A_MODEL}",
    ),
    "a misspelt folder": (
        None,
        "--model modl --data data --output o",
        f"modl: no such file or directory; {A_MODEL} (did you mean model?)",
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
    "a file that is cut short": (
        ("cut", "model/model.tflite"),
        GOOD,
        "model/model.tflite is not the file that manifest.json tells of: it was cut short, changed or replaced; delete"
        " model and make it again",
    ),
    "no arguments": (
        ("removed", "model/inference_args.json"),
        GOOD,
        "model/inference_args.json: No such file or directory",
    ),
    "arguments that are cut short": (
        ("cut", "model/inference_args.json"),
        GOOD,
        "inference_args.json does not name selected_columns (...): o/submission.zip is not put in place",
    ),
    "a file that LiteRT cannot read": (
        None,
        GOOD,
        "model.tflite does not run in LiteRT (...): o/submission.zip is not put in place",
    ),
    # The data.
    "no data": (
        None,
        "--model model --data dta --output o",
        f"dta: no such file or directory; {PARQUET}",
    ),
    "a data set": (
        None,
        "--model model --data dataset --output o",
        f"dataset holds no parquet file; {PARQUET}",
    ),
    "signers without a table": (
        None,
        "--model model --data data/train_landmarks --output o --participants 3",
        "data/train_landmarks has no train.csv, which tells whose sequences are whose (--participants)",
    ),
    "signers that are not there": (
        None,
        f"{GOOD} --participants 3,17,99",
        "--participants: data/train.csv has no signer 17, 99",
    ),
    "another vocabulary": (
        ("holds", "data/character_to_prediction_index.json", '{"a": 0}'),
        GOOD,
        "data/character_to_prediction_index.json is not the vocabulary of this program (...",
    ),
    # The output.
    "the model as output": (
        None,
        "--model model --data data --output model",
        "model holds a model, not a submission: choose another directory",
    ),
    "no permission": (
        ("cannot_be_written", "o/request.json", 13),
        GOOD,
        "cannot write to o: Permission denied: get access to it, or name another place",
    ),
    "a read-only file system": (
        ("cannot_be_written", "o/request.json", 30),
        GOOD,
        "cannot write to o: Read-only file system: get access to it, or name another place",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(submit, *MISTAKES[name])


@pytest.fixture
def runs(monkeypatch):
    """A submission that says something, without a network."""

    class Submission:
        columns = ("x_face_0",)

        def __init__(self, _):
            pass

        def text(self, *_):
            return "a"

    monkeypatch.setattr(submit, "Submission", Submission)


FILES = {
    "a file that is not there": (
        ("removed", "data/train_landmarks/2.parquet"),
        "cannot read data/train_landmarks/2.parquet (...): download it again: o/submission.zip is not put in place",
    ),
    "a file that is cut short": (
        ("cut", "data/train_landmarks/1.parquet"),
        "cannot read data/train_landmarks/1.parquet (...): download it again: o/submission.zip is not put in place",
    ),
    "an empty file": (
        ("holds", "data/train_landmarks/1.parquet", ""),
        "cannot read data/train_landmarks/1.parquet (Parquet file size is 0 bytes): download it again:"
        " o/submission.zip is not put in place",
    ),
    "no space": (
        ("cannot_be_written", "o/submission.zip"),
        "o/submission.zip: No space left on device: make room there, then run the same command: it goes on",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files(mistake, runs, name):
    spoiled, said = FILES[name]
    mistake(submit, spoiled, GOOD, said)


def test_other_sequences_than_the_table_names(mistake, runs):
    table = "path,sequence_id,participant_id,phrase\ntrain_landmarks/1.parquet,7,1,abc\n"
    said = (
        "nothing to check it on: no rows of such sequences in data/train_landmarks/1.parquet: o/submission.zip is not"
        " put in place"
    )
    mistake(submit, ("holds", "data/train.csv", table), GOOD, said)
