"""Mistakes people make with `python -m pipeline.import_tfrecords` alone."""

import pytest

from pipeline.dataset import records

FILE = "tfds/2.tfrecord"
OURS = "../dataset/shards/train-00000-of-00002.tfrecord.gz"
GOOD = "--records tfds --data data --output o --test-signers 3 --workers 1"
REST = "the same command"


def not_compressed(path):
    path.write_bytes(b"".join(map(records.frame, records.read_records(path))))


MISTAKES = {
    # The files.
    "no records": (("holds", "site/index.html", ""), "--records site --data data --output o", "site lacks 1.tfrecord"),
    "a file cut short": (("cut", FILE), GOOD, f"{FILE} is damaged...Download it again...{REST}"),
    "not compressed": (("edited", FILE, not_compressed), GOOD, f"{FILE} is damaged at record 0...Download it again"),
    "no permission": (("cannot_be_read", FILE), GOOD, f"cannot read {FILE}: Permission denied: get access"),
    # What they hold.
    "records of this program": (("is_copy_of", FILE, OURS), GOOD, f"{FILE}, record 1...published solution"),
    "records of another file": (("is_copy_of", FILE, "1.tfrecord"), GOOD, f"{FILE}, record 1...take the metadata that"),
    # How they are split.
    "the name of a record file": (None, f"{GOOD} --test-files 1.tfrecord", "no file 1.tfrecord in the data, which has"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("pipeline.import_tfrecords", *MISTAKES[name])
