"""Mistakes people make with `python -m pipeline.synthesize`."""

import pytest

from pipeline import synthesize

NEEDS = ("data", "dataset", "sample")
SMALL = "--sequences 3 --signers 1 --files 1"
GOOD = f"{SMALL} --output o"

OPTIONS = {
    "": "the following arguments are required: --output",
    "o": "the following arguments are required: --output",
    "--ouput o": "the following arguments are required: --output (did you mean --output instead of --ouput?)",
    "--output o --sequence 3": "unrecognized arguments: --sequence 3 (did you mean --sequences instead of --sequence?)",
    "--output o --spoilt-share 0.1": "unrecognized arguments: --spoilt-share 0.1 (did you mean --spoiled-share instead"
    " of --spoilt-share?)",
    "--output o --test-participants 3": "unrecognized arguments: --test-participants 3",
    "--output my samples": "unrecognized arguments: samples (no option takes it: write a list as 3,17, and quotes"
    " around a path with spaces)",
    "--output=": "argument --output: the path is empty (a variable that is not set?)",
    "--output s3://bucket/o": "argument --output: 's3://bucket/o' is neither ... nor gs://BUCKET/FOLDER",
    "--output o --sequences 1e3": "argument --sequences: not a whole number: '1e3'",
    "--output o --sequences 1,000": "argument --sequences: not a whole number: '1,000'",
    "--output o --seed today": "argument --seed: not a whole number: 'today'",
    "--output o --spoiled-share 12%": "argument --spoiled-share: not a number, such as 0.1: '12%'",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(synthesize, words, OPTIONS[words])


MISTAKES = {
    "no sequences": (None, "--output o --sequences 0", "0 sequences: expected at least 1"),
    "fewer than none": (None, "--output o --sequences -5", "-5 sequences: expected at least 1"),
    "no signers": (None, "--output o --signers 0", "0 signers for 1200 sequences: expected between 1 and 1200"),
    "more signers than sequences": (
        None,
        "--output o --sequences 5",
        "12 signers for 5 sequences: expected between 1 and 5",
    ),
    "more files than sequences": (
        None,
        "--output o --sequences 5 --signers 2",
        "6 files for 5 sequences: expected between 1 and 5",
    ),
    "a negative number of files": (None, "--output o --files -1", "-1 files for 1200 sequences: ..."),
    "a share in per cent": (
        None,
        "--output o --spoiled-share 12",
        "a spoiled share of 12: expected between 0 and 1",
    ),
    "a share that is no number": (
        None,
        "--output o --spoiled-share nan",
        "a spoiled share of nan: expected between 0 and 1",
    ),
    "a negative seed": (None, "--output o --seed -1", "seed -1: expected at least 0"),
    "output over something else": (
        None,
        f"--output data {SMALL}",
        "data already holds something else: choose an empty or new directory",
    ),
    "output over a data set": (
        None,
        f"--output dataset {SMALL}",
        "dataset holds a dataset, not a sample set: choose another directory",
    ),
    "output over other samples": (
        ("says", "sample/request.json", {"settings": {"files": 1, "sequences": 3, "signers": 1, "seed": 7}}),
        f"--output sample {SMALL}",
        "sample holds a sample set made with other settings (...); delete it first if you mean to replace it: choose"
        " another directory",
    ),
    "output to a file": (
        None,
        f"--output data/train.csv {SMALL}",
        "data/train.csv is a file, not a directory: choose another directory to write to",
    ),
    "output below a file": (
        None,
        f"--output data/train.csv/o {SMALL}",
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
        ("cannot_be_written", "o/train.csv"),
        GOOD,
        "cannot write to o: No space left on device: make room there, then run the same command: it goes on",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(synthesize, *MISTAKES[name])


def test_no_space_within_a_parquet_file(mistake, monkeypatch):
    """Arrow names the error in its own way."""

    def full(*_, **__):
        raise OSError("Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr(synthesize.pq.ParquetWriter, "write_table", full)
    said = (
        "cannot write to o: Error writing bytes to file. Detail: [errno 28] No space left on device: make room there,"
    )
    mistake(synthesize, None, GOOD, f"{said} then run the same command: it goes on")
