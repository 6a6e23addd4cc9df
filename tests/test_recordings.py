"""Recordings of which a description file tells, the whole path: two layouts, and what recognition takes of each."""

import pathlib

import pytest

from pipeline.dataset.dataset import Dataset
from pipeline.scores import score_table


def made(command, folder: pathlib.Path, layout: str) -> pathlib.Path:
    from pipeline import convert, synthesize

    words = ("--task", "recordings", "--layout", layout, "--clips", 36, "--signers", 3, "--movements", 3)
    command(synthesize, "--output", folder / "data", *words)
    description = ("--task", folder / "data/description.toml", "--test-signers", 2)
    command(convert, "--data", folder / "data", "--output", folder / "dataset", *description, "--workers", 1)
    return folder


@pytest.mark.parametrize(
    ("layout", "preset", "kept"),
    [
        ("files", "sequence-small-final", "best validation score "),
        ("streams", "sequence-small", "the weights of epoch 2, the last: no clips validate"),
    ],
)
def test_the_whole_path(command, tmp_path, capsys, layout, preset, kept):
    from inference import evaluate, export, recognize
    from pipeline import filter as filter_command
    from training import score, train

    made(command, tmp_path, layout)
    settings = {"encoder.width": 8, "encoder.heads": 2, "optimizer.epochs": 2}
    settings |= {"optimizer.batch_size": 6, "optimizer.warmup_epochs": 0.5, "optimizer.fewest_steps": 0}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    dataset, run, model = (tmp_path / name for name in ("dataset", "run", "model"))
    command(train, "--dataset", dataset, "--output", run, "--preset", preset, *words)
    assert kept in capsys.readouterr().out
    command(score, "--run", run, "--dataset", dataset, "--output", tmp_path / "scores")
    _, rows = score_table.open_table(tmp_path / "scores")
    assert len(rows) == Dataset.open(dataset).manifest["written"]
    given = ("--dataset", dataset, "--scores", tmp_path / "scores", "--workers", 1)
    command(filter_command, *given, "--output", tmp_path / "filtered")
    command(export, "--run", run, "--dataset", dataset, "--output", model, "--fixed-frames", 48)
    command(evaluate, "--model", model, "--dataset", dataset, "--output", tmp_path / "evaluation")
    capsys.readouterr()
    place = {"files": "recordings/00002.csv", "streams": "streams/person-002.csv"}[layout]
    command(recognize, tmp_path / "data" / place, "--model", model)
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert all(line[1].startswith("movement-") for line in lines)
    if layout == "files":
        assert [line[0] for line in lines] == ["2"]
    else:
        assert [line[0] for line in lines[:2]] == ["0.00-2.00 s", "1.00-3.00 s"]


def test_what_is_recognized_may_lack_its_label(command, tmp_path, capsys):
    """And a folder may hold other tables beside the recordings; what lacks a channel is one line."""
    from pipeline import describe
    from pipeline.dataset import description, tabular

    made(command, tmp_path, "streams")
    command(describe, tmp_path / "data", "--output", tmp_path / "guessed.toml")
    said = capsys.readouterr().out
    assert 'kind = "streams"' in said
    assert "what it finds: clips: " in said
    assert "groups: 3; channels: " in said
    assert "classes: 3 (movement-" in said
    assert "next: look at" in said
    task = description.read(tmp_path / "guessed.toml", tmp_path / "data")
    file = tmp_path / "data/streams/person-001.csv"
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line.rsplit(",", 1)[0] for line in file.read_text().splitlines()))
    found, same = (
        [take.landmarks for take in tabular.read_takes(each, task.points, task.tables)] for each in (bare, file)
    )
    assert len(found) == len(same) > 3
    assert all((one == other).all() for one, other in zip(found, same, strict=True))
