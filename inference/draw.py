"""Draws a clip as a picture: a film strip of its hand, one whole frame, or the channels of a sensor.

    python -m inference.draw out/dataset --clip 1103527590 --output out/clip.png
    python -m inference.draw DATA --clip 1103527590 --frame 12 --numbers --output out/frame.png

Takes a dataset, or a data folder. The strip has ten frames, evenly from those that show the hand that is seen more
often, with its bones; with --frame all parts of one frame are drawn, and those that it lacks are named.
"""

import argparse
import sys

from inference.visuals import pictures, sources
from pipeline.common import directories
from pipeline.common.arguments import Parser, path, positive
from pipeline.common.errors import UserError, run

FRAMES = 10


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("directory", type=path, help="a dataset, or a data folder")
    parser.add_argument("--clip", type=int, required=True, metavar="ID", help="which clip")
    parser.add_argument("--output", type=path, required=True, metavar="FILE", help="the picture, such as out/clip.png")
    parser.add_argument("--frame", type=_frame, metavar="N", help="draw all parts of this frame, from 0 on")
    parser.add_argument("--frames", type=positive, default=FRAMES, help="most frames of the strip")
    parser.add_argument("--numbers", action="store_true", help="number the points as MediaPipe does")
    parser.add_argument("--task", metavar="NAME|FILE", help="of a data folder, as of pipeline.convert")
    draw(parser.parse_args())


def draw(arguments: argparse.Namespace) -> None:
    """Raises `UserError` where there is no such clip, or nothing to draw of it."""
    found = sources.open_all([arguments.directory], task=arguments.task, truth={}, most=sys.maxsize)
    if not found.num_clips:
        raise UserError(f"{arguments.directory} holds no recordings: expected a data folder or a dataset")
    clip = next((clip for _, clip in found.read({arguments.clip})), None)
    if clip is None:
        raise UserError(f"{arguments.directory} has no clip {arguments.clip} that can be drawn")
    if arguments.frame is None:
        figure = pictures.strip(clip, found.task, arguments.frames, numbers=arguments.numbers)
    else:
        figure = pictures.skeleton(clip, found.task, arguments.frame, numbers=arguments.numbers)
    with directories.failures_named(arguments.output.parent):
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
    pictures.write(figure, arguments.output)
    print(f"{arguments.output}: clip {clip.sequence_id}, {clip.num_frames} frames, {clip.label!r}")


def _frame(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a frame, from 0 on")
    return int(text)


if __name__ == "__main__":
    run(main)
