import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import vocabulary


def test_the_competition_s_indices():
    assert vocabulary.NUM_CHARACTERS == 59
    assert len(set(vocabulary.CHARACTERS)) == 59
    assert "".join(sorted(vocabulary.CHARACTERS)) == vocabulary.CHARACTERS
    some = {" ": 0, "!": 1, "#": 2, "&": 5, "0": 15, ":": 25, "[": 30, "_": 31, "a": 32, "z": 57, "~": 58}
    assert {character: vocabulary.CHARACTER_TO_INDEX[character] for character in some} == some
    assert (vocabulary.BLANK, vocabulary.NUM_CLASSES) == (59, 60)


@given(st.text(vocabulary.CHARACTERS))
def test_encoded_and_decoded_is_the_same(phrase):
    assert vocabulary.decode(vocabulary.encode(phrase)) == phrase
    assert vocabulary.unknown_characters(phrase) == ""


def test_unknown_characters():
    assert vocabulary.unknown_characters("Abc é Aé\n") == "Aé\n"
    with pytest.raises(KeyError):
        vocabulary.encode("A")
    with pytest.raises(IndexError):
        vocabulary.decode([vocabulary.BLANK])
