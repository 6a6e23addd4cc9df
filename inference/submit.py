"""Makes the competition's submission.zip of an exported model, and checks it the way the competition runs it.

    python -m inference.submit --model out/model --data DATA --output out/submission
    python -m inference.submit --model out/model --data DATA --output out/submission --participants 3

The file is unpacked elsewhere, the columns that its inference_args.json names are read from parquet files, and the
answers of its signature become text by the map of characters, one sequence after the other on one thread. DATA is a
folder in the Kaggle layout, whose phrases give the score (an honest one only with --participants that the model was not
trained on); or a parquet file, or a folder of them. Without all checks passed there is no submission.zip.
"""

import argparse
import itertools
import json
import pathlib
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from inference.latency import LARGEST_MB
from inference.recognize import parquet_files
from inference.recognizer import ARGUMENTS, MODEL, MODEL_KIND, RECOGNISE, quiet
from pipeline import commands, conversion, directories, metadata, parquet, scoring, storage, vocabulary
from pipeline.commands import Parser, UserError, path, positive, run, track
from pipeline.storage import Path

KIND = "submission"
ZIP = "submission.zip"
HOURS = 5  # the competition's limit for the whole test set
# How large the test set is, is not published: as large as the training set.
TEST_SEQUENCES = 67_208


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--data", type=path, required=True, help="what to check it on: a folder, or a parquet file")
    parser.add_argument("--output", type=path, required=True, help="directory for the file: new, or unfinished")
    parser.add_argument(
        "--participants",
        type=conversion.participants,
        default=(),
        metavar="IDS",
        help="check on these signers' sequences alone, as 3,17",
    )
    parser.add_argument("--sequences", type=positive, default=1000, help="check on this many at most")
    parser.add_argument(
        "--test-sequences",
        type=positive,
        default=TEST_SEQUENCES,
        help="how many sequences the competition's test set is taken to have, which is not published",
    )
    submit(parser.parse_args())


def submit(arguments: argparse.Namespace) -> None:
    model = directories.read_manifest(arguments.model, MODEL_KIND, needed=["model_sha256"])
    directories.check_file(arguments.model / MODEL, model["model_sha256"])
    files, phrases, identity = find_sequences(arguments.data, arguments.participants)
    settings = {
        "model": model["model_sha256"],
        "data": identity,
        "participants": arguments.participants,
        "sequences": arguments.sequences,
        "test_sequences": arguments.test_sequences,
    }
    request = directories.Request(KIND, settings)
    if directories.prepare(arguments.output, request):
        print(f"{arguments.output} is already complete")
        return
    target = arguments.output / ZIP
    with tempfile.TemporaryDirectory(prefix="fingerspelling-") as folder:
        packed = pathlib.Path(folder) / ZIP
        pack(arguments.model, packed)
        content: dict[str, Any] = {"sha256": directories.sha256_of(packed), "bytes": packed.stat().st_size}
        try:
            content |= check(packed, files, phrases, most=arguments.sequences, test_sequences=arguments.test_sequences)
        except UserError as error:
            raise UserError(f"{error}: {target} is not put in place") from error
        with storage.replacing(target) as temporary:
            shutil.copyfile(packed, temporary)
    directories.complete(arguments.output, request, content)
    print(f"{target}: {content['bytes'] / 1e6:.1f} MB, all checks passed: submit it")


def find_sequences(data: Path, participants: tuple[int, ...]) -> tuple[list[Path], dict[int, str] | None, Any]:
    """The parquet files; the phrases of the sequences to read by id, None for all of them; and what identifies these.

    Raises:
      UserError: there are none.
    """
    if not (data / metadata.FILE_NAME).is_file():
        if participants:
            raise UserError(
                f"{data} has no {metadata.FILE_NAME}, which tells whose sequences are whose (--participants)"
            )
        files = parquet_files(data)
        return files, None, {file.name: storage.file_sizes(file.parent)[file.name] for file in files}
    table = metadata.read(data)
    if unknown := set(participants) - set(table.participants):
        raise UserError(
            f"--participants: {data / metadata.FILE_NAME} has no signer {', '.join(map(str, sorted(unknown)))}"
        )
    entries = [each for each in table.entries.values() if not participants or each.participant_id in participants]
    files = [data / name for name in sorted({each.path for each in entries})]
    return files, {each.sequence_id: each.label for each in entries}, table.sha256


def pack(model: Path, file: pathlib.Path) -> None:
    """Writes the archive; the same model gives the same bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        for name in (MODEL, ARGUMENTS):
            entry = zipfile.ZipInfo(name)  # of 1980, whenever it is made
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (model / name).read_bytes(), zipfile.ZIP_DEFLATED)


def check(
    packed: pathlib.Path, files: list[Path], phrases: dict[int, str] | None, *, most: int, test_sequences: int
) -> dict[str, Any]:
    """Checks an archive, prints a line for what is passed, and returns what the manifest says about it.

    Raises:
      UserError: what was not passed.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fingerspelling-") as name, quiet():
        folder = pathlib.Path(name)
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(folder)
        size = (folder / MODEL).stat().st_size
        if size > LARGEST_MB * 1e6:
            raise UserError(f"{MODEL} has {size / 1e6:.1f} MB, more than the {LARGEST_MB:g} MB that are allowed")
        submission = Submission(folder)
    loading = time.perf_counter() - started
    allowed = f"{LARGEST_MB:g} MB are allowed"
    _passed("archive", f"{packed.stat().st_size / 1e6:.1f} MB; {MODEL} {size / 1e6:.1f} MB, {allowed}")
    columns = submission.columns
    _passed("signature", f"{RECOGNISE} takes {len(columns)} columns, gives characters; loaded in {loading:.2f} s")
    for num_frames in (0, 1, 2, 3):
        for value in (np.nan, 0.5, np.inf):
            submission.text(np.full((num_frames, len(columns)), value, np.float32), f"{num_frames} frames of {value}")
    _passed("edges", "0 to 3 frames, missing or infinite: at least one character")

    pairs, seconds = [], []
    found = ((i, x, s) for i, x, s in read_sequences(files, columns) if phrases is None or i in phrases)
    total = most if phrases is None else min(most, len(phrases))
    for sequence_id, inputs, reading in track(itertools.islice(found, most), "checking", "sequences", total=total):
        started = time.perf_counter()
        text = submission.text(inputs, f"sequence {sequence_id}")
        seconds.append(reading + time.perf_counter() - started)
        pairs.append(((phrases or {}).get(sequence_id, ""), text))
    if not pairs:
        raise UserError(f"nothing to check it on: no rows of such sequences in {', '.join(map(str, files[:3]))}")
    _passed("answers", f"{len(pairs):,} sequences, each with at least one character")
    score = scoring.pooled_score(pairs) if any(phrase for phrase, _ in pairs) else None
    if score is None:
        print("-     score      not known without phrases")
    else:
        print(f"{'ok' if score > 0 else 'warn':<5} score      {score:.4f}")
    mean = sum(seconds) / len(seconds)
    hours = (loading + mean * test_sequences) / 3600
    said = f"{mean * 1000:.1f} ms a sequence, {hours:.2f} hours for {test_sequences:,}; {HOURS} are allowed"
    if hours > HOURS:
        raise UserError(f"too slow on this machine, {said}; export it with a smaller frame budget or network")
    _passed("time", said)
    return {"sequences": len(pairs), "pooled_score": score, "milliseconds": round(mean * 1000, 2), "hours": hours}


def _passed(subject: str, text: str) -> None:
    print(f"ok    {subject:<10} {text}", flush=True)


class Submission:
    """An unpacked submission, run as the competition does: nothing of this program's own recogniser.

    Raises:
      UserError: it cannot be, or does not answer as it has to.
    """

    def __init__(self, folder: pathlib.Path):
        from ai_edge_litert.interpreter import Interpreter  # only here: a command that lacks it can say so

        try:
            self.columns: list[str] = json.loads((folder / ARGUMENTS).read_text("utf-8"))["selected_columns"]
            if not isinstance(self.columns, list) or not all(isinstance(name, str) for name in self.columns):
                raise ValueError("they are no list of names")
        except (ValueError, LookupError, TypeError) as error:
            raise UserError(f"{ARGUMENTS} does not name selected_columns ({commands.reason(error)})") from error
        try:
            interpreter = Interpreter(model_path=str(folder / MODEL))
            if RECOGNISE not in interpreter.get_signature_list():
                raise UserError(f"{MODEL} has no signature {RECOGNISE}")
            self._runner = interpreter.get_signature_runner(RECOGNISE)
            self._runner(inputs=np.full((1, len(self.columns)), np.nan, np.float32))
        # RuntimeError: an operator that LiteRT does not have.
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{MODEL} does not run in LiteRT ({commands.reason(error)})") from error

    def text(self, inputs_TxK: np.ndarray, name: str) -> str:
        """What it says of the sequence `name`."""
        try:
            rows_CxV = self._runner(inputs=inputs_TxK)["outputs"]
        except (KeyError, ValueError, RuntimeError) as error:
            raise UserError(f"{MODEL} gives no answer for {name} ({commands.reason(error)})") from error
        if rows_CxV.ndim != 2 or not len(rows_CxV) or rows_CxV.shape[1] != vocabulary.NUM_CHARACTERS:
            raise UserError(
                f"{MODEL} gives {rows_CxV.shape} for {name}, expected (characters, {vocabulary.NUM_CHARACTERS}), at"
                " least one character"
            )
        if not np.isfinite(rows_CxV).all():
            raise UserError(f"{MODEL} gives what is no number for {name}")
        return vocabulary.decode(np.argmax(rows_CxV, axis=1))


def read_sequences(files: list[Path], columns: list[str]) -> Iterator[tuple[int, np.ndarray, float]]:
    """Yields each sequence's id, its columns (T, K) float32, and the seconds its share of the file took to be read.

    These columns of one file at a time are in memory.

    Raises:
      UserError: a file cannot be read, or lacks a column.
    """
    for file in files:
        started = time.perf_counter()
        try:
            with parquet.open_file(file) as opened:
                schema = opened.schema_arrow
                name, names = parquet.id_column(schema), set(schema.names)
                if missing := [each for each in (name, *columns) if each not in names]:
                    more = f" and {len(missing) - 1} more" if missing[1:] else ""
                    raise UserError(f"{file} lacks the column {missing[0]}{more}: expected the Kaggle layout")
                table = opened.read(columns=[name, *columns])
            if not pa.types.is_integer(schema.field(name).type) or table.column(name).null_count:
                raise UserError(f"{file}: column {name} has rows without a whole number")
            ids = table.column(name).to_numpy()
            values = np.column_stack([table.column(each).to_numpy().astype(np.float32) for each in columns])
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UserError(f"cannot read {file} ({commands.reason(error).rstrip('.')}): download it again") from error
        bounds = [*np.flatnonzero(np.diff(ids, prepend=~ids[:1])), len(ids)]
        seconds = (time.perf_counter() - started) / max(1, len(bounds) - 1)
        for first, end in itertools.pairwise(bounds):
            yield int(ids[first]), values[first:end], seconds


if __name__ == "__main__":
    run(main)
