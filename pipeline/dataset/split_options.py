"""The options of a command line that say which clips are used, and how they are split: the fields of `SplitRule`."""

import argparse
import dataclasses
from typing import Any

from pipeline.common.arguments import positive
from pipeline.dataset.splits import UNITS, SplitRule


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options, which `rule` reads, and `--metadata`."""
    parser.add_argument(
        "--metadata",
        type=names,
        action="extend",
        metavar="FILES",
        help="metadata files in DATA, e.g. train.csv,supplemental_metadata.csv; the task's usual one if not given",
    )
    group = parser.add_argument_group("splits")
    for field in dataclasses.fields(SplitRule):
        name = f"--{field.name.replace('_', '-')}"
        settings: dict[str, Any] = {"default": field.default, "help": field.metadata["help"]}
        if field.name == "by":
            group.add_argument("--split-by", dest="by", choices=UNITS, **settings)
        elif field.name.endswith("signers"):
            group.add_argument(name, type=signers, metavar="IDS", **settings)
        elif field.name.endswith("files"):
            group.add_argument(name, type=names, metavar="PATHS", **settings)
        elif field.name.endswith("share"):
            group.add_argument(name, type=float, metavar="SHARE", **settings)
        else:
            group.add_argument(name, type=positive, metavar="N", **settings)


def rule(args: argparse.Namespace) -> SplitRule:
    return SplitRule(**{field.name: getattr(args, field.name) for field in dataclasses.fields(SplitRule)})


def signers(text: str) -> tuple[int, ...]:
    """Comma-separated ids of signers, for argparse."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of signers, such as 3,17") from None


def names(text: str) -> tuple[str, ...]:
    """Comma-separated names of files, for argparse."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of files, such as one.csv,two.csv")
    return found
