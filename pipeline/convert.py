"""Converts landmark parquet files in the Kaggle layout into a dataset of TFRecord shards.

    python -m pipeline.convert --data data/fingerspelling --test-participants 3 --output out/dataset

DATA holds train.csv (path, sequence_id, participant_id, phrase) and the parquet files it names: one row a video frame,
columns sequence_id and {x,y}_{face,left_hand,pose,right_hand}_{i}. An interrupted conversion goes on where it stopped
when the same command is run again.
"""

import argparse
import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping

from pipeline import commands, dataset, directories, metadata, parquet, sharding, vocabulary
from pipeline.commands import UserError
from pipeline.metadata import Entry
from pipeline.sequences import Sequence
from pipeline.sharding import Shard, ShardReport, ShardWriter
from pipeline.splits import SPLITS, SplitRule

NO_LANDMARKS = "no_landmarks"
NO_METADATA = "no_metadata"
DUPLICATE = "duplicate_sequence"
EMPTY_LABEL = "empty_label"
UNKNOWN_CHARACTERS = "unknown_characters"


@dataclasses.dataclass(frozen=True)
class ConvertShard:
    """Makes one shard of `output` from parquet files of `data`: see `convert_shard`.

    Reads the metadata itself, so that what travels to a worker stays small; `metadata_sha256` says which.
    """

    data: pathlib.Path
    output: pathlib.Path
    metadata_sha256: str
    split_of: dict[int, str]

    def __call__(self, shard: Shard) -> None:
        table = metadata.read(self.data)
        if table.sha256 != self.metadata_sha256:
            raise UserError(f"{self.data / metadata.FILE_NAME} changed while it was converted: start again")
        with ShardWriter(self.output, shard) as writer:
            for path in shard.files:
                convert_file(self.data, path, table, self.split_of, writer)


def convert_file(
    data: pathlib.Path, path: str, table: metadata.Metadata, split_of: Mapping[int, str], writer: ShardWriter
) -> None:
    """Streams `data/path`: every run of rows and every row of the metadata is either written or rejected, once.

    Raises:
      UserError: the file cannot be read.
    """
    expected = {entry.sequence_id: entry for entry in table.entries.values() if entry.path == path}
    met: set[int] = set()
    for sequence_id, landmarks in parquet.read_runs(data / path):
        entry = expected.get(sequence_id)
        reason, detail = _objection(entry, sequence_id, met, table)
        met.add(sequence_id)
        if entry is None or reason:
            writer.reject(sequence_id, reason, file=path, detail=detail)
            continue
        sequence = Sequence(landmarks, entry.label, sequence_id, entry.participant_id, table.source)
        writer.write(split_of[entry.participant_id], sequence)
    for sequence_id in [sequence_id for sequence_id in expected if sequence_id not in met]:
        writer.reject(sequence_id, NO_LANDMARKS, file=path, detail="the metadata names it, the file has no row of it")


def _objection(entry: Entry | None, sequence_id: int, met: set[int], table: metadata.Metadata) -> tuple[str, str]:
    """(reason, detail) to reject a run of rows, or two empty strings."""
    if sequence_id in met:
        return DUPLICATE, "its rows are not adjacent: this is a later part"
    if entry is None:
        elsewhere = table.entries.get(sequence_id)
        detail = f"the metadata says {elsewhere.path}" if elsewhere else "the metadata has no row of it"
        return NO_METADATA, detail
    if not entry.label.strip():
        return EMPTY_LABEL, "its phrase is empty"
    if unknown := vocabulary.unknown_characters(entry.label):
        return UNKNOWN_CHARACTERS, f"{unknown!r} in {entry.label!r}"
    return "", ""


def convert(data: pathlib.Path, output: pathlib.Path, rule: SplitRule, *, num_shards: int | None, workers: int) -> None:
    """Makes the dataset `output` from `data`; finds a complete one done.

    Args:
      num_shards: one per parquet file where None.

    Raises:
      UserError: of `metadata.read`, `SplitRule.assign`, `directories.prepare`; parquet files are missing or unreadable;
        nothing could be written.
    """
    table = metadata.read(data)
    sizes = _input_sizes(data, table)
    split_of = rule.assign(table.participants)
    plan = sharding.plan(sizes, num_shards or len(sizes))
    request = directories.Request(
        dataset.KIND,
        {
            "from": "parquet",
            "task": dataset.TASK,
            "metadata": {"source": table.source, "sha256": table.sha256},
            "files": sizes,
            "shards": plan,
            "split": rule.as_json(),
        },
    )
    if directories.prepare(output, request):
        print(f"{output} is already complete")
        return
    from pipeline import transforms  # Apache Beam takes seconds to import: only when there is work to do

    shards = sharding.shards_of(request, plan)
    transforms.make_shards(
        ConvertShard(data, output, table.sha256, split_of),
        shards,
        directory=output,
        workers=workers,
        title="converting",
    )
    reports = sharding.read_reports(output, shards)
    _check_accounts(reports, len(table.entries))
    manifest = dataset.finish(output, request, reports, participants=split_of, content={})
    print(_summary(output, manifest))


def _input_sizes(data: pathlib.Path, table: metadata.Metadata) -> dict[str, int]:
    """Bytes of each parquet file that the metadata names. Mentions those that it does not name."""
    missing = [path for path in table.paths if not (data / path).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{data} lacks {missing[0]}{more}, of {len(table.paths)} files that {metadata.FILE_NAME} names: download or"
            " unpack them"
        )
    folders = {(data / path).parent for path in table.paths}
    found = {file.relative_to(data).as_posix() for folder in folders for file in folder.glob("*.parquet")}
    if unnamed := sorted(found - set(table.paths)):
        commands.console.print(
            f"{len(unnamed)} parquet files are not in {metadata.FILE_NAME} and ignored: {unnamed[0]} ..."
        )
    return {path: (data / path).stat().st_size for path in table.paths}


def _check_accounts(reports: Iterable[ShardReport], rows: int) -> None:
    """Every row of the metadata was written or rejected, once; `dataset.finish` checks the same of what was read."""
    reasons: collections.Counter[str] = collections.Counter()
    written = 0
    for report in reports:
        reasons += report.reasons
        written += report.written
    rejected = reasons[NO_LANDMARKS] + reasons[EMPTY_LABEL] + reasons[UNKNOWN_CHARACTERS]
    if rows != written + rejected:
        raise RuntimeError(f"the metadata has {rows} rows, but {written} were written and {rejected} rejected")


def _summary(output: pathlib.Path, manifest: dict) -> str:
    splits = ", ".join(f"{manifest['splits'][split]['sequences']:,} {split}" for split in SPLITS)
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in manifest["rejected"].items()) or "none"
    return (
        f"{output}: {manifest['read']:,} sequences read, {manifest['written']:,} written ({splits});"
        f" rejected: {rejected}\n"
        f"next: python -m training.train --dataset {output} --output RUN --preset base"
    )


def participants(text: str) -> tuple[int, ...]:
    """Comma-separated participant ids, for argparse."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of participant ids, such as 3,17") from None


def main() -> None:
    parser = commands.Parser(__doc__)
    parser.add_argument(
        "--data", type=commands.path, required=True, help="directory with train.csv and its parquet files"
    )
    parser.add_argument(
        "--output", type=commands.path, required=True, help="directory for the dataset: new, or unfinished"
    )
    parser.add_argument(
        "--validation-participants", type=participants, default=(), metavar="IDS", help="signers to validate on, as 1,2"
    )
    parser.add_argument(
        "--test-participants", type=participants, default=(), metavar="IDS", help="signers to test on, as 3,4"
    )
    parser.add_argument(
        "--validation-share", type=float, default=0.0, help="share of the signers to validate on, if none are listed"
    )
    parser.add_argument(
        "--test-share", type=float, default=0.1, help="share of the signers to test on, if none are listed"
    )
    parser.add_argument(
        "--shards", type=commands.positive, help="number of shards: more for more workers; one per file if not given"
    )
    parser.add_argument(
        "--workers", type=commands.positive, default=os.cpu_count() or 1, help="processes to convert with"
    )
    args = parser.parse_args()
    rule = SplitRule(args.validation_participants, args.test_participants, args.validation_share, args.test_share)
    convert(args.data, args.output, rule, num_shards=args.shards, workers=args.workers)


if __name__ == "__main__":
    commands.run(main)
