"""What the tests of several packages share: tiny data in the Kaggle layout, a model trained on it, buckets."""

import csv
import dataclasses
import fcntl
import itertools
import json
import os
import pathlib
import socket
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Iterator
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.beam import conversion
from pipeline.common import storage
from pipeline.tasks import body
from pipeline.tasks.fingerspelling import CHARACTER_MAP, CHARACTER_TO_INDEX


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("minutes") is None)


@dataclasses.dataclass(frozen=True)
class Recording:
    """A clip of a test's data directory; (T, 100, 2) random landmarks with gaps where none are given."""

    sequence_id: int
    phrase: str = "abc"
    signer: int = 1
    file: str = "train_landmarks/1.parquet"
    num_frames: int = 5
    landmarks: np.ndarray | None = None

    def array(self) -> np.ndarray:
        if self.landmarks is not None:
            return self.landmarks
        random = np.random.default_rng(self.sequence_id)
        landmarks = random.normal(0.5, 0.2, (self.num_frames, *body.POINTS.shape)).astype(np.float32)
        landmarks[random.random(self.num_frames) < 0.2, body.POINTS.groups["right_hand"]] = np.nan
        return landmarks


def table(recordings: Iterable[Recording]) -> pa.Table:
    """Wide columns: those needed, and a few more, in another order than the program's."""
    arrays = [recording.array() for recording in recordings]
    landmarks = np.concatenate([np.empty((0, *body.POINTS.shape), np.float32), *arrays])
    columns = {"frame": np.concatenate([np.empty(0), *(np.arange(len(array)) for array in arrays)]).astype(np.int16)}
    for point, name in reversed(list(enumerate(body.POINTS.names))):
        columns |= {f"{axis}_{name}": landmarks[:, point, i].copy() for i, axis in enumerate("xy")}
        columns[f"z_{name}"] = np.zeros(len(landmarks), np.float32)
    ids = [np.full(len(array), each.sequence_id) for each, array in zip(recordings, arrays, strict=True)]
    columns["sequence_id"] = np.concatenate([np.empty(0, np.int64), *ids]).astype(np.int64)
    return pa.table(columns)


def write_metadata(data: pathlib.Path, recordings: Iterable[Recording], name: str = "train.csv") -> None:
    with (data / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "file_id", "sequence_id", "participant_id", "phrase"])
        for each in recordings:
            stem = pathlib.Path(each.file).stem
            writer.writerow([each.file, stem, each.sequence_id, each.signer, each.phrase])


def write_data(data: pathlib.Path, recordings: Iterable[Recording], *, row_group_size: int = 7) -> pathlib.Path:
    recordings = list(recordings)
    (data / "train_landmarks").mkdir(parents=True, exist_ok=True)
    (data / CHARACTER_MAP).write_text(json.dumps(CHARACTER_TO_INDEX))
    write_metadata(data, recordings)
    for file in sorted({each.file for each in recordings}):
        pq.write_table(
            table([each for each in recordings if each.file == file]), data / file, row_group_size=row_group_size
        )
    return data


@pytest.fixture
def kaggle_data(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """`kaggle_data(recordings)` writes `tmp_path/data`; without recordings: 3 files, 4 signers, 12 clips."""

    def write(recordings: Iterable[Recording] | None = None, **options) -> pathlib.Path:
        return write_data(tmp_path / "data", example() if recordings is None else recordings, **options)

    return write


def example() -> list[Recording]:
    return [
        Recording(
            100 + i, f"word {'abcdefghijkl'[: i + 1]}", i % 4 + 1, f"train_landmarks/{i // 4 + 1}.parquet", i % 5 + 3
        )
        for i in range(12)
    ]


@pytest.fixture
def recording() -> type[Recording]:
    """The class `Recording`, for tests that say what their data directory holds."""
    return Recording


@pytest.fixture
def example_recordings() -> list[Recording]:
    return example()


@pytest.fixture(scope="session")
def command() -> Callable[..., None]:
    """`command(module, *words)` does in this process what `python -m module words` does, errors not caught."""

    def run(module: types.ModuleType, *words: object) -> None:
        with mock.patch.object(sys, "argv", [module.__name__, *map(str, words)]):
            module.main()

    return run


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., pathlib.Path]:
    """`made_once(name, make)`: the folder `name`, in which `make(folder)` made something for all workers of pytest."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base

    def made(name: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
        folder, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def toy_data(made_once) -> pathlib.Path:
    """2 files, 3 signers, 36 clips of noise: one too short for its phrase, one longer than the toy frame budget."""
    lengths = {4: 24, 9: 3}
    recordings = [
        Recording(
            100 + i,
            f"{('ab', 'to', 'b a', 'll')[i % 4]}{'abcdefghij'[i % 10]}",
            i % 3 + 1,
            f"train_landmarks/{i % 2 + 1}.parquet",
            lengths.get(i, 12 + i % 5),
        )
        for i in range(36)
    ]
    return made_once("toy-data", lambda folder: write_data(folder, recordings))


@pytest.fixture(scope="session")
def toy_dataset(toy_data: pathlib.Path, made_once) -> pathlib.Path:
    """Directory of the converted toy data: 24 clips of two signers to train on, 12 of a third to test on."""
    from pipeline.beam.runners import Runner
    from pipeline.dataset.splits import SplitRule

    rule = SplitRule(test_signers=(3,))
    return made_once(
        "toy-dataset", lambda folder: conversion.convert(toy_data, folder, rule, num_shards=None, runner=Runner())
    )


@pytest.fixture(scope="session")
def toy_settings() -> list[str]:
    """Words of `training.train`'s command line: a network that trains in seconds, to no effect."""
    changes = (
        "encoder.width=12",  # so that there are dense weights of more than 1,024 numbers, which int8 stores
        "encoder.blocks=1",
        "encoder.heads=2",
        "data.max_frames=16",
        "data.validation_share=0.3",
        "optimizer.batch_size=4",
        "optimizer.epochs=2",
        "optimizer.warmup_epochs=1",
    )
    return ["--preset", "small", *(word for change in changes for word in ("--set", change))]


@pytest.fixture(scope="session")
def toy_run(toy_dataset: pathlib.Path, toy_settings: list[str], command, made_once) -> pathlib.Path:
    """Directory of a run trained on the toy dataset. Shared: read it, do not change it."""
    from training import train

    return made_once(
        "toy-run", lambda folder: command(train, "--dataset", toy_dataset, "--output", folder, *toy_settings)
    )


@pytest.fixture(scope="session")
def toy_model(toy_run, toy_dataset, command, made_once) -> pathlib.Path:
    """Directory of the exported toy run. Shared: read it, do not change it."""
    from inference import export

    words = ["--run", toy_run, "--dataset", toy_dataset, "--fixed-frames", 24]
    return made_once("toy-model", lambda folder: command(export, *words, "--output", folder))


class Emulator:
    """Google Cloud Storage in this process: `STORAGE_EMULATOR_HOST` names it.

    Attributes:
      requests: method and path of all so far that are about objects.
      refuse: called with each of them; the status that it returns, if any, is the answer.
    """

    def __init__(self, host: str):
        self.host = host
        self.requests: list[str] = []
        self.refuse: Callable[[str], int | None] = lambda request: None
        self._numbers = itertools.count(1)

    def bucket(self) -> storage.GsPath:
        """A new one."""
        name = f"bucket-{next(self._numbers)}"
        storage._client().create_bucket(name)
        return storage.path(f"gs://{name}")

    def handle(self, handle: Callable, router, method: str) -> None:
        handler = router._request_handler
        request = f"{method} {handler.path}"
        status = None
        if "/o" in handler.path:  # Google's library looks at buckets of its own accord
            self.requests.append(request)
            status = self.refuse(request)
        if not status:
            handle(router, method)
            return
        handler.rfile.read(int(handler.headers.get("content-length", 0)))
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.end_headers()
        handler.wfile.write(json.dumps({"error": {"message": "as the test wants it"}}).encode())


@pytest.fixture(scope="session")
def _emulator() -> Iterator[Emulator]:
    server = pytest.importorskip("gcp_storage_emulator.server")
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    running = server.create_server("localhost", port, in_memory=True)
    emulator = Emulator(f"http://localhost:{port}")
    handle = server.Router.handle
    with (
        mock.patch.object(server.Router, "handle", lambda router, method: emulator.handle(handle, router, method)),
        mock.patch.dict(os.environ, STORAGE_EMULATOR_HOST=emulator.host),
        running,
    ):
        yield emulator


@pytest.fixture
def emulator(_emulator: Emulator, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """A store that is not asked twice where it refuses; the test's own cache, and folder for temporary files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(storage, "_PATIENCE", 0.0)
    yield _emulator
    _emulator.refuse = lambda request: None


@pytest.fixture
def upload() -> Callable[[pathlib.Path, storage.GsPath], storage.GsPath]:
    """`upload(folder, place)` copies a folder of this machine into a bucket, and returns the place."""

    def copy(folder: pathlib.Path, place: storage.GsPath) -> storage.GsPath:
        for file in folder.rglob("*"):
            if file.is_file():
                (place / file.relative_to(folder).as_posix()).upload(file)
        return place

    return copy


@pytest.fixture(scope="session")
def published() -> dict[str, np.ndarray]:
    """What the published solution's own functions gave for eight clips and a small random network, by name.

    NAME/{input,features,flipped,keep_len1..29} of clips; base_small/* of the network; statistics/*, ctc/*, decode/*.
    """
    with np.load(pathlib.Path(__file__).with_name("published.npz"), allow_pickle=False) as arrays:
        return dict(arrays)
