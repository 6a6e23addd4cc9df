"""The export of fixed shape; that it holds for every head and encoder is in the tests of whole paths."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from inference.recognizer import Recognizer, as_inputs
from inference.tflite import fixed, graph
from inference.window import FIXED, Window
from pipeline.common.errors import UserError

FRAMES = 24  # of the toy model's window; its frame budget is 16


@pytest.fixture(scope="module")
def window(toy_model):
    return Window(toy_model)


def test_signature(toy_model, window):
    runner = Interpreter(model_path=str(toy_model / FIXED)).get_signature_runner("serving_default")
    ends = [
        {name: (each["shape_signature"].tolist(), each["dtype"]) for name, each in end.items()}
        for end in (runner.get_input_details(), runner.get_output_details())
    ]
    assert ends == [
        {"landmarks": ([FRAMES, 200], np.float32), "num_frames": ([1], np.int32)},
        {"logits": ([16, 60], np.float32), "rows": ([1], np.int32)},
    ]
    assert window.frames == FRAMES
    assert fixed.dynamic_shapes(toy_model / FIXED) == []


@pytest.mark.parametrize("num_frames", [0, 1, 2, 9, 16, 17, FRAMES])
def test_the_answer_is_that_of_the_clips_own_length(toy_model, window, noise, num_frames):
    """Whatever stands after the clip, infinite and missing values included."""
    recognizer = Recognizer(toy_model)
    clip = noise(num_frames)
    clip[num_frames // 2 :, 30:60] = np.nan
    expected = recognizer.outputs(clip)
    for rubbish in (0.0, 1e6, np.nan, np.inf):
        inputs = np.full((FRAMES, 200), rubbish, np.float32)
        inputs[:num_frames] = as_inputs(clip, recognizer.task)
        np.testing.assert_allclose(window.run(inputs, num_frames), expected, atol=1e-4)
    np.testing.assert_allclose(window.outputs(clip), expected, atol=1e-4)


def test_one_that_minds_what_comes_after_the_clip_is_not_put_in_place(
    toy_run, toy_dataset, command, tmp_path, monkeypatch
):
    from inference import export

    right = graph.window_outputs
    monkeypatch.setattr(graph, "window_outputs", lambda model, x, n, most: right(model, x, n * 0 + FRAMES, most))
    words = ["--run", toy_run, "--dataset", toy_dataset, "--fixed-frames", FRAMES]
    with pytest.raises(UserError, match=f"checks failed: outputs of {FIXED}"):
        command(export, *words, "--output", tmp_path / "model")
    assert {each.name for each in (tmp_path / "model").iterdir()} == {"request.json", "export_report.json"}


def test_dynamic_shapes_are_found(toy_model):
    assert fixed.dynamic_shapes(toy_model / "model.tflite")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "has no fixed.tflite: export it again with --fixed-frames"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "is not the one that inference_args.json"),
    ],
)
def test_a_file_that_is_not_there_or_another(copy, spoil, said):
    spoil(copy / FIXED)
    with pytest.raises(UserError, match=said):
        Window(copy)
