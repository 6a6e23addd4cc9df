import pytest

from inference import evaluate
from inference.recognizer import Recognizer
from pipeline import directories, score_table, scoring
from pipeline.dataset import Dataset


@pytest.fixture(scope="module")
def evaluation(toy_model, toy_dataset, command):
    output = toy_model.parent / "evaluation"
    command(evaluate, "--model", toy_model, "--dataset", toy_dataset, "--output", output)
    return output


def test_the_pooled_score_is_that_of_the_table(evaluation, toy_dataset, toy_model):
    rows = score_table.read(evaluation / score_table.FILE_NAME)
    recognizer = Recognizer(toy_model)
    sequences = {each.sequence_id: each for each in Dataset.open(toy_dataset).read("test")}
    assert rows.keys() == sequences.keys()
    for sequence_id, row in rows.items():
        each = sequences[sequence_id]
        assert (row.split, row.participant_id, row.target) == ("test", 3, each.label)
        assert row.recognised == recognizer.text(each.landmarks)
        assert row.score == scoring.score(row.target, row.recognised)
    manifest = directories.read_manifest(evaluation, evaluate.KIND)
    pairs = [(row.target, row.recognised) for row in rows.values()]
    assert manifest["pooled_score"] == scoring.pooled_score(pairs)
    assert manifest["exact"] == sum(row.exact for row in rows.values())
    assert manifest["sequences"] == len(rows) == 12
    latency = manifest["latency_milliseconds"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]


def test_another_split(toy_model, toy_dataset, command, tmp_path, capsys):
    words = [evaluate, "--model", toy_model, "--dataset", toy_dataset]
    command(*words, "--split", "train", "--output", tmp_path / "train")
    assert "on 24 sequences" in capsys.readouterr().out


def test_a_second_call_finds_it_done(evaluation, toy_model, toy_dataset, command, capsys):
    before = {path: path.stat().st_mtime_ns for path in evaluation.iterdir()}
    words = [evaluate, "--model", toy_model, "--dataset", toy_dataset]
    command(*words, "--output", evaluation)
    assert "is already complete" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in evaluation.iterdir()} == before
