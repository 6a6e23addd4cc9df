import pathlib
import shutil
import sys

import pytest

from pipeline import directories, processes, score_table, scoring
from pipeline.dataset import Dataset
from pipeline.sequences import passes_length_rule
from training import score, train
from training.folds import held_out
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
    assert {row.fold for row in rows.values()} == {0}
    learnt = {row.target for row in rows.values() if row.split == "train"}
    for row in rows.values():
        assert row.known_signer == (row.split == "train")
        assert row.known_phrase == (row.target in learnt)
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


@pytest.fixture(scope="module")
def fold_runs(toy_dataset, toy_settings, command, tmp_path_factory):
    """Runs of the toy data set that each left out one of its two training signers."""
    folder = tmp_path_factory.mktemp("folds")
    for fold in (1, 2):
        words = [*toy_settings, "--set", "data.folds=2", "--set", f"data.fold={fold}"]
        command(train, "--dataset", toy_dataset, "--output", folder / f"fold-{fold}", *words)
    return [folder / f"fold-{fold}" for fold in (1, 2)]


@pytest.fixture(scope="module")
def out_of_fold(fold_runs, toy_dataset, command):
    output = fold_runs[0].parent / "scores"
    command(score, "--run", fold_runs[1], "--run", fold_runs[0], "--dataset", toy_dataset, "--output", output)
    return output


def test_each_fold_is_scored_by_the_run_that_left_it_out(out_of_fold, fold_runs, toy_dataset):
    rows = score_table.read(out_of_fold / score_table.FILE_NAME)
    dataset, runs = Dataset.open(toy_dataset), [Run.open(run) for run in fold_runs]
    assert rows.keys() == set(range(100, 136))
    left_out = [held_out(dataset, run.config.data) for run in runs]
    assert {i for i, row in rows.items() if row.fold == 1} == left_out[0]
    assert {i for i, row in rows.items() if row.fold == 2} == left_out[1]
    for split in ("train", "test"):
        corpus = Corpus.read(dataset.read(split))
        texts = [recognise(run.load_model(), corpus, max_frames=run.config.data.max_frames) for run in runs]
        assert texts[0] != texts[1]
        for i, sequence_id in enumerate(corpus.sequence_ids.tolist()):
            row = rows[sequence_id]
            by = row.fold - 1 if split == "train" else 0  # the first scores what none has learnt
            assert row.recognised == texts[by][i]
            learnt = [each for each in dataset.written("train") if each.sequence_id not in left_out[by]]
            assert row.known_signer == (row.participant_id in {each.participant_id for each in learnt})
            assert row.known_phrase == (row.target in {each.label for each in learnt})
    assert not any(row.known_signer for row in rows.values())
    manifest = directories.read_manifest(out_of_fold, score_table.KIND)
    assert manifest["weights_sha256"] == [run.fingerprint for run in runs]
    assert manifest["folds"] == 2


@pytest.fixture
def trained(monkeypatch, command, toy_run, fold_runs):
    """`training.score` finds the models that it wants already trained. The commands it gives for them."""
    runs = {"run-1-of-1": toy_run, "run-1-of-2": fold_runs[0], "run-2-of-2": fold_runs[1]}
    started = []

    def call(words):
        assert words[:3] == [sys.executable, "-m", "training.train"]
        output = pathlib.Path(words[-1])
        shutil.copytree(runs[output.name], output, dirs_exist_ok=True)
        started.append(words[3:])
        command(train, *words[3:])  # refuses a run with other settings
        return 0

    monkeypatch.setattr(processes, "call", call)
    return started


def test_folds_are_trained_and_scored(
    trained, out_of_fold, toy_dataset, toy_settings, command, tmp_path, capsys, monkeypatch
):
    """As by hand; and where it was interrupted, it goes on."""
    words = ["--folds", 2, "--dataset", toy_dataset, "--output", tmp_path / "o", *toy_settings]
    train_model = processes.call
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="130"):
        patch.setattr(processes, "call", lambda words: 130 if trained else train_model(words))
        command(score, *words)
    assert len(trained) == 1
    command(score, *words)
    assert len(trained) == 3
    tables = [(directory / score_table.FILE_NAME).read_text("utf-8") for directory in (tmp_path / "o", out_of_fold)]
    assert tables[0] == tables[1]
    capsys.readouterr()
    command(score, *words)
    assert "o is already complete" in capsys.readouterr().out
    assert len(trained) == 3


def test_one_fold_is_in_sample(trained, toy_scores, toy_dataset, toy_settings, command, tmp_path):
    command(score, "--folds", 1, "--dataset", toy_dataset, "--output", tmp_path / "o", *toy_settings)
    assert len(trained) == 1
    tables = [(directory / score_table.FILE_NAME).read_text("utf-8") for directory in (tmp_path / "o", toy_scores)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("status", [1, 130])
def test_a_training_that_failed_has_said_why(monkeypatch, toy_dataset, command, tmp_path, status):
    monkeypatch.setattr(processes, "call", lambda words: status)
    with pytest.raises(SystemExit) as ended:
        command(score, "--folds", 2, "--dataset", toy_dataset, "--output", tmp_path / "o")
    assert ended.value.code == status
    assert not (tmp_path / "o/manifest.json").exists()
