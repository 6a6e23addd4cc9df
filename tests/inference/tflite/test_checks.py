import dataclasses

import numpy as np
import pytest

from inference.recognizer import MODEL, RECOGNIZE, SERVING, Recognizer
from inference.tflite import checks, conversion
from pipeline.dataset.dataset import Dataset
from pipeline.tasks.fingerspelling import Fingerspelling
from training.data.holdout import Holdout
from training.runs import Run

TASK = Fingerspelling()


def test_a_good_file_passes(toy_model, trained, failed):
    assert failed(trained, toy_model) == {}


def test_other_weights_are_refused(toy_model, trained, failed):
    bias = trained.head.classifier.bias
    before = bias.numpy()
    bias.assign(before + 0.001)
    try:
        found = failed(trained, toy_model)
    finally:
        bias.assign(before)
    assert found.keys() == {"outputs", "outputs of edge cases"}
    assert 1e-4 < float(found["outputs"].split()[0]) <= 1.01e-3


def test_a_model_that_says_but_the_filler_passes(trained, failed, tmp_path):
    """What the competition takes for an answer where there is none may be a label too: a lone space."""
    bias = trained.head.classifier.bias
    before = bias.numpy()
    bias.assign(np.where(np.arange(len(before)) == TASK.contract.filler, 1000, before))
    try:
        conversion.convert(trained, 16, tmp_path, weights="float32")
        assert failed(trained, tmp_path) == {}
    finally:
        bias.assign(before)
    recognizer = Recognizer(tmp_path)
    assert recognizer.outputs(np.zeros((5, 100, 2))).argmax(axis=1).tolist() == [TASK.contract.filler] * 5


def test_another_frame_budget_is_refused(toy_model, trained, failed):
    assert "nan in " in failed(trained, toy_model, max_frames=17)["outputs of edge cases"]


def test_outputs_that_are_no_numbers_are_refused(toy_model, trained, failed, monkeypatch):
    original = Recognizer.outputs
    monkeypatch.setattr(Recognizer, "outputs", lambda self, x: original(self, x) * np.nan)
    assert failed(trained, toy_model)["outputs"].startswith("nan in ")


def test_a_file_that_is_right_only_the_first_time_is_refused(toy_model, trained, failed, monkeypatch):
    original, seen = Recognizer.outputs, {}

    def outputs(self, x):
        seen[id(x)] = seen.get(id(x), 0) + 1
        return original(self, x) + (seen[id(x)] > 1)

    monkeypatch.setattr(Recognizer, "outputs", outputs)
    assert failed(trained, toy_model).keys() == {"outputs", "outputs of edge cases"}


def test_another_label_is_refused(toy_model, trained, failed, monkeypatch):
    monkeypatch.setattr(Recognizer, "answer", lambda self, landmarks: "something else")
    found = failed(trained, toy_model)
    assert found["answer is what the outputs say"].startswith("0 of 54, not in ")
    assert "score" in found


def test_a_file_without_its_weights_is_refused(copy, trained, failed):
    (copy / MODEL).write_bytes((copy / MODEL).read_bytes()[:5_000])
    assert failed(trained, copy)["holds its weights"] == "5,000 bytes"


def test_a_file_that_litert_cannot_read_is_refused(copy, trained, failed):
    (copy / MODEL).write_bytes(b"?" * 200_000)
    assert failed(trained, copy).keys() == {"LiteRT reads it"}


def test_limits_are_kept(toy_model, trained, failed):
    found = failed(trained, toy_model, size_mb=0.1, latency=1e-3)
    assert found.keys() == {"size", "latency"}
    assert found["latency"].endswith(" ms, threads: 1")


@pytest.fixture
def form(tmp_path):
    """`form(signatures)`: the checks of form that a file fails whose signatures do this."""
    import tensorflow as tf

    def fails(signatures, *, columns=200):
        spec = tf.TensorSpec((None, columns), tf.float32, name="inputs")
        functions = {
            name: tf.function(lambda inputs, each=each: {"outputs": each(inputs)}, input_signature=[spec])
            for name, each in signatures.items()
        }
        tf.saved_model.save(tf.Module(), str(tmp_path / "saved"), functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"), signature_keys=list(signatures))
        (tmp_path / MODEL).write_bytes(converter.convert())
        return {each.check for each in checks.check_form(tmp_path / MODEL, TASK) if not each.passed}

    return fails


FORMS = {
    "as it has to be": ({SERVING: 59, RECOGNIZE: 60}, {}, set()),
    "one alone": ({SERVING: 59}, {}, {"signatures"}),
    # Subgraphs are in the order of their names.
    "a third, the first one": ({SERVING: 59, RECOGNIZE: 60, "another": 61}, {}, {"signatures", "first subgraph"}),
    "a third, the last one": ({SERVING: 59, RECOGNIZE: 60, "third": 60}, {}, {"signatures"}),
    "the blank is a class": ({SERVING: 60, RECOGNIZE: 59}, {}, {f"shapes of {SERVING}", "first subgraph"}),
    "fewer columns": ({SERVING: 59, RECOGNIZE: 60}, {"columns": 199}, {f"shapes of {SERVING}"}),
}


@pytest.mark.parametrize("name", FORMS)
def test_form(form, name):
    widths, options, expected = FORMS[name]
    # Not the same number for all: the converter would make one of two equal subgraphs.
    signatures = {name: lambda x, width=width: x[:, :width] * width for name, width in widths.items()}
    assert form(signatures, **options) == expected


def test_operators_that_are_not_built_in(tmp_path):
    import tensorflow as tf

    signature = tf.TensorSpec((None, 200), tf.float32, name="inputs")
    concrete = tf.function(lambda inputs: tf.linalg.inv(inputs @ tf.transpose(inputs))).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / MODEL).write_bytes(converter.convert())
    assert checks._operators(tmp_path / MODEL)[1] == ["FlexMatrixInverse"]


def test_edge_cases():
    cases = checks.edge_cases(TASK, 20)
    assert [len(cases[f"{n} frames"]) for n in (0, 1, 19, 20, 21, 60)] == [0, 1, 19, 20, 21, 60]
    assert all(case.shape[1:] == TASK.points.shape for case in cases.values())
    assert np.isnan(cases["all missing"]).all()
    assert {np.inf, -np.inf} <= set(cases["infinite values"].ravel())
    hands = np.r_[TASK.points.groups["right_hand"], TASK.points.groups["left_hand"]]
    assert np.isnan(cases["no hands"][:, hands]).all()
    assert np.isfinite(np.delete(cases["no hands"], hands, axis=1)).all()
    only = np.isfinite(cases["only the left hand"]).all(axis=(0, 2))
    np.testing.assert_array_equal(np.flatnonzero(only), np.r_[TASK.points.groups["left_hand"]])


def test_checked_clips(toy_run, toy_dataset, monkeypatch):
    """First those that validated the run, of which alone the score is; then others, up to a number."""
    dataset, trained = Dataset.open(toy_dataset), Run.open(toy_run)
    validation = Holdout.of(dataset, trained.config.data).validation
    clips, scored = checks.checked_clips(dataset, trained)
    ids = [each.sequence_id for each in clips]
    assert sorted(ids) == list(range(100, 136))
    assert (set(ids[:scored]), scored) == (validation, len(validation))
    assert 0 < scored < 24
    monkeypatch.setattr(checks, "CHECKED_CLIPS", scored + 2)
    clips, again = checks.checked_clips(dataset, trained)
    assert ([each.sequence_id for each in clips], again) == (ids[: scored + 2], scored)


def test_where_nothing_validates_the_score_is_of_all_clips(toy_run, toy_dataset):
    trained = Run.open(toy_run)
    data = dataclasses.replace(trained.config.data, validation_share=0.0)
    trained = dataclasses.replace(trained, config=dataclasses.replace(trained.config, data=data))
    clips, scored = checks.checked_clips(Dataset.open(toy_dataset), trained)
    assert len(clips) == scored == 36


def test_the_change_of_a_score():
    labels, trained = ["abcd"] * 50, ["abcd"] * 50
    same = checks.score_change(TASK, labels, trained, trained)
    assert (same["first"], same["second"], same["difference"], same["interval"]) == (1, 1, 0, [0, 0])
    found = checks.score_change(TASK, labels, trained, ["abxd"] * 10 + trained[10:])
    assert found["first"] == 1
    assert found["difference"] == pytest.approx(-10 / 200)
    low, high = found["interval"]
    assert -0.1 < low < found["difference"] < high < 0
    assert checks.score_change(TASK, labels, ["ab"] * 50, trained)["difference"] == pytest.approx(0.5)
