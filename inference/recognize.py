"""Recognises the sequences of parquet files, with LiteRT alone.

    python -m inference.recognize data/train_landmarks/5414471.parquet --model out/model
    python -m inference.recognize data/train_landmarks --model out/model

The files are in the wide Kaggle layout; a folder means all its parquet files. Prints one line a sequence: its id, its
text and the milliseconds that took.
"""

import time

from inference.recognizer import Recognizer
from pipeline import commands, parquet
from pipeline.commands import Parser, UserError, path, positive, run
from pipeline.storage import Path


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("input", type=path, help="parquet file, or a folder of them")
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--threads", type=positive, default=1, help="threads for one sequence")
    arguments = parser.parse_args()
    files = _files(arguments.input)
    recognizer = Recognizer(arguments.model, threads=arguments.threads)
    found = False
    for file in files:
        for sequence_id, landmarks in parquet.read_runs(file):
            started = time.perf_counter()
            text = recognizer.recognize(landmarks)
            milliseconds = (time.perf_counter() - started) * 1000
            print(f"{sequence_id}\t{text}\t{milliseconds:.1f} ms", flush=True)
            found = True
    if not found:
        raise UserError(f"{arguments.input} has no rows: nothing to recognise")


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = _parquet_files(source)
    if not files:
        what = " holds no parquet file" if source.is_dir() else f": {commands.what_is_there(source)}"
        nearby = commands.nearby(source, _is_parquet)
        raise UserError(f"{source}{what}; expected a parquet file, or a folder of them{nearby}")
    return files


def _is_parquet(place: Path) -> bool:
    return bool(_parquet_files(place)) or (place.suffix == ".parquet" and place.is_file())


def _parquet_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet")) if folder.is_dir() else []


if __name__ == "__main__":
    run(main)
