"""Every command of the READMEs works, in their order, on toy data."""

import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
READMES = [
    ROOT / "README.md",
    *(ROOT / package / "README.md" for package in ("pipeline", "training", "inference", "scripts")),
]
# Run otherwise: by a fresh clone, and by `scripts/test --long` (a short demo). What needs a cloud or public TFRecords
# is tested, as far as that goes, in tests/pipeline/beam and tests/pipeline/test_import_tfrecords.py; what needs videos
# in tests/pipeline/tracking and tests/scripts/test_recognize_video.py.
ELSEWHERE = (
    "git clone ",
    "pip install ",
    "scripts/demo",
    "scripts/test",
    ". ",
    "gcloud ",
    "python -m pipeline.import_tf",
    "python -m pipeline.track",
    "scripts/recognize_video",
    "python -m inference.page",
)


def text() -> str:
    return "".join(file.read_text(encoding="utf-8") for file in READMES)


def commands() -> list[str]:
    """The lines of the READMEs' shell blocks, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text(), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines = [re.sub(r"\s+#\s.*", "", line).strip() for line in lines]
    return [line for line in lines if line]


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z]+@", text())


def test_the_front_page_is_short():
    assert len(READMES[0].read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("file", READMES, ids=lambda file: file.parent.name)
def test_links_lead_somewhere(file):
    page = file.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page)
    for path, anchor in links:
        if path.startswith("http"):
            continue
        target = file.parent / path if path else file
        assert target.exists(), path
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_names_every_command():
    mentioned = {word for line in commands() for word in shlex.split(line)}
    modules = {
        f"{file.parent.name}.{file.stem}"
        for package in ("pipeline", "training", "inference")
        for file in (ROOT / package).glob("*.py")
        if re.search(r"\brun\((\w+\.)?main\)", file.read_text(encoding="utf-8"))
    }
    assert len(modules) >= 10
    assert modules <= mentioned


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("pip install")])
def test_extras_exist(line):
    (extras,) = re.findall(r"\.\[(.*?)\]", line)
    declared = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert all(f'"{extra}":' in declared for extra in extras.split(","))


@pytest.mark.long
@pytest.mark.minutes
def test_commands_run_as_written(tmp_path, toy_data, toy_settings):
    """But for where the data are, which signers there are, and networks that train in seconds."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "DATA").symlink_to(toy_data)
    run = 0
    for line in commands():
        if line.startswith(ELSEWHERE) or "gs://" in line:
            continue
        words = shlex.split(line.replace("5414471.parquet", "1.parquet"))
        if words[0] == "python":
            words[0] = sys.executable
        if "training.train" in words:
            words += toy_settings
        elif words[0] == "scripts/run_pipeline":
            words += toy_settings[2:]
        elif "pipeline.synthesize" in words:
            words += ["--clips", "12", "--signers", "3"]
            words += ["--movements", "2"] if "recordings" in words else ["--files", "1"]
        environment = {"PATH": "/usr/bin:/bin", "VIRTUAL_ENV": sys.prefix, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        run += 1
    assert run >= 10
