"""Recognizes the clips of parquet files, with LiteRT alone.

    python -m inference.recognize data/train_landmarks/5414471.parquet --model out/model
    python -m inference.recognize data/train_landmarks --model out/model --json

The files are laid out as the ones the model was trained on; a folder means all its parquet files. Prints one line a
clip, as soon as it is recognized: its id, what it says, how sure the model is of it (0 to 1) and the milliseconds that
took; with --json as an object. One clip at a time is in memory.
"""

import json

from inference.recognizer import Prediction, Recognizer
from pipeline.common import native_output
from pipeline.common.arguments import Parser, path, threads
from pipeline.common.errors import UserError, run
from pipeline.dataset import wide


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("input", type=path, help="parquet file, or a folder of them")
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--threads", type=threads, default=1, help="threads for one clip")
    parser.add_argument("--json", action="store_true", help="print each line as a JSON object")
    arguments = parser.parse_args()
    files = wide.parquet_files(arguments.input)
    with native_output.without_remarks():
        recognizer = Recognizer(arguments.model, threads=arguments.threads)
    line = _json if arguments.json else _text
    found = False
    for file in files:
        for sequence_id, landmarks in wide.read_runs(file, recognizer.task):
            print(line(sequence_id, recognizer.recognize(landmarks)), flush=True)
            found = True
    if not found:
        raise UserError(f"{arguments.input} has no rows: nothing to recognize")


def _text(sequence_id: int, found: Prediction) -> str:
    return f"{sequence_id}\t{found.label}\t{found.confidence:.2f}\t{found.milliseconds:.1f} ms"


def _json(sequence_id: int, found: Prediction) -> str:
    values = {
        "sequence_id": sequence_id,
        "prediction": found.label,
        "confidence": round(found.confidence, 4),
        "milliseconds": round(found.milliseconds, 2),
    }
    return json.dumps(values)


if __name__ == "__main__":
    run(main)
