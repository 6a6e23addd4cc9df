import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Makes what `python3 -m venv` would; says what it is called with.
PYTHON = """#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    -c*) ;;
    *) echo "python $*" ;;
esac
"""


@pytest.fixture
def launch(tmp_path):
    """`launch(script, *words, gpus)`: what a launcher of a copy of the project runs on a machine with as many GPUs."""
    for place in ("scripts", "tools"):
        (tmp_path / place).mkdir()
    for name in (
        "train_gpu",
        "train_tpu",
        "train_device.sh",
        "run_pipeline",
        "environment.sh",
        "venv.sh",
        "doctor",
        "constraints.txt",
        "track",
        "constraints-track.txt",
    ):
        (tmp_path / "scripts" / name).write_bytes((ROOT / "scripts" / name).read_bytes())
    (tmp_path / "setup.py").write_bytes((ROOT / "setup.py").read_bytes())

    def run(script, *words, gpus=1, **variables):
        lines = "".join(f"echo 'GPU {i}: NVIDIA L4'\n" for i in range(gpus))
        python = variables.get("PYTHON", "python3")
        for name, text in ((python, PYTHON), ("nvidia-smi", f"#!/bin/sh\n{lines}")):
            (tmp_path / "tools" / name).write_text(text)
            (tmp_path / "tools" / name).chmod(0o755)
        environment = {"PATH": f"{tmp_path / 'tools'}{os.pathsep}{os.environ['PATH']}", **variables}
        command = ["bash", tmp_path / "scripts" / script, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        return done.stdout.replace(str(tmp_path), "ROOT").splitlines()

    return run


def installs(extra):
    pip = "python -m pip install --quiet --disable-pip-version-check -c ROOT/scripts/constraints.txt"
    return f"{pip} -e ROOT[{extra},cloud]"


@pytest.mark.parametrize(
    ("script", "options", "extra", "device"),
    [
        ("train_tpu", {"gpus": 0}, "train-tpu", "tpu"),
        ("train_tpu", {"gpus": 0, "PYTHON": "python3.99"}, "train-tpu", "tpu"),
        ("train_gpu", {}, "train-gpu", "gpu"),
        ("train_gpu", {"gpus": 4}, "train-gpus", "gpu"),
        ("train_gpu", {"gpus": 4, "CUDA_VISIBLE_DEVICES": "0,1"}, "train-gpus", "gpu"),
        ("train_gpu", {"gpus": 4, "CUDA_VISIBLE_DEVICES": "2"}, "train-gpu", "gpu"),
    ],
)
def test_installs_once_then_trains(launch, script, options, extra, device):
    train = f"python -P -m training.train --device {device} --dataset gs://B/d --preset base"
    words = ["--dataset", "gs://B/d", "--preset", "base"]
    assert launch(script, *words, **options) == [installs(extra), train]
    assert launch(script, *words, **options) == [train]


@pytest.mark.parametrize("python", [{}, {"PYTHON": "python3.99"}])
def test_the_environment_is_made_by_the_python_that_is_named(launch, python):
    doctor = "python -P -m scripts.doctor"
    assert launch("doctor", **python) == [doctor]  # installs nothing
    run = "python -P -m scripts.run_pipeline --data DATA"
    install = installs("beam,train-cpu,inference,plot,test").replace(",cloud]", "]")
    assert launch("run_pipeline", "--data", "DATA", **python) == [install, run]
    assert launch("run_pipeline", "--data", "DATA") == [run]
    assert launch("doctor") == [doctor]


@pytest.mark.parametrize("script", ["train_gpu", "train_tpu"])
def test_help_installs_nothing(launch, script):
    assert launch(script, "--help")[0].startswith(f"usage: scripts/{script} OPTIONS")


def test_track_has_an_environment_of_its_own(launch):
    pip = "python -m pip install --quiet --disable-pip-version-check --no-deps -r ROOT/scripts/constraints-track.txt"
    track = "python -P -m pipeline.track v --output o"
    assert launch("track", "v", "--output", "o") == [pip, track]
    assert launch("track", "v", "--output", "o") == [track]


@pytest.mark.parametrize("there", [True, False])
def test_track_needs_a_python_that_mediapipe_has_wheels_for(tmp_path, there):
    """python3 and python3.12 are too new here; python3.11 may be there."""
    (tmp_path / "scripts").mkdir()
    for name in ("track", "constraints-track.txt"):
        (tmp_path / "scripts" / name).write_bytes((ROOT / "scripts" / name).read_bytes())
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "cmp", "cp", "dirname", "mkdir", "sh"):
        (tools / name).symlink_to(shutil.which(name))
    new = '#!/bin/sh\n[ "$1" != -V ] || { echo "Python 3.13.1" && exit; }\nexit 1\n'
    for name, text in {"python3": new, "python3.12": new, **({"python3.11": PYTHON} if there else {})}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    command = ["bash", tmp_path / "scripts/track", "v"]
    done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)
    if there:
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "python -P -m pipeline.track v"
    else:
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: MediaPipe needs Python 3.11 or 3.12, which is not here beside Python 3.13.1: ")
        assert not (tmp_path / ".venv-track").exists()
