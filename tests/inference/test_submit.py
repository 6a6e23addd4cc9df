import dataclasses
import json
import shutil
import zipfile

import Levenshtein
import numpy as np
import pyarrow.parquet as pq
import pytest

from inference import submit
from inference.recognizer import ARGUMENTS, MODEL, SERVING, Recognizer
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset import metadata, wide
from pipeline.tasks.fingerspelling import COLUMNS, Fingerspelling

TASK = Fingerspelling()


@pytest.fixture(scope="module")
def submission(toy_model, toy_data, command, made_once):
    """Directory of the toy model's submission. Shared: read it, do not change it."""
    words = ["--model", toy_model, "--data", toy_data]
    return made_once("toy-submission", lambda folder: command(submit, *words, "--output", folder))


def score(toy_model, data, signers=(1, 2, 3)):
    """That of the signers' clips, as the model answers: a lone space for nothing."""
    entries = metadata.read(data, TASK.metadata).entries
    recognizer = Recognizer(toy_model)
    units = errors = 0
    for file in sorted((data / "train_landmarks").iterdir()):
        for sequence_id, landmarks in wide.read_runs(file, TASK):
            if entries[sequence_id].signer in signers:
                label = entries[sequence_id].label
                units += len(label)
                errors += Levenshtein.distance(label, recognizer.answer(landmarks) or " ")
    return (units - errors) / units


def test_what_is_made(submission, toy_model, toy_data):
    assert {file.name for file in submission.iterdir()} == {"request.json", "manifest.json", "submission.zip"}
    with zipfile.ZipFile(submission / "submission.zip") as archive:
        assert archive.testzip() is None
        content = {name: archive.read(name) for name in archive.namelist()}
    assert content == {name: (toy_model / name).read_bytes() for name in (MODEL, ARGUMENTS)}
    manifest = directories.read_manifest(submission, submit.KIND)
    assert manifest["files"]["submission.zip"] == directories.sha256_of(submission / "submission.zip")
    assert manifest["bytes"] == (submission / "submission.zip").stat().st_size
    assert manifest["clips"] == 36
    assert manifest["pooled_score"] == score(toy_model, toy_data)
    assert 0 < manifest["hours"] < 5


def test_verdict_of_some_signers(toy_model, toy_data, command, tmp_path, capsys):
    words = [submit, "--model", toy_model, "--data", toy_data, "--output", tmp_path / "submission"]
    command(*words, "--signers", "3", "--test-clips", 1000)
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["archive", "signature", "edges", "answers", "score", "time"]
    assert lines[3].startswith("ok    answers    12 clips")
    expected = score(toy_model, toy_data, (3,))
    assert expected < 0
    assert lines[4] == f"warn  score      {expected:.4f}"
    assert lines[5].endswith("hours for 1,000; 5 are allowed")
    assert last.startswith(f"{tmp_path}/submission/submission.zip: ")
    assert last.endswith("all checks passed: submit it")


def test_parquet_files_without_labels(toy_model, toy_data, submission, command, tmp_path, capsys):
    """The model alone decides the bytes of the archive."""
    for number, place in enumerate(("train_landmarks", "train_landmarks/2.parquet")):
        output = tmp_path / str(number)
        words = ["--model", toy_model, "--data", toy_data / place, "--output", output]
        command(submit, *words, "--clips", 20)
        assert "score      not known without labels" in capsys.readouterr().out
        manifest = directories.read_manifest(output, submit.KIND)
        assert (manifest["clips"], manifest["pooled_score"]) == ((20, None), (18, None))[number]
        assert (output / "submission.zip").read_bytes() == (submission / "submission.zip").read_bytes()


def test_a_second_call_finds_it_done(submission, toy_model, toy_data, command, capsys):
    before = {file: file.stat().st_mtime_ns for file in submission.iterdir()}
    command(submit, "--model", toy_model, "--data", toy_data, "--output", submission)
    assert capsys.readouterr().out == f"{submission} is already complete\n"
    assert {file: file.stat().st_mtime_ns for file in submission.iterdir()} == before


def test_read_clips(toy_data):
    """In the order of the columns that are asked for, whatever the file's: it has theirs reversed, and more."""
    file = toy_data / "train_landmarks/1.parquet"
    for columns in (list(COLUMNS), list(COLUMNS[::-1]), ["z_face_0", "x_face_0"]):
        found = list(submit.read_clips([file], columns, TASK))
        table = pq.read_table(file)
        assert [sequence_id for sequence_id, *_ in found] == list(range(100, 136, 2))
        assert all(seconds > 0 for *_, seconds in found)
        values = np.concatenate([values for _, values, _ in found])
        assert values.dtype == np.float32
        for position, name in enumerate(columns):
            np.testing.assert_array_equal(values[:, position], table.column(name).to_numpy())


@pytest.fixture
def other_model(toy_model, tmp_path):
    """`other_model(change)`: a complete directory with the model's files, as `change(directory)` leaves them."""

    def make(change):
        directory = tmp_path / "model"
        shutil.copytree(toy_model, directory)
        change(directory)
        manifest = json.loads((directory / "manifest.json").read_text())
        manifest["files"] = {file: directories.sha256_of(directory / file) for file in (MODEL, ARGUMENTS)}
        directories.write_json(directory / "manifest.json", manifest)
        return directory

    return make


def signature(function, name=SERVING):
    """Makes the model a file with this signature alone, which does this."""

    def change(directory):
        import tensorflow as tf

        spec = tf.TensorSpec((None, len(COLUMNS)), tf.float32, name="inputs")
        wrapped = tf.function(lambda inputs: {"outputs": function(inputs)}, input_signature=[spec])
        saved = str(directory.parent / "saved")
        tf.saved_model.save(tf.Module(), saved, {name: wrapped})
        content = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=[name]).convert()
        (directory / MODEL).write_bytes(content)

    return change


def columns(names):
    return lambda directory: directories.write_json(directory / ARGUMENTS, {"selected_columns": names})


FAILURES = {
    "no row for a clip without frames": (
        signature(lambda x: x[:, :59]),
        r"model\.tflite gives \(0, 59\) for 0 frames of nan, expected \(characters, 59\), at least one row",
    ),
    "the blank is a character": (signature(lambda x: x[:, :60]), r"gives \(0, 60\) for 0 frames of nan, expected \(ch"),
    "one answer, as for isolated signs": (signature(lambda x: x[0, :59]), r"model\.tflite "),
    "a column that the data lack": (
        columns([*COLUMNS[:-1], "x_tail_0"]),
        r"1\.parquet lacks the column x_tail_0: expected the task's columns",
    ),
    "too few columns": (columns(["x_face_0"]), r"model\.tflite does not run in LiteRT \("),
    "no columns": (columns(None), r"inference_args\.json does not name selected_columns \(it is not a list of names\)"),
    "no signature": (signature(lambda x: x[:, :59], "other"), r"model\.tflite has no signature serving_default"),
    "no model": (lambda model: (model / MODEL).write_bytes(b"?" * 99), r"does not run in LiteRT \(.*\)"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_check_leaves_no_archive(other_model, toy_data, command, tmp_path, name):
    change, message = FAILURES[name]
    words = [submit, "--model", other_model(change), "--data", toy_data, "--output", tmp_path / "submission"]
    with pytest.raises(UserError, match=message) as raised:
        command(*words)
    assert str(raised.value).endswith(f": {tmp_path}/submission/submission.zip is not put in place")
    assert {file.name for file in (tmp_path / "submission").iterdir()} == {"request.json"}


def test_a_damaged_model_is_refused(copy, toy_data, command, tmp_path):
    """Columns in another order would make other points of the data, and nothing would tell."""
    arguments = json.loads((copy / ARGUMENTS).read_text())
    directories.write_json(copy / ARGUMENTS, arguments | {"selected_columns": [COLUMNS[1], COLUMNS[0], *COLUMNS[2:]]})
    refused(copy, ARGUMENTS, toy_data, command, tmp_path)


def test_a_model_that_was_cut_short_is_refused(copy, toy_data, command, tmp_path):
    (copy / MODEL).write_bytes((copy / MODEL).read_bytes()[:-1000])
    refused(copy, MODEL, toy_data, command, tmp_path)


def refused(model, file, data, command, tmp_path):
    with pytest.raises(UserError, match="cut short, changed or replaced") as raised:
        command(submit, "--model", model, "--data", data, "--output", tmp_path / "submission")
    assert str(raised.value).startswith(f"{model / file} is not the file that manifest.json ")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "submission").exists()


def test_too_large(toy_model, toy_data, command, tmp_path, monkeypatch):
    monkeypatch.setattr(Fingerspelling, "contract", dataclasses.replace(TASK.contract, max_mb=0.1))
    words = [submit, "--model", toy_model, "--data", toy_data, "--output", tmp_path / "submission"]
    with pytest.raises(
        UserError, match=r"model\.tflite has 0\.\d MB, more than the 0\.1 MB that are allowed: .* is not p"
    ):
        command(*words)
    assert {file.name for file in (tmp_path / "submission").iterdir()} == {"request.json"}


def test_too_slow(toy_model, toy_data, command, tmp_path):
    words = [submit, "--model", toy_model, "--data", toy_data, "--output", tmp_path / "submission"]
    with pytest.raises(
        UserError, match=r"too slow on this machine, .* hours for 1(,000){3}; 5 are allowed; export it with"
    ):
        command(*words, "--test-clips", 10**9)
    assert {file.name for file in (tmp_path / "submission").iterdir()} == {"request.json"}


def test_from_bucket_to_bucket(emulator, upload, toy_model, toy_data, submission, command):
    bucket = emulator.bucket()
    model, data = upload(toy_model, bucket / "model"), upload(toy_data, bucket / "data")
    command(submit, "--model", model, "--data", data, "--output", bucket / "submission", "--clips", 5)
    assert directories.read_manifest(bucket / "submission", submit.KIND)["clips"] == 5
    archive = (bucket / "submission/submission.zip").read_bytes()
    assert archive == (submission / "submission.zip").read_bytes()
