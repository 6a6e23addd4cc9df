"""Mistakes people make with `python -m inference.budget`."""

import pytest

from inference import budget

NEEDS = ("data", "dataset", "run", "model")
GOOD = "--run run --dataset dataset --output o"
A_RUN = "expected a run, which training.train makes"

OPTIONS = {
    "": "the following arguments are required: --run, --dataset, --output",
    f"{GOOD} --max-frames 160,": "argument --max-frames: '' is not a whole number of at least 1",
    f"{GOOD} --max-frames 160 120": "unrecognized arguments: 120 (no option takes it: write a list as 3,17, and quotes"
    " around a path with spaces)",
    f"{GOOD} --quantize none,int4": "argument --quantize: 'int4' is none of none, float16, int8",
    f"{GOOD} --max-latency-ms fast": "argument --max-latency-ms: 'fast' is not a number above 0",
    f"{GOOD} --latency p75": "argument --latency: invalid choice: 'p75' (choose from ...mean..., ...)",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(budget, words, OPTIONS[words])


MISTAKES = {
    "swapped": (None, "--run dataset --dataset run --output o", f"dataset is a dataset; {A_RUN}"),
    "an exported model": (None, "--run model --dataset dataset --output o", f"model is a model; {A_RUN}"),
    "a run that is still training": (
        ("removed", "run/manifest.json"),
        GOOD,
        "run is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "the model as output": (
        None,
        "--run run --dataset dataset --output model",
        "model holds a model, not a frame budget: choose another directory",
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
    mistake(budget, *MISTAKES[name])


def test_no_validation_sequences(mistake, monkeypatch):
    monkeypatch.setattr(budget, "validation_sequences", lambda *_: iter(()))
    said = "dataset has no validation sequences: convert with --validation-participants, or name a larger data set"
    mistake(budget, None, GOOD, said)
