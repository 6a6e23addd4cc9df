"""Trainings of equal processor time, and how much of what tells them apart is chance: for benchmarks that compare them.

S seeds, N clips, R bootstrap replicates.
"""

import dataclasses
import json
import resource

import numpy as np

from pipeline.common import directories
from pipeline.common.arguments import as_word
from pipeline.common.processes import call, check_status, module
from pipeline.common.storage import AnyPath
from pipeline.scores import analysis

REPLICATES = 2_000
# Epochs of the runs that tell how long one takes: to start takes some 30 seconds, more or less by 8 from run to run, so
# that one epoch more would tell little.
SHORT_RUNS = (1, 6)


def stage(name: str, *words: str, output: AnyPath) -> None:
    """Runs a command as one would by hand; what is finished says so."""
    check_status(call(module(name, *words, "--output", as_word(output))))


def filtered(dataset: AnyPath, place: AnyPath, *, base: str, folds: int) -> AnyPath:
    """The dataset without the clips that base models read badly, made below `place` as by scripts/run_pipeline."""
    given = ["--dataset", as_word(dataset)]
    score = list(given)
    for fold in range(1, folds + 1):
        run, left_out = place / "base", []
        if folds > 1:
            run = place / f"base-{fold}-of-{folds}"
            left_out = ["--set", f"data.folds={folds}", "--set", f"data.fold={fold}"]
        stage("training.train", *given, "--preset", base, *left_out, output=run)
        score += ["--run", as_word(run)]
    stage("training.score", *score, output=place / "scores")
    kept = place / "dataset-filtered"
    stage("pipeline.filter", *given, "--scores", as_word(place / "scores"), output=kept)
    return kept


@dataclasses.dataclass(frozen=True)
class Trial:
    """What is trained: a preset with these changes, as of `--set`, on a dataset."""

    preset: str
    changes: list[str]
    dataset: AnyPath

    def epochs(self, minutes: float, place: AnyPath) -> int:
        """As many as fit into the processor time, by two short runs, which are left at `place`."""
        few, more = (
            self.train(place.with_name(f"{place.name}-{n}"), epochs=n, seed=0, changes=["optimizer.warmup_epochs=0.0"])
            for n in SHORT_RUNS
        )
        each = max((more - few) / (SHORT_RUNS[1] - SHORT_RUNS[0]), 1e-3)
        return max(1, round((60 * minutes - (few - SHORT_RUNS[0] * each)) / each))

    def train(self, place: AnyPath, *, epochs: int, seed: int, changes: list[str] | None = None) -> float:
        """Seconds of processor time that the training took; those of an interrupted one are added up."""
        record = place.with_name(place.name + "-seconds.json")
        seconds = json.loads(record.read_text(encoding="utf-8"))["seconds"] if record.is_file() else 0.0
        was_complete = (place / directories.MANIFEST).is_file()
        own = [f"optimizer.epochs={epochs}", "optimizer.fewest_steps=0", f"seed={seed}", *(changes or [])]
        words = [word for change in [*self.changes, *own] for word in ("--set", change)]
        before = _processor_seconds()
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            stage("training.train", "--dataset", as_word(self.dataset), "--preset", self.preset, *words, output=place)
        finally:
            if not was_complete:
                seconds += _processor_seconds() - before
                directories.write_json(record, {"seconds": seconds})
        return seconds


def _processor_seconds() -> float:
    """Of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def score(units_N: np.ndarray, errors_SxN: np.ndarray) -> float:
    """Of all clips, the mean of the seeds."""
    return float(1 - errors_SxN.mean(axis=0).sum() / units_N.sum())


def interval(units_N: np.ndarray, errors_SxN: np.ndarray, others_SxN: np.ndarray | None = None) -> list[float]:
    """95 % of replicates of the score, in which seeds and clips are resampled.

    Args:
      others_SxN: errors on the same clips; the interval is then of by how much the score is higher than theirs.
    """
    random = np.random.default_rng(analysis.SEED)
    clips = len(units_N)
    counts_RxN = random.multinomial(clips, np.full(clips, 1 / clips), REPLICATES)

    def errors_of(each_SxN: np.ndarray) -> np.ndarray:
        seeds = len(each_SxN)
        shares_RxS = random.multinomial(seeds, np.full(seeds, 1 / seeds), REPLICATES) / seeds
        return (shares_RxS @ each_SxN * counts_RxN).sum(axis=1)

    units_R = counts_RxN @ units_N
    fewer_R = (units_R if others_SxN is None else errors_of(others_SxN)) - errors_of(errors_SxN)
    return analysis.interval(fewer_R / units_R)
