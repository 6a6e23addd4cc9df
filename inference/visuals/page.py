"""One HTML file that holds all it needs: sections of text, tables and charts, and the clip player.

Everything from data passes Jinja2's autoescape, or `embedded`.
"""

import dataclasses
import functools
import importlib.resources
import json
from collections.abc import Sequence
from typing import Any

from inference.visuals.charts import Chart


@dataclasses.dataclass(frozen=True)
class ClipId:
    """A cell that opens the player, where that has the clip."""

    id: int

    def __str__(self) -> str:
        return str(self.id)


@dataclasses.dataclass(frozen=True)
class Aligned:
    """A cell with label and prediction, one above the other: pairs of `Task.alignment`."""

    pairs: Sequence[tuple[str, str]]

    @property
    def columns(self) -> list[tuple[str, str, str]]:
        """What is shown of each pair, and how they differ."""
        return [(visible(a) or "-", visible(b) or "-", _difference(a, b)) for a, b in self.pairs]


def _difference(label: str, prediction: str) -> str:
    if label == prediction:
        return "same"
    return "added" if not label else "changed" if prediction else "missed"


def visible(text: str) -> str:
    """A space is seen."""
    return "␣" if text == " " else text


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of cells: texts (numbers among them are written out), `ClipId` or `Aligned`."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""

    @property
    def numeric(self) -> list[bool]:
        """Which columns are set to the right."""
        return [all(map(_is_number, cells)) and any(cells) for cells in zip(*self.rows, strict=True)]


@dataclasses.dataclass(frozen=True)
class Block:
    """What belongs together, under a title: in order paragraphs (`str`), tables and charts."""

    title: str
    items: Sequence[str | Table | Chart]

    @property
    def kinds(self) -> list[tuple[str, Any]]:
        return [(type(item).__name__.lower(), item) for item in self.items]


@dataclasses.dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: Sequence[Block]


def render(title: str, made_from: Sequence[str], sections: Sequence[Section], player: dict[str, Any] | None) -> str:
    """The page.

    Args:
      made_from: a line for each source.
      player: of `player.pack`; None where there are no clips.
    """
    import jinja2
    from bokeh.embed import json_item
    from bokeh.resources import Resources

    charts: dict[str, Any] = {}
    names: dict[int, str] = {}
    for section in sections:
        for item in (item for block in section.blocks for item in block.items if isinstance(item, Chart)):
            names[id(item)] = name = f"chart-{len(charts)}"
            charts[name] = json_item(item.figure, name)  # type: ignore[arg-type]
    options: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    environment = jinja2.Environment(autoescape=True, **options)
    scripts = Resources(mode="inline", components=["bokeh"], log_level="error").js_raw if charts else []
    return environment.from_string(_file("page.html.j2")).render(
        title=title,
        made_from=made_from,
        sections=sections,
        name_of=lambda item: names[id(item)],
        in_player={clip["id"] for clip in player["clips"]} if player else set(),
        player=player,
        style=_trusted(_file("page.css")),
        bokeh=_trusted("\n".join(scripts)),
        scripts=[_trusted(_file(name)) for name in ("page.js", "player.js")],
        charts=embedded(charts),
        clips=embedded(player),
    )


def embedded(data: Any) -> Any:
    """JSON for a script element, safe whatever its texts hold: no `<` is left that could end or open anything."""
    return _trusted(json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))


def _trusted(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number, or empty."""
    return isinstance(cell, ClipId) or (isinstance(cell, str) and not cell.strip("0123456789.,%-+e"))


@functools.cache
def _file(name: str) -> str:
    return importlib.resources.files("inference.visuals").joinpath(name).read_text(encoding="utf-8")
