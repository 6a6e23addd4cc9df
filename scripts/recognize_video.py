"""Recognizes what people in videos spell.

    scripts/recognize_video hello.mp4 --model out/model
    scripts/recognize_video --camera 0 --seconds 10 --model out/model

Finds landmarks (pipeline.track) and recognizes them. Prints a line a video: its name, what it says, how sure the model
is of it (0 to 1) and the milliseconds that took; with --json as an object.
"""

import contextlib
import dataclasses
import subprocess

from inference import recognize
from inference.decoder import RATE
from inference.recognizer import Recognizer
from pipeline import track
from pipeline.common import native_output, progress
from pipeline.common.arguments import Parser, as_word, path
from pipeline.common.errors import run
from pipeline.common.processes import call, check_status, module
from pipeline.common.temporary import temporary_folder
from pipeline.tracking import recordings
from pipeline.tracking.videos import FOLDER

_STANDARD_ERROR = 2
_OTHER_RATE = 0.2  # how far off a rate is said


def main() -> None:
    parser = Parser(__doc__)
    track.add_options(parser)
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export")
    parser.add_argument("--output", type=path, help="keep the landmarks in this directory; without, they are temporary")
    parser.add_argument("--json", action="store_true", help="print each line as a JSON object")
    args = parser.parse_args()
    track.check(args.videos, args.camera)
    with native_output.without_remarks():
        recognizer = Recognizer(args.model)
    with contextlib.ExitStack() as stack:
        output = args.output or stack.enter_context(temporary_folder()) / "tracked"
        words = [*map(as_word, args.videos), "--output", as_word(output), "--workers", str(args.workers)]
        if args.camera is not None:
            words += ["--camera", str(args.camera), "--seconds", str(args.seconds)]
        words += ["--mirrored"] if args.mirrored else []
        where = _STANDARD_ERROR if args.output else subprocess.DEVNULL  # of landmarks that do not stay it need not tell
        check_status(call(module("pipeline.track", *words), stdout=where))
        for video in recordings.read(output):
            if abs(video.rate / RATE - 1) > _OTHER_RATE:
                progress.note(
                    f"{video.file}: {video.rate:g} frames a second, where models know {RATE}: it may be misread"
                )
            file = output / FOLDER / f"{video.file}.parquet"
            for take, found in recognize.recognized(file, recognizer, swap=False, greedy=False):
                if args.json:
                    print(recognize.as_json(video.file, take, found, recognizer.task), flush=True)
                else:
                    named = dataclasses.replace(take, sequence_id=video.file)
                    print(recognize.text(named, found, recognizer.task), flush=True)


if __name__ == "__main__":
    run(main)
