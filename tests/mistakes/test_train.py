"""Mistakes people make with `python -m training.train` alone."""

import pytest

from training import train

CHECKPOINT, MANIFEST = "o/checkpoint.npz", "dataset/manifest.json"
REPORT = "dataset/reports/00000-of-00002.json"
SHARD = "dataset/shards/train-00000-of-00002.tfrecord.gz"
IO = "--dataset dataset --output o"
TOY = "--set encoder.width=8 --set encoder.blocks=1 --set encoder.heads=2 --set optimizer.batch_size=4"
GOOD = f"{IO} --preset small {TOY}"
TRAINED = f"{GOOD} --set data.validation_share=0.3 --set data.max_frames=16"


def with_another_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


MISTAKES = {
    "time before now": (None, f"{IO} --checkpoint-minutes -1", "argument --checkpoint-minutes: '-1' is not a number"),
    "a word for a time": (None, f"{IO} --checkpoint-minutes often", "argument --checkpoint-minutes: 'often' is not a"),
    "a misspelt setting": (None, f"{IO} --set optimizer.epoch=3", "--set optimizer.epoch=3...did you mean epochs?"),
    "a setting without a value": (None, f"{IO} --set seed", "--set seed: expected name=value, such as"),
    "no such encoder": (None, f"{IO} --set encoder.name=publishd", "--set encoder.name=publishd:...mean published?"),
    "no such precision": (None, f"{IO} --set precision=half", "precision is half, expected float32 or bfloat16"),
    "an unknown table": (("holds", "a.toml", "[dat]\n"), f"{IO} --config a.toml", "a.toml: ...did you mean data?"),
    "a record file with another bit": (("edited", SHARD, with_another_bit), GOOD, f"{SHARD} is damaged...delete it"),
    "too large batches": (None, f"{TRAINED} --set optimizer.batch_size=400", "dataset:...a batch (400)...lower"),
    "more folds than signers": (
        None,
        f"{TRAINED} --set data.folds=3 --set data.fold=1",
        "dataset: 3 folds, but 2...lower",
    ),
    "a fold of none": (None, f"{TRAINED} --set data.fold=1", "data.fold is 1 and data.folds 0, expected 2 folds"),
    "no report of a shard": (("removed", REPORT), TRAINED, f"{REPORT} is missing or damaged: delete it"),
    "nobody to validate on": (
        None,
        f"{GOOD} --set data.validation_share=1e-9",
        "dataset: no validation clips: set data",
    ),
    "no space": (
        ("cannot_be_written", "o/statistics.json"),
        TRAINED,
        "o/statistics.json: No space left on device: make",
    ),
    "no space later": (
        ("cannot_be_written", CHECKPOINT),
        f"{TRAINED} --set data.plausible_only=false --checkpoint-minutes 0",
        f"{CHECKPOINT}: No space",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("training.train", *MISTAKES[name])


CHECKPOINTS = {
    "cut short": (("holds", CHECKPOINT, "PK\3\4"), f"cannot read {CHECKPOINT}...delete o and train it again"),
    "another network's": (("is_copy_of", CHECKPOINT, "../run/best-0001.npz"), f"{CHECKPOINT} holds another...delete o"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_of_an_interrupted_run(refused, place, monkeypatch, command, name):
    spoiled, said = CHECKPOINTS[name]

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    # Claims the output, and ends before anything is trained.
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("training.trainer.Trainer", interrupt)
        command(train, *TRAINED.split())
    refused("training.train", spoiled, TRAINED, said)
