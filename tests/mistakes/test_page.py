"""Mistakes people make with `python -m inference.page` alone."""

import pathlib
import socket

import pytest

from inference import libraries, page
from pipeline.common.errors import UserError

GOOD = "--model model --output o"

MISTAKES = {
    "a model without fixed shape": (
        ("says", "model/manifest.json", {"files": {}}),
        GOOD,
        "model...is not the file that",
    ),
    "a page in a bucket": (None, GOOD.replace(" o", " gs://bucket/o"), "gs://bucket/o: a page is made on this machine"),
    "a port that there is not": (None, f"{GOOD} --port 70000", "argument --port: ...at most 65535"),
    "a file that LiteRT cannot read": (None, GOOD, "cannot read model/fixed.tflite...export it again"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("inference.page", *MISTAKES[name])


def test_an_export_without_fixed_frames(refused, place):
    refused(
        "inference.page",
        [("removed", "model/fixed.tflite"), ("replaced", "model/manifest.json", '"fixed.tflite"', '"other"')],
        GOOD,
        "model has no fixed.tflite: export it again with --fixed-frames",
    )


def test_no_node(place, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="with npm, to install its libraries once"):
        libraries.copy(tmp_path / "page")


def test_npm_that_fails(place, monkeypatch, tmp_path):
    """Without a network, say; what it wrote is gone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, status in (("npm", "echo npm error code E1 >&2; echo npm error no way out >&2; exit 1"), ("node", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{status}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UserError, match=r"npm ci failed \(no way out\)"):
        libraries.copy(tmp_path / "page")
    assert not (tmp_path / "cache").exists()


def test_a_library_that_was_changed(place, monkeypatch, tmp_path):
    """In the cache, where everything may be changed: each file is compared with what this program knows."""
    (tmp_path / "cached/@litertjs/core/dist").mkdir(parents=True)
    (tmp_path / "cached/@litertjs/core/dist/index.js").write_text("something else")
    monkeypatch.setattr(libraries, "_cached", lambda: tmp_path / "cached")
    with pytest.raises(UserError, match=r"index\.js is not the file that this program knows: delete"):
        libraries.copy(tmp_path / "page")


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="choose another with --port"):
        page.serve(pathlib.Path(tmp_path), taken.getsockname()[1])


def test_a_task_that_no_camera_shows():
    from pipeline.tasks.recordings import Recordings

    with pytest.raises(UserError, match="is of the task recordings, which no camera shows"):
        page.check_task(Recordings(channels=("x",), labels=("walk",)), pathlib.Path("model"))
