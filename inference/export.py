"""Exports a trained run as a TFLite model, proved to be the trained model before it is put in place.

    python -m inference.export --run out/final --dataset out/dataset-filtered --output out/model
    python -m inference.export --run out/final --dataset out/dataset-filtered --output out/model-int8 --weights int8 \\
        --max-frames 256 --max-latency-ms 30

Writes model.tflite and inference_args.json: what the competition takes, and what `inference.recognize` needs; and
export_report.json, the verdicts of all checks (`inference.tflite.checks`). Where a check fails there is the report
alone, and the exit status is 1.

The model takes raw columns `inputs` [frames, columns] (float32, NaN for missing, any number of frames) and gives, for
fingerspelling, `outputs` [characters, 59]. A second signature, serving_recognize, gives the outputs of the network, the
classes they say and their probabilities. It runs at the clip's own length; longer clips than --max-frames are resampled
to it. `inference.budget` measures which number to choose.

With --fixed-frames N there is a second file, fixed.tflite, proved alike, for runtimes that know no dynamic shapes:
`landmarks` [N, columns] and `num_frames` [1] give `logits` [frames of the encoder, classes] and `rows` [1], how many of
them are the clip's.

Beside them stands language.npz, where it makes fewer errors on the clips that validated the training: which characters
follow which in the labels that were trained on. `inference.recognize` goes by it; the model's own answers do not.
"""

import argparse
import dataclasses
import itertools
import pathlib
import shutil

from rich.table import Table
from rich.text import Text

from inference import language, latency
from inference.recognizer import ARGUMENTS, KIND, MODEL, Recognizer
from inference.tflite import checks, conversion, fixed
from inference.tflite.checks import Verdict
from inference.tflite.conversion import WEIGHTS
from inference.window import FIXED
from pipeline.common import directories, native_output, progress, storage
from pipeline.common.arguments import Parser, command, number, path, positive
from pipeline.common.errors import UserError, run
from pipeline.common.temporary import temporary_folder
from pipeline.dataset.clips import Clip
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import TRAIN
from pipeline.scores import display
from training.data.holdout import Holdout
from training.runs import Run

REPORT = "export_report.json"
MAX_SCORE_LOSS = 0.01
_WORDS = {True: "ok", False: "FAILED", None: "-"}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--run", type=path, required=True, help="run directory made by training.train")
    parser.add_argument("--dataset", type=path, required=True, help="dataset whose clips it is checked on")
    parser.add_argument("--output", type=path, required=True, help="directory for the model: new, or unfinished")
    parser.add_argument(
        "--weights",
        choices=list(WEIGHTS),
        default="float32",
        help="how weights are stored: float16 halves the file, int8 (dynamic range) quarters it, and may be faster",
    )
    parser.add_argument(
        "--max-frames", type=positive, metavar="N", help="frame budget; that of the training if not given"
    )
    parser.add_argument(
        "--max-score-loss",
        type=number(lambda share: 0 <= share <= 1, "a share from 0 to 1"),
        default=MAX_SCORE_LOSS,
        metavar="SHARE",
        help="most that the score may be below the trained model's, at the same frame budget",
    )
    parser.add_argument(
        "--fixed-frames",
        type=positive,
        metavar="N",
        help="write fixed.tflite as well, for runtimes without dynamic shapes and for inference.page: a window of N"
        " frames, such as 512",
    )
    latency.add_options(parser)
    export(parser.parse_args())


def export(arguments: argparse.Namespace) -> None:
    trained = Run.open(arguments.run)
    dataset = Dataset.open(arguments.dataset)
    trained.check_task(dataset)
    settings = checks.Settings(
        weights=arguments.weights,
        max_frames=arguments.max_frames or trained.config.data.max_frames,
        limits=latency.Limits.of(arguments, trained.task),
        threads=arguments.threads,
        max_score_loss=arguments.max_score_loss,
        fixed_frames=arguments.fixed_frames,
    )
    inputs = {"run": trained.fingerprint, "dataset": dataset.fingerprint}
    request = directories.Request(KIND, inputs | settings.as_json())
    if directories.prepare(arguments.output, request):
        return
    files = [MODEL, ARGUMENTS, FIXED, language.FILE_NAME]
    for file in files:
        (arguments.output / file).unlink(missing_ok=True)  # of a call that was killed
    with temporary_folder() as unproved:
        model = conversion.load(trained)
        conversion.convert(model, settings.max_frames, unproved, weights=settings.weights)
        if frames := settings.fixed_frames:
            fixed.convert(model, settings.max_frames, unproved, weights=settings.weights, frames=frames)
        verdicts, figures = checks.prove(model, unproved, dataset, trained, settings)
        report = {"verdicts": [dataclasses.asdict(each) for each in verdicts], **figures}
        directories.write_json(arguments.output / REPORT, report)
        show(verdicts)
        if failed := [each for each in verdicts if each.passed is False]:
            first = failed[0]
            raise UserError(
                f"{arguments.output}: no model put in place, as {len(failed)} of {len(verdicts)} checks failed: "
                f"{', '.join(each.check for each in failed)} ({first.found}; expected {first.expected});"
                f" see {REPORT} there; inference.budget shows what other settings cost, which need another --output"
            )
        figures["language_errors"] = learn_language(unproved, dataset, trained)
        files = [file for file in files if (unproved / file).is_file()]
        for file in files:
            with storage.replacing(arguments.output / file) as temporary:
                shutil.copyfile(unproved / file, temporary)
    content = {"task": trained.task.as_json()} | figures
    directories.complete(arguments.output, request, content, files=[*files, REPORT])
    count = sum(each.passed is not None for each in verdicts)
    print(f"{arguments.output}: {figures['bytes'] / 1e6:.1f} MB, all {count} checks passed")
    given = command("--model", arguments.output, "--dataset", arguments.dataset)
    progress.next_step(f"python -m inference.evaluate {given} --output RESULT")


def learn_language(directory: pathlib.Path, dataset: Dataset, trained: Run) -> dict[str, int] | None:
    """Writes the language model of an export, if it pays.

    Returns:
      The errors on validation clips without it and with each weight of it; None for a task that has no use for one, for
      another dataset than the one trained on, of which it is not known what validates, or where no clips validate.
    """
    task = trained.task
    if task.contract.filler is None:
        return None
    if dataset.fingerprint != trained.dataset:
        progress.note(f"{dataset.path} is not what the run was trained on: no language model")
        return None
    holdout = Holdout.of(dataset, trained.config.data)
    if not holdout.validation:
        progress.note("no clips validate: no language model")
        return None
    every = 1 + (len(holdout.validation) - 1) // checks.CHECKED_CLIPS
    validation = list(itertools.islice(holdout.read_validation(dataset), 0, None, every))
    heldout_labels = {each.label for each in validation}
    labels = [each.label for each in dataset.clips(TRAIN) if each.sequence_id in holdout.training]
    with native_output.without_remarks():
        recognizer = Recognizer(directory)
    found, errors = language.learn(
        [task.encode(label) for label in labels if label not in heldout_labels],
        len(task.classes),
        [_heard(recognizer, each) for each in progress.track(validation, "listening", "clips", total=len(validation))],
        lambda label, answer: task.errors(task.decode(label), task.prediction(answer)),
    )
    if found:
        found.write(directory / language.FILE_NAME)
        digest = directories.sha256_of(directory / language.FILE_NAME)
        arguments = directories.read_json(directory / ARGUMENTS)
        directories.write_json(directory / ARGUMENTS, arguments | {"language_sha256": digest})
    return errors


def _heard(recognizer: Recognizer, clip: Clip) -> language.Heard:
    alone = recognizer.task.encode(recognizer.answer(clip.landmarks))
    return language.Heard(recognizer.outputs(clip.landmarks), alone, recognizer.task.encode(clip.label))


def show(verdicts: list[Verdict]) -> None:
    table = Table("check", "found", "expected", "", title="Export", title_justify="left")
    for each in verdicts:
        # As they are: a shape stands in brackets.
        table.add_row(each.check, Text(each.found), Text(each.expected), _WORDS[each.passed])
    display.screen().print(table)


if __name__ == "__main__":
    run(main)
