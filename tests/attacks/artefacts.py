"""What there is to damage, the ways to damage it, and which commands read it."""

import fnmatch
import json
import os
import shutil
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

OF_DATASET = "dataset/manifest.json dataset/statistics.json dataset/shards/*"
OF_RUN = "run/manifest.json run/statistics.json run/best-*.npz"
OF_SCORES = "scores/manifest.json scores/scores.csv"
OF_MODEL = "model/manifest.json model/model.tflite model/inference_args.json"
OF_WINDOW = f"{OF_MODEL} model/fixed.tflite model/language.npz"
OF_EVALUATION = "evaluation/manifest.json evaluation/scores.csv"
OF_DATA = "data/train.csv data/train_landmarks/*"
MAP = "data/character_to_prediction_index.json"
REJECTED = "dataset/rejected.jsonl"
REPORT = "dataset/reports/00000-of-00002.json"
FROM_RUN = "--run run --dataset dataset --output o"

# The words of each command, and the files that it reads.
COMMANDS = {
    "convert": ("pipeline.convert --data data --output o --test-signers 3 --workers 1", f"{OF_DATA} {MAP}"),
    "convert again": (
        "pipeline.convert --data data --output dataset --test-signers 3 --workers 1",
        f"dataset/request.json dataset/manifest.json {OF_DATA} {MAP}",
    ),
    "import": (
        "pipeline.import_tfrecords --records tfds --data data --output o --test-signers 3 --workers 1",
        f"data/train.csv tfds/* {MAP}",
    ),
    "filter": ("pipeline.filter --dataset dataset --scores scores --output o --workers 1", f"{OF_DATASET} {OF_SCORES}"),
    "inspect": ("pipeline.inspect dataset", OF_DATASET),
    "verify": ("pipeline.inspect dataset --verify", "dataset/*"),
    "record": ("pipeline.inspect dataset --record 100", f"{OF_DATASET} dataset/reports/*"),
    "inspect run": ("pipeline.inspect run", "run/manifest.json"),
    "inspect scores": ("pipeline.inspect scores", "scores/manifest.json"),
    "inspect model": ("pipeline.inspect model", "model/manifest.json"),
    "inspect budget": ("pipeline.inspect budget", "budget/manifest.json"),
    "report": ("pipeline.report scores", OF_SCORES),
    "compare": ("pipeline.report scores evaluation", f"{OF_SCORES} {OF_EVALUATION}"),
    "leave out": ("pipeline.report scores --leave-out truth.csv", f"{OF_SCORES} truth.csv"),
    "train": (
        "training.train --dataset dataset --output o --config settings.toml SETTINGS",
        f"{OF_DATASET} dataset/reports/* settings.toml",
    ),
    "train again": (
        "training.train --dataset dataset --output run SETTINGS",
        f"{OF_DATASET} run/request.json run/manifest.json",
    ),
    "score": (f"training.score {FROM_RUN}", f"{OF_RUN} {OF_DATASET} dataset/reports/*"),
    "export": (f"inference.export {FROM_RUN}", f"{OF_RUN} {OF_DATASET}"),
    "budget": (
        "inference.budget --run run --dataset dataset --output budget --max-frames 16 --weights float32",
        f"{OF_RUN} {OF_DATASET} budget/request.json budget/manifest.json budget/budget.json",
    ),
    "evaluate": (
        "inference.evaluate --model model --dataset dataset --output o",
        f"{OF_MODEL} {OF_DATASET} dataset/reports/*",
    ),
    "submit": ("inference.submit --model model --data data --output o", f"{OF_MODEL} {OF_DATA}"),
    "recognize": ("inference.recognize data/train_landmarks --model export", "export/*"),
    "recognize files": ("inference.recognize data/train_landmarks --model export", "export/* data/train_landmarks/*"),
    "live": ("inference.live --model model --dataset dataset", f"{OF_WINDOW} {OF_DATASET}"),
    "page": ("inference.page --model model --output o", OF_WINDOW),
    "draw": ("inference.draw dataset --clip 100 --output o/clip.png", f"{OF_DATASET} dataset/reports/*"),
    "visualize": (
        "inference.visualize dataset scores evaluation run --output o/report.html",
        f"{OF_DATASET} dataset/reports/* {REJECTED} {OF_SCORES} {OF_EVALUATION} run/manifest.json run/history.csv",
    ),
    "run pipeline": (
        "scripts.run_pipeline --data data --output o --truth truth.csv",
        f"data/train.csv truth.csv {MAP}",
    ),
}
# Which read of a record file more than its size, to its end.
READ_WHOLE = {"train": ("filter", "verify", "train", "score"), "test": ("filter", "verify", "score", "evaluate")}


def flipped(content: bytes, random: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    damaged[random.integers(len(damaged))] ^= 1 << int(random.integers(8))
    return bytes(damaged)


# Of the bytes of a file. The first group leaves its size.
SAME_SIZE: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    **{f"another bit, {number}": flipped for number in range(6)},
    "zeros": lambda content, _: bytes(len(content)),
    "noise": lambda content, random: random.bytes(len(content)),
}
OTHER_SIZE: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "empty": lambda content, _: b"",
    "half": lambda content, _: content[: len(content) // 2],
    "without its end": lambda content, _: content[:-2],
    "without its beginning": lambda content, _: content[1:],
    "a byte more": lambda content, _: content + b"\0",
    "twice": lambda content, _: content * 2,
    "a web page": lambda content, _: b"<!DOCTYPE html>\n<title>Sign in</title>\n",
    "huge": lambda content, _: content + bytes(8 << 20),
}
# What stands in the place of a file.
PLACED: dict[str, Callable[[Any], None]] = {
    "gone": lambda path: None,
    "a directory": lambda path: path.mkdir(),
    "a link to nowhere": lambda path: path.symlink_to("gone"),
    "a pipe": os.mkfifo,
}
ANOTHER = "another's"
# What stands in the place of a value of a JSON file; texts, for what Python would not write.
VALUES = {
    "a list": "[]",
    "an object": "{}",
    "a text": '"text"',
    "null": "null",
    "true": "true",
    "a number": "-7",
    "400 digits": "7" * 400,
    "no number": "NaN",
    "5,000 digits": "7" * 5000,
    "deep lists": "[" * 100_000,
    "closed deep lists": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "a long text": f'"{"x" * (8 << 20)}"',
    "half a character": '"\\ud800"',
}
NOTHING = "nothing"  # the value and its name are left out


def places(value: Any, place: tuple = ()) -> list[tuple]:
    """The places of all values within JSON data."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, one in inside for each in ((*place, key), *places(one, (*place, key)))]


def edited(content: bytes, value: str, random: np.random.Generator) -> bytes:
    """JSON with another value somewhere, where it is not that already."""
    marker = "the place of another value"
    data = json.loads(content)
    some = [each for each in places(data) if each != ("sha256",)]
    *way, last = some[random.integers(len(some))]
    inner = data
    for key in way:
        inner = inner[key]
    if value == NOTHING:
        del inner[last]
    elif json.dumps(inner[last]) == value:
        inner[last] = marker
    else:
        inner[last] = marker
        return json.dumps(data, indent=1, sort_keys=True).replace(json.dumps(marker), value).encode()
    return json.dumps(data, indent=1, sort_keys=True).encode()


# Files of which something tells that they are what was written.
SEALED = (
    "budget/budget.json",
    "budget/manifest.json",
    "budget/request.json",
    MAP,
    "dataset/manifest.json",
    REPORT,
    "dataset/request.json",
    "dataset/shards/test-00001-of-00002.tfrecord.gz",
    "dataset/shards/train-00000-of-00002.tfrecord.gz",
    "dataset/statistics.json",
    "evaluation/manifest.json",
    "evaluation/scores.csv",
    "export/inference_args.json",
    "export/language.npz",
    "export/model.tflite",
    "model/fixed.tflite",
    "model/inference_args.json",
    "model/manifest.json",
    "model/model.tflite",
    "run/best-0001.npz",
    "run/manifest.json",
    "run/request.json",
    "run/statistics.json",
    "scores/manifest.json",
    "scores/scores.csv",
)
# A user's, of which nothing tells: what is still in order is taken, such as a name with another letter.
OPEN = ("data/train.csv", "data/train_landmarks/1.parquet", "settings.toml", "tfds/1.tfrecord", "truth.csv")
# In which not even a part is in order.
RUINED = {"zeros", "noise", "a web page", "a directory", "a link to nowhere"}
BYTES = (*SAME_SIZE, *OTHER_SIZE, *PLACED)
CASES = [
    *((path, damage) for path in SEALED for damage in (*BYTES, ANOTHER)),
    *((path, damage) for path in SEALED if path.endswith(".json") for damage in (*VALUES, NOTHING)),
    *((path, damage) for path in OPEN for damage in BYTES),
    *((REJECTED, damage) for damage in ("a byte more", "a web page", *PLACED)),  # which is empty
]
# What is no damage, as the command then makes the file or does without it, or as one may mean it.
NONE = {
    ("budget/manifest.json", "gone"): ("budget",),
    ("budget/manifest.json", "a link to nowhere"): ("budget",),
    ("dataset/manifest.json", "gone"): ("convert again",),
    ("dataset/manifest.json", "a link to nowhere"): ("convert again",),
    ("run/manifest.json", "gone"): ("train again",),
    ("run/manifest.json", "a link to nowhere"): ("train again",),
    (MAP, "gone"): ("convert", "convert again", "import", "run pipeline"),
    (MAP, "a link to nowhere"): ("convert", "convert again", "import", "run pipeline"),
    (MAP, ANOTHER): ("convert", "convert again", "import", "run pipeline"),  # it is the same
    # Only the directory's other files tell that it is not its own.
    ("budget/manifest.json", ANOTHER): ("inspect budget",),
    ("model/manifest.json", ANOTHER): ("inspect model",),
    ("run/manifest.json", ANOTHER): ("inspect run", "visualize"),
    ("scores/manifest.json", ANOTHER): ("inspect scores",),
    ("data/train_landmarks/1.parquet", "a link to nowhere"): (),
    ("settings.toml", "a pipe"): ("train",),
    ("truth.csv", "a pipe"): ("leave out", "run pipeline"),
}


def readers(path: str) -> list[str]:
    return [name for name, (_, reads) in COMMANDS.items() if any(fnmatch.fnmatch(path, one) for one in reads.split())]


def damage_file(place, path: str, damage: str, other) -> None:
    """Puts something else in the place of a file, which is a link to one that all tests share."""
    target = place / path
    content = target.read_bytes()
    random = np.random.default_rng(zlib.crc32(f"{path} {damage}".encode()))
    target.unlink()
    if damage in PLACED:
        PLACED[damage](target)
    elif damage == ANOTHER:
        shutil.copyfile(other / path, target)
    elif damage in VALUES or damage == NOTHING:
        target.write_bytes(edited(content, VALUES.get(damage, NOTHING), random))
    else:
        target.write_bytes((SAME_SIZE | OTHER_SIZE)[damage](content, random))
