import json
import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inference.recognizer import Recognizer, columns, confidence, quiet
from pipeline import landmarks as lm
from pipeline import vocabulary
from pipeline.commands import UserError

A, B, BLANK = vocabulary.CHARACTER_TO_INDEX["a"], vocabulary.CHARACTER_TO_INDEX["b"], vocabulary.BLANK


@pytest.fixture(scope="module")
def recognizer(toy_model):
    return Recognizer(toy_model)


@pytest.fixture(scope="module")
def clips():
    """Landmarks (T, P, 2) of all lengths from 0 to 47."""
    random = np.random.default_rng(0)
    return [random.random((num_frames, lm.NUM_POINTS, 2)).astype(np.float32) for num_frames in range(48)]


def test_what_it_says(recognizer, clips):
    """The text is that of the model's own decoding; the time is the call's."""
    recognised = [recognizer.recognize(clip) for clip in clips]
    assert [each.text for each in recognised] == [recognizer.text(clip) for clip in clips]
    assert len({each.text for each in recognised}) > 10
    for each, clip in zip(recognised, clips, strict=True):
        sure = confidence(recognizer.frame_logits(clip))
        assert each.confidence == (sure if each.text else 0)
        assert each.milliseconds > 0


def logits(*frames):
    """(T, 60) logits with these probabilities of some classes, the rest shared among the others."""
    found = np.empty((len(frames), vocabulary.NUM_CLASSES))
    for row, probabilities in zip(found, frames, strict=True):
        row[:] = (1 - sum(probabilities.values())) / (len(row) - len(probabilities))
        row[list(probabilities)] = list(probabilities.values())
    return np.log(found) + 7  # logits are known up to a constant


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([{A: 0.9}], 0.9),
        ([{BLANK: 0.5}, {A: 0.9}, {BLANK: 0.3}], 0.9),
        ([{A: 0.9}, {A: 0.6}], 0.9),
        ([{A: 0.9}, {B: 0.4}], np.sqrt(0.9 * 0.4)),
        ([{A: 0.9}, {BLANK: 0.5}, {A: 0.4}, {A: 0.3}], np.sqrt(0.9 * 0.4)),
        ([{A: 0.9}, {B: 0.4}, {A: 0.5}], (0.9 * 0.4 * 0.5) ** (1 / 3)),
        ([{BLANK: 0.9}], 0),
    ],
)
def test_confidence(frames, expected):
    assert confidence(logits(*frames).astype(np.float32)) == pytest.approx(expected, rel=1e-5)


def test_confidence_of_large_logits():
    """Float32 alone would overflow, or make a certain character more than certain."""
    sure = np.zeros((3, vocabulary.NUM_CLASSES), np.float32)
    sure[:, A] = 3e4
    assert confidence(sure) == 1
    assert confidence(-sure) == pytest.approx(1 / 59)
    assert confidence(np.random.default_rng(0).random((500, 60)).astype(np.float32) + 1e4) <= 1


def test_threads_may_share_one(recognizer, clips):
    """They take turns: without, LiteRT mixes up their clips."""
    expected = [(recognizer.text(clip), recognizer.recognize(clip).confidence) for clip in clips]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            texts = pool.map(recognizer.text, clips)
            recognised = pool.map(recognizer.recognize, clips)
            assert [(text, each.confidence) for text, each in zip(texts, recognised, strict=True)] == expected


def test_a_thread_may_have_its_own(recognizer, toy_model, clips):
    expected = [recognizer.recognize(clip).confidence for clip in clips]

    def recognise_all(_):
        own = Recognizer(toy_model)
        return [own.recognize(clip).confidence for clip in clips]

    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(recognise_all, range(8)))


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="NOT CHECKED: memory, without /proc")
def test_memory_does_not_grow(recognizer, clips):
    """From recognition to recognition: what comes in would be 19 MB, were it kept."""

    def resident():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def recognise(times):
        for _ in range(times):
            for clip in clips:
                recognizer.recognize(clip)

    recognise(5)
    before = resident()
    recognise(21)
    assert 21 * sum(columns(clip).nbytes for clip in clips) > 18e6
    assert resident() < before + 10e6


@pytest.mark.parametrize("shape", [(), (5,), (5, 200), (5, 100, 3), (4, 543, 3), (2, 5, 100, 2)])
def test_landmarks_of_another_shape(recognizer, shape):
    with pytest.raises(ValueError, match=r"expected \(frames, 100, 2\)"):
        recognizer.recognize(np.zeros(shape))


def test_landmarks_of_other_kinds(recognizer, clips):
    """Float64, whole numbers, in another order in memory, lists."""
    clip = np.round(clips[20] * 100)
    expected = recognizer.frame_logits(clip)
    for same in (clip.astype(np.float64), clip.astype(np.int16), np.asfortranarray(clip), clip.tolist()):
        np.testing.assert_array_equal(recognizer.frame_logits(same), expected)
    np.testing.assert_array_equal(
        recognizer.frame_logits(clips[20][::2]), recognizer.frame_logits(clips[20][::2].copy())
    )


@pytest.mark.filterwarnings("error")
def test_what_float32_cannot_hold_is_missing(recognizer, clips):
    large, missing = clips[20].astype(np.float64), clips[20].copy()
    large[3:6, 50:60] = 1e300
    missing[3:6, 50:60] = np.nan
    np.testing.assert_array_equal(recognizer.frame_logits(large), recognizer.frame_logits(missing))


def test_quiet_keeps_all_else(capfd):
    with quiet():
        print("before", file=sys.stderr)
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"ERROR: something\n")
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "before\nERROR: something\nafter\n"


def test_quiet_when_something_is_raised(capfd):
    with pytest.raises(KeyError), quiet():
        os.write(2, b"said\n")
        raise KeyError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "said\nafter\n"


@pytest.fixture
def copy(toy_model, tmp_path):
    """A directory with the two files, to be spoiled."""
    for name in ("model.tflite", "inference_args.json"):
        (tmp_path / name).write_bytes((toy_model / name).read_bytes())
    return tmp_path


def test_the_two_files_are_enough(copy):
    landmarks = np.random.default_rng(0).random((12, lm.NUM_POINTS, 2))
    text = Recognizer(copy).text(landmarks)
    assert Recognizer(str(copy), threads=2).text(landmarks) == text


def refused(directory, message):
    with pytest.raises(UserError, match=message) as raised:
        Recognizer(directory)
    assert str(directory) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_directories_that_are_no_export(tmp_path, toy_dataset):
    refused(tmp_path / "absent", r"is no export: no such file or directory; expected what inference\.export makes")
    refused(toy_dataset, r"is no export: it lacks inference_args\.json")


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"hello", lambda data: data[: len(data) // 2]])
def test_a_file_that_is_no_model(copy, damage):
    path = copy / "model.tflite"
    data = damage(path.read_bytes())
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    refused(copy, "cannot read|is no export: it lacks model.tflite")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"selected_columns": 5}', '{"selected_columns": null}', "\xff"])
def test_arguments_that_are_none(copy, text):
    (copy / "inference_args.json").write_text(text, encoding="latin-1")
    refused(copy, "cannot read|holds a model of another program")


def test_a_model_of_another_program(copy):
    """Other columns, or no second signature."""
    (copy / "inference_args.json").write_text(json.dumps({"selected_columns": lm.COLUMNS[::-1]}))
    refused(copy, "holds a model of another program or version: export it again")


@pytest.mark.parametrize(
    ("shape", "functions"),
    [
        ((None, 200), {"serving_default": lambda inputs: inputs[:, :59]}),
        (
            (None, 200),
            {"serving_default": lambda inputs: inputs[:, :59], "frame_logits": lambda inputs: inputs[:, :61]},
        ),
        (
            (None, 200),
            {"serving_default": lambda inputs: inputs[0, :59], "frame_logits": lambda inputs: inputs[:, :60]},
        ),
        ((None, 543, 3), {"serving_default": lambda inputs: inputs[0, :250, 0], "frame_logits": lambda inputs: inputs}),
        ((7, 200), {"serving_default": lambda inputs: inputs[:, :59], "frame_logits": lambda inputs: inputs[:, :60]}),
    ],
)
def test_signatures_of_another_program(copy, shape, functions):
    """One is missing, or of another shape: another vocabulary, isolated signs, a fixed number of frames."""
    import tensorflow as tf

    spec = tf.TensorSpec(shape, tf.float32, name="inputs")
    module = tf.Module()
    signatures = {
        name: tf.function(lambda inputs, each=each: {"outputs": each(inputs)}, input_signature=[spec])
        for name, each in functions.items()
    }
    tf.saved_model.save(module, str(copy / "saved"), signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(copy / "saved"), signature_keys=list(functions))
    (copy / "model.tflite").write_bytes(converter.convert())
    refused(copy, "holds a model of another program or version: export it again")


def test_an_operator_that_litert_does_not_have(copy):
    import tensorflow as tf

    function = tf.function(lambda inputs: {"outputs": tf.strings.length(tf.strings.as_string(inputs))})
    concrete = function.get_concrete_function(tf.TensorSpec((None, 200), tf.float32, name="inputs"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (copy / "model.tflite").write_bytes(converter.convert())
    refused(copy, "cannot read|holds a model of another program")
