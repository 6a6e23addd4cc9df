"""The conversion of recordings that metadata lists: what is done for each shard, and the job over all of them."""

import dataclasses
import functools
import pathlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pipeline import tasks
from pipeline.beam import job
from pipeline.beam.runners import Runner
from pipeline.common import directories, marks, progress, storage
from pipeline.common.arguments import command
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import dataset, listing, metadata, readers, sharding, symptoms
from pipeline.dataset.folder import listed
from pipeline.dataset.metadata import Entry, Metadata
from pipeline.dataset.sharding import Shard, ShardReport, ShardWriter
from pipeline.dataset.splits import SPLITS, TRAIN, SplitRule
from pipeline.dataset.symptoms import Symptoms
from pipeline.tasks.faults import NO_LANDMARKS, NO_METADATA, Fault
from pipeline.tasks.recordings import Recordings
from pipeline.tasks.task import Task

# Many small files make shards of many: each shard costs a few requests of a bucket, and readers open each of its files.
MOST_SHARDS = 512
_FEWEST_CLIPS = 10  # of a shard that is judged by itself


@dataclasses.dataclass(frozen=True)
class ConvertShard:
    """Makes one shard of `output` from files of `folder`: each of their clips is written or rejected, once.

    So is each that the metadata has in these files; left out without a word are those that have no split. Reads the
    metadata in `data` itself, so that what travels to a worker stays small; `metadata_sha256` says which.
    """

    made_from: ClassVar[str] = "recordings"
    title: ClassVar[str] = "converting"

    folder: AnyPath
    data: AnyPath
    output: AnyPath
    task: Task
    metadata_sha256: tuple[tuple[str, str], ...]
    rule: SplitRule
    swap_hands: bool = False

    def of_folder(self, table: Metadata) -> Metadata:
        """The metadata with the names that the files have in `folder`."""
        return table

    def read(self, path: AnyPath, rows: list[Entry]) -> Iterator[tuple[int, np.ndarray | Fault]]:
        """Yields each clip of a file by its id; `rows` are what the metadata has in it."""
        return readers.reader(self.task).read_clips(path, self.task, [row.sequence_id for row in rows])

    def __call__(self, shard: Shard) -> None:
        table, split_of = _metadata(self)
        inputs = marks.mark_of(self.folder, shard.files)
        if shard.inputs and inputs != shard.inputs:
            raise UserError(f"{self.folder / shard.files[0]} or others of its shard changed meanwhile: start again")
        shard = dataclasses.replace(shard, inputs=inputs)
        with ShardWriter(self.output, shard, self.task) as writer:
            for path in shard.files:
                self.convert_file(path, table, split_of, writer)

    def convert_file(self, path: str, table: Metadata, split_of: Mapping[int, str], writer: ShardWriter) -> None:
        rows = table.by_path[path]
        expected = {entry.sequence_id for entry in rows}
        used = {entry.sequence_id: entry for entry in rows if entry.sequence_id in split_of}
        for sequence_id, found in self.read(self.folder / path, rows):
            if sequence_id not in expected:
                elsewhere = table.entries.get(sequence_id)
                detail = f"the metadata says {elsewhere.path}" if elsewhere else "the metadata has no row of it"
                writer.reject(sequence_id, Fault(NO_METADATA, detail), file=path)
            elif sequence_id in used:
                if self.swap_hands and not isinstance(found, Fault):
                    found = symptoms.swap_hands(found, self.task.points)
                writer.take(split_of[sequence_id], used.pop(sequence_id), found)
        missing = Fault(NO_LANDMARKS, "the metadata names it, the file has no row of it")
        for sequence_id, entry in used.items():
            writer.take(split_of[sequence_id], entry, missing)


@functools.lru_cache(maxsize=1)  # a worker makes many shards of one dataset
def _metadata(make: ConvertShard) -> tuple[Metadata, dict[int, str]]:
    table = read_metadata(make.data, make.task, make.metadata_sha256)
    return make.of_folder(table), make.rule.assign(table.entries.values())


def convert(
    data: AnyPath,
    output: AnyPath,
    rule: SplitRule,
    *,
    num_shards: int | None,
    runner: Runner,
    task_name: str | None = None,
    names: Iterable[str] = (),
    folder: AnyPath | None = None,
    kind: type[ConvertShard] = ConvertShard,
    swap_hands: bool = False,
) -> None:
    """Makes the dataset `output` from `data`, unless it is complete.

    Args:
      num_shards: one per file where None, `MOST_SHARDS` at most.
      task_name: or the path of a description file; found by the columns of the metadata where None.
      names: of the metadata files in `data`; the task's usual one where there are none.
      folder: with the files, if that is not `data`.
      kind: how they are read.
      swap_hands: whether each hand takes the other's place.

    Raises:
      UserError: of `metadata.read`, `SplitRule.assign` and `job.make_dataset`; files are missing, or there is no such
        task.
    """
    named, task = listed(data, task_name, names)
    if swap_hands and not task.points.hands:
        raise UserError(f"--swap-hands: the task {task.name} has no left and right hand")
    if task.clips_overlap and rule.by == "clip":
        raise UserError("--split-by clip: windows share frames; split by signer or file, or describe a longer stride")
    make = kind(folder or data, data, output, task, tuple(named.sha256.items()), rule, swap_hands)
    split_of = rule.assign(named.entries.values())  # by the names in the metadata
    table = make.of_folder(named)
    sizes = input_sizes(make.folder, table, {table.entries[sequence_id].path for sequence_id in split_of})
    asked = request(
        kind.made_from, task, table, sizes, num_shards=num_shards or MOST_SHARDS, rule=rule, swap_hands=swap_hands
    )
    manifest = job.make_dataset(
        output,
        asked,
        make,
        make.task,
        clips=len(split_of),
        runner=runner,
        title=kind.title,
        check=lambda reports: check_accounts(reports, split_of),
        content=lambda reports: {"complaints": list(complaints(reports, asked.settings["shards"]))},
        mark_of=functools.partial(marks.mark_of, make.folder),
    )
    if manifest:
        for complaint in manifest["complaints"]:
            progress.note(f"{data}: {complaint}")
        tell(output, manifest)


def read_metadata(data: AnyPath, task: Task, sha256: Iterable[tuple[str, str]]) -> Metadata:
    """The metadata with these names and hashes, for a worker.

    Raises:
      UserError: they are not what they were when the job began.
    """
    if isinstance(task, Recordings):
        table, _, _ = listing.read(data, task)
    else:
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
    unnamed = sorted(found.keys() - table.by_path.keys())
    if unnamed and listing.LIST not in table.sha256:  # a description says which are meant
        progress.console.print(f"{len(unnamed)} files are not in {named_by} and ignored: {unnamed[0]} ...")
    return {path: found[path] for path in sorted(used)}


def request(
    made_from: str,
    task: Task,
    table: Metadata,
    sizes: dict[str, int],
    *,
    num_shards: int,
    rule: SplitRule,
    swap_hands: bool = False,
) -> directories.Request:
    """What a dataset is made from, all that decides its content, and the plan of its shards."""
    settings = {
        "from": made_from,
        "task": task.as_json(),
        "metadata": [[name, sha256] for name, sha256 in table.sha256.items()],  # --limit goes by their order
        "files": sizes,
        "shards": sharding.plan(sizes, num_shards),
        "split": rule.as_json(),
    } | ({"swap_hands": True} if swap_hands else {})
    return directories.Request(dataset.KIND, settings)


def tell(output: AnyPath, manifest: dict[str, Any]) -> None:
    """Prints what became of what was read, and what to do next."""
    counts = ", ".join(f"{manifest['splits'][split]['clips']:,} {split}" for split in SPLITS)
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in manifest["rejected"].items()) or "none"
    task = tasks.named(manifest["task"]["name"])
    preset, _ = task.default_presets()
    print(
        f"{output}: {manifest['read']:,} clips read ({manifest['bytes_read'] / 1e6:,.1f} MB),"
        f" {manifest['written']:,} written ({counts}; {manifest['bytes_written'] / 1e6:,.1f} MB);"
        f" rejected: {rejected}"
    )
    train = command("python", "-m", "training.train", "--dataset", output)
    signers = manifest["splits"][TRAIN]["signers"]  # of fewer no folds can be made
    fold = f" --set data.folds={task.folds} --set data.fold=1" if 1 < task.folds <= len(signers) else ""
    progress.next_step(f"{train} --output RUN --preset {preset}{fold}")


def complaints(reports: Iterable[ShardReport], files: Sequence[Sequence[str]]) -> Iterator[str]:
    """What looks wrong in all clips together, or only in some of the shards; `files` of each shard."""
    shards = [report.symptoms for report in reports]
    together = sum(shards, Symptoms()).complaints()
    yield from together.values()
    for kind in dict.fromkeys(kind for shard in shards for kind in shard.complaints() if kind not in together):
        # Of a few clips one may well be odd.
        found = [i for i, shard in enumerate(shards) if shard.clips >= _FEWEST_CLIPS and kind in shard.complaints()]
        if found:
            where = f"{len(found)} of {len(shards)} shards, such as that of {files[found[0]][0]}"
            yield f"in {where}, {shards[found[0]].complaints()[kind]}"


def check_accounts(reports: Collection[ShardReport], used: Collection[int]) -> None:
    """In both directions: every clip used was written or rejected, once, and nothing else was written."""
    written = [each.sequence_id for report in reports for each in report.clips]
    rejected = [row["sequence_id"] for report in reports for row in report.rejected if row["reason"] != NO_METADATA]
    if sorted(written + rejected) != sorted(used):
        raise RuntimeError(
            f"the metadata has {len(used)} clips, but {len(written)} were written and {len(rejected)} rejected"
        )
