"""Makes sample data in the layout of the Kaggle fingerspelling set, with hands from a kinematic model.

    python -m pipeline.synthesize --output data/sample

writes a folder that every other command reads as it reads the real set:

    train.csv                                path, file_id, sequence_id, participant_id, phrase
    train_landmarks/<file_id>.parquet        wide: frame, x/y/z of 543 points (1,629 columns), sequence_id
    character_to_prediction_index.json       the 59 characters
    planted_corruption.csv                   sequence_id, kind: the spoiled sequences. Ground truth for the closing
                                             table of a whole run; nothing else may read it
    request.json, manifest.json              what was asked for; the manifest is written last

The same arguments give the same landmarks and phrases, however many files they are spread over. A folder that was
interrupted goes on where it stopped.

How hard the data are was fixed from what is known of the real set and of people, before anything was trained on them;
no figure below was chosen to make recognition easier or harder. In brackets: what came out, with the default arguments.
Frames a sequence: 160 on average (161), P95 309 (280); frames a character: median 8.9 (9.0), P5 2.4 (2.2);
characters a phrase: 17.8 (18.1), at most 31; frames without the spelling hand: 40 % (41 %). What is modelled, and
the choices:

- **Signers** differ in hand size and proportions, body size, the tilt of the hand, the way they make each character (7
  degrees a joint) and each time they make it (4 degrees more), speed (28 % between signers, 33 % between sequences,
  25-45 % between characters), co-articulation, the place of hand and head, framing, the phone's aspect ratio
  (portrait), and how often the tracker loses their hand. Every tenth is left-handed. Six in ten
  shake the numbers that look like a letter; for the others such a pair is ambiguous (`handshapes`).
- **Spelling**: the hand comes up into view, spells, and leaves; the frames before and after show no hand. A character
  is held for a third to two thirds of its time; the joints then go to the next one smoothly, each finger and the palm
  with a lead or lag of its own, and lean a little towards the neighbours. At full speed a posture is not quite reached.
  A doubled character slides outwards or bounces. First and last characters last longer. The hand drifts.
- **The tracker** trembles (1 mm of the hand, twice that in depth, more at the fingertips), and loses the hand in bursts
  of 3.5 frames on average, more readily when it moves fast: about a sixth of the frames between coming up and leaving.
  The other hand is seen in one sequence of sixteen, and there briefly. Face and body are seldom lost.
- **Face and body**: the nose, lips and the 33 body points stand where they belong; the other 424 face points fill the
  face in no meaningful order. The head turns and sways; the lips move, but say nothing.
- **Phrases**: names, addresses, telephone numbers and web addresses made by rule from short word lists.
- **Spoiled** sequences, a third of them each: `accidental_tap` (a few frames, nothing spelled), `truncated` (the
  recording stops before a third is spelled), `wrong_phrase` (the metadata give another sequence's phrase).

Not modelled: fingers that hide each other and mislead the tracker, signs instead of spelling ("dot", "slash"), mistakes
and corrections, a moving camera, regional variants. So figures on these data say that the program works, and how its
parts compare; they do not predict figures on the real set.

Shapes: T frames, K key postures, A joint angles, 543 points.
"""

import csv
import dataclasses
import functools
import itertools
import json
import math
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import commands, directories, handshapes, kinematics, vocabulary
from pipeline.commands import UserError

KIND = "sample data"
# Raise it when the same arguments give other data than before.
GENERATOR_VERSION = 1

SPOILED_KINDS = ("accidental_tap", "truncated", "wrong_phrase")
MAX_PHRASE_LENGTH = 31

POINTS_PER_TYPE = {"face": 468, "left_hand": 21, "pose": 33, "right_hand": 21}
NUM_POINTS = sum(POINTS_PER_TYPE.values())
POINT_COLUMNS = tuple(
    f"{axis}_{kind}_{i}" for axis in "xyz" for kind, count in POINTS_PER_TYPE.items() for i in range(count)
)
_FACE, _LEFT_HAND, _POSE, _RIGHT_HAND = (
    slice(stop - count, stop)
    for stop, count in zip(itertools.accumulate(POINTS_PER_TYPE.values()), POINTS_PER_TYPE.values(), strict=True)
)

_FIRST_FILE_ID = 7_000_000
_ROWS_PER_GROUP = 4096
# Coordinates are steps of 1/16384 of the image, finer than any tracker resolves, so that files compress to half.
_RESOLUTION = 1 << 14

# First word of every random stream, so that no two draw the same numbers.
_PHRASE_STREAM, _MOTION_STREAM, _SIGNER_STREAM, _PLAN_STREAM = range(4)


def _random(seed: int, stream: int, index: int = 0) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, stream, index]))


# Phrases

# Spaces within a word are written as underscores.
_WORDS = {
    kind: [word.replace("_", " ") for word in words.split()]
    for kind, words in {
        "first name": "abigail adrian beatrice carlos daphne derek elena felix gwen hector ingrid jasper joaquin"
        " katherine leo marguerite max naomi oscar paula quentin rosa samuel tamara ursula vincent wendy xavier yolanda"
        " zachary",
        "last name": "abbott baxter cho de-jong ellison fitzgerald garcia hawkins ivanova jennings kowalski lindqvist"
        " montgomery nguyen o'brien pfeiffer quinn rodriguez schwartz takahashi underwood vazquez whitfield yamamoto"
        " zimmerman",
        "street": "acorn bellevue cedar deer_creek eagle_ridge fox_hollow grand highland jackson_mill kings lakeview"
        " maple northwest_41st old_quarry pine_valley quail river_bend sycamore twin_oaks upper_basin vista_del_mar"
        " willow",
        "street kind": "ave avenue boulevard circle court drive hwy lane place road st street trail way",
        "town": "ashford_wa bel_air brookfield_ny cedar_falls dry_lake_nv east_haven elko fairview_tn glenwood juneau",
        "site": "atlas bike blue cafe craft daily fjord garden green home jazz kiosk lumen maps moto news north open"
        " photo pixel quick river sky tea travel vivid web xpress zoo",
        "ending": ".com .com .com .org .net .edu .co.uk .de .fr .info .io .jp",
    }.items()
}


def phrase(seed: int, index: int) -> str:
    """What sequence `index` spells: one of four kinds of phrase, of 3 to 31 vocabulary characters."""
    rng = _random(seed, _PHRASE_STREAM, index)
    kinds = (_person, _address, _telephone, _web_address)
    while True:
        text = kinds[rng.choice(4, p=(0.26, 0.3, 0.2, 0.24))](rng)
        if 3 <= len(text) <= MAX_PHRASE_LENGTH:
            return text


def _digits(rng: np.random.Generator, count: int) -> str:
    return "".join(str(digit) for digit in rng.integers(0, 10, count))


def _person(rng: np.random.Generator) -> str:
    first, last = rng.choice(_WORDS["first name"]), rng.choice(_WORDS["last name"])
    middle = f" {rng.choice(list('abcdefghijklmnopqrstuvwxyz'))} " if rng.random() < 0.2 else " "
    if rng.random() < 0.15:
        last += f"-{rng.choice(_WORDS['last name'])}"
    return f"{first}{middle}{last}"


def _address(rng: np.random.Generator) -> str:
    number = str(rng.integers(1, 10 ** rng.integers(2, 6)))
    text = f"{number} {rng.choice(_WORDS['street'])} {rng.choice(_WORDS['street kind'])}"
    if rng.random() < 0.12:
        text += f" #{rng.integers(1, 99)}"
    elif rng.random() < 0.15:
        text += rng.choice((" ", ", ")) + rng.choice(_WORDS["town"])
    return text


def _telephone(rng: np.random.Generator) -> str:
    area, line = _digits(rng, 3), _digits(rng, 4)
    forms = (
        f"{area}-555-{line}",
        f"({area}) 555-{line}",
        f"1-{area}-555-{line}",
        f"+{rng.integers(20, 99)}-{_digits(rng, 2)}-{area}-{line}-{_digits(rng, 2)}",
        f"+{rng.integers(1, 9)}-{area}-555-{line}",
        f"+{rng.integers(200, 999)}-{_digits(rng, 2)}-{area}-{line[:2]}",
    )
    return str(rng.choice(forms))


def _web_address(rng: np.random.Generator) -> str:
    words = rng.choice(_WORDS["site"], 5)
    site = words[0] + rng.choice(("", "-", ""), p=(0.5, 0.3, 0.2)) + words[1] + rng.choice(_WORDS["ending"])
    if rng.random() < 0.06:
        return f"{words[2]}{rng.choice(('.', '_', ''))}{words[3]}@{site}"
    start = rng.choice(("", "www.", "https://", "http://www."), p=(0.45, 0.3, 0.19, 0.06))
    paths = (
        "",
        f"/{words[2]}",
        f"/{words[2]}-{words[3]}",
        f"/{words[2]}_{words[3]}",
        f"/{words[2]}/{words[3]}",
        f"/{words[2]}.html",
        f"/~{words[2]}",
        f"/?{words[2][0]}={_digits(rng, 2)}",
        f"/{words[2]}?id={_digits(rng, 3)}&p={_digits(rng, 1)}",
        f"/{words[2]}%20{words[3]}",
    )
    path = rng.choice(paths, p=(0.35, 0.22, 0.09, 0.08, 0.09, 0.06, 0.03, 0.03, 0.03, 0.02))
    return f"{start}{site}{path}"


# Signers


@dataclasses.dataclass(frozen=True)
class Signer:
    """One person before one phone. Lengths are in centimetres, angles in degrees, times in frames."""

    left_handed: bool
    hand_bones: np.ndarray  # (5, 3)
    hand_palm: np.ndarray  # (5, 3)
    body_size: float  # 1: average
    tilt: np.ndarray  # (3,): added to every orientation
    style: np.ndarray  # (59, A): added to every posture of a character
    tells_twins: bool  # shakes numbers that share a handshape with a letter
    slides: bool  # doubled characters slide; otherwise they bounce
    frames_per_character: float
    rhythm: float  # variation of a character's duration, as a standard deviation of its logarithm
    blend: tuple[float, float]  # how far a posture leans to the one before and the one after
    inertia: float  # standard deviation of the smoothing of all angles, frames
    place: np.ndarray  # (3,): wrist from the middle of the face
    drift: float  # outwards, per character
    lost: float  # share of the frames in which the tracker loses the hand
    aspect: float  # width of the image by its height
    image_width: float  # centimetres at the body
    face_in_image: tuple[float, float]  # fractions


def make_signer(seed: int, number: int, count: int) -> Signer:
    """Signer `number` of `count`. Every tenth is left-handed, the first of them drawn at random."""
    rng = _random(seed, _SIGNER_STREAM, number)
    first_left_handed = _random(seed, _PLAN_STREAM, 1).integers(min(10, count))
    size = rng.normal(1, 0.07)
    proportions = rng.normal(1, 0.04, (5, 1))
    style = rng.normal(0, 7, (vocabulary.NUM_CHARACTERS, kinematics.NUM_ANGLES))
    style[:, 3:16:4] *= 0.4  # spread: little room to differ
    aspect = rng.choice((9 / 16, 3 / 4, 9 / 19.5), p=(0.55, 0.3, 0.15))
    image_width = float(rng.uniform(50, 72))
    return Signer(
        left_handed=bool(number % 10 == first_left_handed),
        hand_bones=(kinematics.BONES * size * proportions * rng.normal(1, 0.03, (5, 3))).astype(np.float32),
        hand_palm=(kinematics.PALM * size * rng.normal(1, 0.03, (5, 3))).astype(np.float32),
        body_size=size * rng.normal(1, 0.04),
        tilt=rng.normal((4, 0, 0), (7, 9, 7)),
        style=style,
        tells_twins=bool(rng.random() < 0.6),
        slides=bool(rng.random() < 0.6),
        frames_per_character=5.3 * math.exp(rng.normal(0, 0.28)),
        rhythm=rng.uniform(0.25, 0.45),
        blend=(rng.uniform(0.02, 0.08), rng.uniform(0.04, 0.12)),
        inertia=rng.uniform(0.5, 1.0),
        # Near enough to the middle to stay in the image, most of the time.
        place=rng.normal((-0.17 * image_width, -25, 20), (2, 3, 4)),
        drift=rng.uniform(0, 0.25),
        lost=min(0.5, 0.22 * math.exp(rng.normal(0, 0.4))),
        aspect=float(aspect),
        image_width=image_width,
        face_in_image=(float(rng.normal(0.5, 0.04)), float(rng.normal(0.37, 0.06))),
    )


# Motion


@dataclasses.dataclass(frozen=True)
class _Spelling:
    """The spelling hand as it is, before anything sees it."""

    angles: np.ndarray  # (T, A)
    places: np.ndarray  # (T, 3) of the wrist, from the middle of the face; a right hand's
    up: np.ndarray  # (T,) bool: the hand is in view
    first_frame: int  # of the first character
    last_frame: int  # of the last character


_BELOW = np.array((2.0, -38.0, 0.0))  # where a hand rests, out of view, from where it spells


def _spell(text: str, signer: Signer, rng: np.random.Generator) -> _Spelling:
    """The motion of one phrase. Time is a chain of key postures, each held from `starts` to `ends`."""
    rest = handshapes.SIGNS[" "].postures[0]
    postures, places, durations = [rest], [_BELOW], [0.0]
    hand_size = signer.hand_palm[2, 1] / kinematics.PALM[2, 1]
    speed = signer.frames_per_character * math.exp(rng.normal(0, 0.33))
    for position, character in enumerate(text):
        sign = handshapes.SIGNS[character]
        if signer.tells_twins and character in handshapes.SHAKEN:
            sign = handshapes.SHAKEN[character]
        way = signer.style[vocabulary.CHARACTER_TO_INDEX[character]] + rng.normal(0, 4, kinematics.NUM_ANGLES)
        outwards = np.array((-signer.drift * position, 0.0, 0.0))
        if character == " ":
            outwards[0] -= 3
        lasts = speed * sign.duration * math.exp(rng.normal(0, signer.rhythm))
        lasts *= 1.3 if position == 0 else 1.5 if position == len(text) - 1 else 1
        if position and character == text[position - 1]:
            if signer.slides:
                outwards[0] -= rng.normal(4, 0.8)
            else:
                # The bounce: the hand goes back and comes again.
                postures.append(sign.postures[0] + way)
                places.append(outwards + rng.normal((0, 2, -2.5), 0.5))
                durations.append(0.5 * lasts)
        keys = len(sign.postures)
        postures += list(sign.postures + way)
        places += list(sign.places * hand_size + outwards)
        durations += [lasts / keys] * keys
    postures.append(rest)
    places.append(places[-1] + _BELOW)
    durations.append(0.0)
    postures_KxA, places_Kx3 = np.array(postures), np.array(places)

    # Far postures take more of a character's time to go to. The first and the last way are those of the whole arm.
    distance = np.abs(np.diff(postures_KxA, axis=0)).mean(axis=1)
    share = np.clip(0.3 + 0.3 * distance / max(distance.mean(), 1e-6), 0.33, 0.67)
    travel = share * np.array(durations[1:])
    travel[[0, -1]] = rng.uniform(4, 9, 2)
    held = np.array(durations) * (1 - np.append(0, share))
    held[[0, -1]] = rng.gamma(1.5, 14, 2)  # no hand before and after: frames
    ends = np.cumsum(held + np.append(0, travel))
    starts = ends - held

    before, after = signer.blend
    leaning = postures_KxA.copy()
    leaning[1:-1] += before * (postures_KxA[:-2] - postures_KxA[1:-1]) + after * (postures_KxA[2:] - postures_KxA[1:-1])

    num_frames = max(2, math.ceil(ends[-1]))
    # Four fingers, thumb, orientation and place each lead or lag by a fraction of a frame or more.
    leads = rng.normal(0, 0.5, 7)
    angle_leads = np.concatenate([np.repeat(leads[:4], 4), np.repeat(leads[4], 4), np.repeat(leads[5], 3)])
    time_T = np.arange(num_frames)[:, None]
    angles_TxA = _follow(leaning, starts, ends, time_T + angle_leads)
    places_Tx3 = _follow(places_Kx3, starts, ends, time_T + np.repeat(leads[6], 3))
    angles_TxA += _wander(rng, num_frames, kinematics.NUM_ANGLES, 2.0)
    angles_TxA[:, kinematics.ORIENTATION] += signer.tilt
    places_Tx3 += signer.place + _wander(rng, num_frames, 3, 0.8)
    return _Spelling(
        angles=np.clip(_smooth(angles_TxA, signer.inertia), kinematics.LIMITS[:, 0], kinematics.LIMITS[:, 1]),
        places=_smooth(places_Tx3, signer.inertia),
        up=(time_T[:, 0] > ends[0] + 0.5 * travel[0]) & (time_T[:, 0] < starts[-1] - 0.5 * travel[-1]),
        first_frame=int(starts[1]),
        last_frame=int(ends[-2]),
    )


def _follow(keys_KxC: np.ndarray, starts: np.ndarray, ends: np.ndarray, time_TxC: np.ndarray) -> np.ndarray:
    """Channels that rest at each key from its start to its end, and go smoothly to the next in between."""
    times = np.stack([starts, ends], axis=1).ravel()
    phase = np.interp(time_TxC, times, np.repeat(np.arange(len(starts)), 2))
    key = np.minimum(phase.astype(int), len(keys_KxC) - 2)
    part = phase - key
    part = part * part * (3 - 2 * part)
    channel = np.arange(keys_KxC.shape[1])
    return (1 - part) * keys_KxC[key, channel] + part * keys_KxC[key + 1, channel]


def _wander(rng: np.random.Generator, num_frames: int, channels: int, size: float) -> np.ndarray:
    """Slow random motion (T, C) with standard deviation `size` at its turning points, 12 frames apart."""
    knots = rng.normal(0, size, (num_frames // 12 + 2, channels))
    phase = np.arange(num_frames)[:, None] / 12
    key = phase.astype(int)[:, 0]
    part = phase - key[:, None]
    part = part * part * (3 - 2 * part)
    return (1 - part) * knots[key] + part * knots[key + 1]


def _smooth(signal_TxC: np.ndarray, deviation: float) -> np.ndarray:
    taps = np.exp(-0.5 * (np.arange(-3, 4) / deviation) ** 2)
    padded = np.pad(signal_TxC, ((3, 3), (0, 0)), mode="edge")
    return sum(weight * padded[i : i + len(signal_TxC)] for i, weight in enumerate(taps / taps.sum()))


def _tap(signer: Signer, rng: np.random.Generator) -> _Spelling:
    """A touch by accident: a few frames in which an idle hand may or may not be seen, and nothing is spelled."""
    num_frames = 2 + int(rng.geometric(1 / 8))
    angles_TxA = handshapes.SIGNS[" "].postures + rng.normal(0, 7, kinematics.NUM_ANGLES)
    angles_TxA = angles_TxA + _wander(rng, num_frames, kinematics.NUM_ANGLES, 3.0)
    places_Tx3 = signer.place + rng.uniform(0, 0.6) * _BELOW + _wander(rng, num_frames, 3, 3.0)
    up_T = np.full(num_frames, rng.random() < 0.5)
    return _Spelling(angles_TxA, places_Tx3, up_T, first_frame=0, last_frame=num_frames)


# Body and face

_OUTER_UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_OUTER_LOWER_LIP = (146, 91, 181, 84, 17, 314, 405, 321, 375)
_INNER_UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_INNER_LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
_NOSE = {1: (0.0, -0.5, 3.0), 2: (0.0, -1.6, 2.0), 98: (-1.2, -1.4, 1.2), 327: (1.2, -1.4, 1.2)}


@functools.cache
def _face() -> tuple[np.ndarray, np.ndarray]:
    """The 468 face points (468, 3) in centimetres from the middle of the face, and how much each follows the jaw."""
    points, jaw = np.zeros((468, 3), np.float32), np.zeros(468, np.float32)
    # A spiral that fills an ellipse evenly, for points whose order means nothing here.
    turn = np.arange(468) * math.pi * (3 - math.sqrt(5))
    radius = np.sqrt((np.arange(468) + 0.5) / 468)
    points[:, 0], points[:, 1] = 6.8 * radius * np.cos(turn), 9.0 * radius * np.sin(turn) - 0.5
    for line, half_width, height in (
        (_OUTER_UPPER_LIP, 2.6, 0.8),
        (_OUTER_LOWER_LIP, 2.1, -1.1),
        (_INNER_UPPER_LIP, 2.2, 0.15),
        (_INNER_LOWER_LIP, 1.8, -0.2),
    ):
        across = np.linspace(-1, 1, len(line))
        points[list(line), 0] = half_width * across
        points[list(line), 1] = -4.6 + height * (1 - 0.9 * across**2)
        if height < 0:
            jaw[list(line)] = 1 - 0.8 * across**2
    points[:, 2] = 5 * np.sqrt(np.maximum(0, 1 - (points[:, 0] / 7.5) ** 2 - (points[:, 1] / 11) ** 2)) - 3.5
    for index, place in _NOSE.items():
        points[index] = place
    return points, jaw


# MediaPipe's 33 body points from the middle of the face, centimetres; the signer's left is at x > 0.
_HEAD_POINTS = ((0, -0.5, 3), (1.6, 3, 1), (3, 3, 1), (4.4, 3, 0), (-1.6, 3, 1), (-3, 3, 1), (-4.4, 3, 0))
_BODY = np.array(
    [*_HEAD_POINTS, (7.2, 1, -6), (-7.2, 1, -6), (2.4, -4.7, 1.5), (-2.4, -4.7, 1.5)]
    + [
        (side * x, y, z)
        for x, y, z in (
            *((18, -23, -5), (22, -50, -4), (20, -72, 8), (19, -79, 10), (17, -79, 11), (16, -77, 10)),
            *((11, -76, -5), (12, -118, 5), (12, -160, 0), (12, -166, -4), (13, -168, 10)),
        )
        for side in (1, -1)
    ],
    np.float32,
)
_NUM_HEAD_POINTS = 11


def _body(signer: Signer, hand_Tx21x3: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Face (T, 468, 3) and body (T, 33, 3) of the owner of the spelling hand, all from the middle of the face."""
    num_frames = len(hand_Tx21x3)
    face, jaw = _face()
    head = np.concatenate([face, _BODY[:_NUM_HEAD_POINTS]]) * np.float32(signer.body_size)
    turned = kinematics.palm_rotation(rng.normal(0, 4, 3) + _wander(rng, num_frames, 3, 4.0))
    sway = _wander(rng, num_frames, 3, 0.7).astype(np.float32)
    head_TxNx3 = head @ turned.transpose(0, 2, 1)
    head_TxNx3[:, :468, 1] -= np.maximum(0, _wander(rng, num_frames, 1, 0.8)).astype(np.float32) * jaw
    body_Tx33x3 = np.tile(_BODY * np.float32(signer.body_size), (num_frames, 1, 1))
    body_Tx33x3[:, :_NUM_HEAD_POINTS] = head_TxNx3[:, 468:]
    body_Tx33x3 += 0.6 * sway[:, None]
    body_Tx33x3[:, :_NUM_HEAD_POINTS] += 0.4 * sway[:, None]
    arm = 11 if signer.left_handed else 12
    shoulder, wrist = body_Tx33x3[:, arm], hand_Tx21x3[:, 0]
    apart = np.linalg.norm(wrist - shoulder, axis=1, keepdims=True)
    bend = np.sqrt(np.maximum(9, (27 * signer.body_size) ** 2 - (apart / 2) ** 2))
    away = np.array((0.35 if signer.left_handed else -0.35, -0.9, -0.25), np.float32)
    body_Tx33x3[:, arm + 2] = 0.5 * (shoulder + wrist) + bend * away
    body_Tx33x3[:, arm + 4 : arm + 11 : 2] = hand_Tx21x3[:, [0, 17, 5, 2]]
    return head_TxNx3[:, :468] + sway[:, None], body_Tx33x3


# The tracker


def _trembling(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> np.ndarray:
    """The tracker's error, of standard deviation `size`, double in depth, related from one frame to the next."""
    white = rng.standard_normal((shape[0] + 1, *shape[1:]), np.float32)
    error = white[1:] * np.float32(0.8)
    error += white[:-1] * np.float32(0.6)
    error *= np.float32(size)
    error[..., 2] *= 2
    return error


def _bursts(rng: np.random.Generator, chance_T: np.ndarray, mean_length: float) -> np.ndarray:
    """(T,) bool: bursts that start with the chance given in each frame."""
    starts = np.flatnonzero(rng.random(len(chance_T)) < chance_T)
    stops = np.minimum(starts + rng.geometric(1 / mean_length, len(starts)), len(chance_T))
    change = np.bincount(starts, minlength=len(chance_T) + 1) - np.bincount(stops, minlength=len(chance_T) + 1)
    return np.cumsum(change)[:-1] > 0


_DISTANCE = 75.0  # from the camera to the face, centimetres
_FINGERTIPS = [4, 8, 12, 16, 20]


def _project(points_TxNx3: np.ndarray, signer: Signer) -> np.ndarray:
    """From centimetres to fractions of the image; z in image widths, smaller nearer, as MediaPipe has it."""
    x, y, z = points_TxNx3[..., 0], points_TxNx3[..., 1], points_TxNx3[..., 2]
    width, height = signer.image_width, signer.image_width / signer.aspect
    nearer = _DISTANCE / (_DISTANCE - np.clip(z, -30, 50))
    image = np.empty_like(points_TxNx3)
    image[..., 0] = signer.face_in_image[0] + x * nearer / width
    image[..., 1] = signer.face_in_image[1] - y * nearer / height
    image[..., 2] = z / -width
    return image


def _record(spelling: _Spelling, signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """What the tracker reports of the motion: (T, 543, 3) float32, NaN where it sees nothing."""
    num_frames = len(spelling.angles)
    hand = kinematics.forward(spelling.angles.astype(np.float32), signer.hand_bones, signer.hand_palm)
    hand += spelling.places.astype(np.float32)[:, None]
    if signer.left_handed:
        hand[..., 0] *= -1
    face, body = _body(signer, hand, rng)

    speed = np.linalg.norm(np.diff(hand, axis=0, prepend=hand[:1]), axis=2).mean(axis=1)
    haste = 0.4 + 0.6 * speed / max(float(speed[spelling.up].mean()) if spelling.up.any() else 0.0, 1e-6)
    lost = _bursts(rng, signer.lost / 3.5 * haste, 3.5)
    hand += _trembling(rng, hand.shape, 0.1)
    hand[:, _FINGERTIPS] += _trembling(rng, (num_frames, 5, 3), 0.1)

    landmarks = np.full((num_frames, NUM_POINTS, 3), np.nan, np.float32)
    seen = np.flatnonzero(spelling.up & ~lost)
    landmarks[seen, _LEFT_HAND if signer.left_handed else _RIGHT_HAND] = _project_hand(hand[seen], signer)
    if rng.random() < 1 / 16:
        other = np.flatnonzero(_bursts(rng, np.full(num_frames, 0.01), 6))
        idle = kinematics.forward(handshapes.SIGNS[" "].postures, signer.hand_bones, signer.hand_palm)
        idle = idle + (signer.place + 0.5 * _BELOW).astype(np.float32) + _trembling(rng, (len(other), 21, 3), 0.15)
        if not signer.left_handed:
            idle[..., 0] *= -1
        landmarks[other, _RIGHT_HAND if signer.left_handed else _LEFT_HAND] = _project_hand(idle, signer)
    seen = np.flatnonzero(~_bursts(rng, np.full(num_frames, 0.002), 8))
    landmarks[seen, _FACE] = _project(face[seen] + _trembling(rng, (len(seen), 468, 3), 0.05), signer)
    seen = np.flatnonzero(~_bursts(rng, np.full(num_frames, 0.0005), 8))
    landmarks[seen, _POSE] = _project(body[seen] + _trembling(rng, (len(seen), 33, 3), 0.2), signer)
    landmarks *= _RESOLUTION
    np.rint(landmarks, out=landmarks)
    landmarks *= 1 / _RESOLUTION
    return landmarks


def _project_hand(hand_Tx21x3: np.ndarray, signer: Signer) -> np.ndarray:
    """As `_project`; the depth of a hand is counted from its wrist."""
    image = _project(hand_Tx21x3, signer)
    image[..., 2] -= image[:, :1, 2].copy()
    return image


# The data set


@dataclasses.dataclass(frozen=True)
class Example:
    """One sequence before it is made: what is asked for, and what its metadata will say."""

    index: int
    sequence_id: int
    participant_id: int
    file_id: int
    phrase: str  # in the metadata
    kind: str  # one of `SPOILED_KINDS`, or empty


def plan(*, sequences: int, signers: int, files: int, spoiled_share: float, seed: int) -> list[Example]:
    """All sequences, in the order in which they are written. Only `file_id` depends on `files`."""
    rng = _random(seed, _PLAN_STREAM)
    spoiled = rng.permutation(sequences)[: round(sequences * spoiled_share)]
    kinds = {int(index): SPOILED_KINDS[order % 3] for order, index in enumerate(spoiled)}
    examples = []
    for index in range(sequences):
        text = phrase(seed, index)
        kind = kinds.get(index, "")
        if kind == "wrong_phrase":
            others = (phrase(seed, int(other)) for other in rng.integers(0, sequences, 50))
            text = next((other for other in others if other != text), text[::-1] + "x")[:MAX_PHRASE_LENGTH]
        examples.append(
            Example(
                index=index,
                # An odd factor: every index gives another id, in no order.
                sequence_id=(index * 1_103_515_245 + 12_345) % (1 << 31),
                participant_id=index % signers,
                file_id=_FIRST_FILE_ID + index * files // sequences,
                phrase=text,
                kind=kind,
            )
        )
    return examples


def make_landmarks(example: Example, signer: Signer, seed: int) -> np.ndarray:
    """The recording of one sequence: (T, 543, 3) float32, in the order of `POINT_COLUMNS`."""
    rng = _random(seed, _MOTION_STREAM, example.index)
    if example.kind == "accidental_tap":
        return _record(_tap(signer, rng), signer, rng)
    spelling = _spell(phrase(seed, example.index), signer, rng)
    landmarks = _record(spelling, signer, rng)
    if example.kind == "truncated":
        spelled = spelling.last_frame - spelling.first_frame
        landmarks = landmarks[: max(1, spelling.first_frame + int(rng.uniform(0.05, 0.33) * spelled))]
    return landmarks


def schema() -> pa.Schema:
    """The columns of the Kaggle files, with the index as pandas writes it."""
    types = {"frame": "int16"} | dict.fromkeys(POINT_COLUMNS, "float32") | {"sequence_id": "int64"}
    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in types.items()]
    pandas = {
        "index_columns": ["sequence_id"],
        "column_indexes": [
            {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
        ],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": kind, "metadata": None}
            for name, kind in types.items()
        ],
        "pandas_version": "2.0.0",
    }
    return pa.schema(fields, metadata={"pandas": json.dumps(pandas)})


def _tables(examples: list[Example], people: list[Signer], seed: int, done: Callable[[], None]) -> Iterator[pa.Table]:
    """Row groups of whole sequences. `done` is called after each sequence."""
    columns = schema()
    blocks: list[np.ndarray] = []
    owners: list[int] = []
    for example in examples:
        landmarks = make_landmarks(example, people[example.participant_id], seed)
        blocks.append(landmarks.transpose(2, 1, 0).reshape(3 * NUM_POINTS, -1))
        owners.append(example.sequence_id)
        done()
        if sum(block.shape[1] for block in blocks) >= _ROWS_PER_GROUP or example is examples[-1]:
            lengths = [block.shape[1] for block in blocks]
            values = np.concatenate(blocks, axis=1)
            frames = np.concatenate([np.arange(length, dtype=np.int16) for length in lengths])
            # As in the real files, what is not seen is null, not NaN.
            arrays = [pa.array(frames), *(pa.array(row, from_pandas=True) for row in values)]
            yield pa.Table.from_arrays([*arrays, pa.array(np.repeat(owners, lengths))], schema=columns)
            blocks, owners = [], []


def synthesize(
    output: pathlib.Path,
    *,
    sequences: int = 1200,
    signers: int = 12,
    files: int = 6,
    spoiled_share: float = 0.12,
    seed: int = 0,
) -> bool:
    """Writes the folder. Returns whether there was anything to do: a complete folder of the same arguments stays.

    Raises:
      UserError: arguments that make no sense, or `output` holds something else.
    """
    if signers < 1 or sequences < 1 or seed < 0:
        raise UserError(f"{sequences} sequences, {signers} signers, seed {seed}: expected at least 1, 1 and 0")
    if not 1 <= files <= sequences:
        raise UserError(f"{files} files for {sequences} sequences: expected between 1 and {sequences}")
    if not 0 <= spoiled_share <= 1:
        raise UserError(f"a spoiled share of {spoiled_share:g}: expected between 0 and 1")
    arguments = {
        "sequences": sequences,
        "signers": signers,
        "files": files,
        "spoiled_share": spoiled_share,
        "seed": seed,
    }
    request = directories.Request(KIND, arguments | {"generator_version": GENERATOR_VERSION})
    if directories.prepare(output, request):
        return False

    examples = plan(sequences=sequences, signers=signers, files=files, spoiled_share=spoiled_share, seed=seed)
    people = [make_signer(seed, number, signers) for number in range(signers)]
    (output / "train_landmarks").mkdir(exist_ok=True)
    frames = 0
    with commands.progress("sequences") as bar:
        task = bar.add_task("synthesize", total=sequences, note="")
        for file_id, group in itertools.groupby(examples, key=lambda example: example.file_id):
            members = list(group)
            path = output / "train_landmarks" / f"{file_id}.parquet"
            if path.is_file():
                # Renamed in place by an earlier, interrupted run: whole.
                bar.advance(task, len(members))
            else:
                _write_parquet(path, _tables(members, people, seed, lambda: bar.advance(task)))
            frames += pq.read_metadata(path).num_rows
    with directories.replacing(output / "character_to_prediction_index.json") as temporary:
        temporary.write_text(json.dumps(vocabulary.CHARACTER_TO_INDEX), encoding="utf-8")
    spoiled = [(example.sequence_id, example.kind) for example in examples if example.kind]
    _write_csv(output / "planted_corruption.csv", ("sequence_id", "kind"), spoiled)
    _write_csv(
        output / "train.csv",
        ("path", "file_id", "sequence_id", "participant_id", "phrase"),
        [
            (f"train_landmarks/{e.file_id}.parquet", e.file_id, e.sequence_id, e.participant_id, e.phrase)
            for e in examples
        ],
    )
    directories.complete(output, request, {"frames": frames})
    return True


def _write_parquet(path: pathlib.Path, tables: Iterator[pa.Table]) -> None:
    # Splitting floats into streams of bytes before compression halves both size and time.
    with (
        directories.replacing(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema(),
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            use_byte_stream_split=list(POINT_COLUMNS),
        ) as writer,
    ):
        for table in tables:
            writer.write_table(table, row_group_size=len(table))


def _write_csv(path: pathlib.Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with (
        directories.replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def main() -> None:
    parser = commands.Parser(__doc__)
    parser.add_argument("--output", type=pathlib.Path, required=True, help="a new or empty directory")
    parser.add_argument("--sequences", type=int, default=1200, help="how many; 1,000 take about 0.4 GB")
    parser.add_argument("--signers", type=int, default=12, help="how many people; each spells as many sequences")
    parser.add_argument("--files", type=int, default=6, help="how many parquet files; one is the unit of conversion")
    parser.add_argument("--spoiled-share", type=float, default=0.12, help="share of spoiled sequences, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other people, phrases and motions")
    options = parser.parse_args()
    made = synthesize(
        options.output,
        sequences=options.sequences,
        signers=options.signers,
        files=options.files,
        spoiled_share=options.spoiled_share,
        seed=options.seed,
    )
    if not made:
        print(f"{options.output} is already complete")
        return
    print(f"{options.sequences} sequences of {options.signers} signers: {options.output}")
    print(f"next: scripts/run_pipeline --data {options.output} --output DIRECTORY")


if __name__ == "__main__":
    commands.run(main)
