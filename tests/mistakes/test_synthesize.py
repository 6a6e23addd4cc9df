"""Mistakes people make with `python -m pipeline.synthesize` alone."""

import pyarrow.parquet as pq
import pytest

GOOD = "--output o --clips 3 --signers 1 --files 1"
SIGNS = "--task isolated-signs --output o --clips 3 --signers 1 --signs 2"

MISTAKES = {
    "a count of another form": (None, f"{GOOD} --clips 1e3", "argument --clips: not a whole number: '1e3'"),
    "a share as per cent": (None, f"{GOOD} --spoiled-share 12%", "argument --spoiled-share: not a number...'12%'"),
    "no clips": (None, f"{GOOD} --clips 0", "0 clips: expected at least 1"),
    "more signers than clips": (None, f"{GOOD} --signers 4", "4 signers for 3 clips: expected between 1 and 3"),
    "a share in per cent": (None, f"{GOOD} --spoiled-share 12", "a spoiled share of 12: expected between 0 and 1"),
    "a seed below 0": (None, f"{GOOD} --seed -1", "seed -1: expected at least 0"),
    "a task of another name": (None, "--output o --task isolated-sign", "did you mean isolated-signs?"),
    "an option of another task": (None, f"{GOOD} --signs 2", "--signs is not an option of the task fingerspelling"),
    "files of signs": (None, f"{SIGNS} --files 2", "--files is not an option of the task isolated-signs"),
    "one sign": (None, f"{SIGNS} --signs 1", "1 signs for 3 clips: expected between 2 and 3"),
    "too many signs": (None, f"{SIGNS} --clips 2000 --signs 1001", "1001 signs: expected at most 1000"),
    "too few clips for the signs": (None, f"{SIGNS} --clips 1 --signs 2", "2 signs for 1 clips"),
    "no space for signs": (("cannot_be_written", "o/train.csv"), SIGNS, "o: No space left on device: make room"),
    "no space": (("cannot_be_written", "o/train.csv"), GOOD, "o: No space left on device: make room"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("pipeline.synthesize", *MISTAKES[name])


@pytest.mark.parametrize("words", [GOOD, SIGNS])
def test_no_space_within_a_parquet_file(refused, monkeypatch, words):
    """Arrow names the error in its own way."""

    def full(*_, **__):
        raise OSError("Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    refused("pipeline.synthesize", None, words, "cannot write to o:...No space left on device: make room")
