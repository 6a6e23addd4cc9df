"""Charts of the report, by Bokeh: it embeds as one script, resizes with the page and keeps what it shows as data.

Colors are those of M. Okabe and K. Ito (2008), which people with any kind of color vision tell apart.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BLUE, GRAY = "#0072b2", "#777777"
COLORS = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", GRAY, "#000000")
_BINS = 30


@dataclasses.dataclass(frozen=True)
class Chart:
    """A figure of Bokeh, and what it shows, in words for those who do not see it."""

    figure: Any
    label: str


def _figure(label: str, *, height: int = 260, tooltips: Any = None, **options: Any) -> Any:
    from bokeh.models import HoverTool
    from bokeh.models.annotations import Title
    from bokeh.plotting import figure

    hover = [HoverTool(tooltips=tooltips, point_policy="follow_mouse")] if tooltips else []
    plot = figure(sizing_mode="stretch_width", height=height, toolbar_location=None, tools=hover, **options)
    plot.title = Title(text=label, text_font_size="13px", text_font_style="normal", text_color="#222")
    for axis in plot.axis:
        axis.axis_label_text_font_style, axis.axis_label_text_font_size = "normal", "12px"
        axis.minor_tick_line_color = None
    plot.grid.grid_line_color = "#eee"
    plot.outline_line_color = None
    return plot


def bars(label: str, counts: Mapping[str, float], *, across: str = "", percent: bool = False) -> Chart:
    """Lying bars, a line each, the first on top."""
    from bokeh.models import NumeralTickFormatter

    names = list(dict.fromkeys(counts))[::-1]
    values = [counts[name] for name in names]
    shown = "@value{0.0%}" if percent else "@value{0,0}"
    plot = _figure(
        label,
        height=70 + 20 * len(names),
        y_range=names,
        x_axis_label=across,
        tooltips=[("", "@name"), (across or "count", shown)],
    )
    plot.hbar(y="name", right="value", height=0.7, color=BLUE, source={"name": names, "value": values})
    plot.xaxis[0].formatter = NumeralTickFormatter(format="0%" if percent else "0,0")
    plot.x_range.start = 0
    plot.ygrid.grid_line_color = None
    return Chart(plot, label)


def stacked(label: str, names: Sequence[str], groups: Mapping[str, Sequence[int]], *, across: str) -> Chart:
    """Standing bars of counts by name, a part for each group."""
    plot = _figure(label, x_range=list(names), x_axis_label=across, tooltips=[("", "@name"), ("$name", "@$name{0,0}")])
    data: dict[str, Sequence[Any]] = {"name": list(names)} | dict(groups)
    plot.vbar_stack(list(groups), x="name", width=0.8, source=data, color=_colors(groups), legend_label=list(groups))
    plot.y_range.start = 0
    plot.xaxis.major_label_orientation = 0.8 if len(names) > 12 and max(map(len, names)) > 1 else 0
    return Chart(_with_legend(plot), label)


def histogram(
    label: str,
    groups: Mapping[str, Sequence[float]],
    *,
    across: str,
    line: float | None = None,
    says: str = "",
    span: tuple[float, float] | None = None,
) -> Chart:
    """Counts of values, a part of each bar for each group; what is beyond the 99.5th percentile is in the last bar.

    Args:
      line: a value that is marked, and what it `says`.
      span: from where to where; otherwise as the values reach.
    """
    from bokeh.models.annotations import Span

    everything = np.concatenate([np.asarray(values, np.float64) for values in groups.values()])
    low, high = span or (float(everything.min()), float(np.percentile(everything, 99.5)))
    low = min(low, line) if line is not None else low
    high = max(high, low + 1e-9 if span else low + 1)
    edges = np.linspace(low, high, _BINS + 1)
    if not span and (everything == np.round(everything)).all():
        step = max(1, int(np.ceil((high - low) / _BINS)))
        edges = np.arange(np.floor(low), high + step + 1, step)
    data = {"left": edges[:-1].tolist(), "right": edges[1:].tolist()}
    top = np.zeros(len(edges) - 1)
    plot = _figure(
        label,
        x_axis_label=across,
        y_axis_label="clips",
        tooltips=[(across, "@left{0.[00]} to @right{0.[00]}"), ("clips", "@count{0,0}")],
    )
    for color, (name, values) in zip(_colors(groups), groups.items(), strict=True):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        part = data | {"bottom": top.tolist(), "top": (top + counts).tolist(), "count": counts.tolist()}
        named = {"legend_label": name} if len(groups) > 1 else {}
        plot.quad(source=part, color=color, line_color="white", **named)
        top += counts
    if line is not None:
        plot.add_layout(Span(location=line, dimension="height", line_color="black", line_dash="dashed", line_width=2))
        plot.line([line], [0], color="black", line_dash="dashed", line_width=2, legend_label=says)
    plot.y_range.start = 0
    return Chart(_with_legend(plot), label)


def intervals(label: str, figures: Mapping[str, Mapping[str, Any]], *, across: str) -> Chart:
    """A score with its interval for each name, the first on top."""
    from bokeh.models import ColumnDataSource
    from bokeh.models.annotations import Whisker

    names = list(figures)[::-1]
    data = {
        "name": names,
        "score": [figures[name]["score"] for name in names],
        "low": [figures[name]["interval"][0] for name in names],
        "high": [figures[name]["interval"][1] for name in names],
        "clips": [figures[name]["clips"] for name in names],
    }
    said = [("", "@name"), (across, "@score{0.0000} (@low{0.0000} to @high{0.0000})"), ("clips", "@clips{0,0}")]
    plot = _figure(label, height=70 + 20 * len(names), y_range=names, x_axis_label=across, tooltips=said)
    source = ColumnDataSource(data)
    plot.add_layout(Whisker(base="name", lower="low", upper="high", dimension="width", source=source, line_color=GRAY))
    plot.scatter(x="score", y="name", size=9, color=BLUE, source=source)
    low, high = min(data["low"]), max(data["high"])
    room = max(0.04 * (high - low), 0.01)
    plot.x_range.start, plot.x_range.end = low - room, high + room  # whiskers do not make themselves room
    return Chart(plot, label)


def heat(label: str, counts: Mapping[tuple[str, str], int], *, rows: Sequence[str], columns: Sequence[str]) -> Chart:
    """A square for each (row, column) with a count."""
    from bokeh.models import LinearColorMapper
    from bokeh.models.annotations import ColorBar

    pairs = [(row, column) for row in rows for column in columns if counts.get((row, column))]
    values = [counts[pair] for pair in pairs]
    shades = [f"#{255 - i * 255 // 63:02x}{255 - i * 141 // 63:02x}{255 - i * 77 // 63:02x}" for i in range(6, 64)]
    mapper = LinearColorMapper(palette=shades, low=0, high=max(values, default=1))
    plot = _figure(
        label,
        height=110 + 18 * len(rows),
        x_range=list(columns),
        y_range=list(rows)[::-1],
        x_axis_label="prediction",
        y_axis_label="label",
        tooltips=[("label", "@row"), ("prediction", "@column"), ("times", "@count{0,0}")],
    )
    data = {"row": [row for row, _ in pairs], "column": [column for _, column in pairs], "count": values}
    plot.rect("column", "row", 0.95, 0.95, source=data, color={"field": "count", "transform": mapper})
    plot.add_layout(ColorBar(color_mapper=mapper, width=8, title="times"), "right")
    long = [column for column in columns if len(column) > 2]
    plot.xaxis.major_label_orientation = 1.2 if long else 0
    return Chart(plot, label)


def lines(label: str, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, across: str, up: str) -> Chart:
    """A line for each name: where its points are."""
    plot = _figure(label, x_axis_label=across, y_axis_label=up, tooltips=[("", "$name"), (across, "$x"), (up, "$y")])
    for color, (name, (x, y)) in zip(_colors(series), series.items(), strict=True):
        plot.line(x, y, color=color, line_width=2, legend_label=name, name=name)
        plot.scatter(x, y, color=color, size=5, legend_label=name, name=name)
    return Chart(_with_legend(plot), label)


def points(label: str, x: Sequence[float], y: Sequence[float], names: Sequence[str], *, across: str, up: str) -> Chart:
    """A point for each pair, and the line where both are equal."""
    said = [("", "@name"), (across, "@x"), (up, "@y")]
    plot = _figure(label, height=340, x_axis_label=across, y_axis_label=up, tooltips=said)
    low, high = min([*x, *y]), max([*x, *y])
    plot.line([low, high], [low, high], color=GRAY, line_dash="dashed")
    plot.scatter("x", "y", size=7, alpha=0.5, color=BLUE, source={"x": x, "y": y, "name": names})
    return Chart(plot, label)


def _colors(groups: Mapping[str, Any]) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(len(groups))]


def _with_legend(plot: Any) -> Any:
    """Below the title, where it covers nothing."""
    if plot.legend:
        legend = plot.legend[0]
        plot.add_layout(legend, "above")
        legend.orientation, legend.border_line_color, legend.padding, legend.margin = "horizontal", None, 0, 0
        legend.label_text_font_size, legend.spacing = "12px", 12
    return plot
