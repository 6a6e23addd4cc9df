"""Makes the competition's submission.zip of an exported model, and checks it the way the competition runs it.

    python -m inference.submit --model out/model --data DATA --output out/submission
    python -m inference.submit --model out/model --data DATA --output out/submission --signers 3

The file is unpacked elsewhere, the columns that its inference_args.json names are read from parquet files, and the
answers of its signature become labels by their classes, one clip after the other on one thread. DATA is a data folder,
whose labels give the score (an honest one only with --signers that the model was not trained on), or a parquet file, or
a folder of them. Without all checks passed there is no submission.zip.
"""

import argparse
import itertools
import pathlib
import shutil
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from inference.recognizer import ARGUMENTS, MODEL, SERVING, read_manifest
from pipeline import tasks
from pipeline.common import directories, errors, marks, native_output, storage
from pipeline.common.arguments import Parser, path, positive
from pipeline.common.errors import UserError, run
from pipeline.common.progress import track
from pipeline.common.storage import AnyPath
from pipeline.common.temporary import temporary_folder
from pipeline.dataset import metadata, parquet, readers, split_options
from pipeline.tasks.task import Task

KIND = directories.Kind("submission", made_by="inference.submit")
ZIP = "submission.zip"
Labels = dict[int | str, str]  # by clip


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--data", type=path, required=True, help="what to check it on: a folder, or a parquet file")
    parser.add_argument("--output", type=path, required=True, help="directory for the file: new, or unfinished")
    parser.add_argument(
        "--signers",
        type=split_options.signers,
        default=(),
        metavar="IDS",
        help="check on these signers' clips alone, e.g. 3,17",
    )
    parser.add_argument("--clips", type=positive, default=1000, help="check on this many at most")
    parser.add_argument(
        "--test-clips",
        type=positive,
        metavar="N",
        help="how many clips the test set is taken to have, if not as many as the task says",
    )
    submit(parser.parse_args())


def submit(arguments: argparse.Namespace) -> None:
    model = read_manifest(arguments.model)
    task = tasks.from_json(model.get("task"), arguments.model / directories.MANIFEST)
    files, labels, identity = find_clips(arguments.data, arguments.signers, task)
    test_clips = arguments.test_clips or task.contract.test_clips
    settings = {
        "model": model["files"][MODEL],
        "data": identity,
        "signers": arguments.signers,
        "clips": arguments.clips,
        "test_clips": test_clips,
    }
    request = directories.Request(KIND, settings)
    if directories.prepare(arguments.output, request):
        return
    target = arguments.output / ZIP
    with temporary_folder() as folder:
        packed = folder / ZIP
        pack(arguments.model, packed)
        content: dict[str, Any] = {"bytes": packed.stat().st_size}
        try:
            content |= check(packed, files, labels, task, most=arguments.clips, test_clips=test_clips)
        except UserError as error:
            raise UserError(f"{error}: {target} is not put in place") from error
        with storage.replacing(target) as temporary:
            shutil.copyfile(packed, temporary)
    directories.complete(arguments.output, request, content, files=[ZIP])
    print(f"{target}: {content['bytes'] / 1e6:.1f} MB, all checks passed: submit it")


def find_clips(
    data: AnyPath, signers: tuple[int, ...], task: Task
) -> tuple[list[AnyPath], dict[int | str, str] | None, Any]:
    """The parquet files; the labels of the clips to read by id, None for all of them; and what identifies these.

    Raises:
      UserError: there are none.
    """
    if not (data / task.metadata.file).is_file():
        if signers:
            raise UserError(f"{data} has no {task.metadata.file}, which tells whose clips are whose (--signers)")
        files = parquet.files_of(data)
        return files, None, marks.mark_of(files[0].parent, [file.name for file in files])
    table = metadata.read(data, task.metadata)
    if unknown := set(signers) - set(table.signers):
        raise UserError(f"--signers: {data / task.metadata.file} has no signer {', '.join(map(str, sorted(unknown)))}")
    entries = [each for each in table.entries.values() if not signers or each.signer in signers]
    files = [data / name for name in sorted({each.path for each in entries})]
    return (
        files,
        {each.sequence_id: each.label for each in entries},
        [table.sha256, marks.mark_of(data, sorted({each.path for each in entries}))],
    )


def pack(model: AnyPath, file: pathlib.Path) -> None:
    """Writes the archive; the same model gives the same bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        for name in (MODEL, ARGUMENTS):
            entry = zipfile.ZipInfo(name)  # of 1980, whenever it is made
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (model / name).read_bytes(), zipfile.ZIP_DEFLATED)


def check(
    packed: pathlib.Path,
    files: list[AnyPath],
    labels: dict[int | str, str] | None,
    task: Task,
    *,
    most: int,
    test_clips: int,
) -> dict[str, Any]:
    """Checks an archive, prints a line for what is passed, and returns what the manifest says about it.

    Raises:
      UserError: what was not passed.
    """
    started = time.perf_counter()
    with temporary_folder() as folder:
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(folder)
        size = (folder / MODEL).stat().st_size
        if size > task.contract.max_mb * 1e6:
            raise UserError(
                f"{MODEL} has {size / 1e6:.1f} MB, more than the {task.contract.max_mb:g} MB that are allowed"
            )
        with native_output.without_remarks():
            submission = Submission(folder, task)
    loading = time.perf_counter() - started
    allowed = f"{task.contract.max_mb:g} MB are allowed"
    _passed("archive", f"{packed.stat().st_size / 1e6:.1f} MB; {MODEL} {size / 1e6:.1f} MB, {allowed}")
    columns = submission.columns
    _passed(
        "signature", f"{SERVING} takes frames of {' x '.join(map(str, submission.frame))}; loaded in {loading:.2f} s"
    )
    for num_frames in (0, 1, 2, 3):
        for value in (np.nan, 0.5, np.inf):
            submission.answer(
                np.full((num_frames, *submission.frame), value, np.float32), f"{num_frames} frames of {value}"
            )
    _passed("edges", "0 to 3 frames, missing or infinite: at least one row")

    pairs, seconds = [], []
    found = ((i, x, s) for i, x, s in read_clips(files, columns, task) if labels is None or i in labels)
    total = most if labels is None else min(most, len(labels))
    for sequence_id, inputs, reading in track(itertools.islice(found, most), "checking", "clips", total=total):
        started = time.perf_counter()
        prediction = submission.answer(inputs, f"clip {sequence_id}")
        seconds.append(reading + time.perf_counter() - started)
        pairs.append(((labels or {}).get(sequence_id, ""), prediction))
    if not pairs:
        raise UserError(f"nothing to check it on: no rows of such clips in {', '.join(map(str, files[:3]))}")
    _passed("answers", f"{len(pairs):,} clips, each with at least one row")
    labelled = [pair for pair in pairs if pair[0]]
    score = task.score(*zip(*labelled, strict=True)) if labelled else None
    if score is None:
        print("-     score      not known without labels")
    else:
        print(f"{'ok' if score > 0 else 'warn':<5} score      {score:.4f}")
    mean = sum(seconds) / len(seconds)
    hours = (loading + mean * test_clips) / 3600
    said = f"{mean * 1000:.1f} ms a clip, {hours:.2f} hours for {test_clips:,}; {task.contract.max_hours:g} are allowed"
    if hours > task.contract.max_hours:
        raise UserError(f"too slow on this machine, {said}; export it with a smaller frame budget or network")
    _passed("time", said)
    return {"clips": len(pairs), "pooled_score": score, "milliseconds": round(mean * 1000, 2), "hours": hours}


def _passed(subject: str, text: str) -> None:
    print(f"ok    {subject:<10} {text}", flush=True)


class Submission:
    """An unpacked submission, run as the competition does: nothing of this program's own recognizer.

    Raises:
      UserError: it cannot be, or does not answer as it has to.
    """

    def __init__(self, folder: pathlib.Path, task: Task):
        from ai_edge_litert.interpreter import Interpreter  # only here: a command that lacks it can say so

        self._task = task
        try:
            arguments = directories.parse_json((folder / ARGUMENTS).read_bytes())
            self.columns: list[str] = arguments["selected_columns"] if task.contract.columns else []
            if not isinstance(self.columns, list) or not all(isinstance(name, str) for name in self.columns):
                raise ValueError("it is not a list of names")
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError(f"{ARGUMENTS} does not name selected_columns ({errors.reason(error)})") from error
        self.frame = (len(self.columns),) if self.columns else task.contract.frame
        try:
            interpreter = Interpreter(model_path=str(folder / MODEL))
            if SERVING not in interpreter.get_signature_list():
                raise UserError(f"{MODEL} has no signature {SERVING}")
            self._runner = interpreter.get_signature_runner(SERVING)
            self._runner(inputs=np.full((1, *self.frame), np.nan, np.float32))
        # RuntimeError: an operator that LiteRT does not have.
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{MODEL} does not run in LiteRT ({errors.reason(error)})") from error

    def answer(self, inputs_TxK: np.ndarray, name: str) -> str:
        """The label that it gives for the clip `name`."""
        try:
            outputs = self._runner(inputs=inputs_TxK)["outputs"]
        except (KeyError, ValueError, RuntimeError) as error:
            raise UserError(f"{MODEL} gives no answer for {name} ({errors.reason(error)})") from error
        expected = self._task.contract.answer_shape(len(self._task.classes))
        fits = len(outputs.shape) == len(expected) and all(
            b in (-1, a) for a, b in zip(outputs.shape, expected, strict=True)
        )
        if not fits or not outputs.size:
            shown = ", ".join(self._task.unit if size < 0 else str(size) for size in expected)
            raise UserError(f"{MODEL} gives {outputs.shape} for {name}, expected ({shown}), at least one row")
        if not np.isfinite(outputs).all():
            raise UserError(f"{MODEL} gives values that are not numbers for {name}")
        return self._task.decode(np.argmax(np.atleast_2d(outputs), axis=-1).tolist())


def read_clips(files: list[AnyPath], columns: list[str], task: Task) -> Iterator[tuple[int | str, np.ndarray, float]]:
    """Yields each clip's id, its columns (T, K) float32, and the seconds that it took to be read.

    Raises:
      UserError: a file cannot be read, or lacks a column.
    """
    for file in files:
        clips = readers.reader(task).read_inputs(file, task, columns)
        while True:
            started = time.perf_counter()
            found = next(clips, None)
            if found is None:
                break
            yield *found, time.perf_counter() - started


if __name__ == "__main__":
    run(main)
