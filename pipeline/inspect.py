"""Tells what a directory made by this program holds.

    python -m pipeline.inspect out/dataset
    python -m pipeline.inspect out/dataset --verify
    python -m pipeline.inspect out/dataset --record 435344989

Of a dataset: how many clips, whose, how long; what was rejected; what its splits share. --verify reads all of it
and says "ok", or lists what is damaged and exits with status 1. Of any other directory: what its manifest says.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.common import arguments, directories, errors
from pipeline.common.errors import UserError
from pipeline.dataset import dataset, summary, verify
from pipeline.dataset.clips import Clip, ClipInfo
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.sharding import RecordFile
from pipeline.dataset.splits import SPLITS

_LONG = 12  # lists of a manifest that are longer are left out


def describe(found: Dataset) -> Iterator[str]:
    """Yields what there is to know of a dataset, line by line, from its manifest and statistics.

    Raises:
      KeyError: the manifest is damaged.
    """
    manifest = found.manifest
    splits = {split: manifest["splits"][split] for split in SPLITS}
    size, count = manifest["bytes_written"] / 1e6, sum(len(shard["files"]) for shard in manifest["shards"])
    yield f"{found.path}: dataset made from {manifest['settings']['from']}, {count:,} record files, {size:,.1f} MB"
    yield f"records   {found.fingerprint}"
    rule = {name: value for name, value in manifest["settings"]["split"].items() if value}
    yield f"split     {', '.join(f'{name} {value}' for name, value in rule.items()) or 'none'}"
    yield f"command   {manifest['command']}"
    yield f"versions  {', '.join(f'{name} {version}' for name, version in manifest['versions'].items())}"
    yield ""
    yield from _table(found, splits)
    yield ""
    for split, each in splits.items():
        signers = ", ".join(f"{who} ({n:,})" for who, n in each["clips_of_signer"].items())
        yield f"signers of {split} (clips): {signers or 'none'}"
    for pair, shared in manifest["overlap"].items():
        first, second = pair.split("/")
        yield (
            f"{first} and {second} share {shared['signers']:,} signers, {shared['clips']:,} clips,"
            f" {shared['labels']:,} labels: those of {shared['clips_with_shared_label']:,} of the"
            f" {splits[second]['clips']:,} {second} clips"
        )
    yield ""
    rejected = manifest["rejected"]
    yield f"{manifest['read']:,} read = {manifest['written']:,} written + {sum(rejected.values()):,} rejected"
    yield f"rejected: {_counts(rejected) or 'none'} (listed in {manifest['rejected_file']})"
    yield f"infinite values, now missing: {manifest['infinite_values']:,}"
    yield from (f"looks wrong: {complaint}" for complaint in manifest.get("complaints", ()))
    yield (
        f"statistics of {len(found.mean)} features: means {found.mean.min():.3g} to {found.mean.max():.3g},"
        f" deviations {found.std.min():.3g} to {found.std.max():.3g}"
    )
    if "parent" in manifest:
        settings = manifest["settings"]
        yield ""
        yield f"filtered from {manifest['parent']['path']}, records {manifest['parent']['fingerprint']}"
        yield f"threshold {settings['threshold']} ({settings['threshold_was']})"
        for who, counts in manifest["dropped_by_signer"].items():
            dropped = {reason: n for reason, n in counts.items() if reason != "read"}
            yield f"dropped of the {counts['read']:,} clips of signer {who}: {_counts(dropped)}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in counts.items())


def _table(found: Dataset, splits: dict[str, dict[str, Any]]) -> Iterator[str]:
    columns = list(splits.values())
    rows: dict[str, list[Any]] = {
        "": list(splits),
        "clips": [f"{each['clips']:,}" for each in columns],
        "signers": [len(each["signers"]) for each in columns],
        "frames": [f"{each['frames']:,}" for each in columns],
        f"without {found.task.visible}": [f"{each['frames_unseen'] / max(1, each['frames']):.1%}" for each in columns],
    }
    for key, what in (("frames", "frames"), ("units", found.task.unit)):
        spreads = [each[f"{key}_per_clip"] for each in columns]
        rows |= {f"{what}: {name}": [each.get(name, "") for each in spreads] for name in summary.SPREAD}
    for source in sorted({source for each in columns for source in each["clips_of_source"]}):
        rows[f"of {source}"] = [f"{each['clips_of_source'].get(source, 0):,}" for each in columns]
    for name, cells in rows.items():
        yield f"{name:24}" + "".join(f"{cell:>12}" for cell in cells)


def describe_record(found: Dataset, sequence_id: int) -> Iterator[str]:
    """Yields what there is to know of one clip.

    Raises:
      UserError: there is none with this id.
    """
    file, info, clip = _find(found, sequence_id)
    task = found.task
    rule = "passes" if info.plausible else "does not pass"
    yield f"clip {sequence_id} in {file.name}, from {clip.source}"
    yield f"signer {clip.signer}, {task.units(clip.label)} {task.unit}: {clip.label!r}"
    yield (
        f"{clip.num_frames} frames, {info.frames_unseen} without {task.visible};"
        f" it {rule} the rule for training a base model: {task.plausible_rule}"
    )
    for group, points in task.points.groups.items():
        values = clip.landmarks[:, points].reshape(-1, len(task.points.axes))
        seen = values[~np.isnan(values).any(axis=1)]
        low, high = (seen.min(axis=0), seen.max(axis=0)) if len(seen) else np.full((2, values.shape[1]), np.nan)
        spans = (f"{axis} {a:.3f} to {b:.3f}" for axis, a, b in zip(task.points.axes, low, high, strict=True))
        yield f"{group.replace('_', ' '):10} {len(seen) / len(values):6.1%} seen, {', '.join(spans)}"


def _find(found: Dataset, sequence_id: int) -> tuple[RecordFile, ClipInfo, Clip]:
    """The clip and the file it is in: the reports of the shards say which."""
    for report in found.reports:
        for info in report.clips:
            if info.sequence_id == sequence_id:
                file = next(file for file in report.files if file.split == info.split)
                clip = next(each for each in found.read_file(file) if each.sequence_id == sequence_id)
                return file, info, clip
        for each in report.rejected:
            if each["sequence_id"] == sequence_id:
                raise UserError(f"clip {sequence_id} was rejected: {json.dumps(each, ensure_ascii=False)}")
    raise UserError(f"{found.path} has no clip {sequence_id}, and rejected none")


def describe_manifest(manifest: dict[str, Any], name: str = "") -> Iterator[str]:
    """Yields the numbers and texts of a manifest, by their names with dots; long lists are left out."""
    for key, value in manifest.items():
        if isinstance(value, dict):
            yield from describe_manifest(value, f"{name}{key}.")
        elif not isinstance(value, list) or len(value) <= _LONG:
            yield f"{name}{key}: {value}"


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("directory", type=arguments.path, help="a dataset, run, model, ...: anything with a manifest")
    parser.add_argument("--verify", action="store_true", help="read a dataset and check every checksum and count")
    parser.add_argument("--record", type=int, metavar="ID", help="show one clip of a dataset")
    args = parser.parse_args()
    if not args.verify and args.record is None:
        manifest = directories.read_manifest(args.directory)
        if manifest["kind"] != dataset.KIND:
            print(f"{args.directory}: {manifest['kind']}")
            print("\n".join(describe_manifest(manifest)))
            return
    found = Dataset.open(args.directory)
    if args.verify:
        _verify(found)
        return
    try:
        print("\n".join(describe(found) if args.record is None else describe_record(found, args.record)))
    except KeyError as error:
        path = args.directory / directories.MANIFEST
        raise UserError(f"{path} is damaged ({error}): delete {args.directory} and make it again") from error


def _verify(found: Dataset) -> None:
    wrong = list(verify.problems(found))
    for line in wrong:
        print(line)
    if wrong:
        # Without the right request, what is there is taken for something else, and not made again.
        anew = any(line.startswith(str(found.path / directories.REQUEST)) for line in wrong)
        spoiled = found.path if anew else f"these files and {found.path / directories.MANIFEST}"
        print(f"to repair it, delete {spoiled}, and run again what made it:")
        print(found.manifest.get("command"))
        sys.exit(1)
    print(f"ok: {found.path}, every record and count")


if __name__ == "__main__":
    errors.run(main)
