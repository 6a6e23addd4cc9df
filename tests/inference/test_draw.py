import numpy as np
import pytest
from matplotlib.image import imread

from inference import draw
from inference.visuals import pictures
from pipeline.common.errors import UserError
from pipeline.dataset.clips import Clip
from pipeline.dataset.dataset import Dataset
from pipeline.tasks.fingerspelling import Fingerspelling
from pipeline.tasks.recordings import Recordings

TASK = Fingerspelling()


def made(file):
    assert file.read_bytes().startswith(b"\x89PNG")
    return imread(file)


def test_a_strip_and_a_frame(toy_dataset, toy_data, command, tmp_path, capsys):
    """The same picture from the data as from their dataset."""
    clip = next(iter(Dataset.open(toy_dataset).read("test")))
    words = ["--clip", clip.sequence_id, "--output"]
    command(draw, toy_dataset, *words, tmp_path / "new" / "strip.png")
    strip = made(tmp_path / "new" / "strip.png")
    assert strip.shape[1] > strip.shape[0] > 200
    assert f"clip {clip.sequence_id}, {clip.num_frames} frames, {clip.label!r}" in capsys.readouterr().out
    command(draw, toy_data, *words, tmp_path / "again.png")
    assert (made(tmp_path / "again.png") == strip).all()
    command(draw, toy_dataset, *words, tmp_path / "frame.png", "--frame", 2, "--numbers")
    assert made(tmp_path / "frame.png").shape != strip.shape


def clip_of(landmarks, label="a $5 hat"):
    return Clip(landmarks.astype(np.float32), label, 7, 1, "train")


def test_frames_of_a_strip_show_the_hand():
    """Ten of those in which the hand that is seen more often is seen, the first and the last included."""
    landmarks = np.random.default_rng(1).random((60, *TASK.points.shape))
    landmarks[:, TASK.points.groups["left_hand"]] = np.nan
    landmarks[:20, TASK.points.groups["right_hand"]] = np.nan
    figure = pictures.strip(clip_of(landmarks), TASK, 10, numbers=False)
    shown = [int(axes.get_title().removeprefix("frame ")) for axes in figure.axes]
    assert len(shown) == 10
    assert (shown[0], shown[-1]) == (20, 59)
    assert len(figure.axes[0].lines) == 21  # bones


def test_missing_parts_are_named():
    landmarks = np.random.default_rng(1).random((3, *TASK.points.shape))
    landmarks[:, TASK.points.groups["left_hand"]] = np.nan
    figure = pictures.skeleton(clip_of(landmarks), TASK, 1, numbers=True)
    named = [each.get_text() for each in figure.axes[0].get_legend().get_texts()]
    assert named == ["face", "right hand", "left hand: missing", "right pose", "left pose"]
    with pytest.raises(UserError, match=r"--frame 3: clip 7 has the frames 0 to 2"):
        pictures.skeleton(clip_of(landmarks), TASK, 3, numbers=False)
    with pytest.raises(UserError, match="no frame of it shows a hand"):
        pictures.strip(clip_of(np.full_like(landmarks, np.nan)), TASK, 10, numbers=False)


def test_channels_are_lines():
    task = Recordings(channels=("ax", "ay"), labels=("a",))
    figure = pictures.strip(clip_of(np.random.default_rng(1).random((9, 2, 1)), "a"), task, 10, numbers=False)
    assert [axes.get_ylabel() for axes in figure.axes] == ["ax", "ay"]
    with pytest.raises(UserError, match="--frame: a frame of the task recordings is no picture"):
        pictures.skeleton(clip_of(np.zeros((9, 2, 1))), task, 0, numbers=False)
