import os
import pathlib
import sys

import pytest

from pipeline import track
from pipeline.common.errors import UserError
from tests.pipeline.tracking import fake


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with some videos."""
    monkeypatch.chdir(tmp_path)
    for name, more in {"a": {}, "b": {"shows": "nobody", "rate": 23.976}}.items():
        fake.write(tmp_path / f"v/{name}.mp4", **more)
    return tmp_path


@pytest.fixture
def tracked(place, command, monkeypatch, capsys):
    """`tracked(*words)`: what the command prints, with the tracker's stand-in."""
    monkeypatch.setattr(track, "_tracker", lambda: fake.TRACKER)

    def run(*words):
        command(track, *words)
        return capsys.readouterr()

    return run


def test_reports_what_it_found(tracked):
    said = tracked("v", "--output", "o", "--workers", 2)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.out.splitlines() if "│" in line]
    assert rows == [
        ["a.mp4", "5", "30", "80%", "100%", "0%", "60%"],
        ["b.mp4", "5", "23.98", "0%", "0%", "0%", "0%"],
        ["together", "10", "", "40%", "50%", "0%", "30%"],
    ]
    assert "10 frames: o\nnext: python -m inference.recognize o/train_landmarks --model MODEL\n" in said.out
    assert "b.mp4: there is no person in it" in said.err
    assert "a.mp4: there is no" not in said.err


def test_with_labels_the_pipeline_comes_next(tracked, place):
    (place / "l.csv").write_text("file,phrase,signer\na.mp4,a b,7\n")
    said = tracked("v/a.mp4", "--output", "o", "--labels", "l.csv")
    assert "next: scripts/run_pipeline --data o --output DIRECTORY" in said.out
    assert "a b" in (place / "o/train.csv").read_text()


class Started(Exception):  # noqa: N818
    """This process has become another."""


def test_starts_itself_where_mediapipe_is(place, command, monkeypatch):
    started = []

    def become(*what):
        started.extend(what)
        raise Started

    monkeypatch.setattr(os, "execve", become)
    monkeypatch.delenv("PYTHON", raising=False)
    with pytest.raises(Started):
        command(track, "v", "--output", "o", "--mirrored")
    program, words, environment = started
    assert program == pathlib.Path(track.__file__).parents[1] / "scripts/track"
    assert words[1:] == ["v", "--output", "o", "--mirrored"]
    assert environment["PYTHON"] == sys._base_executable
    assert not (place / "o").exists()


def test_an_environment_without_mediapipe_is_refused(place, command, monkeypatch):
    monkeypatch.setattr(sys, "prefix", "/somewhere/.venv-track")
    with pytest.raises(UserError, match=r"/somewhere/\.venv-track lacks MediaPipe 0\.10\.21: delete it"):
        command(track, "v", "--output", "o")


def test_without_the_launcher_it_says_so(place, command, monkeypatch):
    monkeypatch.setattr(track, "_LAUNCHER", pathlib.Path("/gone/scripts/track"))
    with pytest.raises(UserError, match=r"/gone/scripts/track, which would do that, is not there"):
        command(track, "v", "--output", "o")
