"""Recordings of an invented sensor on the wrist: which there are, their values, their files and their description.

A class is a movement of some harmonics in each of six channels. People differ in how fast and how far they move and in
how the sensor sits on the wrist; clips in length, tempo and noise. T frames, C channels.
"""

import csv
import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from pipeline.common import storage
from pipeline.common.storage import AnyPath
from pipeline.synthesis import random_streams
from pipeline.synthesis.plan import Planned, spoil
from pipeline.synthesis.random_streams import Stream

CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
WRONG_LABEL = "wrong_label"
RATE = 25  # frames a second
FRAMES_OF_ROW = 40  # of a clip that is a row
_HARMONICS = 3
_LABELS = """labels = "labels.csv"
clip = "recording"
label = "movement"
group = "person"
"""
_LAYOUTS = {
    "files": f'files = "recordings/*.csv"\n{_LABELS}',
    "table": f'files = "recordings.csv"\n{_LABELS}',
    "rows": f'files = "recordings.csv"\nframes = {FRAMES_OF_ROW}\nlabel = "movement"\ngroup = "person"\n',
    "streams": f"""files = "streams/*.csv"
label = "movement"
ignore = ["none"]
window = {2 * RATE}
stride = {RATE}
rate = {RATE}
""",
}
LAYOUTS = tuple(_LAYOUTS)
PLACES = {"files": "recordings/{index:05d}.csv", "streams": "streams/person-{signer:03d}.csv"}
TABLE = "recordings.csv"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedRecording(Planned):
    """One recording."""

    movement: int  # index of the one that is made
    label: int  # of the one in the metadata


def plan_recordings(
    *, clips: int, signers: int, movements: int, spoiled_share: float, seed: int, layout: str
) -> list[PlannedRecording]:
    """All clips, in the order in which they are written; people and movements have as many as one another.

    Ids are those that conversion gives them. Of streams nothing is spoiled.
    """
    rng = random_streams.generator(seed, Stream.PLAN)
    kinds = spoil(clips, spoiled_share if layout != "streams" else 0.0, [WRONG_LABEL], rng)
    planned = []
    for index in range(clips):
        movement = (index + index // math.lcm(signers, movements)) % movements
        wrong = int(rng.integers(1, movements)) if index in kinds else 0
        planned.append(
            PlannedRecording(
                index=index,
                sequence_id=index,
                signer=index % signers,
                spoiled=kinds.get(index, ""),
                movement=movement,
                label=(movement + wrong) % movements,
            )
        )
    return sorted(planned, key=lambda clip: clip.signer) if layout == "streams" else planned


def make_recording(clip: PlannedRecording, seed: int, *, num_frames: int | None = None) -> np.ndarray:
    """(T, C) values of one clip; 2 to 4 seconds where no number of frames is given."""
    of_class = random_streams.generator(seed, Stream.SIGN, clip.movement)
    of_person = random_streams.generator(seed, Stream.SIGNER, clip.signer)
    rng = random_streams.generator(seed, Stream.MOTION, clip.index)
    amplitude_CxH, phase_CxH = of_class.normal(0, 1, (6, _HARMONICS)), of_class.uniform(0, 2 * np.pi, (6, _HARMONICS))
    hertz = of_class.uniform(0.6, 1.6)
    tempo, reach = of_person.uniform(0.8, 1.25), of_person.uniform(0.7, 1.4)
    turn_3x3, _ = np.linalg.qr(np.eye(3) + of_person.normal(0, 0.25, (3, 3)))
    frames = num_frames or int(rng.integers(2 * RATE, 4 * RATE))
    time_T = np.arange(frames) / RATE * hertz * tempo * rng.uniform(0.9, 1.1) + rng.uniform(0, 1)
    angle_TxH = 2 * np.pi * time_T[:, None] * np.arange(1, _HARMONICS + 1)
    wave_TxC = np.einsum("ch,tch->tc", amplitude_CxH, np.sin(angle_TxH[:, None] + phase_CxH))
    values_TxC = reach * rng.uniform(0.8, 1.2) * wave_TxC + rng.normal(0, 0.6, (frames, 6))
    return np.concatenate([values_TxC[:, :3] @ turn_3x3, values_TxC[:, 3:] @ turn_3x3], axis=1).astype(np.float32)


def description(layout: str) -> str:
    """The description file of sample data in a layout."""
    channels = '["v*"]' if layout == "rows" else '["a?", "g?"]'
    turned = "" if layout == "rows" else 'rotate = [["ax", "ay", "az"], ["gx", "gy", "gz"]]\n'
    return f'kind = "{layout}"\nchannels = {channels}\n{_LAYOUTS[layout]}{turned}'


def name(index: int) -> str:
    """Of a recording."""
    return f"{index:05d}"


def write(
    path: AnyPath, layout: str, recordings: Iterable[tuple[PlannedRecording, np.ndarray]], labels: list[str]
) -> None:
    """Writes one CSV file of recordings (T, C)."""
    values = [f"v{i}" for i in range(FRAMES_OF_ROW * len(CHANNELS))]
    header = {
        "files": CHANNELS,
        "table": ("recording", *CHANNELS),
        "rows": ("person", "movement", *values),
        "streams": ("time", *CHANNELS, "movement"),
    }[layout]
    with storage.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        row = 0
        for clip, values_TxC in recordings:
            rounded = np.round(values_TxC.astype(np.float64), 4).tolist()
            if layout == "rows":
                writer.writerow([clip.signer, labels[clip.label], *(value for frame in rounded for value in frame)])
                continue
            for frame in rounded:
                if layout == "streams":
                    writer.writerow([row, *frame, labels[clip.label]])
                else:
                    writer.writerow([name(clip.index), *frame] if layout == "table" else frame)
                row += 1
            if layout == "streams":  # a pause, in which nothing is meant
                for _ in range(RATE):
                    writer.writerow([row, *[0.0] * len(CHANNELS), "none"])
                    row += 1
