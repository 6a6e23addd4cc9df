"""How good a preset is on signers that it has not seen: trained once without each of several groups of them.

    python -m scripts.benchmarks.signers --data DATA --output out/signers --preset small --groups 5
    python -m scripts.benchmarks.signers --data DATA --output out/signers --preset small --groups 5 --signers 3

Signers, in the order of their numbers, are dealt out to the groups, so that no two groups share one. For each group the
data are converted with it as the test split, a model is trained on the others, and the group's clips are scored. The
score of all groups' clips together, with its interval, is printed, and kept in OUTPUT/report.json. Interrupted, the
same command continues.
"""

from collections.abc import Sequence

from pipeline.beam import conversion
from pipeline.common import directories, errors
from pipeline.common.arguments import Parser, as_word, path, positive
from pipeline.common.errors import UserError
from pipeline.common.progress import console
from pipeline.dataset.splits import TEST
from pipeline.report import read_rows
from pipeline.scores import analysis, display
from pipeline.scores.score_table import Row
from scripts.benchmarks.trials import stage
from training import config


def deal(signers: Sequence[int], groups: int, most: int | None) -> list[list[int]]:
    """Disjoint groups of at most `most` signers.

    Raises:
      UserError: there are too few, or none is left to train on.
    """
    dealt = [sorted(signers)[first::groups][:most] for first in range(groups)]
    if not dealt[-1] or len(dealt[0]) == len(signers):
        raise UserError(f"{len(signers)} signers are too few for {groups} groups to test on, each without the others")
    return dealt


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=path, required=True, help="folder with the metadata and the parquet files")
    parser.add_argument("--output", type=path, required=True, help="directory for everything that is made")
    parser.add_argument("--task", metavar="NAME|FILE", help="as of pipeline.convert")
    parser.add_argument("--preset", choices=list(config.PRESETS), required=True, help="of training.train")
    parser.add_argument("--groups", type=positive, default=5, metavar="K", help="how many models are trained")
    parser.add_argument(
        "--signers", type=positive, metavar="N", help="at most so many in a group; if not given, all are dealt out"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a training setting; may be repeated"
    )
    args = parser.parse_args()
    config.resolve(args.preset, overrides=args.set)
    table, task = conversion.listed(args.data, args.task)
    groups = deal(table.signers, args.groups, args.signers)
    settings = ["--preset", args.preset, *(word for change in args.set for word in ("--set", change))]
    rows: dict[int, Row] = {}
    reports = []
    for number, signers in enumerate(groups, 1):
        shown = ",".join(map(str, signers))
        console.rule(f"{number}/{len(groups)} signers {shown}", align="left")
        dataset, trained, scores = (args.output / f"{name}-{number}" for name in ("dataset", "run", "scores"))
        data = ["--data", as_word(args.data), "--task", args.task or task.name, "--test-signers", shown]
        stage("pipeline.convert", *data, output=dataset)
        stage("training.train", "--dataset", as_word(dataset), *settings, output=trained)
        stage("training.score", "--run", as_word(trained), "--dataset", as_word(dataset), output=scores)
        _, found = read_rows(scores, TEST, left_out=set())
        reports.append({"test_signers": signers, "score": analysis.report(found.values(), task)["score"]})
        rows |= found
    report = analysis.report(rows.values(), task)
    directories.write_json(args.output / "report.json", {"models": reports, **report})
    display.show(report, display.screen(), title=f"test clips of all {len(groups)} groups")


if __name__ == "__main__":
    errors.run(main)
