"""Mistakes people make with `scripts/run_pipeline`: those it must find before the first of its long stages."""

import pytest

from scripts import run_pipeline

GOOD = "--data data --output o"
FOLDER = "--data data/train_landmarks --output o"

MISTAKES = {
    "no signers": (None, f"{GOOD} --test-signers=", "argument --test-signers: '' is not a list of signers"),
    "the folder of parquet files": (None, FOLDER, "data/train_landmarks has no train.csv...did you mean data?"),
    "a signer that is not there": (None, f"{GOOD} --test-signers 9", "no signer 9 in the data, which has 1, 2, 3"),
    "more folds than signers": (None, f"{GOOD} --folds 3", "data: 3 folds, but 2 training signers to divide: lower"),
    "no such encoder": (None, f"{GOOD} --set encoder.name=publishd", "encoder.name=publishd...did you mean published?"),
    "no truth file": (None, f"{GOOD} --truth t.csv", "t.csv: expected a CSV file with sequence_id and kind"),
    "another table": (None, f"{GOOD} --truth data/train.csv", "data/train.csv lacks the column kind"),
    "other data": (("holds", "t.csv", "sequence_id,kind\n5,tap\n"), f"{GOOD} --truth t.csv", "t.csv is in data"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("scripts.run_pipeline", *MISTAKES[name], begins=False)


@pytest.mark.parametrize("status", [1, 130])
def test_what_a_stage_has_said_is_not_said_again(answer, monkeypatch, status):
    monkeypatch.setattr(run_pipeline, "call", lambda command: status)
    ended, line = answer("scripts.run_pipeline", GOOD)
    assert ended == status
    assert line.rstrip("─") == "1/7 convert "


def test_a_stage_that_was_killed(answer, monkeypatch):
    monkeypatch.setattr(run_pipeline, "call", lambda command: -9)
    ended, lines = answer("scripts.run_pipeline", GOOD)
    assert ended == 1
    (said,) = lines.splitlines()[1:]
    assert said.startswith("error: the stage was killed by signal 9")
