import csv
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import synthesize
from pipeline.common.errors import UserError
from pipeline.synthesis.plan import plan_clips
from pipeline.synthesis.tracker import POINT_COLUMNS
from pipeline.tasks.fingerspelling import CHARACTER_TO_INDEX, Fingerspelling

SMALL = {"clips": 12, "signers": 3, "files": 2, "spoiled_share": 0.25, "seed": 7}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("synthesize") / "sample"
    assert synthesize.synthesize(output, **SMALL)
    return output


def _rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_schema_is_that_of_the_kaggle_files(folder):
    files = sorted((folder / "train_landmarks").iterdir())
    assert len(files) == 2
    for path in files:
        schema = pq.read_schema(path)
        assert len(schema) == 1631
        assert schema.names[:3] == ["frame", "x_face_0", "x_face_1"]
        assert schema.names[-2:] == ["z_right_hand_20", "sequence_id"]
        assert schema.names[468:471] == ["x_face_467", "x_left_hand_0", "x_left_hand_1"]
        assert schema.names[1 + 543] == "y_face_0"
        assert schema.field("frame").type == pa.int16()
        assert schema.field("sequence_id").type == pa.int64()
        assert {schema.field(name).type for name in POINT_COLUMNS} == {pa.float32()}
        assert json.loads(schema.metadata[b"pandas"])["index_columns"] == ["sequence_id"]


def test_files_and_metadata_agree(folder):
    rows = _rows(folder / "train.csv")
    assert list(rows[0]) == ["path", "file_id", "sequence_id", "participant_id", "phrase"]
    assert len({row["sequence_id"] for row in rows}) == SMALL["clips"]
    assert {row["participant_id"] for row in rows} == {"0", "1", "2"}
    for row in rows:
        assert row["path"] == f"train_landmarks/{row['file_id']}.parquet"
        assert Fingerspelling().label_fault(row["phrase"]) is None
    found = {}
    for path in (folder / "train_landmarks").iterdir():
        table = pq.read_table(path, columns=["sequence_id", "frame", "x_left_hand_0"])
        ids, frames = table["sequence_id"].to_numpy(), table["frame"].to_numpy()
        starts = np.flatnonzero(np.diff(ids, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
            np.testing.assert_array_equal(frames[start:stop], np.arange(stop - start))
            found[str(ids[start])] = path.stem
        # Not seen is null, as in the real files.
        assert table["x_left_hand_0"].null_count > 0
        assert not np.isnan(table["x_left_hand_0"].drop_null().to_numpy()).any()
    assert found == {row["sequence_id"]: row["file_id"] for row in rows}
    index = json.loads((folder / "character_to_prediction_index.json").read_text())
    assert index == CHARACTER_TO_INDEX


def test_the_spoiled_list(folder):
    spoiled = {row["sequence_id"]: row["kind"] for row in _rows(folder / "planted_corruption.csv")}
    assert sorted(spoiled.values()) == ["accidental_tap", "truncated", "wrong_phrase"]
    assert {str(each.sequence_id): each.spoiled for each in plan_clips(**SMALL) if each.spoiled} == spoiled


def test_the_same_arguments_give_the_same_bytes(folder, tmp_path):
    synthesize.synthesize(tmp_path / "again", **SMALL)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert "train.csv" in names
    assert names == sorted(
        str(p.relative_to(tmp_path / "again")) for p in (tmp_path / "again").rglob("*") if p.is_file()
    )
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_landmarks_do_not_depend_on_the_files(folder, tmp_path):
    synthesize.synthesize(tmp_path / "one", **SMALL | {"files": 1})

    def table(directory):
        return pa.concat_tables(pq.read_table(path) for path in sorted((directory / "train_landmarks").iterdir()))

    assert table(folder).equals(table(tmp_path / "one"))


def test_an_interrupted_folder_goes_on(folder, tmp_path):
    output = tmp_path / "sample"
    synthesize.synthesize(output, **SMALL)
    missing = sorted((output / "train_landmarks").iterdir())[1]
    for path in (missing, output / "train.csv", output / "manifest.json"):
        path.unlink()
    assert synthesize.synthesize(output, **SMALL)
    assert missing.read_bytes() == (folder / "train_landmarks" / missing.name).read_bytes()
    assert (output / "train.csv").read_bytes() == (folder / "train.csv").read_bytes()


def test_a_complete_folder_is_left_alone_and_other_content_refused(folder, tmp_path):
    before = (folder / "train.csv").stat().st_mtime_ns
    assert not synthesize.synthesize(folder, **SMALL)
    assert (folder / "train.csv").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="seed: 7 there, 8 asked for"):
        synthesize.synthesize(folder, **SMALL | {"seed": 8})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds something else"):
        synthesize.synthesize(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_command(folder):
    command = [sys.executable, "-m", "pipeline.synthesize", "--output", str(folder), "--clips", "12"]
    command += ["--signers", "3", "--files", "2", "--spoiled-share", "0.25", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{folder} is already complete\n"
    failed = subprocess.run([*command, "--seed", "8"], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"error: {folder} holds a sample set made")
    assert failed.stderr.count("\n") == 1
