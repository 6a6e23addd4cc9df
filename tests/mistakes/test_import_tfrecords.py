"""Mistakes people make with `python -m pipeline.import_tfrecords`."""

import numpy as np
import pytest

from pipeline import import_tfrecords, metadata, records, vocabulary
from pipeline import landmarks as lm

NEEDS = ("data", "dataset")
FILE = "tfds/2.tfrecord"
PARQUET = "train_landmarks/2.parquet"
GOOD = "--records tfds --data data --output o --test-participants 3 --workers 1"
RECORDS = "expected a directory of <file_id>.tfrecord files"
KAGGLE = "expected a data directory in the Kaggle layout"
REST = "finished shards stay: the same command makes only the rest"
AGAIN = f"half-downloaded? Download it again; {REST}"

OPTIONS = {
    "": "the following arguments are required: --records, --data, --output",
    "--record tfds --data data --output o": "the following arguments are required: --records (did you mean --records"
    " instead of --record?)",
    f"{GOOD} --test-file 1": "unrecognized arguments: --test-file 1 (did you mean --test-files instead of"
    " --test-file?)",
    f"{GOOD} --shards 4": "unrecognized arguments: --shards 4",
    f"{GOOD} --split-by signer": "argument --split-by: invalid choice: 'signer' (choose from ...)",
    f"{GOOD} --limit 0": "argument --limit: '0' is not a whole number of at least 1",
    "--records s3://bucket/tfds --data data --output o": "argument --records: 's3://bucket/tfds' is neither ...",
    "--records= --data data --output o": "argument --records: the path is empty (a variable that is not set?)",
    "--records tfds/1.tfrecord tfds/2.tfrecord --data data --output o": "unrecognized arguments: tfds/2.tfrecord (no"
    " option takes it: write a list as 3,17, and quotes around a path with spaces)",
}


@pytest.fixture(autouse=True)
def tfds(place):
    """A folder with the records of `data`, in which nothing moves."""
    (place / "tfds").mkdir()
    for path, entries in metadata.read(place / "data").by_path.items():
        stem = path.rpartition("/")[2].removesuffix(".parquet")
        write(place / f"tfds/{stem}.tfrecord", [entry.label for entry in entries])


def write(path, phrases):
    with records.RecordWriter(path) as writer:
        for phrase in phrases:
            lists = {"frames": np.full((3, 2, lm.NUM_POINTS), 0.5), "phrase": vocabulary.encode(phrase)}
            writer.write(field(1, *(field(1, field(1, name.encode()), floats(lists[name])) for name in lists)))


def floats(values):
    return field(2, field(2, field(1, np.asarray(values, "<f4").tobytes())))


def field(number, *contents):
    return b"".join(records._field(number, *contents))


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(import_tfrecords, words, OPTIONS[words])


def without_its_last_row(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def without_its_last_record(path):
    path.write_bytes(b"")
    write(path, [entry.label for entry in metadata.read(path.parents[1] / "data").by_path[PARQUET]][:-1])


def as_text_files_are(path):
    """Records, not compressed."""
    path.write_bytes(records.frame(field(1)))


MISTAKES = {
    # Where the records and the metadata are looked for.
    "a misspelt folder": (
        None,
        "--records tfd --data data --output o",
        f"tfd: no such file or directory; {RECORDS} (did you mean tfds?)",
    ),
    "a record file": (
        None,
        "--records tfds/1.tfrecord --data data --output o",
        f"tfds/1.tfrecord: a file, not a directory; {RECORDS} (did you mean tfds?)",
    ),
    "a link to nowhere": (
        ("links_nowhere", "link"),
        "--records link --data data --output o",
        f"link: a link to gone, which is not there; {RECORDS}",
    ),
    "records and output swapped": (
        None,
        "--records o --data data --output tfds",
        f"o: no such file or directory; {RECORDS}",
    ),
    "records and data swapped": (None, "--records data --data tfds --output o", f"tfds has no train.csv: {KAGGLE}"),
    "a misspelt data folder": (
        None,
        "--records tfds --data dat --output o",
        f"dat: no such file or directory; {KAGGLE} (did you mean data?)",
    ),
    "a folder without records": (
        ("holds", "empty/tfds.zip", "PK"),
        "--records empty --data data --output o",
        "empty lacks 1.tfrecord and 1 more, of 2 files that train.csv names: download or unpack them",
    ),
    "a data set of this program": (
        None,
        "--records dataset --data data --output o",
        "dataset lacks 1.tfrecord and 1 more, of 2 files that train.csv names: download or unpack them",
    ),
    "a file that is missing": (
        ("removed", FILE),
        GOOD,
        "tfds lacks 2.tfrecord, of 2 files that train.csv names: download or unpack them",
    ),
    # What the files hold.
    "a half-downloaded file": (("cut", FILE), GOOD, f"{FILE} is damaged at record ... (...): {AGAIN}"),
    "an empty file": (("holds", FILE, ""), GOOD, f"{FILE} is damaged at record 0 (...): {AGAIN}"),
    "records that are not compressed": (
        ("edited", FILE, as_text_files_are),
        GOOD,
        f"{FILE} is damaged at record 0 (...): {AGAIN}",
    ),
    "records of this program": (
        ("is_copy_of", FILE, "../dataset/shards/train-00000-of-00002.tfrecord.gz"),
        GOOD,
        f"{FILE}, record 1 is none of the published solution: no float list frames, phrase; {REST}",
    ),
    "the records of another file": (
        ("is_copy_of", FILE, "1.tfrecord"),
        GOOD,
        f"{FILE}, record 1 has the phrase 'aba', row 1 of that file in the metadata (sequence 101) has 'tob': take the"
        f" metadata that the records were made with; {REST}",
    ),
    "another phrase in the metadata": (
        ("replaced", "data/train.csv", ",103,1,lld", ",103,1,lle"),
        GOOD,
        f"{FILE}, record 2 has the phrase 'lld', row 2 of that file in the metadata (sequence 103) has 'lle': take the"
        f" metadata that the records were made with; {REST}",
    ),
    "fewer rows than records": (
        ("edited", "data/train.csv", without_its_last_row),
        GOOD,
        f"{FILE} has more than the 17 records of its rows in the metadata: it is of other data; {REST}",
    ),
    "fewer records than rows": (
        ("edited", FILE, without_its_last_record),
        GOOD,
        f"{FILE} has 17, not the 18 records of its rows in the metadata: it is of other data; {REST}",
    ),
    "two parquet files of one name": (
        ("replaced", "data/train.csv", PARQUET, "more/1.parquet"),
        GOOD,
        "train.csv: more/1.parquet and train_landmarks/1.parquet would both be 1.tfrecord: take metadata that names one"
        " of them",
    ),
    # How they are split.
    "the name of a record file": (
        None,
        f"{GOOD} --test-files 1.tfrecord",
        f"no file 1.tfrecord in the data, which has train_landmarks/1.parquet, {PARQUET}",
    ),
    "more folds than signers": (
        None,
        f"{GOOD} --folds 5 --fold 1",
        "5 folds of 2 signers: each needs one at least; lower --folds, set fewer aside to test on, or split by"
        " something smaller (--split-by)",
    ),
    "too few to train on": (
        None,
        "--records tfds --data data --output o --test-participants 1 --limit 1",
        "no signer is left to train on: of 1, all are in validation or test; list fewer, or lower --validation-share or"
        " --test-share, or raise --limit",
    ),
    # Where the result is to go.
    "the records as output": (
        None,
        "--records tfds --data data --output tfds",
        "tfds already holds something else: choose an empty or new directory",
    ),
    "the converted data set as output": (
        None,
        "--records tfds --data data --output dataset",
        "dataset holds a dataset made with other settings (settings.files.1.tfrecord: ...); delete it first if you mean"
        " to replace it: choose another directory",
    ),
    "output to a file": (
        None,
        f"--records tfds --data data --output {FILE}",
        f"{FILE} is a file, not a directory: choose another directory to write to",
    ),
    "no permission to read": (("cannot_be_read", FILE), GOOD, f"cannot read {FILE}: Permission denied: ...; {REST}"),
    "no permission to write": (
        ("cannot_be_written", "o/request.json", 13),
        GOOD,
        "cannot write to o: Permission denied: get access to it, or name another place",
    ),
    "no space": (
        ("cannot_be_written", "o/shards/train-00001-of-00002.tfrecord.gz"),
        GOOD,
        f"cannot write o/shards/train-00001-of-00002.tfrecord.gz: No space left on device: ...; {REST}",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(import_tfrecords, *MISTAKES[name])
