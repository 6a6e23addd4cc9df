"""The way from input files to a complete dataset: what is asked for, made on any runner, and accounted for."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import isal
import numpy as np
import pyarrow as pa
from google import protobuf

from pipeline.beam.runners import Runner
from pipeline.common import directories, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import dataset, sharding, summary
from pipeline.dataset.sharding import Shard, ShardReport
from pipeline.dataset.splits import TRAIN
from pipeline.tasks.task import Task


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
    mark_of: Callable[[Sequence[str]], str] = lambda files: "",
) -> dict[str, Any] | None:
    """Makes the dataset `output` of `request`, every shard by `make_shard`.

    Args:
      clips: how many there are to read.
      rejected_name: the file that lists what was rejected.
      check: called with the reports of all shards, in the order of the plan, before the dataset is complete.
      content: what else the manifest is to hold.
      mark_of: called with the files of a shard, tells them from others of the same sizes.

    Returns:
      The manifest; None where the dataset was complete before.

    Raises:
      UserError: of `directories.prepare`; a shard could not be made; there is nothing to train on.
    """
    shards = [dataclasses.replace(shard, inputs=mark_of(shard.files)) for shard in sharding.shards_of(request)]
    if directories.prepare(output, request):
        _check_inputs(output, shards)
        return None
    from pipeline.beam import transform  # Apache Beam takes seconds to import: only when there is work to do

    reports = transform.make_shards(
        make_shard,
        request,
        shards,
        directory=output,
        runner=runner,
        clips=clips,
        title=title,
        left_out=rejected_name.partition(".")[0],
    )
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
        # Another isal may compress to other bytes, another protobuf may write records in another order.
        directories.complete(
            output, request, own | folded | content(reports), files=files, packages=(np, pa, isal, protobuf)
        )
    return directories.read_manifest(output, dataset.KIND)


def _check_inputs(output: AnyPath, shards: list[Shard]) -> None:
    """Raises `UserError` where a complete dataset was made from other files than there are now."""
    made = directories.read_manifest(output, dataset.KIND, needed=["shards"])["shards"]
    changed = [shard for shard, one in zip(shards, made, strict=True) if shard.inputs != one["inputs"]]
    if changed:
        raise UserError(
            f"{output} was made from other files than there are now: {changed[0].files[0]} or others of its shard have"
            " changed; delete it to make it anew"
        )
