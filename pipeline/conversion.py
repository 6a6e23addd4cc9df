"""What the commands that make a data set of recordings share: options, what is refused, the way to the manifest."""

import argparse
import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from pipeline import commands, dataset, directories, metadata, sharding, splits, storage, vocabulary
from pipeline.commands import UserError
from pipeline.metadata import Entry, Metadata
from pipeline.parquet import Fault
from pipeline.runners import Runner
from pipeline.sequences import Sequence
from pipeline.sharding import Shard, ShardReport, ShardWriter
from pipeline.splits import SPLITS, SplitRule
from pipeline.storage import Path

NO_LANDMARKS = "no_landmarks"
NO_METADATA = "no_metadata"
EMPTY_LABEL = "empty_label"
UNKNOWN_CHARACTERS = "unknown_characters"


def take(entry: Entry, found: np.ndarray | Fault, split: str, writer: ShardWriter) -> None:
    """Writes a sequence of the metadata, or rejects it for what is wrong with its landmarks, or else with its label."""
    result = (
        found
        if isinstance(found, Fault)
        else _label_fault(entry.label)
        or Sequence(found, entry.label, entry.sequence_id, entry.participant_id, entry.source)
    )
    if isinstance(result, Fault):
        writer.reject(entry.sequence_id, result.reason, file=entry.path, detail=result.detail)
    else:
        writer.write(split, result)


def _label_fault(label: str) -> Fault | None:
    if not label.strip():
        return Fault(EMPTY_LABEL, "its phrase is empty")
    if unknown := vocabulary.unknown_characters(label):
        return Fault(UNKNOWN_CHARACTERS, f"{unknown!r} in {label!r}")
    return None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options that say which sequences are used and how they are split: `rule` reads them."""
    parser.add_argument(
        "--metadata",
        type=names,
        action="extend",
        metavar="FILES",
        help=f"metadata files in DATA, as train.csv,supplemental_metadata.csv; {metadata.FILE_NAME} if not given",
    )
    group = parser.add_argument_group("splits")
    group.add_argument(
        "--validation-participants", type=participants, default=(), metavar="IDS", help="signers to validate on, as 1,2"
    )
    group.add_argument(
        "--test-participants", type=participants, default=(), metavar="IDS", help="signers to test on, as 3,4"
    )
    group.add_argument(
        "--validation-files", type=names, default=(), metavar="PATHS", help="files to validate on, as in the metadata"
    )
    group.add_argument("--test-files", type=names, default=(), metavar="PATHS", help="files to test on")
    group.add_argument(
        "--validation-share",
        type=float,
        default=0.0,
        help="share of the signers (see --split-by) to validate on, if none are listed",
    )
    group.add_argument(
        "--test-share",
        type=float,
        default=0.1,
        help="share of the signers (see --split-by) to test on, if none are listed",
    )
    group.add_argument(
        "--split-by",
        choices=list(splits.UNITS),
        default="participant",
        help="what shares and folds are of, and keep whole; by file or sequence, signers are in several splits",
    )
    group.add_argument(
        "--folds",
        type=commands.positive,
        default=0,
        metavar="K",
        help="divide what is not in test into K folds, to train as often, each time without another one",
    )
    group.add_argument(
        "--fold", type=commands.positive, default=0, metavar="k", help="the fold of 1 to K to validate on"
    )
    trial = parser.add_argument_group("trial runs")
    trial.add_argument(
        "--participants", type=participants, default=(), metavar="IDS", help="use these signers' sequences alone"
    )
    trial.add_argument(
        "--limit", type=commands.positive, metavar="N", help="use only the first N sequences of the metadata"
    )


def rule(args: argparse.Namespace) -> SplitRule:
    return SplitRule(
        validation_participants=args.validation_participants,
        test_participants=args.test_participants,
        validation_share=args.validation_share,
        test_share=args.test_share,
        by=args.split_by,
        validation_files=args.validation_files,
        test_files=args.test_files,
        folds=args.folds,
        fold=args.fold,
        participants=args.participants,
        limit=args.limit,
    )


def participants(text: str) -> tuple[int, ...]:
    """Comma-separated participant ids, for argparse."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of participant ids, such as 3,17") from None


def names(text: str) -> tuple[str, ...]:
    """Comma-separated names of files, for argparse."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of files, such as one.csv,two.csv")
    return found


def read_metadata(data: Path, sha256: Iterable[tuple[str, str]]) -> Metadata:
    """The metadata files with these names and hashes, for a worker.

    Raises:
      UserError: they are not what they were when the job began.
    """
    table = metadata.read(data, [name for name, _ in sha256])
    if table.sha256 != dict(sha256):
        raise UserError(f"{data}: {', '.join(table.sha256)} changed while it was converted: start again")
    return table


def input_sizes(data: Path, table: Metadata, used: Collection[str]) -> dict[str, int]:
    """Bytes of each file in `data` that is used, by its name. Mentions others of their kind."""
    folders = {path.rpartition("/")[0] for path in table.by_path}
    kinds = {pathlib.PurePath(path).suffix for path in table.by_path}
    found = {
        f"{folder}/{name}".lstrip("/"): size
        for folder in folders
        for name, size in storage.file_sizes(data / folder).items()
        if pathlib.PurePath(name).suffix in kinds
    }
    named_by = ", ".join(table.sha256)
    if missing := sorted(set(used) - found.keys()):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{data} lacks {missing[0]}{more}, of {len(used)} files that {named_by} names: download or unpack them"
        )
    if unnamed := sorted(found.keys() - table.by_path.keys()):
        commands.console.print(f"{len(unnamed)} files are not in {named_by} and ignored: {unnamed[0]} ...")
    return {path: found[path] for path in sorted(used)}


def request(
    made_from: str, table: Metadata, sizes: Mapping[str, int], *, num_shards: int, rule: SplitRule
) -> directories.Request:
    """What a data set is made from, all that decides its content, and the plan of its shards."""
    return directories.Request(
        dataset.KIND,
        {
            "from": made_from,
            "task": dataset.TASK,
            "metadata": [[name, sha256] for name, sha256 in table.sha256.items()],  # --limit goes by their order
            "files": dict(sizes),
            "shards": sharding.plan(sizes, num_shards),
            "split": rule.as_json(),
        },
    )


def build(
    output: Path,
    request: directories.Request,
    make_shard: Callable[[Shard], None],
    *,
    used: Collection[int],
    title: str,
    runner: Runner,
) -> None:
    """Makes the data set `output` of `request`, every shard by `make_shard`; finds a complete one done.

    Args:
      used: the ids of the metadata's sequences that are used: each must be written or rejected, once.

    Raises:
      UserError: of `directories.prepare` and `dataset.finish`; a shard could not be made.
    """
    if directories.prepare(output, request):
        print(f"{output} is already complete")
        return
    from pipeline import transforms  # Apache Beam takes seconds to import: only when there is work to do

    reports = transforms.make_shards(
        make_shard, request, directory=output, runner=runner, sequences=len(used), title=title
    )
    check_accounts(reports, used)
    print(_summary(output, dataset.finish(output, request, reports, content={})))


def check_accounts(reports: Collection[ShardReport], used: Collection[int]) -> None:
    """In both directions: every sequence used was written or rejected, once, and nothing else was written."""
    written = [each.sequence_id for report in reports for each in report.sequences]
    rejected = [row["sequence_id"] for report in reports for row in report.rejected if row["reason"] != NO_METADATA]
    if sorted(written + rejected) != sorted(used):
        raise RuntimeError(
            f"the metadata has {len(used)} sequences, but {len(written)} were written and {len(rejected)} rejected"
        )


def _summary(output: Path, manifest: dict[str, Any]) -> str:
    counts = ", ".join(f"{manifest['splits'][split]['sequences']:,} {split}" for split in SPLITS)
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in manifest["rejected"].items()) or "none"
    return (
        f"{output}: {manifest['read']:,} sequences read ({manifest['bytes_read'] / 1e6:,.1f} MB),"
        f" {manifest['written']:,} written ({counts}; {manifest['bytes_written'] / 1e6:,.1f} MB);"
        f" rejected: {rejected}\n"
        f"next: python -m training.train --dataset {output} --output RUN --preset base"
    )
