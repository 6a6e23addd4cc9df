import hashlib
import os
import pickle
import re
import signal
import subprocess
import sys
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import filter as filter_command
from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common import directories, errors, storage
from pipeline.common.errors import UserError
from pipeline.dataset import wide
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import SplitRule
from pipeline.scores import score_table
from pipeline.tasks.fingerspelling import Fingerspelling

THING = directories.Kind("thing", made_by="a.command")
RULE = SplitRule(validation_signers=(2,), test_signers=(3,))


@pytest.fixture
def bucket(emulator):
    return emulator.bucket()


def write(path, text):
    with storage.replacing(path) as temporary:
        temporary.write_text(text)
    return path


def line(main, capsys):
    """The one line that a command says of an error."""
    with pytest.raises(SystemExit) as raised:
        errors.run(main)
    assert raised.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said.removeprefix("error: ").strip()


def test_paths_from_text():
    for text in ("out/a", "/out/a", "gs://bucket/a/b.json", "gs://bucket-1.example"):
        assert str(storage.path(text)) == text
        assert storage.path(storage.path(text)) == storage.path(text)
    assert str(storage.path("gs://bucket/a/")) == "gs://bucket/a"
    for text in ("gs://", "gs:///a", "gs://B/a", "gs://-b-/a", "s3://bucket/a", "http://bucket/a"):
        with pytest.raises(ValueError, match=re.escape(f"'{text}' is neither a path on this machine nor gs://BUCKET")):
            storage.path(text)
    for text in ("gs://bucket/../a", "gs://bucket/a//b", "gs://bucket/./a"):
        with pytest.raises(ValueError, match=r"there is no '\.\.', '\.' or empty folder in a bucket"):
            storage.path(text)


def test_the_parts_of_a_path_and_its_pickle():
    path = storage.path("gs://bucket/a/b.json")
    assert (path.name, path.stem, path.suffix) == ("b.json", "b", ".json")
    assert str(path.parent / "c") == "gs://bucket/a/c"
    assert str(path.with_name("c")) == "gs://bucket/a/c"
    assert str(path.with_suffix(".error")) == "gs://bucket/a/b.error"
    assert path.relative_to(storage.path("gs://bucket")).as_posix() == "a/b.json"
    assert pickle.loads(pickle.dumps(path)) == path
    assert {path: 1}[storage.path("gs://bucket") / "a" / "b.json"] == 1
    assert sorted([path, path.parent]) == [path.parent, path]


def test_what_is_written_is_there(bucket, emulator):
    for name in ("a.json", "b.txt", "folder/c.json", "folder/below/d.json"):
        write(bucket / name, f"{name} ä\n")
    file = bucket / "folder" / "c.json"
    emulator.requests.clear()
    assert file.read_text(encoding="utf-8") == "folder/c.json ä\n"
    assert file.open(encoding="utf-8", newline="").read() == "folder/c.json ä\n"
    assert file.is_file()
    assert file.parent.is_dir()
    assert [str(each) for each in bucket.iterdir()] == [f"{bucket}/{name}" for name in ("a.json", "b.txt", "folder")]
    assert list(bucket.glob("*.json")) == [bucket / "a.json"]
    assert storage.file_sizes(bucket) == {"a.json": 10, "b.txt": 9}
    assert len(emulator.requests) == 7  # one each
    assert file.open("rb").read() == file.read_bytes()
    assert not file.is_dir()
    assert not file.parent.is_file()
    assert (file.exists(), file.parent.exists(), (bucket / "d").exists()) == (True, True, False)
    assert storage.file_sizes(bucket / "d") == {}
    file.unlink()
    assert not file.exists()
    file.unlink(missing_ok=True)
    for missing in (file.unlink, file.read_bytes, file.open, lambda: file.open("rb")):
        with pytest.raises(FileNotFoundError) as raised:
            missing()
        assert raised.value.filename == str(file)
    with pytest.raises(ValueError, match="written by `replacing`"):
        file.open("w")


def test_an_empty_folder_that_the_console_made_is_empty(bucket):
    storage._client().bucket(bucket.name).blob("folder/").upload_from_string(b"")
    assert (bucket / "folder").is_dir()
    assert list((bucket / "folder").iterdir()) == []
    assert storage.file_sizes(bucket / "folder") == {}
    assert not directories.prepare(bucket / "folder", directories.Request("thing", {}))
    assert directories.read_json(bucket / "folder" / "request.json")["kind"] == "thing"


def test_directories_in_a_bucket(bucket):
    request = directories.Request("thing", {"a": 1})
    directory = bucket / "thing"
    with pytest.raises(
        UserError, match=rf"^{directory}: no such file or directory; expected a thing, which a.command makes$"
    ):
        directories.read_manifest(directory, THING)
    assert not directories.prepare(directory, request)
    with pytest.raises(UserError, match="is unfinished: run the command that makes it again"):
        directories.read_manifest(directory, THING)
    directories.complete(directory, request, {"size": 3})
    assert directories.prepare(directory, request)
    assert directories.read_manifest(directory, THING)["size"] == 3
    with pytest.raises(UserError, match=r"holds a thing made with other settings \(settings.a: 1 there, 2 asked for\)"):
        directories.prepare(directory, directories.Request("thing", {"a": 2}))
    write(bucket / "mine" / "thesis.txt", "years of work")
    for taken, said in (
        (bucket, "already holds something else: choose an empty or new directory"),
        (bucket / "mine", "already holds something else: choose an empty or new directory"),
        (bucket / "mine" / "thesis.txt", "is a file, not a directory: choose another directory to write to"),
    ):
        with pytest.raises(UserError, match=f"{taken} {said}"):
            directories.prepare(taken, request)


@pytest.mark.parametrize("place", ["bucket", "machine"])
def test_an_object_is_replaced_whole_or_not_at_all(bucket, tmp_path, place):
    path = (bucket if place == "bucket" else tmp_path) / "a.txt"
    for before in (None, "before"):
        with pytest.raises(RuntimeError), storage.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError
        assert path.read_text(encoding="utf-8") == before if before else not path.exists()
        write(path, "before")
    assert [each.name for each in path.parent.iterdir() if "a.txt" in each.name] == ["a.txt"]
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.fixture
def large(tmp_path):
    """A file that takes several requests to upload."""
    file = tmp_path / "large"
    file.write_bytes(np.random.default_rng(0).bytes(9 << 20))
    return file


def test_an_interrupted_upload_leaves_nothing_and_the_next_one_goes_on(bucket, emulator, large, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_UPLOAD_CHUNK", 4 << 20)
    path = write(bucket / "a", "before")
    sent = []

    def after_the_first_part(request):
        sent.append(request)
        return 503 if len([each for each in sent if each.startswith("PUT")]) > 1 else None

    emulator.refuse = after_the_first_part
    for place in (path, bucket / "new"):
        sent.clear()
        with (
            pytest.raises(OSError, match=r"the store answers 503 .*: run the same command again"),
            storage.replacing(place) as temporary,
        ):
            temporary.write_bytes(large.read_bytes())
        assert len([each for each in sent if each.startswith("PUT")]) == 2
    emulator.refuse = lambda request: None
    assert storage.file_sizes(bucket) == {"a": 6}
    path.upload(large)
    assert path.read_bytes() == large.read_bytes()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_process_killed_while_it_uploads_leaves_nothing(bucket, emulator, large):
    script = f"""
from pipeline.common import storage
storage._UPLOAD_CHUNK = 1 << 20
storage.path("{bucket}/a").upload("{large}")
"""

    def kill_in_the_fourth_part(request):
        if sum(each.startswith("PUT") for each in emulator.requests) == 4:
            process.kill()
            process.wait()

    emulator.requests.clear()
    emulator.refuse = kill_in_the_fourth_part
    process = subprocess.Popen([sys.executable, "-c", script])
    assert process.wait(60) == -signal.SIGKILL
    assert storage.file_sizes(bucket) == {}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, r"permission denied \(as the test wants it\): get access to it, or name another place"),
        (429, r"the store answers 429 \(as the test wants it\): run the same command again to continue"),
        (500, r"the store answers 500 \(as the test wants it\): run the same command again to continue"),
    ],
)
def test_what_the_store_refuses_is_one_line(bucket, emulator, capsys, tmp_path, status, said):
    path = write(bucket / "a", "before")
    emulator.refuse = lambda request: status
    for action in (
        path.is_file,
        path.is_dir,
        path.read_bytes,
        lambda: path.open("rb"),
        path.unlink,
        lambda: write(path, "after"),
    ):
        assert re.fullmatch(f"{path}: {said}", line(action, capsys))
    emulator.refuse = lambda request: None
    assert path.read_bytes() == b"before"
    assert list((tmp_path / "temporary").iterdir()) == []


def test_no_such_bucket_is_one_line(emulator, capsys):
    path = storage.path("gs://no-such-bucket/a")
    request = directories.Request("thing", {})
    for action in (
        path.is_dir,
        path.iterdir,
        lambda: write(path, "a"),
        lambda: directories.prepare(path, request),
        lambda: directories.read_manifest(path, THING),
    ):
        assert line(action, capsys) == "gs://no-such-bucket/a: no such bucket: name another, or create it"


@pytest.fixture
def another_client():
    """Within it the client may be made anew, in another environment."""
    storage._client.cache_clear()
    yield
    storage._client.cache_clear()


def test_a_store_that_cannot_be_reached_is_one_line(emulator, another_client, monkeypatch, capsys):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://localhost:1")
    path = storage.path("gs://bucket/a")
    for action in (path.is_file, lambda: write(path, "a")):
        assert line(action, capsys) == (
            "gs://bucket/a: cannot reach http://localhost:1 (Connection refused): run the same command again to"
            " continue"
        )


def test_no_credentials_is_one_line(emulator, another_client, monkeypatch, capsys, tmp_path):
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert line(storage.path("gs://bucket/a").is_file, capsys) == (
        "gs://bucket/a: no credentials for Google Cloud: run 'gcloud auth application-default login',"
        " or name a key file in GOOGLE_APPLICATION_CREDENTIALS"
    )


def test_a_package_that_is_not_installed_is_one_line(emulator, another_client, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    said = line(storage.path("gs://bucket/a").is_file, capsys)
    assert said == f"google-cloud-storage is not installed in {sys.prefix}: pip install -e '.[cloud]' there"


def test_bytes_are_read_as_they_are_needed(bucket, emulator, large, monkeypatch):
    monkeypatch.setattr(storage, "_READ_BUFFER", 1 << 20)
    content = large.read_bytes()
    path = bucket / "large"
    path.upload(large)
    with path.open("rb") as file:
        for start, size in ((0, 10), (1000, 100), (8 << 20, 2 << 20), (5, 1 << 21), (len(content), 1), (3 << 20, 1)):
            file.seek(start)
            assert file.tell() == start
            assert file.read(size) == content[start : start + size]
        assert file.seek(-3, os.SEEK_END) == len(content) - 3
        assert file.read() == content[-3:]
    emulator.requests.clear()
    with path.open("rb") as file:
        while file.read(1000):
            pass
    assert len(emulator.requests) == 1 + 9
    with path.open("rb") as file:
        file.read(1)
        path.unlink()
        with pytest.raises(FileNotFoundError) as raised:
            file.read()
    assert raised.value.filename == str(path)


def test_parquet_is_read_without_the_columns_that_are_not_needed(bucket, emulator, tmp_path):
    from pipeline import synthesize

    synthesize.synthesize(tmp_path / "data", clips=40, signers=1, files=1)
    (file,) = (tmp_path / "data" / "train_landmarks").iterdir()
    path = bucket / file.name
    path.upload(file)
    emulator.requests.clear()
    task = Fingerspelling()
    found = list(wide.read_runs(path, task))
    assert len(emulator.requests) < 20
    for (sequence_id, landmarks), (expected_id, expected) in zip(found, wide.read_runs(file, task), strict=True):
        assert sequence_id == expected_id
        np.testing.assert_array_equal(landmarks, expected)
    assert pq.read_metadata(file).num_rows == sum(len(landmarks) for _, landmarks in found)

    emulator.requests.clear()
    emulator.refuse = lambda request: 403 if len(emulator.requests) > 6 else None
    with pytest.raises(UserError, match=rf"^cannot read {path}: permission denied"):
        list(wide.read_runs(path, task))


def test_a_copy_is_made_once_and_checked(bucket, emulator, tmp_path):
    path = write(bucket / "a", "content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    assert storage.cached(tmp_path / "a", sha256) == tmp_path / "a"
    copy = storage.cached(path, sha256)
    assert copy == tmp_path / "cache" / "fingerspelling" / sha256
    emulator.requests.clear()
    assert storage.cached(path, sha256) == copy
    assert emulator.requests == []
    copy.write_text("contenT")
    assert storage.cached(path, sha256).read_text() == "content"
    write(path, "something else")
    assert storage.cached(path, sha256).read_text() == "content"
    copy.unlink()
    with pytest.raises(OSError, match=r"its SHA-256 is f41f3fa6.*, the manifest says ed7002b4") as raised:
        storage.cached(path, sha256)
    assert raised.value.filename == str(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        storage.cached(path, sha256)
    assert list(copy.parent.iterdir()) == []


def shards(directory):
    return {name: (directory / "shards" / name).read_bytes() for name in storage.file_sizes(directory / "shards")}


def score(parent, directory):
    """A score table of `parent`, in which every third clip is bad."""
    learnt = score_table.Learnt.of(parent.clips("train"))
    rows = [
        score_table.Row.of(each, "" if each.sequence_id % 3 == 0 else each.label, parent.task, learnt)
        for split in parent.splits
        for each in parent.clips(split)
    ]
    request = directories.Request(score_table.KIND, {"run": "imagined"})
    directories.prepare(directory, request)
    score_table.write(directory / score_table.FILE_NAME, rows)
    content = {"task": parent.task.as_json(), "dataset": parent.fingerprint}
    directories.complete(directory, request, content, files=[score_table.FILE_NAME])


def test_from_bucket_to_bucket(kaggle_data, bucket, emulator, upload, tmp_path):
    """Two processes convert and filter; with the bytes of a conversion on this machine."""
    data = upload(kaggle_data(), bucket / "data")
    other = emulator.bucket() / "out"
    for source, output, runner in ((tmp_path / "data", tmp_path, Runner()), (data, other, Runner(workers=2))):
        conversion.convert(source, output / "dataset", RULE, num_shards=None, runner=runner)
        score(Dataset.open(output / "dataset"), output / "scores")
        filter_command.filter_dataset(
            output / "dataset", output / "scores", output / "filtered", threshold=0.2, runner=Runner()
        )
    for name in ("dataset", "filtered"):
        here, there = (Dataset.open(f"{output}/{name}") for output in (tmp_path, other))
        assert shards(here.path) == shards(there.path) != {}
        assert here.fingerprint == there.fingerprint
        assert sorted(each.name for each in here.path.iterdir()) == sorted(each.name for each in there.path.iterdir())
        assert (here.path / "statistics.json").read_bytes() == (there.path / "statistics.json").read_bytes()
        for split in here.splits:
            for mine, theirs in zip(here.read(split), there.read(split), strict=True):
                np.testing.assert_array_equal(mine.landmarks, theirs.landmarks)
    emulator.requests.clear()
    conversion.convert(data, other / "dataset", RULE, num_shards=None, runner=Runner())  # finds it done
    assert not [request for request in emulator.requests if not request.startswith("GET")]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_conversion_whose_upload_fails_goes_on(kaggle_data, bucket, emulator, upload, tmp_path):
    data = upload(kaggle_data(), bucket / "data")
    output = bucket / "dataset"
    conversion.convert(tmp_path / "data", tmp_path / "dataset", RULE, num_shards=None, runner=Runner())

    def second_shard(path, file):
        if "00001-of-00003.tfrecord.gz" in path.name:
            emulator.refuse = lambda request: 403
        try:
            send(path, file)
        finally:
            emulator.refuse = lambda request: None

    send = storage.GsPath.upload
    with (
        mock.patch.object(storage.GsPath, "upload", second_shard),
        pytest.raises(UserError, match=r"cannot write gs://.*-00001-of-00003.tfrecord.gz: permission denied"),
    ):
        conversion.convert(data, output, RULE, num_shards=None, runner=Runner())
    assert not (output / "manifest.json").exists()
    assert not [name for name in storage.file_sizes(output / "shards") if "00001-of" in name]
    conversion.convert(data, output, RULE, num_shards=None, runner=Runner())
    assert shards(output) == shards(tmp_path / "dataset")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_what_is_refused_to_a_worker_is_told_of(kaggle_data, bucket, emulator, upload):
    data = upload(kaggle_data(), bucket / "data")
    emulator.requests.clear()

    def data_folder_once_the_output_was_claimed(request):
        claimed = any("request.json" in each for each in emulator.requests)
        return 403 if claimed and "prefix=data%2F&" in request else None

    emulator.refuse = data_folder_once_the_output_was_claimed
    with pytest.raises(
        UserError, match=rf"^{data}: permission denied \(as the test .* \(and 2 more of 3 shards failed\)"
    ):
        conversion.convert(data, bucket / "dataset", RULE, num_shards=None, runner=Runner())


def test_a_damaged_shard_is_told_of(kaggle_data, bucket, emulator, upload, tmp_path):
    conversion.convert(kaggle_data(), tmp_path / "dataset", RULE, num_shards=1, runner=Runner())
    dataset = Dataset.open(upload(tmp_path / "dataset", bucket / "dataset"))
    (file,) = dataset.record_files("train")
    path = dataset.path / "shards" / file.name
    assert len(list(dataset.read("train"))) == file.clips
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    with storage.replacing(path) as temporary:
        temporary.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path} is damaged at record"):
        list(dataset.read_file(file))
    assert len(list(dataset.read("train"))) == file.clips  # the copy is good
    (tmp_path / "cache" / "fingerspelling" / file.file_sha256).unlink()
    with pytest.raises(UserError, match=f"^cannot copy {path} to .*/cache/fingerspelling: it is damaged: its SHA-256"):
        list(dataset.read("train"))


def test_local_work_needs_nothing_of_google():
    script = """
import sys
from inference import recognize
from pipeline import filter, synthesize
from pipeline.beam import conversion
print({"google.api_core", "google.auth", "google.cloud.storage", "requests"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
