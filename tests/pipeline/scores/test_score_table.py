import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset.clips import ClipInfo
from pipeline.scores import score_table
from pipeline.scores.score_table import Learnt, Row
from pipeline.tasks.fingerspelling import CHARACTERS, Fingerspelling
from pipeline.tasks.isolated_signs import IsolatedSigns

TASK = Fingerspelling()
CLIP = ClipInfo(7, "train", 3, "train", "abcd", 120, 4, True)
ROW = Row(7, 3, "train", 120, True, 'a "b", c', " =1+1", 9, 8, fold=2, known_label=True)
LABEL = st.text(CHARACTERS, min_size=1)
ROWS = st.builds(
    Row,
    sequence_id=st.integers(0, 2**40),
    signer=st.integers(0, 300),
    split=st.sampled_from(["train", "test"]),
    num_frames=st.integers(1, 900),
    plausible=st.booleans(),
    label=LABEL,
    prediction=st.text(CHARACTERS),
    errors=st.integers(0, 900),
    units=st.integers(1, 99),
    fold=st.integers(0, 9),
    known_signer=st.booleans(),
    known_label=st.booleans(),
    probability=st.none() | st.floats(0, 1),
    rank=st.integers(0, 250),
)


def row(label, prediction):
    return Row.of(dataclasses.replace(CLIP, label=label), prediction, TASK, Learnt.of([]))


@pytest.mark.parametrize(
    ("label", "prediction", "expected"),
    [("abcd", "abcd", 1), ("abcd", "", 0), ("abcd", "xbcd", 0.75), ("a", "bcd", -2)],
)
def test_some_scores(label, prediction, expected):
    found = row(label, prediction)
    assert (found.score, found.exact) == (expected, expected == 1)


def test_a_prediction_is_scored():
    learnt = Learnt.of([dataclasses.replace(CLIP, signer=5), dataclasses.replace(CLIP, label="x")])
    found = Row.of(CLIP, "abc", TASK, learnt, fold=2)
    assert found == Row(7, 3, "train", 120, True, "abcd", "abc", 1, 4, fold=2, known_signer=True, known_label=True)
    others = dataclasses.replace(CLIP, signer=4, label="new", plausible=False)
    unknown = Row.of(others, "abc", TASK, learnt)
    assert (unknown.known_signer, unknown.known_label, unknown.plausible, unknown.fold) == (False, False, False, 0)


@given(st.lists(st.tuples(LABEL, st.text("ab ")), min_size=1))
def test_the_pooled_score(pairs):
    """Characters and edits are each summed over all: long labels weigh more."""
    characters = sum(len(label) for label, _ in pairs)
    expected = (characters - sum(TASK.errors(*pair) for pair in pairs)) / characters
    rows = [row(*pair) for pair in pairs]
    assert score_table.pooled_score(rows) == score_table.pooled_score(rows[::-1]) == expected


def test_nothing_to_score():
    with pytest.raises(ValueError, match="not enough values"):
        score_table.pooled_score([])


@given(st.lists(ROWS, unique_by=lambda row: row.sequence_id, max_size=5))
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "scores.csv"
    score_table.write(path, rows)
    assert score_table.read(path) == {row.sequence_id: row for row in rows}


def test_the_probability_of_the_label():
    """Of a task with one class a clip: what the filter goes by, where right or wrong is too coarse."""
    task = IsolatedSigns(("a", "b", "c"))
    clip = dataclasses.replace(CLIP, label="b")
    found = Row.of(clip, "a", task, Learnt.of([]), probabilities=np.array([0.5, 0.3, 0.2]))
    assert (found.probability, found.rank, found.score, found.quality) == (0.3, 2, 0.0, 0.3)
    assert (ROW.probability, ROW.rank, ROW.quality) == (None, 0, ROW.score)


def test_the_file(tmp_path):
    path = tmp_path / "scores.csv"
    right = dataclasses.replace(ROW, sequence_id=8, prediction=ROW.label, errors=2, units=3)
    score_table.write(path, [ROW, right])
    content = path.read_bytes()
    assert b"\r" not in content
    header, first, second, end = content.decode().split("\n")
    assert header == (
        "sequence_id,signer,split,num_frames,plausible,label,prediction,errors,units,fold,known_signer,known_label,"
        "probability,rank,score,exact"
    )
    assert first == '7,3,train,120,1,"a ""b"", c", =1+1,9,8,2,0,1,,0,-0.125,0'
    assert second.endswith(",2,3,2,0,1,,0,0.3333333333333333,1")
    assert end == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("label,prediction", "target,prediction"), "lacks the column label"),
        (lambda text: "", "lacks the columns sequence_id, signer, .*found nothing"),
        (lambda text: text.replace(",120,", ",many,"), "'many'"),
        (lambda text: text + "8,3\n", "line 3: expected 16 fields"),
        (lambda text: text.replace("125,0\n", "125,0,7\n"), "line 2: expected 16 fields"),
        (lambda text: text.replace("7,3,", "7.0,3,"), "'7.0'"),
        (lambda text: text + "x" * 200_000, "line 3: field larger than field limit"),
        (lambda text: text + '8,"', "line 3: unexpected end of data"),
        (lambda text: text.replace("train", "tr\xffin"), "is not UTF-8"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, change, message):
    path = tmp_path / "scores.csv"
    score_table.write(path, [ROW])
    path.write_bytes(change(path.read_text()).encode("latin-1"))
    with pytest.raises(UserError, match=message) as raised:
        score_table.read(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("change", [lambda text: text.replace(",120,", ",121,"), lambda text: text[:-1], lambda _: ""])
def test_only_the_table_that_was_written_is_read(tmp_path, change):
    request = directories.Request(score_table.KIND, {})
    directories.prepare(tmp_path, request)
    path = tmp_path / score_table.FILE_NAME
    score_table.write(path, [ROW])
    directories.complete(tmp_path, request, {"task": {}}, files=[path.name])
    assert score_table.open_table(tmp_path)[1] == {7: ROW}
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=f"^{path} is not the file that manifest.json describes"):
        score_table.open_table(tmp_path)


def test_a_missing_table(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*scores\.csv \(No such file"):
        score_table.read(tmp_path / "scores.csv")
