"""Trains a base or final model on a dataset.

    python -m training.train --dataset out/dataset --output out/base --preset base
    python -m training.train --dataset out/dataset --output out/trial --preset small --set optimizer.epochs=5

Writes a run directory: the weights with the best score on validation clips, the history of every epoch, the last
checkpoint, and `logs` for TensorBoard. An interrupted run is continued by the same command, from the last checkpoint,
and ends as it would have ended without the interruption.

Validation is the dataset's validation split; where it has none, a share of the labels of the training signers (or of
the signers themselves, as the task says). Where that share is 0 none validate, and the last weights are kept. The test
split is never read.
"""

import argparse
import collections
import importlib

import numpy as np

from pipeline.common import directories
from pipeline.common.arguments import Parser, command, number, path
from pipeline.common.errors import run
from pipeline.common.progress import next_step, progress
from pipeline.dataset.clips import ClipInfo
from pipeline.dataset.dataset import STATISTICS, Dataset
from training import config as cfg
from training import devices, runs


def main() -> None:
    parser = Parser(__doc__, epilog=cfg.help_text())
    parser.add_argument("--dataset", type=path, required=True, help="directory made by pipeline.convert or .filter")
    parser.add_argument("--output", type=path, required=True, help="run directory to write")
    parser.add_argument("--preset", choices=list(cfg.PRESETS), default="base", help="starting configuration")
    parser.add_argument("--config", type=path, help="TOML file with changes to the preset")
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="change one setting of those below, such as optimizer.epochs=40; may be repeated",
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=number(lambda minutes: minutes >= 0, "a number of minutes, such as 5"),
        default=5.0,
        metavar="M",
        help="most minutes between checkpoints; one is saved after every epoch too; 0: after every step",
    )
    parser.add_argument("--device", choices=devices.DEVICES, default="auto", help=devices.HELP)
    arguments = parser.parse_args()
    train(arguments)


def train(arguments: argparse.Namespace) -> None:
    config = cfg.resolve(arguments.preset, file=arguments.config, overrides=arguments.set)
    dataset = Dataset.open(arguments.dataset)
    request = runs.request(config, dataset)
    if directories.prepare(arguments.output, request):
        return
    # TensorFlow takes seconds to import: only now, when there is something to do.
    devices.use(arguments.device)
    devices.check_batch_size(config.optimizer.batch_size)
    import keras

    from training.trainer import Trainer

    trainer = Trainer(dataset, config, arguments.output, checkpoint_seconds=60 * arguments.checkpoint_minutes)
    with progress("steps") as bar:
        steps, done = config.optimizer.epochs * trainer.steps_per_epoch, trainer.start_step
        if not trainer.model.head.per_frame:
            bar.console.print(_classes(trainer.training.clips))
        if len(trainer.chosen) < len(trainer.training):
            bar.console.print(f"{len(trainer.chosen):,} clips to train on: {trainer.left_out_words}")
        if trainer.passes > 1:
            clips = f"{len(trainer.chosen):,} clips to train on: each epoch goes over them {trainer.passes} times"
            bar.console.print(f"{clips}, for optimizer.fewest_steps={config.optimizer.fewest_steps}")
        task = bar.add_task("training", total=steps, completed=done, already=done, note="")
        for epoch in range(trainer.start_epoch, config.optimizer.epochs):
            summary = trainer.run_epoch(epoch, lambda: bar.advance(task))
            bar.console.print(summary)
    result = trainer.finish()
    packages = (np, keras, importlib.import_module(keras.backend.backend()))
    files = (result["weights"], STATISTICS, runs.HISTORY)
    directories.complete(arguments.output, request, result, files=files, packages=packages)
    kept = f"the weights of epoch {result['best_epoch']}, the last: no clips validate"
    if result["validation_clips"]:
        kept = f"best validation score {result['best_score']:.4f} in epoch {result['best_epoch']}"
        kept += f" ({result['validation_clips']} clips, {result['validation']})"
    print(f"{arguments.output}: {kept}")
    if config.data.fold < config.data.folds:
        next_step(f"the same command with --set data.fold={config.data.fold + 1} and another --output")
        return
    inputs = command("--run", arguments.output, "--dataset", arguments.dataset)
    others = "--run RUN " * (config.data.folds - 1)  # those of all folds score together
    next_step(f"python -m training.score {others}{inputs} --output SCORES")


def _classes(clips: list[ClipInfo]) -> str:
    counts = collections.Counter(clip.label for clip in clips).most_common()
    (most, many), (least, few) = counts[0], counts[-1]
    span = f"{few:,} clips of each" if few == many else f"from {few:,} clips ({least}) to {many:,} ({most})"
    return f"{len(counts)} classes, not weighted: {span}"


if __name__ == "__main__":
    run(main)
