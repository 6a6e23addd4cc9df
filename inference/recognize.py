"""Recognizes the clips of parquet files, with LiteRT alone.

    python -m inference.recognize data/train_landmarks/5414471.parquet --model out/model
    python -m inference.recognize data/train_landmarks mine.parquet --model out/model --json

A folder means all its files. They are laid out as the ones the model was trained on, or as those of the other task: a
row a frame, or a row a point. A hand, face or pose may lack its columns; a file without ids is one clip, named after
it; where frame numbers start again, another take begins. Of a task from a description file they are those that it tells
of, without labels; of a stream each window is recognized, named after its frames or seconds.

Of phrases, a language model of the training labels helps to tell characters apart, where the export found that it makes
fewer errors; --greedy goes by the network alone.

Prints one line a clip, as soon as it is recognized: its file where there are several, its id, what it says, how sure
the model is of it (0 to 1) and the milliseconds that took; of a task with one class a clip also the next best. With
--json as an object. What looks wrong in a file is said on standard error. One clip at a time is in memory, of files
with a row a point the whole file.
"""

import json
from collections.abc import Iterator

from inference.recognizer import Prediction, Recognizer, task_and_language
from pipeline.common import native_output, progress
from pipeline.common.arguments import Parser, path, threads
from pipeline.common.errors import UserError, run
from pipeline.common.storage import AnyPath
from pipeline.dataset import readers
from pipeline.dataset.symptoms import Symptoms, cleaned, swap_hands
from pipeline.dataset.takes import Take
from pipeline.tasks.task import Task

_SHOWN = 3  # of the most probable labels


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("input", type=path, nargs="+", help="file of recordings, or a folder of them")
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--threads", type=threads, default=1, help="threads for one clip")
    parser.add_argument("--json", action="store_true", help="print each line as a JSON object")
    parser.add_argument("--greedy", action="store_true", help="by the network alone, without its language model")
    parser.add_argument(
        "--swap-hands", action="store_true", help="take the left hand for the right one and the other way round"
    )
    arguments = parser.parse_args()
    task, _ = task_and_language(arguments.model)
    files = [file for each in arguments.input for file in readers.files_of(each, task)]
    with native_output.without_remarks():
        recognizer = Recognizer(arguments.model, threads=arguments.threads)
    if arguments.swap_hands and not task.points.hands:
        raise UserError(f"--swap-hands: the task {task.name} has no left and right hand")
    some = False
    for file in files:
        for take, found in recognized(file, recognizer, swap=arguments.swap_hands, greedy=arguments.greedy):
            if arguments.json:
                print(as_json(file, take, found, task), flush=True)
            else:
                print(f"{file}\t" * (len(files) > 1) + text(take, found, task), flush=True)
            some = True
    if not some:
        raise UserError(f"{', '.join(map(str, arguments.input))} has no rows: nothing to recognize")


def recognized(file: AnyPath, recognizer: Recognizer, *, swap: bool, greedy: bool) -> Iterator[tuple[Take, Prediction]]:
    """Yields what a file holds and what it says; at its end, says what looks wrong in it, each kind once."""
    points = recognizer.task.points
    remarks: dict[str, None] = {}  # in the order in which they came up
    total = Symptoms()
    for take in readers.read_takes(file, recognizer.task):
        landmarks, symptoms = cleaned(swap_hands(take.landmarks, points) if swap else take.landmarks, points)
        yield take, recognizer.recognize(landmarks, greedy=greedy)
        remarks |= dict.fromkeys(take.remarks)
        total += symptoms
    for remark in [*remarks, *total.complaints().values()]:
        progress.note(f"{file}: {remark}")


def text(take: Take, found: Prediction, task: Task) -> str:
    """The line of a take."""
    name = f"{take.sequence_id}" + f" (take {take.number})" * (take.number > 1)
    others = "".join(f", {label} {share:.2f}" for label, share in found.best(_SHOWN, task)[1:])
    return f"{name}\t{found.label}\t{found.confidence:.2f}{others}\t{found.milliseconds:.1f} ms"


def as_json(file: AnyPath | str, take: Take, found: Prediction, task: Task) -> str:
    """The JSON object of a take."""
    best = [{"label": label, "probability": round(share, 4)} for label, share in found.best(_SHOWN, task)]
    values = {
        "file": str(file),
        "sequence_id": take.sequence_id,
        "take": take.number,
        "prediction": found.label,
        "confidence": round(found.confidence, 4),
        "milliseconds": round(found.milliseconds, 2),
    } | ({"best": best} if best else {})
    return json.dumps(values)


if __name__ == "__main__":
    run(main)
