"""The 59 characters of the Kaggle competition, their indices, and the CTC blank.

The indices are those of `character_to_prediction_index.json`: index 0 is the space.
"""

from collections.abc import Iterable

CHARACTERS = " !#$%&'()*+,-./0123456789:;=?@[_abcdefghijklmnopqrstuvwxyz~"
NUM_CHARACTERS = len(CHARACTERS)
BLANK = NUM_CHARACTERS
NUM_CLASSES = NUM_CHARACTERS + 1

CHARACTER_TO_INDEX: dict[str, int] = {character: index for index, character in enumerate(CHARACTERS)}


def unknown_characters(phrase: str) -> str:
    """The characters of `phrase` that are not in the vocabulary, each once, in order of appearance."""
    return "".join(dict.fromkeys(character for character in phrase if character not in CHARACTER_TO_INDEX))


def encode(phrase: str) -> list[int]:
    """Indices of the characters of `phrase`. Raises `KeyError` for a character outside the vocabulary."""
    return [CHARACTER_TO_INDEX[character] for character in phrase]


def decode(indices: Iterable[int]) -> str:
    """Characters of `indices`, each in 0..58. The blank is no character: remove it first (`scoring.greedy_decode`)."""
    return "".join(CHARACTERS[index] for index in indices)
