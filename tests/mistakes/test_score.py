"""Mistakes people make with `python -m training.score` alone."""

import pytest

GOOD = "--run run --dataset dataset --output o"
BOTH = f"--run other {GOOD}"
FOLD, COPY = ("fold", "run", 1, 2), ("is_copy_of", "other", "run")
CHANGED = ("replaced", "other/manifest.json", '"dataset": "', '"dataset": "x')
ELSEWHERE = [FOLD, COPY, CHANGED, ("fold", "run", 2, 2)]

MISTAKES = {
    "the run of one fold": (("fold", "run", 2, 3), GOOD, "--run: name the run of each of 3 folds once"),
    "runs without folds": (None, f"--run run {GOOD}", "run left out no fold: name it alone"),
    "the same fold twice": ([FOLD, COPY], BOTH, "--run: name the run of each of 2 folds once"),
    "folds of two divisions": ([FOLD, COPY, ("fold", "run", 2, 3)], BOTH, "other and run did not leave...data.folds"),
    "folds of another dataset": (ELSEWHERE, BOTH, "other was trained on another dataset than dataset...score the"),
    "weights of another network": (None, GOOD, "run/best-0001.npz holds another model...delete run and train it again"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("training.score", *MISTAKES[name])


def test_no_space(refused, monkeypatch):
    """For the table, once everything is scored."""
    from training import predict, runs

    monkeypatch.setattr(runs.Run, "load_model", lambda self: None)
    monkeypatch.setattr(predict, "recognize", lambda model, corpus, **_: [("", None)] * len(corpus))
    refused("training.score", ("cannot_be_written", "o/scores.csv"), GOOD, "o/scores.csv: No space left")
