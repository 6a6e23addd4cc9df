"""The extra `inference` alone recognizes: LiteRT, numpy, pyarrow and what is as small, and no framework."""

import json
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.long
def test_in_a_clean_environment(toy_model, toy_data, tmp_path):
    """From the package registry, in another folder than the project's."""
    source = tmp_path / "source"
    for package in ("pipeline", "training", "inference"):
        shutil.copytree(ROOT / package, source / package)
    for file in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / file, source)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", f"{source}[inference]"], check=True)

    installed = subprocess.run([*pip, "list", "--format=json"], capture_output=True, text=True, check=True).stdout
    names = {each["name"].lower().replace("_", "-") for each in json.loads(installed)}
    assert {"fingerspelling", "ai-edge-litert", "numpy", "pyarrow"} <= names
    assert not [name for name in names if name.startswith(("tensorflow", "keras", "apache-beam", "jax", "pandas"))]

    web = "from inference import libraries; print(*(each.name for each in libraries.WEB.iterdir()))"
    files = subprocess.run([python, "-c", web], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert {"index.html", "style.css", "main.js", "libraries.json", "package.json", "package-lock.json"} <= set(files)

    file = toy_data / "train_landmarks/1.parquet"
    words = ["-m", "inference.recognize", file, "--model", toy_model, "--json"]
    found = []
    for interpreter, environment in ((python, {}), (sys.executable, {"PYTHONPATH": str(ROOT)})):
        started = time.perf_counter()
        done = subprocess.run([interpreter, *words], capture_output=True, text=True, cwd=tmp_path, env=environment)
        print(f"{interpreter}: {time.perf_counter() - started:.2f} s")
        assert (done.returncode, done.stderr) == (0, "")
        said = [json.loads(line) for line in done.stdout.splitlines()]
        found.append([{**each, "milliseconds": None} for each in said])
    assert len(found[0]) == 18
    assert found[0] == found[1]

    output = tmp_path / "submission"
    words = ["-m", "inference.submit", "--model", toy_model, "--data", toy_data, "--output", output]
    subprocess.run([python, *words], cwd=tmp_path, env={}, check=True)
    assert (output / "submission.zip").is_file()
