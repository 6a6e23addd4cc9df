import gc
import json
import resource

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from inference import export, latency, proof
from inference.recognizer import MODEL_KIND, Recognizer
from pipeline import directories
from pipeline import landmarks as lm
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from training.config import PRESETS
from training.corpus import Corpus
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
        "export_report.json",
    }
    assert json.loads((toy_model / "inference_args.json").read_text()) == {"selected_columns": list(lm.COLUMNS)}
    manifest = directories.read_manifest(toy_model, MODEL_KIND)
    assert manifest["bytes"] == (toy_model / "model.tflite").stat().st_size
    assert (manifest["sequences"], manifest["edge_cases"]) == (36, len(proof.edge_cases(MAX_FRAMES)))
    assert manifest["largest_difference"] <= 1e-4
    assert (manifest["max_frames"], manifest["trimming"]) == (MAX_FRAMES, None)
    assert manifest["score"]["difference"] == 0
    report = json.loads((toy_model / "export_report.json").read_text())
    assert report["latency_milliseconds"] == manifest["latency_milliseconds"]
    assert [each["check"] for each in report["verdicts"]] == [
        "holds its weights",
        "size",
        "operators",
        "signatures",
        "logits",
        "logits of edge cases",
        "text is what the logits say",
        "texts of the trained model",
        "score",
        "latency",
    ]
    assert all(each["passed"] in (True, None) for each in report["verdicts"])


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
        assert recognizer.text(landmarks) == texts[position]


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


def failed(model, directory, dataset, **changes):
    """The checks that fail, by name: what was found."""
    settings = {
        "phrase_share": 0.3,
        "max_frames": MAX_FRAMES,
        "trained_frames": MAX_FRAMES,
        "quantize": "none",
        "limits": latency.Limits(),
        "threads": 1,
        "max_score_loss": 0.01,
    }
    verdicts, _ = proof.prove(model, directory, dataset, **(settings | changes))
    return {each.check: each.found for each in verdicts if each.passed is False}


def test_other_weights_are_refused(toy_model, trained, dataset):
    bias = trained.network.classifier.bias
    before = bias.numpy()
    bias.assign(before + 0.001)
    try:
        found = failed(trained, toy_model, dataset)
    finally:
        bias.assign(before)
    assert found.keys() == {"logits", "logits of edge cases"}
    assert 1e-4 < float(found["logits"].split()[0]) <= 1.01e-3


def test_another_frame_budget_is_refused(toy_model, trained, dataset):
    found = failed(trained, toy_model, dataset, max_frames=17, trained_frames=17)
    assert "nan in " in found["logits of edge cases"]


def test_logits_that_are_no_numbers_are_refused(toy_model, trained, dataset, monkeypatch):
    original = Recognizer.frame_logits
    monkeypatch.setattr(Recognizer, "frame_logits", lambda self, x: original(self, x) * np.nan)
    assert failed(trained, toy_model, dataset)["logits"].startswith("nan in ")


def test_another_text_is_refused(toy_model, trained, dataset, monkeypatch):
    monkeypatch.setattr(Recognizer, "text", lambda self, landmarks: "something else")
    found = failed(trained, toy_model, dataset)
    assert found["text is what the logits say"].startswith("0 of 50, not in ")
    assert "score" in found


def test_a_file_without_its_weights_is_refused(toy_model, trained, dataset, tmp_path):
    for name in ("model.tflite", "inference_args.json"):
        (tmp_path / name).write_bytes((toy_model / name).read_bytes()[:20_000])
    assert failed(trained, tmp_path, dataset)["holds its weights"] == "20,000 bytes"


def test_limits_are_kept(toy_model, trained, dataset):
    found = failed(trained, toy_model, dataset, limits=latency.Limits(max_size_mb=0.1, max_latency_ms=1e-3))
    assert found.keys() == {"size", "latency"}
    assert found["latency"].endswith(" ms, threads: 1")


def test_operators_that_are_not_built_in(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    signature = tf.TensorSpec((None, 200), tf.float32, name="inputs")
    concrete = tf.function(lambda inputs: tf.linalg.inv(inputs @ tf.transpose(inputs))).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    assert proof._operators(tmp_path / "model.tflite")[1] == ["FlexMatrixInverse"]


@pytest.fixture(scope="module")
def stored(trained, tmp_path_factory):
    """Directories of exports by how weights are stored."""
    places = {name: tmp_path_factory.mktemp(name) for name in ("float16", "int8")}
    for name, place in places.items():
        export.convert(trained, MAX_FRAMES, place, quantize=name)
    return places


@pytest.mark.parametrize("quantize", ["float16", "int8"])
def test_stored_weights(trained, dataset, stored, quantize):
    # Of an untrained network a text says nothing: only logits, shapes and the file.
    assert failed(trained, stored[quantize], dataset, quantize=quantize, max_score_loss=1.0) == {}


def test_what_int8_stores(stored):
    """Weights of dense layers are int8 with a scale a row; filters of depthwise convolutions are float32."""
    model = schema.Model.GetRootAs((stored["int8"] / "model.tflite").read_bytes(), 0)
    kinds = {}
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for operator in map(graph.Operators, range(graph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
            weights = graph.Tensors(operator.Inputs(1)) if operator.InputsLength() > 1 else None
            if code in (schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.DEPTHWISE_CONV_2D):
                kinds.setdefault(code, set()).add(weights.Type())
    # Tensors of at most 1,024 numbers stay as they are.
    assert schema.TensorType.INT8 in kinds[schema.BuiltinOperator.FULLY_CONNECTED]
    assert kinds[schema.BuiltinOperator.DEPTHWISE_CONV_2D] == {schema.TensorType.FLOAT32}


@pytest.mark.parametrize("channels", [128, 1500])
def test_filters_become_numbers_again(channels):
    """Against the same filters, never quantised: off by at most half a step of int8."""
    import tensorflow as tf

    filters = tf.constant(np.random.default_rng(0).normal(size=(1, 11, channels, 1)).astype(np.float32))
    signature = tf.TensorSpec((1, 1, 30, channels), tf.float32, name="x")
    function = tf.function(lambda x: tf.nn.depthwise_conv2d(x, filters, [1, 1, 1, 1], "VALID"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(signature)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    interpreter = Interpreter(model_content=export.with_float_filters(converter.convert()))
    runner = interpreter.get_signature_runner() if interpreter.get_signature_list() else None
    x = np.zeros((1, 1, 30, channels), np.float32)
    x[0, 0, 15] = 1
    if runner:
        (found,) = runner(x=x).values()
    else:
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    steps = np.abs(filters.numpy()).max(axis=(0, 1, 3)) / 127
    assert (np.abs(found - function(tf.constant(x)).numpy()).max(axis=(0, 1, 2)) <= 0.51 * steps).all()


def test_fewer_frames_than_trained_with(toy_run, toy_dataset, trained, command, tmp_path, capsys):
    words = ["--run", toy_run, "--dataset", toy_dataset, "--max-frames", 8, "--max-latency-ms", 10_000]
    command(export, *words, "--output", tmp_path / "model")
    assert "score of 8 frames" in capsys.readouterr().out
    recognizer = Recognizer(tmp_path / "model")
    assert recognizer.frame_logits(np.zeros((12, lm.NUM_POINTS, 2), np.float32)).shape == (8, 60)
    manifest = directories.read_manifest(tmp_path / "model", MODEL_KIND)
    low, high = manifest["trimming"]["interval"]
    assert low <= manifest["trimming"]["difference"] <= high


def test_the_memory_of_a_thousand_recognitions(toy_model):
    """Of lengths that come again and again, in one interpreter: it stays as it was after the first hundred."""
    recognizer = Recognizer(toy_model)
    random = np.random.default_rng(0)
    clips = [random.random((int(n), lm.NUM_POINTS, 2)).astype(np.float32) for n in random.integers(0, 120, 100)]

    def resident():
        gc.collect()
        pages = int(open("/proc/self/statm").read().split()[1])  # noqa: PTH123, SIM115
        return pages * resource.getpagesize()

    for clip in clips:
        recognizer.recognize(clip)
    before = resident()
    for _ in range(10):
        for clip in clips:
            recognizer.recognize(clip)
    assert resident() - before < 4 << 20


@pytest.mark.long
def test_the_published_final_network_fits_the_competition(dataset, tmp_path):
    keras.utils.set_random_seed(0)
    config = PRESETS["final"]
    model = Recogniser(config.network, dataset.mean, dataset.std)
    model.build()
    for quantize, megabytes in (("float16", 40), ("int8", 17)):
        export.convert(model, config.data.max_frames, tmp_path, quantize=quantize)
        frames = config.data.max_frames
        found = failed(
            model,
            tmp_path,
            dataset,
            quantize=quantize,
            max_frames=frames,
            trained_frames=frames,
            limits=latency.Limits(max_size_mb=megabytes),
            max_score_loss=1.0,
        )
        assert found == {}


def test_what_fails_its_check_is_not_put_in_place(toy_run, toy_dataset, toy_model, command, tmp_path, monkeypatch):
    """And the next call, of a program that exports well, makes it good."""

    def convert(model, max_frames, directory, *, quantize):
        for name in ("model.tflite", "inference_args.json"):
            (directory / name).write_bytes((toy_model / name).read_bytes())

    original = proof.prove

    def refuse(*arguments, **settings):
        verdicts, figures = original(*arguments, **settings)
        return [*verdicts, proof.Verdict("luck", "none", "some", False)], figures

    monkeypatch.setattr(export, "convert", convert)
    words = [export, "--run", toy_run, "--dataset", toy_dataset, "--output", tmp_path / "model"]
    said = (
        r"no model put in place, as 1 of 11 checks failed: luck \(none; expected some\); see export_report.json there"
    )
    with monkeypatch.context() as patched, pytest.raises(UserError, match=said):
        patched.setattr(proof, "prove", refuse)
        command(*words)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"request.json", "export_report.json"}
    assert not json.loads((tmp_path / "model/export_report.json").read_text())["verdicts"][-1]["passed"]
    command(*words)
    assert (tmp_path / "model/model.tflite").read_bytes() == (toy_model / "model.tflite").read_bytes()


def test_edge_cases():
    cases = proof.edge_cases(20)
    assert [len(cases[f"{n} frames"]) for n in (0, 1, 19, 20, 21, 60)] == [0, 1, 19, 20, 21, 60]
    assert np.isnan(cases["all missing"]).all()
    assert np.isinf(cases["infinite values"]).any()


def test_the_change_of_a_score():
    targets, trained = ["abcd"] * 50, ["abcd"] * 50
    same = proof.score_change(targets, trained, trained)
    assert (same["first"], same["second"], same["difference"], same["interval"]) == (1, 1, 0, [0, 0])
    found = proof.score_change(targets, trained, ["abxd"] * 10 + trained[10:])
    assert found["first"] == 1
    assert found["difference"] == pytest.approx(-10 / 200)
    low, high = found["interval"]
    assert -0.1 < low < found["difference"] < high < 0
    assert proof.score_change(targets, ["ab"] * 50, trained)["difference"] == pytest.approx(0.5)
