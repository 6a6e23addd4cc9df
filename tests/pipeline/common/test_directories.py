import errno
import json
import platform
import shlex
import subprocess
import sys

import numpy as np
import pytest

from pipeline.common import directories, storage
from pipeline.common.directories import Kind, Request
from pipeline.common.errors import UserError

THING = Kind("thing", made_by="a.command")
OTHER = Kind("other", made_by="another.command")
REQUEST = Request(THING, {"a": 1, "b": {"c": [1, 2], "d": 0.1}})


def test_from_a_claim_to_a_complete_directory(tmp_path, capsys):
    directory = tmp_path / "new" / "thing"
    assert not directories.prepare(directory, REQUEST)
    with pytest.raises(UserError, match="is unfinished: run the command that makes it again"):
        directories.read_manifest(directory, THING)
    assert not directories.prepare(directory, REQUEST)
    assert capsys.readouterr().out == ""
    directories.complete(directory, REQUEST, {"size": 3}, packages=[np])
    assert directories.prepare(directory, REQUEST)
    assert capsys.readouterr().out == f"{directory} is already complete\n"
    manifest = directories.read_manifest(directory, THING)
    assert manifest["settings"] == REQUEST.settings
    assert (manifest["size"], manifest["fingerprint"]) == (3, REQUEST.fingerprint)
    assert manifest["command"] == shlex.join(sys.orig_argv)
    assert manifest["versions"] == {"python": platform.python_version(), "numpy": np.__version__}
    assert sorted(path.name for path in directory.iterdir()) == ["manifest.json", "request.json"]


def test_the_same_request_from_other_python_objects(tmp_path):
    directories.prepare(tmp_path, Request("thing", {"a": (1, 2)}))
    assert not directories.prepare(tmp_path, Request("thing", {"a": [1, 2]}))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            Request("thing", {"a": 2, "b": REQUEST.settings["b"]}),
            r"holds a thing made .* \(settings\.a: 1 there, 2 asked",
        ),
        (Request("thing", {"a": 1, "b": {"c": [1], "d": 0.1}}), r"settings\.b\.c: \[1, 2\] there, \[1\] asked for"),
        (Request("thing", {"a": 1}), r"settings\.b: .* there, null asked for"),
        (Request("other", REQUEST.settings), "holds a thing, not an other: choose another directory"),
    ],
)
def test_another_request_is_refused(tmp_path, request_, message):
    directories.prepare(tmp_path, REQUEST)
    (tmp_path / "result.txt").write_text("something came of it")
    before = (tmp_path / "request.json").read_bytes()
    with pytest.raises(UserError, match=message):
        directories.prepare(tmp_path, request_)
    assert (tmp_path / "request.json").read_bytes() == before


def test_a_directory_that_holds_something_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds something else: choose an empty or new directory"):
        directories.prepare(tmp_path, REQUEST)
    with pytest.raises(UserError, match="is a file, not a directory"):
        directories.prepare(tmp_path / "thesis.txt", REQUEST)
    with pytest.raises(UserError, match="cannot write to"):
        directories.prepare(tmp_path / "thesis.txt" / "below", REQUEST)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_manifests_that_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent: no such file or directory; expected a thing, which a\.command makes"):
        directories.read_manifest(tmp_path / "absent", THING)
    with pytest.raises(UserError, match=r"has no manifest\.json; expected a thing, which a\.command makes"):
        directories.read_manifest(tmp_path, THING)
    directories.complete(tmp_path, REQUEST, {})
    with pytest.raises(UserError, match=r"is a thing; expected an other, which another\.command makes"):
        directories.read_manifest(tmp_path, OTHER)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    directories.write_json(tmp_path / "manifest.json", manifest)
    with pytest.raises(UserError, match=r"manifest\.json lacks size, weight: delete .* and make it again"):
        directories.read_manifest(tmp_path, THING, needed=["size", "weight"])
    for text in ("", "{", "[1]", "\xff"):
        (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
        with pytest.raises(UserError, match=r"manifest\.json"):
            directories.read_manifest(tmp_path, THING)


@pytest.mark.parametrize("version", [1, 99, None])
def test_directories_of_another_version_are_one_clear_line(tmp_path, version):
    """Version 1: of the releases before 2.0, which had no task."""
    directories.prepare(tmp_path, REQUEST)
    directories.complete(tmp_path, REQUEST, {})
    for name in ("manifest.json", "request.json"):
        data = json.loads((tmp_path / name).read_text())
        directories.write_json(tmp_path / name, data | {"schema_version": version})
    said = rf"a thing of another version of this program \(schema version {version}, this one has 4\)"
    for kind in (THING, None):
        with pytest.raises(UserError, match=rf"^{tmp_path} is {said}: delete it and make it again$"):
            directories.read_manifest(tmp_path, kind)
    with pytest.raises(UserError, match=rf"^{tmp_path} holds {said}: choose another directory$"):
        directories.prepare(tmp_path, REQUEST)


def test_the_nearest_directory_of_the_kind_is_named(tmp_path):
    for name, kind in (("things", THING), ("thinks", OTHER)):
        directories.prepare(tmp_path / name, Request(kind, {}))
        directories.complete(tmp_path / name, Request(kind, {}), {})
    with pytest.raises(UserError, match=rf"a\.command makes \(did you mean {tmp_path / 'things'}\?\)$"):
        directories.read_manifest(tmp_path / "thinqs", THING)


THE_OTHER_PROCESS = """
import json, pathlib, sys
from pipeline.common import directories
directory, settings = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
request = directories.Request("thing", settings)
assert not directories.prepare(directory, request)
directories.complete(directory, request, {"made_by": "the other process"})
"""


@pytest.mark.parametrize("same", [True, False])
def test_what_another_process_completed_since_the_first_look_is_left_alone(tmp_path, monkeypatch, same):
    """It does so between this one's first look and its lock."""
    settings = REQUEST.settings if same else {"a": 2}

    def after_the_other_process(directory):
        words = [sys.executable, "-c", THE_OTHER_PROCESS, directory, json.dumps(settings)]
        subprocess.run(words, check=True)
        left.update({path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()})
        claim(directory)

    left = {}
    claim = directories._claim
    monkeypatch.setattr(directories, "_claim", after_the_other_process)
    if same:
        assert directories.prepare(tmp_path, REQUEST)
        assert tmp_path.resolve() not in directories._claimed
        assert directories.read_manifest(tmp_path, THING)["made_by"] == "the other process"
    else:
        with pytest.raises(UserError, match=r"holds a thing made with other settings"):
            directories.prepare(tmp_path, REQUEST)
    assert left.keys() == {"request.json", "manifest.json"}
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == left


def test_a_directory_is_one_process_s_until_it_is_complete(tmp_path):
    def the_other_process():
        words = [sys.executable, "-c", THE_OTHER_PROCESS, tmp_path, json.dumps(REQUEST.settings)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    directories.prepare(tmp_path, REQUEST)
    assert f"another process is working on {tmp_path}: wait for it" in the_other_process().stderr
    directories.complete(tmp_path, REQUEST, {})
    finished = the_other_process()
    assert finished.stdout == f"{tmp_path} is already complete\n"
    assert "AssertionError" in finished.stderr


def test_fingerprints():
    assert REQUEST.fingerprint == Request("thing", {"b": {"d": 0.1, "c": [1, 2]}, "a": 1}).fingerprint
    others = [Request("thing", {"a": 1}), Request("things", REQUEST.settings)]
    assert len({REQUEST.fingerprint, *(other.fingerprint for other in others)}) == 3
    # Pinned: datasets and runs are joined by it, also across versions of this program.
    assert directories.fingerprint({"a": [1, "é"]})[:16] == "9581baeec64bddcc"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    directories.write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), storage.replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == path.parent
        raise RuntimeError
    assert directories.read_json(path) == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(TypeError):
        directories.write_json(path, {"a": object()})
    assert directories.read_json(path) == {"a": 1}


@pytest.mark.parametrize("kind", ["run", "model"])
def test_a_claim_of_which_nothing_came_can_be_changed(tmp_path, kind):
    first, second = directories.Request("run", {"size": 1}), directories.Request(kind, {"size": 2})
    directories.prepare(tmp_path / "a", first)
    assert not directories.prepare(tmp_path / "a", second)
    assert directories.read_json(tmp_path / "a" / directories.REQUEST) == second.as_json()


def test_errors_name_the_file_that_was_to_be_written(tmp_path):
    with pytest.raises(OSError, match="No space") as raised, storage.replacing(tmp_path / "a.json") as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
    assert raised.value.filename == str(tmp_path / "a.json")
    with pytest.raises(OSError, match=r"^of a library$"), storage.replacing(tmp_path / "a.json"):
        raise OSError("of a library")


def test_files_that_are_not_those_of_the_manifest(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"weights")
    directories.check_file(path, directories.sha256_of(path))
    with pytest.raises(UserError, match=r"a\.npz is not the file that manifest\.json describes"):
        directories.check_file(path, "another")
