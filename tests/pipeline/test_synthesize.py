import csv
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import handshapes, synthesize, vocabulary
from pipeline.commands import UserError

SMALL = {"sequences": 12, "signers": 3, "files": 2, "spoiled_share": 0.25, "seed": 7}
HANDS = {False: synthesize._RIGHT_HAND, True: synthesize._LEFT_HAND}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("synthesize") / "sample"
    assert synthesize.synthesize(output, **SMALL)
    return output


@pytest.fixture(scope="module")
def recordings():
    """(example, signer, landmarks) of 200 sequences with the default share of spoiled ones."""
    examples = synthesize.plan(sequences=200, signers=12, files=1, spoiled_share=0.12, seed=0)
    signers = [synthesize.make_signer(0, number, 12) for number in range(12)]
    return [
        (
            example,
            signers[example.participant_id],
            synthesize.make_landmarks(example, signers[example.participant_id], 0),
        )
        for example in examples
    ]


def _rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _seen(landmarks, points):
    return ~np.isnan(landmarks[:, points, 0][:, 0])


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
        assert {schema.field(name).type for name in synthesize.POINT_COLUMNS} == {pa.float32()}
        assert json.loads(schema.metadata[b"pandas"])["index_columns"] == ["sequence_id"]


def test_files_and_metadata_agree(folder):
    rows = _rows(folder / "train.csv")
    assert list(rows[0]) == ["path", "file_id", "sequence_id", "participant_id", "phrase"]
    assert len({row["sequence_id"] for row in rows}) == SMALL["sequences"]
    assert {row["participant_id"] for row in rows} == {"0", "1", "2"}
    for row in rows:
        assert row["path"] == f"train_landmarks/{row['file_id']}.parquet"
        vocabulary.encode(row["phrase"])
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
    assert index == vocabulary.CHARACTER_TO_INDEX


def test_the_spoiled_list(folder):
    spoiled = {row["sequence_id"]: row["kind"] for row in _rows(folder / "planted_corruption.csv")}
    assert sorted(spoiled.values()) == ["accidental_tap", "truncated", "wrong_phrase"]
    examples = synthesize.plan(**SMALL)
    assert {str(example.sequence_id): example.kind for example in examples if example.kind} == spoiled
    for example in examples:
        differs = example.phrase != synthesize.phrase(SMALL["seed"], example.index)
        assert differs == (example.kind == "wrong_phrase")


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


def test_another_seed_gives_other_data():
    one, other = (synthesize.plan(**SMALL | {"seed": seed}) for seed in (0, 1))
    assert [example.phrase for example in one] != [example.phrase for example in other]


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


@pytest.mark.parametrize(
    "wrong", [{"files": 13}, {"files": 0}, {"signers": 0}, {"sequences": 0}, {"spoiled_share": 1.5}]
)
def test_senseless_arguments(tmp_path, wrong):
    with pytest.raises(UserError):
        synthesize.synthesize(tmp_path / "sample", **SMALL | wrong)
    assert not (tmp_path / "sample").exists()


def test_the_command(folder):
    command = [sys.executable, "-m", "pipeline.synthesize", "--output", str(folder), "--sequences", "12"]
    command += ["--signers", "3", "--files", "2", "--spoiled-share", "0.25", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{folder} is already complete\n"


def test_phrases():
    phrases = [synthesize.phrase(0, index) for index in range(3000)]
    lengths = np.array([len(text) for text in phrases])
    assert lengths.max() <= 31
    assert 17 < lengths.mean() < 18.7
    assert len(set(phrases)) > 2800
    used = set("".join(phrases))
    assert used >= set("abcdefghijklmnopqrstuvwxyz0123456789 .-/+_@:()#,'&=?~%")
    assert used <= set(handshapes.SIGNS)


def test_statistics_are_near_those_of_the_real_set(recordings):
    """In brackets: the real set's. The bands allow for 200 sequences of 12 signers; they are no target to train for."""
    frames = np.array([len(landmarks) for _, _, landmarks in recordings])
    assert 145 < frames.mean() < 175  # (160)
    assert 255 < np.quantile(frames, 0.95) < 345  # (309)
    per_character = [len(landmarks) / len(example.phrase) for example, _, landmarks in recordings]
    assert 7.5 < np.median(per_character) < 10.5  # (8.9)
    assert 1.0 < np.quantile(per_character, 0.05) < 4  # (2.4)
    seen = sum(_seen(landmarks, HANDS[signer.left_handed]).sum() for _, signer, landmarks in recordings)
    assert 0.35 < 1 - seen / frames.sum() < 0.45  # (0.4)
    other = sum(_seen(landmarks, HANDS[not signer.left_handed]).sum() for _, signer, landmarks in recordings)
    assert other / frames.sum() < 0.03
    face = sum(_seen(landmarks, synthesize._FACE).sum() for _, _, landmarks in recordings)
    assert 0.95 < face / frames.sum() < 1


def test_left_handed_signers_use_the_left_hand(recordings):
    assert sum(synthesize.make_signer(0, number, 12).left_handed for number in range(12)) in (1, 2)
    assert sum(synthesize.make_signer(3, number, 100).left_handed for number in range(100)) == 10
    for wanted in (False, True):
        mine = [(signer, landmarks) for _, signer, landmarks in recordings if signer.left_handed == wanted]
        hand = sum(_seen(landmarks, HANDS[wanted]).sum() for _, landmarks in mine)
        assert hand > 20 * sum(_seen(landmarks, HANDS[not wanted]).sum() for _, landmarks in mine)
        # Before the signer's own side: the right hand at the image's left.
        side = np.nanmean(np.concatenate([landmarks[:, HANDS[wanted], 0].ravel() for _, landmarks in mine]))
        assert (side > 0.5) == wanted


def test_recordings_are_plausible(recordings):
    for example, signer, landmarks in recordings:
        assert landmarks.shape[1:] == (543, 3)
        assert landmarks.dtype == np.float32
        assert not np.isinf(landmarks).any()
        hand = landmarks[:, HANDS[signer.left_handed]]
        # A hand is seen whole or not at all; its depth is counted from the wrist.
        missing = np.isnan(hand).reshape(len(hand), -1)
        assert (missing.all(axis=1) | ~missing.any(axis=1)).all()
        assert np.nanmax(np.abs(hand[:, 0, 2]), initial=0) == 0
        if example.kind == "accidental_tap":
            assert len(landmarks) < 80
        elif example.kind != "truncated":
            # The hand comes up and leaves.
            assert missing[[0, -1]].all()
            assert (~missing[:, 0]).sum() > 10


def test_truncated_recordings_keep_less_than_a_third(recordings):
    for example, signer, landmarks in recordings:
        if example.kind == "truncated":
            rng = synthesize._random(0, synthesize._MOTION_STREAM, example.index)
            whole = synthesize._spell(synthesize.phrase(0, example.index), signer, rng)
            assert len(landmarks) - whole.first_frame < (whole.last_frame - whole.first_frame) / 3 + 1
