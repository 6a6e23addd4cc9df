"""Finds the landmarks of people in videos, as those of the Kaggle sets were found: with MediaPipe Holistic.

    python -m pipeline.track hello.mp4 --output out/tracked
    python -m pipeline.track videos --output DATA --labels videos/labels.csv
    python -m pipeline.track --camera 0 --seconds 10 --output out/mine

The first and the last are for recognition, which reads OUTPUT/train_landmarks; the second makes a data folder that
every other command reads. It holds:

    train_landmarks/<video>.parquet   a row a frame: frame, x/y/z of 543 points (1,629 columns), sequence_id
    train.csv                         with --labels: path, sequence_id, participant_id, phrase
    request.json, manifest.json       what was asked for, and what was found in each video

The labels are a table with the columns file (a video's name, without its folder), phrase, and signer, a number for each
person. They may be given or corrected later, with the same command. The id of a video follows from its name.

A video may be of any kind that OpenCV reads, and turned as phones turn it. What the camera sees is kept, in OUTPUT.avi.
An interrupted command goes on with the videos that are not finished when it is run again.

MediaPipe needs Python 3.11 or 3.12, and older packages than the rest of this program: on its first use this command
makes an environment for it, .venv-track (0.6 GB).
"""

import importlib.metadata
import os
import pathlib
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pipeline.common import arguments, errors, progress
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.tracking import recordings, videos
from pipeline.tracking.recordings import PARTS, Report
from pipeline.tracking.videos import Tracker

_MEDIAPIPE = "0.10.21"  # the last release with Holistic and its models
_LAUNCHER = pathlib.Path(__file__).parents[1] / "scripts/track"
_LONGEST = 60.0  # seconds of a camera, which are in memory until they are written: 28 MB a second at 640 x 480


def main() -> None:
    parser = arguments.Parser(__doc__)
    add_options(parser)
    parser.add_argument("--output", type=arguments.path, required=True, help="directory: new, empty or unfinished")
    parser.add_argument("--labels", type=arguments.path, help="CSV table: file, phrase, signer")
    args = parser.parse_args()
    check(args.videos, args.camera)
    # What is wrong is said before an environment is made.
    found = videos.find(args.videos)
    if args.labels is not None and args.camera is None:
        videos.metadata_of(args.labels, found)
    tracker = _tracker()
    if args.camera is not None:
        found = [_record(args.camera, args.seconds, args.output)]
    recordings.track(found, args.output, tracker, mirrored=args.mirrored, labels=args.labels, workers=args.workers)
    reports = recordings.read(args.output)
    _show(reports)
    print(f"{sum(each.frames for each in reports):,} frames: {args.output}")
    for each in reports:
        if each.is_empty:
            progress.console.print(f"{each.file}: there is no person in it, or none that was found")
    folder = args.output / videos.FOLDER
    recognize = arguments.command("python", "-m", "inference.recognize", folder, "--model", "MODEL")
    convert = arguments.command("scripts/run_pipeline", "--data", args.output, "--output", "DIRECTORY")
    progress.next_step(recognize if args.labels is None else convert)


def add_options(parser: arguments.Parser) -> None:
    """Those that say what to track and how."""
    parser.add_argument("videos", type=arguments.path, nargs="*", metavar="VIDEO", help="a video, or a folder of them")
    parser.add_argument("--camera", type=int, metavar="N", help="the camera of this number instead, such as 0")
    seconds = arguments.number(lambda value: 0 < value <= _LONGEST, f"a number above 0 and of at most {_LONGEST:g}")
    parser.add_argument("--seconds", type=seconds, default=10.0, help="how long the camera records")
    parser.add_argument(
        "--mirrored", action="store_true", help="the pictures show people as a mirror does: turn them round first"
    )
    parser.add_argument(
        "--workers", type=arguments.positive, default=os.cpu_count() or 1, help="videos at a time: a core takes one"
    )


def check(places: Sequence[AnyPath], camera: int | None) -> None:
    """Raises `UserError` where there is not one of the two."""
    if (camera is None) == (not places):
        raise UserError("name either videos, or a camera: --camera 0")
    if camera is not None and camera < 0:
        raise UserError(f"camera {camera}: expected a number from 0 on")


def _tracker() -> Tracker:
    """MediaPipe; where it is not installed, this process becomes another, in the environment that has it."""
    if not _is_here():
        if pathlib.Path(sys.prefix).name == ".venv-track":
            raise UserError(f"{sys.prefix} lacks MediaPipe {_MEDIAPIPE}: delete it, and run the same command again")
        if not _LAUNCHER.is_file():
            raise UserError(
                f"MediaPipe {_MEDIAPIPE} is not installed in {sys.prefix}, and {_LAUNCHER}, which would do that, is not"
                " there: run this command in a copy of the whole project"
            )
        python = {"PYTHON": sys._base_executable}  # type: ignore[attr-defined]  # not of a virtual environment
        os.execve(_LAUNCHER, [str(_LAUNCHER), *sys.argv[1:]], python | os.environ)
    from pipeline.tracking import holistic

    return holistic.TRACKER


def _is_here() -> bool:
    try:
        return importlib.metadata.version("mediapipe") == _MEDIAPIPE
    except importlib.metadata.PackageNotFoundError:
        return False


def _record(camera: int, seconds: float, output: AnyPath) -> videos.Video:
    """The video of a camera, which lies beside the output; one that is there already is taken as it is."""
    from pipeline.tracking import holistic

    if not isinstance(output, pathlib.Path):
        raise UserError(f"{output}: what a camera sees is kept on this machine: name a directory here")
    path = output.with_name(f"{output.name}.avi")
    if path.exists():
        print(f"{path} is there already: delete it to record anew")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        progress.console.print(f"recording {seconds:g} seconds")
        holistic.record(camera, seconds, path)
    return videos.Video(path)


def _show(reports: Sequence[Report]) -> None:
    table = Table("video")
    for column in ("frames", "a second", *PARTS):
        table.add_column(column.replace("_", " "), justify="right")
    for each in reports:
        table.add_row(each.file, f"{each.frames:,}", f"{each.rate:.4g}", *_shares(each.seen))
    if len(reports) > 1:
        together = recordings.overall(reports)
        table.add_section()
        table.add_row("together", f"{together['frames']:,}", "", *_shares(together["seen"]))
    Console().print(table)


def _shares(seen: dict[str, float]) -> list[str]:
    return [f"{seen[part]:.0%}" for part in PARTS]


if __name__ == "__main__":
    errors.run(main)
