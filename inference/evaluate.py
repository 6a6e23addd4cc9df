"""Evaluates an exported model on a split of a data set: the pooled score, and the time a sequence takes.

    python -m inference.evaluate --model out/model --dataset out/dataset --split test --output out/evaluation

Writes scores.csv, a row a sequence as `training.score` does. The score is (N - D) / N: N characters of all targets, D
edits (insertions, deletions, substitutions) of all sequences.
"""

import argparse
import time

import numpy as np

from inference.recognizer import MODEL, MODEL_KIND, Recognizer
from pipeline import directories, score_table, scoring
from pipeline.commands import Parser, UserError, path, positive, run, track
from pipeline.dataset import Dataset
from pipeline.sequences import passes_length_rule
from pipeline.splits import SPLITS, TEST

KIND = "evaluation"


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
    recognizer = Recognizer(arguments.model, threads=arguments.threads)
    rows, milliseconds = [], []
    sequences = dataset.read(arguments.split)
    for sequence in track(sequences, "evaluating", "sequences", total=dataset.count(arguments.split)):
        started = time.perf_counter()
        text = recognizer.recognize(sequence.landmarks)
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
            )
        )
    score_table.write(arguments.output / score_table.FILE_NAME, rows)
    score = scoring.pooled_score((row.target, row.recognised) for row in rows)
    latency = {
        "mean": round(float(np.mean(milliseconds)), 2),
        **{f"p{q}": round(float(np.percentile(milliseconds, q)), 2) for q in (50, 95, 99)},
    }
    content = {
        "sequences": len(rows),
        "pooled_score": score,
        "exact": sum(row.exact for row in rows),
        "latency_milliseconds": latency,
    }
    directories.complete(arguments.output, request, content)
    print(
        f"{arguments.output}: score {score:.4f} on {len(rows):,} sequences, {content['exact']:,} of them exact;"
        f" {latency['mean']} ms a sequence (P95 {latency['p95']} ms, {arguments.threads} threads)"
    )


if __name__ == "__main__":
    run(main)
