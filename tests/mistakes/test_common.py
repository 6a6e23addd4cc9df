"""Mistakes that are the same in many commands: each is made with every command that it can be made with."""

import dataclasses
import errno
import itertools

import pytest

from pipeline import tasks
from pipeline.beam import job  # noqa: F401  # slow to import: not within a test
from pipeline.common import directories


@dataclasses.dataclass(frozen=True)
class Command:
    """A command: the words of a good call, what it makes, and its options for a number of at least 1 and for a choice.

    A directory that is read is named as its kind (PARQUET is a folder of parquet files, `export` a model without its
    manifest), what is made is `o`.
    """

    words: str
    makes: str = ""
    numbers: str = ""
    choices: str = ""

    def with_path(self, path: str, other: str) -> list[str]:
        return [other if word == path else word for word in self.words.split()]

    def paths(self) -> dict[str, str]:
        """Each path with its option, empty for one without."""
        pairs = itertools.pairwise(["", *self.words.split()])
        return {word: before if before.startswith("--") else "" for before, word in pairs if not word.startswith("--")}


RUN = "--run run --dataset dataset --output o"
COMMANDS = {
    "pipeline.synthesize": Command("--output o", "sample set"),
    "pipeline.convert": Command("--data data --output o", "dataset", "workers shards limit fold", "split-by runner"),
    "pipeline.import_tfrecords": Command("--records tfds --data data --output o", "dataset", "workers", "runner"),
    "pipeline.filter": Command("--dataset dataset --scores scores --output o", "dataset", "workers", "runner"),
    "pipeline.inspect": Command("dataset --verify"),
    "pipeline.report": Command("scores", "", "", "split"),
    "training.train": Command("--dataset dataset --output o", "run", "", "preset device"),
    "training.score": Command(RUN, "score table", "", "device"),
    "inference.export": Command(RUN, "model", "max-frames threads", "weights latency"),
    "inference.budget": Command(RUN, "frame budget", "max-frames clips threads", "latency"),
    "inference.evaluate": Command("--model model --dataset dataset --output o", "evaluation", "threads", "split"),
    "inference.submit": Command("--model model --data data/train_landmarks --output o", "submission", "test-clips"),
    "inference.live": Command("--model model --dataset dataset", "", "clips", "split"),
    "inference.page": Command("--model model --output o", "page", "port"),
    "inference.recognize": Command("data/train_landmarks --model export", "", "threads"),
    "scripts.run_pipeline": Command("--data data --output o", "pipeline run", "folds", "preset fold-by"),
}
ALL_PATHS = [(name, *each) for name, command in COMMANDS.items() for each in command.paths().items()]
ALL_INPUTS = [(name, path) for name, path, _ in ALL_PATHS if path != "o"]
ALL_OUTPUTS = [name for name, command in COMMANDS.items() if command.makes]

PARQUET = "data/train_landmarks"
MADE = ("dataset", "run", "scores", "model")  # with a manifest
ANOTHER = {"dataset": "run", "run": "model", "model": "run", "scores": "dataset", "data": "tfds"}
ANOTHER |= {PARQUET: "dataset", "export": "run"}
SHARD = "dataset/shards/train-00000-of-00002.tfrecord.gz"

# What is given in the place of an input, which is IN (LESS: its name less a letter): the kinds that are no such
# mistake, what is spoiled, what is given, and what is said.
WRONG_INPUTS = {
    "a link to nowhere": ((), ("links_nowhere", "link"), "link", "link...a link to gone, which is not there"),
    "a misspelt name": ((), None, "LESS", "LESS...no such file or directory...(did you mean IN?)"),
    "a file": ((PARQUET,), ("holds", "file", ""), "file", "file...a file, not a directory; expected"),
    "a folder of something else": (("tfds",), ("holds", "site/index.html", ""), "site", "site ...expected"),
    "another kind": (("tfds",), None, "ANOTHER", "ANOTHER ...expected"),
    "the folder around it": (("tfds", PARQUET), None, ".", ". ...expected...(did you mean IN?)"),
}

# What is damaged in an input, IN, of these kinds, and what is said.
DAMAGES = {
    MADE: [
        (("removed", "IN/manifest.json"), "IN is unfinished: run the command that makes it again"),
        (("cut", "IN/manifest.json"), "IN/manifest.json...IN is damaged, delete it"),
        (("holds", "IN/manifest.json", "[]"), "IN/manifest.json...IN is damaged, delete it"),
        (("says", "IN/manifest.json", {"schema_version": 1}), "IN is a...another version...version 1,...delete it"),
        (("says", "IN/manifest.json", {"schema_version": 99}), "IN is a...another version...version 99,...delete it"),
        (("says", "IN/manifest.json", {"fingerprint": None}), "IN/manifest.json lacks fingerprint: delete IN"),
        (("cannot_be_read", "IN/manifest.json"), "IN/manifest.json: Permission denied: get access"),
    ],
    ("dataset", "run"): [
        (("task", "IN/manifest.json", "toy"), "IN/manifest.json: there is no task 'toy': expected fingerspelling"),
        (("replaced", "IN/manifest.json", '"x"', '"u"'), "IN/manifest.json: its task...other points...delete"),
        (("replaced", "IN/manifest.json", '"parameters": {}', '"parameters": 0'), "IN/manifest.json...task is damaged"),
        (("removed", "IN/statistics.json"), "IN/statistics.json...delete IN and make it again"),
        (("cut", "IN/statistics.json"), "IN/statistics.json...cut short, changed or replaced; delete IN"),
    ],
    ("dataset",): [
        (("says", "dataset/manifest.json", {"shards": None}), "dataset/manifest.json lacks shards: delete dataset"),
        (("says", "dataset/manifest.json", {"splits": None}), "dataset/manifest.json lacks splits: delete dataset"),
        (("says", "dataset/manifest.json", {"shards": [{}]}), "dataset/manifest.json is damaged ('files'): delete"),
        (("removed", SHARD), f"{SHARD} is not there: delete it"),
        (("cut", SHARD), f"{SHARD}...cut short...delete it"),
        (("is_copy_of", SHARD, "test-00000-of-00002.tfrecord.gz"), f"{SHARD}...another dataset's; delete it"),
    ],
    ("run",): [
        (("removed", "run/best-0001.npz"), "run/best-0001.npz...delete run"),
        (("cut", "run/best-0001.npz"), "run/best-0001.npz...cut short, changed or replaced; delete run"),
        (("says", "run/manifest.json", {"weights": None}), "run/manifest.json lacks weights: delete run"),
        (("replaced", "run/manifest.json", '"width"', '"breadth"'), "run/manifest.json...'breadth'...delete run"),
        (("replaced", "run/manifest.json", '"published"', '"publishd"'), "run/manifest.json...did you mean published?"),
    ],
    ("model",): [
        (("removed", "model/model.tflite"), "model/model.tflite...delete model"),
        (("cut", "model/model.tflite"), "model/model.tflite...cut short, changed or replaced; delete model"),
        (("removed", "model/inference_args.json"), "model/inference_args.json...delete model"),
        (("holds", "model/inference_args.json", "{}"), "model/inference_args.json...replaced; delete model"),
        (("says", "model/manifest.json", {"files": None}), "model/manifest.json lacks files: delete"),
        (("task", "model/manifest.json", "toy"), "model...task"),
    ],
    ("scores",): [
        (("removed", "scores/scores.csv"), "scores/scores.csv...delete scores"),
        (("holds", "scores/scores.csv", ""), "scores/scores.csv is not the file that...delete scores"),
    ],
    ("data",): [(("cannot_be_read", "data/train.csv"), "data/train.csv: Permission denied: get access")],
}

# Mistakes with the output: what is spoiled, what is given in the output's place, and what is said.
REQUEST, SOMETHING = "o/request.json", ("holds", "o/something", "")
BEFORE = ("written", REQUEST, "KIND", directories.SCHEMA_VERSION)
WRONG_OUTPUTS = {
    "a link to nowhere": (("links_nowhere", "o"), "o", "o is a link to gone, which is not there: choose another"),
    "a file": (("holds", "o", ""), "o", "o is a file, not a directory: choose another"),
    "below a file": (("holds", "file", ""), "file/o", "file/o: Not a directory: a part of this path is a file"),
    "something else": (("holds", "site/thesis.txt", ""), "site", "site already holds something else: choose an empty"),
    "the folder of data": (None, "data", "data already holds something else: choose an empty or new"),
    "another kind": (None, "OTHER", "OTHER holds a OTHER, not a...: choose another"),
    "other settings": ([BEFORE, SOMETHING], "o", "o holds a...other settings...delete it first"),
    "another version": ([(*BEFORE[:3], 1), SOMETHING], "o", "o holds a...version 1...choose"),
    "a damaged request": (("holds", REQUEST, "{"), "o", "read o/request.json...o is damaged, delete it"),
    "no permission": (("cannot_be_written", REQUEST, errno.EACCES), "o", "to o: Permission denied: get access"),
    "read-only": (("cannot_be_written", REQUEST, errno.EROFS), "o", "to o: Read-only file system: get access"),
    "no space": (("cannot_be_written", REQUEST, errno.ENOSPC), "o", "to o: No space left on device: make room"),
    "in use": (("in_use", "o"), "o", "another process is working on o: wait"),
}

# Mistakes with a path, read or written: what is given in its place, and what is said after the name of the option.
WRONG_PATHS = {
    "empty": ("", "the path is empty"),
    "of another store": ("s3://bucket/o", "'s3://bucket/o' is neither a path on this machine nor gs://BUCKET/FOLDER"),
    "of no bucket": ("gs://", "'gs://' is neither a path on this machine nor gs://BUCKET/FOLDER"),
    "of nobody's home": ("~nobody-here/o", "'~nobody-here/o': Could not determine home directory"),
}


def filled(value, **names: str):
    """`value` with other words for `names`, in all texts."""
    if isinstance(value, str):
        for name, word in names.items():
            value = value.replace(name, word)
    elif isinstance(value, (list, tuple)):
        value = type(value)(filled(each, **names) for each in value)
    return value


@pytest.mark.parametrize(
    ("command", "path", "name"),
    [(*each, name) for each in ALL_INPUTS for name, (others, *_) in WRONG_INPUTS.items() if each[1] not in others],
)
def test_input(refused, command, path, name):
    row = filled(WRONG_INPUTS[name][1:], ANOTHER=ANOTHER.get(path, ""), IN=path, LESS=path[:-1])
    refused(command, row[0], COMMANDS[command].with_path(path, row[1]), row[2], begins=False)


@pytest.mark.parametrize(
    ("command", "path", "spoiled", "said"),
    [
        pytest.param(*each, spoiled, said, id="-".join([*each, *map(str, spoiled)]))
        for each in ALL_INPUTS
        for kinds, damages in DAMAGES.items()
        for spoiled, said in filled(damages, IN=each[1])
        if each[1] in kinds
    ],
)
def test_damaged_input(refused, command, path, spoiled, said):
    refused(command, spoiled, COMMANDS[command].words, said, begins=False)


@pytest.mark.parametrize("name", WRONG_OUTPUTS)
@pytest.mark.parametrize("command", ALL_OUTPUTS)
def test_output(refused, command, name):
    kind = COMMANDS[command].makes
    spoiled, given, said = filled(WRONG_OUTPUTS[name], KIND=kind, OTHER="model" if kind == "run" else "run")
    refused(command, spoiled, COMMANDS[command].with_path("o", given), said, begins=False)


@pytest.mark.parametrize("name", WRONG_PATHS)
@pytest.mark.parametrize(("command", "path", "option"), ALL_PATHS)
def test_path(refused, command, path, option, name):
    given, said = WRONG_PATHS[name]
    refused(command, None, COMMANDS[command].with_path(path, given), f"argument {option}...{said}", begins=False)


@pytest.mark.parametrize(
    # A page is made on this machine, as its own tests say.
    ("command", "path", "option"),
    [each for each in ALL_PATHS if each[:2] != ("inference.page", "o")],
)
def test_no_such_bucket(refused, emulator, command, path, option):
    words = COMMANDS[command].with_path(path, "gs://nowhere/to/be/found")
    refused(command, None, words, "gs://nowhere/to/be/found: no such bucket", begins=False)


@pytest.mark.parametrize(("command", "path", "option"), ALL_PATHS)
def test_option(refused, command, path, option):
    """One is missing, misspelt, or without its value; a word is one too many."""
    words = COMMANDS[command].words.split()
    rest = [word for word in words if word not in (path, option)]
    wrong = {
        f"arguments are required: {option}": rest,
        "arguments: ...surplus (no option takes it: write a list like 3,17": [*words, "surplus", "surplus"],
        "arguments: --neither": [*words, "--neither"],
    }
    if option:
        wrong |= {
            f"arguments...(did you mean {option} instead of {option[:-1]}?)": [*rest, option[:-1], path],
            f"argument {option}: expected one argument": [*rest, option],
        }
    for said, words in wrong.items():
        refused(command, None, words, said, begins=False)


@pytest.mark.parametrize("number", ["0", "1.5", "two", ""])
@pytest.mark.parametrize(
    ("command", "option"), [(name, each) for name, command in COMMANDS.items() for each in command.numbers.split()]
)
def test_number(refused, command, option, number):
    said = f"argument --{option}: '{number}' is not a whole number of at least 1"
    refused(command, None, f"{COMMANDS[command].words} --{option}={number}", said, begins=False)


@pytest.mark.parametrize(
    ("command", "option"), [(name, each) for name, command in COMMANDS.items() for each in command.choices.split()]
)
def test_choice(refused, command, option):
    said = f"argument --{option}: invalid choice: 'neither' (choose from"
    refused(command, None, f"{COMMANDS[command].words} --{option} neither", said, begins=False)


@pytest.mark.parametrize("command", ["pipeline.convert", "scripts.run_pipeline"])
def test_a_misspelt_task(refused, command):
    said = "no task 'fingerspeling' (did you mean fingerspelling?)"
    refused(command, None, f"{COMMANDS[command].words} --task fingerspeling", said, begins=False)


@pytest.mark.parametrize("command", ["training.score", "inference.export", "inference.budget", "inference.evaluate"])
def test_a_data_set_of_another_task(refused, monkeypatch, command):
    toy = type("Toy", (tasks.TASKS[tasks.DEFAULT],), {"name": "toy"})
    monkeypatch.setitem(tasks.TASKS, "toy", toy)
    said = "dataset of the task toy or of other classes: both must be of the same task"
    refused(command, ("task", "dataset/manifest.json", "toy"), COMMANDS[command].words, said, begins=False)
