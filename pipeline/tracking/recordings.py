"""The folder of landmarks that videos become: a parquet file each, a table of labels, and a manifest that sums up."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.common import directories, marks, progress, storage
from pipeline.common.directories import Kind, Request
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import parquet, writers
from pipeline.dataset.writers import FACE, LEFT_HAND, POSE, RIGHT_HAND
from pipeline.tracking import pool, videos
from pipeline.tracking.videos import Film, Tracker, Video

KIND = Kind("folder of landmarks", made_by="pipeline.track")
PARTS = {"face": FACE, "pose": POSE, "left_hand": LEFT_HAND, "right_hand": RIGHT_HAND}
_NOTE = "video"  # of a parquet file: what is known of its video
_MOST_FRAMES = 1 << 15  # their numbers have 16 bits, as in the Kaggle files


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What was found in a video.

    Attributes:
      rate: the video's frames a second.
      seen: share of the frames in which each of `PARTS` was found.
    """

    file: str
    sequence_id: int
    frames: int
    rate: float
    width: int
    height: int
    seen: dict[str, float]

    @property
    def is_empty(self) -> bool:
        return not any(self.seen.values())


def track(
    found: Sequence[Video],
    output: AnyPath,
    tracker: Tracker,
    *,
    mirrored: bool = False,
    labels: AnyPath | None = None,
    workers: int = 1,
) -> None:
    """Writes the folder.

    The same videos give the same bytes, however many workers there are. What an interrupted run finished stays. Labels
    may be given, or corrected, later: they are no reason to do the rest again.

    Raises:
      UserError: a video cannot be read to its end or is too long; labels that do not fit; `output` holds something
        else or cannot be written.
    """
    table = videos.metadata_of(labels, found) if labels is not None else None
    files = {video.name: _mark(video) for video in found}
    request = Request(KIND, {"videos": files, "mirrored": mirrored, "tracker": tracker.name})
    done = directories.prepare(output, request)
    with directories.failures_named(output):
        if not done:
            reports, rate = _make(found, output, tracker, mirrored, workers)
        if table is not None:
            with storage.replacing(output / videos.METADATA.file) as temporary:
                temporary.write_text(table, encoding="utf-8")
        if not done:
            content = {"videos": [dataclasses.asdict(each) for each in reports], "overall": overall(reports)}
            directories.complete(output, request, content | {"frames_per_second": round(rate, 2)})


def read(output: AnyPath) -> list[Report]:
    """What was found in each video, in a folder that is complete."""
    return [Report(**each) for each in directories.read_manifest(output, KIND, needed=["videos"])["videos"]]


def overall(reports: Sequence[Report]) -> dict[str, Any]:
    """The frames of all videos, and the share of them in which each part was found."""
    frames = sum(each.frames for each in reports)
    seen = {part: sum(each.seen[part] * each.frames for each in reports) / frames for part in PARTS}
    return {"frames": frames, "seen": {part: round(share, 4) for part, share in seen.items()}}


def _mark(video: Video) -> list[Any]:
    """What tells the file from another."""
    try:
        return [video.path.stat().st_size, *marks.file_marks(video.path.parent, [video.name]).values()]
    except OSError as error:
        raise UserError(f"cannot read {video.path}: {error.strerror}") from error


def _make(
    found: Sequence[Video], output: AnyPath, tracker: Tracker, mirrored: bool, workers: int
) -> tuple[list[Report], float]:
    with concurrent.futures.ThreadPoolExecutor(workers) as threads:
        looked = threads.map(functools.partial(_look, tracker), found)
        films = dict(zip(found, progress.track(looked, "look", "videos", total=len(found)), strict=True))
    (output / videos.FOLDER).mkdir(exist_ok=True)
    storage.remove_leftovers(output / videos.FOLDER)
    waiting = [each for each in found if not (output / each.parquet).is_file()]
    already = sum(film.frames for film in films.values()) - sum(films[each].frames for each in waiting)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(storage.remove_leftovers, output / videos.FOLDER)
        bar = stack.enter_context(progress.progress("frames"))
        task = bar.add_task("track", total=sum(film.frames for film in films.values()), already=already, note="")
        bar.update(task, completed=already)
        if waiting:
            jobs = [(each, films[each]) for each in waiting]
            work = functools.partial(_track, output, tracker, mirrored)
            for name in pool.run(work, jobs, workers, lambda steps: bar.update(task, completed=already + steps)):
                bar.update(task, note=name)
    reports = [_read(output / each.parquet) for each in found]
    frames = sum(films[each].frames for each in waiting)
    return reports, frames / (time.monotonic() - started)


def _look(tracker: Tracker, video: Video) -> Film:
    film = tracker.look(video.path)
    if film.frames > _MOST_FRAMES:
        raise UserError(
            f"{video.path} has {film.frames:,} frames, more than the {_MOST_FRAMES:,} of a clip: cut it into clips of a"
            " phrase each"
        )
    return film


def _track(output: AnyPath, tracker: Tracker, mirrored: bool, job: tuple[Video, Film]) -> str:
    """Writes the landmarks of one video; in a process of its own. Returns the video's name."""
    video, film = job
    frames = []
    for landmarks in tracker.watch(video.path, mirrored):
        frames.append(landmarks)
        pool.step()
    if len(frames) != film.frames:
        raise UserError(f"{video.path} had {film.frames} frames before, now {len(frames)}: does something write to it?")
    landmarks_Tx543x3 = np.array(frames)
    report = report_of(video, film, landmarks_Tx543x3)
    with directories.failures_named(output):
        notes = {_NOTE: json.dumps(dataclasses.asdict(report))}
        writers.write_wide(output / video.parquet, [(video.sequence_id, landmarks_Tx543x3)], notes=notes)
    return video.name


def report_of(video: Video, film: Film, landmarks_Tx543x3: np.ndarray) -> Report:
    found = {part: ~np.isnan(landmarks_Tx543x3[:, points]).all(axis=(1, 2)) for part, points in PARTS.items()}
    seen = {part: round(float(frames.mean()), 6) for part, frames in found.items()}
    return Report(file=video.name, sequence_id=video.sequence_id, seen=seen, **dataclasses.asdict(film))


def _read(path: AnyPath) -> Report:
    """What the parquet file of a video says of it."""
    with parquet.opened(path) as file:
        try:
            return Report(**json.loads(file.schema_arrow.metadata[_NOTE.encode()]))
        except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise UserError(f"{path} was not written by pipeline.track: delete its folder and make it again") from error
