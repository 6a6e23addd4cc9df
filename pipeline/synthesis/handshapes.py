"""The ASL manual alphabet, digits and punctuation as postures of the kinematic hand.

Every one of the 59 characters has a sign here: one or more key postures (`SIGNS`).

- **a-z**: the manual alphabet. j and z move.
- **0-9**: the number handshapes, palm to the camera, as people give telephone numbers. Four of them share a handshape
  with a letter (`LOOKALIKES`). Signers who tell them apart give such a number a small shake (`SHAKEN_NUMBERS`). For
  those who do not, 2/v and 9/f are ambiguous, and little is left of the other two pairs: a narrower 0, and a thumb
  that meets the little finger's tip in 6 and lies over its nail in w. 1 differs from d by its thumb, which lies over
  the fist.
- **the space**: the hand relaxes, half open, and slides outwards.
- **punctuation**: there is no one convention. Here it is drawn in the air with the index finger, as many signers do
  (`STROKES`); between two strokes the finger draws back. Signers who spell out "dot" or sign SLASH are not covered.

The handshapes follow common descriptions of the American manual alphabet and were checked by eye against recorded
hands. The angles are typical, not measured. Where the thumb goes is said by the place of its tip in the palm's frame
(centimetres, see `kinematics`), and its joint angles follow from that.
"""

import dataclasses

import numpy as np

from pipeline.synthesis import kinematics

Flexion = tuple[int, int, int]  # of knuckle, middle joint and end joint
Stroke = tuple[tuple[float, float], ...]  # points (x, y), each -1 to 1, x to the right of the image, y up

_STRAIGHT = (2, 4, 3)
_FIST = (82, 98, 55)
_LOW = (70, 95, 50)  # curled, but less tightly than in a fist: under a thumb
_CURVED = (42, 45, 30)
_ROUND = (58, 68, 40)  # the tip meets the thumb
_BENT = (75, 62, 30)  # over the thumb: m, n
_CLAWED = (38, 100, 65)  # e: the tips rest on the thumb
_HOOKED = (15, 85, 45)

# Spread of index, middle, ring and little finger towards the thumb's side.
_TOGETHER = (0, 0, 1, 3)
_FAN = (14, 3, -7, -18)

# The thumb opposite the fingers.
_OPPOSED = (25, 35, 15, 20)
# Between the ends of two fingers that touch, for their landmarks lie inside: centimetres in the palm's frame.
_FINGER_PAD = (0.2, 0.4, 0.7)


@dataclasses.dataclass(frozen=True)
class Handshape:
    """One key posture, in words. Angles as in `kinematics`."""

    fingers: tuple[Flexion, ...]  # index to little finger
    spread: tuple[int, int, int, int] = _TOGETHER
    thumb_at: str | tuple[float, float, float] | None = None  # what its tip touches: a finger's tip, or a place
    thumb_angles: tuple[int, int, int, int] = _OPPOSED  # if it touches something: from where it reaches for it
    orientation: tuple[int, int, int] = (0, 8, 0)
    place: tuple[float, float, float] = (0, 0, 0)  # of the wrist, from where the hand is held; centimetres


@dataclasses.dataclass(frozen=True)
class Sign:
    """The key postures of one character, one or more, and how long it takes relative to a common letter."""

    postures: np.ndarray  # (K, A) joint angles, degrees
    places: np.ndarray  # (K, 3) of the wrist, centimetres: right hand, x to the thumb's side, y up, z to the camera
    duration: float


def _fingers(count: int, extended: Flexion = _STRAIGHT, rest: Flexion = _FIST) -> tuple[Flexion, ...]:
    """The first `count` fingers extended, the others not."""
    return (extended,) * count + (rest,) * (4 - count)


_SIDEWAYS = (5, 150, -82)  # g, h: the fingers point to the signer's other side, the palm to the signer
_POINTING = Handshape(_fingers(1), thumb_at=(0.6, 7.2, 4.0), orientation=(12, 8, 0))

_LETTERS: dict[str, Handshape] = {
    "a": Handshape(_fingers(0), thumb_at=(3.5, 10.7, 2.8)),
    "b": Handshape(_fingers(4), thumb_at=(-0.3, 6.8, 3.2)),
    "c": Handshape((_CURVED,) * 4, thumb_at=(3.2, 6.0, 7.0), orientation=(0, 48, 0)),
    "d": Handshape((_STRAIGHT, _ROUND, _ROUND, _ROUND), thumb_at="middle", orientation=(0, 25, 0)),
    "e": Handshape((_CLAWED,) * 4, thumb_at=(0.0, 6.8, 3.4), orientation=(5, 5, 0)),
    "f": Handshape((_ROUND, _STRAIGHT, _STRAIGHT, _STRAIGHT), thumb_at="index", spread=(0, 4, -5, -14)),
    "g": Handshape(_fingers(1, (10, 6, 4)), thumb_at=(2.6, 11.6, 2.9), orientation=_SIDEWAYS),
    "h": Handshape(_fingers(2), thumb_at=(0.2, 7.2, 4.2), orientation=_SIDEWAYS),
    "i": Handshape((_FIST, _FIST, _FIST, _STRAIGHT), thumb_at=(0.8, 7.4, 4.4), spread=(0, 0, 0, -4)),
    "k": Handshape((_STRAIGHT, (48, 8, 5), _LOW, _FIST), thumb_at=(1.4, 10.4, 4.3), spread=(6, -4, 0, 3)),
    "l": Handshape(_fingers(1), thumb_angles=(60, 5, 0, -5)),
    "m": Handshape((_BENT, _BENT, _BENT, _LOW), thumb_at=(-1.7, 7.3, 3.2)),
    "n": Handshape((_BENT, _BENT, _FIST, _FIST), thumb_at=(-0.1, 8.0, 3.6)),
    "o": Handshape((_ROUND,) * 4, thumb_at="index", orientation=(0, 42, 0)),
    "p": Handshape(
        (_STRAIGHT, (62, 8, 5), _LOW, _FIST), thumb_at=(1.2, 9.6, 4.6), spread=(6, -4, 0, 3), orientation=(80, 40, -60)
    ),
    "q": Handshape(_fingers(1, (14, 8, 5)), thumb_at=(2.6, 11.2, 3.2), orientation=(140, 35, -10)),
    "r": Handshape(((12, 6, 4), (0, 10, 6), _FIST, _FIST), thumb_at=(-0.3, 7.4, 4.3), spread=(-11, 9, 0, 3)),
    "s": Handshape(_fingers(0), thumb_at=(-0.2, 7.6, 4.7)),
    "t": Handshape(((70, 88, 50), _FIST, _FIST, _FIST), thumb_at=(1.6, 10.4, 3.6)),
    "u": Handshape(_fingers(2), thumb_at=(-0.5, 7.3, 4.2), spread=(-2, 2, 0, 3)),
    "v": Handshape(_fingers(2), thumb_at=(-0.5, 7.3, 4.2), spread=(13, -9, 0, 3)),
    "w": Handshape(_fingers(3), thumb_at=(-1.3, 6.6, 3.6), spread=(14, 2, -12, 2)),
    "x": Handshape((_HOOKED, _FIST, _FIST, _FIST), thumb_at=(0.8, 7.6, 4.3), orientation=(0, 35, 0)),
    "y": Handshape((_FIST, _FIST, _FIST, _STRAIGHT), thumb_angles=(62, 10, 0, -10), spread=(0, 0, 0, -20)),
}
_J = _LETTERS["i"]
_MOVING: dict[str, tuple[Handshape, ...]] = {
    # The little finger draws a J as the signer sees it: down, then a hook inwards, while the palm turns in.
    "j": (
        _J,
        dataclasses.replace(_J, orientation=(25, 25, 0), place=(0, -4, 1)),
        dataclasses.replace(_J, orientation=(30, 95, 5), place=(2.5, -5, 1)),
        dataclasses.replace(_J, orientation=(5, 130, 20), place=(4, -2.5, 0)),
    ),
    # The index finger draws a Z as the signer sees it: the camera sees it mirrored.
    "z": tuple(
        dataclasses.replace(_POINTING, place=place) for place in ((4, 2, 0), (-4, 2, 0), (4, -4, 0), (-4, -4, 0))
    ),
}

_DIGITS: dict[str, Handshape] = {
    "0": Handshape(((66, 74, 42),) * 4, thumb_at="index", orientation=(0, 42, 0)),
    "1": Handshape(_fingers(1), thumb_at=(0.4, 7.4, 4.3)),
    "2": _LETTERS["v"],
    "3": Handshape((_STRAIGHT, _STRAIGHT, _FIST, _FIST), thumb_angles=(55, 8, 0, -5), spread=(12, -6, 0, 3)),
    "4": Handshape(_fingers(4), thumb_at=(-0.3, 6.8, 3.2), spread=_FAN),
    "5": Handshape(_fingers(4), thumb_angles=(52, 8, 0, -8), spread=_FAN),
    "6": Handshape(_fingers(3, rest=_ROUND), thumb_at="little", spread=(14, 2, -12, 2)),
    "7": Handshape((_STRAIGHT, _STRAIGHT, _ROUND, _STRAIGHT), thumb_at="ring", spread=_FAN),
    "8": Handshape((_STRAIGHT, _ROUND, _STRAIGHT, _STRAIGHT), thumb_at="middle", spread=_FAN),
    "9": _LETTERS["f"],
}

_RELAXED = Handshape(
    ((20, 25, 12), (25, 30, 15), (30, 32, 18), (32, 35, 18)),
    spread=(5, 0, -4, -9),
    thumb_angles=(35, 25, 12, 15),
    orientation=(10, 30, 0),
)

# Strokes of the index finger, as the camera sees a right hand: the signer sees them mirrored. A single point is a poke.
STROKES: dict[str, tuple[Stroke, ...]] = {
    "!": (((0, 1), (0, -0.4)), ((0, -1),)),
    "#": (((0.4, 1), (0.4, -1)), ((-0.4, 1), (-0.4, -1)), ((1, 0.4), (-1, 0.4)), ((1, -0.4), (-1, -0.4))),
    "$": (((-0.7, 0.7), (0.7, 0.5), (-0.7, -0.5), (0.7, -0.7)), ((0, 1), (0, -1))),
    "%": (((0.7, 0.8),), ((-0.8, 1), (0.8, -1)), ((-0.7, -0.8),)),
    "&": (((-0.8, -1), (0.5, 0.6), (0, 1), (-0.4, 0.6), (0.7, -0.6), (0, -1), (-0.8, 0)),),
    "'": (((0, 1), (0.2, 0.5)),),
    "(": (((-0.3, 1), (0.3, 0), (-0.3, -1)),),
    ")": (((0.3, 1), (-0.3, 0), (0.3, -1)),),
    "*": (((0.7, 0.7), (-0.7, -0.7)), ((-0.7, 0.7), (0.7, -0.7)), ((0, 1), (0, -1))),
    "+": (((0, 1), (0, -1)), ((1, 0), (-1, 0))),
    ",": (((0, -0.6), (0.3, -1.1)),),
    "-": (((1, 0), (-1, 0)),),
    ".": (((0, -0.4),),),
    "/": (((-0.8, 1), (0.8, -1)),),
    ":": (((0, 0.7),), ((0, -0.7),)),
    ";": (((0, 0.7),), ((0, -0.4), (0.3, -1))),
    "=": (((1, 0.4), (-1, 0.4)), ((1, -0.4), (-1, -0.4))),
    "?": (((0.6, 0.6), (0, 1), (-0.6, 0.5), (0, 0), (0, -0.5)), ((0, -1),)),
    "@": (((0, 0.3), (0.4, 0), (0, -0.4), (-0.5, 0), (0, 1), (1, 0), (0, -1), (-0.8, -0.8)),),
    "[": (((-0.5, 1), (0.5, 1), (0.5, -1), (-0.5, -1)),),
    "_": (((1, -1), (-1, -1)),),
    "~": (((1, 0), (0.5, 0.4), (-0.5, -0.4), (-1, 0)),),
}
_STROKE_SIZE = 4.0  # centimetres from the middle
_POKE = 3.5  # centimetres towards the camera

# Numbers that share a handshape with a letter, and the letter.
LOOKALIKES = {"0": "o", "2": "v", "6": "w", "9": "f"}
_SHAKE = 14  # degrees of roll to either side


def _drawing(strokes: tuple[Stroke, ...]) -> tuple[Handshape, ...]:
    """The index finger at the points of the strokes; before a poke and between strokes it draws back."""
    places: list[tuple[float, float, float]] = []
    for stroke in strokes:
        if places or len(stroke) == 1:
            places.append((*stroke[0], -0.5 * _POKE))
        places += [(x, y, 0.5 * _POKE if len(stroke) == 1 else 0.0) for x, y in stroke]
    return tuple(dataclasses.replace(_POINTING, place=(_STROKE_SIZE * x, _STROKE_SIZE * y, z)) for x, y, z in places)


def _shaken(shape: Handshape) -> tuple[Handshape, ...]:
    pitch, yaw, roll = shape.orientation
    return tuple(dataclasses.replace(shape, orientation=(pitch, yaw, roll + turn)) for turn in (_SHAKE, -_SHAKE, 0))


def _signs(shapes: dict[str, tuple[Handshape, ...]]) -> dict[str, Sign]:
    postures = iter(_postures([shape for keys in shapes.values() for shape in keys]))
    return {
        character: Sign(
            postures=np.array([next(postures) for _ in keys]),
            places=np.array([shape.place for shape in keys], np.float32),
            # Every further key posture takes time, though less than a letter.
            duration=1 + 0.3 * (len(keys) - 1),
        )
        for character, keys in shapes.items()
    }


def _postures(shapes: list[Handshape]) -> np.ndarray:
    """Joint angles (K, A) of all shapes at once, for solving for the thumbs one by one is slow."""
    postures = np.zeros((len(shapes), kinematics.NUM_ANGLES), np.float32)
    for posture, shape in zip(postures, shapes, strict=True):
        posture[kinematics.FINGER_ANGLES] = np.column_stack([shape.fingers, shape.spread]).ravel()
        posture[kinematics.THUMB] = shape.thumb_angles
    # The palm is not turned yet: these landmarks are in its own frame.
    landmarks_KxJx3 = kinematics.forward(postures)
    tips = {finger: landmarks_KxJx3[:, 8 + 4 * i] for i, finger in enumerate(kinematics.FINGERS)}
    targets = {
        i: tips[shape.thumb_at][i] - _FINGER_PAD if isinstance(shape.thumb_at, str) else np.array(shape.thumb_at)
        for i, shape in enumerate(shapes)
        if shape.thumb_at is not None
    }
    reaching = list(targets)
    postures[reaching] = kinematics.reach(postures[reaching], np.array(list(targets.values())))
    postures[:, kinematics.ORIENTATION] = [shape.orientation for shape in shapes]
    return postures


SIGNS: dict[str, Sign] = _signs(
    {character: (shape,) for character, shape in (_LETTERS | _DIGITS | {" ": _RELAXED}).items()}
    | _MOVING
    | {character: _drawing(strokes) for character, strokes in STROKES.items()}
)
SHAKEN_NUMBERS: dict[str, Sign] = _signs({digit: _shaken(_DIGITS[digit]) for digit in LOOKALIKES})
