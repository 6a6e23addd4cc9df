"""The whole path in one command, at toy size."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "run_pipeline.py"


def run(*arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )


def files(directory: pathlib.Path) -> dict[str, int]:
    """Every file of the stages, with the time it was last written."""
    reports = {"report.json", "report.txt"}
    return {
        str(path): path.stat().st_mtime_ns
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in reports
    }


def test_wrong_data_directory_is_one_line(tmp_path):
    done = run(str(SCRIPT), "--data", str(tmp_path / "nothing"), "--output", str(tmp_path / "out"))
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "report.json").exists()


def test_wrong_truth_file_is_told_before_anything_long(tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("id,what\n1,tap\n")
    done = run(str(SCRIPT), "--data", str(tmp_path), "--output", str(tmp_path / "out"), "--truth", str(truth))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot read {truth}: expected a CSV file with the columns sequence_id, kind")


def test_an_output_directory_in_use_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    done = run(str(SCRIPT), "--data", str(tmp_path), "--output", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} already holds something else: choose an empty or new directory\n"
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.long
def test_whole_path_then_nothing_to_do(tmp_path):
    data, output = tmp_path / "data", tmp_path / "out"
    made = run(
        "-m", "pipeline.synthesize", "--output", str(data), "--sequences", "80", "--signers", "4", "--files", "2"
    )
    assert made.returncode == 0, made.stderr
    truth = data / "planted_corruption.csv"
    command = [str(SCRIPT), "--data", str(data), "--output", str(output), "--truth", str(truth)]
    toy = ("network.width=16", "network.blocks=1", "optimizer.epochs=1", "optimizer.batch_size=4")
    command += [word for setting in toy for word in ("--set", setting)]

    first = run(*command)
    assert first.returncode == 0, first.stderr
    report = json.loads((output / "report.json").read_text())
    assert report["sequences"]["read"] == 80
    assert sum(report["sequences"]["splits"].values()) + report["sequences"]["rejected"] == 80
    judged = sum(kind["sequences"] for kind in report["filter"].values())
    assert judged == sum(n for split, n in report["sequences"]["splits"].items() if split != "test")
    assert len(report["examples"]) == 10
    assert set(report["score"]) == {"all", "unspoiled"}
    assert report["score"]["unspoiled"]["sequences"] < report["score"]["all"]["sequences"]
    assert "score on test signers" in first.stdout

    before = files(output)
    second = run(*command)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("is already complete") == 7
    assert files(output) == before
