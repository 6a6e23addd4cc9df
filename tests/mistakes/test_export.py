"""Mistakes people make with `python -m inference.export`."""

import pytest

from inference import export, proof

NEEDS = ("data", "dataset", "run", "model")
SHARD = "dataset/shards/test-00001-of-00002.tfrecord.gz"
GOOD = "--run run --dataset dataset --output o"
A_DATASET = "expected a dataset, which pipeline.convert or pipeline.filter makes"
A_RUN = "expected a run, which training.train makes"
REPLACED = (
    "is not the file that manifest.json tells of: it was cut short, changed or replaced; delete run and make it again"
)

OPTIONS = {
    "": "the following arguments are required: --run, --dataset, --output",
    "run --dataset dataset --output o": "the following arguments are required: --run",
    "--runs run --dataset dataset --output o": "the following arguments are required: --run (did you mean --run instead"
    " of --runs?)",
    f"{GOOD} --quantise float16": "unrecognized arguments: --quantise float16 (did you mean --quantize instead of"
    " --quantise?)",
    f"{GOOD} --quantize int4": "argument --quantize: invalid choice: 'int4' (choose from ...none..., ...float16..."
    ", ...int8...)",
    f"{GOOD} --max-frames 0": "argument --max-frames: '0' is not a whole number of at least 1",
    f"{GOOD} --threads two": "argument --threads: 'two' is not a whole number of at least 1",
    f"{GOOD} --max-latency-ms 0": "argument --max-latency-ms: '0' is not a number above 0",
    f"{GOOD} --max-size-mb 40MB": "argument --max-size-mb: '40MB' is not a number above 0",
    f"{GOOD} --max-score-loss -1": "argument --max-score-loss: '-1' is not a number above 0",
    "--run run --dataset dataset --output s3://bucket/model": "argument --output: 's3://bucket/model' is neither...",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(export, words, OPTIONS[words])


MISTAKES = {
    "swapped": (None, "--run dataset --dataset run --output o", f"dataset is a dataset; {A_RUN}"),
    "an exported model": (None, "--run model --dataset dataset --output o", f"model is a model; {A_RUN}"),
    "a misspelt folder": (
        None,
        "--run runn --dataset dataset --output o",
        f"runn: no such file or directory; {A_RUN} (did you mean run?)",
    ),
    "its checkpoint": (
        None,
        "--run run/best.npz --dataset dataset --output o",
        f"run/best.npz: a file, not a directory; {A_RUN} (did you mean run?)",
    ),
    "the folder of Kaggle data": (
        None,
        "--run run --dataset data --output o",
        f"data has no manifest.json; {A_DATASET}",
    ),
    "a link to nowhere": (
        ("links_nowhere", "link"),
        "--run link --dataset dataset --output o",
        f"link: a link to gone, which is not there; {A_RUN}",
    ),
    "a run that is still training": (
        ("removed", "run/manifest.json"),
        GOOD,
        "run is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "a run of another version": (
        ("says", "run/manifest.json", {"schema_version": 2}),
        GOOD,
        "run is a run of another version of this program (schema version 2, this one has 1): "
        "delete it and make it again",
    ),
    "an unfinished data set": (
        ("removed", "dataset/manifest.json"),
        GOOD,
        "dataset is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "a data set of other points": (
        ("says", "dataset/manifest.json", {"points": ["face_0"]}),
        GOOD,
        "dataset was made for another list of points than this program's: convert the data again",
    ),
    "no weights": (
        ("removed", "run/best.npz"),
        GOOD,
        "cannot read run/best.npz (No such file or directory): delete run and make it again",
    ),
    "weights that are cut short": (("cut", "run/best.npz"), GOOD, f"run/best.npz {REPLACED}"),
    "a record file that is cut short": (
        ("cut", SHARD),
        GOOD,
        f"{SHARD} has ... bytes, the manifest says ...: cut short, or another data set's; delete it and its data set's"
        " manifest.json, then run the command that made it: it makes what is missing",
    ),
    "the run as output": (
        None,
        "--run run --dataset dataset --output run",
        "run holds a run, not a model: choose another directory",
    ),
    "output over another model": (
        ("says", "model/request.json", {"settings": {"quantize": "float16"}}),
        "--run run --dataset dataset --output model",
        "model holds a model made with other settings (...); delete it first if you mean to replace it: choose another"
        " directory",
    ),
    "output over something else": (
        None,
        "--run run --dataset dataset --output data",
        "data already holds something else: choose an empty or new directory",
    ),
    "output to a file": (
        None,
        "--run run --dataset dataset --output model/model.tflite",
        "model/model.tflite is a file, not a directory: choose another directory to write to",
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
    mistake(export, *MISTAKES[name])


@pytest.fixture
def without_a_network(monkeypatch):
    """What would be exported is of no interest: the place it goes to is."""
    from training import runs

    monkeypatch.setattr(runs.Run, "load_model", lambda self: None)


def test_no_space_for_the_saved_model(mistake, monkeypatch, without_a_network):
    """TensorFlow names the error in its own way."""
    import tensorflow as tf

    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "o/saved_model.pb; No space left on device\nand more")

    monkeypatch.setattr(export, "convert", full)
    said = "not enough memory or disk space (o/saved_model.pb; No space left on device): make room, or ask for less,"
    mistake(export, None, GOOD, f"{said} such as smaller batches")


def test_no_space_for_the_result(mistake, monkeypatch, without_a_network):
    monkeypatch.setattr(export, "convert", lambda _, __, place, **___: (place / "model.tflite").write_bytes(b"model"))
    monkeypatch.setattr(proof, "prove", lambda *_, **__: ([], {"bytes": 5}))
    said = "o/model.tflite: No space left on device: make room there, then run the same command: it goes on"
    mistake(export, ("cannot_be_written", "o/model.tflite"), GOOD, said)
