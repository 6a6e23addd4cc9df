"""Strange places to start a command from, where what it prints to, what it may write or hold is not as usual.

ENVIRONMENTS change nothing of the result: a command started in one of them ends well and makes the same bytes.
REFUSALS cannot end well, nor can options that make no sense: one line, which says what is at fault, and nothing made.
"""

import dataclasses
import hashlib
import importlib
import itertools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np
import pytest

from pipeline.common import arguments, directories, errors
from pipeline.dataset.dataset import Dataset
from pipeline.scores import score_table
from pipeline.scores.score_table import Learnt, Row
from training.runs import Run

ROOT = pathlib.Path(__file__).parents[2]
PROGRESS = re.compile(r".* left (-:--:--|\d+:\d\d:\d\d)")

# Nothing of it imports TensorFlow. {place} holds what is read, {output} is made.
COMMANDS = {
    "synthesize": "pipeline.synthesize --output {output} --clips 4 --signers 2 --files 1",
    "convert": "pipeline.convert --data {place}/data --output {output} --test-signers 3 --workers 1",
    "filter": "pipeline.filter --dataset {place}/dataset --scores {place}/scores --output {output} --workers 1",
    "inspect": "pipeline.inspect {place}/dataset --verify",
    "report": "pipeline.report {place}/scores --split train",
    "recognize": "inference.recognize {place}/data/train_landmarks --model {place}/model",
    "submit": "inference.submit --model {place}/model --data {place}/data --output {output} --clips 2 --test-clips 9",
}
QUICK = ("synthesize", "inspect", "recognize")
SLOW = tuple(command for command in COMMANDS if command not in QUICK)


@dataclasses.dataclass(frozen=True)
class Environment:
    """How a command is started.

    Attributes:
      shell: what bash does, with the command in "$@".
      output: the name of what is made.
      shown: whether standard output can be read, and is as it always is.
      status, said: what comes of it, and the pattern of the lines that are said.
      not_of: commands to which something else happens.
    """

    shell: str = 'exec "$@"'
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    output: str = "o"
    shown: bool = True
    status: int = 0
    said: str = ""
    not_of: tuple[str, ...] = ()


def hidden(shell: str, **more) -> Environment:
    return Environment(shell, shown=False, **more)


def with_variables(**variables: str) -> Environment:
    return Environment(variables=variables)


def encoded(output: str = "手 é", **variables: str) -> Environment:
    return Environment(variables=variables, output=output, shown=False)


FOREIGN = "setpriv --reuid 54321 --regid 54321 --clear-groups --inh-caps +dac_override --ambient-caps +dac_override"
UNREAD = "mkfifo f; exec 3<>f 4>f 3>&-;"  # descriptor 4 is a pipe from which nobody reads
NO_SPACE = "error: No space left on device: make room there.*"
ENVIRONMENTS = {
    "standard input closed": Environment('exec "$@" <&-'),
    "standard output closed": hidden('exec "$@" >&-'),
    "standard error closed": Environment('exec "$@" 2>&-'),
    "both closed": hidden('exec "$@" >&- 2>&-'),
    "all three closed": hidden('exec "$@" <&- >&- 2>&-'),
    # Of `submit` each line is written at once: it ends with the first.
    "nobody reads the output": hidden(f'{UNREAD} exec "$@" >&4 4>&-', status=1, not_of=("submit",)),
    "nobody reads the errors": Environment(f'{UNREAD} exec "$@" 2>&4 4>&-'),
    "a full disk for the output": hidden('exec "$@" >/dev/full', status=1, said=NO_SPACE, not_of=("submit",)),
    "a full disk for the errors": Environment('exec "$@" 2>/dev/full'),
    "ascii, strict": encoded(PYTHONIOENCODING="ascii:strict"),
    "latin-1, strict": encoded(PYTHONIOENCODING="latin-1:strict"),
    "C locale": encoded(LC_ALL="C"),
    "C locale without UTF-8": encoded(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
    "a path that is no UTF-8": encoded("o\udcff\udcfe"),
    "no home": Environment('exec env -u HOME "$@"'),
    "an empty home": with_variables(HOME=""),
    "somebody without a passwd entry": Environment(f'umask 0; exec {FOREIGN} env -u HOME "$@"'),
    "TMPDIR not there": with_variables(TMPDIR="/nonexistent/tmp"),
    "TMPDIR a file": with_variables(TMPDIR="/etc/passwd"),
    "TMPDIR that cannot be written": with_variables(TMPDIR="/proc"),
    "TMPDIR with a space": Environment('mkdir "a b"; TMPDIR="$PWD/a b" exec "$@"'),
    "a current folder that is gone": Environment('mkdir gone; cd gone; rmdir ../gone; exec "$@"'),
    # There is no grep then, to keep back what LiteRT says of itself.
    "no PATH": Environment(variables={"PATH": "/nonexistent"}, said="(INFO: Created TensorFlow Lite.*)?"),
    "no variables": Environment('exec env -i PYTHONPATH="$PYTHONPATH" "$@"'),
    "few open files": Environment('ulimit -n 32; exec "$@"'),
    "a small stack": Environment('ulimit -s 1024; exec "$@"'),
    "nohup": Environment('exec nohup "$@"', said="(nohup: ignoring input)?"),
    "nothing for anyone": Environment('umask 0777; exec "$@"'),
    "another hash seed": with_variables(PYTHONHASHSEED="12345"),
    # Where pandas is installed too, Beam cannot be imported without docstrings: its textio edits those of pandas.
    "no assertions, no docstrings": Environment(variables={"PYTHONOPTIMIZE": "2"}, not_of=("convert", "filter")),
    "warnings are errors": with_variables(PYTHONWARNINGS="error"),
    "a narrow terminal": with_variables(COLUMNS="1", LINES="1", TERM="dumb", NO_COLOR="1"),
    "the other end of the world": with_variables(TZ="Pacific/Kiritimati"),
    "no such time zone": with_variables(TZ="Nowhere/Never"),
    "unbuffered": with_variables(PYTHONUNBUFFERED="1"),
    "a full disk for the output, unbuffered": hidden(
        'PYTHONUNBUFFERED=1 exec "$@" >/dev/full', status=1, said=NO_SPACE, not_of=("submit",)
    ),
}


def commands(index: int, each: Environment) -> list[str]:
    """The quick ones and one of the slow, in turn: all of them in each environment take many minutes."""
    slow = [command for command in SLOW if command not in each.not_of]
    return [*(command for command in QUICK if command not in each.not_of), slow[index % len(slow)]]


CASES = [(name, c) for i, (name, each) in enumerate(ENVIRONMENTS.items()) for c in commands(i, each)]


@pytest.fixture(scope="session")
def place(toy_data, toy_dataset, toy_model, made_once) -> pathlib.Path:
    """What the commands read. Shared: read it, do not change it."""

    def make(folder: pathlib.Path) -> None:
        shutil.copytree(toy_data, folder / "data")
        shutil.copytree(toy_dataset, folder / "dataset")
        shutil.copytree(toy_model, folder / "model")
        dataset, request = Dataset.open(folder / "dataset"), directories.Request(score_table.KIND, {})
        directories.prepare(folder / "scores", request)
        clips = [each for split in dataset.splits for each in dataset.clips(split)]
        # Some are read badly: there is something to filter, and something to report.
        rows = [Row.of(each, each.label[i % 3 :], dataset.task, Learnt.of([])) for i, each in enumerate(clips)]
        score_table.write(folder / "scores" / score_table.FILE_NAME, rows)
        own = {"task": dataset.task.as_json(), "dataset": dataset.fingerprint}
        directories.complete(folder / "scores", request, own, files=[score_table.FILE_NAME])

    return made_once("attacked", make)


def start(
    command: str, place: pathlib.Path, folder: pathlib.Path, environment: Environment, *options: str
) -> tuple[int, str, list[str]]:
    """Runs a command in a folder, with options of Python; its status, output, and lines of errors without progress."""
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    bash, environ = shutil.which("bash"), {**usual, "PYTHONPATH": str(ROOT), **environment.variables}
    words = [word.format(place=place, output=folder / environment.output) for word in command.split()]
    done = subprocess.run(
        [bash, "-c", environment.shell, "bash", sys.executable, *options, "-m", *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        timeout=120,
        check=False,
    )
    errors = done.stderr.decode("utf-8", "backslashreplace")
    return (
        done.returncode,
        done.stdout.decode("utf-8", "backslashreplace"),
        [line for line in errors.splitlines() if not PROGRESS.fullmatch(line)],
    )


def result(output: pathlib.Path, shown: str) -> tuple[dict[str, str], str]:
    """The SHA-256 of what was made, by name, and what was shown; apart from what time and place decide."""
    files = {}
    if output.exists():
        directories.read_manifest(output)  # it is complete, and whole
        for file in sorted(output.rglob("*")):
            if file.is_file() and file.name != directories.MANIFEST:
                files[file.relative_to(output).as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
    return files, re.sub(r"\d+\.\d+ (ms|s|hours)\b", r"\1", shown.replace(str(output), "OUTPUT"))


@pytest.fixture(scope="session")
def usual(place, made_once, tmp_path_factory):
    """`usual(command)`: its result where nothing is strange."""
    known: dict[str, tuple[dict[str, str], str]] = {}

    def of(command: str):
        if command not in known:
            folder = tmp_path_factory.mktemp("usual")
            status, shown, said = start(COMMANDS[command], place, folder, Environment())
            assert (status, said) == (0, [])
            known[command] = result(folder / "o", shown)
        return known[command]

    return of


# Of the quick ones, scripts/test starts one in each environment; the rest are long.
FIRST = [(name, QUICK[index % len(QUICK)]) for index, name in enumerate(ENVIRONMENTS)]
MARKED = [pytest.param(*each, marks=[pytest.mark.long] * (each not in FIRST)) for each in CASES]


@pytest.mark.parametrize(("environment", "started"), MARKED)
def test_the_same_result(environment, started, place, usual, tmp_path):
    how = ENVIRONMENTS[environment]
    if "setpriv" in how.shell and (os.getuid() or not shutil.which("setpriv")):
        pytest.skip("only root can become somebody without a passwd entry, with setpriv")
    status, shown, said = start(COMMANDS[started], place, tmp_path, how)
    assert "Traceback" not in shown + "".join(said)
    assert re.fullmatch(how.said, "\n".join(said)), said
    assert status == how.status
    files, usually_shown = usual(started)
    found, as_shown = result(tmp_path / how.output, shown)
    assert found == files
    assert not how.shown or as_shown == usually_shown


# What cannot end well: what bash does, the command, and what its one line says.
CONVERT, RECOGNIZE = (COMMANDS[name] for name in ("convert", "recognize"))
DATA = 'cp -r {place}/data data; cd data; {}; cd ..; exec "$@"'
OWN = CONVERT.replace("{place}/data", "data")
REFUSALS = {
    "a pipe as train.csv": (DATA.replace("{}", "rm train.csv; mkfifo train.csv"), OWN, "data/train.csv .*CSV file"),
    "a pipe as parquet": (
        DATA.replace("{}", "cd train_landmarks; rm 2.parquet; mkfifo 2.parquet; cd .."),
        RECOGNIZE.replace("{place}/data", "data"),
        "data/train_landmarks/2.parquet: a pipe or a device, not a file",
    ),
    "a pipe as characters": (
        DATA.replace("{}", "rm *.json; mkfifo character_to_prediction_index.json"),
        OWN,
        "data/character_to_prediction_index.json .a pipe or a device.*",
    ),
    "a device as output": ('exec "$@"', CONVERT.replace("{output}", "/dev/null"), "/dev/null is a file, not a dir.*"),
    "a pipe as report": ('mkfifo r; exec "$@"', f"{COMMANDS['report']} --json r", "r: a pipe or a device, not a file"),
    "below a device": ('exec "$@"', CONVERT.replace("{output}", "/dev/null/o"), "/dev/null/o: Not a directory: .*"),
    "where nobody may write": ('exec "$@"', CONVERT.replace("{output}", "/proc/o"), "cannot write to /proc/o: .*"),
    "in the system's own": ('exec "$@"', CONVERT.replace("{output}", "/sys/o"), "cannot write to /sys/o: .*"),
    "files of 1 KiB": ('ulimit -f 1; exec "$@"', COMMANDS["synthesize"], ".*File too large"),
    "archives of 4 KiB": ('ulimit -f 4; exec "$@"', COMMANDS["submit"], ".*File too large"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused(case, place, tmp_path):
    shell, command, said = REFUSALS[case]
    how = Environment(shell.replace("{place}", str(place)))
    status, _, lines = start(command, place, tmp_path, how)
    (line,) = lines
    assert re.fullmatch(f"error: (cannot write to |cannot read |)(.*/)?{said}", line), line
    assert status == 1
    assert not list(tmp_path.rglob(directories.MANIFEST))


@pytest.mark.parametrize("started", ["inspect", "recognize", pytest.param("convert", marks=pytest.mark.long)])
def test_a_module_of_the_current_folder_is_not_run(started, place, usual, tmp_path):
    """Nor in the processes that a command starts."""
    how = Environment("""
        for name in numpy csv json random typing keras apache_beam pickle; do
            echo "raise SystemExit(7)" > $name.py
        done
        mkdir rich tests && echo "raise SystemExit(7)" > rich/__init__.py && touch tests/__init__.py csv.pyc; exec "$@"
    """)
    status, shown, said = start(COMMANDS[started], place, tmp_path, how)
    assert (status, said, result(tmp_path / "o", shown)) == (0, [], usual(started))


# A process that has so many MiB more than it needed to start.
LITTLE_MEMORY = """
import importlib, pathlib, resource, sys
from pipeline.common import errors
_, module, mebibytes, *words = sys.argv
main = importlib.import_module(module).main
if module.startswith("inference"):
    import ai_edge_litert.interpreter
held = int(pathlib.Path("/proc/self/status").read_text().partition("VmSize:")[2].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_AS, (held + int(float(mebibytes) * (1 << 20)),) * 2)
sys.argv = [module, *words]
errors.run(main)
"""


@pytest.mark.parametrize("mebibytes", [0.1, 1, 2, 4, 8, pytest.param(12, marks=pytest.mark.long)])
@pytest.mark.parametrize("started", ["inspect", "recognize", pytest.param("report", marks=pytest.mark.long), "submit"])
def test_little_memory(started, mebibytes, place, tmp_path):
    """It is not the files that are damaged; where a library itself gives up, it says of what."""
    module, *words = (word.format(place=place, output=tmp_path / "o") for word in COMMANDS[started].split())
    line = [sys.executable, "-c", LITTLE_MEMORY, module, str(mebibytes), *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environ, capture_output=True, text=True, check=False)
    said = "\n".join(line for line in done.stderr.splitlines() if not PROGRESS.fullmatch(line))
    if done.returncode != 0:
        assert re.fullmatch("error: not enough memory .*|error: .*: not enough memory .*|.*\n.*bad_alloc", said), said
        assert done.returncode == (1 if said.startswith("error: ") else -signal.SIGABRT)
    assert not re.search("Traceback|ownload|damaged|again", said)


@pytest.fixture
def ended(monkeypatch, capsys, tmp_path):
    """`ended(command)`: status and lines of a command in this process; they name the empty current folder's `o`."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(module: str, *words: str) -> tuple[int, list[str], str]:
        main = importlib.import_module(module).main
        monkeypatch.setattr(sys, "argv", [module, *words])
        status = 0
        try:
            errors.run(main)
        except SystemExit as end:
            status = end.code
        shown, said = capsys.readouterr()
        return status, [line for line in said.splitlines() if not PROGRESS.fullmatch(line)], shown

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


# Options that take a number, none of which is one of these.
WRONG = {"400 digits": "9" * 400, "5,000 digits": "9" * 5000, "beyond 64 bits": str(2**64), "negative": "-1"}
WRONG |= {"no number": "nan", "infinite": "inf", "beyond doubles": "1e400", "empty": "", "a fraction": "1.5"}
WRONG |= {"a word": "many", "a NUL": "1\0", "no digit": "²"}
NUMBERS = {
    "synthesize": "clips signers files spoiled-share",
    "convert": "workers shards limit folds test-signers validation-signers signers validation-share test-share",
    "filter": "workers",
    "recognize": "threads",
    "submit": "clips test-clips signers",
}
SETS = ["epochs=true", "epochs=[1]", "epochs={a=1}", 'epochs="3"', "epochs", "epochs=", "epoch=3", ".epochs=1", "=1"]
SETS += ["learning_rate=1e400", "learning_rate=nan", "learning_rate=-inf", "learning_rate=false", "epochs=1979-05-27"]
SETS += ["epochs=1\0", "epochs=1\nseed=2", "epochs=1\n[x]\ny=1", "epochs=" + "9" * 400, "epochs=" + "[" * 100_000]
SETS = [f"optimizer.{each}" for each in SETS] + ["", "=", ".=1", "optimizer=3", "encoder=[]", "optimiser.epochs=3"]
SETS += ["seed=-1", "seed=1.5", "seed=" + "9" * 5000, "features.kind=1", "precision=8", "data.folds=1"]
SETS += ["encoder.name=true", 'encoder.name=["published"]', "encoder.width=3", "a." * 5000 + "b=1"]
METADATA = "../x.csv /etc/passwd train_landmarks train.csv,../train.csv train.csv/.. . \0 a\0.csv ,"
OUTPUTS = ("", "o\0", "o" * 300)
OPTIONS = [(each, f"--{name}={value}") for each in NUMBERS for name in NUMBERS[each].split() for value in WRONG]
OPTIONS += [("train", f"--set={each}") for each in SETS]
OPTIONS += [("convert", f"--metadata={each}") for each in METADATA.split()]
OPTIONS += [(each, f"--output={output}") for each in ("convert", "synthesize", "submit") for output in OUTPUTS]
TRAIN = "training.train --dataset {place}/dataset --output {output}"


@pytest.mark.parametrize(("started", "option"), OPTIONS, ids=lambda text: repr(text[:40]))
def test_options(started, option, place, ended, tmp_path):
    name, _, value = option.partition("=")
    words = (COMMANDS | {"train": TRAIN})[started].format(place=place, output="o").split()
    status, lines, _ = ended(*words, f"{name}={WRONG.get(value, value)}")
    (line,) = lines
    assert status in (1, 2)
    assert line.startswith("error: ") or f"argument {name}: " in line
    assert not (tmp_path / "o").exists()


NAMES = ["a b", "it's", 'a "quote"', "line\nbreak", "-dash", "--output", "~", "~root", "🙂 手"]
NAMES += ["$(touch evil)", "`touch evil`", "a;touch evil", "*", "#", "back\\slash", "!!", "&", "tab\t", "[bold]", "{x}"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_printed_can_be_pasted(name, ended, tmp_path):
    status, lines, shown = ended("pipeline.synthesize", f"--output=./{name}", "--clips=2", "--signers=1", "--files=1")
    assert (status, lines) == (0, [])
    line = f"printf '%s\\0' {shown.partition('next: ')[2]}"
    printed = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    _, data, path, *_ = printed.stdout.split("\0")
    assert data == "--data"
    assert arguments.path(path).resolve() == tmp_path / name
    assert not path.startswith("-")
    assert {each.name for each in tmp_path.iterdir()} == {name}


@pytest.fixture
def clock(monkeypatch):
    """It jumps: backwards, and through the years."""
    times = itertools.cycle([2e9, 1e9, 0.0, 1.7e9])
    monkeypatch.setattr(time, "time", lambda: next(times))
    monkeypatch.setattr(time, "time_ns", lambda: int(next(times)) * 10**9)


@pytest.mark.parametrize("made", ["synthesize", "convert"])
def test_a_clock_that_jumps(made, place, usual, ended, clock, tmp_path):
    """It decides nothing that is kept."""
    status, lines, shown = ended(*COMMANDS[made].format(place=place, output=tmp_path / "o").split())
    assert (status, lines) == (0, [])
    assert result(tmp_path / "o", shown) == usual(made)


@pytest.mark.long
def test_a_clock_that_jumps_in_training(toy_run, toy_settings, toy_dataset, ended, clock, tmp_path):
    words = ["--dataset", str(toy_dataset), "--output", "o", *toy_settings]
    assert ended("training.train", *words)[0] == 0
    found, wanted = (Run.open(each).load_model().get_weights() for each in (tmp_path / "o", toy_run))
    assert all(map(np.array_equal, found, wanted))


def test_there_are_enough():
    assert sum(command in QUICK for _, command in CASES) + len(REFUSALS) >= 100
    assert len(OPTIONS) + len(NAMES) >= 250
