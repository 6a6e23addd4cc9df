import numpy as np
import pytest

from pipeline.synthesis import handshapes, kinematics
from pipeline.tasks.fingerspelling import CHARACTERS

THUMB, INDEX, MIDDLE, RING, LITTLE = 4, 8, 12, 16, 20


def _points(character: str, key: int = 0) -> np.ndarray:
    return kinematics.forward(handshapes.SIGNS[character].postures)[key]


def _extended(character: str) -> set[int]:
    """Fingertips that are far from the wrist for the length of their finger."""
    points = _points(character)
    tips = (INDEX, MIDDLE, RING, LITTLE)
    return {tip for tip in tips if np.linalg.norm(points[tip]) > 1.25 * np.linalg.norm(points[tip - 3])}


def _apart(character: str, one: int, other: int) -> float:
    points = _points(character)
    return float(np.linalg.norm(points[one] - points[other]))


def test_every_character_has_a_sign_within_a_hands_limits():
    assert set(handshapes.SIGNS) == set(CHARACTERS)
    for sign in [*handshapes.SIGNS.values(), *handshapes.SHAKEN_NUMBERS.values()]:
        assert sign.postures.shape == (len(sign.places), kinematics.NUM_ANGLES)
        assert sign.places.shape[1] == 3
        assert (sign.postures >= kinematics.LIMITS[:, 0]).all()
        assert (sign.postures <= kinematics.LIMITS[:, 1]).all()


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        *((character, set()) for character in "amnosteam0"),
        *((character, {INDEX}) for character in "dlgqz1.-/"),
        *((character, {INDEX, MIDDLE}) for character in "uvrh23"),
        *((character, {INDEX, MIDDLE, RING}) for character in "w6"),
        *((character, {INDEX, MIDDLE, RING, LITTLE}) for character in "b45"),
        *((character, {MIDDLE, RING, LITTLE}) for character in "f9"),
        *((character, {LITTLE}) for character in "ijy"),
        ("7", {INDEX, MIDDLE, LITTLE}),
        ("8", {INDEX, RING, LITTLE}),
    ],
)
def test_extended_fingers(character, expected):
    assert _extended(character) == expected


@pytest.mark.parametrize(
    ("character", "tip"), [("f", INDEX), ("9", INDEX), ("o", INDEX), ("8", MIDDLE), ("7", RING), ("6", LITTLE)]
)
def test_the_thumb_touches(character, tip):
    assert _apart(character, THUMB, tip) < 1.5


def test_fingers_that_differ_only_in_spread():
    assert _apart("u", INDEX, MIDDLE) < 0.5 * _apart("v", INDEX, MIDDLE)
    # Crossed: the index finger's tip is on the other side of the middle finger's.
    assert _points("r")[INDEX, 0] < _points("r")[MIDDLE, 0]


def test_sideways_and_downwards():
    for character in "gh":
        along = _points(character)[INDEX] - _points(character)[INDEX - 3]
        assert along[0] > 2 * abs(along[1])
    assert _points("q")[INDEX, 1] < -5
    assert _points("p")[MIDDLE, 1] < -5


def test_what_moves():
    assert len(handshapes.SIGNS["j"].postures) > 1
    assert len(handshapes.SIGNS["z"].postures) == 4
    assert all(len(handshapes.SIGNS[character].postures) == 1 for character in "abcdefghiklmnopqrstuvwxy0123456789 ")
    assert all(len(handshapes.SIGNS[character].postures) > 1 for character in handshapes.STROKES)


def test_no_two_characters_are_signed_alike_except_stated_lookalikes():
    """Signs of the same number of key postures differ by 6 degrees a joint in some joint, or in place."""
    stated = {frozenset(pair) for pair in handshapes.LOOKALIKES.items()}
    assert stated == {frozenset(pair) for pair in ("2v", "9f", "0o", "6w")}
    signs = list(handshapes.SIGNS.items())
    for position, (one, a) in enumerate(signs):
        for other, b in signs[position + 1 :]:
            if a.postures.shape == b.postures.shape and frozenset((one, other)) not in stated:
                angle = np.abs(a.postures - b.postures).max()
                place = np.abs(a.places - b.places).max()
                assert angle > 6 or place > 1, (one, other)


def test_lookalikes_are_told_apart_by_a_shake():
    for digit, letter in handshapes.LOOKALIKES.items():
        assert len(handshapes.SHAKEN_NUMBERS[digit].postures) > len(handshapes.SIGNS[letter].postures)
        roll = handshapes.SHAKEN_NUMBERS[digit].postures[:, kinematics.ORIENTATION][:, 2]
        assert np.ptp(roll) > 10
