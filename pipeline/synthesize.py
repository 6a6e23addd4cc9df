"""Makes sample data in the layout of a Kaggle set, with hands from a kinematic model.

    python -m pipeline.synthesize --output data/sample
    python -m pipeline.synthesize --task isolated-signs --output data/sample-signs

Each writes a folder that every other command reads as it reads the real set. Of fingerspelling:

    train.csv                             path, file_id, sequence_id, participant_id, phrase
    train_landmarks/<file_id>.parquet     a row a frame: frame, x/y/z of 543 points (1,629 columns), sequence_id
    character_to_prediction_index.json    the 59 characters

Of isolated signs, which are invented and of no language:

    train.csv                             path, participant_id, sequence_id, sign
    train_landmark_files/<participant_id>/<sequence_id>.parquet
                                          a row a point: frame, row_id, type, landmark_index, x, y, z; 543 rows a frame
    sign_to_prediction_index_map.json     the signs

Of recordings, of an invented sensor on the wrist (--task recordings), in the layout that --layout names:

    description.toml                      what they are: for --task of pipeline.convert
    labels.csv                            recording, person, movement (layouts files and table)
    recordings/*.csv, recordings.csv or streams/*.csv

Of all:

    planted_corruption.csv                sequence_id, kind: which clips are spoiled, and how; the truth that the
                                          filter's choices are held against, which no other stage may read
    request.json, manifest.json           what was asked for; the manifest is written last

The same options give the same data; phrases and their landmarks do not depend on the number of files. An interrupted
command continues where it stopped when it is run again.

The data show that the program works and how its parts compare; they do not predict results on the real set. What is
modelled, what is not, and how hard the data are: pipeline/synthesis/__init__.py.
"""

import csv
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pipeline import tasks
from pipeline.common import arguments, directories, errors, progress, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import description
from pipeline.synthesis import samples, sensors
from pipeline.synthesis.plan import Planned
from pipeline.synthesis.samples import SAMPLES, Samples

KIND = directories.Kind("sample set", made_by="pipeline.synthesize")
# Raise it when the same arguments give other data than before.
GENERATOR_VERSION = 1


def synthesize(output: AnyPath, *, task: str = tasks.DEFAULT, **asked: Any) -> bool:
    """Writes the folder. Returns whether there was anything to do: a complete folder of the same arguments stays.

    Args:
      asked: fields of the task's class in `samples.SAMPLES`, which has their defaults.

    Raises:
      UserError: arguments that make no sense, or `output` holds something else or cannot be written.
    """
    wanted = _samples(task, asked)
    wanted.check()
    settings = {"task": task, **dataclasses.asdict(wanted), "generator_version": GENERATOR_VERSION}
    request = directories.Request(KIND, settings)
    try:
        if directories.prepare(output, request):
            return False
        planned = wanted.plan()
        num_frames = _write_landmarks(output, wanted, planned)
        _write_metadata(output, wanted, planned)
        directories.complete(output, request, {"frames": num_frames})
    except OSError as error:
        raise UserError(f"cannot write to {output}: {errors.reason(error)}") from error
    return True


def _samples(task: str, asked: dict[str, Any]) -> Samples:
    if task not in SAMPLES:
        raise UserError(f"there are no sample data of the task {task!r}{errors.nearest(task, SAMPLES)}")
    for name in asked:
        if name not in samples.options(task):
            raise UserError(f"--{name.replace('_', '-')} is not an option of the task {task}: leave it out")
    return SAMPLES[task](**asked)


def _write_landmarks(output: AnyPath, wanted: Samples, planned: list[Planned]) -> int:
    """Writes the parquet files that are not there yet. Returns the number of frames of all of them."""
    num_frames = 0
    with progress.progress("clips") as bar:
        task = bar.add_task("synthesize", total=len(planned), already=0, note="")

        def recordings(clips: list[Planned]) -> Iterator[tuple[Planned, np.ndarray]]:
            nonlocal num_frames
            for clip in clips:
                landmarks = wanted.record(clip)
                yield clip, landmarks
                num_frames += len(landmarks)
                bar.advance(task)

        for name, members in itertools.groupby(planned, key=wanted.file):
            group = list(members)
            path = output / name
            # A file of an interrupted run is whole: it got its name last.
            if path.is_file():
                bar.update(task, advance=len(group), already=bar.tasks[task].fields["already"] + len(group))
                num_frames += wanted.count_frames(path)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                wanted.write(path, recordings(group))
    return num_frames


def _write_metadata(output: AnyPath, wanted: Samples, planned: list[Planned]) -> None:
    for name, text in wanted.companions().items():
        with storage.replacing(output / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    spoiled = ({"sequence_id": each.sequence_id, "kind": each.spoiled} for each in planned if each.spoiled)
    _write_csv(output / "planted_corruption.csv", ["sequence_id", "kind"], spoiled)
    rows = [wanted.row(each) for each in planned]
    if wanted.table:
        _write_csv(output / wanted.table, list(rows[0]), rows)


def _write_csv(path: AnyPath, header: list[str], rows: Iterable[dict]) -> None:
    with storage.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--output", type=arguments.path, required=True, help="directory: new, empty or unfinished")
    parser.add_argument("--task", default=tasks.DEFAULT, metavar="NAME", help=f"one of {', '.join(SAMPLES)}")
    _add(parser, "clips", "how many; 1,000 of phrases take about 0.4 GB, of signs 0.15 GB")
    _add(parser, "signers", "how many people, with equally many clips")
    _add(parser, "files", "how many parquet files")
    _add(parser, "signs", "how many different ones, with equally many clips")
    _add(parser, "movements", "how many different ones, with equally many clips")
    _add(parser, "layout", f"one of {', '.join(sensors.LAYOUTS)}", kind=str, metavar="NAME")
    _add(parser, "spoiled_share", "share of spoiled clips, 0 to 1", kind=float, metavar="SHARE")
    _add(parser, "seed", "of people, phrases or signs, and motions")
    options = vars(parser.parse_args())
    output, task = options.pop("output"), options.pop("task")
    asked = {name: value for name, value in options.items() if value is not None}
    if not synthesize(output, task=task, **asked):
        return
    made = _samples(task, asked)
    print(f"{made.clips} clips of {made.signers} signers: {output}")
    described = [output / name for name in made.companions() if name.endswith(description.ENDING)]
    of_task = [] if task == tasks.DEFAULT else ["--task", *(described or [task])]
    progress.next_step(f"scripts/run_pipeline {arguments.command(*of_task, '--data', output)} --output DIRECTORY")


def _add(parser: arguments.Parser, name: str, text: str, *, kind: type = int, metavar: str = "N") -> None:
    """Adds an option of sample data, whose help says its default, and for which task where that matters."""
    defaults = {task: getattr(of_task, name) for task, of_task in SAMPLES.items() if name in samples.options(task)}
    if len(defaults) == 1:
        ((task, default),) = defaults.items()
        said = f"{task} only; default: {default}"
    elif len(set(defaults.values())) == 1:
        said = f"default: {next(iter(defaults.values()))}"
    else:
        said = "default: " + ", ".join(f"{default} for {task}" for task, default in defaults.items())
    parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=f"{text} ({said})")


if __name__ == "__main__":
    errors.run(main)
