"""Mistakes people make with `python -m pipeline.convert`."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import convert
from pipeline.dataset import Dataset

NEEDS = ("data", "dataset")
HEADER = "path,file_id,sequence_id,participant_id,phrase\n"
ROW = "train_landmarks/1.parquet,1,100,1,abc\n"
FILE = "data/train_landmarks/2.parquet"
GOOD = "--data data --output o --test-participants 3 --workers 1"
KAGGLE = "expected a data directory in the Kaggle layout"
COLUMNS = "expected path, sequence_id, participant_id, phrase, separated by commas"
REST = "finished shards stay: the same command makes only the rest"

OPTIONS = {
    "": "the following arguments are required: --data, --output",
    "data o": "the following arguments are required: --data, --output",
    "--dat data --output o": "the following arguments are required: --data (did you mean --data instead of --dat?)",
    "-data data --output o": "the following arguments are required: --data (did you mean --data instead of -data?)",
    "--data data --output o --test-participant 3": "unrecognized arguments: --test-participant 3 (did you mean"
    " --test-participants instead of --test-participant?)",
    "--data data --output o --preset small": "unrecognized arguments: --preset small",
    "--data data --output o --test-participants 1 2": "unrecognized arguments: 2 (no option takes it: write a list as"
    " 3,17, and quotes around a path with spaces)",
    "--data --output o": "argument --data: expected one argument",
    "--data= --output o": "argument --data: the path is empty (a variable that is not set?)",
    "--data s3://bucket/data --output o": "argument --data: 's3://bucket/data' is neither ... nor gs://BUCKET/FOLDER",
    "--data ~nobody-here/data --output o": "argument --data: '~nobody-here/data': Could not determine home directory.",
    "--data data --output o --test-participants a,b": "argument --test-participants: 'a,b' is no list of participant"
    " ids, such as 3,17",
    "--data data --output o --test-participants=": "argument --test-participants: '' is no list of participant ids,"
    " such as 3,17",
    "--data data --output o --test-share 10%": "argument --test-share: not a number, such as 0.1: '10%'",
    "--data data --output o --workers 0": "argument --workers: '0' is not a whole number of at least 1",
    "--data data --output o --shards 1.5": "argument --shards: '1.5' is not a whole number of at least 1",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(convert, words, OPTIONS[words])


def without_a_column(path):
    pq.write_table(pq.read_table(path).drop_columns(["y_face_17"]), path)


def in_another_alphabet(path):
    rows = [line.rpartition(",")[0] for line in path.read_text().splitlines()[1:]]
    path.write_text(HEADER + "".join(f"{row},да\n" for row in rows))


def isolated(path):
    pq.write_table(pa.table({"frame": [1], "type": ["face"], "landmark_index": [0], "x": [0.1]}), path)


MISTAKES = {
    # Where the data are looked for.
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
    "the folder around it": (None, "--data . --output o", f". has no train.csv: {KAGGLE} (did you mean data?)"),
    "a parquet file": (
        None,
        "--data data/train_landmarks/1.parquet --output o",
        f"data/train_landmarks/1.parquet: a file, not a directory; {KAGGLE} (did you mean data?)",
    ),
    "the table": (
        None,
        "--data data/train.csv --output o",
        f"data/train.csv: a file, not a directory; {KAGGLE} (did you mean data?)",
    ),
    "the archive": (
        ("holds", "asl.zip", "PK"),
        "--data asl.zip --output o",
        f"asl.zip: a file, not a directory; {KAGGLE} (unpack asl.zip)",
    ),
    "a packed table": (
        [("holds", "new/train.csv.zip", "PK")],
        "--data new --output o",
        f"new has no train.csv: {KAGGLE} (unpack new/train.csv.zip)",
    ),
    "a data set": (None, "--data dataset --output o", f"dataset has no train.csv: {KAGGLE}"),
    "swapped": (None, "--data o --output data", f"o: no such file or directory; {KAGGLE}"),
    "a link to nowhere": (
        ("links_nowhere", "link"),
        "--data link --output o",
        f"link: a link to gone, which is not there; {KAGGLE}",
    ),
    # Where the result is to go.
    "the input as output": (
        None,
        "--data data --output data",
        "data already holds something else: choose an empty or new directory",
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
    "output that has other settings": (
        None,
        "--data data --output dataset --test-participants 2",
        "dataset holds a dataset made with other settings (settings.split.test_participants: [3] there, [2] asked for);"
        " delete it first if you mean to replace it: choose another directory",
    ),
    "output of another version": (
        ("says", "dataset/request.json", {"schema_version": 0}),
        "--data data --output dataset --test-participants 3",
        "dataset holds a dataset of another version of this program (schema version 0, this one has 1): choose another"
        " directory",
    ),
    "output with a damaged request": (
        ("holds", "o/request.json", "{"),
        GOOD,
        "cannot read o/request.json (...): o is damaged, delete it and make it again",
    ),
    "no permission to write": (
        ("cannot_be_written", "o/request.json", 13),
        GOOD,
        "cannot write to o: Permission denied: get access to it, or name another place",
    ),
    "no space": (
        ("cannot_be_written", "o/shards/train-00000-of-00002.tfrecord.gz"),
        GOOD,
        "cannot write o/shards/train-00000-of-00002.tfrecord.gz: No space left on device: make room there, then run the"
        f" same command: it goes on; {REST}",
    ),
    "no space even to say so": (
        [
            ("cannot_be_written", "o/shards/train-00000-of-00002.tfrecord.gz"),
            ("cannot_be_written", "o/reports/00000-of-00002.error"),
        ],
        GOOD,
        "o: shard 00000-of-00002 was not finished, and why could not be written there, where ... MB are free: make"
        " room, get access to it, or let all workers see it; the same command makes only the rest",
    ),
    # Who is tested.
    "a signer that is not there": (
        None,
        "--data data --output o --test-participants 9",
        "no participant 9 in the data, which has 1, 2, 3",
    ),
    "nobody left to train": (
        None,
        "--data data --output o --test-participants 1,2,3",
        "no signer is left to train on: of 3, all are in validation or test; list fewer, or lower --validation-share or"
        " --test-share",
    ),
    "a signer in two splits": (
        None,
        "--data data --output o --test-participants 3 --validation-participants 3",
        "participant 3 is listed twice: a signer is in one split, once",
    ),
    "a share in per cent": (
        None,
        "--data data --output o --test-share 10",
        "the test share is 10.0, expected at least 0 and less than 1",
    ),
    "a negative share": (
        None,
        "--data data --output o --test-share -0.1",
        "the test share is -0.1, expected at least 0 and less than 1",
    ),
    # The table.
    "no table": (("removed", "data/train.csv"), GOOD, f"data has no train.csv: {KAGGLE}"),
    "the isolated-sign set": (
        ("holds", "data/train.csv", "path,participant_id,sequence_id,sign\na/1.parquet,1,2,blow\n"),
        GOOD,
        "data/train.csv is of the isolated-sign set (asl-signs), it has the column sign and no phrase: expected"
        " fingerspelling data",
    ),
    "a misspelt column": (
        ("replaced", "data/train.csv", "participant_id", "participant"),
        GOOD,
        f"data/train.csv lacks the column participant_id: {COLUMNS}; found path, file_id, sequence_id,"
        " participant, phrase",
    ),
    "semicolons": (
        ("replaced", "data/train.csv", ",", ";"),
        GOOD,
        f"data/train.csv lacks the columns path, sequence_id, participant_id, phrase: {COLUMNS}; found"
        " path;file_id;sequence_id;participant_id;phrase",
    ),
    "a web page": (
        ("holds", "data/train.csv", "<!DOCTYPE html>\n<title>Sign in</title>\n"),
        GOOD,
        f"data/train.csv lacks the columns path, sequence_id, participant_id, phrase: {COLUMNS}; found <!DOCTYPE html>",
    ),
    "an empty table": (
        ("holds", "data/train.csv", ""),
        GOOD,
        f"data/train.csv lacks the columns path, sequence_id, participant_id, phrase: {COLUMNS}; found nothing",
    ),
    "only a header": (
        ("holds", "data/train.csv", HEADER),
        GOOD,
        "data/train.csv lists no sequences: is the file whole?",
    ),
    "a table that is cut short": (
        ("holds", "data/train.csv", HEADER + ROW + ROW[:20]),
        GOOD,
        "data/train.csv, line 3: expected 5 fields, as in the header: is the file whole?",
    ),
    "a sequence listed twice": (
        ("holds", "data/train.csv", HEADER + ROW + ROW),
        GOOD,
        "data/train.csv, line 3: sequence 100 is also on line 2 of train.csv: delete one",
    ),
    "a path that leaves the folder": (
        ("holds", "data/train.csv", HEADER + "../1.parquet,1,100,1,abc\n"),
        GOOD,
        "data/train.csv, line 2: path '../1.parquet' is not a file inside the data directory, such as a/1.parquet",
    ),
    "an id that is no number": (
        ("holds", "data/train.csv", HEADER + ROW.replace("100", "100.0")),
        GOOD,
        "data/train.csv, line 2: sequence_id '100.0' is not an integer of 64 bits: mend that line",
    ),
    "text that is not UTF-8": (
        ("holds", "data/train.csv", (HEADER + ROW.replace("abc", "é")).encode("latin-1")),
        GOOD,
        "data/train.csv is not UTF-8 text (...): save it as UTF-8",
    ),
    "a table one may not read": (
        ("cannot_be_read", "data/train.csv"),
        GOOD,
        "cannot read data/train.csv: Permission denied: get access to it, or name another place",
    ),
    "phrases of another alphabet": (
        ("edited", "data/train.csv", in_another_alphabet),
        GOOD,
        "no sequence to train on: 36 read, 0 written, 36 unknown_characters; o stays incomplete, its reports say why",
    ),
    "a vocabulary of something else": (
        ("holds", "data/character_to_prediction_index.json", '{"a": 0}'),
        GOOD,
        "data/character_to_prediction_index.json is not the vocabulary of this program (59 characters, the"
        " competition's): its indices would mean other characters; take the competition's, or delete it",
    ),
    "a vocabulary that is cut short": (
        ("cut", "data/character_to_prediction_index.json"),
        GOOD,
        "cannot read data/character_to_prediction_index.json (...): download it again, or delete it",
    ),
    # The parquet files.
    "a file that is missing": (
        ("removed", FILE),
        GOOD,
        "data lacks train_landmarks/2.parquet, of 2 files that train.csv names: download or unpack them",
    ),
    "no parquet files": (
        ("removed", "data/train_landmarks"),
        GOOD,
        "data lacks train_landmarks/1.parquet and 1 more, of 2 files that train.csv names: download or unpack them",
    ),
    "a half-downloaded file": (
        ("cut", FILE),
        GOOD,
        f"cannot read {FILE} as parquet (...): half-downloaded? Download it again; {REST}",
    ),
    "an empty file": (
        ("holds", FILE, ""),
        GOOD,
        f"cannot read {FILE} as parquet (Parquet file size is 0 bytes): half-downloaded? Download it again; {REST}",
    ),
    "a file that lacks a column": (
        ("edited", FILE, without_a_column),
        GOOD,
        f"{FILE} lacks the column y_face_17: expected the Kaggle layout; {REST}",
    ),
    "a file of the isolated-sign set": (
        ("edited", FILE, isolated),
        GOOD,
        f"{FILE} is of the isolated-sign set (asl-signs), a row a landmark: expected fingerspelling, a row a frame;"
        f" {REST}",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(convert, *MISTAKES[name])


def test_a_damaged_record_file_is_made_again_as_its_message_says(place, command):
    """Delete it and the manifest; run the command again."""
    shard = place / "dataset/shards/train-00000-of-00002.tfrecord.gz"
    whole = shard.read_bytes()
    shard.unlink()
    (place / "dataset/manifest.json").unlink()
    command(convert, "--data", "data", "--output", "dataset", "--test-participants", 3, "--workers", 1)
    assert shard.read_bytes() == whole
    assert Dataset.open(place / "dataset").count("train") == 24
