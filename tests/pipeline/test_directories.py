import errno
import json

import pytest

from pipeline import directories, storage
from pipeline.commands import UserError
from pipeline.directories import Request

REQUEST = Request("thing", {"a": 1, "b": {"c": [1, 2], "d": 0.1}})


def test_from_a_claim_to_a_complete_directory(tmp_path):
    directory = tmp_path / "new" / "thing"
    assert not directories.prepare(directory, REQUEST)
    with pytest.raises(UserError, match="is unfinished: run the command that makes it again"):
        directories.read_manifest(directory, "thing")
    assert not directories.prepare(directory, REQUEST)
    directories.complete(directory, REQUEST, {"size": 3})
    assert directories.prepare(directory, REQUEST)
    manifest = directories.read_manifest(directory, "thing")
    assert manifest["settings"] == REQUEST.settings
    assert (manifest["size"], manifest["fingerprint"]) == (3, REQUEST.fingerprint)
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
    with pytest.raises(UserError, match=r"absent: no such file or directory; expected a thing"):
        directories.read_manifest(tmp_path / "absent", "thing")
    with pytest.raises(UserError, match=r"has no manifest\.json; expected a thing"):
        directories.read_manifest(tmp_path, "thing")
    directories.complete(tmp_path, REQUEST, {})
    with pytest.raises(UserError, match="is a thing; expected an other"):
        directories.read_manifest(tmp_path, "other")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    with pytest.raises(
        UserError, match=r"is a thing of another version .*\(schema version 99, .*: delete it and make it again"
    ):
        directories.read_manifest(tmp_path, "thing")
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"manifest\.json lacks size, weight: of another version"):
        directories.read_manifest(tmp_path, "thing", needed=["size", "weight"])
    for text in ("", "{", "[1]", "\xff"):
        (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
        with pytest.raises(UserError, match=r"manifest\.json"):
            directories.read_manifest(tmp_path, "thing")


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
    with pytest.raises(UserError, match=r"a\.npz is not the file that manifest\.json tells of"):
        directories.check_file(path, "another")
