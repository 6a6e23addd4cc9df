"""How fast, and in how much memory, recordings are converted that a description file tells of.

    python -m scripts.benchmarks.convert_tables --output out/benchmark-tables
    python -m scripts.benchmarks.convert_tables --output out/benchmark-tables --files 2000 --megabytes 50

Makes CSV of three channels: many files of 150 rows with a table of labels, one large table of clips, and two large
streams. Each is converted the way a notebook does it (pandas, an Example a clip, GZIP) and by `pipeline.convert` with
one and with two workers, in processes of their own. Prints tables as `scripts.benchmarks.convert` does, and keeps them
in OUTPUT/report.json. Needs pandas and TensorFlow (extras test and train-cpu).
"""

import contextlib
import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.console import Console

from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common import arguments, directories, errors
from pipeline.tasks.task import Tables, Task
from scripts.benchmarks.convert import NO_TEST, Compared, Way, compare, show

FRAMES = 150  # of a file, and of a clip of the table
WINDOW, STRIDE = 100, 50
CLASSES, PEOPLE = 20, 40
CHANNELS = ["x", "y", "z"]
DESCRIPTION = "description.toml"
_PATTERNS = 50  # different clips: that many are made, and repeated


def blocks() -> list[str]:
    """The lines of some clips, without an end of line after the last."""
    random = np.random.default_rng(0)
    return ["\n".join(",".join(f"{value:.4f}" for value in row) for row in clip) for clip in _clips(random)]


def _clips(random: np.random.Generator) -> np.ndarray:
    return random.normal(size=(_PATTERNS, FRAMES, len(CHANNELS)))


def make_files(data: pathlib.Path, count: int) -> int:
    """A file a clip, with a table of labels."""
    (data / "recordings").mkdir(parents=True)
    lines = blocks()
    for i in range(count):
        (data / f"recordings/r{i:06d}.csv").write_text(",".join(CHANNELS) + "\n" + lines[i % _PATTERNS] + "\n")
    rows = (f"r{i:06d},p{i % PEOPLE},c{i % CLASSES}\n" for i in range(count))
    (data / "labels.csv").write_text("recording,person,class\n" + "".join(rows))
    _describe(
        data,
        kind="files",
        files="recordings/*.csv",
        labels="labels.csv",
        clip="recording",
        label="class",
        group="person",
    )
    return count


def make_table(data: pathlib.Path, size: int) -> int:
    """One table of so many bytes, clip after clip."""
    data.mkdir(parents=True)
    lines = [block.split("\n") for block in blocks()]
    clips = 0
    with (data / "all.csv").open("w") as file:
        file.write(",".join(["clip", "person", "class", *CHANNELS]) + "\n")
        while file.tell() < size:
            beginning = f"{clips},p{clips // 5000},c{clips % CLASSES},"
            file.write("".join(f"{beginning}{line}\n" for line in lines[clips % _PATTERNS]))
            clips += 1
    _describe(data, kind="table", files="all.csv", clip="clip", label="class", group="person")
    return clips


def make_streams(data: pathlib.Path, size: int) -> int:
    """Two files of together so many bytes, whose class changes every 15 blocks; how many windows a notebook cuts."""
    data.mkdir(parents=True)
    lines = [block.split("\n") for block in blocks()]
    windows = 0
    for number in range(2):
        rows = 0
        with (data / f"stream-{number}.csv").open("w") as file:
            file.write(",".join([*CHANNELS, "class"]) + "\n")
            while file.tell() < size / 2:
                end = f",c{rows // (15 * FRAMES) % CLASSES}\n"
                file.write("".join(line + end for line in lines[rows // FRAMES % _PATTERNS]))
                rows += FRAMES
        windows += max(0, (rows - WINDOW) // STRIDE + 1)
    _describe(data, kind="streams", files="*.csv", label="class", window=WINDOW, stride=STRIDE)
    return windows


def _describe(data: pathlib.Path, **keys: Any) -> None:
    words = {"channels": CHANNELS} | keys
    # A list or a text is the same in Python as in TOML, but for the quotes, which may be single there.
    (data / DESCRIPTION).write_text("".join(f"{name} = {value!r}\n" for name, value in words.items()))


def as_a_notebook(task: Task, data: pathlib.Path, output: pathlib.Path) -> None:
    """Whole tables in memory; labels by name, windows with the class of most of their rows."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(output / "all.tfrecord"), options="GZIP") as writer:
        for values, label in notebook_clips(task, data):
            feature = {
                "frames": tf.train.Feature(float_list=tf.train.FloatList(value=values.ravel())),
                "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[label.encode()])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def notebook_clips(task: Task, data: pathlib.Path) -> Iterator[tuple[np.ndarray, str]]:
    """Values (T, C) and label of each clip."""
    import pandas

    layout = task.layout
    assert isinstance(layout, Tables)
    paths = sorted(data.glob(layout.files))
    if layout.kind == "files":
        labels = pandas.read_csv(data / "labels.csv").set_index("recording")["class"]
        for path in paths:
            yield pandas.read_csv(path)[CHANNELS].to_numpy(np.float32), labels[path.stem]
    elif layout.kind == "table":
        for _, rows in pandas.read_csv(paths[0]).groupby("clip", sort=False):
            yield rows[CHANNELS].to_numpy(np.float32), rows["class"].iloc[0]
    else:
        for path in paths:
            rows = pandas.read_csv(path)
            values, classes = rows[CHANNELS].to_numpy(np.float32), rows["class"].to_numpy()
            for first in range(0, len(rows) - WINDOW + 1, STRIDE):
                names, counts = np.unique(classes[first : first + WINDOW], return_counts=True)
                if counts.max() >= layout.purity * WINDOW:
                    yield values[first : first + WINDOW], names[counts.argmax()]


def whole_job(task: Task, data: pathlib.Path, output: pathlib.Path, *, workers: int) -> None:
    """The command `pipeline.convert`."""
    with contextlib.redirect_stdout(None):
        conversion.convert(
            data, output, NO_TEST, num_shards=None, runner=Runner(workers=workers), task_name=str(data / DESCRIPTION)
        )


NOTEBOOK = Way("a notebook's way", as_a_notebook, ("pandas", "tensorflow"))
OURS = [
    Way(f"whole job, workers: {workers}", functools.partial(whole_job, workers=workers), ("pipeline.beam.transform",))
    for workers in (1, 2)
]


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--output", type=arguments.path, required=True, help="directory for the report and the input")
    parser.add_argument("--files", type=arguments.positive, default=20_000, help="of a clip each")
    parser.add_argument("--megabytes", type=arguments.positive, default=1000, help="of the table, and of the streams")
    parser.add_argument("--rounds", type=arguments.positive, default=1, help="how often each way is timed")
    args = parser.parse_args()
    tables: dict[str, Compared] = {}
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.output) as name:
        scratch = pathlib.Path(name)
        size = args.megabytes * 1_000_000
        made = {
            f"{args.files:,} files of {FRAMES} rows": make_files(scratch / "files", args.files),
            f"a table of {args.megabytes:,} MB": make_table(scratch / "table", size),
            f"two streams of {args.megabytes:,} MB": make_streams(scratch / "streams", size),
        }
        for (title, clips), data in zip(made.items(), ("files", "table", "streams"), strict=True):
            _, task = conversion.listed(scratch / data, str(scratch / data / DESCRIPTION))
            costs = compare([NOTEBOOK, *OURS], task, scratch / data, scratch, args.rounds)
            tables[title] = Compared(clips, NOTEBOOK.title, costs)
    out = Console(width=110)
    for title, compared in tables.items():
        show(title, compared, out)
    directories.write_json(
        args.output / "report.json", {title: dataclasses.asdict(each) for title, each in tables.items()}
    )


if __name__ == "__main__":
    errors.run(main)
