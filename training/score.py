"""Scores every sequence of a data set with a trained model, or out of fold with several.

    python -m training.score --run out/base --dataset out/dataset --output out/scores
    python -m training.score --folds 4 --preset base --dataset out/dataset --output out/scores

Writes scores.csv, a row for every sequence of every split, also those that training left out: id, signer, split,
frames, length rule, target, recognised text, score, fold, whether the model was trained on others of the signer or the
phrase, and exact match. The score is (N - D) / N: N target characters, D edits.

With one run, scores of training sequences are in-sample: the model has seen them. --folds K divides the training
sequences into K parts, trains K models below the output directory, each without one part, and scores every part with
the model that has not seen it; validation and test sequences, which none has learnt, with the first. On several
machines, train the models apart, with --set data.folds=4 --set data.fold=1 and so on, and then name all of them with
--run.
"""

import argparse
import dataclasses
import sys

import numpy as np

from pipeline import directories, processes, score_table, scoring
from pipeline.commands import Parser, UserError, console, path, positive, progress, run
from pipeline.dataset import Dataset
from pipeline.splits import TRAIN
from pipeline.storage import Path
from training import config as cfg
from training import devices
from training.folds import fold_of
from training.runs import Run

BY = ("participant", "sequence")


def main() -> None:
    parser = Parser(__doc__)
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument(
        "--run",
        type=path,
        action="append",
        metavar="RUN",
        help="run directory made by training.train; several times for the models of all folds",
    )
    models.add_argument(
        "--folds", type=positive, metavar="K", help="train K models on folds, and score each fold; 1: in-sample"
    )
    parser.add_argument("--dataset", type=path, required=True, help="data set to score")
    parser.add_argument("--output", type=path, required=True, help="directory for the scores: new, or unfinished")
    parser.add_argument("--device", choices=devices.DEVICES, default="auto", help=devices.HELP)
    training = parser.add_argument_group("training the models of --folds")
    training.add_argument("--fold-by", choices=BY, help=f"what is divided: signers or sequences (default: {BY[0]})")
    training.add_argument("--preset", choices=list(cfg.PRESETS), help="starting configuration (default: base)")
    training.add_argument("--config", type=path, help="TOML file with changes to the preset")
    training.add_argument("--set", action="append", metavar="NAME=VALUE", help="as of training.train")
    arguments = parser.parse_args()
    given = [name for name in ("fold_by", "preset", "config", "set") if getattr(arguments, name)]
    if arguments.folds == 1 and arguments.fold_by:
        parser.error("argument --fold-by: one fold divides nothing, give --folds 2 or more")
    if arguments.run and given:
        parser.error(f"argument --{given[0].replace('_', '-')}: of the training of --folds, not allowed with --run")
    arguments.fold_by, arguments.preset = arguments.fold_by or BY[0], arguments.preset or "base"
    score(arguments)


def score(arguments: argparse.Namespace) -> None:
    runs = [Run.open(directory) for directory in arguments.run or ()]
    dataset = Dataset.open(arguments.dataset)
    if arguments.folds:
        config = cfg.resolve(arguments.preset, file=arguments.config, overrides=arguments.set)
        if config.data.folds:
            raise UserError("data.folds is set: give --folds alone, which sets it for each model")
        fold_of(dataset, _fold(config.data, arguments, 1))  # what cannot be divided is refused before hours of work
        models = {"folds": arguments.folds, "fold_by": arguments.fold_by, "config": dataclasses.asdict(config)}
    else:
        runs = _all_folds(runs, dataset)
        if runs[0].manifest["settings"].get("dataset") != dataset.fingerprint:
            console.print(
                f"note: {runs[0].directory} was trained on another data set: which signers and phrases it knew is taken"
                f" from the training split of {dataset.path}"
            )
        models = {"runs": [[each.fingerprint, each.config.data.max_frames] for each in runs]}
    request = directories.Request(score_table.KIND, {"dataset": dataset.fingerprint, **models})
    if directories.prepare(arguments.output, request):
        print(f"{arguments.output} is already complete")
        return
    if arguments.folds:
        runs = [Run.open(directory) for directory in _train(arguments)]
    devices.use(arguments.device)
    rows = _score(runs, dataset)
    score_table.write(arguments.output / score_table.FILE_NAME, rows)
    pooled = {
        split: scoring.pooled_score((row.target, row.recognised) for row in rows if row.split == split)
        for split in dataset.splits
    }
    content = {
        "dataset": dataset.fingerprint,
        "sequences": len(rows),
        "pooled_score": pooled,
        "folds": len(runs),
        "weights_sha256": [each.fingerprint for each in runs],
    }
    directories.complete(arguments.output, request, content)
    shown = ", ".join(f"{split} {value:.4f}" for split, value in pooled.items())
    how = f"out of fold, by {len(runs)} models" if len(runs) > 1 else "training sequences in-sample"
    print(f"{arguments.output}: {len(rows):,} sequences scored, {how}; pooled score: {shown}")
    print(
        f"next: python -m pipeline.filter --dataset {arguments.dataset} --scores {arguments.output} --output FILTERED"
    )


def _fold(data: cfg.Data, arguments: argparse.Namespace, fold: int) -> cfg.Data:
    """The settings of the model that leaves this fold out: none of one fold."""
    if arguments.folds == 1:
        return data
    by_sequence = arguments.fold_by == "sequence"
    return dataclasses.replace(data, folds=arguments.folds, fold=fold, fold_by_sequence=by_sequence)


def _train(arguments: argparse.Namespace) -> list[Path]:
    """Trains the models that are not trained yet, each in a process of its own. Returns their directories."""
    made = []
    for fold in range(1, arguments.folds + 1):
        directory = arguments.output / f"run-{fold}-of-{arguments.folds}"
        console.rule(f"model {fold} of {arguments.folds}", align="left")
        changes = list(arguments.set or [])
        if arguments.folds > 1:
            data = _fold(cfg.Data(), arguments, fold)
            changes += [f"data.folds={data.folds}", f"data.fold={fold}"]
            changes += [f"data.fold_by_sequence={str(data.fold_by_sequence).lower()}"]
        words = [word for change in changes for word in ("--set", change)]
        words += ["--config", str(arguments.config)] if arguments.config else []
        words += [
            "--device",
            arguments.device,
            "--preset",
            arguments.preset,
            "--dataset",
            str(arguments.dataset),
            "--output",
            str(directory),
        ]
        processes.check_status(processes.call([sys.executable, "-m", "training.train", *words]))
        made.append(directory)
    return made


def _all_folds(runs: list[Run], dataset: Dataset) -> list[Run]:
    """The runs in the order of their folds: of all, and of this data set; or one that left out nothing.

    Raises:
      UserError: they are something else.
    """
    if len(runs) == 1 and not runs[0].config.data.folds:
        return runs
    first = runs[0].config.data
    of_fold: dict[int, Run] = {}
    for each in runs:
        data = each.config.data
        if not data.folds:
            raise UserError(f"{each.directory} left out no fold: name it alone, or only runs of folds")
        if (data.folds, data.fold_by_sequence) != (first.folds, first.fold_by_sequence):
            divisions = [(of.folds, "sequences" if of.fold_by_sequence else "signers") for of in (first, data)]
            raise UserError(
                f"{runs[0].directory} and {each.directory} left out folds of different divisions"
                f" ({divisions[0][0]} and {divisions[1][0]} folds, of {divisions[0][1]} and of {divisions[1][1]}):"
                " train them with the same data.folds and data.fold_by_sequence"
            )
        if data.fold in of_fold:
            raise UserError(
                f"{of_fold[data.fold].directory} and {each.directory} left out the same fold, {data.fold}: name the run"
                " of each fold once"
            )
        if each.manifest["settings"].get("dataset") != dataset.fingerprint:
            raise UserError(
                f"{each.directory} was trained on another data set than {dataset.path}, whose folds are others: score"
                " the data set of its training"
            )
        of_fold[data.fold] = each
    missing = [str(fold) for fold in range(1, first.folds + 1) if fold not in of_fold]
    if missing:
        raise UserError(f"of {first.folds} folds, no --run left out {', '.join(missing)}: name the run of each fold")
    return [of_fold[fold] for fold in sorted(of_fold)]


def _score(runs: list[Run], dataset: Dataset) -> list[score_table.Row]:
    """A row of every sequence: those of training by the run that left them out, the others by the first run."""
    # TensorFlow takes seconds to import: only now, when there is something to do.
    from training.corpus import Corpus
    from training.recognition import recognise

    training = dataset.written(TRAIN)
    fold_by_id = fold_of(dataset, runs[0].config.data)
    corpora = {split: Corpus.of(dataset, split) for split in dataset.splits}
    rows: list[score_table.Row] = []
    with progress("sequences") as bar:
        task = bar.add_task("scoring", total=sum(map(dataset.count, dataset.splits)), note="")
        for number, trained in enumerate(runs):
            data = trained.config.data
            learnt = [each for each in training if not data.fold or fold_by_id[each.sequence_id] != data.fold]
            signers, phrases = {each.participant_id for each in learnt}, {each.label for each in learnt}
            model = trained.load_model()
            for split in dataset.splits if number == 0 else [TRAIN]:
                corpus = corpora[split]
                if split == TRAIN:
                    folds = np.array([fold_by_id[each] for each in corpus.sequence_ids.tolist()], np.int64)
                    corpus = corpus.select(folds == data.fold)
                texts = recognise(model, corpus, max_frames=data.max_frames, done=lambda: bar.advance(task))
                rows += [
                    scoring.score_row(
                        sequence_id=int(corpus.sequence_ids[i]),
                        participant_id=int(corpus.participant_ids[i]),
                        split=split,
                        num_frames=int(corpus.num_frames[i]),
                        passes_length_rule=bool(corpus.passes_length_rule[i]),
                        target=corpus.texts[i],
                        recognised=text,
                        fold=data.fold if split == TRAIN else 0,
                        known_signer=int(corpus.participant_ids[i]) in signers,
                        known_phrase=corpus.texts[i] in phrases,
                    )
                    for i, text in enumerate(texts)
                ]
    return rows


if __name__ == "__main__":
    run(main)
