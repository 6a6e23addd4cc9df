"""How fast conversion is: against only decoding the columns, and against the way a notebook does it.

    python -m scripts.benchmarks.convert --output out/benchmark-convert
    python -m scripts.benchmarks.convert --output out/benchmark-convert-signs --task isolated-signs

Makes its own input with `pipeline.synthesize` (all columns), runs everything in one go, each in a process of its own,
and prints tables of seconds, rates, ratios and peak memory; they are kept in OUTPUT/report.json. The notebook's way
needs pandas and TensorFlow (extras test and train-cpu).
"""

import concurrent.futures
import contextlib
import csv
import dataclasses
import functools
import importlib
import multiprocessing
import os
import pathlib
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from pipeline import synthesize, tasks
from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common import arguments, directories, errors
from pipeline.common.peak_memory import peak_memory
from pipeline.dataset import metadata, sharding
from pipeline.dataset.splits import SplitRule
from pipeline.synthesis import samples
from pipeline.tasks.task import LongParquet, Task, WideParquet

MANY = 16  # times as many clips in the large input: so many that the start of two workers, some seconds, counts little
_NEXT_IDS = 1 << 40  # beyond the ids of the sample data
ROUNDS = 3  # each way is timed so often, in turn; the fastest counts: what else the machine does only slows
NO_TEST = SplitRule(test_share=0.0)  # all for training, so that the statistics of all are computed


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of all cores together; bytes of memory at most."""

    seconds: float
    cpu: float
    memory: int


def only_decode(task: Task, data: pathlib.Path, output: pathlib.Path) -> None:
    """The floor: the columns that are needed, decoded and dropped."""
    layout = task.layout
    assert isinstance(layout, (WideParquet, LongParquet))
    keys = [layout.id] if isinstance(layout, WideParquet) else [layout.frame, layout.part, layout.index]
    for path in sorted(data.rglob("*.parquet")):
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for _ in file.iter_batches(4096, columns=[*keys, *layout.values], use_threads=False):
                pass


def as_a_notebook(task: Task, data: pathlib.Path, output: pathlib.Path) -> None:
    """pandas, a `tf.train.Example` with float lists for each clip, `TFRecordWriter` with GZIP."""
    import pandas
    import tensorflow as tf

    clips_of = _clips_of_wide if isinstance(task.layout, WideParquet) else _clips_of_long
    labels = pandas.read_csv(data / task.metadata.file).set_index(task.metadata.id)[task.metadata.label]
    with tf.io.TFRecordWriter(str(output / "all.tfrecord"), options="GZIP") as writer:
        for path in sorted(data.rglob("*.parquet")):
            for sequence_id, values in clips_of(task, path):
                feature = {
                    "frames": tf.train.Feature(float_list=tf.train.FloatList(value=values.ravel())),
                    "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[labels[sequence_id].encode()])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())


def _clips_of_wide(task: Task, path: pathlib.Path) -> Iterator[tuple[int, np.ndarray]]:
    import pandas

    frames = pandas.read_parquet(path, columns=list(task.layout.values))
    for sequence_id, clip in frames.groupby(level=task.metadata.id):
        yield sequence_id, clip.to_numpy()


def _clips_of_long(task: Task, path: pathlib.Path) -> Iterator[tuple[int, np.ndarray]]:
    """As notebooks do: all rows taken to be there, in order."""
    import pandas

    assert isinstance(task.layout, LongParquet)
    rows = {name: row for row, name in enumerate(task.layout.rows)}
    values = pandas.read_parquet(path, columns=list(task.points.axes)).to_numpy(np.float32)
    yield int(path.stem), values.reshape(-1, len(rows), values.shape[1])[:, [rows[name] for name in task.points.names]]


def shard_function(task: Task, data: pathlib.Path, output: pathlib.Path) -> None:
    """What a Beam worker does for a shard: `pipeline.beam.conversion.ConvertShard`, statistics included."""
    table = metadata.read(data, task.metadata)
    files = tuple(sorted(table.by_path))
    shard = sharding.Shard(0, 1, "benchmark", files, sum((data / file).stat().st_size for file in files))
    sharding.prepare(output, [shard])
    conversion.ConvertShard(data, data, output, task, tuple(table.sha256.items()), NO_TEST)(shard)


def whole_job(task: Task, data: pathlib.Path, output: pathlib.Path, *, workers: int = 1) -> None:
    """The command `pipeline.convert`."""
    with contextlib.redirect_stdout(None):
        runner = Runner(workers=workers)
        conversion.convert(data, output, NO_TEST, num_shards=None, runner=runner, task_name=task.name)


@dataclasses.dataclass(frozen=True)
class Way:
    """Attributes:
    title: of its row.
    run: called with the task, its data and an empty output directory.
    imports: modules that are imported before the clock starts.
    """

    title: str
    run: Callable[[Task, pathlib.Path, pathlib.Path], None]
    imports: tuple[str, ...] = ()


FLOOR = Way("only decoding the columns", only_decode)
NOTEBOOK = Way("a notebook's way", as_a_notebook, ("pandas", "tensorflow"))
OURS = Way("shard function", shard_function, ("pandas",))  # which pyarrow imports wherever it is installed
ONE, TWO = (
    Way(f"whole job, workers: {workers}", functools.partial(whole_job, workers=workers), ("pipeline.beam.transform",))
    for workers in (1, 2)
)


def measure(way: Way, task: Task, data: pathlib.Path, scratch: pathlib.Path) -> Cost:
    """One run in a new process."""
    output = scratch / "out"
    output.mkdir(parents=True)
    try:
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_timed, way, task, data, output).result()
    finally:
        shutil.rmtree(output)


def _timed(way: Way, task: Task, data: pathlib.Path, output: pathlib.Path) -> Cost:
    for name in way.imports:
        importlib.import_module(name)
    started, cpu = time.perf_counter(), _cpu()
    way.run(task, data, output)
    seconds, cpu = time.perf_counter() - started, _cpu() - cpu
    return Cost(seconds, cpu, max(peak_memory(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10))


def _cpu() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def compare(ways: list[Way], task: Task, data: pathlib.Path, scratch: pathlib.Path, rounds: int) -> dict[str, Cost]:
    """The cost of each way, the least of `rounds`: they take turns, so that what else runs slows all alike."""
    costs: dict[str, list[Cost]] = {way.title: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            costs[way.title].append(measure(way, task, data, scratch))
    return {
        title: Cost(min(c.seconds for c in each), min(c.cpu for c in each), max(c.memory for c in each))
        for title, each in costs.items()
    }


def repeated(task: Task, data: pathlib.Path, scratch: pathlib.Path, copies: int) -> pathlib.Path:
    """Every file so many times, its clips under other ids.

    Wide files have only the columns that are read, to save room; files of one clip, named after it, are links.
    """
    large, layout = scratch / "large", task.layout
    by_path = metadata.read(data, task.metadata).by_path
    large.mkdir()
    with (large / task.metadata.file).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(task.metadata.names)
        for copy in range(copies):
            for path, entries in by_path.items():
                ids = [entry.sequence_id + copy * _NEXT_IDS for entry in entries]
                source, name = data / path, f"{copy}/{pathlib.PurePath(path).parent}/{ids[0]}.parquet"
                (large / name).parent.mkdir(parents=True, exist_ok=True)
                if isinstance(layout, WideParquet):
                    table = pq.read_table(source, columns=[layout.id, layout.frame, *layout.values])
                    others = pa.array(table[layout.id].to_numpy() + copy * _NEXT_IDS)
                    pq.write_table(table.set_column(0, layout.id, others), large / name, row_group_size=4096)
                else:
                    os.link(source, large / name)
                writer.writerows((name, i, each.signer, each.label) for i, each in zip(ids, entries, strict=True))
    return large


@dataclasses.dataclass(frozen=True)
class Compared:
    """A table: the cost of each way on so many clips; `base` is the way that ratios are to."""

    clips: int
    base: str
    costs: dict[str, Cost]


def show(title: str, compared: Compared, out: Console) -> None:
    headings = ("seconds", "CPU seconds", "clips a second", "ratio", "memory")
    table = Table("", *headings, title=title, title_justify="left")
    for name, cost in compared.costs.items():
        ratio, rate = cost.seconds / compared.costs[compared.base].seconds, compared.clips / cost.seconds
        memory = f"{cost.memory / 1e6:.0f} MB"
        table.add_row(name, f"{cost.seconds:.2f}", f"{cost.cpu:.2f}", f"{rate:.1f}", f"{ratio:.2f}", memory)
    out.print(table)


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--output", type=arguments.path, required=True, help="directory for the report and the input")
    parser.add_argument(
        "--task",
        default=tasks.DEFAULT,
        metavar="NAME",
        help="fingerspelling or isolated-signs: the layout of the input",
    )
    parser.add_argument("--clips", type=arguments.positive, default=1000, help="of the input")
    parser.add_argument("--rounds", type=arguments.positive, default=ROUNDS, help="how often each way is timed")
    args = parser.parse_args()
    if not tasks.named(args.task).metadata.file:
        raise errors.UserError(
            f"--task {args.task}: expected one of landmarks; scripts.benchmarks.convert_tables times other recordings"
        )
    output, clips, rounds = args.output, args.clips, args.rounds
    in_files = isinstance(tasks.named(args.task).layout, WideParquet)  # many clips a file
    options = samples.options(args.task)
    tables: dict[str, Compared] = {}

    def sample(name: str, count: int, files: int = 1) -> pathlib.Path:
        most: dict[str, Any] = {"signers": min(12, count), "files": files, "signs": min(25, count)}
        chosen = {option: value for option, value in most.items() if option in options}
        synthesize.synthesize(output / name, task=args.task, clips=count, spoiled_share=0.0, **chosen)
        return output / name

    first = sample("sample", clips)
    entries = metadata.read(first, tasks.named(args.task).metadata).entries.values()
    task = tasks.named(args.task).of_data(first, (entry.label for entry in entries))
    with tempfile.TemporaryDirectory(dir=output) as name:
        scratch = pathlib.Path(name)

        def add(title: str, ways: list[Way], data: pathlib.Path, count: int, rounds: int) -> None:
            tables[title] = Compared(count, ways[0].title, compare(ways, task, data, scratch, rounds))

        one_process = [FLOOR, NOTEBOOK, OURS]
        add("the whole job on two clips: Beam's start-up", [ONE], sample("two-clips", 2), 2, 1)
        if in_files:
            add(f"{clips:,} clips, one file, one process", one_process, first, clips, rounds)
            for files in (1, 2, 4, 8):
                data = first if files == 1 else sample(f"{files}-files", clips, files)
                add(f"{clips:,} clips, files: {files}", [ONE, TWO], data, clips, rounds)
            add(f"{clips:,} clips, a file each", [ONE, TWO], sample("a-file-each", clips, clips), clips, 1)
        large, count = repeated(task, first, scratch, MANY), MANY * clips
        title = f"{count:,} clips, " + (f"files: {MANY}, only the columns that are read" if in_files else "a file each")
        add(title, [ONE, TWO] if in_files else [*one_process, ONE, TWO], large, count, 1)
    out = Console(width=110)
    for title, compared in tables.items():
        show(title, compared, out)
    directories.write_json(output / "report.json", {title: dataclasses.asdict(each) for title, each in tables.items()})


if __name__ == "__main__":
    errors.run(main)
