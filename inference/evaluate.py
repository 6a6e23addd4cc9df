"""Evaluates an exported model on a split of a data set: the score, what it is made of, and the time a sequence takes.

    python -m inference.evaluate --model out/model --dataset out/dataset --split test --output out/evaluation

Writes scores.csv, a row a sequence as `training.score` does, and report.json: intervals, by signer and length, kinds of
errors and the characters confused; `pipeline.report` compares two evaluations. The score is (N - D) / N: N characters
of all targets, D edits (insertions, deletions, substitutions) of all sequences. New signers and phrases are those that
the training split of the data set has not: name the one that the model was trained on.
"""

import argparse
import sys
import time

from rich.console import Console

from inference import latency
from inference.recognizer import MODEL, MODEL_KIND, Recognizer, quiet
from pipeline import directories, evaluation, report, score_table, scoring
from pipeline.commands import Parser, UserError, path, positive, run, track
from pipeline.dataset import Dataset
from pipeline.sequences import passes_length_rule
from pipeline.splits import SPLITS, TEST, TRAIN

KIND = evaluation.KIND


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--dataset", type=path, required=True, help="data set to evaluate on")
    parser.add_argument("--split", choices=SPLITS, default=TEST, help="its split")
    parser.add_argument("--output", type=path, required=True, help="directory for the result: new, or unfinished")
    parser.add_argument("--threads", type=positive, default=1, help="threads for one sequence")
    evaluate(parser.parse_args())


def evaluate(arguments: argparse.Namespace) -> None:
    model = directories.read_manifest(arguments.model, MODEL_KIND, needed=["model_sha256"])
    directories.check_file(arguments.model / MODEL, model["model_sha256"])
    dataset = Dataset.open(arguments.dataset)
    if not dataset.count(arguments.split):
        raise UserError(
            f"{arguments.dataset} has no {arguments.split} sequences: name a split that it has with --split:"
            f" {', '.join(dataset.splits)}"
        )
    settings = {
        "model": model["model_sha256"],
        "dataset": dataset.fingerprint,
        "split": arguments.split,
        "threads": arguments.threads,
    }
    request = directories.Request(KIND, settings)
    if directories.prepare(arguments.output, request):
        print(f"{arguments.output} is already complete")
        return
    with quiet():
        recognizer = Recognizer(arguments.model, threads=arguments.threads)
    learnt = dataset.written(TRAIN)
    signers, phrases = {each.participant_id for each in learnt}, {each.label for each in learnt}
    rows, milliseconds = [], []
    sequences = dataset.read(arguments.split)
    for sequence in track(sequences, "evaluating", "sequences", total=dataset.count(arguments.split)):
        started = time.perf_counter()
        text = recognizer.text(sequence.landmarks)
        milliseconds.append((time.perf_counter() - started) * 1000)
        rows.append(
            scoring.score_row(
                sequence_id=sequence.sequence_id,
                participant_id=sequence.participant_id,
                split=arguments.split,
                num_frames=sequence.num_frames,
                passes_length_rule=passes_length_rule(sequence.landmarks, sequence.label),
                target=sequence.label,
                recognised=text,
                known_signer=sequence.participant_id in signers,
                known_phrase=sequence.label in phrases,
            )
        )
    score_table.write(arguments.output / score_table.FILE_NAME, rows)
    found = evaluation.report(rows)
    times = latency.summary(milliseconds)
    directories.write_json(arguments.output / evaluation.REPORT, found | {"latency_milliseconds": times})
    content = {
        "sequences": len(rows),
        "pooled_score": found["score"],
        "exact": found["exact"],
        "latency_milliseconds": times,
    }
    directories.complete(arguments.output, request, content)
    out = Console(width=None if sys.stdout.isatty() else report.WIDTH)
    report.show(found, out, title=f"{arguments.split} sequences")
    print(
        f"{arguments.output}: score {found['score']:.4f} on {len(rows):,} sequences, {found['exact']:,} of them exact;"
        f" {times['mean']:.2f} ms a sequence (P95 {times['p95']:.2f} ms, {arguments.threads} threads)"
    )


if __name__ == "__main__":
    run(main)
