"""The whole path in one command, at toy size."""

import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys

import pytest

from scripts import run_pipeline

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ("-m", "scripts.run_pipeline")


def run(*arguments: object) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )


def files(directory: pathlib.Path) -> dict[str, int]:
    """Every file of the stages, with the time it was last written."""
    reports = {"report.json", "report.txt", "report.html"}
    return {
        str(path): path.stat().st_mtime_ns
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in reports
    }


@pytest.mark.long
def test_whole_path_from_bucket_to_bucket(emulator, tmp_path):
    """Every command, in processes of its own, with gs:// paths alone."""
    data, output = emulator.bucket() / "data", emulator.bucket() / "out"
    toy = ("data.validation_share=0.3", "encoder.width=8", "optimizer.epochs=2", "optimizer.batch_size=2")
    for command in (
        ["-m", "pipeline.synthesize", "--output", data, "--clips", "40", "--signers", "4", "--files", "2"],
        [*SCRIPT, "--data", data, "--output", output, "--truth", data / "planted_corruption.csv"]
        + [word for setting in toy for word in ("--set", setting)],
        ["-m", "inference.recognize", data / "train_landmarks", "--model", output / "model"],
    ):
        done = run(*command)
        assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 40
    assert json.loads((output / "report.json").read_text("utf-8"))["clips"]["read"] == 40
    assert "score on test signers" in (output / "report.txt").read_text("utf-8")
    assert '<section id="player"' in (output / "report.html").read_text("utf-8")
    for run_ in ("base", "final"):
        assert len((output / run_ / "history.csv").read_text("utf-8").splitlines()) == 1 + 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cache", "temporary"]  # nothing else on this machine
    assert not list((tmp_path / "temporary").glob("fingerspelling-*"))


@pytest.mark.long
def test_whole_path_of_two_folds_then_nothing_to_do(tmp_path):
    data, output = tmp_path / "data", tmp_path / "out"
    made = run("-m", "pipeline.synthesize", "--output", data, "--clips", "80", "--signers", "4", "--files", "2")
    assert made.returncode == 0, made.stderr
    truth = data / "planted_corruption.csv"
    command = [*SCRIPT, "--data", data, "--output", output, "--truth", truth]
    toy = ("encoder.width=16", "encoder.blocks=1", "optimizer.epochs=1", "optimizer.batch_size=4")
    toy += ("data.validation_share=0.2",)  # a twentieth of so few labels may be none
    command += [word for setting in toy for word in ("--set", setting)]
    command += ["--folds", "2"]

    first = run(*command)
    assert first.returncode == 0, first.stderr
    report = json.loads((output / "report.json").read_text())
    assert report["clips"]["read"] == 80
    assert sum(report["clips"]["splits"].values()) + report["clips"]["rejected"] == 80
    judged = sum(kind["clips"] for kind in report["filter"].values())
    assert judged == sum(n for split, n in report["clips"]["splits"].items() if split != "test")
    assert len(report["examples"]) == 10
    assert set(report["score"]) == {"all", "unspoiled"}
    assert report["score"]["unspoiled"]["clips"] < report["score"]["all"]["clips"]
    low, high = report["score"]["all"]["base"]["interval"]
    assert low <= report["score"]["all"]["base"]["score"] <= high
    assert 0 <= report["score"]["all"]["comparison"]["probability_of_improvement"] <= 1
    assert "score on test signers" in first.stdout
    assert f"{output / 'report.html'}: " in first.stdout
    page = (output / "report.html").read_text(encoding="utf-8")
    assert all(f'<section id="{each}"' in page for each in ("data", "player", "errors", "training"))
    assert "planted: " in page

    before = files(output)
    second = run(*command)
    assert second.returncode == 0, second.stderr
    complete = [line.split(" is already")[0] for line in second.stdout.splitlines() if "is already complete" in line]
    assert sorted(complete) == sorted(str(each.parent) for each in output.rglob("manifest.json"))
    assert len(complete) == 9  # two base models, each in a directory of its own
    with (output / "scores/scores.csv").open(encoding="utf-8", newline="") as table:
        found = {(row["split"], int(row["fold"])) for row in csv.DictReader(table)}
    assert found == {("test", 0), ("train", 1), ("train", 2)}
    assert files(output) == before


def test_without_what_draws_the_page(tmp_path, monkeypatch, capsys):
    """The whole path does not fail for it."""
    monkeypatch.setitem(sys.modules, "bokeh", None)
    words = {"data": tmp_path, "output": tmp_path, "task": "fingerspelling", "preset": "small", "set": []}
    arguments = argparse.Namespace(**words, test_signers=(), folds=1, fold_by="signer")
    run_pipeline.write_page(arguments, {})
    assert "no report.html: bokeh is not installed: pip install -e '.[report]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
