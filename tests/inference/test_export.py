import json

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from inference import export
from inference.recognizer import MODEL_KIND, Recognizer
from pipeline import directories
from pipeline import landmarks as lm
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from training.config import PRESETS
from training.input_pipeline import Corpus
from training.model import Recogniser
from training.recognition import frame_logits, recognise
from training.runs import Run

MAX_FRAMES = 16


@pytest.fixture(scope="module")
def trained(toy_run):
    return Run.open(toy_run).load_model()


@pytest.fixture(scope="module")
def dataset(toy_dataset):
    return Dataset.open(toy_dataset)


@pytest.fixture(scope="module")
def recognizer(toy_model):
    return Recognizer(toy_model)


def test_what_an_export_is(toy_model):
    assert {path.name for path in toy_model.iterdir()} == {
        "request.json",
        "manifest.json",
        "model.tflite",
        "inference_args.json",
    }
    assert json.loads((toy_model / "inference_args.json").read_text()) == {"selected_columns": list(lm.COLUMNS)}
    manifest = directories.read_manifest(toy_model, MODEL_KIND)
    assert manifest["bytes"] == (toy_model / "model.tflite").stat().st_size
    assert (manifest["sequences"], manifest["edge_cases"]) == (36, len(export.edge_cases(MAX_FRAMES)))
    assert manifest["largest_difference"] <= 1e-4
    assert manifest["max_frames"] == MAX_FRAMES


def test_signatures(toy_model):
    """Those of the competition, any number of frames, and a second one for logits."""
    interpreter = Interpreter(model_path=str(toy_model / "model.tflite"))
    for name, classes in (("serving_default", 59), ("frame_logits", 60)):
        runner = interpreter.get_signature_runner(name)
        (inputs,), (outputs,) = runner.get_input_details().items(), runner.get_output_details().items()
        assert (inputs[0], inputs[1]["shape_signature"].tolist()) == ("inputs", [-1, 200])
        assert (outputs[0], outputs[1]["shape_signature"].tolist()) == ("outputs", [-1, classes])
        assert inputs[1]["dtype"] == outputs[1]["dtype"] == np.float32


def test_only_built_in_operators(toy_model):
    model = schema.Model.GetRootAs((toy_model / "model.tflite").read_bytes(), 0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    assert len(codes) > 20
    assert not [code.CustomCode() for code in codes if code.BuiltinCode() == schema.BuiltinOperator.CUSTOM]
    assert not [code.CustomCode() for code in codes if code.CustomCode()]


def test_the_file_says_what_the_trained_model_says(recognizer, trained, dataset):
    sequences = list(dataset.read("test"))
    corpus = Corpus.read(sequences)
    texts = recognise(trained, corpus, max_frames=MAX_FRAMES)
    assert len(set(texts)) > 1
    for position, logits in frame_logits(trained, corpus, max_frames=MAX_FRAMES):
        landmarks = sequences[position].landmarks
        np.testing.assert_allclose(recognizer.frame_logits(landmarks), logits, atol=1e-4)
        assert recognizer.recognize(landmarks) == texts[position]


@pytest.mark.parametrize("num_frames", [0, 1, 2, 15, 16, 17, 200])
def test_any_number_of_frames(toy_model, recognizer, num_frames):
    landmarks = np.random.default_rng(num_frames).random((num_frames, lm.NUM_POINTS, 2)).astype(np.float32)
    logits = recognizer.frame_logits(landmarks)
    assert logits.shape == (min(max(num_frames, 1), MAX_FRAMES), 60)
    assert np.isfinite(logits).all()
    runner = Interpreter(model_path=str(toy_model / "model.tflite")).get_signature_runner("serving_default")
    rows = runner(inputs=landmarks.transpose(0, 2, 1).reshape(num_frames, 200))["outputs"]
    assert len(rows) >= 1
    np.testing.assert_array_equal(rows.sum(axis=1), 1)


def test_clips_of_other_lengths_between_change_nothing(recognizer):
    """The interpreter resizes its tensors from clip to clip."""
    random = np.random.default_rng(0)
    landmarks = random.random((12, lm.NUM_POINTS, 2)).astype(np.float32)
    before = recognizer.frame_logits(landmarks).copy()
    recognizer.frame_logits(random.random((0, lm.NUM_POINTS, 2)))
    recognizer.frame_logits(random.random((50, lm.NUM_POINTS, 2)))
    np.testing.assert_array_equal(recognizer.frame_logits(landmarks), before)


@pytest.mark.parametrize("signature", ["serving_default", "frame_logits"])
def test_a_second_clip_of_the_same_length_is_not_mistaken(toy_model, signature):
    """LiteRT may go wrong there where a shape comes to be known only in the run; not in every interpreter."""
    random = np.random.default_rng(0)
    kept = []
    for num_frames in (1, 5, 14, 16, 40):
        first, second = random.random((2, num_frames, 200)).astype(np.float32)
        for _ in range(6):
            kept.append(Interpreter(model_path=str(toy_model / "model.tflite")))
            runner = kept[-1].get_signature_runner(signature)
            alone = runner(inputs=first)["outputs"].copy()
            runner(inputs=second)
            for _ in range(2):
                np.testing.assert_array_equal(runner(inputs=first)["outputs"], alone)


def test_every_shape_is_known_before_a_run(toy_model):
    """But that of the output: a tensor without memory before the run gets its shape from a number computed in it."""
    interpreter = Interpreter(model_path=str(toy_model / "model.tflite"))
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()

    def allocated():
        found = set()
        for tensor in interpreter.get_tensor_details():
            try:
                interpreter.get_tensor(tensor["index"])
            except ValueError:
                continue
            found.add(tensor["index"])
        return found

    interpreter.resize_tensor_input(inputs["index"], [12, 200])
    interpreter.allocate_tensors()
    before = allocated()
    interpreter.set_tensor(inputs["index"], np.zeros((12, 200), np.float32))
    interpreter.invoke()
    assert allocated() - before == {outputs["index"]}


def test_the_same_clip_twice_in_a_row(recognizer):
    """Where a shape within the graph depends on a computed number, XNNPACK may answer wrongly the second time."""
    for num_frames in range(1, 40, 3):
        landmarks = np.random.default_rng(num_frames).random((num_frames, lm.NUM_POINTS, 2)).astype(np.float32)
        before = recognizer.frame_logits(landmarks).copy()
        np.testing.assert_array_equal(recognizer.frame_logits(landmarks), before)


def test_infinite_is_missing(recognizer):
    landmarks = np.random.default_rng(0).random((12, lm.NUM_POINTS, 2)).astype(np.float32)
    missing, infinite = landmarks.copy(), landmarks.copy()
    missing[3:6, 50:60, 0] = np.nan
    infinite[3:5, 50:60, 0] = np.inf
    infinite[5, 50:60, 0] = -np.inf
    np.testing.assert_array_equal(recognizer.frame_logits(infinite), recognizer.frame_logits(missing))


def test_a_second_call_finds_it_done(toy_model, toy_run, toy_dataset, command, capsys):
    before = {path: path.stat().st_mtime_ns for path in toy_model.iterdir()}
    command(export, "--run", toy_run, "--dataset", toy_dataset, "--output", toy_model)
    assert "is already complete" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in toy_model.iterdir()} == before


def test_other_weights_are_refused(toy_model, trained, dataset):
    bias = trained.network.classifier.bias
    before = bias.numpy()
    bias.assign(before + 0.001)
    try:
        with pytest.raises(UserError, match=r"differs from the trained model by 1\.0e-03 in a logit of .*: not put in"):
            export.check(trained, MAX_FRAMES, toy_model, dataset, quantize="none")
    finally:
        bias.assign(before)


def test_another_frame_budget_is_refused(toy_model, trained, dataset):
    with pytest.raises(UserError, match=r"gives \(16, 60\) logits for .*, expected \(17, 60\)"):
        export.check(trained, 17, toy_model, dataset, quantize="none")


def test_logits_that_are_no_numbers_are_refused(toy_model, trained, dataset, monkeypatch):
    original = Recognizer.frame_logits
    monkeypatch.setattr(Recognizer, "frame_logits", lambda self, x: original(self, x) * np.nan)
    with pytest.raises(UserError, match="differs from the trained model by nan in a logit"):
        export.check(trained, MAX_FRAMES, toy_model, dataset, quantize="none")


def test_another_text_is_refused(toy_model, trained, dataset, monkeypatch):
    monkeypatch.setattr(Recognizer, "recognize", lambda self, landmarks: "something else")
    with pytest.raises(UserError, match=r"reads 'something else' in .*, its logits say '"):
        export.check(trained, MAX_FRAMES, toy_model, dataset, quantize="none")


def test_a_file_without_its_weights_is_refused(toy_model, trained, dataset, tmp_path):
    (tmp_path / "model.tflite").write_bytes((toy_model / "model.tflite").read_bytes()[:20_000])
    with pytest.raises(UserError, match=r"has 20000 bytes, fewer than its \d+ weights: not put in place"):
        export.check(trained, MAX_FRAMES, tmp_path, dataset, quantize="none")


def test_a_file_too_large_for_the_competition_is_refused(toy_model, trained, dataset, monkeypatch):
    monkeypatch.setattr(export, "LARGEST_FILE", 100_000)
    with pytest.raises(UserError, match=r"more than the 0 MB that are allowed: not put in place"):
        export.check(trained, MAX_FRAMES, toy_model, dataset, quantize="none")


def test_float16_weights(trained, dataset, tmp_path):
    export.convert(trained, MAX_FRAMES, tmp_path, quantize="float16")
    report = export.check(trained, MAX_FRAMES, tmp_path, dataset, quantize="float16")
    assert report["largest_difference"] < 0.1


@pytest.mark.long
def test_the_published_final_network_fits_the_competition(dataset, tmp_path):
    config = PRESETS["final"]
    model = Recogniser(config.network, dataset.mean, dataset.std)
    model.build()
    export.convert(model, config.data.max_frames, tmp_path, quantize="float16")
    report = export.check(model, config.data.max_frames, tmp_path, dataset, quantize="float16")
    assert report["parameters"] == 15_447_303
    assert report["bytes"] < 40_000_000


def test_what_fails_its_check_is_not_put_in_place(toy_run, toy_dataset, toy_model, command, tmp_path, monkeypatch):
    """And the next call, of a program that exports well, makes it good."""

    def convert(model, max_frames, directory, *, quantize):
        for name in ("model.tflite", "inference_args.json"):
            (directory / name).write_bytes((toy_model / name).read_bytes())

    def refuse(*_, **__):
        raise UserError("refused")

    monkeypatch.setattr(export, "convert", convert)
    words = [export, "--run", toy_run, "--dataset", toy_dataset, "--output", tmp_path / "model"]
    with monkeypatch.context() as patched, pytest.raises(UserError, match="refused"):
        patched.setattr(export, "check", refuse)
        command(*words)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"request.json"}
    command(*words)
    assert (tmp_path / "model/model.tflite").read_bytes() == (toy_model / "model.tflite").read_bytes()


def test_edge_cases():
    cases = export.edge_cases(20)
    assert [len(cases[f"{n} frames"]) for n in (0, 1, 19, 20, 21, 60)] == [0, 1, 19, 20, 21, 60]
    assert np.isnan(cases["all missing"]).all()
    assert np.isinf(cases["infinite values"]).any()
