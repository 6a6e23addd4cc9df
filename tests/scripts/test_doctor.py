"""What scripts/doctor says, about machines and folders that are fine and that are not."""

import collections
import importlib
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = pathlib.Path(__file__).parents[2]
Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """The scripts can be imported, and the machine is a roomy one without a GPU and as fast as the reference."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    machine = importlib.import_module("doctor_machine")
    monkeypatch.setattr(machine, "memory_of_the_machine", machine.available_memory, raising=False)
    monkeypatch.setattr(machine, "available_memory", lambda: 100 * 10**9)
    monkeypatch.setattr(machine, "nvidia_gpus", lambda: ([], ""))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 10**12))
    monkeypatch.setattr(importlib.import_module("doctor_estimate"), "speed", lambda cores: 1.0)
    return machine


@pytest.fixture
def doctor(monkeypatch, tmp_path, capsys):
    """`doctor(*words)`: exit status and lines of `scripts/doctor --output tmp_path/out words`."""
    main = importlib.import_module("doctor").main

    def run(*words: object) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["doctor", "--output", str(tmp_path / "out"), *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code)
        return status, capsys.readouterr().out.splitlines()

    return run


def said(lines: list[str], level: str, subject: str) -> list[str]:
    """Texts of the findings of this level about this."""
    return [line[19:] for line in lines if line.split()[:2] == [level, subject]]


@pytest.fixture
def versions(monkeypatch):
    """`versions(name=version)` pretends that a distribution is installed in another version, or not at all (None)."""
    real = importlib.metadata.version

    def pretend(**changes: str | None) -> None:
        changes = {name.replace("_", "-"): version for name, version in changes.items()}

        def version(name: str) -> str:
            found = changes[name] if name in changes else real(name)
            if found is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(importlib.metadata, "version", version)

    return pretend


def test_all_is_fine(doctor, kaggle_data, tmp_path):
    data = kaggle_data()
    status, lines = doctor("--data", data)
    assert status == 0, lines
    assert not [line for line in lines if line.startswith("fail")]
    assert said(lines, "ok", "data")[0].startswith("12 sequences of 4 signers, 57 frames, parquet files: 3, ")
    assert said(lines, "ok", "small")
    assert "meant for a GPU" in said(lines, "warn", "published")[0]
    assert lines[-1].endswith(f"next: scripts/run_pipeline --data {data} --output {tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


def test_the_script_on_the_machine_of_the_tests(kaggle_data, tmp_path):
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix}
    command = [ROOT / "scripts/doctor", "--data", kaggle_data(), "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert f"({sys.prefix}/bin/python)" in said(lines, "ok", "python")[0]
    assert said(lines, "ok", "base") and said(lines, "ok", "data"), lines
    assert [line for line in lines if line.split()[1:2] == ["small"]], lines


def test_without_packages_it_says_what_to_do(tmp_path):
    """-S: no site-packages, as with a python3 that was just installed."""
    script = ROOT / "scripts/doctor.py"
    done = subprocess.run(
        [pathlib.Path(sys.base_prefix) / "bin/python3", "-S", "-E", "-s", script, "--data", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    (base,) = said(lines, "fail", "base")
    assert base.startswith("not installed: google-crc32c, isal, numpy, pyarrow, rich; to do: scripts/demo installs")
    assert said(lines, "fail", "beam") and said(lines, "fail", "train-cpu") and said(lines, "fail", "inference")
    assert said(lines, "ok", "test") == ["not all installed: only scripts/test needs them"]
    assert said(lines, "fail", "data") == [f"{tmp_path} was not looked at: install the packages first"]


def test_missing_and_wrong_versions(doctor, versions, monkeypatch):
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")  # in an environment,
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)  # activated
    versions(apache_beam=None, keras="3.2.1", numpy="3.0.0", tensorflow_cpu="2.21.0", tensorflow=None, jax=None)
    status, lines = doctor()
    assert status == 1
    assert said(lines, "fail", "base") == ["numpy is 3.0.0, expected >=1.26,<3; to do: pip install -e '.'"]
    assert said(lines, "fail", "beam") == ["not installed: apache-beam; to do: pip install -e '.[beam]'"]
    assert said(lines, "fail", "train-cpu") == [
        "keras is 3.2.1, expected >=3.12,<4; to do: pip install -e '.[train-cpu]'"
    ]
    assert lines[-1] == "3 to mend first: see what begins with fail"


def test_an_old_python(doctor, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    status, lines = doctor()
    assert status == 1
    assert "3.9.2" in said(lines, "fail", "python")[0] and "expected >=3.11,<3.14" in said(lines, "fail", "python")[0]


@pytest.mark.parametrize(
    ("version", "allowed"),
    [("1.5", True), ("1.5.0", True), ("1.10.2rc1", True), ("1.4.9", False), ("2", False), ("2.0.0", False)],
)
def test_ranges(scripts, version, allowed):
    assert scripts.allows(">=1.5,<2", version) is allowed
    assert scripts.allows(">=1.5.0,<2.0", version) is allowed


def test_setup_has_only_ranges_that_are_understood(scripts):
    setup = scripts.read_setup(ROOT / "setup.py")
    assert setup["python_requires"] and {"beam", "train-cpu", "train-gpu", "train-tpu"} <= set(setup["extras_require"])
    for requirements in (setup["install_requires"], *setup["extras_require"].values()):
        scripts.check_group("base", requirements)  # raises for another


def test_no_space(doctor, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 3 * 10**8))
    status, lines = doctor()
    assert status == 1
    assert said(lines, "fail", "disk")[0].startswith("0.3 GB free at ")


def test_no_memory(doctor, scripts, monkeypatch):
    monkeypatch.setattr(scripts, "available_memory", lambda: 10**9)
    status, lines = doctor()
    assert status == 1
    assert said(lines, "fail", "memory") == ["1.0 GB available, the demo takes 1.5: end other programs"]


def test_limits_of_a_container(scripts, monkeypatch):
    files = {"/proc/meminfo": ["MemAvailable:", "4000000", "kB"]}
    monkeypatch.setattr(scripts, "_words", lambda file: files.get(file, []))
    assert scripts.usable_cores() == len(os.sched_getaffinity(0))
    assert scripts.memory_of_the_machine() == 4_000_000 << 10
    files |= {"/sys/fs/cgroup/cpu.max": ["150000", "100000"], "/sys/fs/cgroup/memory.max": [str(2 << 30)]}
    assert scripts.usable_cores() == 1
    assert scripts.memory_of_the_machine() == 2 << 30
    files |= {"/sys/fs/cgroup/cpu.max": ["max", "100000"], "/sys/fs/cgroup/memory.max": ["max"]}
    assert scripts.usable_cores() == len(os.sched_getaffinity(0))
    assert scripts.memory_of_the_machine() == 4_000_000 << 10


def test_cannot_write(doctor, tmp_path):
    (tmp_path / "file").write_text("in the way")
    status, lines = doctor("--output", tmp_path / "file" / "out")
    assert status == 1
    assert said(lines, "fail", "disk")[0].startswith(f"cannot write to {tmp_path / 'file' / 'out'}: Not a directory")


def test_a_gpu_that_the_packages_do_not_use(doctor, scripts, versions, monkeypatch):
    monkeypatch.setattr(scripts, "nvidia_gpus", lambda: (["NVIDIA L4"], ""))
    versions(tensorflow=None, jax=None)
    status, lines = doctor()
    assert status == 0
    assert "NVIDIA L4, which tensorflow-cpu does not use" in said(lines, "warn", "accelerator")[0]


def test_a_gpu_in_use(doctor, scripts, versions, monkeypatch, kaggle_data):
    monkeypatch.setattr(scripts, "nvidia_gpus", lambda: (["NVIDIA L4", "NVIDIA L4"], ""))
    monkeypatch.setattr(scripts.importlib.util, "find_spec", lambda name: name == "nvidia")
    versions(tensorflow="2.21.0", jax=None)
    status, lines = doctor("--data", kaggle_data())
    assert status == 0, lines
    assert said(lines, "ok", "accelerator") == [
        "NVIDIA L4, NVIDIA L4; one of them is used, all with train-gpus instead"
    ]
    assert "on a GPU were not measured" in said(lines, "ok", "published")[0]


def test_no_metadata(doctor, kaggle_data):
    data = kaggle_data()
    (data / "train.csv").unlink()
    status, lines = doctor("--data", data)
    assert status == 1
    assert said(lines, "fail", "data") == [f"{data} has no train.csv: expected a data directory in the Kaggle layout"]
    assert not said(lines, "ok", "small")


def test_one_signer(doctor, kaggle_data, recording):
    status, lines = doctor("--data", kaggle_data([recording(1), recording(2)]))
    assert status == 1
    assert said(lines, "fail", "data")[0].startswith("no signer is left to train on")


def test_missing_and_half_downloaded_files(doctor, kaggle_data):
    data = kaggle_data()
    lost, half, empty = (data / f"train_landmarks/{i}.parquet" for i in (1, 2, 3))
    lost.unlink()
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    empty.write_bytes(b"")
    status, lines = doctor("--data", data)
    assert status == 1
    found = said(lines, "fail", "data")
    assert found[0] == f"{lost} is not there, but train.csv names it: download or unpack it"
    for line, file in zip(found[1:], (half, empty), strict=True):
        assert line.startswith(f"cannot read {file} as parquet (")
        assert line.endswith("half-downloaded? Download it again")
    assert not said(lines, "ok", "small") and not said(lines, "ok", "data")


def test_many_missing_files_are_counted(doctor, kaggle_data, recording):
    data = kaggle_data([recording(i, participant_id=i, file=f"train_landmarks/{i}.parquet") for i in range(1, 15)])
    for file in (data / "train_landmarks").iterdir():
        file.unlink()
    found = said(doctor("--data", data)[1], "fail", "data")
    assert len(found) == 11
    assert found[-1] == "and 4 more like this"


def test_a_missing_column(doctor, kaggle_data):
    data = kaggle_data()
    file = data / "train_landmarks/2.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["x_face_17"]), file)
    status, lines = doctor("--data", data)
    assert status == 1
    assert said(lines, "fail", "data") == [f"{file} lacks the column x_face_17: expected the Kaggle layout"]


def test_files_and_sequences_that_only_one_side_has(doctor, kaggle_data):
    data = kaggle_data()
    file = data / "train_landmarks/1.parquet"
    shutil.copy(file, data / "train_landmarks/9.parquet")
    table = pq.read_table(file)
    ids = table["sequence_id"].to_numpy()
    renamed = table.set_column(
        table.schema.get_field_index("sequence_id"), "sequence_id", pa.array(np.where(ids == 101, 999, ids))
    )
    pq.write_table(renamed, file)
    status, lines = doctor("--data", data)
    assert status == 0
    unnamed, without_rows, others = said(lines, "warn", "data")
    assert unnamed == f"{data / 'train_landmarks/9.parquet'} is not in train.csv: it is ignored"
    assert without_rows.startswith("sequences in train.csv without rows in their file: 1, the first is 101 of train_")
    assert others.startswith("sequences in a file that train.csv does not name there: 1, the first is 999 of train_")


def test_a_run_that_does_not_fit(doctor, scripts, kaggle_data, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 2 * 10**9))
    monkeypatch.setattr(importlib.import_module("doctor_data"), "record_bytes", lambda path: 1e9)
    status, lines = doctor("--data", kaggle_data())
    assert status == 1
    assert "(too little: 2 GB are free at " in said(lines, "fail", "small")[0]


def test_estimates_of_the_published_pair_on_the_real_set():
    """Networks of 9.5 and 15.4 million parameters; the real set: 67,208 sequences of 160 frames in the mean."""
    estimate = importlib.import_module("doctor_estimate")
    config = importlib.import_module("training.config")
    pair = [config.PRESETS["base"], config.PRESETS["final"]]
    assert [estimate.parameters(each.network) for each in pair] == pytest.approx([9_497_577, 15_447_303], rel=0.02)
    work = estimate.Workload(np.full(67_208, 160), np.ones(67_208, bool), record_bytes=500.0)
    need = estimate.need(work, pair, speed=1.0)
    # Their landmarks are in a file while one trains.
    assert need.memory < 1e9
    assert need.disk == pytest.approx(67_208 * 160 * (2 * 500 + 800), rel=0.1)
    assert 100 < need.training_seconds / 86400 < 1000  # days
    twice = estimate.need(work, pair, speed=2.0)
    assert twice.training_seconds == pytest.approx(need.training_seconds / 2)
    assert twice.other_seconds == pytest.approx(need.other_seconds / 2)


@pytest.mark.parametrize(
    ("seconds", "words"), [(8, "8 s"), (100, "100 s"), (754, "13 min"), (9000, "2.5 h"), (2e7, "230 days")]
)
def test_durations(seconds, words):
    assert importlib.import_module("doctor_data").duration(seconds) == words
