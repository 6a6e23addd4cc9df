"""Writes one HTML page to look at: data, single clips as they move, errors, and how training went.

    python -m inference.visualize out/run --output out/report.html
    python -m inference.visualize DATA --output out/data.html
    python -m inference.visualize out/dataset out/scores out/evaluation out/model --output out/report.html

Takes any of: a data folder, datasets, scores, evaluations, runs, a budget, an exported model; a directory of such
directories stands for all of them. The page needs no network and no server: open it, keep it, send it. It has every
figure of the whole set, but only some clips to play, of each kind of error some; with a model also what that makes of
them. Figures are those that pipeline.inspect, pipeline.report and inference.evaluate print.
"""

import argparse
from collections.abc import Sequence

from inference.recognizer import Recognizer
from inference.visuals import data, mistakes, page, player, sources, training
from inference.visuals.sources import Sources
from pipeline.common import directories, native_output, storage
from pipeline.common.arguments import Parser, path, positive
from pipeline.common.errors import UserError, run
from pipeline.common.storage import AnyPath
from pipeline.scores.truth import read_truth

CLIPS = 2500  # of a data folder


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("directories", type=path, nargs="+", metavar="DIRECTORY", help="what to show")
    parser.add_argument("--output", type=path, required=True, metavar="FILE", help="the page, such as out/report.html")
    parser.add_argument("--truth", type=path, metavar="CSV", help="spoiled clips (sequence_id, kind), to be told apart")
    parser.add_argument("--task", metavar="NAME|FILE", help="of a data folder, as of pipeline.convert")
    parser.add_argument("--clips", type=positive, default=CLIPS, help="most clips of a data folder to read")
    visualize(parser.parse_args())


def visualize(arguments: argparse.Namespace) -> None:
    truth = read_truth(arguments.truth) if arguments.truth else {}
    write(arguments.output, arguments.directories, truth=truth, task=arguments.task, most=arguments.clips)


def write(
    file: AnyPath, paths: Sequence[AnyPath], *, truth: dict[int, str], task: str | None = None, most: int = CLIPS
) -> None:
    """Writes the page of these directories, and says so.

    Args:
      truth: kind of spoiling by clip id.
      task: of a data folder; found where None.
      most: clips of a data folder that are read.

    Raises:
      UserError: of `sources.open_all`; the page cannot be written.
      ModuleNotFoundError: the extra `report` is not installed.
    """
    import bokeh  # noqa: F401  # before the work, not after it
    import jinja2  # noqa: F401

    if file.is_dir():
        raise UserError(f"{file} is a directory: name a file, such as {file / 'report.html'}")
    found = sources.open_all(paths, task=task, truth=truth, most=most)
    sections, packed = _sections(found)
    if not sections:
        raise UserError(f"{', '.join(map(str, paths))}: nothing to show; name a dataset, scores or a run as well")
    html = page.render(_title(found), list(_made_from(found)), sections, packed)
    with directories.failures_named(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
    with storage.replacing(file) as temporary:
        temporary.write_text(html, encoding="utf-8")
    played = f", {len(packed['clips']):,} clips to play" if packed else ""
    print(f"{file}: {len(html.encode()) / 1e6:.1f} MB{played}; open it in a browser")


def _sections(found: Sources) -> tuple[list[page.Section], dict | None]:
    sections, packed = [], None
    if found.num_clips:
        looked = sources.tracked(found.read(), "looking", found.num_clips)
        looks = [data.look(info, clip, found.task) for info, clip in looked]
        if not looks:
            raise UserError(f"{found.folder.path if found.folder else found.dataset}: no clip can be used")
        recognizer = None
        if found.model is not None:
            with native_output.without_remarks():
                recognizer = Recognizer(found.model)
        sections.append(data.section(found, looks))
        packed = player.pack(found, looks, recognizer)
    if found.scored:
        sections.append(mistakes.section(found))
    if found.histories or found.budget:
        sections.append(training.section(found))
    return sections, packed


def _title(found: Sources) -> str:
    return f"{found.task.name.replace('-', ' ').capitalize()}: data and errors"


def _made_from(found: Sources) -> Sequence[str]:
    lines = [f"recordings {found.folder.path}"] if found.folder else []
    lines += [f"dataset {each.path}" for each in found.datasets]
    lines += [f"{'evaluation' if each.is_evaluation else 'scores'} {each.path}" for each in found.scored]
    lines += [f"run {name}" for name in found.histories]
    lines += ["budget"] if found.budget else []
    return [*lines, *([f"model {found.model}"] if found.model else [])]


if __name__ == "__main__":
    run(main)
