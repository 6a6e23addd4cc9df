import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common.errors import UserError
from pipeline.dataset import writers
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import SplitRule
from pipeline.dataset.writers import POINT_COLUMNS
from pipeline.tracking import recordings, videos
from scripts import doctor_data
from tests.pipeline.tracking import fake

LABELS = "file,phrase,signer\na.mp4,a phrase,1\nb.mp4,another,2\n"


@pytest.fixture
def made(tmp_path):
    """Two videos, and a folder of their landmarks with labels."""
    found = [fake.write(tmp_path / "v/a.mp4", 6), fake.write(tmp_path / "v/b.mp4", 9, rate=24.0)]
    (tmp_path / "labels.csv").write_text(LABELS)
    output = tmp_path / "o"
    recordings.track(videos.find(found), output, fake.TRACKER, labels=tmp_path / "labels.csv", workers=2)
    return output


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.*") if path.name != "manifest.json"}


def test_files_are_those_of_the_kaggle_set(made):
    for name, frames in (("a.mp4", 6), ("b.mp4", 9)):
        table = pq.read_table(made / f"train_landmarks/{name}.parquet")
        assert table.schema.names == ["frame", *POINT_COLUMNS, "sequence_id"]
        assert table.schema.types == [pa.int16(), *[pa.float32()] * len(POINT_COLUMNS), pa.int64()]
        assert table.schema.pandas_metadata == writers.wide_schema().pandas_metadata
        assert table["frame"].to_pylist() == list(range(frames))
        (sequence_id,) = set(table["sequence_id"].to_pylist())
        rows = list(csv.DictReader((made / "train.csv").open()))
        assert str(sequence_id) in [row["sequence_id"] for row in rows if row["path"].endswith(f"{name}.parquet")]
        (expected,) = [np.stack(list(fake.watch(made.parent / "v" / name, False)))]
        found = np.array([table[column].to_numpy() for column in POINT_COLUMNS])
        np.testing.assert_array_equal(found.T.reshape(frames, 3, 543), expected.transpose(0, 2, 1))
        assert table["x_left_hand_0"].null_count == frames  # not seen is null, as in the real files


def test_the_manifest_sums_up(made):
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["overall"] == {
        "frames": 15,
        "seen": {"face": 0.8667, "pose": 1.0, "left_hand": 0.0, "right_hand": 0.5333},
    }
    a, b = recordings.read(made)
    assert (a.file, a.frames, a.rate, a.width, a.height) == ("a.mp4", 6, 30.0, 640, 480)
    assert b.seen == {"face": 0.888889, "pose": 1.0, "left_hand": 0.0, "right_hand": 0.555556}
    assert b.rate == 24.0
    assert not a.is_empty


def test_what_reads_data_folders_reads_it(made):
    level, what, said = next(doctor_data.examine(made, None))
    assert (level, what, said.partition(" frames")[0]) == ("ok", "data", "2 clips of 2 signers, 15")
    rule = SplitRule(test_signers=(2,))
    conversion.convert(made, made.parent / "dataset", rule, num_shards=None, runner=Runner())
    manifest = Dataset.open(made.parent / "dataset").manifest
    assert (manifest["read"], manifest["written"], manifest["rejected"]) == (2, 2, {})


def test_the_same_bytes_with_any_number_of_workers(made):
    found = videos.find([made.parent / "v"])
    again = made.parent / "again"
    recordings.track(found, again, fake.TRACKER, labels=made.parent / "labels.csv", workers=1)
    assert contents(made) == contents(again)


def test_what_is_finished_stays(made):
    before = contents(made)
    a, b = (made / f"train_landmarks/{name}.mp4.parquet" for name in "ab")
    time = a.stat().st_mtime_ns
    (made / "manifest.json").unlink()
    b.unlink()
    b.with_name(".b.mp4.parquet.0123abcd.tmp").touch()
    recordings.track(videos.find([made.parent / "v"]), made, fake.TRACKER, labels=made.parent / "labels.csv", workers=1)
    assert contents(made) == before
    assert a.stat().st_mtime_ns == time
    assert len(recordings.read(made)) == 2


def test_labels_may_be_corrected(made, capsys):
    (made.parent / "labels.csv").write_text(LABELS.replace("another", "another one"))
    time = (made / "train_landmarks/a.mp4.parquet").stat().st_mtime_ns
    recordings.track(videos.find([made.parent / "v"]), made, fake.TRACKER, labels=made.parent / "labels.csv")
    assert "is already complete" in capsys.readouterr().out
    assert "another one" in (made / "train.csv").read_text()
    assert (made / "train_landmarks/a.mp4.parquet").stat().st_mtime_ns == time


@pytest.mark.parametrize("change", ["mirrored", "video", "fewer"])
def test_another_request_is_refused(made, change):
    if change == "video":
        fake.write(made.parent / "v/b.mp4", 10)
    places = [made.parent / "v/a.mp4"] if change == "fewer" else [made.parent / "v"]
    with pytest.raises(UserError, match="made with other settings"):
        recordings.track(videos.find(places), made, fake.TRACKER, mirrored=change == "mirrored")


def test_mirrored_videos_are_turned_round(made):
    found = videos.find([made.parent / "v/a.mp4"])
    recordings.track(found, made.parent / "m", fake.TRACKER, mirrored=True)
    x, turned = (
        pq.read_table(each / "train_landmarks/a.mp4.parquet")["x_pose_0"] for each in (made, made.parent / "m")
    )
    np.testing.assert_array_equal(1 - x.to_numpy(), turned.to_numpy())
    assert not (made.parent / "m/train.csv").exists()


def test_in_a_bucket(made, emulator):
    output = emulator.bucket() / "o"
    found = videos.find([made.parent / "v"])
    recordings.track(found, output, fake.TRACKER, labels=made.parent / "labels.csv", workers=2)
    for name, content in contents(made).items():
        place = output / videos.FOLDER if name.endswith(".parquet") else output
        assert (place / name).read_bytes() == content
    assert recordings.read(output) == recordings.read(made)
