"""The whole path on a data folder: convert, train, score, filter, train again, export, evaluate.

    scripts/run_pipeline --data data/asl-fingerspelling --output out/run --preset published
    scripts/run_pipeline --data data/mine --output out/mine --test-signers 3
    scripts/run_pipeline --data data/watch --task watch.toml --output out/watch

A data folder is laid out as Kaggle's, or as a description says: python -m pipeline.describe DATA --output FILE.toml
writes a first one of recordings of your own. "Signers" are then the people, or groups, that it names.

Stages that are complete are skipped, so an interrupted run is continued by the same command. At the end a table; it is
kept in OUTPUT/report.txt and report.json, and OUTPUT/report.html is a page to look at: data, clips, errors, training.
"""

import argparse
import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inference import evaluate, recognizer, visualize
from pipeline import tasks
from pipeline.beam import conversion
from pipeline.common import directories, storage
from pipeline.common.arguments import Parser, as_word, command, path, positive
from pipeline.common.errors import UserError, run
from pipeline.common.processes import call, check_status, module
from pipeline.common.progress import console, next_step
from pipeline.common.storage import AnyPath
from pipeline.dataset.dataset import DROPPED, Dataset
from pipeline.dataset.metadata import Metadata
from pipeline.dataset.split_options import signers
from pipeline.dataset.splits import TEST, TRAIN, SplitRule
from pipeline.scores import analysis, display, score_table
from pipeline.scores.display import scored
from pipeline.scores.truth import read_truth
from pipeline.tasks import body
from training import config
from training.data import holdout

PRESETS = {name: pair for task in tasks.TASKS.values() for name, pair in task.presets.items()}
IN_FLOAT16 = ("published", "signs")  # whose final model is stored so, as it is large
BY = ("signer", "clip")  # what folds are of
KIND = directories.Kind("pipeline run", made_by="scripts/run_pipeline")
DATASET, FILTERED = "dataset", "dataset-filtered"
SECONDS = "seconds.json"
PAGE = "report.html"
FIXED_FRAMES = 512  # of the model for browsers: 17 seconds, which few phrases take
SHOWN_EXAMPLES = 10
GOOD = "good"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=path, required=True, help="data folder")
    parser.add_argument("--output", type=path, required=True, help="directory for everything that is made")
    parser.add_argument(
        "--task",
        metavar="NAME|FILE",
        help="fingerspelling or isolated-signs, by the columns of the metadata if not given; or FILE.toml, the"
        " description of other recordings",
    )
    presets = (
        "fast, and those that end with small, are for CPUs, the others for a GPU; if not given, fast for"
        " fingerspelling, the small one for other tasks"
    )
    parser.add_argument("--preset", choices=list(PRESETS), help=presets)
    parser.add_argument(
        "--test-signers",
        type=signers,
        default=(),
        metavar="IDS",
        help="signers to test on, e.g. 3,17; a tenth if not given",
    )
    parser.add_argument(
        "--folds",
        type=positive,
        metavar="K",
        help="train K base models, each without a fold that it then scores; 1: one, which has seen what it scores; if"
        " not given, as the task says",
    )
    parser.add_argument("--fold-by", choices=BY, default=BY[0], help="what is divided into folds: signers or clips")
    parser.add_argument(
        "--truth", type=path, help="CSV (sequence_id, kind) of spoiled clips, for the closing table only"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a training setting of both models, such as optimizer.epochs=2; may be repeated",
    )
    arguments = parser.parse_args()
    table, task = conversion.listed(arguments.data, arguments.task)
    arguments.task = arguments.task or task.name
    arguments.folds = arguments.folds or task.folds
    arguments.preset = arguments.preset or next(iter(task.presets))
    truth = read_truth(arguments.truth) if arguments.truth else {}
    check(arguments, table, task, truth)
    test = ",".join(map(str, arguments.test_signers)) or None
    settings = {"task": arguments.task, "preset": arguments.preset, "test_signers": test, "set": arguments.set}
    if arguments.folds > 1:
        settings |= {"folds": arguments.folds, "fold_by": arguments.fold_by}
    request = directories.Request(KIND, settings)
    was_complete = directories.prepare(arguments.output, request)
    run_stages(arguments)
    report = summarize(arguments.output, [stage.title for stage in stages(arguments)], truth)
    show(report, display.screen())
    directories.write_json(arguments.output / "report.json", report)
    with storage.replacing(arguments.output / "report.txt") as temporary, temporary.open("w", encoding="utf-8") as file:
        show(report, display.screen(file))
    write_page(arguments, truth)
    if not was_complete:
        directories.complete(arguments.output, request, {})
    print(f"everything is in {arguments.output}")
    model = command("--model", arguments.output / "model")
    next_step(f"python -m inference.recognize FILE {model}")
    if task.points is body.POINTS:
        given = f"{model} {command('--output', arguments.output / 'page')}"
        print(f"in a browser, from a camera: python -m inference.page {given} --serve")


def check(arguments: argparse.Namespace, table: Metadata, task: tasks.Task, truth: dict[int, str]) -> None:
    """Raises a `UserError` of a stage, or of the closing table, before the output holds hours of work."""
    if arguments.preset not in task.presets:
        fitting = " or ".join(task.presets)
        raise UserError(f"--preset {arguments.preset} is not for the task {task.name}: expected {fitting}")
    for preset in task.presets[arguments.preset]:
        config.resolve(preset, overrides=arguments.set)
    split_of = SplitRule(test_signers=arguments.test_signers).assign(table.entries.values())
    if arguments.folds > 1:
        signer_of = {i: table.entries[i].signer for i, split in split_of.items() if split == TRAIN}
        data = config.Data(folds=arguments.folds, fold=1, fold_by_clip=arguments.fold_by == "clip")
        holdout.divide(signer_of, data, task, where=arguments.data)
    if truth and not truth.keys() & table.entries.keys():
        raise UserError(f"none of the clips in {arguments.truth} is in {arguments.data}: it belongs to other data")


@dataclasses.dataclass(frozen=True)
class Stage:
    title: str
    module: str
    output: str  # below the output directory
    arguments: list[str]


def stages(arguments: argparse.Namespace) -> list[Stage]:
    """The commands, in order; each reads the directories of those before it."""
    base, final = PRESETS[arguments.preset]
    weights = "float16" if arguments.preset in IN_FLOAT16 else "float32"
    made = {name: as_word(arguments.output / name) for name in (DATASET, "scores", FILTERED, "final", "model")}
    changes = [word for change in arguments.set for word in ("--set", change)]
    test_signers = ",".join(map(str, arguments.test_signers))
    test = ["--test-signers", test_signers] if test_signers else []
    dataset, filtered = ["--dataset", made[DATASET]], ["--dataset", made[FILTERED]]
    bases, score = [], list(dataset)
    for fold in range(1, arguments.folds + 1):
        name, left_out = "base", []
        if arguments.folds > 1:
            name = f"base-{fold}-of-{arguments.folds}"
            by_clip = str(arguments.fold_by == "clip").lower()
            left_out = [f"data.folds={arguments.folds}", f"data.fold={fold}", f"data.fold_by_clip={by_clip}"]
        words = [word for change in [*arguments.set, *left_out] for word in ("--set", change)]
        bases.append(Stage(f"train the {name} model", "training.train", name, [*dataset, "--preset", base, *words]))
        score += ["--run", as_word(arguments.output / name)]
    exported = ["--run", made["final"], *filtered, "--weights", weights, "--fixed-frames", str(FIXED_FRAMES)]
    return [
        Stage(
            "convert", "pipeline.convert", DATASET, ["--data", as_word(arguments.data), "--task", arguments.task, *test]
        ),
        *bases,
        Stage("score every clip", "training.score", "scores", score),
        Stage("filter", "pipeline.filter", FILTERED, [*dataset, "--scores", made["scores"]]),
        Stage("train the final model", "training.train", "final", [*filtered, "--preset", final, *changes]),
        Stage("export", "inference.export", "model", exported),
        Stage("evaluate", "inference.evaluate", "evaluation", ["--model", made["model"], *filtered]),
    ]


def run_stages(arguments: argparse.Namespace) -> None:
    """Runs each stage as its own process, as one would by hand, and keeps how long those took that had work to do."""
    planned = stages(arguments)
    for number, stage in enumerate(planned, 1):
        directory = arguments.output / stage.output
        console.rule(f"{number}/{len(planned)} {stage.title}", align="left")
        words = module(stage.module, *stage.arguments, "--output", as_word(directory))
        if (directory / directories.MANIFEST).is_file():
            status = call(words)
        else:
            with timed(arguments.output, stage.title):
                status = call(words)
        check_status(status)
        if stage.output == DATASET and not Dataset.open(directory).count(TEST):
            raise UserError(f"{directory} has no test clips: list other --test-signers, and delete {directory}")


@contextlib.contextmanager
def timed(output: AnyPath, title: str) -> Iterator[None]:
    """Adds the seconds that the block takes to those kept for a stage, also where it is interrupted."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds = read_seconds(output)
        seconds[title] = round(seconds.get(title, 0.0) + time.monotonic() - started, 1)
        directories.write_json(output / SECONDS, seconds)


def read_seconds(output: AnyPath) -> dict[str, float]:
    return directories.read_json(output / SECONDS) if (output / SECONDS).is_file() else {}


def summarize(output: AnyPath, titles: list[str], truth: dict[int, str]) -> dict[str, Any]:
    """What the closing table says of the stages `titles`. `truth` decides nothing but its own rows."""
    seconds = read_seconds(output)
    dataset = Dataset.open(output / DATASET)
    filtered = Dataset.open(output / FILTERED)
    scored_base, base = score_table.open_table(output / "scores")
    evaluated, final = score_table.open_table(output / "evaluation", analysis.KIND)
    helped = None
    if (digest := evaluated["files"].get(evaluate.WITH_LANGUAGE)) is not None:
        directories.check_file(output / "evaluation" / evaluate.WITH_LANGUAGE, digest)
        helped = score_table.read(output / "evaluation" / evaluate.WITH_LANGUAGE)
    model = directories.read_manifest(output / "model", recognizer.KIND)
    directories.check_file(output / FILTERED / DROPPED, filtered.manifest["files"].get(DROPPED))
    with (output / FILTERED / DROPPED).open(encoding="utf-8") as lines:
        dropped = {json.loads(line)["sequence_id"] for line in lines}
    test = sorted(final)
    groups = {"all": test, "unspoiled": [i for i in test if i not in truth]} if truth else {"all": test}
    examples = test[:: max(1, len(test) // SHOWN_EXAMPLES)][:SHOWN_EXAMPLES]
    return {
        "clips": {
            "read": dataset.manifest["read"],
            "rejected": sum(dataset.manifest["rejected"].values()),
            "splits": {split: dataset.count(split) for split in dataset.splits},
            "kept_by_filter": {split: filtered.count(split) for split in dataset.splits},
            "threshold": filtered.manifest["settings"]["threshold"],
        },
        "score": {
            name: {"clips": len(ids)} | _compared(ids, base, final, helped) for name, ids in groups.items() if ids
        },
        "folds": scored_base["folds"],
        "filter": _caught(base, dropped, truth) if truth else {},
        "model": {
            "bytes": model["bytes"],
            "parameters": model["parameters"],
            "max_frames": model["max_frames"],
            "latency_milliseconds": evaluated["latency_milliseconds"],
        },
        "examples": [[final[i].label, final[i].prediction] for i in examples],
        "seconds": {title: seconds[title] for title in titles if title in seconds},
    }


def _compared(
    ids: list[int],
    base: dict[int, score_table.Row],
    final: dict[int, score_table.Row],
    helped: dict[int, score_table.Row] | None,
) -> dict[str, Any]:
    """The scores of some clips with their intervals, and how the second differs from the first.

    Args:
      helped: the final model's with its language model, if it has one.
    """
    tables = {"base": base, "final": final} | ({"final_with_language": helped} if helped else {})
    chosen = {name: {i: table[i] for i in ids} for name, table in tables.items()}
    found = {name: analysis.score_of(list(rows.values())) for name, rows in chosen.items()}
    scores = {name: {key: each[key] for key in ("score", "interval")} for name, each in found.items()}
    return scores | {"comparison": analysis.comparison(chosen["base"], chosen["final"])}


def _caught(base: dict[int, score_table.Row], dropped: set[int], truth: dict[int, str]) -> dict[str, dict[str, int]]:
    """By kind, of the clips that the filter judges: how many there are, and how many it dropped."""
    counts: dict[str, dict[str, int]] = {}
    for sequence_id, row in base.items():
        if row.split == TEST:
            continue
        of_kind = counts.setdefault(truth.get(sequence_id, GOOD), {"clips": 0, "dropped": 0})
        of_kind["clips"] += 1
        of_kind["dropped"] += sequence_id in dropped
    return dict(sorted(counts.items()))


def write_page(arguments: argparse.Namespace, truth: dict[int, str]) -> None:
    """Writes report.html of all stages; a note where there is nothing to draw it with."""
    made = [arguments.output / stage.output for stage in stages(arguments)]
    try:
        visualize.write(arguments.output / PAGE, made, truth=truth)
    except ModuleNotFoundError as error:
        console.print(f"no {PAGE}: {error.name} is not installed: pip install -e '.[report]'", markup=False)


def show(report: dict[str, Any], out: Console) -> None:
    clips, model = report["clips"], report["model"]
    table = Table(title="The whole path", show_header=False, title_justify="left")
    table.add_row("clips read / rejected", f"{clips['read']:,} / {clips['rejected']:,}")
    for split, count in clips["splits"].items():
        kept = "all, unfiltered" if split == TEST else f"{clips['kept_by_filter'][split]:,} kept by the filter"
        table.add_row(f"  {split}", f"{count:,}, {kept}")
    table.add_row("filter threshold", str(clips["threshold"]))
    for kind, of_kind in report["filter"].items():
        word = "lost" if kind == GOOD else "caught"
        share = of_kind["dropped"] / of_kind["clips"]
        table.add_row(f"  {kind}", f"{of_kind['dropped']:,} of {of_kind['clips']:,} {word} ({share:.1%})")
    for name, score in report["score"].items():
        table.add_row(f"score on test signers, {name}", f"{score['clips']:,} clips; 95 % intervals")
        without = f" (trained without fold 1 of {report['folds']})" if report["folds"] > 1 else ""
        table.add_row("  base", scored(score["base"]) + without)
        table.add_row("  final", scored(score["final"]))
        if "final_with_language" in score:
            table.add_row("  with its language model", scored(score["final_with_language"]))
        better = score["comparison"]["probability_of_improvement"]
        table.add_row("  final is better", f"with probability {better:.4f}")
    latency = model["latency_milliseconds"]
    table.add_row("model", f"{model['bytes'] / 1e6:.1f} MB, {model['parameters']:,} parameters")
    table.add_row("latency, one thread", f"mean {latency['mean']} ms, P50 {latency['p50']} ms, P95 {latency['p95']} ms")
    total = sum(report["seconds"].values())
    table.add_row("time", ", ".join(f"{name} {value:.0f} s" for name, value in report["seconds"].items()))
    table.add_row("  together", f"{total / 60:.1f} min")
    out.print(table)
    examples = Table("label", "prediction", title="Test clips", title_justify="left")
    for label, prediction in report["examples"]:
        examples.add_row(Text(label), Text(prediction))  # as they are: a label may hold a bracket
    out.print(examples)


if __name__ == "__main__":
    run(main)
