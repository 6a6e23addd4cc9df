"""Evaluates an exported model on a split of a dataset: the score, what it is made of, and the time a clip takes.

    python -m inference.evaluate --model out/model --dataset out/dataset --split test --output out/evaluation

Writes scores.csv, a row a clip as `training.score` does, and report.json: intervals, by signer and length, kinds of
errors and what was confused; `pipeline.report` compares two evaluations. The score is 1 - errors / units, both summed
over all clips: for fingerspelling edits (insertions, deletions, substitutions) and characters. New signers and labels
are those that the training split of the dataset has not: name the one that the model was trained on.

The score is that of the exported file. Where the export has a language model, what `inference.recognize` says with it
is scored too: scores-language.csv, and "language" in report.json.
"""

import argparse
import time

from inference import language, latency
from inference.recognizer import MODEL, Recognizer, read_manifest
from pipeline import tasks
from pipeline.common import directories, native_output
from pipeline.common.arguments import Parser, path, threads
from pipeline.common.errors import UserError, run
from pipeline.common.progress import track
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import SPLITS, TEST, TRAIN
from pipeline.scores import analysis, display, score_table
from pipeline.scores.score_table import Learnt, Row

WITH_LANGUAGE = "scores-language.csv"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--dataset", type=path, required=True, help="dataset to evaluate on")
    parser.add_argument("--split", choices=SPLITS, default=TEST, help="its split")
    parser.add_argument("--output", type=path, required=True, help="directory for the result: new, or unfinished")
    parser.add_argument("--threads", type=threads, default=1, help="threads for one clip")
    evaluate(parser.parse_args())


def evaluate(arguments: argparse.Namespace) -> None:
    model = read_manifest(arguments.model)
    dataset = Dataset.open(arguments.dataset)
    task = tasks.from_json(model.get("task"), arguments.model / directories.MANIFEST)
    tasks.check_same(task, arguments.model, dataset.task, arguments.dataset)
    if not dataset.count(arguments.split):
        raise UserError(
            f"{arguments.dataset} has no {arguments.split} clips: name a split that it has with --split:"
            f" {', '.join(dataset.splits)}"
        )
    settings = {
        "task": dataset.task.as_json(),
        "model": model["files"][MODEL],
        "language": model["files"].get(language.FILE_NAME),
        "dataset": dataset.fingerprint,
        "split": arguments.split,
        "threads": arguments.threads,
    }
    request = directories.Request(analysis.KIND, settings)
    if directories.prepare(arguments.output, request):
        return
    with native_output.without_remarks():
        recognizer = Recognizer(arguments.model, threads=arguments.threads)
    learnt = Learnt.of(dataset.clips(TRAIN))
    known = {each.sequence_id: each for each in dataset.clips(arguments.split)}
    rows, milliseconds = [], []
    with_language, milliseconds_with = [], []
    for clip in track(dataset.read(arguments.split), "evaluating", "clips", total=len(known)):
        started = time.perf_counter()
        said = recognizer.recognize(clip.landmarks, greedy=True)
        milliseconds.append((time.perf_counter() - started) * 1000)
        info = known[clip.sequence_id]
        rows.append(Row.of(info, said.label, dataset.task, learnt, probabilities=said.probabilities))
        if recognizer.language is not None:
            said = recognizer.recognize(clip.landmarks)
            milliseconds_with.append(said.milliseconds)
            with_language.append(Row.of(info, said.label, dataset.task, learnt))
    score_table.write(arguments.output / score_table.FILE_NAME, rows)
    found = analysis.report(rows, dataset.task)
    times = latency.summary(milliseconds)
    files = [score_table.FILE_NAME, analysis.REPORT]
    report = found | {"latency_milliseconds": times}
    if with_language:
        files.append(WITH_LANGUAGE)
        score_table.write(arguments.output / WITH_LANGUAGE, with_language)
        greedy, helped = ({row.sequence_id: row for row in each} for each in (rows, with_language))
        report["language"] = analysis.comparison(greedy, helped)
        report["language"]["latency_milliseconds"] = latency.summary(milliseconds_with)
    directories.write_json(arguments.output / analysis.REPORT, report)
    content = {
        "task": dataset.task.as_json(),
        "clips": len(rows),
        "pooled_score": found["score"],
        "exact": found["exact"],
        "latency_milliseconds": times,
    }
    directories.complete(arguments.output, request, content, files=files)
    display.show(found, display.screen(), title=f"{arguments.split} clips")
    if with_language:
        names = ("the network alone", "with the language model")
        display.show_comparison(report["language"], display.screen(), title=f"{arguments.split} clips", names=names)
    print(
        f"{arguments.output}: score {found['score']:.4f} on {len(rows):,} clips, {found['exact']:,} of them exact;"
        f" {times['mean']:.2f} ms a clip (P95 {times['p95']:.2f} ms, {arguments.threads} threads)"
    )


if __name__ == "__main__":
    run(main)
