import contextlib
import io

import pytest

from pipeline.common import directories
from pipeline.dataset.dataset import Dataset
from pipeline.scores import score_table
from training import score, train
from training.data.corpus import Corpus
from training.data.holdout import fold_of
from training.predict import predict
from training.runs import Run


def test_every_clip_of_every_split_has_its_row(toy_scores, toy_dataset, toy_run):
    rows = score_table.read(toy_scores / score_table.FILE_NAME)
    dataset, run = Dataset.open(toy_dataset), Run.open(toy_run)
    clips = {each.sequence_id: (split, each) for split in dataset.splits for each in dataset.read(split)}
    assert rows.keys() == clips.keys() == set(range(100, 136))
    for sequence_id, row in rows.items():
        split, each = clips[sequence_id]
        assert (row.split, row.signer, row.num_frames) == (split, each.signer, each.num_frames)
        assert row.label == each.label
        assert row.plausible == dataset.task.plausible(each.landmarks, each.label)
        assert row.errors == dataset.task.errors(row.label, row.prediction)
        assert row.units == len(row.label)
    assert not rows[109].plausible
    assert {row.fold for row in rows.values()} == {0}
    learnt = {row.label for row in rows.values() if row.split == "train"}
    for row in rows.values():
        assert row.known_signer == (row.split == "train")
        assert row.known_label == (row.label in learnt)
    test = Corpus.of(dataset, "test")
    predictions = predict(run.load_model(), test, max_frames=run.config.data.max_frames)
    assert [rows[each].prediction for each in test.sequence_ids] == predictions


def test_the_manifest(toy_scores, toy_dataset):
    manifest = directories.read_manifest(toy_scores, score_table.KIND)
    rows = score_table.read(toy_scores / score_table.FILE_NAME).values()
    dataset = Dataset.open(toy_dataset)
    assert (manifest["dataset"], manifest["task"]) == (dataset.fingerprint, dataset.task.as_json())
    assert b"\r" not in (toy_scores / score_table.FILE_NAME).read_bytes()
    assert manifest["clips"] == 36
    for split in ("train", "test"):
        errors, units = (sum(getattr(row, name) for row in rows if row.split == split) for name in ("errors", "units"))
        assert manifest["pooled_score"][split] == pytest.approx(1 - errors / units)


def test_a_second_call_finds_it_done(toy_scores, toy_run, toy_dataset, command, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in toy_scores.iterdir()}
    command(score, "--run", toy_run, "--dataset", toy_dataset, "--output", toy_scores)
    assert "is already complete" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in toy_scores.iterdir()} == before


@pytest.fixture(scope="module")
def fold_runs(toy_dataset, toy_settings, command, tmp_path_factory):
    """Runs of the toy dataset that each left out one of its two training signers."""
    folder = tmp_path_factory.mktemp("folds")
    runs = [folder / f"fold-{fold}" for fold in (1, 2)]
    scored = f"python -m training.score --run RUN --run {runs[1]} --dataset {toy_dataset} --output SCORES"
    advice = ["the same command with --set data.fold=2 and another --output", scored]
    for fold, (output, line) in enumerate(zip(runs, advice, strict=True), start=1):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            words = [*toy_settings, "--set", "data.folds=2", "--set", f"data.fold={fold}"]
            command(train, "--dataset", toy_dataset, "--output", output, *words)
        assert said.getvalue().splitlines()[-1] == f"next: {line}"
    return runs


@pytest.fixture(scope="module")
def out_of_fold(fold_runs, toy_dataset, command):
    output = fold_runs[0].parent / "scores"
    command(score, "--run", fold_runs[1], "--run", fold_runs[0], "--dataset", toy_dataset, "--output", output)
    return output


def test_each_fold_is_scored_by_the_run_that_left_it_out(out_of_fold, fold_runs, toy_dataset):
    rows = score_table.read(out_of_fold / score_table.FILE_NAME)
    dataset, runs = Dataset.open(toy_dataset), [Run.open(run) for run in fold_runs]
    assert rows.keys() == set(range(100, 136))
    fold = fold_of(dataset, runs[0].config.data)
    assert {i: row.fold for i, row in rows.items() if row.split == "train"} == fold
    assert {row.fold for row in rows.values() if row.split != "train"} == {0}
    for split in ("train", "test"):
        corpus = Corpus.of(dataset, split)
        predictions = [predict(run.load_model(), corpus, max_frames=run.config.data.max_frames) for run in runs]
        assert predictions[0] != predictions[1]
        for i, sequence_id in enumerate(corpus.sequence_ids):
            row = rows[sequence_id]
            by = row.fold if split == "train" else 1  # the first scores what none has learnt
            assert row.prediction == predictions[by - 1][i]
            learnt = [each for each in dataset.clips("train") if fold[each.sequence_id] != by]
            assert row.known_signer == (row.signer in {each.signer for each in learnt})
            assert row.known_label == (row.label in {each.label for each in learnt})
    assert not any(row.known_signer for row in rows.values())
    manifest = directories.read_manifest(out_of_fold, score_table.KIND)
    assert manifest["folds"] == 2
