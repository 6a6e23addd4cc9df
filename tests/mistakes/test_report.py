"""Mistakes people make with `python -m pipeline.report` alone."""

import pytest

from pipeline.scores import score_table

ROW = "5,3,test,9,1,ab,ab,0,2,0,0,0,,0,1.0,1"
OTHER = [
    ("is_copy_of", "other", "scores"),
    ("holds", "other/scores.csv", f"{','.join(score_table._COLUMNS)}\n{ROW}\n"),
    ("sealed", "other"),
]

MISTAKES = {
    "a run to compare with": (None, "scores run", "run is a run; expected a score table"),
    "no such task": (("task", "scores/manifest.json", "toy"), "scores", "scores/manifest.json: there is no task 'toy'"),
    "a split without clips": (None, "scores --split validation", "scores/scores.csv...--split: train, test"),
    "scores of other clips": (OTHER, "scores other", "the tables are of other clips...score"),
    "no list to leave out": (None, "scores --leave-out spoiled.csv", "spoiled.csv: expected a CSV file with"),
    "another list": (("holds", "a.csv", "id\n5\n"), "scores --leave-out a.csv", "a.csv lacks the column sequence_id"),
    "everything left out": (None, "scores --leave-out data/train.csv", "scores/scores.csv: all of its 12 test clips"),
    "no permission": (("cannot_be_written", "a.json", 13), "scores --json a.json", "a.json: Permission denied"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("pipeline.report", *MISTAKES[name])
