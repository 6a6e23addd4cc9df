"""The training command at toy size, and the whole way from a dataset to a second model."""

import csv
import json
import shutil

import numpy as np
import pytest

from pipeline import filter as filter_command
from pipeline.common import storage
from pipeline.common.errors import UserError
from pipeline.dataset.dataset import STATISTICS, Dataset
from pipeline.scores import score_table
from training import checkpoint, runs, train
from training.runs import Run


def arrays(path):
    """But for the note."""
    with np.load(path) as saved:
        return {name: saved[name] for name in saved.files if name != "note"}


def contents(directory):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.rglob("*") if path.is_file()}


def history(run):
    """But for how long an epoch took."""
    with (run / runs.HISTORY).open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [{name: row[name] for name in row.keys() - {"seconds", "steps_per_second"}} for row in rows]


def assert_same(run, expected):
    assert history(run) == history(expected)
    names = {file.name for file in expected.rglob("*")}
    assert {file.name for file in run.rglob("*")} == names
    for name in (Run.open(expected).manifest["weights"], runs.CHECKPOINT):
        found, wanted = arrays(run / name), arrays(expected / name)
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_what_a_run_leaves(toy_run):
    run = Run.open(toy_run)
    manifest, rows = run.manifest, history(toy_run)
    names = {"request.json", "manifest.json", STATISTICS, manifest["weights"], runs.CHECKPOINT, runs.HISTORY, runs.LOGS}
    assert {path.name for path in toy_run.iterdir()} == names
    assert [path.name for path in (toy_run / runs.LOGS).iterdir()] == ["events.out.tfevents.0"]
    assert (run.config.encoder.width, run.config.optimizer.epochs) == (12, 2)
    assert (manifest["implausible"], manifest["too_few_frames"]) == (1, 0)
    assert manifest["training_clips"] + manifest["validation_clips"] == 24 - 1
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert manifest["best_score"] == max(row["validation_score"] for row in rows)
    assert manifest["weights"] == runs.best_name(manifest["best_epoch"])
    assert rows[manifest["best_epoch"] - 1]["validation_score"] == manifest["best_score"]
    assert {"python", "numpy", "keras", "tensorflow"} == set(manifest["versions"])
    assert b"\r" not in (toy_run / runs.HISTORY).read_bytes()


def test_a_second_call_finds_it_done(toy_run, toy_dataset, toy_settings, command, capsys):
    before = contents(toy_run)
    command(train, "--dataset", toy_dataset, "--output", toy_run, *toy_settings)
    assert f"{toy_run} is already complete" in capsys.readouterr().out
    assert contents(toy_run) == before


class Killed(BaseException):
    """Nothing catches it, as when the process is killed."""


def test_a_continued_run_ends_as_an_uninterrupted_one(
    toy_run, toy_dataset, toy_settings, command, tmp_path, monkeypatch
):
    """Killed at the worst moment: the second epoch has written its best weights and history, but no checkpoint."""
    words = [train, "--dataset", toy_dataset, "--output", tmp_path / "run", *toy_settings]
    save, saved = checkpoint.save, []

    def save_once(path, *arguments):
        if path.name == runs.CHECKPOINT:
            saved.append(path)
            if len(saved) == 2:
                raise Killed
        save(path, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", save_once)
        with pytest.raises(Killed):
            command(*words)
    with pytest.raises(UserError, match="is unfinished"):
        Run.open(tmp_path / "run")
    first = arrays(tmp_path / "run" / runs.CHECKPOINT)

    command(*words)
    assert_same(tmp_path / "run", toy_run)
    last = arrays(toy_run / runs.CHECKPOINT)
    assert sum(not np.array_equal(first[key], last[key]) for key in last) > 0.9 * len(last)


@pytest.mark.parametrize("damage", [lambda file: file.write_text("epoch,loss\n1,low\n"), lambda file: file.unlink()])
def test_nothing_reads_the_history_again(toy_run, toy_dataset, toy_settings, command, tmp_path, damage):
    """What it tells is in the checkpoint: the run ends as it did, and its manifest says the same."""
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    (run / "manifest.json").unlink()
    damage(run / runs.HISTORY)
    command(train, "--dataset", toy_dataset, "--output", run, *toy_settings)
    found, expected = (json.loads((each / "manifest.json").read_text()) for each in (run, toy_run))
    assert {name: found[name] for name in found if name != "command"} == {
        name: expected[name] for name in expected if name != "command"
    }


@pytest.mark.long
def test_a_run_in_a_bucket_goes_on_after_a_failed_upload(
    toy_run, toy_dataset, toy_settings, command, emulator, upload, monkeypatch
):
    """And ends as one on this machine."""
    dataset, output = upload(toy_dataset, emulator.bucket() / "dataset"), emulator.bucket() / "run"
    send = storage.GsPath.upload

    def not_the_second_checkpoint(path, file):
        if path.name == runs.CHECKPOINT and path.exists():
            emulator.refuse = lambda request: 403
        send(path, file)

    with monkeypatch.context() as patch:
        patch.setattr(storage.GsPath, "upload", not_the_second_checkpoint)
        with pytest.raises(PermissionError):
            command(train, "--dataset", dataset, "--output", output, *toy_settings)
    emulator.refuse = lambda request: None
    command(train, "--dataset", dataset, "--output", output, *toy_settings)
    assert Run.open(output).fingerprint == Run.open(toy_run).fingerprint
    assert history(output) == history(toy_run)
    assert sorted(storage.file_sizes(output)) == sorted(storage.file_sizes(toy_run))


def test_from_scores_to_a_model_trained_on_what_the_filter_kept(
    toy_scores, toy_dataset, toy_settings, command, tmp_path, capsys
):
    scores = [
        row.score for row in score_table.read(toy_scores / score_table.FILE_NAME).values() if row.split == "train"
    ]
    threshold = sorted(scores)[6]
    filtered = tmp_path / "filtered"
    words = ["--scores", toy_scores, "--output", filtered, "--threshold", threshold, "--workers", 1]
    command(filter_command, "--dataset", toy_dataset, *words)
    kept = sum(score >= threshold for score in scores)
    assert Dataset.open(filtered).count("train") == kept < len(scores)
    changes = ("optimizer.epochs=1", "data.plausible_only=false", "data.max_frames=3")
    settings = [*toy_settings, *(word for change in changes for word in ("--set", change))]
    command(train, "--dataset", filtered, "--output", tmp_path / "final", *settings)
    final = Run.open(tmp_path / "final")
    manifest = final.manifest
    assert manifest["training_clips"] + manifest["validation_clips"] + manifest["too_few_frames"] == kept
    assert manifest["implausible"] == 0
    said = capsys.readouterr()
    assert f"{tmp_path / 'final'}: best validation score" in said.out
    clips, short = manifest["training_clips"] + manifest["too_few_frames"], manifest["too_few_frames"]
    told = " ".join(said.err.split())
    assert f"of {clips} that are not for validation, left out are 0 without" in told
    assert short > 0 and f"and {short} with too few frames for their label" in told
    assert final.load_model().count_params() > 0
