"""Scores every sequence of a data set with a trained model.

    python -m training.score --run out/base --dataset out/dataset --output out/scores

Writes scores.csv, a row for every sequence of every split, also those that training left out: id, signer, split,
frames, length rule, target, recognised text, score and exact match. The score is (N - D) / N: N target characters, D
edits. Scores of training sequences are in-sample: the model has seen them.
"""

import argparse

from pipeline import directories, score_table, scoring
from pipeline.commands import Parser, path, progress, run
from pipeline.dataset import Dataset
from training.runs import Run


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--run", type=path, required=True, help="run directory made by training.train")
    parser.add_argument("--dataset", type=path, required=True, help="data set to score")
    parser.add_argument("--output", type=path, required=True, help="directory for the scores: new, or unfinished")
    score(parser.parse_args())


def score(arguments: argparse.Namespace) -> None:
    trained = Run.open(arguments.run)
    dataset = Dataset.open(arguments.dataset)
    request = directories.Request(
        score_table.KIND,
        {"run": trained.fingerprint, "dataset": dataset.fingerprint, "max_frames": trained.config.data.max_frames},
    )
    if directories.prepare(arguments.output, request):
        print(f"{arguments.output} is already complete")
        return
    # TensorFlow takes seconds to import: only now, when there is something to do.
    from training.input_pipeline import Corpus
    from training.recognition import recognise

    model = trained.load_model()
    rows: list[score_table.Row] = []
    with progress("sequences") as bar:
        task = bar.add_task("scoring", total=sum(map(dataset.count, dataset.splits)), note="")
        for split in dataset.splits:
            corpus = Corpus.read(dataset.read(split))
            texts = recognise(model, corpus, max_frames=trained.config.data.max_frames, done=lambda: bar.advance(task))
            rows += [
                scoring.score_row(
                    sequence_id=int(corpus.sequence_ids[i]),
                    participant_id=int(corpus.participant_ids[i]),
                    split=split,
                    num_frames=int(corpus.num_frames[i]),
                    passes_length_rule=bool(corpus.passes_length_rule[i]),
                    target=corpus.texts[i],
                    recognised=text,
                )
                for i, text in enumerate(texts)
            ]
    score_table.write(arguments.output / score_table.FILE_NAME, rows)
    pooled = {
        split: scoring.pooled_score((row.target, row.recognised) for row in rows if row.split == split)
        for split in dataset.splits
    }
    directories.complete(
        arguments.output, request, {"dataset": dataset.fingerprint, "sequences": len(rows), "pooled_score": pooled}
    )
    shown = ", ".join(f"{split} {value:.4f}" for split, value in pooled.items())
    print(f"{arguments.output}: {len(rows):,} sequences scored; pooled score: {shown}")
    print(
        f"next: python -m pipeline.filter --dataset {arguments.dataset} --scores {arguments.output} --output FILTERED"
    )


if __name__ == "__main__":
    run(main)
