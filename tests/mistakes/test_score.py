"""Mistakes people make with `python -m training.score`."""

import pytest

from training import score

NEEDS = ("data", "dataset", "run", "model")
SHARD = "dataset/shards/test-00001-of-00002.tfrecord.gz"
GOOD = "--run run --dataset dataset --output o"
A_DATASET = "expected a dataset, which pipeline.convert or pipeline.filter makes"
A_RUN = "expected a run, which training.train makes"
REPLACED = (
    "is not the file that manifest.json tells of: it was cut short, changed or replaced; delete run and make it again"
)
DAMAGED = "run is damaged, delete it and make it again"

OPTIONS = {
    "": "the following arguments are required: --dataset, --output",
    "--dataset dataset --output o": "one of the arguments --run --folds is required",
    f"{GOOD} --folds 2": "argument --folds: not allowed with argument --run",
    f"{GOOD} --preset small": "argument --preset: of the training of --folds, not allowed with --run",
    f"{GOOD} --fold-by sequence": "argument --fold-by: of the training of --folds, not allowed with --run",
    f"{GOOD} --set seed=1": "argument --set: of the training of --folds, not allowed with --run",
    "--folds 0 --dataset dataset --output o": "argument --folds: '0' is not a whole number of at least 1",
    "--folds 2 --fold-by signer --dataset dataset --output o": "argument --fold-by: invalid choice: 'signer' (...)",
    "--run run --dataset dataset": "the following arguments are required: --output",
    "--run run --datset dataset --output o": "the following arguments are required: --dataset (did you mean --dataset"
    " instead of --datset?)",
    "--model run --dataset dataset --output o": "one of the arguments --run --folds is required",
    f"{GOOD} --split test": "unrecognized arguments: --split test",
    "--run run --dataset dataset --output=": "argument --output: the path is empty (a variable that is not set?)",
    "--run s3://bucket/run --dataset dataset --output o": "argument --run: 's3://bucket/run' is neither ... nor gs://BUCKET/FOLDER",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(score, words, OPTIONS[words])


MISTAKES = {
    "more folds than signers": (
        None,
        "--folds 3 --dataset dataset --output o",
        "dataset: 3 folds, but 2 training signers to divide: lower the number of folds, or divide by sequence",
    ),
    "more folds than sequences": (
        None,
        "--folds 99 --fold-by sequence --dataset dataset --output o",
        "dataset: 99 folds, but 24 training sequences to divide: lower the number of folds",
    ),
    "a fold as a setting": (
        None,
        "--folds 2 --dataset dataset --output o --set data.folds=2 --set data.fold=1",
        "data.folds is set: give --folds alone, which sets it for each model",
    ),
    "a misspelt setting of the models of folds": (
        None,
        "--folds 2 --dataset dataset --output o --set optimizer.epoch=3",
        "--set optimizer.epoch=3: no setting 'epoch' (did you mean epochs?)",
    ),
    "the run of one fold": (
        ("fold", "run", 2, 3),
        GOOD,
        "of 3 folds, no --run left out 1, 3: name the run of each fold",
    ),
    "runs without folds": (
        None,
        f"--run run {GOOD}",
        "run left out no fold: name it alone, or only runs of folds",
    ),
    "a run of one fold and one without": (
        ("fold", "other", 1, 2),
        f"--run other {GOOD}",
        "run left out no fold: name it alone, or only runs of folds",
    ),
    "the same fold twice": (
        [("fold", "other", 1, 2), ("fold", "run", 1, 2)],
        f"--run other {GOOD}",
        "other and run left out the same fold, 1: name the run of each fold once",
    ),
    "folds of two divisions": (
        [("fold", "other", 1, 2), ("fold", "run", 2, 3)],
        f"--run other {GOOD}",
        "other and run left out folds of different divisions (2 and 3 folds, of signers and of signers): train them"
        " with the same data.folds and data.fold_by_sequence",
    ),
    "folds of another data set": (
        [
            ("fold", "other", 1, 2),
            ("fold", "run", 2, 2),
            ("replaced", "other/manifest.json", '"dataset": "', '"dataset": "x'),
        ],
        f"--run other {GOOD}",
        "other was trained on another data set than dataset, whose folds are others: score the data set of its"
        " training",
    ),
    "a data set without the report of a shard": (
        ("removed", "dataset/reports/00000-of-00002.json"),
        "--folds 2 --dataset dataset --output o",
        "dataset/reports/00000-of-00002.json is missing, damaged or of an earlier version: delete it and its data set's"
        " manifest.json, then run the command that made it: it makes what is missing",
    ),
    "swapped": (None, "--run dataset --dataset run --output o", f"dataset is a dataset; {A_RUN}"),
    "a misspelt folder": (
        None,
        "--run rnu --dataset dataset --output o",
        f"rnu: no such file or directory; {A_RUN} (did you mean run?)",
    ),
    "its weights": (
        None,
        "--run run/best.npz --dataset dataset --output o",
        f"run/best.npz: a file, not a directory; {A_RUN} (did you mean run?)",
    ),
    "the folder around it": (
        None,
        "--run . --dataset dataset --output o",
        f". has no manifest.json; {A_RUN} (did you mean run?)",
    ),
    "an exported model": (None, "--run model --dataset dataset --output o", f"model is a model; {A_RUN}"),
    "the folder of Kaggle data": (
        None,
        "--run run --dataset data --output o",
        f"data has no manifest.json; {A_DATASET}",
    ),
    "a run that is still training": (
        ("removed", "run/manifest.json"),
        GOOD,
        "run is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "a run of an older version": (
        ("says", "run/manifest.json", {"schema_version": 0}),
        GOOD,
        "run is a run of another version of this program (schema version 0, this one has 1): "
        "delete it and make it again",
    ),
    "a run with settings of another version": (
        ("replaced", "run/manifest.json", '"width"', '"breadth"'),
        GOOD,
        "run was trained with settings of another version of this program (...'breadth'...): train it again",
    ),
    "a manifest that is cut short": (
        ("cut", "run/manifest.json"),
        GOOD,
        f"cannot read run/manifest.json (...): {DAMAGED}",
    ),
    "an edited manifest": (
        ("says", "run/manifest.json", {"weights_sha256": None}),
        GOOD,
        "run/manifest.json lacks weights_sha256: of another version, delete run and make it again",
    ),
    "no weights": (
        ("removed", "run/best.npz"),
        GOOD,
        "cannot read run/best.npz (No such file or directory): delete run and make it again",
    ),
    "weights that are cut short": (("cut", "run/best.npz"), GOOD, f"run/best.npz {REPLACED}"),
    "empty weights": (("holds", "run/best.npz", ""), GOOD, f"run/best.npz {REPLACED}"),
    "statistics of another run": (
        ("says", "run/statistics.json", {"mean": [0.0] * 600}),
        GOOD,
        f"run/statistics.json {REPLACED}",
    ),
    "weights of another run": (("holds", "run/best.npz", "others"), GOOD, f"run/best.npz {REPLACED}"),
    "no statistics": (
        ("removed", "run/statistics.json"),
        GOOD,
        "cannot read run/statistics.json (No such file or directory): delete run and make it again",
    ),
    "damaged statistics": (("cut", "run/statistics.json"), GOOD, f"run/statistics.json {REPLACED}"),
    "a record file that is missing": (
        ("removed", SHARD),
        GOOD,
        f"{SHARD} is not there: delete it and its data set's manifest.json, then run the"
        " command that made it: it makes what is missing",
    ),
    "the run as output": (
        None,
        "--run run --dataset dataset --output run",
        "run holds a run, not a score table: choose another directory",
    ),
    "the data set as output": (
        None,
        "--run run --dataset dataset --output dataset",
        "dataset holds a dataset, not a score table: choose another directory",
    ),
    "output to a file": (
        None,
        "--run run --dataset dataset --output data/train.csv",
        "data/train.csv is a file, not a directory: choose another directory to write to",
    ),
    "no permission": (
        ("cannot_be_written", "o/request.json", 13),
        GOOD,
        "cannot write to o: Permission denied: get access to it, or name another place",
    ),
    "weights of another version's network": (
        None,
        GOOD,
        "run/best.npz holds another model (... is ... there and ... here; ... arrays differ), perhaps of another"
        " version of this program: delete run and train it again",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(score, *MISTAKES[name])


def test_no_space(mistake, monkeypatch):
    """For the table, once everything is scored."""
    from training import recognition, runs

    monkeypatch.setattr(runs.Run, "load_model", lambda self: None)
    monkeypatch.setattr(recognition, "recognise", lambda model, corpus, **_: [""] * len(corpus))
    said = "o/scores.csv: No space left on device: make room there, then run the same command: it goes on"
    mistake(score, ("cannot_be_written", "o/scores.csv"), GOOD, said)
