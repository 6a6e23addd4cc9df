"""Mistakes people make with `python -m pipeline.convert` alone."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import convert, synthesize
from pipeline.dataset.dataset import Dataset

HEADER = "path,file_id,sequence_id,participant_id,phrase\n"
ROW = "train_landmarks/1.parquet,1,100,1,abc\n"
FILE = "data/train_landmarks/2.parquet"
VOCABULARY = "data/character_to_prediction_index.json"
RECORDS = "o/shards/train-00000-of-00002.tfrecord.gz"
GOOD = "--data data --output o --test-signers 3 --workers 1"
FULL = [("cannot_be_written", RECORDS), ("cannot_be_written", "o/reports/00000-of-00002.error")]
REST = "the same command"


def a_row_a_landmark(path):
    pq.write_table(pa.table({"frame": [1], "type": ["face"], "landmark_index": [0], "x": [0.1]}), path)


def in_another_alphabet(path):
    rows = [line.rpartition(",")[0] for line in path.read_text().splitlines()[1:]]
    path.write_text(HEADER + "".join(f"{row},да\n" for row in rows))


def table(content):
    return ("holds", "data/train.csv", content)


MISTAKES = {
    # Options.
    "ids that are none": (None, f"{GOOD} --test-signers a,b", "argument --test-signers: 'a,b' is not a list"),
    "a share as per cent": (None, f"{GOOD} --test-share 9%", "argument --test-share: not a number, such as 0.1: '9%'"),
    "a list with a gap": (None, f"{GOOD} --metadata a.csv,", "argument --metadata: 'a.csv,' is not a list of files"),
    # Where the data are looked for.
    "the folder of parquet files": (None, "--data data/train_landmarks --output o", "train.csv...did you mean data?"),
    "the archive": (("holds", "asl.zip", "PK"), "--data asl.zip --output o", "asl.zip...(unpack asl.zip)"),
    "a packed table": (("holds", "new/train.csv.zip", ""), "--data new --output o", "new...(unpack new/train.csv.zip)"),
    "swapped": (None, "--data o --output data", "o: no such file or directory"),
    # The table.
    "no table": (("removed", "data/train.csv"), GOOD, "data has no train.csv: expected a data folder"),
    "semicolons": (("replaced", "data/train.csv", ",", ";"), GOOD, "data/train.csv lacks...separated by commas"),
    "a web page": (table("<!DOCTYPE html>\n<title>Sign in</title>\n"), GOOD, "data/train.csv lacks...found <!DOCTYPE"),
    "a table cut short": (table(HEADER + ROW + ROW[:20]), GOOD, "data/train.csv, line 3...is the file whole?"),
    "not UTF-8": (table((HEADER + ROW + "é").encode("latin-1")), GOOD, "data/train.csv is not UTF-8...save it as"),
    "another alphabet": (("edited", "data/train.csv", in_another_alphabet), GOOD, "no clip to train on...36 unknown"),
    "another vocabulary": (("holds", VOCABULARY, "{}"), GOOD, f"{VOCABULARY} is not the vocabulary...delete it"),
    "a vocabulary cut short": (("cut", VOCABULARY), GOOD, f"cannot read {VOCABULARY}...download it again"),
    # Who is tested.
    "a signer that is not there": (None, f"{GOOD} --validation-signers 9", "no signer 9...which has 1, 2, 3"),
    # The parquet files.
    "a file that is missing": (("removed", FILE), GOOD, "data lacks train_landmarks/2.parquet...download or unpack"),
    "a file cut short": (("cut", FILE), GOOD, f"cannot read {FILE}...Download it again...{REST}"),
    "a row a landmark": (("edited", FILE, a_row_a_landmark), GOOD, f"{FILE} lacks the columns"),
    # No space.
    "no space": (("cannot_be_written", RECORDS), GOOD, f"cannot write {RECORDS}: No space left...make room...{REST}"),
    "no space even to say so": (
        FULL,
        GOOD,
        f"o: shard 00000-of-00002 was not finished...MB are free: make room...{REST}",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("pipeline.convert", *MISTAKES[name])


SIGNS, SIGN_MAP = "signs/train.csv", "signs/sign_to_prediction_index_map.json"
LONG = "--data signs --task isolated-signs --output o --test-signers 2 --workers 1"
CLIP = "signs/train_landmark_files/1/ID.parquet"
# Of a folder with a clip in each file, a row for each point of a frame; ID is the clip of its file.
MISTAKES_LONG = {
    "a map with a gap": (
        ("holds", SIGN_MAP, '{"sign_0": 0, "sign_1": 2}'),
        LONG,
        f"{SIGN_MAP}: expected the indices 0",
    ),
    "a map that is a list": (("holds", SIGN_MAP, '["sign_0"]'), LONG, f"{SIGN_MAP}: expected an object"),
    "a map cut short": (("cut", SIGN_MAP), LONG, f"cannot read {SIGN_MAP}...download it again"),
    "a map of other signs": (("holds", SIGN_MAP, '{"wave": 0}'), LONG, "no clip to train on...6 unknown_class"),
    "a file that is missing": (("removed", CLIP), LONG, "signs lacks train_landmark_files/1/ID.parquet...download"),
    "a file cut short": (("cut", CLIP), LONG, f"cannot read {CLIP}...Download it again...{REST}"),
    "a file of clips, a row a frame": (
        ("is_copy_of", CLIP, "../../../data/train_landmarks/1.parquet"),
        LONG,
        f"{CLIP} lacks the columns type, landmark_index, x and 2 more...{REST}",
    ),
    "a clip, a row a landmark, among files of clips": (
        ("is_copy_of", FILE, "../../signs/train_landmark_files/1/ID.parquet"),
        GOOD,
        f"{FILE} lacks the columns sequence_id, x_face_0",
    ),
    "phrases in place of signs": (("replaced", SIGNS, ",sign\n", ",phrase\n"), LONG, f"{SIGNS} lacks the column sign"),
}


@pytest.fixture
def signs(place, made_once):
    """The folder `signs` beside the others; returns the id of a clip of its first signer."""
    made = made_once(
        "toy-signs", lambda folder: synthesize.synthesize(folder, task="isolated-signs", clips=6, signers=3, signs=2)
    )
    shutil.copytree(made, place / "signs")
    return next((place / "signs/train_landmark_files/1").iterdir()).stem


@pytest.mark.parametrize("name", MISTAKES_LONG)
def test_mistakes_with_a_clip_a_file(refused, signs, name):
    spoiled, words, said = MISTAKES_LONG[name]
    refused("pipeline.convert", tuple(word.replace("ID", signs) for word in spoiled), words, said.replace("ID", signs))


def test_a_damaged_record_file_is_made_again_as_its_message_says(place, command):
    """Delete it and the manifest; run the command again."""
    shard = place / "dataset/shards/train-00000-of-00002.tfrecord.gz"
    whole = shard.read_bytes()
    shard.unlink()
    (place / "dataset/manifest.json").unlink()
    command(convert, "--data", "data", "--output", "dataset", "--test-signers", 3, "--workers", 1)
    assert shard.read_bytes() == whole
    assert Dataset.open(place / "dataset").count("train") == 24
