"""Mistakes people make with `python -m training.train`."""

import json

import pytest

from training import train

NEEDS = ("data", "dataset", "run", "scores")
SHARD = "dataset/shards/train-00000-of-00002.tfrecord.gz"
IO = "--dataset dataset --output o"
TOY = "--set network.width=8 --set network.blocks=1 --set network.heads=2 --set optimizer.batch_size=4"
GOOD = f"{IO} --preset small {TOY}"
A_DATASET = "expected a dataset, which pipeline.convert or pipeline.filter makes"
REPAIR = "delete it and its data set's manifest.json, then run the command that made it: it makes what is missing"
DAMAGED = "dataset is damaged, delete it and make it again"
MADE = "delete dataset and make it again"

OPTIONS = {
    "--preset small": "the following arguments are required: --dataset, --output",
    "--dataset dataset --out o": "the following arguments are required: --output (did you mean --output instead of"
    " --out?)",
    f"{IO} --pre-set small": "unrecognized arguments: --pre-set small (did you mean --preset instead of --pre-set?)",
    f"{IO} --preset smal": "argument --preset: invalid choice: 'smal' (choose from ...)",
    f"{IO} --epochs 3": "unrecognized arguments: --epochs 3",
    f"{IO} --set optimizer.epochs 3": "unrecognized arguments: 3 (no option takes it: write a list as 3,17, and quotes"
    " around a path with spaces)",
    f"{IO} --set": "argument --set: expected one argument",
    f"{IO} --checkpoint-minutes -1": "argument --checkpoint-minutes: '-1' is not a number of minutes, such as 5",
    f"{IO} --checkpoint-minutes often": "argument --checkpoint-minutes: 'often' is not a number of minutes, such as 5",
    "--dataset s3://bucket/dataset --output o": "argument --dataset: 's3://bucket/dataset' is neither ... nor gs://BUCKET/FOLDER",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(train, words, OPTIONS[words])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def signers(path, split, participants):
    manifest = json.loads(path.read_text())
    manifest["splits"][split]["participants"] = participants
    path.write_text(json.dumps(manifest))


MISTAKES = {
    # Settings.
    "a misspelt setting": (
        None,
        f"{IO} --set optimizer.epoch=3",
        "--set optimizer.epoch=3: no setting 'epoch' (did you mean epochs?)",
    ),
    "a misspelt table": (
        None,
        f"{IO} --set optimiser.epochs=3",
        "--set optimiser.epochs=3: no setting 'optimiser' (did you mean optimizer?)",
    ),
    "no value": (
        None,
        f"{IO} --set optimizer.epochs",
        "--set optimizer.epochs: expected name=value, such as optimizer.epochs=40",
    ),
    "a value of another type": (
        None,
        f"{IO} --set optimizer.epochs=1.5",
        "--set optimizer.epochs=1.5: epochs must be of type int (such as 300), not 1.5",
    ),
    "a word for a number": (
        None,
        f"{IO} --set optimizer.epochs=many",
        "--set optimizer.epochs=many: epochs must be of type int (such as 300), not 'many'",
    ),
    "a negative number": (None, f"{IO} --set optimizer.epochs=-3", "optimizer.epochs is -3, expected at least 1"),
    "a setting without its table": (
        None,
        f"{IO} --set epochs=3",
        "--set epochs=3: no setting 'epochs' (did you mean optimizer.epochs?)",
    ),
    "a warm-up longer than the training": (
        None,
        f"{IO} --set optimizer.epochs=3",
        "optimizer.warmup_epochs is 5.0, expected at most optimizer.epochs (3)",
    ),
    "a precision that is none": (
        None,
        f"{IO} --set precision=half",
        "precision is half, expected float32, bfloat16 or float16",
    ),
    "no configuration file": (None, f"{IO} --config a.toml", "cannot read a.toml: ...No such file or directory..."),
    "a configuration file that is no TOML": (
        ("holds", "a.toml", "[network\nwidth = 3\n"),
        f"{IO} --config a.toml",
        "cannot read a.toml: Expected ']' at the end of a table declaration (at line 1, column 9)",
    ),
    "a configuration file with an unknown table": (
        ("holds", "a.toml", "[netwrk]\nwidth = 3\n"),
        f"{IO} --config a.toml",
        "a.toml: no setting 'netwrk' (did you mean network?)",
    ),
    # The data set.
    "a misspelt folder": (
        None,
        "--dataset datset --output o",
        f"datset: no such file or directory; {A_DATASET} (did you mean dataset?)",
    ),
    "the folder around it": (
        None,
        "--dataset . --output o",
        f". has no manifest.json; {A_DATASET} (did you mean dataset?)",
    ),
    "the folder of its record files": (
        None,
        "--dataset dataset/shards --output o",
        f"dataset/shards has no manifest.json; {A_DATASET} (did you mean dataset?)",
    ),
    "its manifest": (
        None,
        "--dataset dataset/manifest.json --output o",
        f"dataset/manifest.json: a file, not a directory; {A_DATASET} (did you mean dataset?)",
    ),
    "the folder of Kaggle data": (None, "--dataset data --output o", f"data has no manifest.json; {A_DATASET}"),
    "a run": (None, "--dataset run --output o", f"run is a run; {A_DATASET}"),
    "a link to nowhere": (
        ("links_nowhere", "link"),
        "--dataset link --output o",
        f"link: a link to gone, which is not there; {A_DATASET}",
    ),
    "unfinished": (
        ("removed", "dataset/manifest.json"),
        GOOD,
        "dataset is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "of an older version": (
        ("says", "dataset/manifest.json", {"schema_version": 0}),
        GOOD,
        "dataset is a dataset of another version of this program (schema version 0, this one has 1): "
        "delete it and make it again",
    ),
    "of a newer version": (
        ("says", "dataset/manifest.json", {"schema_version": 2}),
        GOOD,
        "dataset is a dataset of another version of this program (schema version 2, this one has 1): "
        "delete it and make it again",
    ),
    "of another task": (
        ("says", "dataset/manifest.json", {"task": "isolated signs"}),
        GOOD,
        "dataset was made for another task than this program's: convert the data again",
    ),
    "of another vocabulary": (
        ("says", "dataset/manifest.json", {"vocabulary": "abc"}),
        GOOD,
        "dataset was made for another vocabulary than this program's: convert the data again",
    ),
    "a manifest that is cut short": (
        ("cut", "dataset/manifest.json"),
        GOOD,
        f"cannot read dataset/manifest.json (...): {DAMAGED}",
    ),
    "an edited manifest": (
        ("says", "dataset/manifest.json", {"splits": None}),
        GOOD,
        "dataset/manifest.json lacks splits: of another version, delete dataset and make it again",
    ),
    "no statistics": (
        ("removed", "dataset/statistics.json"),
        GOOD,
        f"cannot read dataset/statistics.json (No such file or directory): {DAMAGED}",
    ),
    "damaged statistics": (
        ("cut", "dataset/statistics.json"),
        GOOD,
        f"cannot read dataset/statistics.json (...): {DAMAGED}",
    ),
    "statistics of something else": (
        ("holds", "dataset/statistics.json", '{"mean": [1], "std": [1]}'),
        GOOD,
        f"dataset/statistics.json: expected 600 finite numbers in 'mean': {MADE}",
    ),
    "statistics of another data set": (
        ("holds", "dataset/statistics.json", json.dumps({"mean": [0.0] * 600, "std": [1.0] * 600})),
        GOOD,
        "dataset/statistics.json is not the file that manifest.json tells of: it was cut short, changed or replaced;"
        " delete dataset and make it again",
    ),
    "a record file that is missing": (
        ("removed", SHARD),
        GOOD,
        f"{SHARD} is not there: {REPAIR}",
    ),
    "a record file that is cut short": (
        ("cut", SHARD),
        GOOD,
        f"{SHARD} has ... bytes, the manifest says ...: cut short, or another data set's; {REPAIR}",
    ),
    "a record file with flipped bits": (
        ("edited", SHARD, flip),
        GOOD,
        f"{SHARD} is damaged at record 0 (...): {REPAIR}",
    ),
    "a signer of another split in training": (
        ("edited", "dataset/manifest.json", lambda path: signers(path, "test", [2, 3])),
        GOOD,
        "dataset: signer 2 is in train and in test, but the data were split by signer: delete it and make it again;"
        " to have signers in several splits, convert with --split-by file or sequence",
    ),
    # The output.
    "the input as output": (
        None,
        "--dataset dataset --output dataset",
        "dataset holds a dataset, not a run: choose another directory",
    ),
    "output over a run with other settings": (
        None,
        "--dataset dataset --output run --preset small",
        "run holds a run made with other settings (...); delete it first if you mean to replace it: choose another"
        " directory",
    ),
    "output over a run of another version": (
        ("says", "run/request.json", {"schema_version": 0}),
        "--dataset dataset --output run --preset small",
        "run holds a run of another version of this program (schema version 0, this one has 1): choose another"
        " directory",
    ),
    "output over something else": (
        None,
        "--dataset dataset --output data",
        "data already holds something else: choose an empty or new directory",
    ),
    "output to a file": (
        None,
        "--dataset dataset --output dataset/manifest.json",
        "dataset/manifest.json is a file, not a directory: choose another directory to write to",
    ),
    "no permission": (
        ("cannot_be_written", "o/request.json", 13),
        GOOD,
        "cannot write to o: Permission denied: get access to it, or name another place",
    ),
    # What shows once TensorFlow is there.
    "batches larger than the data": (
        None,
        f"{GOOD} --set optimizer.batch_size=400",
        "dataset: ... sequences to train on, fewer than a batch (400): of ... that are not for validation, the length"
        " rule refuses ..., and ... have too few frames for their phrase; set optimizer.batch_size lower",
    ),
    "nothing to validate on": (
        None,
        f"{GOOD} --set data.validation_phrase_share=0",
        "dataset: no validation sequences: set data.validation_phrase_share higher, or convert with"
        " --validation-participants",
    ),
    "no space for a checkpoint": (
        ("cannot_be_written", "o/checkpoint.npz"),
        f"{GOOD} --set data.validation_phrase_share=0.3 --set data.max_frames=16 --checkpoint-minutes 0",
        "o/checkpoint.npz: No space left on device: make room there, then run the same command: it goes on",
    ),
    "no space": (
        ("cannot_be_written", "o/statistics.json"),
        f"{GOOD} --set data.validation_phrase_share=0.3",
        "o/statistics.json: No space left on device: make room there, then run the same command: it goes on",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(train, *MISTAKES[name])


UNFINISHED = f"{GOOD} --set data.validation_phrase_share=0.3 --set data.max_frames=16"
AGAIN = "delete o and train it again"
CHECKPOINTS = {
    "cut short": (b"PK\3\4", f"cannot read o/checkpoint.npz (it is cut short, or no .npz file): {AGAIN}"),
    "empty": (b"", f"cannot read o/checkpoint.npz (it is cut short, or no .npz file): {AGAIN}"),
    "of another network": (
        "run/best.npz",
        "o/checkpoint.npz holds another model (... is ... there and ... here; ... arrays differ), perhaps of another"
        f" version of this program: {AGAIN}",
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_of_an_interrupted_run(mistake, place, monkeypatch, command, name):
    content, said = CHECKPOINTS[name]
    content = (place / content).read_bytes() if isinstance(content, str) else content
    # Claims the output, and ends before anything is trained.
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("training.trainer.Trainer", interrupt)
        command(train, *UNFINISHED.split())
    mistake(train, ("holds", "o/checkpoint.npz", content), UNFINISHED, said)


def interrupt(*_, **__):
    raise KeyboardInterrupt
