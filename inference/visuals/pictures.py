"""Pictures of a clip, by matplotlib: a film strip, one frame with all its parts, channels as lines.

Shapes: T frames, P points, D dimensions of a point.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from inference.visuals.charts import COLORS
from inference.visuals.data import parts
from pipeline.common import storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset.clips import Clip
from pipeline.tasks.task import Points, Task

_ACROSS = 5  # frames of a strip side by side
_EACH = 2.2  # inches
_DOTS = 110  # an inch


def strip(clip: Clip, task: Task, count: int, *, numbers: bool) -> Any:
    """Frames of the hand that is seen more often, evenly from those that show it, the first and the last included.

    Of a task without hands whole frames; of channels, lines over all frames.

    Args:
      numbers: whether points are numbered.

    Raises:
      UserError: no frame shows anything.
    """
    points = task.points
    if len(points.axes) == 1:
        return _channels(clip, points)
    shown = _hand(clip, points)
    seen = np.flatnonzero(~np.isnan(clip.landmarks[:, shown]).all(axis=(1, 2)))
    if not len(seen):
        raise UserError(f"clip {clip.sequence_id}: no frame of it shows {task.visible}: draw another")
    frames = np.unique(seen[np.linspace(0, len(seen) - 1, min(count, len(seen))).round().astype(int)])
    rows = -(-len(frames) // _ACROSS)
    figure = _figure(_EACH * min(len(frames), _ACROSS), (_EACH + 0.3) * rows + 0.4)
    figure.suptitle(_title(clip), fontsize=10)
    panels = np.atleast_1d(figure.subplots(rows, min(len(frames), _ACROSS), squeeze=False)).ravel()
    for panel, frame in zip(panels, frames.tolist(), strict=False):
        panel.set_title(f"frame {frame}", fontsize=8)
        _draw(panel, clip.landmarks[frame], points, [shown], numbers=numbers)
    for panel in panels[len(frames) :]:
        panel.set_axis_off()
    return figure


def skeleton(clip: Clip, task: Task, frame: int, *, numbers: bool) -> Any:
    """All parts of one frame, those that are missing named.

    Raises:
      UserError: there is no such frame, or a frame is no picture.
    """
    if len(task.points.axes) == 1:
        raise UserError(f"--frame: a frame of the task {task.name} is no picture: leave it out to draw all frames")
    if frame >= clip.num_frames:
        raise UserError(f"--frame {frame}: clip {clip.sequence_id} has the frames 0 to {clip.num_frames - 1}")
    figure = _figure(5.5, 7.0)
    panel = figure.subplots()
    panel.set_title(f"{_title(clip)}\nframe {frame}", fontsize=10)
    groups = parts(task.points)
    _draw(panel, clip.landmarks[frame], task.points, list(groups.values()), numbers=numbers)
    for i, (name, part) in enumerate(groups.items()):
        missing = np.isnan(clip.landmarks[frame, part]).all()
        panel.plot([], [], "o-", color=COLORS[i % len(COLORS)], label=_plain(f"{name}: missing" if missing else name))
    panel.legend(
        handles=panel.lines[-len(groups) :], fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False
    )
    return figure


def write(figure: Any, file: AnyPath) -> None:
    with storage.replacing(file) as temporary:
        figure.savefig(temporary, format="png", dpi=_DOTS)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _title(clip: Clip) -> str:
    return _plain(f"{clip.sequence_id}: {clip.label}")


def _plain(text: str) -> str:
    """As it is: matplotlib would read what stands between two dollars as mathematics."""
    return text.replace("$", r"\$")


def _hand(clip: Clip, points: Points) -> slice:
    """The hand that is seen more often, or everything where there is none."""
    if not points.hands:
        return slice(0, len(points.names))
    hands = [points.groups[name] for name in points.hands]
    return max(hands, key=lambda hand: int(np.count_nonzero(~np.isnan(clip.landmarks[:, hand]).all(axis=(1, 2)))))


def _draw(panel: Any, landmarks_PxD: np.ndarray, points: Points, shown: Sequence[slice], *, numbers: bool) -> None:
    groups = list(parts(points).values())
    for group in shown:
        color = COLORS[next((i for i, each in enumerate(groups) if each == group), 0) % len(COLORS)]
        for a, b in points.edges:
            if group.start <= a < group.stop:
                ends = landmarks_PxD[[a, b]]
                panel.plot(ends[:, 0], ends[:, 1], color=color, linewidth=1.5)
        x, y = landmarks_PxD[group, 0], landmarks_PxD[group, 1]
        panel.scatter(x, y, s=8, color=color, zorder=3)
        for name, at_x, at_y in zip(points.names[group], x, y, strict=True) if numbers else ():
            if np.isfinite(at_x) and np.isfinite(at_y):
                panel.annotate(name.rpartition("_")[2], (at_x, at_y), (2, 2), textcoords="offset points", fontsize=6)
    panel.set_aspect(points.aspect, adjustable="datalim")
    panel.invert_yaxis()
    panel.set_xticks([])
    panel.set_yticks([])
    panel.margins(0.15)


def _channels(clip: Clip, points: Points) -> Any:
    figure = _figure(9, min(1 + 0.7 * len(points.names), 30))
    figure.suptitle(_title(clip), fontsize=10)
    panels = np.atleast_1d(figure.subplots(len(points.names), 1, sharex=True))
    for i, (panel, name) in enumerate(zip(panels, points.names, strict=True)):
        panel.plot(clip.landmarks[:, i, 0], color=COLORS[i % len(COLORS)], linewidth=1)
        panel.set_ylabel(name.replace("$", r"\$"), rotation=0, horizontalalignment="right", fontsize=8)
        panel.tick_params(labelsize=7)
    panels[-1].set_xlabel("frame", fontsize=8)
    return figure
