import csv
import json

import pytest

from pipeline import report
from pipeline.common import directories
from pipeline.dataset.clips import ClipInfo
from pipeline.scores import analysis, score_table
from pipeline.scores.score_table import Learnt, Row
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()

LABELS = ["a[b]c", "two words", "1-2", "abcdef"]


def write(directory, recognize, kind=score_table.KIND):
    """A complete directory with four test clips of two signers, and one to train on."""
    rows = [
        Row.of(
            ClipInfo(i, "train" if i == 4 else "test", i % 2 + 1, "train", label, 50 * i + 10, 0, True),
            recognize(label),
            TASK,
            Learnt.of([]),
        )
        for i, label in enumerate([*LABELS, "learnt"])
    ]
    request = directories.Request(kind, {})
    directories.prepare(directory, request)
    score_table.write(directory / score_table.FILE_NAME, rows)
    directories.complete(directory, request, {"task": TASK.as_json()}, files=[score_table.FILE_NAME])
    return directory


@pytest.fixture
def scores(tmp_path):
    return write(tmp_path / "scores", lambda label: label[:-1])


@pytest.fixture
def better(tmp_path):
    return write(tmp_path / "evaluation", lambda label: label, analysis.KIND)


def test_a_table(scores, command, capsys, tmp_path):
    command(report, scores, "--json", tmp_path / "report.json")
    shown = capsys.readouterr().out
    found = directories.read_json(tmp_path / "report.json")
    rows = score_table.read(scores / score_table.FILE_NAME)
    assert found == json.loads(json.dumps(analysis.report((rows[i] for i in range(4)), TASK)))
    assert len(shown.splitlines()) < 25
    for words in ("test clips", f"{found['score']:.4f}", "4 deletions", "c: 1", "s: 1", "51-100: 0.889"):
        assert words in shown, words


def test_the_file_alone_says_the_same(scores, command, capsys):
    command(report, scores)
    directory = capsys.readouterr().out
    command(report, scores / score_table.FILE_NAME)
    assert capsys.readouterr().out == directory


def test_another_split(better, command, capsys):
    command(report, better, "--split", "train")
    shown = capsys.readouterr().out
    assert "train clips" in shown
    assert "│ 1, 1 " in shown
    assert "1.0000 (1.0000 to 1.0000)" in shown


def test_brackets_and_spaces_are_shown(tmp_path, command, capsys):
    taken_for = str.maketrans({"[": "(", " ": "[", "]": ""})
    command(report, write(tmp_path / "scores", lambda label: label.translate(taken_for)))
    shown = capsys.readouterr().out
    for words in ("[→(: 1", "␣→[: 1", "]: 1"):
        assert words in shown, words


def test_some_are_left_out(scores, command, capsys, tmp_path):
    with (tmp_path / "spoiled.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("sequence_id", "kind"), (0, "tap"), (2, "tap"), (99, "tap")])
    command(report, scores, "--leave-out", tmp_path / "spoiled.csv", "--json", tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["units"] == len("two words" + "abcdef")
    assert "some left out" in capsys.readouterr().out


def test_two_tables(scores, better, command, capsys, tmp_path):
    command(report, scores, better, "--json", tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert found["second"] == 1.0
    assert found["difference"] == pytest.approx(4 / sum(map(len, LABELS)))
    assert (found["better"], found["worse"]) == (4, 0)
    shown = capsys.readouterr().out
    assert f"+{found['difference']:.4f}" in shown
    assert "4 / 0" in shown
