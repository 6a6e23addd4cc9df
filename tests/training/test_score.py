import pytest

from pipeline import directories, score_table, scoring
from pipeline.dataset import Dataset
from pipeline.sequences import passes_length_rule
from training import score
from training.input_pipeline import Corpus
from training.recognition import recognise
from training.runs import Run


def test_every_sequence_of_every_split_has_its_row(toy_scores, toy_dataset, toy_run):
    rows = score_table.read(toy_scores / score_table.FILE_NAME)
    dataset, run = Dataset.open(toy_dataset), Run.open(toy_run)
    sequences = {each.sequence_id: (split, each) for split in dataset.splits for each in dataset.read(split)}
    assert rows.keys() == sequences.keys() == set(range(100, 136))
    for sequence_id, row in rows.items():
        split, each = sequences[sequence_id]
        assert (row.split, row.participant_id, row.num_frames) == (split, each.participant_id, each.num_frames)
        assert row.target == each.label
        assert row.passes_length_rule == passes_length_rule(each.landmarks, each.label)
        assert row.score == scoring.score(row.target, row.recognised)
    assert not rows[109].passes_length_rule
    test = [each for split, each in sequences.values() if split == "test"]
    texts = recognise(run.load_model(), Corpus.read(test), max_frames=run.config.data.max_frames)
    assert [rows[each.sequence_id].recognised for each in test] == texts


def test_the_manifest(toy_scores, toy_dataset):
    manifest = directories.read_manifest(toy_scores, score_table.KIND)
    rows = score_table.read(toy_scores / score_table.FILE_NAME).values()
    assert manifest["dataset"] == Dataset.open(toy_dataset).fingerprint
    assert manifest["sequences"] == 36
    for split in ("train", "test"):
        pairs = [(row.target, row.recognised) for row in rows if row.split == split]
        assert manifest["pooled_score"][split] == pytest.approx(scoring.pooled_score(pairs))


def test_a_second_call_finds_it_done(toy_scores, toy_run, toy_dataset, command, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in toy_scores.iterdir()}
    command(score, "--run", toy_run, "--dataset", toy_dataset, "--output", toy_scores)
    assert "is already complete" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in toy_scores.iterdir()} == before
