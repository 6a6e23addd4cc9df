"""Tells what live decoding makes of recordings: feeds the clips of a dataset frame by frame, as a camera would.

    python -m inference.live --model out/model --dataset out/dataset --split test

The decoder is that of the page (`inference.page`), and needs a model exported with --fixed-frames. Prints in how many
clips the text after the last frame is the one that `inference.recognize` gives of the whole clip, the scores of both,
how many texts are too unsure to be claimed, and whether letters that were shown as settled were kept: with a language
model the end of a phrase may change them.
"""

import dataclasses
import time

import numpy as np
from rich.table import Table
from rich.text import Text

from inference.decoder import FLOOR, Decoder
from inference.recognizer import Recognizer, read_manifest
from inference.window import Window
from pipeline import tasks
from pipeline.common import directories, native_output
from pipeline.common.arguments import Parser, path, positive
from pipeline.common.errors import UserError, run
from pipeline.common.progress import track
from pipeline.dataset.clips import Clip
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import SPLITS, TEST
from pipeline.scores import display

SHOWN = 5  # of the clips that differ


@dataclasses.dataclass(frozen=True)
class Fed:
    """A clip, fed frame by frame.

    Attributes:
      live: the text after its last frame; phrases with a space between.
      recognized: that of `Recognizer`.
      claimed: whether all its phrases are sure enough.
      phrases: how many there were.
      settled: whether every letter that was shown as settled stands in the text at the end, in order.
      milliseconds: of the slowest decoding: as a rule the last one, with the language model.
    """

    label: str
    live: str
    recognized: str
    claimed: bool
    phrases: int
    settled: bool
    milliseconds: float


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export --fixed-frames N")
    parser.add_argument("--dataset", type=path, required=True, help="dataset whose clips are fed")
    parser.add_argument("--split", choices=SPLITS, default=TEST, help="its split")
    parser.add_argument("--clips", type=positive, metavar="N", help="only so many, evenly from all")
    parser.add_argument("--greedy", action="store_true", help="both by the network alone, without its language model")
    arguments = parser.parse_args()
    model = read_manifest(arguments.model)
    dataset = Dataset.open(arguments.dataset)
    task = tasks.from_json(model.get("task"), arguments.model / directories.MANIFEST)
    tasks.check_same(task, arguments.model, dataset.task, arguments.dataset)
    count = dataset.count(arguments.split)
    if not count:
        raise UserError(f"{arguments.dataset} has no {arguments.split} clips: name another --split")
    with native_output.without_remarks():
        window, recognizer = Window(arguments.model), Recognizer(arguments.model)
    wanted = set(np.linspace(0, count - 1, min(count, arguments.clips or count)).astype(int).tolist())
    chosen = (clip for number, clip in enumerate(dataset.read(arguments.split)) if number in wanted)
    if arguments.greedy:
        window.language = recognizer.language = None
    fed = [feed(clip, recognizer, window) for clip in track(chosen, "feeding", "clips", total=len(wanted))]
    show(fed, dataset.task)


def feed(clip: Clip, recognizer: Recognizer, window: Window) -> Fed:
    decoder = Decoder(window.task, window.outputs, window.frames, window.language)
    settled, kept, slowest = "", True, 0.0
    for frame in [*clip.landmarks, None]:
        before, phrases = settled, len(decoder.phrases)
        started = time.perf_counter()
        if frame is None:
            decoder.finish()
        else:
            decoder.push(frame)
        slowest = max(slowest, (time.perf_counter() - started) * 1000)
        settled = decoder.shown.settled
        if len(decoder.phrases) > phrases:
            kept = kept and in_order(before, decoder.phrases[-1].text)
    return Fed(
        label=clip.label,
        live=" ".join(each.text for each in decoder.phrases),
        recognized=recognizer.recognize(clip.landmarks).label,
        claimed=all(each.claimed for each in decoder.phrases),
        phrases=len(decoder.phrases),
        settled=kept,
        milliseconds=slowest,
    )


def in_order(some: str, text: str) -> bool:
    """Whether all characters of `some` stand in the text, in their order."""
    rest = iter(text)
    return all(character in rest for character in some)


def show(fed: list[Fed], task: tasks.Task) -> None:
    def share(values: list[bool]) -> str:
        return f"{sum(values):,} of {len(values):,} ({np.mean(values):.1%})" if values else "none"

    labels = [each.label for each in fed]
    other = [each for each in fed if each.live != each.recognized]
    right = [each.claimed for each in fed if each.live == each.label]
    wrong = [each.claimed for each in fed if each.live and each.live != each.label]
    table = Table(title="Live", show_header=False, title_justify="left")
    table.add_row("text of the whole clip", share([each.live == each.recognized for each in fed]))
    table.add_row("score live", f"{task.score(labels, [each.live for each in fed]):.4f}")
    table.add_row("score of whole clips", f"{task.score(labels, [each.recognized for each in fed]):.4f}")
    table.add_row(f"claimed (confidence {FLOOR:g}), right", share(right))
    table.add_row("  wrong", share(wrong))
    table.add_row("more phrases than one", share([each.phrases > 1 for each in fed]))
    table.add_row("settled letters all in the text at the end", share([each.settled for each in fed]))
    slowest = [each.milliseconds for each in fed]
    table.add_row("slowest decoding of a clip", f"P50 {np.median(slowest):.1f} ms, most {max(slowest):.1f} ms")
    out = display.screen()
    out.print(table)
    if other:
        examples = Table("label", "live", "whole clip", title="Clips that differ", title_justify="left")
        for each in other[:SHOWN]:
            examples.add_row(Text(each.label), Text(each.live), Text(each.recognized))
        out.print(examples)


if __name__ == "__main__":
    run(main)
