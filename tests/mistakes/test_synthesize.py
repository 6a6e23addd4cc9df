"""Mistakes people make with `python -m pipeline.synthesize` alone."""

import pytest

from pipeline import synthesize

GOOD = "--output o --clips 3 --signers 1 --files 1"

MISTAKES = {
    "a count of another form": (None, f"{GOOD} --clips 1e3", "argument --clips: not a whole number: '1e3'"),
    "a share as per cent": (None, f"{GOOD} --spoiled-share 12%", "argument --spoiled-share: not a number...'12%'"),
    "no clips": (None, f"{GOOD} --clips 0", "0 clips: expected at least 1"),
    "more signers than clips": (None, f"{GOOD} --signers 4", "4 signers for 3 clips: expected between 1 and 3"),
    "a share in per cent": (None, f"{GOOD} --spoiled-share 12", "a spoiled share of 12: expected between 0 and 1"),
    "a seed below 0": (None, f"{GOOD} --seed -1", "seed -1: expected at least 0"),
    "no space": (("cannot_be_written", "o/train.csv"), GOOD, "o: No space left on device: make room"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("pipeline.synthesize", *MISTAKES[name])


def test_no_space_within_a_parquet_file(refused, monkeypatch):
    """Arrow names the error in its own way."""

    def full(*_, **__):
        raise OSError("Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr(synthesize.pq.ParquetWriter, "write_table", full)
    refused("pipeline.synthesize", None, GOOD, "cannot write to o:...No space left on device: make room")
