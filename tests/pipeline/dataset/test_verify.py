import dataclasses
import json
import os

import numpy as np
import pytest

from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset import verify
from pipeline.dataset.clips import Clip, ClipInfo
from pipeline.dataset.dataset import Dataset
from pipeline.tasks.body import POINTS
from pipeline.tasks.faults import EMPTY_LABEL, Fault

NO_CLIPS: dict[str, list] = {field.name: [] for field in dataclasses.fields(ClipInfo)}


@pytest.fixture
def found(make_dataset):
    """A dataset of five clips and a rejected one in two shards, the record files of the first small."""
    landmarks = np.full((2, *POINTS.shape), np.nan, np.float32)
    landmarks[:, 40:70] = np.random.default_rng(0).normal(size=(2, 30, 2))
    first = [("train", Clip(landmarks[: i % 2 + 1] + i, f"a {i}", i, 1, "train")) for i in (1, 2, 3)]
    second = [
        (4, Fault(EMPTY_LABEL, "")),
        ("test", Clip(landmarks[1:], "b", 5, 5, "train")),
        ("validation", Clip(landmarks[:1], "b", 6, 6, "train")),
    ]
    return make_dataset(first, second)


def problems(found):
    """As --verify tells them: what keeps the dataset from being opened comes alone."""
    try:
        return list(verify.problems(Dataset.open(found.path)))
    except UserError as error:
        return [str(error)]


def test_a_whole_data_set(found):
    assert problems(found) == []


def test_no_truncation_and_no_flipped_bit_of_a_shard_is_read_unseen(found):
    """Every one of them is found by the reader that training uses; and so by --verify, which is tried on a sample."""
    (file,) = found.record_files("train")
    path = found.path / "shards" / file.name
    whole = path.read_bytes()
    mutants = 0
    for mutant in mutate(path):
        mutants += 1
        with pytest.raises(UserError, match=r"train-00000-of-00002\.tfrecord\.gz is damaged at record [0-3]"):
            list(found.read_file(file))
        if mutants % 211 == 0:
            assert any(file.name in line for line in verify.problems(found)), mutant
    assert mutants == 9 * len(whole) > 10_000
    path.write_bytes(whole)
    assert problems(found) == []


def mutate(path):
    """Flips each bit of a file, one at a time, then cuts off byte after byte; yields what it did."""
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for position, byte in enumerate(whole):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), position)
                yield f"bit {bit} of byte {position}"
            os.pwrite(file.fileno(), bytes([byte]), position)
        for size in reversed(range(len(whole))):
            file.truncate(size)
            yield f"the first {size} bytes"


def test_a_whole_file_of_something_else_is_found(found):
    """Its own checksums are right."""
    (train,), (test,) = found.record_files("train"), found.record_files("test")
    path = found.path / "shards" / train.name
    path.write_bytes((found.path / "shards" / test.name).read_bytes())
    with pytest.raises(UserError, match=r"is damaged at record 1.*its SHA-256 is not that of the file"):
        list(found.read("train"))
    path.unlink()
    (told,) = problems(found)
    assert told.startswith(f"{path} is not there")


def edit(path, **changes):
    data = json.loads(path.read_text())
    directories.write_json(path, data | changes)


def other_statistics(path):
    """Of which the manifest tells."""
    edit(path / "statistics.json", mean=[0.0] * 600)
    edit(path / "manifest.json", files={"statistics.json": directories.sha256_of(path / "statistics.json")})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "shards/train-00009-of-00010.tfrecord.gz").write_bytes(b""), "is not of this dataset"),
        (lambda path: (path / "reports/00001-of-00002.json").unlink(), "is missing or damaged"),
        (lambda path: edit(path / "reports/00001-of-00002.json", read=9), "tell of different shards"),
        (lambda path: edit(path / "reports/00001-of-00002.json", clips=NO_CLIPS), "has other clips than the report"),
        (lambda path: edit(path / "reports/00001-of-00002.json", moments=7), "is missing or damaged"),
        (lambda path: edit(path / "statistics.json", mean=[0.0] * 600), "is not the file that manifest.json describes"),
        (other_statistics, "is not what the reports add up to"),
        (lambda path: (path / "rejected.jsonl").write_text(""), "does not list what the reports say was rejected"),
        (lambda path: (path / "rejected.jsonl").unlink(), "does not list what the reports say was rejected"),
        (lambda path: (path / "request.json").unlink(), "is not what the manifest says was asked for"),
        (lambda path: edit(path / "manifest.json", settings={}), "is damaged, or was made by another version"),
        (lambda path: edit(path / "manifest.json", shards=[{}]), "manifest.json is damaged ("),
        (lambda path: edit(path / "manifest.json", fingerprint="0"), "its settings have another fingerprint"),
        (lambda path: edit(path / "manifest.json", written=9), "do not agree: written"),
        (lambda path: edit(path / "manifest.json", content="0"), "do not agree: content"),
        (lambda path: edit(path / "manifest.json", overlap={}), "do not agree: overlap"),
    ],
)
def test_everything_else_is_looked_at(found, damage, message):
    damage(found.path)
    told = problems(found)
    assert told
    assert any(message in line for line in told)
    assert all(str(found.path) in line for line in told)


def test_another_hash_in_the_manifest_is_found(found):
    manifest = json.loads((found.path / "manifest.json").read_text())
    for name in ("content", "file_sha256", "clips", "bytes", "name"):
        changed = json.loads(json.dumps(manifest))
        file = changed["shards"][1]["files"][0]
        file[name] = {"clips": 9, "bytes": 9, "name": "test-00001-of-00002.tfrecord.gz"}.get(name, "0" * 64)
        directories.write_json(found.path / "manifest.json", changed)
        assert problems(found)
