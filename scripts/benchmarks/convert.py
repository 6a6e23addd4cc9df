"""How fast conversion is: against only decoding the columns, and against the way a notebook does it.

    python -m scripts.benchmarks.convert --output out/benchmark-convert

Makes its own input with `pipeline.synthesize` (all 1,631 columns), runs everything in one go, each in a process of its
own, and prints tables of seconds, ratios and peak memory; they are kept in OUTPUT/report.json. The notebook's way needs
pandas and TensorFlow: pip install pandas.
"""

import concurrent.futures
import contextlib
import csv
import dataclasses
import functools
import importlib
import multiprocessing
import pathlib
import resource
import shutil
import tempfile
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from pipeline import synthesize
from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common import arguments, directories, errors
from pipeline.common.peak_memory import peak_memory
from pipeline.dataset import metadata, sharding
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()
MANY = 16  # files of the large input: so many that the start of two workers, some seconds, counts for little
_NEXT_IDS = 1 << 40  # beyond the ids of the sample data
ROUNDS = 3  # each way is timed so often, in turn; the fastest counts: what else the machine does only slows
NO_TEST = SplitRule(test_share=0.0)  # all for training, so that the statistics of all are computed


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of all cores together; bytes of memory at most."""

    seconds: float
    cpu: float
    memory: int


def only_decode(data: pathlib.Path, output: pathlib.Path) -> None:
    """The floor: the columns that are needed, decoded and dropped."""
    for path in sorted((data / "train_landmarks").iterdir()):
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for _ in file.iter_batches(4096, columns=[TASK.layout.id, *TASK.layout.values], use_threads=False):
                pass


def as_a_notebook(data: pathlib.Path, output: pathlib.Path) -> None:
    """pandas, a `tf.train.Example` with float lists for each clip, `TFRecordWriter` with GZIP."""
    import pandas
    import tensorflow as tf

    phrases = pandas.read_csv(data / "train.csv").set_index("sequence_id").phrase
    for path in sorted((data / "train_landmarks").iterdir()):
        frames = pandas.read_parquet(path, columns=list(TASK.layout.values))
        with tf.io.TFRecordWriter(str(output / f"{path.stem}.tfrecord"), options="GZIP") as writer:
            for sequence_id, clip in frames.groupby(level="sequence_id"):
                values = clip.to_numpy().ravel()
                feature = {
                    "frames": tf.train.Feature(float_list=tf.train.FloatList(value=values)),
                    "phrase": tf.train.Feature(bytes_list=tf.train.BytesList(value=[phrases[sequence_id].encode()])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())


def shard_function(data: pathlib.Path, output: pathlib.Path) -> None:
    """What a Beam worker does for a shard: `pipeline.beam.conversion.ConvertShard`, statistics included."""
    table = metadata.read(data, TASK.metadata)
    files = tuple(sorted(table.by_path))
    shard = sharding.Shard(0, 1, "benchmark", files, sum((data / file).stat().st_size for file in files))
    sharding.prepare(output, [shard])
    conversion.ConvertShard(data, data, output, TASK, tuple(table.sha256.items()), NO_TEST)(shard)


def whole_job(data: pathlib.Path, output: pathlib.Path, *, workers: int = 1) -> None:
    """The command `pipeline.convert`."""
    with contextlib.redirect_stdout(None):
        conversion.convert(data, output, NO_TEST, num_shards=None, runner=Runner(workers=workers))


@dataclasses.dataclass(frozen=True)
class Way:
    """Attributes:
    title: of its row.
    run: called with the data and an empty output directory.
    imports: modules that are imported before the clock starts.
    """

    title: str
    run: Callable[[pathlib.Path, pathlib.Path], None]
    imports: tuple[str, ...] = ()


FLOOR = Way("only decoding the columns", only_decode)
NOTEBOOK = Way("a notebook's way", as_a_notebook, ("pandas", "tensorflow"))
OURS = Way("shard function", shard_function, ("pandas",))  # which pyarrow imports wherever it is installed
ONE, TWO = (
    Way(f"whole job, workers: {workers}", functools.partial(whole_job, workers=workers), ("pipeline.beam.transform",))
    for workers in (1, 2)
)


def measure(way: Way, data: pathlib.Path, scratch: pathlib.Path) -> Cost:
    """One run in a new process."""
    output = scratch / "out"
    output.mkdir(parents=True)
    try:
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_timed, way, data, output).result()
    finally:
        shutil.rmtree(output)


def _timed(way: Way, data: pathlib.Path, output: pathlib.Path) -> Cost:
    for name in way.imports:
        importlib.import_module(name)
    started, cpu = time.perf_counter(), _cpu()
    way.run(data, output)
    seconds, cpu = time.perf_counter() - started, _cpu() - cpu
    return Cost(seconds, cpu, max(peak_memory(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10))


def _cpu() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def compare(ways: list[Way], data: pathlib.Path, scratch: pathlib.Path, rounds: int) -> dict[str, Cost]:
    """The cost of each way, the least of `rounds`: they take turns, so that what else runs slows all alike."""
    costs: dict[str, list[Cost]] = {way.title: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            costs[way.title].append(measure(way, data, scratch))
    return {
        title: Cost(min(c.seconds for c in each), min(c.cpu for c in each), max(c.memory for c in each))
        for title, each in costs.items()
    }


def repeated(data: pathlib.Path, scratch: pathlib.Path, copies: int) -> pathlib.Path:
    """Data of one file, under other ids in each of as many files; only the columns that are read, to save room."""
    large = scratch / "large"
    (large / "train_landmarks").mkdir(parents=True)
    table = pq.read_table(data / "train_landmarks", columns=[TASK.layout.id, TASK.layout.frame, *TASK.layout.values])
    entries = metadata.read(data, TASK.metadata).entries.values()
    with (large / TASK.metadata.file).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TASK.metadata.names)
        for copy in range(copies):
            name = f"train_landmarks/{copy}.parquet"
            ids = table[TASK.layout.id].to_numpy() + copy * _NEXT_IDS
            pq.write_table(table.set_column(0, TASK.layout.id, pa.array(ids)), large / name, row_group_size=4096)
            writer.writerows((name, each.sequence_id + copy * _NEXT_IDS, each.signer, each.label) for each in entries)
    return large


def show(title: str, costs: dict[str, Cost], base: str, out: Console) -> None:
    table = Table("", "seconds", "CPU seconds", "ratio", "memory", title=title, title_justify="left")
    for name, cost in costs.items():
        ratio = cost.seconds / costs[base].seconds
        table.add_row(name, f"{cost.seconds:.2f}", f"{cost.cpu:.2f}", f"{ratio:.2f}", f"{cost.memory / 1e6:.0f} MB")
    out.print(table)


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--output", type=arguments.path, required=True, help="directory for the report and the input")
    parser.add_argument("--clips", type=arguments.positive, default=1000, help="of the input")
    parser.add_argument("--rounds", type=arguments.positive, default=ROUNDS, help="how often each way is timed")
    args = parser.parse_args()
    output, clips, rounds = args.output, args.clips, args.rounds
    tables: dict[str, tuple[str, dict[str, Cost]]] = {}

    def sample(name: str, count: int, files: int) -> pathlib.Path:
        signers = min(12, count)
        synthesize.synthesize(output / name, clips=count, signers=signers, files=files, spoiled_share=0.0)
        return output / name

    one = sample("one-file", clips, 1)
    with tempfile.TemporaryDirectory(dir=output) as name:
        scratch = pathlib.Path(name)
        ways = [FLOOR, NOTEBOOK, OURS]
        tables[f"{clips:,} clips, one file, one process"] = (FLOOR.title, compare(ways, one, scratch, rounds))
        start = measure(ONE, sample("one-clip", 1, 1), scratch)
        tables["the whole job on one clip: Beam's start-up"] = (ONE.title, {ONE.title: start})
        for files in (1, 2, 4, 8):
            data = one if files == 1 else sample(f"{files}-files", clips, files)
            title = f"{clips:,} clips, files: {files}"
            tables[title] = (ONE.title, compare([ONE, TWO], data, scratch, rounds))
        large = repeated(one, scratch, MANY)
        title = f"{MANY * clips:,} clips, files: {MANY}, only the columns that are read"
        tables[title] = (ONE.title, compare([ONE, TWO], large, scratch, 1))
        shutil.rmtree(large)
        small = sample("a-file-each", clips, clips)
        tables[f"{clips:,} clips, a file each"] = (ONE.title, compare([ONE, TWO], small, scratch, 1))
    out = Console(width=110)
    for title, (base, costs) in tables.items():
        show(title, costs, base, out)
    report = {title: {name: dataclasses.asdict(c) for name, c in costs.items()} for title, (_, costs) in tables.items()}
    directories.write_json(output / "report.json", report)


if __name__ == "__main__":
    errors.run(main)
