"""Tells what a directory made by this program holds.

    python -m pipeline.inspect out/dataset
    python -m pipeline.inspect out/dataset --verify
    python -m pipeline.inspect out/dataset --record 435344989

Of a dataset: how many sequences, whose, how long; what was rejected; what its splits share. --verify reads all of it
and says "ok", or lists what is damaged and exits with status 1. Of any other directory: what its manifest says.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline import accounts, commands, dataset, directories, verify
from pipeline import landmarks as lm
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.sequences import Sequence, frames_without_hands, hand_frames, passes_length_rule
from pipeline.sharding import RecordFile
from pipeline.splits import SPLITS
from pipeline.storage import Path

_LONG = 12
_GROUPS = {
    "face": lm.FACE,
    "right hand": lm.RIGHT_HAND,
    "left hand": lm.LEFT_HAND,
    "right pose": lm.RIGHT_POSE,
    "left pose": lm.LEFT_POSE,
}


def describe(found: Dataset) -> Iterator[str]:
    """Yields what there is to know of a data set, line by line, from its manifest and statistics.

    Raises:
      KeyError: an earlier version made it.
    """
    manifest = found.manifest
    splits = {split: manifest["splits"][split] for split in SPLITS}
    size, count = manifest["bytes_written"] / 1e6, sum(len(shard["files"]) for shard in manifest["shards"])
    yield f"{found.path}: dataset made from {manifest['settings']['from']}, {count:,} record files, {size:,.1f} MB"
    yield f"records   {found.fingerprint}"
    rule = {name: value for name, value in manifest["settings"].get("split", {}).items() if value}
    yield f"split     {', '.join(f'{name} {value}' for name, value in rule.items()) or 'as its parent'}"
    yield f"command   {manifest['command']}"
    yield f"versions  {', '.join(f'{name} {version}' for name, version in manifest['versions'].items())}"
    yield ""
    yield from _table(splits)
    yield ""
    for split, each in splits.items():
        signers = ", ".join(f"{who} ({n:,})" for who, n in each["sequences_of_participant"].items())
        yield f"signers of {split} (sequences): {signers or 'none'}"
    for pair, shared in manifest["overlap"].items():
        first, second = pair.split("/")
        yield (
            f"{first} and {second} share {shared['participants']:,} signers, {shared['sequences']:,} sequences,"
            f" {shared['phrases']:,} phrases: those of {shared['sequences_with_shared_phrase']:,} of the"
            f" {splits[second]['sequences']:,} {second} sequences"
        )
    yield ""
    rejected = manifest["rejected"]
    yield f"{manifest['read']:,} read = {manifest['written']:,} written + {sum(rejected.values()):,} rejected"
    yield f"rejected: {_counts(rejected) or 'none'} (listed in {manifest['rejected_file']})"
    yield f"infinite coordinates, now missing: {manifest['infinite_values']:,}"
    yield (
        f"statistics of {len(found.mean)} features: means {found.mean.min():.3g} to {found.mean.max():.3g},"
        f" deviations {found.std.min():.3g} to {found.std.max():.3g}"
    )
    if "parent" in manifest:
        settings = manifest["settings"]
        yield ""
        yield f"filtered from {manifest['parent']['path']}, records {manifest['parent']['fingerprint']}"
        yield f"threshold {settings['threshold']} ({settings['threshold_was']})"
        for who, counts in manifest["dropped_by_participant"].items():
            dropped = {reason: n for reason, n in counts.items() if reason != "read"}
            yield f"dropped of the {counts['read']:,} sequences of signer {who}: {_counts(dropped)}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in counts.items())


def _table(splits: dict[str, dict[str, Any]]) -> Iterator[str]:
    columns = list(splits.values())
    rows: dict[str, list[Any]] = {
        "": list(splits),
        "sequences": [f"{each['sequences']:,}" for each in columns],
        "signers": [len(each["participants"]) for each in columns],
        "frames": [f"{each['frames']:,}" for each in columns],
        "without a hand": [f"{each['frames_without_hands'] / max(1, each['frames']):.1%}" for each in columns],
    }
    for what in ("frames", "characters"):
        spreads = [each[f"{what}_per_sequence"] for each in columns]
        rows |= {f"{what}: {key}": [each.get(key, "") for each in spreads] for key in accounts.SPREAD}
    for source in sorted({source for each in columns for source in each["sequences_of_source"]}):
        rows[f"of {source}"] = [f"{each['sequences_of_source'].get(source, 0):,}" for each in columns]
    for name, cells in rows.items():
        yield f"{name:24}" + "".join(f"{cell:>12}" for cell in cells)


def describe_record(found: Dataset, sequence_id: int) -> Iterator[str]:
    """Yields what there is to know of one sequence.

    Raises:
      UserError: there is none with this id.
    """
    file, sequence = _find(found, sequence_id)
    landmarks_TxPx2 = sequence.landmarks
    rule = "passes" if passes_length_rule(landmarks_TxPx2, sequence.label) else "does not pass"
    yield f"sequence {sequence_id} in {file.name}, from {sequence.source}"
    yield f"signer {sequence.participant_id}, {len(sequence.label)} characters: {sequence.label!r}"
    yield (
        f"{sequence.num_frames} frames: {frames_without_hands(landmarks_TxPx2)} without a hand,"
        f" {hand_frames(landmarks_TxPx2)} with the hand seen more often; it {rule} the length rule"
    )
    for group, points in _GROUPS.items():
        values = landmarks_TxPx2[:, points].reshape(-1, 2)
        seen = values[~np.isnan(values).any(axis=1)]
        (x, y), (to_x, to_y) = (seen.min(axis=0), seen.max(axis=0)) if len(seen) else np.full((2, 2), np.nan)
        yield f"{group:10} {len(seen) / len(values):6.1%} seen, x {x:.3f} to {to_x:.3f}, y {y:.3f} to {to_y:.3f}"


def _find(found: Dataset, sequence_id: int) -> tuple[RecordFile, Sequence]:
    """The sequence and the file it is in: the reports of the shards say which."""
    for shard in found.manifest["shards"]:
        path = verify.report_path(found, shard)
        report = verify.read_report(path)
        if report is None or report.summary() != shard:
            raise UserError(f"{path} is missing or damaged: --verify tells how to mend it")
        split = next((each.split for each in report.sequences if each.sequence_id == sequence_id), None)
        if split:
            file = next(file for file in report.files if file.split == split)
            return file, next(each for each in found.read_file(file) if each.sequence_id == sequence_id)
        for each in report.rejected:
            if each["sequence_id"] == sequence_id:
                raise UserError(f"sequence {sequence_id} was rejected: {json.dumps(each, ensure_ascii=False)}")
    raise UserError(f"{found.path} has no sequence {sequence_id}, and rejected none")


def describe_manifest(manifest: dict[str, Any], name: str = "") -> Iterator[str]:
    """Yields the numbers and texts of a manifest, by their names with dots; long lists are left out."""
    for key, value in manifest.items():
        if isinstance(value, dict):
            yield from describe_manifest(value, f"{name}{key}.")
        elif not isinstance(value, list) or len(value) <= _LONG:
            yield f"{name}{key}: {value}"


def main() -> None:
    parser = commands.Parser(__doc__)
    parser.add_argument("directory", type=commands.path, help="a dataset, run, model, ...: anything with a manifest")
    parser.add_argument("--verify", action="store_true", help="read a dataset and check every checksum and count")
    parser.add_argument("--record", type=int, metavar="ID", help="show one sequence of a dataset")
    args = parser.parse_args()
    if not args.verify and args.record is None and (kind := _kind(args.directory)) != dataset.KIND:
        print(f"{args.directory}: {kind}")
        print("\n".join(describe_manifest(directories.read_manifest(args.directory, kind))))
        return
    found = Dataset.open(args.directory)
    if args.verify:
        _verify(found)
        return
    try:
        lines = describe(found) if args.record is None else describe_record(found, args.record)
        print("\n".join(lines))
    except KeyError as error:
        raise UserError(
            f"{args.directory} tells nothing of {error}: an earlier version of this program made it; make it again"
        ) from error


def _kind(directory: Path) -> str:
    """The kind of a complete directory; that of a dataset where there is nothing to tell."""
    path = directory / directories.MANIFEST
    kind = directories.read_json(path).get("kind") if path.is_file() else None
    return kind if isinstance(kind, str) else dataset.KIND


def _verify(found: Dataset) -> None:
    wrong = list(verify.problems(found))
    for line in wrong:
        print(line)
    if wrong:
        # Without the right request, what is there is taken for something else, and not made again.
        anew = any(line.startswith(str(found.path / directories.REQUEST)) for line in wrong)
        spoiled = found.path if anew else f"these files and {found.path / directories.MANIFEST}"
        print(f"to mend it, delete {spoiled}, and run again what made it:")
        print(found.manifest.get("command"))
        sys.exit(1)
    print(f"ok: {found.path}, every record and count")


if __name__ == "__main__":
    commands.run(main)
