import json

import numpy as np
import pytest

from pipeline import inspect
from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import SplitRule


@pytest.fixture
def path(kaggle_data, recording, example_recordings, tmp_path):
    data = kaggle_data([*example_recordings, recording(7, "É"), recording(8, "word a", 3)])
    conversion.convert(data, tmp_path / "dataset", SplitRule(test_signers=(3,)), num_shards=2, runner=Runner())
    return tmp_path / "dataset"


@pytest.fixture
def said(command, capsys):
    def run(*words):
        capsys.readouterr()
        command(inspect, *words)
        return capsys.readouterr().out

    return run


def test_what_a_data_set_holds(path, said):
    text = said(path)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "train validation test",
        "clips 9 0 4",
        "signers 3 0 1",
        "frames: max 7 5",
        "of train 9 0 4",
        "signers of train (clips): 1 (3), 2 (3), 4 (3)",
        "train and test share 0 signers, 0 clips, 1 labels: those of 1 of the 4 test clips",
        "14 read = 13 written + 1 rejected",
        "rejected: 1 unknown_characters (listed in rejected.jsonl)",
    ):
        assert line in lines
    assert f"records {Dataset.open(path).fingerprint}" in lines
    assert f"numpy {np.__version__}" in text


def test_a_record(path, said):
    text = said(path, "--record", 104)
    assert text.startswith("clip 104 in train-0000")
    assert "signer 1, 10 characters: 'word abcde'\n7 frames, 0 without a hand; it does not pass the rule" in text
    assert "left hand  100.0% seen, x " in text
    with pytest.raises(UserError, match=r"clip 7 was rejected: .*unknown_characters"):
        said(path, "--record", 7)
    with pytest.raises(UserError, match="has no clip 999, and rejected none"):
        said(path, "--record", 999)


def test_verify(path, said, capsys):
    assert said(path, "--verify") == f"ok: {path}, every record and count\n"
    file = next((path / "shards").glob("train*"))
    content = bytearray(file.read_bytes())
    content[-20] ^= 4
    file.write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        said(path, "--verify")
    assert stopped.value.code == 1
    problem, advice, made_by = capsys.readouterr().out.splitlines()
    assert f"{file} is damaged" in problem
    assert f"delete these files and {path / 'manifest.json'}, and run again what made it" in advice
    assert made_by == json.loads((path / "manifest.json").read_text())["command"]


@pytest.mark.parametrize(
    ("damage", "deleted"),
    [
        (lambda path: (path / "request.json").unlink(), "{path}"),
        (lambda path: (path / "rejected.jsonl").unlink(), "these files and {path}/manifest.json"),
    ],
)
def test_verify_tells_what_is_to_be_made_again(path, said, capsys, damage, deleted):
    damage(path)
    with pytest.raises(SystemExit):
        said(path, "--verify")
    advice = capsys.readouterr().out.splitlines()[-2]
    assert advice == f"to repair it, delete {deleted.format(path=path)}, and run again what made it:"


def test_other_directories(path, said, tmp_path):
    from pipeline.common import directories

    request = directories.Request("model", {"run": "abc", "many": list(range(99))})
    directories.prepare(tmp_path / "model", request)
    directories.complete(tmp_path / "model", request, {"bytes": 7, "score": {"test": 0.5}})
    lines = said(tmp_path / "model").splitlines()
    assert lines[0] == f"{tmp_path / 'model'}: model"
    assert {"settings.run: abc", "bytes: 7", "score.test: 0.5"} < set(lines)
    assert not any("many" in line for line in lines)
    with pytest.raises(UserError, match="is a model; expected a dataset"):
        said(tmp_path / "model", "--verify")
    with pytest.raises(UserError, match="no such file or directory"):
        said(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overlap": None}, r"manifest\.json is damaged \('overlap'\): delete .* and make it again"),
        ({"schema_version": 1}, r"is a dataset of another version .* \(schema version 1, this one has 4\)"),
    ],
)
def test_a_data_set_that_is_damaged_or_of_an_earlier_version(path, said, changes, message):
    manifest = json.loads((path / "manifest.json").read_text()) | changes
    kept = {name: value for name, value in manifest.items() if value is not None}
    directories.write_json(path / "manifest.json", kept)
    with pytest.raises(UserError, match=message):
        said(path)
