"""Recognises the sequences of parquet files, with LiteRT alone.

    python -m inference.recognize data/train_landmarks/5414471.parquet --model out/model
    python -m inference.recognize data/train_landmarks --model out/model --json

The files are in the wide Kaggle layout; a folder means all its parquet files. Prints one line a sequence, as soon as it
is recognised: its id, its text, how sure the model is of it (0 to 1) and the milliseconds that took; with --json as an
object. One sequence at a time is in memory.
"""

import json

from inference.recognizer import Recognition, Recognizer, quiet
from pipeline import commands, parquet
from pipeline.commands import Parser, UserError, path, positive, run
from pipeline.storage import Path


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("input", type=path, help="parquet file, or a folder of them")
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--threads", type=positive, default=1, help="threads for one sequence")
    parser.add_argument("--json", action="store_true", help="print each line as a JSON object")
    arguments = parser.parse_args()
    files = parquet_files(arguments.input)
    with quiet():
        recognizer = Recognizer(arguments.model, threads=arguments.threads)
    line = _json if arguments.json else _text
    found = False
    for file in files:
        for sequence_id, landmarks in parquet.read_runs(file):
            print(line(sequence_id, recognizer.recognize(landmarks)), flush=True)
            found = True
    if not found:
        raise UserError(f"{arguments.input} has no rows: nothing to recognise")


def _text(sequence_id: int, recognised: Recognition) -> str:
    return f"{sequence_id}\t{recognised.text}\t{recognised.confidence:.2f}\t{recognised.milliseconds:.1f} ms"


def _json(sequence_id: int, recognised: Recognition) -> str:
    said = {
        "sequence_id": sequence_id,
        "text": recognised.text,
        "confidence": round(recognised.confidence, 4),
        "milliseconds": round(recognised.milliseconds, 2),
    }
    return json.dumps(said)


def parquet_files(source: Path) -> list[Path]:
    """The file, or the parquet files of the folder, in the order of their names.

    Raises:
      UserError: there is none.
    """
    if source.is_file():
        return [source]
    files = _of_folder(source)
    if not files:
        what = " holds no parquet file" if source.is_dir() else f": {commands.what_is_there(source)}"
        nearby = commands.nearby(source, _is_parquet)
        raise UserError(f"{source}{what}; expected a parquet file, or a folder of them{nearby}")
    return files


def _is_parquet(place: Path) -> bool:
    return bool(_of_folder(place)) or (place.suffix == ".parquet" and place.is_file())


def _of_folder(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet")) if folder.is_dir() else []


if __name__ == "__main__":
    run(main)
