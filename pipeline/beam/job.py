"""The way from input files to a complete dataset: what is asked for, made on any runner, and accounted for."""

import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import isal
import numpy as np
import pyarrow as pa

from pipeline.beam.runners import Runner
from pipeline.common import directories, progress, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import dataset, metadata, sharding, summary
from pipeline.dataset.metadata import Metadata
from pipeline.dataset.sharding import Shard, ShardReport
from pipeline.dataset.splits import SPLITS, TRAIN, SplitRule
from pipeline.tasks.faults import NO_METADATA
from pipeline.tasks.task import Task


def read_metadata(data: AnyPath, task: Task, sha256: Iterable[tuple[str, str]]) -> Metadata:
    """The metadata files with these names and hashes, for a worker.

    Raises:
      UserError: they are not what they were when the job began.
    """
    table = metadata.read(data, task.metadata, [name for name, _ in sha256])
    if table.sha256 != dict(sha256):
        raise UserError(f"{data}: {', '.join(table.sha256)} changed while it was converted: start again")
    return table


def input_sizes(data: AnyPath, table: Metadata, used: Collection[str]) -> dict[str, int]:
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
        progress.console.print(f"{len(unnamed)} files are not in {named_by} and ignored: {unnamed[0]} ...")
    return {path: found[path] for path in sorted(used)}


def make_from_metadata(
    output: AnyPath,
    data: AnyPath,
    task: Task,
    table: Metadata,
    rule: SplitRule,
    make_shard: Callable[[Shard], None],
    *,
    split_of: Mapping[int, str],
    made_from: str,
    num_shards: int,
    runner: Runner,
    title: str,
) -> None:
    """Makes the dataset `output` from files of `data` that the metadata names, unless it is complete.

    Args:
      split_of: the splits that `rule` gives the clips that are used.

    Raises:
      UserError: of `make_dataset`; files are missing.
    """
    sizes = input_sizes(data, table, {table.entries[sequence_id].path for sequence_id in split_of})
    manifest = make_dataset(
        output,
        request(made_from, task, table, sizes, num_shards=num_shards, rule=rule),
        make_shard,
        task,
        clips=len(split_of),
        runner=runner,
        title=title,
        check=lambda reports: check_accounts(reports, split_of),
    )
    if manifest:
        print(account(output, manifest))


def request(
    made_from: str, task: Task, table: Metadata, sizes: dict[str, int], *, num_shards: int, rule: SplitRule
) -> directories.Request:
    """What a dataset is made from, all that decides its content, and the plan of its shards."""
    settings = {
        "from": made_from,
        "task": task.as_json(),
        "metadata": [[name, sha256] for name, sha256 in table.sha256.items()],  # --limit goes by their order
        "files": sizes,
        "shards": sharding.plan(sizes, num_shards),
        "split": rule.as_json(),
    }
    return directories.Request(dataset.KIND, settings)


def account(output: AnyPath, manifest: dict[str, Any]) -> str:
    """What became of what was read, for people, and what to do next."""
    counts = ", ".join(f"{manifest['splits'][split]['clips']:,} {split}" for split in SPLITS)
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in manifest["rejected"].items()) or "none"
    return (
        f"{output}: {manifest['read']:,} clips read ({manifest['bytes_read'] / 1e6:,.1f} MB),"
        f" {manifest['written']:,} written ({counts}; {manifest['bytes_written'] / 1e6:,.1f} MB);"
        f" rejected: {rejected}\nnext: python -m training.train --dataset {output} --output RUN --preset base"
    )


def make_dataset(
    output: AnyPath,
    request: directories.Request,
    make_shard: Callable[[Shard], None],
    task: Task,
    *,
    clips: int,
    title: str,
    runner: Runner,
    rejected_name: str = dataset.REJECTED,
    check: Callable[[list[ShardReport]], None] = lambda reports: None,
    content: Callable[[list[ShardReport]], dict[str, Any]] = lambda reports: {},
) -> dict[str, Any] | None:
    """Makes the dataset `output` of `request`, every shard by `make_shard`.

    Args:
      clips: how many there are to read.
      rejected_name: the file that lists what was rejected.
      check: called with the reports of all shards, in the order of the plan, before the dataset is complete.
      content: what else the manifest is to hold.

    Returns:
      The manifest; None where the dataset was complete before.

    Raises:
      UserError: of `directories.prepare`; a shard could not be made; there is nothing to train on.
    """
    if directories.prepare(output, request):
        return None
    from pipeline.beam import transform  # Apache Beam takes seconds to import: only when there is work to do

    reports = transform.make_shards(make_shard, request, directory=output, runner=runner, clips=clips, title=title)
    check(reports)
    folded = summary.fold_reports(reports, task)
    if not folded["splits"][TRAIN]["clips"]:
        found = "".join(f", {count} {reason}" for reason, count in folded["rejected"].items())
        raise UserError(
            f"no clip to train on: {folded['read']} read, {folded['written']} written{found}; {output} stays"
            " incomplete, its reports say why"
        )
    with directories.failures_named(output):
        directories.write_json(output / dataset.STATISTICS, summary.fold_statistics(reports))
        with storage.replacing(output / rejected_name) as temporary:
            temporary.write_text(summary.rejected_lines(reports), encoding="utf-8")
        own = {"task": task.as_json(), "rejected_file": rejected_name}
        files = (dataset.STATISTICS, rejected_name)
        # Another isal may compress to other bytes.
        directories.complete(output, request, own | folded | content(reports), files=files, packages=(np, pa, isal))
    return directories.read_manifest(output, dataset.KIND)


def check_accounts(reports: Collection[ShardReport], used: Collection[int]) -> None:
    """In both directions: every clip used was written or rejected, once, and nothing else was written."""
    written = [each.sequence_id for report in reports for each in report.clips]
    rejected = [row["sequence_id"] for report in reports for row in report.rejected if row["reason"] != NO_METADATA]
    if sorted(written + rejected) != sorted(used):
        raise RuntimeError(
            f"the metadata has {len(used)} clips, but {len(written)} were written and {len(rejected)} rejected"
        )
