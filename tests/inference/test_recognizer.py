import gc
import hashlib
import json
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inference import language
from inference.recognizer import ARGUMENTS, MODEL, RECOGNIZE, SERVING, Recognizer, as_inputs
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.tasks.fingerspelling import COLUMNS, Fingerspelling

TASK = Fingerspelling()
BLANK = len(TASK.classes)
SPACE = TASK.contract.filler


@pytest.fixture(scope="module")
def recognizer(toy_model):
    return Recognizer(toy_model)


@pytest.fixture(scope="module")
def clips(noise):
    """Landmarks (T, P, 2) of all lengths from 0 to 47."""
    return [noise(num_frames, num_frames) for num_frames in range(48)]


def spelled(outputs_UxV):
    """The label of logits and its confidence, computed from their definitions."""
    logits = outputs_UxV.astype(np.float64)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    peaks = []
    before = None
    for best, probability in zip(probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1), strict=True):
        if best != before:
            peaks.append([best, probability])
        peaks[-1][1] = max(peaks[-1][1], probability)
        before = best
    found = [(best, probability) for best, probability in peaks if best != BLANK]
    label = TASK.decode(best for best, _ in found)
    if label in ("", " "):
        return "", 0
    return label, np.prod([probability for _, probability in found]) ** (1 / len(found))


def test_what_it_says(recognizer, clips):
    """Label and confidence are those of the outputs; the time is the call's."""
    said = [recognizer.recognize(clip) for clip in clips]
    assert [each.label for each in said] == [recognizer.answer(clip) for clip in clips]
    assert len({each.label for each in said}) > 10
    for each, clip in zip(said, clips, strict=True):
        label, confidence = spelled(recognizer.outputs(clip))
        assert each.label == label
        assert each.confidence == pytest.approx(confidence, rel=1e-4)
        assert each.milliseconds > 0


def rows(*frames):
    """(T, 60) logits with these probabilities of some classes, the rest shared among the others."""
    found = np.empty((len(frames), BLANK + 1))
    for row, probabilities in zip(found, frames, strict=True):
        row[:] = (1 - sum(probabilities.values())) / (len(row) - len(probabilities))
        row[list(probabilities)] = list(probabilities.values())
    return (np.log(found) + 7).astype(np.float32)  # logits are known up to a constant


A, B = TASK.encode("ab")


@pytest.mark.parametrize(
    ("frames", "label", "confidence"),
    [
        ([{A: 0.9}], "a", 0.9),
        ([{BLANK: 0.5}, {A: 0.9}, {BLANK: 0.3}], "a", 0.9),
        ([{A: 0.6}, {A: 0.9}], "a", 0.9),
        ([{A: 0.9}, {B: 0.4}], "ab", np.sqrt(0.9 * 0.4)),
        ([{A: 0.9}, {BLANK: 0.5}, {A: 0.4}, {A: 0.3}], "aa", np.sqrt(0.9 * 0.4)),
        ([{A: 0.9}, {B: 0.4}, {A: 0.5}], "aba", (0.9 * 0.4 * 0.5) ** (1 / 3)),
        ([{BLANK: 0.9}], "", 0),
        # A lone space stands for nothing: there must be an answer.
        ([{BLANK: 0.9}, {SPACE: 0.9}], "", 0),
        ([{SPACE: 0.9}, {A: 0.4}], " a", np.sqrt(0.9 * 0.4)),
    ],
)
def test_confidence(recognizer, monkeypatch, frames, label, confidence):
    """Of outputs that are known, decoded by the head as the exported file does."""
    from training.config import Head
    from training.network.heads import CtcHead

    head = CtcHead(Head(), BLANK, 8)
    outputs = rows(*frames)
    classes, probabilities = (each.numpy() for each in head.decode(outputs))
    found = {
        SERVING: {"outputs": head.answer(outputs, SPACE).numpy()},
        RECOGNIZE: {"outputs": outputs, "classes": classes, "probabilities": probabilities},
    }
    monkeypatch.setattr(recognizer, "_run", lambda signature, landmarks: found[signature])
    said = recognizer.recognize(np.zeros(0))
    assert (said.label, recognizer.answer(np.zeros(0))) == (label, label)
    assert said.confidence == pytest.approx(confidence, rel=1e-5)
    assert spelled(outputs) == (label, pytest.approx(confidence, rel=1e-5))


@pytest.mark.parametrize(("probabilities", "confidence"), [([1 + 1e-7] * 3, 1), ([0, 1], 0), ([1e-38] * 400, 1e-38)])
def test_confidence_of_what_rounding_made(recognizer, monkeypatch, probabilities, confidence):
    """Never more than certain, and neither NaN nor 0 for very many unlikely classes."""
    found = {"classes": np.full(len(probabilities), A), "probabilities": np.array(probabilities, np.float32)}
    monkeypatch.setattr(recognizer, "_run", lambda *_: found)
    said = recognizer.recognize(np.zeros(0)).confidence
    assert said == pytest.approx(confidence, rel=1e-5, abs=1e-100)
    assert said <= 1


def test_threads_may_share_one(recognizer, clips):
    """They take turns: without, LiteRT mixes up their clips."""
    expected = [(recognizer.answer(clip), recognizer.recognize(clip).confidence) for clip in clips]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            labels = pool.map(recognizer.answer, clips)
            recognized = pool.map(recognizer.recognize, clips)
            assert [(label, each.confidence) for label, each in zip(labels, recognized, strict=True)] == expected


def test_a_thread_may_have_its_own(recognizer, toy_model, clips):
    expected = [recognizer.recognize(clip).confidence for clip in clips]

    def recognize_all(_):
        own = Recognizer(toy_model)
        return [own.recognize(clip).confidence for clip in clips]

    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(recognize_all, range(8)))


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="NOT CHECKED: memory, without /proc")
def test_memory_does_not_grow(recognizer, clips):
    """From recognition to recognition, of lengths that come again: what comes in would be 19 MB, were it kept."""

    def resident():
        gc.collect()
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def recognize(times):
        for _ in range(times):
            for clip in clips:
                recognizer.recognize(clip)

    recognize(5)
    before = resident()
    recognize(21)
    assert 21 * sum(as_inputs(clip, TASK).nbytes for clip in clips) > 18e6
    assert resident() < before + 4e6


def test_columns(clips):
    """They are in the order of the names."""
    found = as_inputs(clips[4], TASK)
    assert (found.shape, found.dtype) == ((4, len(COLUMNS)), np.float32)
    for axis, letter in enumerate("xy"):
        for point in (0, TASK.points.centre, 99):
            at = COLUMNS.index(f"{letter}_{TASK.points.names[point]}")
            np.testing.assert_array_equal(found[:, at], clips[4][:, point, axis])


@pytest.mark.parametrize("shape", [(), (5,), (5, 200), (5, 100, 3), (4, 543, 3), (2, 5, 100, 2)])
def test_landmarks_of_another_shape(recognizer, shape):
    with pytest.raises(ValueError, match=r"expected \(frames, 100, 2\)"):
        recognizer.recognize(np.zeros(shape))


def test_landmarks_of_other_kinds(recognizer, clips):
    """Float64, whole numbers, in another order in memory, lists."""
    clip = np.round(clips[20] * 100)
    expected = recognizer.outputs(clip)
    for same in (clip.astype(np.float64), clip.astype(np.int16), np.asfortranarray(clip), clip.tolist()):
        np.testing.assert_array_equal(recognizer.outputs(same), expected)
    np.testing.assert_array_equal(recognizer.outputs(clips[20][::2]), recognizer.outputs(clips[20][::2].copy()))


@pytest.mark.filterwarnings("error")
def test_what_float32_cannot_hold_is_missing(recognizer, clips):
    large, missing = clips[20].astype(np.float64), clips[20].copy()
    large[3:6, 50:60] = 1e300
    missing[3:6, 50:60] = np.nan
    np.testing.assert_array_equal(recognizer.outputs(large), recognizer.outputs(missing))


def test_the_two_files_are_enough(copy):
    landmarks = np.random.default_rng(0).random((12, 100, 2))
    label = Recognizer(copy).answer(landmarks)
    assert Recognizer(str(copy), threads=2).answer(landmarks) == label


def refused(directory, message):
    with pytest.raises(UserError, match=message) as raised:
        Recognizer(directory)
    assert str(directory) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_directories_that_are_no_export(tmp_path, toy_dataset):
    refused(tmp_path / "absent", r"no such file or directory; expected what inference\.export makes")
    refused(toy_dataset, r"it lacks inference_args\.json")


def some_random(data):
    """30,000 bytes of them, in the middle: LiteRT reads that, and recognizes nothing."""
    middle = len(data) // 2
    return data[:middle] + np.random.default_rng(0).bytes(30_000) + data[middle + 30_000 :]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], some_random])
def test_another_file_than_was_exported(copy, damage):
    (copy / MODEL).write_bytes(damage((copy / MODEL).read_bytes()))
    refused(copy, "holds a model of another program or version, or not the one that inference_args.json describes")


@pytest.mark.parametrize("content", [b"hello", b"\x1c\0\0\0TFL3" * 1000])
def test_a_file_that_litert_cannot_read(copy, content):
    (copy / MODEL).write_bytes(content)
    arguments = json.loads((copy / ARGUMENTS).read_text())
    directories.write_json(copy / ARGUMENTS, arguments | {"model_sha256": hashlib.sha256(content).hexdigest()})
    refused(copy, "cannot read")


@pytest.mark.parametrize("name", [MODEL, ARGUMENTS])
def test_a_file_that_is_missing(copy, name):
    (copy / name).unlink()
    refused(copy, f"it lacks {name}; expected what inference.export makes")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"selected_columns": 5}', '{"selected_columns": null}', "\xff"])
def test_arguments_that_are_none(copy, text):
    (copy / ARGUMENTS).write_text(text, encoding="latin-1")
    refused(copy, "cannot read|holds a model of another program")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": None}, "its task is damaged"),
        ({"task": TASK.as_json() | {"name": "fingerspeling"}}, "did you mean fingerspelling"),
        ({"task": TASK.as_json() | {"classes": ["a", "b"]}}, "has other points, classes or columns"),
    ],
)
def test_arguments_of_another_program(copy, changes, message):
    arguments = json.loads((copy / ARGUMENTS).read_text()) | changes
    directories.write_json(copy / ARGUMENTS, arguments)
    refused(copy, message)


def test_a_language_model_helps(model_with_language, monkeypatch):
    """Between l and i, alike in a frame, the word decides; what the exported file says stays what it is."""
    recognizer = Recognizer(model_with_language)
    letters = [TASK.encode(each)[0] for each in "helio"]
    outputs = rows(*({letter: 0.9} for letter in letters[:2]), {TASK.encode("l")[0]: 0.9}, {BLANK: 0.9})
    outputs = np.concatenate([outputs, rows({letters[3]: 0.5, TASK.encode("l")[0]: 0.4}, {letters[4]: 0.9})])
    greedy = TASK.encode("helio")
    found = {"outputs": outputs, "classes": np.array(greedy), "probabilities": np.full(5, 0.9, np.float32)}
    monkeypatch.setattr(recognizer, "_run", lambda *_: found)
    said = recognizer.recognize(np.zeros(0))
    assert said.label == "hello"
    assert 0.4 ** (1 / 5) * 0.7 < said.confidence < 1
    alone = recognizer.recognize(np.zeros(0), greedy=True)
    assert (alone.label, alone.confidence) == ("helio", pytest.approx(0.9))


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_a_language_model_that_is_not_the_exports(model_with_language, damage):
    file = model_with_language / language.FILE_NAME
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if damage == "cut" else content[:40] + b"\0" + content[41:])
    with pytest.raises(UserError, match=r"language\.npz.*export it again"):
        Recognizer(model_with_language)


def test_a_language_model_of_another_vocabulary(model_with_language):
    file = model_with_language / language.FILE_NAME
    language.Language(language.NGrams.of([[0, 1]], 26, 5), 0.5, 1.0).write(file)
    arguments = directories.read_json(model_with_language / ARGUMENTS)
    digest = directories.sha256_of(file)
    directories.write_json(model_with_language / ARGUMENTS, arguments | {"language_sha256": digest})
    said = r"language\.npz is of a vocabulary of 26 classes, the model of 59: export it again$"
    with pytest.raises(UserError, match=said):
        Recognizer(model_with_language)
