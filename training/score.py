"""Scores every clip of a dataset with a trained model, or out of fold with several.

    python -m training.score --run out/base --dataset out/dataset --output out/scores
    python -m training.score --run out/base-1 --run out/base-2 --dataset out/dataset --output out/scores

Writes scores.csv, a row for every clip of every split, also those that training left out: id, signer, split, frames,
whether it can hold its label, label, prediction, errors and units (edits and characters, for fingerspelling), fold,
whether the model was trained on others of the signer or the label, score, and exact match. The score is
1 - errors / units.

With one run, scores of training clips are in-sample: the model has seen them. Several runs must each have left out
another fold (`training.train --set data.folds=2 --set data.fold=1`, and so on): each training clip is scored by the one
that has not seen it; validation and test clips, which none has learnt, by the first.
"""

import argparse

import numpy as np

from pipeline.common import directories
from pipeline.common.arguments import Parser, command, path
from pipeline.common.errors import UserError, run
from pipeline.common.progress import console, next_step, progress
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import TRAIN
from pipeline.scores import score_table
from pipeline.scores.score_table import Learnt, Row
from training import devices
from training.data.holdout import fold_of
from training.runs import Run


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument(
        "--run",
        type=path,
        action="append",
        required=True,
        help="run directory made by training.train; several times for the models of all folds",
    )
    parser.add_argument("--dataset", type=path, required=True, help="dataset to score")
    parser.add_argument("--output", type=path, required=True, help="directory for the scores: new, or unfinished")
    parser.add_argument("--device", choices=devices.DEVICES, default="auto", help=devices.HELP)
    score(parser.parse_args())


def score(arguments: argparse.Namespace) -> None:
    runs = [Run.open(directory) for directory in arguments.run]
    dataset = Dataset.open(arguments.dataset)
    for each in runs:
        each.check_task(dataset)
    runs = _all_folds(runs, dataset)
    if runs[0].dataset != dataset.fingerprint:
        console.print(
            f"note: {runs[0].directory} was trained on another dataset: which signers and labels it knew is taken"
            f" from the training split of {dataset.path}"
        )
    task = {"task": dataset.task.as_json(), "dataset": dataset.fingerprint}
    models = [[each.fingerprint, each.config.data.max_frames] for each in runs]
    request = directories.Request(score_table.KIND, {**task, "runs": models})
    if directories.prepare(arguments.output, request):
        return
    devices.use(arguments.device)
    rows = _score(runs, dataset)
    score_table.write(arguments.output / score_table.FILE_NAME, rows)
    pooled = {split: score_table.pooled_score(row for row in rows if row.split == split) for split in dataset.splits}
    content = {**task, "clips": len(rows), "pooled_score": pooled, "folds": len(runs)}
    directories.complete(arguments.output, request, content, files=[score_table.FILE_NAME])
    shown = ", ".join(f"{split} {value:.4f}" for split, value in pooled.items())
    how = f"out of fold, by {len(runs)} models" if len(runs) > 1 else "training clips in-sample"
    print(f"{arguments.output}: {len(rows):,} clips scored, {how}; pooled score: {shown}")
    inputs = command("--dataset", arguments.dataset, "--scores", arguments.output)
    next_step(f"python -m pipeline.filter {inputs} --output FILTERED")


def _all_folds(runs: list[Run], dataset: Dataset) -> list[Run]:
    """The runs in the order of their folds: of all, and of this dataset; or one that left out nothing.

    Raises:
      UserError: they are something else.
    """
    first = runs[0]
    if len(runs) == 1 and not first.config.data.folds:
        return runs
    for each in runs:
        data, of_first = each.config.data, first.config.data
        if not data.folds:
            raise UserError(f"{each.directory} left out no fold: name it alone, or only runs of folds")
        if (data.folds, data.fold_by_clip) != (of_first.folds, of_first.fold_by_clip):
            raise UserError(
                f"{first.directory} and {each.directory} did not leave out folds of one division: train them with the"
                " same data.folds and data.fold_by_clip"
            )
        if each.dataset != dataset.fingerprint:
            raise UserError(
                f"{each.directory} was trained on another dataset than {dataset.path}, whose folds are others: score"
                " the dataset of its training"
            )
    by_fold = {each.config.data.fold: each for each in runs}
    if len(by_fold) < len(runs) or len(by_fold) < first.config.data.folds:
        folds = ", ".join(str(each.config.data.fold) for each in runs)
        raise UserError(f"--run: name the run of each of {first.config.data.folds} folds once; these left out {folds}")
    return [by_fold[fold] for fold in sorted(by_fold)]


def _score(runs: list[Run], dataset: Dataset) -> list[Row]:
    """A row of every clip: those of training by the run that left them out, the others by the first run."""
    # TensorFlow takes seconds to import: only now, when there is something to do.
    from training.data.corpus import Corpus
    from training.predict import recognize

    fold_by_id = fold_of(dataset, runs[0].config.data)
    corpora = {split: Corpus.of(dataset, split) for split in dataset.splits}
    rows: list[Row] = []
    with progress("clips") as bar:
        task = bar.add_task("scoring", total=sum(map(dataset.count, dataset.splits)), note="")
        for number, trained in enumerate(runs):
            data = trained.config.data
            learnt = Learnt.of(
                each for each in dataset.clips(TRAIN) if not data.fold or fold_by_id[each.sequence_id] != data.fold
            )
            model = trained.load_model()
            for split in dataset.splits if number == 0 else [TRAIN]:
                corpus, fold = corpora[split], 0
                if split == TRAIN:
                    fold = data.fold
                    corpus = corpus.select(np.array([fold_by_id[each] for each in corpus.sequence_ids]) == fold)
                found = recognize(model, corpus, max_frames=data.max_frames, done=lambda: bar.advance(task))
                rows += [
                    Row.of(clip, prediction, dataset.task, learnt, fold=fold, probabilities=probabilities)
                    for clip, (prediction, probabilities) in zip(corpus.clips, found, strict=True)
                ]
    return rows


if __name__ == "__main__":
    run(main)
