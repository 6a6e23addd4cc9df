import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import score_table, vocabulary
from pipeline.commands import UserError
from pipeline.score_table import Row

ROW = Row(7, 3, "train", 120, True, 'a "b", c', " =1+1", -0.1, fold=2, known_phrase=True)
PHRASE = st.text(vocabulary.CHARACTERS, min_size=1)
ROWS = st.builds(
    Row,
    sequence_id=st.integers(0, 2**40),
    participant_id=st.integers(0, 300),
    split=st.sampled_from(["train", "test"]),
    num_frames=st.integers(1, 900),
    passes_length_rule=st.booleans(),
    target=PHRASE,
    recognised=PHRASE,
    score=st.floats(-100, 1),
    fold=st.integers(0, 9),
    known_signer=st.booleans(),
    known_phrase=st.booleans(),
)


@given(st.lists(ROWS, unique_by=lambda row: row.sequence_id, max_size=5))
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "scores.csv"
    score_table.write(path, rows)
    assert score_table.read(path) == {row.sequence_id: row for row in rows}


def test_the_file(tmp_path):
    path = tmp_path / "scores.csv"
    score_table.write(path, [ROW, dataclasses.replace(ROW, sequence_id=8, recognised=ROW.target, score=1 / 3)])
    header, first, second = path.read_text(encoding="utf-8").splitlines()
    assert header == (
        "sequence_id,participant_id,split,num_frames,passes_length_rule,target,recognised,score,fold,known_signer,"
        "known_phrase,exact"
    )
    assert first == '7,3,train,120,1,"a ""b"", c", =1+1,-0.1,2,0,1,0'
    assert second.endswith(",0.3333333333333333,2,0,1,1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("target", "label"), "expected the columns sequence_id, participant_id"),
        (lambda text: "", "expected the columns"),
        (lambda text: text + text.splitlines()[1] + "\n", "sequence 7 is listed twice"),
        (lambda text: text.replace(",120,", ",many,"), "line 2 is damaged .*'many'"),
        (lambda text: text.replace("-0.1", "low"), "line 2 is damaged .*'low'"),
        (lambda text: text + "8,3\n", "line 3 is damaged .*expected 12 fields"),
        (lambda text: text.replace("1,0\n", "1,0,7\n"), "line 2 is damaged .*expected 12 fields"),
        (lambda text: text.replace(",train,", ",dev,"), "line 2 is damaged .*no split 'dev'"),
        (lambda text: text.replace(",120,", ",0,"), "line 2 is damaged .*num_frames is 0"),
        (lambda text: text.replace(",120,1,", ",120,2,"), "line 2 is damaged .*passes_length_rule is '2', expected 0"),
        (lambda text: text.replace(",120,1,", ",120,True,"), "line 2 is damaged .*passes_length_rule is 'True'"),
        (lambda text: text.replace("1,0\n", "1,1\n"), "line 2 is damaged .*exact is '1', expected 0"),
        (lambda text: text.replace("-0.1,2,0,", "-0.1,-2,0,"), "line 2 is damaged .*the fold is -2"),
        (lambda text: text.replace("-0.1,2,0,", "-0.1,2.0,0,"), "line 2 is damaged .*'2.0'"),
        (lambda text: text.replace("-0.1,2,0,", "-0.1,2,no,"), "line 2 is damaged .*known_signer is 'no', expected 0"),
        (lambda text: text.replace("-0.1", "1.5"), "line 2 is damaged .*the score is 1.5"),
        (lambda text: text.replace("-0.1", "nan"), "line 2 is damaged .*the score is nan"),
        (lambda text: text.replace("-0.1", "-inf"), "line 2 is damaged .*the score is -inf"),
        (lambda text: text.replace('"a ""b"", c"', ""), "line 2 is damaged .*the target is empty"),
        (lambda text: text.replace("7,3,", "7.0,3,"), "line 2 is damaged .*'7.0'"),
        (lambda text: text + "x" * 200_000, "line 2.*field larger than field limit"),
        (lambda text: text.replace("train", "tr\xffin"), "line "),
    ],
)
def test_tables_that_are_refused(tmp_path, change, message):
    path = tmp_path / "scores.csv"
    score_table.write(path, [ROW])
    path.write_bytes(change(path.read_text()).encode("latin-1"))
    with pytest.raises(UserError, match=message) as raised:
        score_table.read(path)
    assert str(path) in str(raised.value)


def test_a_missing_table(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*scores\.csv \(No such file"):
        score_table.read(tmp_path / "scores.csv")
