"""Whether the filter helps: final models with it, without it, and on all but the spoiled clips, for as many steps.

    python -m scripts.benchmarks.filter_gain --data DATA --output out/filter-gain --test-signers 3 --truth TRUTH

Of the training signers' clips a share gets the label of another one, as if people had spelled another phrase, or a join
had gone wrong. A base model (of isolated signs those of three folds) scores them, and pipeline.filter drops clips by
these scores. On each of the three datasets one final model is trained per seed: on all clips for as many epochs as the
processor time of --minutes allows, on fewer clips for more, so that the steps are as many. Printed are the scores of
the test signers, whose labels stay as they are; they are kept in OUTPUT/report.json. "Found" is the share of the
exchanged clips that was dropped, "lost" that of the others. Clips of TRUTH, known to be spoiled already, take no part
at all.

Intervals hold 95 % of bootstrap replicates in which both seeds and clips are resampled. Interrupted, the same command
continues.
"""

import argparse
import csv
import dataclasses
import json
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from rich.table import Table

from pipeline.beam import conversion
from pipeline.common import directories, errors, storage
from pipeline.common.arguments import Parser, as_word, number, path, positive
from pipeline.common.errors import UserError
from pipeline.common.progress import console
from pipeline.dataset.dataset import DROPPED, Dataset
from pipeline.dataset.metadata import Entry
from pipeline.dataset.split_options import signers
from pipeline.dataset.splits import TEST, TRAIN
from pipeline.report import read_rows
from pipeline.scores import display
from pipeline.scores.truth import read_truth
from pipeline.tasks.task import MetadataColumns, Task
from scripts.benchmarks import trials
from scripts.benchmarks.trials import Trial, stage
from training import config

WAYS = ("all clips", "filtered clips", "good clips")
REPORT = "report.json"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=path, required=True, help="folder with the metadata and its files")
    parser.add_argument("--output", type=path, required=True, help="directory for everything that is made")
    parser.add_argument("--task", metavar="NAME", help="as of pipeline.convert")
    own = "that of scripts/run_pipeline if not given"
    parser.add_argument("--base", choices=list(config.PRESETS), help=f"preset of the filtering models; {own}")
    parser.add_argument("--preset", choices=list(config.PRESETS), help=f"preset of the final models; {own}")
    parser.add_argument("--test-signers", type=signers, required=True, metavar="IDS", help="signers to test on")
    parser.add_argument("--truth", type=path, help="CSV (sequence_id, kind) of spoiled clips, left out of everything")
    parser.add_argument(
        "--shares", type=_shares, default="0.1,0.2,0.4", metavar="LIST", help="of the training labels, to be exchanged"
    )
    parser.add_argument("--seeds", type=positive, default=3, help="final models of each way")
    minutes = number(lambda value: value > 0, "a number above 0")
    parser.add_argument("--minutes", type=minutes, default=8.0, help="processor time of a training, all cores together")
    args = parser.parse_args()
    for place in (args.data, args.output):
        if not isinstance(place, pathlib.Path):
            raise UserError(
                f"{place}: other labels are written beside links to the data: name a folder on this machine"
            )
    table, task = conversion.listed(args.data, args.task)
    if not task.metadata.file:
        raise UserError(
            f"--task {args.task}: labels are exchanged in a metadata file such as train.csv, and this task has none"
        )
    base, final = task.default_presets()
    args.base, args.preset = args.base or base, args.preset or final
    left_out = set(read_truth(args.truth)) if args.truth else set()
    if left_out and not left_out & table.entries.keys():
        raise UserError(f"none of the clips in {args.truth} is in {args.data}: it belongs to other data")
    entries = [each for each in table.entries.values() if each.sequence_id not in left_out]
    if missing := sorted(set(args.test_signers) - {each.signer for each in entries}):
        raise UserError(f"--test-signers {missing[0]}: {args.data} has no clip of that signer")
    for share in args.shares:
        if not exchanged(entries, share, args.test_signers):
            raise UserError(f"--shares {share:g}: of so few training clips no labels can be exchanged: expected more")
    data = linked(args.data, args.output / "data", {task.metadata.file})
    found: list[dict[str, Any]] = []
    for share in args.shares:
        found += of_share(share, entries, data, task, args)
        show(found)
        directories.write_json(args.output / REPORT, {"results": found})


def linked(data: pathlib.Path, place: pathlib.Path, without: set[str]) -> pathlib.Path:
    """A folder with links to what is in `data`, to which other metadata can be written."""
    place.mkdir(parents=True, exist_ok=True)
    for each in data.iterdir():
        if each.name not in without and not (place / each.name).is_symlink():
            (place / each.name).symlink_to(each.absolute())
    return place


def exchanged(entries: Iterable[Entry], share: float, test_signers: Iterable[int]) -> dict[int, str]:
    """Other labels, by clip id, for this share of the training signers' clips: each has that of another of them."""
    tested = set(test_signers)
    training = [each for each in entries if each.signer not in tested]
    random = np.random.default_rng(round(1000 * share))
    chosen = [training[i] for i in random.permutation(len(training))[: round(share * len(training))]]
    labels = [each.label for each in [*chosen[1:], *chosen[:1]]]
    return {each.sequence_id: label for each, label in zip(chosen, labels, strict=True) if label != each.label}


def write_metadata(file: pathlib.Path, entries: Iterable[Entry], columns: MetadataColumns) -> None:
    with storage.replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns.names)
        writer.writerows([each.path, each.sequence_id, each.signer, each.label] for each in entries)


def of_share(
    share: float, entries: list[Entry], data: pathlib.Path, task: Task, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """What became of each way, as JSON data."""
    others = exchanged(entries, share, args.test_signers)
    percent = f"{100 * share:g}-percent"
    tables = {
        "exchanged": [dataclasses.replace(each, label=others.get(each.sequence_id, each.label)) for each in entries],
        "good": [each for each in entries if each.sequence_id not in others],
    }
    place = args.output / percent
    converted = ["--data", as_word(data), "--task", task.name, "--test-signers", ",".join(map(str, args.test_signers))]
    for name, rows in tables.items():
        file = data / f"{name}-{percent}.csv"
        write_metadata(file, rows, task.metadata)
        stage("pipeline.convert", *converted, "--metadata", file.name, output=place / name)
    filtered = trials.filtered(place / "exchanged", place, base=args.base, folds=task.folds)
    dropped = {json.loads(line)["sequence_id"] for line in (filtered / DROPPED).read_text("utf-8").splitlines()}
    training = {each.sequence_id for each in Dataset.open(place / "exchanged").clips(TRAIN)}
    told = {
        "share": share,
        "exchanged": len(training & others.keys()),
        "found": len(dropped & others.keys()) / max(len(training & others.keys()), 1),
        "lost": len(dropped - others.keys()) / max(len(training - others.keys()), 1),
    }
    errors_of: dict[str, np.ndarray] = {}
    found = []
    epochs_of_all = Trial(args.preset, [], place / "exchanged").epochs(args.minutes, place / "trials" / "all-clips")
    for way, dataset in zip(WAYS, (place / "exchanged", filtered, place / "good"), strict=True):
        trial = Trial(args.preset, [], dataset)
        # As many steps, not each way timed: the time of a run is not the same twice.
        epochs = round(epochs_of_all * len(training) / Dataset.open(dataset).count(TRAIN))
        rows_of_seed = []
        for seed in range(args.seeds):
            console.rule(f"{100 * share:g} % exchanged, {way}, seed {seed}")
            run = place / "runs" / f"{way.replace(' ', '-')}-seed-{seed}"
            trial.train(run, epochs=epochs, seed=seed)
            scores = run.with_name(run.name + "-scores")
            stage("training.score", "--run", as_word(run), "--dataset", as_word(dataset), output=scores)
            rows_of_seed.append(read_rows(scores, TEST, left_out=set())[1])
        ids = sorted(rows_of_seed[0])
        units = np.array([rows_of_seed[0][i].units for i in ids])
        errors_of[way] = np.array([[rows[i].errors for i in ids] for rows in rows_of_seed])
        first = errors_of[WAYS[0]]
        own = {
            "way": way,
            "epochs": epochs,
            "clips": len(ids),
            "score": trials.score(units, errors_of[way]),
            "interval": trials.interval(units, errors_of[way]),
            "by_seed": (1 - errors_of[way].sum(axis=1) / units.sum()).tolist(),
            "better_by": trials.score(units, errors_of[way]) - trials.score(units, first),
            "better_by_interval": trials.interval(units, errors_of[way], first),
        }
        found.append(told | own)
    return found


def show(found: list[dict[str, Any]]) -> None:
    table = Table("exchanged", "trained on", title="Does the filter help?", title_justify="left")
    for column in ("epochs", "found", "lost", "score", "95 %", "better by", "95 %"):
        table.add_column(column, justify="right")
    for each in found:
        (low, high), (worse, better) = each["interval"], each["better_by_interval"]
        filtered = each["way"] == WAYS[1]
        words = [f"{100 * each['share']:g} %", each["way"], f"{each['epochs']}"]
        words += [f"{each['found']:.1%}" * filtered, f"{each['lost']:.1%}" * filtered]
        words += [f"{each['score']:.4f}", f"{low:.4f} to {high:.4f}"]
        if each["way"] != WAYS[0]:
            words += [f"{each['better_by']:+.4f}", f"{worse:+.4f} to {better:+.4f}"]
        table.add_row(*words)
    display.screen().print(table)


def _shares(text: str) -> tuple[float, ...]:
    share = number(lambda value: 0 < value < 1, "shares between 0 and 1, such as 0.1,0.2")
    return tuple(dict.fromkeys(share(each) for each in text.split(",")))


if __name__ == "__main__":
    errors.run(main)
