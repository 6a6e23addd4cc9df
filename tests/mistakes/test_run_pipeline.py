"""Mistakes people make with `scripts/run_pipeline`: those it must find before the first of its long stages."""

import importlib.util
import pathlib

import pytest

NEEDS = ("data", "dataset", "sample")
KAGGLE = "expected a data directory in the Kaggle layout"
GOOD = "--data data --output o"
TRUTH = "expected a CSV file with the columns sequence_id, kind"


@pytest.fixture(scope="module")
def script():
    path = pathlib.Path(__file__).parents[2] / "scripts/run_pipeline.py"
    spec = importlib.util.spec_from_file_location("run_pipeline_in_a_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OPTIONS = {
    "": "the following arguments are required: --data, --output",
    "data --output o": "the following arguments are required: --data",
    "--dat data --output o": "the following arguments are required: --data (did you mean --data instead of --dat?)",
    f"{GOOD} --test-participant 3": "unrecognized arguments: --test-participant 3 (did you mean --test-participants"
    " instead of --test-participant?)",
    f"{GOOD} --test-participants 1 2": "unrecognized arguments: 2 (no option takes it: write a list as 3,17, and quotes"
    " around a path with spaces)",
    f"{GOOD} --test-participants=": "argument --test-participants: '' is no list of participant ids, such as 3,17",
    f"{GOOD} --preset base": "argument --preset: invalid choice: 'base' (choose from ...small..., ...published...)",
    f"{GOOD} --folds none": "argument --folds: 'none' is not a whole number of at least 1",
    f"{GOOD} --fold-by signer": "argument --fold-by: invalid choice: 'signer' (choose from ...)",
    f"{GOOD} --quick": "unrecognized arguments: --quick",
    "--data s3://bucket/data --output o": "argument --data: 's3://bucket/data' is neither ... nor gs://BUCKET/FOLDER",
    "--data data --output=": "argument --output: the path is empty (a variable that is not set?)",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, script, words):
    wrong_options(script, words, OPTIONS[words])


MISTAKES = {
    "a misspelt folder": (
        None,
        "--data dat --output o",
        f"dat: no such file or directory; {KAGGLE} (did you mean data?)",
    ),
    "the folder of parquet files": (
        None,
        "--data data/train_landmarks --output o",
        f"data/train_landmarks has no train.csv: {KAGGLE} (did you mean data?)",
    ),
    "the archive": (
        ("holds", "asl.zip", "PK"),
        "--data asl.zip --output o",
        f"asl.zip: a file, not a directory; {KAGGLE} (unpack asl.zip)",
    ),
    "swapped": (None, "--data o --output data", f"o: no such file or directory; {KAGGLE}"),
    "the isolated-sign set": (
        ("holds", "data/train.csv", "path,participant_id,sequence_id,sign\na/1.parquet,1,2,blow\n"),
        GOOD,
        "data/train.csv is of the isolated-sign set (asl-signs), it has the column sign and no phrase: expected"
        " fingerspelling data",
    ),
    "a signer that is not there": (
        None,
        f"{GOOD} --test-participants 9",
        "no participant 9 in the data, which has 1, 2, 3",
    ),
    "nobody left to train": (
        None,
        f"{GOOD} --test-participants 1,2,3",
        "no signer is left to train on: of 3, all are ...",
    ),
    "more folds than signers": (
        None,
        f"{GOOD} --folds 3",
        "data: 3 folds, but 2 training signers to divide: lower the number of folds, or divide by sequence",
    ),
    "a misspelt setting": (
        None,
        f"{GOOD} --set optimizer.epoch=3",
        "--set optimizer.epoch=3: no setting 'epoch' (did you mean epochs?)",
    ),
    "a setting without a value": (
        None,
        f"{GOOD} --set optimizer.epochs",
        "--set optimizer.epochs: expected name=value, such as optimizer.epochs=40",
    ),
    "a value of another type": (
        None,
        f"{GOOD} --set optimizer.epochs=1.5",
        "--set optimizer.epochs=1.5: epochs must be of type int (such as ...), not 1.5",
    ),
    "no truth file": (
        None,
        f"{GOOD} --truth truth.csv",
        f"cannot read truth.csv: {TRUTH} (No such file or directory)",
    ),
    "another table as truth": (
        None,
        f"{GOOD} --truth data/train.csv",
        f"cannot read data/train.csv: {TRUTH} (found path, file_id, sequence_id, participant_id, phrase)",
    ),
    "the truth about other data": (
        ("holds", "truth.csv", "sequence_id,kind\n5,tap\n"),
        f"{GOOD} --truth truth.csv",
        "none of the sequences in truth.csv is in data: it belongs to other data",
    ),
    "the data as output": (
        None,
        "--data data --output data",
        "data already holds something else: choose an empty or new directory",
    ),
    "output over a data set": (
        None,
        "--data data --output dataset",
        "dataset holds a dataset, not a pipeline run: choose another directory",
    ),
    "output to a file": (
        None,
        "--data data --output data/train.csv",
        "data/train.csv is a file, not a directory: choose another directory to write to",
    ),
    "output below a file": (
        None,
        "--data data --output data/train.csv/o",
        "cannot write to data/train.csv/o: Not a directory: a part of this path is a file, name another place",
    ),
    "output to a link to nowhere": (
        ("links_nowhere", "o"),
        GOOD,
        "o is a link to gone, which is not there: choose another directory to write to",
    ),
    "no permission": (
        ("cannot_be_written", "o/request.json", 13),
        GOOD,
        "cannot write to o: Permission denied: get access to it, or name another place",
    ),
    "no space": (
        ("cannot_be_written", "o/request.json"),
        GOOD,
        "cannot write to o: No space left on device: make room there, then run the same command: it goes on",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, script, name):
    mistake(script, *MISTAKES[name])


@pytest.mark.parametrize("status", [1, 2, 130])
def test_what_a_stage_has_said_is_not_said_again(answer, script, monkeypatch, status):
    monkeypatch.setattr(script, "call", lambda command: status)
    ended, line = answer(script, GOOD)
    assert ended == status
    assert line.rstrip("─") == "1/7 convert "


def test_a_stage_that_was_killed(answer, script, monkeypatch):
    monkeypatch.setattr(script, "call", lambda command: -9)
    ended, lines = answer(script, GOOD)
    assert ended == 1
    said = "error: the stage was killed by signal 9 (no memory left?): the same command continues it"
    assert lines.splitlines()[1:] == [said]
