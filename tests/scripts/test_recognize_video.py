import json
import pathlib

import pytest

from inference.recognizer import Prediction
from pipeline.common.errors import UserError
from pipeline.tasks.fingerspelling import Fingerspelling
from pipeline.tracking import recordings, videos
from scripts import recognize_video
from tests.pipeline.tracking import fake


class Reads:
    """Stands in for a model: reads the number of frames."""

    def __init__(self, model):
        if model.name != "model":
            raise UserError(f"{model}: no model")
        self.task = Fingerspelling()

    def recognize(self, landmarks):
        return Prediction(f"{len(landmarks)} frames", 0.5, 1.25)


@pytest.fixture
def called(tmp_path, monkeypatch):
    """The words with which `pipeline.track` was called; in its place its stand-in writes the folder."""
    monkeypatch.chdir(tmp_path)
    fake.write(tmp_path / "v/a.mp4", 6)
    fake.write(tmp_path / "v/b.mp4", 9)
    words = []

    def call(command, *, stdout):
        words[:] = command[command.index("pipeline.track") + 1 :]
        output = pathlib.Path(words[words.index("--output") + 1])
        recordings.track(videos.find([pathlib.Path("v")]), output, fake.TRACKER)
        return 0

    monkeypatch.setattr(recognize_video, "call", call)
    monkeypatch.setattr(recognize_video, "Recognizer", Reads)
    return words


def test_prints_a_line_a_video(called, command, capsys):
    command(recognize_video, "v", "--model", "model", "--mirrored", "--workers", 3)
    assert capsys.readouterr().out == "a.mp4\t6 frames\t0.50\t1.2 ms\nb.mp4\t9 frames\t0.50\t1.2 ms\n"
    output = pathlib.Path(called[2])
    assert called == ["v", "--output", str(output), "--workers", "3", "--mirrored"]
    assert not output.parent.exists()


def test_json(called, command, capsys):
    command(recognize_video, "--camera", 0, "--seconds", 3, "--model", "model", "--json", "--output", "kept")
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    sequence_id = videos.Video(pathlib.Path("a.mp4")).sequence_id
    read = {"prediction": "6 frames", "confidence": 0.5, "milliseconds": 1.25}
    assert first == {"file": "a.mp4", "sequence_id": sequence_id, "take": 1, **read}
    assert called[:2] == ["--output", "kept"]
    assert called[-4:] == ["--camera", "0", "--seconds", "3.0"]
    assert len(recordings.read(pathlib.Path("kept"))) == 2


@pytest.mark.parametrize("words", [["v", "--model", "gone"], ["--model", "model"]])
def test_mistakes_are_found_before_the_work(called, command, words):
    with pytest.raises(UserError):
        command(recognize_video, *words)
    assert not called


def test_what_tracking_says_is_enough(called, command, monkeypatch):
    monkeypatch.setattr(recognize_video, "call", lambda *_, **__: 1)
    with pytest.raises(SystemExit) as ended:
        command(recognize_video, "v", "--model", "model")
    assert ended.value.code == 1
