"""Which recipe of training is best: several, with several seeds, at equal computing time, on signers held out in turn.

    python -m scripts.benchmarks.recipes RECIPES.toml --data DATA --output out/recipes --test-signers 3
    ... the same, with --test smaller-batches

RECIPES.toml has a table a recipe, with the settings that it changes; the first is what others are compared with:

    [today]
    [smaller-batches]
    "optimizer.batch_size" = 4

For each signer held out, the other training signers' clips are converted, scored by a base model and filtered, as
scripts/run_pipeline does it. On what is kept each recipe trains a model a seed, for as many epochs as the processor
time of --minutes allows (measured by runs of one and of six epochs; others' work on the machine does not count), and
the signer's clips are scored. No clip of a test signer is scored, until --test names the recipes that were chosen:
they are trained on all training signers, and the test signers' figures are printed.

Intervals hold 95 % of bootstrap replicates in which both seeds and clips are resampled. Interrupted, the same command
continues.
"""

import argparse
import dataclasses
import json
import tomllib
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from pipeline.beam import conversion
from pipeline.common import directories, errors
from pipeline.common.arguments import Parser, as_word, number, path, positive
from pipeline.common.errors import UserError
from pipeline.common.progress import console
from pipeline.common.storage import AnyPath
from pipeline.dataset.split_options import signers
from pipeline.dataset.splits import TEST
from pipeline.report import read_rows
from pipeline.scores import display
from pipeline.scores.score_table import Row
from pipeline.scores.truth import read_truth
from scripts.benchmarks import trials
from scripts.benchmarks.trials import Trial, stage
from training import config

REPORT = "report.json"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("recipes", type=path, help="TOML file, a table a recipe")
    parser.add_argument("--data", type=path, required=True, help="folder with the metadata and its files")
    parser.add_argument("--output", type=path, required=True, help="directory for everything that is made")
    parser.add_argument("--task", metavar="NAME|FILE", help="as of pipeline.convert")
    own = "that of scripts/run_pipeline if not given"
    parser.add_argument("--base", choices=list(config.PRESETS), help=f"preset of the filtering models; {own}")
    parser.add_argument("--preset", choices=list(config.PRESETS), help=f"what the recipes' settings change; {own}")
    parser.add_argument("--test-signers", type=signers, required=True, metavar="IDS", help="signers kept for --test")
    parser.add_argument(
        "--held-out", type=signers, metavar="IDS", help="signers held out in turn; all others if not given"
    )
    parser.add_argument("--seeds", type=positive, default=3, help="models of each recipe and signer")
    minutes = number(lambda value: value > 0, "a number above 0")
    parser.add_argument("--minutes", type=minutes, default=8.0, help="processor time of a training, all cores together")
    parser.add_argument("--truth", type=path, help="CSV (sequence_id, kind) of spoiled clips, left out of the figures")
    parser.add_argument("--test", nargs="+", metavar="RECIPE", help="train these on all, and tell of the test signers")
    args = parser.parse_args()
    table, task = conversion.listed(args.data, args.task)
    base, final = task.default_presets()
    args.task, args.base, args.preset = args.task or task.name, args.base or base, args.preset or final
    args.folds = task.folds
    recipes = read_recipes(args.recipes, args.preset)
    for name in args.test or ():
        if name not in recipes:
            raise UserError(f"--test {name}: {args.recipes} has no such recipe{errors.nearest(name, recipes)}")
    training = sorted(set(table.signers) - set(args.test_signers))
    for signer in args.held_out or ():
        if signer not in training:
            raise UserError(f"--held-out {signer} is no training signer: expected of {', '.join(map(str, training))}")
    spoiled = set(read_truth(args.truth)) if args.truth else set()
    if args.test:
        chosen = {name: recipes[name] for name in args.test}
        of_all: dict[int | None, AnyPath] = {None: _filtered(args, None)}
        found = [_try(each, chosen[each], args, spoiled, of_all) for each in chosen]
        show(found, "test signers " + ", ".join(map(str, args.test_signers)))
        _write(args.output / "test.json", found)
        return
    found = []
    datasets: dict[int | None, AnyPath] = {signer: _filtered(args, signer) for signer in args.held_out or training}
    for name, changes in recipes.items():
        found.append(_try(name, changes, args, spoiled, datasets))
        show(found, "signers held out of training in turn")
        _write(args.output / REPORT, found)


def read_recipes(file: AnyPath, preset: str) -> dict[str, list[str]]:
    """The settings of each recipe, as `--set` takes them. Raises `UserError` for what cannot be trained."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {errors.reason(error)}") from error
    if not tables:
        raise UserError(f"{file} holds no recipe: expected a table for each, such as [today]")
    recipes = {}
    for name, changes in tables.items():
        if not isinstance(changes, dict) or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise UserError(f"{file}: {name!r} is no recipe: expected a table with a name of letters, digits, - and _")
        recipes[name] = [
            f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changes.items()
        ]
        for own in ("optimizer.epochs", "optimizer.fewest_steps", "seed"):
            if own in changes:
                raise UserError(f"{file}: [{name}] sets {own}, which --minutes and --seeds decide: take it out")
        try:
            config.resolve(preset, overrides=recipes[name])
        except UserError as error:
            raise UserError(f"{file}: [{name}] {error}") from error
    return recipes


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a recipe.

    Attributes:
      minutes: processor time of its trainings, the mean.
      units: (N,) of each clip, in the order of their ids.
      errors: (S, N) of each seed and clip.
    """

    name: str
    epochs: int
    minutes: float
    parameters: int
    megabytes: float
    milliseconds: float
    units: np.ndarray
    errors: np.ndarray

    @property
    def score(self) -> float:
        return trials.score(self.units, self.errors)

    def as_json(self, first: "Result") -> dict[str, Any]:
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[:-2]}
        each = (1 - self.errors.sum(axis=1) / self.units.sum()).tolist()
        found = {"score": self.score, "interval": interval(self), "by_seed": each, "clips": len(self.units)}
        return plain | found | {"better_by": self.score - first.score, "better_by_interval": interval(self, first)}


def interval(result: Result, first: Result | None = None) -> list[float]:
    """Of the score; or, of two, of by how much it is higher on the same clips."""
    return trials.interval(result.units, result.errors, first.errors if first else None)


def _write(file: AnyPath, results: Sequence[Result]) -> None:
    directories.write_json(file, {"recipes": [each.as_json(results[0]) for each in results]})


def show(results: Sequence[Result], title: str) -> None:
    table = Table("recipe", title=title, title_justify="left")
    for column in ("epochs", "CPU min", "parameters", "int8 MB", "ms a clip", "score", "95 %", "better by", "95 %"):
        table.add_column(column, justify="right")
    first = results[0]
    for each in results:
        low, high = interval(each)
        words = [each.name, f"{each.epochs}", f"{each.minutes:.1f}", f"{each.parameters:,}", f"{each.megabytes:.1f}"]
        words += [f"{each.milliseconds:.1f}", f"{each.score:.4f}", f"{low:.4f} to {high:.4f}"]
        if each is not first:
            low, high = interval(each, first)
            words += [f"{each.score - first.score:+.4f}", f"{low:+.4f} to {high:+.4f}"]
        table.add_row(*words)
    display.screen().print(table)


def _try(
    name: str, changes: list[str], args: argparse.Namespace, spoiled: set[int], datasets: dict[int | None, AnyPath]
) -> Result:
    """Trains and scores a recipe.

    Args:
      datasets: by the training signer who is held out, and scored; by None, without any, to score the test signers.
    """
    first = next(iter(datasets))
    tried = {signer: Trial(args.preset, changes, dataset) for signer, dataset in datasets.items()}
    epochs = tried[first].epochs(args.minutes, args.output / "trials" / name)
    rows: list[dict[int, Row]] = []
    minutes = []
    for seed in range(args.seeds):
        rows.append({})
        for signer, dataset in datasets.items():
            console.rule(f"{name}, seed {seed}" + (f", without signer {signer}" if signer is not None else ""))
            place = args.output / "runs" / f"{name}-{'all' if signer is None else signer}-seed-{seed}"
            minutes.append(tried[signer].train(place, epochs=epochs, seed=seed) / 60)
            scores = place.with_name(place.name + "-scores")
            stage("training.score", "--run", as_word(place), "--dataset", as_word(dataset), output=scores)
            _, found = read_rows(scores, TEST, left_out=spoiled)
            wanted = args.test_signers if signer is None else [signer]
            rows[-1] |= {i: row for i, row in found.items() if row.signer in wanted}
    some = args.output / "runs" / f"{name}-{'all' if first is None else first}-seed-0"
    model = some.with_name(some.name + "-int8")
    words = ["--run", as_word(some), "--dataset", as_word(datasets[first])]
    stage("inference.export", *words, "--weights", "int8", output=model)
    exported = json.loads((model / directories.MANIFEST).read_text(encoding="utf-8"))
    ids = sorted(rows[0])
    return Result(
        name,
        epochs,
        float(np.mean(minutes)),
        exported["parameters"],
        exported["bytes"] / 1e6,
        exported["latency_milliseconds"]["mean"],
        np.array([rows[0][i].units for i in ids]),
        np.array([[of_seed[i].errors for i in ids] for of_seed in rows]),
    )


def _filtered(args: argparse.Namespace, held_out: int | None) -> AnyPath:
    """The filtered dataset without a signer; made where it is not there."""
    without = sorted({*args.test_signers, *(() if held_out is None else (held_out,))})
    place = args.output / f"without-{'-'.join(map(str, without))}"
    dataset = place / "dataset"
    data = ["--data", as_word(args.data), "--task", args.task, "--test-signers", ",".join(map(str, without))]
    stage("pipeline.convert", *data, output=dataset)
    return trials.filtered(dataset, place, base=args.base, folds=args.folds)


if __name__ == "__main__":
    errors.run(main)
