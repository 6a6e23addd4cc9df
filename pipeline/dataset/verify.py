"""Whether a dataset is what its manifest says, to the last bit."""

import json
from collections.abc import Iterator

from pipeline.common import directories, progress, storage
from pipeline.common.directories import MANIFEST, REQUEST
from pipeline.common.errors import UserError
from pipeline.dataset import dataset, records, sharding, summary
from pipeline.dataset.clips import ClipInfo
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.sharding import RecordFile, RecordName, ShardReport


def problems(found: Dataset) -> Iterator[str]:
    """Yields a line for each thing that is not as it should be: none for a dataset that is whole.

    Looked at are every byte of the record files (SHA-256 of the file and of its records, CRC of every record), what the
    clips are and how many, the reports of the shards, and all that was folded from them.
    """
    manifest = found.path / MANIFEST
    try:
        shards = [(shard, [RecordFile(**file) for file in shard["files"]]) for shard in found.manifest["shards"]]
        paths = [sharding.report_path(found.path, shard["shard"]) for shard, _ in shards]
        yield from _request(found)
    except (LookupError, TypeError, ValueError):
        yield f"{manifest} is damaged, or was made by another version of this program"
        return
    known = {file.name for _, files in shards for file in files}
    for name in sorted(storage.file_sizes(found.path / sharding.SHARDS).keys() - known):
        yield f"{found.path / sharding.SHARDS / name} is not of this dataset"
    read: list[ShardReport] = []
    for (shard, files), path in progress.track(
        list(zip(shards, paths, strict=True)), "verifying", "shards", total=len(shards)
    ):
        report = dataset.read_report(found, shard)
        if report is None:
            yield f"{path} is missing or damaged"
        elif report.summary() != shard:
            yield f"{path} and {manifest} tell of different shards"
        else:
            read.append(report)
        for file in files:
            try:
                yield from _record_file(found, file, report)
            except UserError as error:
                yield str(error)
    if len(read) == len(shards):
        yield from _folded(found, read)


def _request(found: Dataset) -> Iterator[str]:
    """The manifest tells what was asked for, as does the request, and the plan follows from it."""
    request = directories.Request(found.manifest["kind"], found.manifest["settings"])
    if request.fingerprint != found.manifest["fingerprint"]:
        yield f"{found.path / MANIFEST}: its settings have another fingerprint"
    try:
        same = directories.read_json(found.path / REQUEST) == request.as_json()
    except UserError:
        same = False
    if not same:
        yield f"{found.path / REQUEST} is not what the manifest says was asked for"
    planned = [(str(shard), shard.fingerprint) for shard in sharding.shards_of(request)]
    if planned != [(shard["shard"], shard["fingerprint"]) for shard in found.manifest["shards"]]:
        yield f"{found.path / MANIFEST}: its shards are not those of its plan"


def _record_file(found: Dataset, file: RecordFile, report: ShardReport | None) -> Iterator[str]:
    path = RecordName.parse(file.name).path(found.path)
    content = records.Content()
    clips = []
    for number, record in enumerate(records.read_records(path, file_sha256=file.file_sha256)):
        content.add(record)
        try:
            clips.append(ClipInfo.of(records.decode(record, found.task.points.shape), file.split, found.task))
        except ValueError as error:
            yield f"{path}, record {number} is not a clip of this program: {error}"
            return  # what follows may be as little, and without end
    if str(content) != file.content:
        yield f"{path}: its records are not those that the manifest describes"
    if len(clips) != file.clips:
        yield f"{path} has {len(clips)} clips, the manifest says {file.clips}"
    if report and clips != [each for each in report.clips if each.split == file.split]:
        yield f"{path} has other clips than the report of its shard says"


def _folded(found: Dataset, reports: list[ShardReport]) -> Iterator[str]:
    """What `summary` made of the reports."""
    try:
        folded = json.loads(json.dumps(summary.fold_reports(reports, found.task)))
    except RuntimeError as error:
        yield f"{found.path / sharding.REPORTS}: {error}"
        return
    wrong = [name for name, value in folded.items() if found.manifest.get(name) != value]
    if wrong:
        yield f"{found.path / MANIFEST} and the reports do not agree: {', '.join(wrong)}"
    if directories.read_json(found.path / dataset.STATISTICS) != summary.fold_statistics(reports):
        yield f"{found.path / dataset.STATISTICS} is not what the reports add up to"
    listed = found.path / str(found.manifest.get("rejected_file"))
    if _text(listed) != summary.rejected_lines(reports):
        yield f"{listed} does not list what the reports say was rejected"


def _text(path: storage.AnyPath) -> str | None:
    try:
        storage.check_ends(path)
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
