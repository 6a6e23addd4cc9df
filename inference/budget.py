"""Measures which frame budget and which storage of the weights to export with.

    python -m inference.budget --run out/final --dataset out/dataset --output out/budget --max-latency-ms 20

For each frame budget and each storage: the score on validation clips (those of the training, where the dataset is
the training's), how many of them leave the encoder fewer frames than their label takes and so cannot be read, the
latency over their lengths, and the size of the file. Prints a table, draws it (budget.png, with the extra `report`),
and names the best choice within the limits: the highest score, of equal ones the fastest. The measurements are kept in
budget.json; another call with other limits chooses anew and measures nothing.
"""

import argparse
import dataclasses
import itertools

from rich.table import Table

from inference import latency
from inference.latency import Limits
from inference.measurements import KIND, MEASUREMENTS, Measurement, read
from inference.recognizer import MODEL, Recognizer
from inference.tflite import conversion
from inference.tflite.checks import TIMED_CLIPS
from inference.tflite.conversion import WEIGHTS
from pipeline.common import directories, native_output, storage
from pipeline.common.arguments import Parser, command, path, positive
from pipeline.common.errors import UserError, run
from pipeline.common.progress import console, next_step, track
from pipeline.common.storage import AnyPath
from pipeline.common.temporary import temporary_folder
from pipeline.dataset.clips import Clip
from pipeline.dataset.dataset import Dataset
from pipeline.scores import display
from training.data.corpus import Corpus
from training.data.holdout import Holdout
from training.runs import Run

PLOT = "budget.png"
CLIPS = 1000
SHARES = (1.0, 0.8, 0.6, 0.4)  # of the frames trained with, where no budgets are given
EQUAL_SCORE = 0.001  # what differs by less is chance


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--run", type=path, required=True, help="run directory made by training.train")
    parser.add_argument("--dataset", type=path, required=True, help="dataset with validation clips")
    parser.add_argument("--output", type=path, required=True, help="directory for the table: new, or made before")
    parser.add_argument(
        "--max-frames",
        type=_budgets,
        default=(),
        metavar="N,N",
        help="frame budgets, e.g. 120,160; if not given, that of the training and 80, 60 and 40 %% of it",
    )
    parser.add_argument("--weights", type=_weights, default=tuple(WEIGHTS), metavar="LIST", help="e.g. float32,int8")
    parser.add_argument("--clips", type=positive, default=CLIPS, help="most validation clips to read")
    latency.add_options(parser)
    budget(parser.parse_args())


def budget(arguments: argparse.Namespace) -> None:
    trained = Run.open(arguments.run)
    dataset = Dataset.open(arguments.dataset)
    trained.check_task(dataset)
    trained_frames = trained.config.data.max_frames
    budgets = arguments.max_frames or sorted({max(1, round(share * trained_frames)) for share in SHARES}, reverse=True)
    request = directories.Request(
        KIND,
        {
            "run": trained.fingerprint,
            "dataset": dataset.fingerprint,
            "max_frames": list(budgets),
            "weights": list(arguments.weights),
            "clips": arguments.clips,
            "threads": arguments.threads,
        },
    )
    output = arguments.output
    was_complete = directories.prepare(output, request)
    found = read(output, complete=was_complete)
    if not was_complete:
        holdout = Holdout.of(dataset, trained.config.data)
        clips = list(itertools.islice(holdout.read_validation(dataset), arguments.clips))
        if not clips:
            raise UserError(
                f"{arguments.dataset} has no clips that validate {arguments.run}: convert with --validation-signers,"
                " and train again"
            )
        corpus = Corpus.of_clips(clips, trained.task)
        model = None
        wanted = [(frames, weights) for frames in budgets for weights in arguments.weights]
        for frames, weights in wanted[len(found) :]:
            model = model or conversion.load(trained)
            found.append(measure(model, frames, weights, clips, corpus, threads=arguments.threads))
            directories.write_json(
                output / MEASUREMENTS, {"measurements": [dataclasses.asdict(each) for each in found]}
            )
        directories.complete(output, request, {"validation_clips": len(clips)}, files=[MEASUREMENTS])
    if not (output / PLOT).is_file():
        draw(found, output / PLOT)
    limits = Limits.of(arguments, trained.task)
    chosen, fits = choose(found, limits)
    show(found, chosen if fits else None)
    if fits:
        print(f"best within {limits}: {chosen}, score {chosen.score:.4f}")
        inputs = command("--run", arguments.run, "--dataset", arguments.dataset)
        next_step(f"python -m inference.export {inputs} {chosen} --output MODEL")
    else:
        needs = f"{limits.statistic} {chosen.latency_ms[limits.statistic]:.1f} ms, {chosen.size_mb:.1f} MB"
        advice = "allow that, or try fewer --max-frames, more --threads or a smaller network"
        print(f"none keeps to {limits}; closest: {chosen} ({needs}): {advice}")


def measure(model, max_frames: int, weights: str, clips: list[Clip], corpus: Corpus, *, threads: int) -> Measurement:
    """Exports a `training.network.model.Model`, recognizes the clips, and times some of every length.

    Args:
      corpus: of the same clips.
    """
    from training.predict import fits  # only now: it needs Keras

    with temporary_folder() as directory:
        conversion.convert(model, max_frames, directory, weights=weights)
        with native_output.without_remarks():
            recognizer = Recognizer(directory, threads=threads)
        title = f"{max_frames} frames, {weights}"
        predictions = [recognizer.answer(each.landmarks) for each in track(clips, title, "clips", total=len(clips))]
        timed = latency.spread([each.num_frames for each in clips], TIMED_CLIPS)
        milliseconds = latency.milliseconds(recognizer.recognize, [clips[i].landmarks for i in timed])
        score = recognizer.task.score([each.label for each in clips], predictions)
        size = (directory / MODEL).stat().st_size / 1e6
        too_few_frames = int((~fits(model, corpus, max_frames=max_frames)).sum())
        return Measurement(max_frames, weights, score, latency.summary(milliseconds), size, too_few_frames)


def choose(found: list[Measurement], limits: Limits) -> tuple[Measurement, bool]:
    """The best that keeps to the limits, and true; where none does, the one that exceeds them least, and false."""

    def excess(each: Measurement) -> float:
        return limits.excess(each.latency_ms, each.size_mb)

    fitting = [each for each in found if excess(each) <= 1]
    if fitting:
        best = max(each.score for each in fitting)
        near = [each for each in fitting if each.score > best - EQUAL_SCORE]
        return min(near, key=lambda each: each.latency_ms[limits.statistic]), True
    return min(found, key=excess), False


def show(found: list[Measurement], chosen: Measurement | None) -> None:
    columns = ("frames", "weights", "score", "change", "too few", *latency.STATISTICS, "MB", "")
    table = Table(*columns, title="Frame budget: milliseconds a clip, and score on validation", title_justify="left")
    reference = max(found, key=lambda each: (each.max_frames, each.weights == "float32"))
    for each in found:
        times = (f"{each.latency_ms[name]:.1f}" for name in latency.STATISTICS)
        change = f"{each.score - reference.score:+.4f}"
        row = (str(each.max_frames), each.weights, f"{each.score:.4f}", change, f"{each.too_few_frames:,}", *times)
        table.add_row(*row, f"{each.size_mb:.1f}", "best" if each == chosen else "")
    display.screen().print(table)


def draw(found: list[Measurement], file: AnyPath) -> None:
    """Score against mean latency, a line for each storage of the weights; a note where there is nothing that draws."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        console.print(f"no {file.name}: matplotlib is not installed: pip install -e '.[report]'")
        return
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for weights in dict.fromkeys(each.weights for each in found):
        of_kind = [each for each in found if each.weights == weights]
        size = max(each.size_mb for each in of_kind)
        times, scores = [each.latency_ms["mean"] for each in of_kind], [each.score for each in of_kind]
        axes.plot(times, scores, marker="o", label=f"{weights}, {size:.1f} MB")
        for each in of_kind:
            axes.annotate(
                str(each.max_frames), (each.latency_ms["mean"], each.score), (4, 4), textcoords="offset points"
            )
    axes.set(xlabel="mean latency, ms a clip", ylabel="score on validation", title="Frame budgets (at the points)")
    axes.legend()
    axes.grid(alpha=0.3)
    with storage.replacing(file) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _budgets(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(positive(each) for each in text.split(",")))


def _weights(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in WEIGHTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(WEIGHTS)}")
    return names


if __name__ == "__main__":
    run(main)
