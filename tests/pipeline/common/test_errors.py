import errno
import pathlib
import re
import subprocess
import sys

import pytest

from pipeline.common import errors
from pipeline.common.errors import UserError

ROOT = pathlib.Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("a.txt: no such file"), 1, "error: a.txt: no such file\n"),
        (UserError("one line\nand another"), 1, "error: one line and another\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a/b"),
            1,
            "error: /a/b: Permission denied: get access to it, or name another place\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/.b.tmp", None, "/a/b"),
            1,
            "error: /a/b: No space left on device: make room there, then run the same command again to continue\n",
        ),
        (OSError(errno.EIO, "Input/output error"), 1, "error: Input/output error\n"),
        (
            MemoryError("Unable to allocate 9 GiB"),
            1,
            "error: not enough memory or disk space (Unable to allocate 9 GiB): make room, or ask for less, such as"
            " smaller batches\n",
        ),
        (
            ModuleNotFoundError("No module named 'keras.ops'", name="keras.ops"),
            1,
            f"error: keras is not installed in {sys.prefix}: pip install -e '.[train-cpu]' there\n",
        ),
        (
            KeyboardInterrupt(),
            130,
            "interrupted: nothing incomplete is marked complete; run the same command again to continue\n",
        ),
    ],
)
def test_what_becomes_of_a_mistake(error, code, message, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as raised:
        errors.run(main)
    assert raised.value.code == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("error", [LookupError("ours"), OSError("ours"), ModuleNotFoundError("ours", name="pipelin")])
def test_our_own_mistakes_keep_their_traceback(error):
    def main():
        raise error

    with pytest.raises(type(error), match="ours"):
        errors.run(main)
    errors.run(lambda: None)


def test_a_reader_who_has_seen_enough():
    """As in `command | head -1`."""
    code = "from pipeline.common import errors; errors.run(lambda: [print(i) for i in range(10**6)])"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.mark.parametrize("module", ["pipeline.convert", "training.train", "inference.recognize"])
def test_outside_the_environment_a_command_says_what_is_missing(module):
    """-S hides the installed packages."""
    command = [sys.executable, "-S", "-m", module]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert re.fullmatch(r"error: google is not installed in .*: activate the environment .*\n", finished.stderr)


def test_places_nearby(tmp_path):
    for name in ("data/landmarks", "results"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data/train.csv").touch()

    def suggest_path(name):
        return errors.suggest_path(tmp_path / name, lambda path: (path / "train.csv").is_file())

    for name in ("dta", "", "data/landmarks", "data/train.csv"):
        assert suggest_path(name) == f" (did you mean {tmp_path / 'data'}?)"
    for name in ("result", "results", "nowhere/data"):
        assert suggest_path(name) == ""


def test_the_nearest_of_known_names():
    assert errors.nearest("fingerspeling", ["fingerspelling", "signs"]) == " (did you mean fingerspelling?)"
    assert errors.nearest("zzz", ["fingerspelling", "signs"]) == ": expected fingerspelling or signs"


def test_what_stands_where_a_directory_was_expected(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert errors.what_is_there(tmp_path / "absent") == "no such file or directory"
    assert errors.what_is_there(tmp_path / "file") == "a file, not a directory"
    assert errors.what_is_there(tmp_path / "link") == f"a link to {tmp_path / 'gone'}, which is not there"


def test_advice_for_a_file_that_is_gone_or_damaged_and_for_no_other():
    path = pathlib.Path("a.json")
    for error in (FileNotFoundError(errno.ENOENT, "No such file"), ValueError("no JSON")):
        assert str(errors.cannot_read(path, error, "make it again")).endswith("): make it again")
    said = str(errors.cannot_read(path, PermissionError(errno.EACCES, "Permission denied"), "make it again"))
    assert said == "cannot read a.json: Permission denied: get access to it, or name another place"
