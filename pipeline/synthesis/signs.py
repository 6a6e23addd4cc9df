"""Invented signs, of no language: each a handshape or a change of it, a place, a movement, and one or two hands.

Everything here is a right-handed signer's: x to the right of the image, that is, to the signer's left.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from pipeline.synthesis import random_streams
from pipeline.synthesis.random_streams import Stream

# Characters of `handshapes.SIGNS` whose postures are far from each other.
SHAPES = tuple("sb5clvwyifhp")
# Of the wrist, centimetres from the middle of the face.
PLACES = {
    "forehead": (-6.0, 1.0, 13.0),
    "chin": (-1.0, -16.0, 14.0),
    "shoulder": (9.0, -28.0, 13.0),
    "chest": (0.0, -34.0, 12.0),
    "side": (-17.0, -20.0, 12.0),
    "front": (-10.0, -22.0, 28.0),
}
NEARER_THAN_TWO_HANDS = -6.0  # x of a hand that leaves room for the other
_ACROSS = "shoulder"  # on the side of the other hand, where two hands would cross
ONE_HAND, MIRRORED, STILL = "one hand", "two hands, mirrored", "two hands, one still"
HANDS = (ONE_HAND, MIRRORED, STILL)

# From the share of a movement that is done, (T,) 0 to 1, to where the hand is (T, 2), x and y in units of its size.
Path = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Movement:
    """What the hand does from the first handshape to the last."""

    path: Path
    duration: float  # 1: of a straight one


def _straight(x: float, y: float) -> Path:
    return lambda done: (done - 0.5)[:, None] * (2 * x, 2 * y)


def _arc(side: int) -> Path:
    return lambda done: np.stack([-side * np.cos(math.pi * done), 1.6 * np.sin(math.pi * done) - 0.8], axis=-1)


def _circle(side: int) -> Path:
    return lambda done: np.stack([side * np.sin(2 * math.pi * done), np.cos(2 * math.pi * done)], axis=-1)


def _repeated(x: float, y: float) -> Path:
    return lambda done: np.sin(5 * math.pi * done)[:, None] * (0.7 * x, 0.7 * y)


MOVEMENTS = {
    "held": Movement(_straight(0, 0), 0.7),
    "up": Movement(_straight(0, 1), 1),
    "down": Movement(_straight(0, -1), 1),
    "out": Movement(_straight(-1, 0), 1),
    "in": Movement(_straight(1, 0), 1),
    "arc out": Movement(_arc(-1), 1.2),
    "arc in": Movement(_arc(1), 1.2),
    "circle out": Movement(_circle(-1), 1.6),
    "circle in": Movement(_circle(1), 1.6),
    "up and down": Movement(_repeated(0, 1), 2),
    "from side to side": Movement(_repeated(1, 0), 2),
}
MOVEMENT_SIZE = 7.0  # centimetres to either side of the place


@dataclasses.dataclass(frozen=True)
class Sign:
    """No two signs of a list share handshapes, place and movement."""

    name: str
    shapes: tuple[str, str]  # at its beginning and end, of `SHAPES`
    place: str
    movement: str
    hands: str

    @property
    def form(self) -> tuple[tuple[str, str], str, str]:
        """What no other sign of a list has."""
        return self.shapes, self.place, self.movement


MOST_SIGNS = 1000


def make_signs(count: int, seed: int) -> list[Sign]:
    """`count` signs, up to `MOST_SIGNS`. Every fourth differs from an earlier one in one thing only."""
    rng = random_streams.generator(seed, Stream.SIGN)
    width = len(str(count - 1))
    found: list[Sign] = []
    taken = set()
    while len(found) < count:
        sign = _invent(f"sign_{len(found):0{width}}", rng)
        if len(found) % 4 == 3:
            like = found[int(rng.integers(len(found)))]
            changed = str(rng.choice(["shapes", "place", "movement"]))
            sign = dataclasses.replace(like, **{"name": sign.name, changed: getattr(sign, changed)})
        if sign.form not in taken and not (sign.place == _ACROSS and sign.hands != ONE_HAND):
            taken.add(sign.form)
            found.append(sign)
    return found


def _invent(name: str, rng: np.random.Generator) -> Sign:
    first, last = (str(shape) for shape in rng.choice(SHAPES, 2, replace=False))
    return Sign(
        name=name,
        shapes=(first, last if rng.random() < 0.35 else first),
        place=str(rng.choice(list(PLACES))),
        movement=str(rng.choice(list(MOVEMENTS))),
        hands=str(rng.choice(HANDS, p=(0.55, 0.3, 0.15))),
    )
