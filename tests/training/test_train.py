"""The training command at toy size, and the whole way from a data set to a second model."""

import shutil

import numpy as np
import pytest

from pipeline import filter as filter_command
from pipeline import score_table, storage
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from training import checkpoint, runs, train
from training.runs import Run


def arrays(path):
    with np.load(path) as saved:
        return dict(saved)


def contents(directory):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.rglob("*") if path.is_file()}


def history(run):
    """But for the seconds that an epoch took."""
    return [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in runs.read_history(run / "history.csv")
    ]


def test_what_a_run_leaves(toy_run, toy_dataset):
    assert {path.name for path in toy_run.iterdir()} == {
        "request.json",
        "manifest.json",
        runs.STATISTICS,
        runs.BEST,
        runs.CHECKPOINT,
        runs.HISTORY,
        runs.LOGS,
    }
    assert len(list((toy_run / runs.LOGS).iterdir())) == 2
    run = Run.open(toy_run)
    assert (run.config.network.width, run.config.optimizer.epochs) == (8, 2)
    manifest = run.manifest
    assert (manifest["refused_by_length_rule"], manifest["too_few_frames"]) == (1, 0)
    assert manifest["training_sequences"] + manifest["validation_sequences"] == 24 - 1
    assert [row["epoch"] for row in history(toy_run)] == [1, 2]
    assert all(np.isfinite(row["loss"]) for row in history(toy_run))
    assert manifest["best_score"] == max(row["validation_score"] for row in history(toy_run))


def test_the_way_back_to_the_trained_model(toy_run, toy_dataset):
    model, dataset = Run.open(toy_run).load_model(), Dataset.open(toy_dataset)
    np.testing.assert_array_equal(model.features.mean, dataset.mean)
    np.testing.assert_array_equal(model.features.std, dataset.std)
    for v, saved in zip(model.weights, arrays(toy_run / runs.BEST).values(), strict=True):
        np.testing.assert_array_equal(v, saved)


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

    def save_once(path, variables, **options):
        if path.name == runs.CHECKPOINT:
            saved.append(path)
            if len(saved) == 2:
                raise Killed
        save(path, variables, **options)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", save_once)
        with pytest.raises(Killed):
            command(*words)
    with pytest.raises(UserError, match="is unfinished"):
        Run.open(tmp_path / "run")
    first = arrays(tmp_path / "run" / runs.CHECKPOINT)

    command(*words)
    assert history(tmp_path / "run") == history(toy_run)
    for name in (runs.BEST, runs.CHECKPOINT):
        found, expected = arrays(tmp_path / "run" / name), arrays(toy_run / name)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value, err_msg=key)
    last = arrays(toy_run / runs.CHECKPOINT)
    assert sum(not np.array_equal(first[key], last[key]) for key in last) > 0.9 * len(last)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (None, r"history\.csv has 0 epochs, checkpoint\.npz 2: delete the directory and train it again"),
        ("epoch,loss\n1,low\n", r"history\.csv is damaged \(.*'low'\): delete .* and train it again"),
    ],
)
def test_an_interrupted_run_with_another_history(
    toy_run, toy_dataset, toy_settings, command, tmp_path, history, message
):
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    (run / "manifest.json").unlink()
    (run / runs.HISTORY).unlink() if history is None else (run / runs.HISTORY).write_text(history)
    with pytest.raises(UserError, match=message):
        command(train, "--dataset", toy_dataset, "--output", run, *toy_settings)


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
    settings = [*toy_settings, "--set", "optimizer.epochs=1", "--set", "data.length_rule=false"]
    command(train, "--dataset", filtered, "--output", tmp_path / "final", *settings)
    final = Run.open(tmp_path / "final")
    manifest = final.manifest
    used = manifest["training_sequences"] + manifest["validation_sequences"] + manifest["too_few_frames"]
    assert used == kept
    assert manifest["refused_by_length_rule"] == 0
    assert f"{tmp_path / 'final'}: best validation score" in capsys.readouterr().out
    assert final.load_model().count_params() > 0
