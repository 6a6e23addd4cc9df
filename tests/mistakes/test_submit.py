"""Mistakes people make with `python -m inference.submit` alone."""

import pytest

from inference import submit

GOOD = "--model model --data data --output o"
FILE = "data/train_landmarks/1.parquet"
NOTHING = "o/submission.zip is not put in place"

MISTAKES = {
    "signers that are none": (None, f"{GOOD} --signers two", "argument --signers: 'two' is not a list of signers"),
    "a file that LiteRT cannot read": (None, GOOD, f"model.tflite does not run in LiteRT...{NOTHING}"),
    "signers without a table": (
        ("removed", "data/train.csv"),
        f"{GOOD} --signers 3",
        "data has no train.csv...--signers",
    ),
    "signers that are not there": (None, f"{GOOD} --signers 3,17,99", "--signers: data/train.csv has no signer 17, 99"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("inference.submit", *MISTAKES[name])


ONE_CLIP = "path,sequence_id,participant_id,phrase\ntrain_landmarks/1.parquet,7,1,abc\n"
FILES = {
    "a file that is not there": (("removed", FILE), f"cannot read {FILE}: No such file"),
    "a file cut short": (("cut", FILE), f"cannot read {FILE}...ownload it again: {NOTHING}"),
    "other clips": (("holds", "data/train.csv", ONE_CLIP), f"nothing to check it on...{FILE}: {NOTHING}"),
    "no space": (("cannot_be_written", "o/submission.zip"), "o/submission.zip: No space left on device: make room"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(refused, monkeypatch, name):
    """Of a submission that says something, without a network."""

    class Submission:
        columns, frame = ("x_face_0",), (1,)

        def __init__(self, *_):
            pass

        def answer(self, *_):
            return "a"

    monkeypatch.setattr(submit, "Submission", Submission)
    spoiled, said = FILES[name]
    refused("inference.submit", spoiled, GOOD, said)
