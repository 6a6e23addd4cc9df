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
from pipeline.dataset import long
from pipeline.dataset.writers import POINT_COLUMNS
from pipeline.synthesis.plan import plan_clips, plan_signs
from pipeline.tasks.fingerspelling import CHARACTER_TO_INDEX, Fingerspelling
from pipeline.tasks.isolated_signs import IsolatedSigns

SMALL = {"clips": 12, "signers": 3, "files": 2, "spoiled_share": 0.25, "seed": 7}
SIGNS = {"task": "isolated-signs", "clips": 24, "signers": 3, "signs": 4, "spoiled_share": 0.25, "seed": 7}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("synthesize") / "sample"
    assert synthesize.synthesize(output, **SMALL)
    return output


@pytest.fixture(scope="module")
def signs_folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("synthesize") / "signs"
    assert synthesize.synthesize(output, **SIGNS)
    return output


def _files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


def test_the_same_arguments_give_the_same_bytes(folder, signs_folder, tmp_path):
    for made, arguments in ((folder, SMALL), (signs_folder, SIGNS)):
        synthesize.synthesize(tmp_path / made.name, **arguments)
        assert "train.csv" in _files(made)
        assert _files(made) == _files(tmp_path / made.name)


def test_landmarks_of_phrases_stay_as_they_were(folder):
    """What the generator's version promises: the sum of the coordinates, which are whole steps of 1/16,384."""
    columns = [name for name in POINT_COLUMNS if "hand" in name or "pose" in name]
    found = 0
    for path in (folder / "train_landmarks").iterdir():
        table = pq.read_table(path, columns=columns)
        found += sum(int(np.rint(np.nansum(table[name].to_numpy().astype(float)) * (1 << 14))) for name in columns)
    assert found == pytest.approx(1_450_602_285, abs=200)  # another processor may round otherwise here and there


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


def test_signs_are_laid_out_as_in_the_kaggle_files(signs_folder):
    rows = _rows(signs_folder / "train.csv")
    assert list(rows[0]) == ["path", "participant_id", "sequence_id", "sign"]
    assert len({row["sequence_id"] for row in rows}) == SIGNS["clips"]
    signs = json.loads((signs_folder / "sign_to_prediction_index_map.json").read_text())
    assert list(signs.values()) == [0, 1, 2, 3]
    assert set(signs) == {row["sign"] for row in rows}
    assert len({(row["participant_id"], row["sign"]) for row in rows}) >= 12
    task = IsolatedSigns.of_data(signs_folder, [])
    names = [(part, index) for part, count in task.layout.parts.items() for index in range(count)]
    first_frames = set()
    for row in rows:
        assert row["path"] == f"train_landmark_files/{row['participant_id']}/{row['sequence_id']}.parquet"
        table = pq.read_table(signs_folder / row["path"])
        types = ["int16", "string", "string", "int16", "double", "double", "double"]
        assert table.schema.names == ["frame", "row_id", "type", "landmark_index", "x", "y", "z"]
        assert list(map(str, table.schema.types)) == types
        frames = table["frame"].to_numpy()
        first_frames.add(int(frames[0]))
        np.testing.assert_array_equal(frames, np.repeat(np.arange(frames[0], frames[-1] + 1), 543))
        last = table.slice(len(table) - 543).to_pydict()
        assert list(zip(last["type"], last["landmark_index"], strict=True)) == names
        assert last["row_id"] == [f"{frames[-1]}-{part}-{index}" for part, index in names]
        assert table["x"].null_count > 0
        assert not np.isnan(table["x"].drop_null().to_numpy()).any()
        ((sequence_id, landmarks),) = long.read_clips(signs_folder / row["path"], task, [int(row["sequence_id"])])
        assert str(sequence_id) == row["sequence_id"]
        assert landmarks.shape == (len(table) // 543, *task.points.shape)
    assert len(first_frames) > 12


def test_the_spoiled_signs(signs_folder):
    spoiled = {row["sequence_id"]: row["kind"] for row in _rows(signs_folder / "planted_corruption.csv")}
    assert sorted(spoiled.values()) == ["accidental_tap"] * 2 + ["truncated"] * 2 + ["wrong_sign"] * 2
    planned = plan_signs(**{name: value for name, value in SIGNS.items() if name != "task"})
    assert {str(each.sequence_id): each.spoiled for each in planned if each.spoiled} == spoiled


def test_interrupted_signs_go_on(signs_folder, tmp_path):
    output = tmp_path / "signs"
    synthesize.synthesize(output, **SIGNS)
    kept, *missing = (output / row["path"] for row in _rows(output / "train.csv"))
    before = kept.stat().st_mtime_ns
    for path in (*missing, output / "train.csv", output / "manifest.json"):
        path.unlink()
    assert synthesize.synthesize(output, **SIGNS)
    assert _files(output) == _files(signs_folder)
    assert kept.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="signs: 4 there, 5 asked for"):
        synthesize.synthesize(output, **SIGNS | {"signs": 5})
