"""What people record is recognized; what looks wrong is said: never of good recordings, always of swapped hands.

On sample data; and on real and shared recordings where there are any: beside the repository, or where
FINGERSPELLING_SHARED says.
"""

import json
import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference import recognize
from pipeline import convert, synthesize
from pipeline.dataset import takes, wide
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.readers import read_takes
from pipeline.dataset.symptoms import FEWEST_COMPARED, Symptoms, cleaned, swap_hands
from pipeline.tasks.body import POINTS
from pipeline.tasks.fingerspelling import Fingerspelling

SHARED = pathlib.Path(os.environ.get("FINGERSPELLING_SHARED", pathlib.Path(__file__).parents[3] / "shared"))
TASK = Fingerspelling()


def shared(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"NOT CHECKED on shared recordings: there is no {SHARED / name}")
    return SHARED / name


def shown(file, *, swap=False):
    """The symptoms of each recording of a file."""
    for take in read_takes(file, TASK):
        landmarks = swap_hands(take.landmarks, POINTS) if swap else take.landmarks
        yield cleaned(landmarks, POINTS)[1]


def check(files):
    """Yields each file, how many of its clips can be told to be swapped, and of how many that is not told.

    Of the file as it is there is no complaint, but that hands are rare where they are.
    """
    for file in files:
        total = sum(shown(file), Symptoms())
        rare = total.frames_with_hand < total.frames / 10
        assert list(total.complaints()) == ["rare hands"] * rare, file
        swapped = list(shown(file, swap=True))
        comparable = [each for each in swapped if each.compared >= FEWEST_COMPARED]
        missed = [each for each in comparable if "hands confused" not in each.complaints()]
        yield file, len(comparable), len(missed)


def test_sample_data(tmp_path, command):
    words = ["--clips", 60, "--signers", 6, "--files", 2, "--seed", 1]
    command(synthesize, "--output", tmp_path / "data", *words)
    found = list(check(sorted((tmp_path / "data/train_landmarks").iterdir())))
    assert sum(count for _, count, _ in found) > 50
    assert not any(missed for *_, missed in found)


def test_real_hands():
    found = list(check(sorted(shared("data/fingerspelling/train_landmarks").iterdir())))
    assert sum(count for _, count, _ in found) > 80
    assert not any(missed for *_, missed in found)


def test_real_signs():
    found = list(check(sorted(shared("data/isolated_signs").rglob("*.parquet"))))
    assert sum(count for _, count, _ in found) > 240
    # In this one the tracker itself has found the right hand twice, and called it the left one.
    assert [file.stem for file, _, missed in found if missed] == ["468121184"]


def test_conversion_says_what_looks_wrong_and_swaps(tmp_path, kaggle_data, example_recordings, command, capsys):
    """Signers 1 to 4, twelve clips in three files."""
    random = np.random.default_rng(0)
    recordings = []
    for each in example_recordings:
        landmarks = random.uniform(0.3, 0.7, (8, *POINTS.shape)).astype(np.float32)
        for hand, wrist in zip(POINTS.hands, reversed(POINTS.pose_wrists), strict=True):
            landmarks[:, wrist] = 0.1, 0.1 + wrist / 100
            landmarks[:, POINTS.groups[hand]] = landmarks[:, [wrist]]
        landmarks[:, POINTS.groups["face"]] = 0
        recordings.append(type(each)(each.sequence_id, each.phrase, each.signer, each.file, landmarks=landmarks))
    data = kaggle_data(recordings)
    command(convert, "--data", data, "--output", tmp_path / "as-it-is", "--test-signers", 1)
    zeros, hands = [line for line in capsys.readouterr().err.splitlines() if line.startswith(str(data))]
    assert zeros == f"{data}: in 96 of 96 frames a hand, face or pose is exactly 0: read as missing"
    assert "left and right hand are probably confused" in hands
    command(convert, "--data", data, "--output", tmp_path / "swapped", "--test-signers", 1, "--swap-hands")
    (zeros_again,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith(str(data))]
    assert zeros_again == zeros
    before, after = (Dataset.open(tmp_path / name) for name in ("as-it-is", "swapped"))
    assert before.manifest["complaints"] == [line.removeprefix(f"{data}: ") for line in (zeros, hands)]
    assert "swap_hands" not in json.dumps(before.manifest)
    for one, other in zip(before.read("train"), after.read("train"), strict=True):
        np.testing.assert_array_equal(swap_hands(one.landmarks, POINTS), other.landmarks)
        assert np.isnan(one.landmarks[:, POINTS.groups["face"]]).all()


def answers(path, model, command, capsys, *words):
    """Of each line of output, as JSON; and what is said of it."""
    command(recognize, path, "--model", model, "--json", *words)
    captured = capsys.readouterr()
    return [json.loads(line) for line in captured.out.splitlines()], captured.err.splitlines()


def test_lines_tell_files_and_takes_apart(tmp_path, toy_model, toy_data, command, capsys):
    rows = pq.read_table(toy_data / "train_landmarks/1.parquet")
    one = rows.filter(rows["sequence_id"].to_numpy() == rows["sequence_id"][0].as_py())
    pq.write_table(one, tmp_path / "a.parquet")
    pq.write_table(pa.concat_tables([one, one.slice(0, 5)]), tmp_path / "b.parquet")
    found, said = answers(tmp_path, toy_model, command, capsys)
    assert [(pathlib.Path(each["file"]).name, each["take"]) for each in found] == [
        ("a.parquet", 1),
        ("b.parquet", 1),
        ("b.parquet", 2),
    ]
    assert len({each["sequence_id"] for each in found}) == 1
    assert said == [f"{tmp_path / 'b.parquet'}: {takes.AGAIN}"]
    command(recognize, tmp_path / "a.parquet", tmp_path / "b.parquet", "--model", toy_model)
    lines = [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        [str(tmp_path / "a.parquet"), "100"],
        [str(tmp_path / "b.parquet"), "100"],
        [str(tmp_path / "b.parquet"), "100 (take 2)"],
    ]
    command(recognize, tmp_path / "b.parquet", "--model", toy_model)
    assert capsys.readouterr().out.startswith("100\t")


# What is to be read in a shared case: the names of its clips, and the beginning of what is said of it.
CASES = {
    "plain": ([12345], ""),
    "no_columns_of_a_hand": ([12345], ""),
    "null_type": ([12345], ""),
    "zeros_for_missing": ([12345], "in 143 of 143 frames a hand, face or pose is exactly 0"),
    "rows_filtered_no_id": (["rows_filtered_no_id"], ""),
    "no_id": (["no_id"], ""),
    "every_frame_0": ([12345], "frame numbers repeat"),
    "long_layout": (["long_layout"], ""),
    "hands_swapped": ([12345], "left and right hand are probably confused"),
    "only_hands": ([12345], ""),
    "two_takes_one_id": ([1, 1], "frame numbers start again"),
}


@pytest.mark.parametrize("name", CASES)
def test_shared_cases(name, toy_model, command, capsys):
    cases = shared("cases")
    file = cases / f"{name}.parquet"
    names, remark = CASES[name]
    ((_, plain),) = wide.read_runs(cases / "plain.parquet", TASK)
    found = list(read_takes(file, TASK))
    assert [take.sequence_id for take in found] == names
    landmarks = cleaned(found[0].landmarks, POINTS)[0]
    if name == "hands_swapped":
        landmarks = swap_hands(landmarks, POINTS)
    if name == "only_hands":
        plain[:, np.setdiff1d(np.arange(len(POINTS.names)), POINTS.indices(*POINTS.hands))] = np.nan
    np.testing.assert_array_equal(landmarks, plain)

    texts, said = answers(file, toy_model, command, capsys, *["--swap-hands"] * (name == "hands_swapped"))
    if name == "hands_swapped":
        assert said == []
        _, said = answers(file, toy_model, command, capsys)
    assert len(said) == bool(remark)
    assert all(line.startswith(f"{file}: {remark}") for line in said)
    (expected,), _ = answers(cases / "plain.parquet", toy_model, command, capsys)
    if name != "only_hands":
        assert (texts[0]["prediction"], texts[0]["confidence"]) == (expected["prediction"], expected["confidence"])


def test_shared_files_of_one_id(toy_model, command, capsys):
    found, said = answers(shared("cases") / "same_id", toy_model, command, capsys)
    assert [(pathlib.Path(each["file"]).name, each["sequence_id"]) for each in found] == [
        ("take_1.parquet", 1),
        ("take_2.parquet", 1),
    ]
    assert said == []
