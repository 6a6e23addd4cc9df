import functools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.tasks import fingerspelling
from pipeline.tasks.body import POINTS
from pipeline.tasks.faults import EMPTY_LABEL, UNKNOWN_CHARACTERS
from pipeline.tasks.fingerspelling import CHARACTERS, Fingerspelling

TASK = Fingerspelling()
TEXT = st.text("ab ", max_size=6)


def test_the_competition_s_indices():
    assert TASK.classes == tuple(CHARACTERS)
    assert len(set(CHARACTERS)) == len(CHARACTERS) == 59
    assert "".join(sorted(CHARACTERS)) == CHARACTERS
    some = {" ": 0, "!": 1, "#": 2, "&": 5, "0": 15, ":": 25, "[": 30, "_": 31, "a": 32, "z": 57, "~": 58}
    assert {character: fingerspelling.CHARACTER_TO_INDEX[character] for character in some} == some


@given(st.text(CHARACTERS))
def test_encoded_and_decoded_is_the_same(phrase):
    assert TASK.decode(TASK.encode(phrase)) == phrase
    fault = TASK.label_fault(phrase)
    assert fault is None if phrase.strip() else fault.reason == EMPTY_LABEL


def test_what_has_no_class():
    with pytest.raises(KeyError):
        TASK.encode("A")
    with pytest.raises(IndexError):
        TASK.decode([59])


def test_labels_with_a_fault():
    for label in ("", "  "):
        assert TASK.label_fault(label).reason == EMPTY_LABEL
    fault = TASK.label_fault("Abc é Aé\n")
    assert (fault.reason, fault.detail) == (UNKNOWN_CHARACTERS, r"'Aé\n' in 'Abc é Aé\n'")


def test_the_character_map_of_a_data_folder(tmp_path):
    assert Fingerspelling.of_data(tmp_path) == TASK
    file = tmp_path / "character_to_prediction_index.json"
    file.write_text(json.dumps(fingerspelling.CHARACTER_TO_INDEX))
    assert Fingerspelling.of_data(tmp_path) == TASK
    file.write_text(json.dumps(fingerspelling.CHARACTER_TO_INDEX | {"a": 33, "b": 32}))
    with pytest.raises(UserError, match=rf"^{file} is not the vocabulary of this program \(59 characters"):
        Fingerspelling.of_data(tmp_path)
    file.write_text("{")
    with pytest.raises(UserError, match=rf"^cannot read {file} \(.*\): download it again, or delete it$"):
        Fingerspelling.of_data(tmp_path)


def test_the_exported_file_s_columns(published):
    """All x, then all y; `index` says where each coordinate of each point stands."""
    contract = TASK.contract
    order = published["point_landmarks"]
    assert list(contract.columns[:100]) == published["columns"][:100][order].tolist()
    assert list(contract.columns[100:]) == published["columns"][100:][order].tolist()
    for point, name in enumerate(POINTS.names):
        assert [contract.columns[place] for place in contract.index[point]] == [f"x_{name}", f"y_{name}"]
    assert CHARACTERS[contract.filler] == " "


def test_the_values_of_a_frame_are_point_by_point():
    assert TASK.layout.values[:3] == ("x_face_0", "y_face_0", "x_face_1")
    assert set(TASK.layout.values) == set(TASK.contract.columns)


def distance(a, b):
    @functools.cache
    def of(i, j):
        if not i or not j:
            return i + j
        return min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return of(len(a), len(b))


@given(TEXT, TEXT)
def test_errors_are_the_shortest_list_of_edits(label, prediction):
    edits = TASK.edits(label, prediction)
    assert TASK.errors(label, prediction) == len(edits) == distance(label, prediction)
    assert all(a != b for a, b in edits)
    inserted, deleted = (sum(not each[side] for each in edits) for side in (0, 1))
    assert len(prediction) == len(label) + inserted - deleted


@given(TEXT, TEXT)
def test_an_alignment_tells_both_texts_and_their_edits(label, prediction):
    pairs = TASK.alignment(label, prediction)
    assert ("".join(a for a, _ in pairs), "".join(b for _, b in pairs)) == (label, prediction)
    assert [pair for pair in pairs if pair[0] != pair[1]] == TASK.edits(label, prediction)


@pytest.mark.parametrize(
    ("label", "prediction", "expected"),
    [
        ("abc", "abc", []),
        ("abc", "axc", [("b", "x")]),
        ("abc", "ac", [("b", "")]),
        ("ac", "abc", [("", "b")]),
        ("a b", "ab", [(" ", "")]),
        ("ab", "", [("a", ""), ("b", "")]),
    ],
)
def test_some_edits(label, prediction, expected):
    assert TASK.edits(label, prediction) == expected


def test_units_are_characters():
    assert (TASK.units("it's 1/2!"), TASK.unit) == (9, "characters")


def clip(right, left):
    """A clip in which the hands are seen in the first `right` and `left` of ten frames."""
    landmarks = np.full((10, *POINTS.shape), 0.5, np.float32)
    landmarks[right:, POINTS.groups["right_hand"]] = np.nan
    landmarks[left:, POINTS.groups["left_hand"]] = np.nan
    return landmarks


def test_frames_with_a_hand():
    np.testing.assert_array_equal(TASK.seen(clip(3, 5)), [True] * 5 + [False] * 5)
    assert not TASK.seen(clip(0, 0)).any()


@pytest.mark.parametrize(("right", "left", "most"), [(0, 0, 0), (3, 0, 1), (2, 7, 3), (10, 10, 4), (6, 6, 2)])
def test_more_than_two_frames_a_character_of_the_better_seen_hand(right, left, most):
    """`most` characters are plausible, one more is not."""
    landmarks = clip(right, left)
    assert not most or TASK.plausible(landmarks, "a" * most)
    assert not TASK.plausible(landmarks, "a" * (most + 1))
    assert not TASK.plausible(landmarks[:0], "a")


@pytest.mark.parametrize("length", [1, 2, 3, 4, 10, 29])
def test_the_published_length_filter(published, length):
    names = [name.removesuffix("/input") for name in published if name.endswith("/input") and "base" not in name]
    assert len(names) == 8
    for name in names:
        landmarks = published[f"{name}/input"][:, published["point_landmarks"]]
        assert TASK.plausible(landmarks, "a" * length) == published[f"{name}/keep_len{length}"], name
