"""Whether a data folder is complete, and whether this machine has what a run on it needs."""

import collections
import dataclasses
import itertools
import pathlib
import tempfile
from collections.abc import Iterator

import doctor_estimate as estimate
import doctor_machine as machine
import numpy as np
from doctor_machine import FAIL, GB, OK, WARN, Finding
from run_pipeline import PRESETS

from pipeline import metadata, parquet, records
from pipeline.commands import UserError
from pipeline.metadata import Metadata
from pipeline.sequences import Sequence
from pipeline.splits import TRAIN, SplitRule
from training import config

SHOWN = 10  # findings of a kind
SAMPLE = 30  # sequences, to see how well landmarks compress
PUBLISHED = "published"
AS_PUBLISHED = "a TPU v2-8 took the authors 32 s for each of 300 epochs of the base model; the final one has 1,500"


@dataclasses.dataclass
class Contents:
    """What is in the files that the metadata names, against the metadata.

    Attributes:
      broken: a line for each file that is missing or cannot be read.
      bytes: of the files.
      frames: by sequence id, of those that the metadata expects in the file.
      without_rows, unnamed: (sequence id, file) that only the metadata names, and that only the file has.
    """

    broken: list[str] = dataclasses.field(default_factory=list)
    bytes: int = 0
    frames: dict[int, int] = dataclasses.field(default_factory=dict)
    without_rows: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    unnamed: list[tuple[int, str]] = dataclasses.field(default_factory=list)


def examine(data: pathlib.Path, output: pathlib.Path, *, gpu: bool) -> Iterator[Finding]:
    """Findings about the folder and, where it is complete, about each preset of `scripts/run_pipeline`."""
    try:
        table = metadata.read(data)
        split_of = SplitRule().assign(table.entries.values())
        contents = read_contents(data, table)
        yield from judge_contents(data, table, contents)
        if contents.broken:
            return
        sample = max(table.paths, key=lambda path: (data / path).stat().st_size)
        work = estimate.Workload(
            num_frames=np.array(list(contents.frames.values()), np.int64),
            trains=np.array([split_of[i] == TRAIN for i in contents.frames], bool),
            record_bytes=record_bytes(data / sample),
        )
    except UserError as error:
        yield Finding(FAIL, "data", str(error))
        return
    speed = estimate.speed(machine.usable_cores())
    for preset, (base, final, _) in PRESETS.items():
        need = estimate.need(work, [config.PRESETS[base], config.PRESETS[final]], speed=speed)
        yield judge_need(preset, need, output, gpu=gpu)


def read_contents(data: pathlib.Path, table: Metadata) -> Contents:
    """Reads of each file only its footer and the column of ids."""
    expected = collections.defaultdict(set)
    for entry in table.entries.values():
        expected[entry.path].add(entry.sequence_id)
    contents = Contents()
    for path in table.paths:
        try:
            found = frames_of_sequences(data / path)
            contents.bytes += (data / path).stat().st_size
        except UserError as error:
            contents.broken.append(str(error))
            continue
        contents.frames |= {i: num_frames for i, num_frames in found.items() if i in expected[path]}
        contents.without_rows += [(i, path) for i in sorted(expected[path] - found.keys())]
        contents.unnamed += [(i, path) for i in sorted(found.keys() - expected[path])]
    return contents


def frames_of_sequences(path: pathlib.Path) -> dict[int, int]:
    """Rows of each sequence id.

    Raises:
      UserError: no such file, it is cut short or no parquet, or its columns are not those of the Kaggle layout.
    """
    if not path.is_file():
        raise UserError(f"{path} is not there, but {metadata.FILE_NAME} names it: download or unpack it")
    ids = parquet.read_ids(path)
    return dict(zip(*(values.tolist() for values in np.unique(ids, return_counts=True)), strict=True))


def judge_contents(data: pathlib.Path, table: Metadata, contents: Contents) -> Iterator[Finding]:
    yield from some(FAIL, contents.broken)
    folders = {(data / path).parent for path in table.paths}
    found = {file.relative_to(data).as_posix() for folder in folders for file in folder.glob("*.parquet")}
    others = sorted(found - set(table.paths))
    yield from some(WARN, [f"{data / path} is not in {metadata.FILE_NAME}: it is ignored" for path in others])
    for sequences, what in (
        (contents.without_rows, f"sequences in {metadata.FILE_NAME} without rows in their file"),
        (contents.unnamed, f"sequences in a file that {metadata.FILE_NAME} does not name there"),
    ):
        if sequences:
            text = f"{what}: {len(sequences):,}, the first is {sequences[0][0]} of {sequences[0][1]}"
            yield Finding(WARN, "data", f"{text}; conversion rejects them")
    if not contents.broken:
        frames = sum(contents.frames.values())
        text = f"{len(contents.frames):,} sequences of {len(table.participants)} signers, {frames:,} frames"
        yield Finding(OK, "data", f"{text}, parquet files: {len(table.paths)}, {size(contents.bytes)}")


def some(level: str, lines: list[str]) -> Iterator[Finding]:
    """The first of them, and how many more there are."""
    yield from (Finding(level, "data", line) for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield Finding(level, "data", f"and {len(lines) - SHOWN} more like this")


def record_bytes(path: pathlib.Path) -> float:
    """Of a frame in a data set: measured with the first sequences of a file."""
    frames = 0
    with tempfile.TemporaryDirectory() as folder, records.RecordWriter(pathlib.Path(folder) / "sample") as writer:
        for sequence_id, landmarks in itertools.islice(parquet.read_runs(path), SAMPLE):
            writer.write(records.encode(Sequence(landmarks, "", sequence_id, 0, "")))
            frames += len(landmarks)
    return writer.size / max(1, frames)


def judge_need(preset: str, need: estimate.Need, output: pathlib.Path, *, gpu: bool) -> Finding:
    """What a run takes, and whether this machine has it. Only the small models must fit every machine."""
    memory = need.memory + (0 if gpu else need.batch_memory)
    disk_there, memory_there = machine.free_space(output), machine.available_memory()
    parts = [f"about {size(need.disk)} of disk", f"{size(memory)} of memory"]
    if need.disk > disk_there:
        parts[0] += f" (too little: {size(disk_there)} are free at {output})"
    if memory > memory_there:
        parts[1] += f" (too little: {size(memory_there)} are available)"
    too_little = need.disk > disk_there or memory > memory_there
    if preset == PUBLISHED and gpu:
        parts.append(f"time and memory on a GPU were not measured; {AS_PUBLISHED}")
        return Finding(WARN if too_little else OK, preset, ", ".join(parts))
    time = duration(need.other_seconds + need.training_seconds)
    text = ", ".join([*parts, f"{time} on the CPU"])
    if preset == PUBLISHED:
        return Finding(WARN, preset, f"{text}: meant for a GPU, with the extra train-gpu")
    text += f" ({duration(need.training_seconds)} of it training)"
    if too_little:
        return Finding(FAIL, preset, f"{text}: use another --output or machine, or fewer files")
    return Finding(OK, preset, text)


def size(number_of_bytes: float) -> str:
    return two_digits(number_of_bytes / GB, "GB") if number_of_bytes >= GB else two_digits(number_of_bytes / 1e6, "MB")


def duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return two_digits(seconds / length, unit)
    return two_digits(seconds, "s")


def two_digits(number: float, unit: str) -> str:
    """As much as an estimate deserves: 0.34, 3.4, 34, 340."""
    return f"{float(f'{number:.2g}'):,g} {unit}"
