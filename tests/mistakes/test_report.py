"""Mistakes people make with `python -m pipeline.report`."""

import pytest

from pipeline import report, score_table

NEEDS = ("data", "dataset", "scores", "run", "evaluation")
A_TABLE = "expected a score table, which training.score makes"
HEADER = ",".join(score_table._COLUMNS)
TWO = "score the same split of the same data with both models"

OPTIONS = {
    "": "the following arguments are required: scores",
    "scores --spilt train": "unrecognized arguments: --spilt train (did you mean --split instead of --spilt?)",
    "scores --split all": "argument --split: invalid choice: 'all' (choose from ...)",
    "scores scores scores": "unrecognized arguments: scores (no option takes it: ...)",
    "s3://bucket/scores": "argument scores: 's3://bucket/scores' is neither ... nor gs://BUCKET/FOLDER",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(report, words, OPTIONS[words])


MISTAKES = {
    "a misspelt folder": (
        None,
        "scorse",
        f"scorse: no such file or directory; {A_TABLE} (did you mean scores?)",
    ),
    "a data set": (None, "dataset", f"dataset is a dataset; {A_TABLE}"),
    "a run": (None, "scores run", f"run is a run; {A_TABLE}"),
    "unfinished scores": (
        ("removed", "scores/manifest.json"),
        "scores",
        "scores is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "another table": (
        None,
        "data/train.csv",
        "data/train.csv: expected the columns sequence_id, ...; delete its directory and score the data set again",
    ),
    "no table": (
        ("removed", "scores/scores.csv"),
        "scores",
        "cannot read scores/scores.csv (No such file or directory): delete its directory and score the data set again",
    ),
    "a split without sequences": (
        None,
        "scores --split validation",
        "scores/scores.csv has no validation sequences: name a split that it has with --split: train, test",
    ),
    "scores of other sequences": (
        ("holds", "b.csv", f"{HEADER}\n5,3,test,9,1,ab,ab,1.0,0,0,0,1\n"),
        "scores b.csv",
        f"the tables are of other sequences (12 and 1): ... is in the first alone; {TWO}",
    ),
    "no list to leave out": (
        None,
        "scores --leave-out spoiled.csv",
        "cannot read spoiled.csv: expected a CSV file with a column sequence_id (No such file or directory)",
    ),
    "a list of something else": (
        ("holds", "spoiled.csv", "id\n5\n"),
        "scores --leave-out spoiled.csv",
        "cannot read spoiled.csv: expected a CSV file with a column sequence_id ('sequence_id')",
    ),
    "everything left out": (
        None,
        "scores --leave-out data/train.csv",
        "scores/scores.csv: all of its 12 test sequences are to be left out",
    ),
    "no permission": (
        ("cannot_be_written", "report.json", 13),
        "scores --json report.json",
        "report.json: Permission denied: get access to it, or name another place",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(report, *MISTAKES[name])
