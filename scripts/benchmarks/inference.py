"""How fast an exported model is: the published way against this program's, with the same weights.

    python -m scripts.benchmarks.inference --output out/benchmark-inference
    python -m scripts.benchmarks.inference --output out/benchmark-inference --run out/final --dataset out/dataset

The network is the published final one with random weights, which decide nothing about time; beside it are the final
ones of the small pairs, in int8. The published way pads every clip to 340 frames and stores weights as float16; ours
runs at the clip's own length. Clips are noise, of lengths as in the real set: mean 160 frames, 95 of 100 below 309, the
longest 807. Each way runs in a process of its own, all in turn. Prints tables of milliseconds, time to load, size and
memory; with a trained run also what each storage of weights costs in score, on validation clips. All is kept in
OUTPUT/report.json.
"""

import concurrent.futures
import dataclasses
import itertools
import multiprocessing
import os
import pathlib
import platform
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from inference import budget, latency
from inference.recognizer import MODEL, Recognizer
from inference.tflite import checks, conversion
from inference.tflite.conversion import WEIGHTS
from pipeline.common import arguments, directories, errors
from pipeline.common.peak_memory import peak_memory
from pipeline.common.temporary import temporary_folder
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.features import num_features
from pipeline.scores import display
from pipeline.tasks.fingerspelling import Fingerspelling
from training.config import PRESETS
from training.data.holdout import Holdout
from training.runs import Run

TASK = Fingerspelling()
PUBLISHED = "published"
WAYS = {  # preset and storage of weights
    PUBLISHED: ("final", "float16"),
    **{f"final, {weights}": ("final", weights) for weights in WEIGHTS},
    **{f"{preset}, int8": (preset, "int8") for preset in ("small-final", "fast-final")},
}
LONGEST = 807
CLIPS = 100
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one way: milliseconds of each clip and to load, bytes of the file, of memory before and at most."""

    milliseconds: list[float]
    load_ms: float
    size: int
    memory: int


def real_lengths(count: int) -> np.ndarray:
    """Frames of `count` clips, evenly through the real set's distribution, its longest included.

    A gamma distribution of shape 4 has the real set's 95th and 99th percentiles to a few frames. With the longest clip
    put in, the mean of 100 clips is 160.
    """
    drawn = np.sort(np.random.default_rng(0).gamma(4.0, 39.0, 1_000_000))
    lengths = drawn[((np.arange(count) + 0.5) * len(drawn) / count).astype(int)].round().astype(int)
    lengths[-1] = LONGEST
    return np.maximum(lengths, 1)


def published_outputs(model, inputs_TxK, max_frames: int):
    """As published: a clip is padded to the frame budget, and every shape is fixed."""
    import tensorflow as tf

    landmarks = tf.transpose(tf.reshape(inputs_TxK, (-1, 2, TASK.points.shape[0])), (0, 2, 1))[:max_frames]
    num_frames = tf.shape(landmarks)[0]
    padded = tf.pad(landmarks, [[0, max_frames - num_frames], [0, 0], [0, 0]], constant_values=float("nan"))
    padded = tf.reshape(padded, (1, max_frames, *TASK.points.shape))
    return model({"landmarks": padded, "num_frames": num_frames[None]}, training=False)[0][:num_frames]


def make_models(directory: pathlib.Path) -> None:
    """Writes an export of each way below `directory`."""
    import keras

    from training.network.model import Model

    size = num_features(TASK.points)
    for name, (preset, weights) in WAYS.items():
        keras.utils.set_random_seed(0)
        model = Model(PRESETS[preset], TASK, np.zeros(size, np.float32), np.ones(size, np.float32))
        model.build()
        (directory / name).mkdir(parents=True, exist_ok=True)
        outputs = published_outputs if name == PUBLISHED else None
        frames = PRESETS[preset].data.max_frames
        conversion.convert(model, frames, directory / name, weights=weights, clip_outputs=outputs)


def measure(directory: pathlib.Path, lengths: list[int], threads: int) -> Cost:
    """One round in a new process."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, directory, lengths, threads).result()


def _measured(directory: pathlib.Path, lengths: list[int], threads: int) -> Cost:
    import ai_edge_litert.interpreter  # noqa: F401  # not part of the time to load

    random = np.random.default_rng(0)
    clips = [random.random((length, *TASK.points.shape), np.float32) for length in lengths]
    before = peak_memory()
    started = time.perf_counter()
    recognizer = Recognizer(directory, threads=threads)
    recognizer.recognize(clips[0][:1])
    load_ms = (time.perf_counter() - started) * 1000
    milliseconds = latency.milliseconds(recognizer.recognize, clips, rounds=1)
    memory = peak_memory() - before
    return Cost(milliseconds.tolist(), load_ms, (directory / MODEL).stat().st_size, memory)


def compare(models: pathlib.Path, threads: int, clips: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Figures of each way, of each clip the fastest of `rounds`: they take turns, so that all are slowed alike."""
    lengths = real_lengths(clips)
    mixed = lengths[latency.spread(lengths.tolist(), clips)].tolist()
    costs: dict[str, list[Cost]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name in WAYS:
            costs[name].append(measure(models / name, mixed, threads))
    return {
        name: {
            **latency.summary(np.min([cost.milliseconds for cost in each], axis=0)),
            "load_ms": round(min(cost.load_ms for cost in each), 1),
            "size_mb": round(each[0].size / 1e6, 2),
            "memory_mb": round(max(cost.memory for cost in each) / 1e6, 1),
        }
        for name, each in costs.items()
    }


def score_changes(trained: Run, dataset: Dataset, clips: int) -> dict[str, dict[str, Any]]:
    """By storage of weights, the score of a trained run's export against that of the run itself."""
    from training.data.corpus import Corpus
    from training.predict import predict

    data = trained.config.data
    chosen = list(itertools.islice(Holdout.of(dataset, data).read_validation(dataset), clips))
    if not chosen:
        raise errors.UserError(f"{dataset.path} has no clips that validate the run: name another")
    model = conversion.load(trained)
    labels = [each.label for each in chosen]
    expected = predict(model, Corpus.of_clips(chosen, trained.task), max_frames=data.max_frames)
    changes = {}
    for name in WEIGHTS:
        with temporary_folder() as directory:
            conversion.convert(model, data.max_frames, directory, weights=name)
            recognizer = Recognizer(directory)
            found = [recognizer.answer(each.landmarks) for each in chosen]
        equal = sum(a == b for a, b in zip(expected, found, strict=True)) / len(expected)
        change = checks.score_change(trained.task, labels, expected, found)
        changes[name] = change | {"equal_predictions": equal, "clips": len(labels)}
    return changes


def processor() -> str:
    """Its name, and what it has for fast arithmetic: int8 is only fast with VNNI, or on Arm with dot products."""
    try:
        lines = dict(
            [part.strip() for part in line.split(":", 1)]
            for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if ":" in line
        )
    except OSError:
        return platform.processor() or platform.machine()
    flags = set(lines.get("flags", lines.get("Features", "")).split())
    wanted = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
    return f"{lines.get('model name', platform.machine())}, {' '.join(f for f in wanted if f in flags)}"


def show(report: dict[str, Any], out: Console) -> None:
    for threads, figures in report["threads"].items():
        columns = ("", *latency.STATISTICS, "ratio", "load", "MB", "memory")
        table = Table(*columns, title=f"milliseconds a clip, threads: {threads}", title_justify="left")
        for name, each in figures.items():
            times = (f"{each[statistic]:.1f}" for statistic in latency.STATISTICS)
            ratio = figures[PUBLISHED]["mean"] / each["mean"]
            size = (f"{each['load_ms']:.0f}", f"{each['size_mb']:.1f}", f"{each['memory_mb']:.0f} MB")
            table.add_row(name, *times, f"{ratio:.1f}", *size)
        out.print(table)
    if report["score"]:
        table = Table(
            "weights", "score", "change, 95 % interval", "equal predictions", title="score", title_justify="left"
        )
        for name, each in report["score"].items():
            equal = f"{each['equal_predictions']:.1%} of {each['clips']:,}"
            table.add_row(name, f"{each['second']:.4f}", checks.shown_change(each), equal)
        out.print(table)
    out.print(f"{report['processor']}; load {report['load']}")


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--output", type=arguments.path, required=True, help="directory for the report and the models")
    parser.add_argument("--run", type=arguments.path, help="trained run, to see what storing weights costs in score")
    parser.add_argument("--dataset", type=arguments.path, help="its dataset")
    parser.add_argument("--clips", type=arguments.positive, default=CLIPS, help="timed in a round")
    parser.add_argument("--rounds", type=arguments.positive, default=ROUNDS, help="how often each way is timed")
    parser.add_argument("--scored-clips", type=arguments.positive, default=budget.CLIPS, help="most to score")
    args = parser.parse_args()
    if (args.run is None) != (args.dataset is None):
        raise errors.UserError("--run and --dataset belong together: give both, or neither")
    if args.run is not None:
        trained, dataset = Run.open(args.run), Dataset.open(args.dataset)
    make_models(args.output / "models")
    report: dict[str, Any] = {"processor": processor(), "load": os.getloadavg(), "threads": {}, "score": {}}
    for threads in (1, 2):
        report["threads"][str(threads)] = compare(args.output / "models", threads, args.clips, args.rounds)
    if args.run is not None:
        report["score"] = score_changes(trained, dataset, args.scored_clips)
    directories.write_json(args.output / "report.json", report)
    show(report, display.screen())


if __name__ == "__main__":
    errors.run(main)
