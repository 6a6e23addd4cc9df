"""Recognizes the clips of parquet files, with LiteRT alone.

    python -m inference.recognize data/train_landmarks/5414471.parquet --model out/model
    python -m inference.recognize data/train_landmarks --model out/model --json

The files are laid out as the ones the model was trained on; a folder means all its parquet files. Prints one line a
clip, as soon as it is recognized: its id, what it says, how sure the model is of it (0 to 1) and the milliseconds that
took; of a task with one class a clip also the next best. With --json as an object. One clip at a time is in memory.
"""

import json

from inference.recognizer import Prediction, Recognizer
from pipeline.common import native_output
from pipeline.common.arguments import Parser, path, threads
from pipeline.common.errors import UserError, run
from pipeline.dataset import parquet, readers
from pipeline.tasks.task import Task

_SHOWN = 3  # of the most probable labels


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("input", type=path, help="parquet file, or a folder of them")
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--threads", type=threads, default=1, help="threads for one clip")
    parser.add_argument("--json", action="store_true", help="print each line as a JSON object")
    arguments = parser.parse_args()
    files = parquet.files_of(arguments.input)
    with native_output.without_remarks():
        recognizer = Recognizer(arguments.model, threads=arguments.threads)
    line = _json if arguments.json else _text
    task = recognizer.task
    found = False
    for file in files:
        for sequence_id, landmarks in readers.reader(recognizer.task).read_runs(file, recognizer.task):
            print(line(sequence_id, recognizer.recognize(landmarks), task), flush=True)
            found = True
    if not found:
        raise UserError(f"{arguments.input} has no rows: nothing to recognize")


def _text(sequence_id: int | str, found: Prediction, task: Task) -> str:
    others = "".join(f", {label} {share:.2f}" for label, share in found.best(_SHOWN, task)[1:])
    return f"{sequence_id}\t{found.label}\t{found.confidence:.2f}{others}\t{found.milliseconds:.1f} ms"


def _json(sequence_id: int | str, found: Prediction, task: Task) -> str:
    best = [{"label": label, "probability": round(share, 4)} for label, share in found.best(_SHOWN, task)]
    values = {
        "sequence_id": sequence_id,
        "prediction": found.label,
        "confidence": round(found.confidence, 4),
        "milliseconds": round(found.milliseconds, 2),
    } | ({"best": best} if best else {})
    return json.dumps(values)


if __name__ == "__main__":
    run(main)
