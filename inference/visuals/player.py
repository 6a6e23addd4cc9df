"""Clips for the player: which, how they are packed, and what a model makes of them.

Shapes: T frames, P points, D dimensions of a point, U frames that the model gives, V its outputs.
"""

import base64
import collections
import gzip
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from inference.decoder import greedy
from inference.recognizer import Recognizer, softmax
from inference.visuals import data, mistakes
from inference.visuals.charts import COLORS
from inference.visuals.data import Look
from inference.visuals.page import visible
from inference.visuals.sources import Sources, tracked
from pipeline.dataset.clips import Clip, ClipInfo
from pipeline.dataset.splits import TEST
from pipeline.scores import analysis, groups
from pipeline.scores.score_table import Row
from pipeline.tasks.task import Task

MOST_CLIPS = 120
MOST_BYTES = 5_000_000  # of the page, for clips; 10 MB are for everything
_STEPS = (1 << 14) - 1  # into which the range of each axis is divided; 0 is missing
_ROWS = 16  # classes whose probabilities are shown
_LEAST = 0.1  # what is never more probable is not shown
_PREFIXES = 24  # lengths at which a clip of one class is recognized
_MOST_OF_A_KIND = 24


def choose(sources: Sources, looks: Sequence[Look]) -> dict[int, list[str]]:
    """Ids of clips with why each was chosen, the most wanted first: from every kind in turn, so that each has some."""
    wanted: dict[str, list[int]] = {}
    for table in sources.scored:
        name = mistakes.name_of(table, sources)
        tested = table.of_split(TEST)
        judged = {i: row for i, row in table.rows.items() if row.split != TEST}
        if tested:
            wanted[f"worst of {name}"] = [row.sequence_id for row in mistakes.worst(tested)]
            wanted |= {f"{kind} in {name}": ids for kind, ids in _by_kind(tested, sources.task).items()}
            wanted[f"best of {name}"] = [row.sequence_id for row in mistakes.worst(tested)[::-1]]
        at = mistakes.limit(table, sources)
        if at and judged and not table.is_evaluation:
            order = sorted(judged.values(), key=lambda row: (row.quality, row.sequence_id))
            wanted["dropped by the filter"] = [row.sequence_id for row in order if row.quality < at[0]]
            wanted["just below the threshold"] = [row.sequence_id for row in reversed(order) if row.quality < at[0]]
            wanted["just above the threshold"] = [row.sequence_id for row in order if row.quality >= at[0]]
        for group in groups.find(tested.values(), sources.task) if tested else ():
            wanted.setdefault("labels look wrong", []).extend([group["first"], group["last"]])
    for first, second in mistakes.pairs(sources):
        wanted["most changed"] = mistakes.most_changed(first.of_split(TEST), second.of_split(TEST))
    for kind in sorted(set(sources.truth.values())):
        wanted[f"planted: {kind}"] = [i for i, each in sorted(sources.truth.items()) if each == kind]
    odd = data.odd_clips(looks, sources.task)
    wanted |= {name: [each.info.sequence_id for each in found] for name, found in odd.items()}
    of_class: dict[str, int] = {}
    of_signer: dict[int, int] = {}
    for info in (each.info for each in looks):
        of_signer.setdefault(info.signer, info.sequence_id)
        of_class.setdefault(info.label, info.sequence_id)
    wanted[f"of each {data.people(sources.task)}"] = list(of_signer.values())
    if sources.task.contract.filler is None:
        wanted["of each class"] = list(of_class.values())
    step = max(1, len(looks) // _MOST_OF_A_KIND)
    wanted["evenly from all"] = [each.info.sequence_id for each in looks[::step]]
    there = {each.info.sequence_id for each in looks}
    reasons: dict[int, list[str]] = {}
    for turn in itertools.zip_longest(*([i for i in ids if i in there][:_MOST_OF_A_KIND] for ids in wanted.values())):
        for name, i in zip(wanted, turn, strict=True):
            if i is not None and (i in reasons or len(reasons) < MOST_CLIPS):
                reasons.setdefault(i, []).append(name)
    return reasons


def _by_kind(rows: Mapping[int, Row], task: Task) -> dict[str, list[int]]:
    """Clips with most edits of each kind."""
    found: dict[str, list[tuple[int, int]]] = {}
    for i, row in rows.items():
        kinds = collections.Counter(analysis.kind_of(*edit) for edit in task.edits(row.label, row.prediction))
        for kind, count in kinds.items():
            found.setdefault(kind, []).append((-count, i))
    return {kind: [i for _, i in sorted(found[kind])] for kind in analysis.KINDS if kind in found}


def pack(sources: Sources, looks: Sequence[Look], recognizer: Recognizer | None) -> dict[str, Any] | None:
    """What the player is given, as JSON data; None where there are no clips."""
    reasons = choose(sources, looks)
    if not reasons:
        return None
    packed: dict[int, dict[str, Any]] = {}
    for info, clip in tracked(sources.read(set(reasons)), "drawing", len(reasons)):
        packed[info.sequence_id] = _packed(info, clip, reasons[info.sequence_id], sources, recognizer)
    clips: list[dict[str, Any]] = []
    size = 0
    for i in reasons:
        size += sum(len(each) for each in _texts(packed[i]))
        if size > MOST_BYTES and clips:
            break
        clips.append(packed[i])
    points, task = sources.task.points, sources.task
    return {
        "task": {
            "unit": task.unit,
            "visible": task.visible,
            "text": task.contract.filler is not None,
            "rate": task.rate,
            "axes": points.axes,
            "aspect": points.aspect,
            "colors": COLORS,
            "points": list(points.names),
            "parts": [[name, part.start, part.stop] for name, part in data.parts(points).items()],
            "people": data.people(task),
            "hands": [hand.replace("_", " ") for hand in points.hands or ()],
            "edges": [list(edge) for edge in points.edges],
        },
        "of": len(looks),
        "model": str(sources.model) if sources.model else None,
        "clips": clips,
    }


def _texts(value: Any) -> Iterator[str]:
    """All texts in JSON data: nearly all of its bytes."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(each)


def _packed(
    info: ClipInfo, clip: Clip, why: list[str], sources: Sources, recognizer: Recognizer | None
) -> dict[str, Any]:
    scores = [
        {"of": mistakes.name_of(table, sources), "prediction": row.prediction, "quality": round(row.quality, 4)}
        for table in sources.scored
        if (row := table.rows.get(info.sequence_id))
    ]
    return {
        "id": info.sequence_id,
        "label": info.label,
        "signer": info.signer,
        "split": info.split,
        "frames": info.num_frames,
        "why": why,
        "planted": sources.truth.get(info.sequence_id, ""),
        "scores": scores,
        "landmarks": compressed(clip.landmarks, by_point=sources.task.points.centre is None),
        "trace": trace(recognizer, clip.landmarks) if recognizer else None,
    }


def compressed(landmarks_TxPxD: np.ndarray, *, by_point: bool) -> dict[str, Any]:
    """The landmarks as 14-bit steps of a range, in base64 of GZIP of little-endian uint16 (P, D, T), 0 for missing.

    Along time differences are stored, modulo 2 ** 16: most are small, and GZIP makes little of them.

    Args:
      by_point: whether each point has a range of its own, as channels need; otherwise the axes of all points have one.
    """
    axis = 0 if by_point else (0, 1)
    missing = np.isnan(landmarks_TxPxD)
    low = np.min(np.where(missing, np.inf, landmarks_TxPxD), axis=axis)
    high = np.max(np.where(missing, -np.inf, landmarks_TxPxD), axis=axis)
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    step = np.maximum(high - low, 1e-9) / (_STEPS - 1)
    steps = 1 + np.round((np.where(missing, low, landmarks_TxPxD) - low) / step)
    steps_PxDxT = np.where(missing, 0, steps).astype(np.uint16).transpose(1, 2, 0)
    changes = np.diff(steps_PxDxT, axis=-1, prepend=np.uint16(0)).astype("<u2")
    text = base64.b64encode(gzip.compress(changes.tobytes(), 9, mtime=0)).decode()
    return {"low": np.ravel(low).tolist(), "step": np.ravel(step).tolist(), "data": text}


def trace(recognizer: Recognizer, landmarks_TxPxD: np.ndarray) -> dict[str, Any]:
    """What a model makes of a clip as time goes on.

    Of a task with a class a clip: what it says of the clip up to some of its frames. Otherwise of the whole clip, frame
    by frame: the probabilities, and where each class of the prediction comes up.

    Returns:
      `prediction`, `confidence` of the whole clip; `at`: (columns,) the frame of the clip where each column ends;
      `rows`: names of the classes, the most probable ones; `p`: base64 of their probabilities (rows, columns), 255 for
      certain; `emitted`: [column, text] of what is recognized, in order.
    """
    said = recognizer.recognize(landmarks_TxPxD, greedy=True)  # where a beam emits a character is not to be told
    num_frames, task = len(landmarks_TxPxD), recognizer.task
    found = {"prediction": said.label, "confidence": round(said.confidence, 4)}
    if said.probabilities is not None:
        columns = min(num_frames, _PREFIXES)
        ends = (np.arange(1, columns + 1) * num_frames / columns).round().astype(int)
        prefixes = [recognizer.recognize(landmarks_TxPxD[:end]) for end in ends]
        p_UxV = np.array([each.probabilities for each in prefixes])
        names = list(task.classes)
        emitted = [[u, each.label] for u, each in enumerate(prefixes)]
    else:
        outputs_UxV = recognizer.outputs(landmarks_TxPxD)
        p_UxV = softmax(outputs_UxV)
        ends = (np.arange(1, len(p_UxV) + 1) * num_frames / len(p_UxV)).round().astype(int)
        names = [*map(visible, task.classes), "blank"]
        letters = greedy(outputs_UxV, p_UxV, start=-0.5, step=1)  # a row is a column
        emitted = [[round(each.first), task.decode([each.index])] for each in letters]
    often = np.argsort(-p_UxV.max(axis=0), kind="stable")[:_ROWS]
    shown_V = [v for v in often if p_UxV[:, v].max() >= _LEAST]
    rows = sorted(shown_V, key=lambda v: (v == len(task.classes), p_UxV[:, v].argmax()))  # the blank last
    p = np.round(p_UxV[:, rows].T * 255).astype(np.uint8)
    shown = {"at": ends.tolist(), "rows": [names[v] for v in rows], "p": base64.b64encode(p.tobytes()).decode()}
    return found | shown | {"emitted": emitted, "growing": said.probabilities is not None}
