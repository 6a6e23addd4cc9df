"""Archives that are not what they seem: a few MB that unpack to GB, and paths that lead elsewhere."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from isal import igzip

from inference import submit
from pipeline.common import directories
from pipeline.dataset import records
from pipeline.dataset.clips import Clip
from pipeline.dataset.dataset import Dataset
from pipeline.tasks.fingerspelling import Fingerspelling

ENVIRONMENT = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[2])}


def bomb(kind: str, clip: Clip) -> bytes:
    """A few MB of gzip that unpack to 3 GB, or to the longest record that there may be."""
    if kind == "zeros":
        part = bytes(16 << 20)
    elif kind == "no clips":
        part = records.frame(b"") * (1 << 20)
    else:
        size = records.LONGEST - 1000 if kind == "one record" else 16 << 20
        landmarks = np.zeros((size // clip.landmarks[0].nbytes, *clip.landmarks.shape[1:]), np.float32)
        part = records.frame(records.encode(dataclasses.replace(clip, landmarks=landmarks)))
    return igzip.compress(part, 1) * (1 if kind == "one record" else (3 << 30) // len(part))


# Runs a command, and writes how much memory it took into a file.
MEASURED = """
import importlib, pathlib, sys
from pipeline.common import errors
from pipeline.common.peak_memory import peak_memory
_, file, module, *sys.argv[1:] = sys.argv
try:
    errors.run(importlib.import_module(module).main)
finally:
    pathlib.Path(file).write_text(str(peak_memory()))
"""


READERS = {
    "inspect": "pipeline.inspect {} --verify",
    "evaluate": "inference.evaluate --dataset {} --model {model} --output {o}",
}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["zeros", "no clips", "clips", "one record"])
@pytest.mark.parametrize("reader", READERS)
def test_a_bomb(reader, kind, toy_dataset, toy_model, tmp_path):
    dataset = pathlib.Path(shutil.copytree(toy_dataset, tmp_path / "dataset"))
    manifest = directories.read_json(dataset / directories.MANIFEST)
    report = dataset / "reports/00000-of-00002.json"
    (file,) = (each for each in manifest["shards"][0]["files"] if each["split"] == "test")
    clip = next(Dataset.open(dataset).read("test"))
    path = dataset / "shards" / file["name"]
    path.write_bytes(bomb(kind, clip))
    assert path.stat().st_size < 32 << 20
    file |= {"bytes": path.stat().st_size, "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    directories.write_json(dataset / directories.MANIFEST, manifest)
    directories.write_json(report, directories.read_json(report) | {"files": manifest["shards"][0]["files"]})
    words = [word.format(dataset, model=toy_model, o=tmp_path / "o") for word in READERS[reader].split()]
    line = [sys.executable, "-c", MEASURED, str(tmp_path / "peak"), *words]
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if file["name"] in line]
    assert done.returncode == 1
    assert 1 <= len(said) <= (3 if reader == "inspect" else 1)  # which tells of the file, its clips and its report
    assert "Traceback" not in done.stderr
    assert int((tmp_path / "peak").read_text()) < 700 << 20


@pytest.mark.parametrize("name", ["../evil", "/{}/evil", "a/../../evil", "..\\evil", f"{'../' * 9}tmp/evil"])
def test_an_archive_with_a_path_in_it(name, toy_data, toy_model, tmp_path, monkeypatch):
    """Nothing is written outside of the folder into which it is unpacked, which is gone afterwards."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    packed = tmp_path / submit.ZIP
    submit.pack(toy_model, packed)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(name.format(tmp_path), "evil")
    files = sorted((toy_data / "train_landmarks").iterdir())
    before = set(tmp_path.rglob("*"))
    submit.check(packed, files, None, Fingerspelling(), most=1, test_clips=1)
    assert set(tmp_path.rglob("*")) == before
    assert not list(pathlib.Path("/tmp").glob("evil"))
