"""What this machine and its Python have, against what the whole path expects.

Only the standard library, and nothing that Python 3.8 refuses: where packages are missing or Python is too old,
this is what says so.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import types
from typing import NamedTuple
from unittest import mock

OK, WARN, FAIL = "ok", "warn", "fail"
GB = 10**9
DEMO_MEMORY = 1.5 * GB  # the demo's largest process: 1.2 GB
DEMO_DISK, PACKAGES_DISK = 1 * GB, 4 * GB  # packages: 2.7 GB, and what pip unpacks


class Finding(NamedTuple):
    """What was looked at; in words what was found, what was expected, what to do."""

    level: str
    subject: str
    text: str


def read_setup(file: pathlib.Path) -> dict:
    """What setup.py tells setuptools, which need not be there."""
    stub = types.ModuleType("setuptools")
    stub.setup = mock.Mock()
    with mock.patch.dict(sys.modules, {"setuptools": stub}):
        runpy.run_path(str(file))
    return stub.setup.call_args.kwargs


def check_python(expected: str) -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if allows(expected, found):
        return Finding(OK, "python", f"{found} ({sys.executable})")
    return Finding(FAIL, "python", f"{found} ({sys.executable}), expected {expected}: install such a python3")


def check_packages(setup: dict) -> list[Finding]:
    """A finding for each group of requirements that a whole run needs, and for those of the tests."""
    extras = setup["extras_require"]
    names = ("beam", training_extra(), "inference")
    findings = [check_group("base", setup["install_requires"]), *(check_group(name, extras[name]) for name in names)]
    test = check_group("test", extras["test"])
    if test.level == FAIL:
        test = Finding(OK, "test", "not all installed: only scripts/test needs them")
    return [*findings, test]


def check_group(group: str, requirements: list[str]) -> Finding:
    """Whether the requirements of `group`, an extra of setup.py or "base", are installed in the versions expected."""
    found, missing, wrong = [], [], []
    for requirement in requirements:
        name, specifier = re.fullmatch(r"([\w.-]+)(?:\[.*\])?(.*)", requirement).groups()
        version = version_of(name)
        if version is None:
            missing.append(name)
        elif not allows(specifier, version):
            wrong.append(f"{name} is {version}, expected {specifier}")
        else:
            found.append(f"{name} {version}")
    if missing:
        wrong.insert(0, f"not installed: {', '.join(missing)}")
    if wrong:
        return Finding(FAIL, group, f"{'; '.join(wrong)}; to do: {how_to_install(group)}")
    return Finding(OK, group, ", ".join(found))


def version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def allows(specifier: str, version: str) -> bool:
    """Whether `version` is in a range such as `>=1.5,<2`. Raises `ValueError` for another kind: setup.py has none."""
    for part in specifier.split(","):
        match = re.fullmatch(r"(>=|<)([\d.]+)", part)
        if not match:
            raise ValueError(f"{specifier!r} is no range such as >=1.5,<2")
        if (_numbers(version) >= _numbers(match[2])) != (match[1] == ">="):
            return False
    return True


def _numbers(version: str) -> list[int]:
    """2.10.0rc1 as [2, 10], to be compared: without what follows the numbers, and without zeros at the end."""
    numbers = [int(number) for number in re.match(r"[\d.]*\d", version)[0].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def training_extra() -> str:
    """The extra of setup.py that the packages installed belong to."""
    if version_of("libtpu"):
        return "train-tpu"
    if version_of("jax-cuda12-plugin"):
        return "train-gpus"
    return "train-gpu" if version_of("tensorflow") else "train-cpu"


def how_to_install(group: str) -> str:
    if sys.prefix == sys.base_prefix:
        return "scripts/demo installs what is missing into .venv"
    pip = "pip" if os.environ.get("VIRTUAL_ENV") else ".venv/bin/pip"
    return f"{pip} install -e '{'.' if group == 'base' else f'.[{group}]'}'"


def check_cores() -> Finding:
    cores, load = usable_cores(), os.getloadavg()[0]
    if load > (os.cpu_count() or 1) / 2:
        return Finding(WARN, "cores", f"{cores} usable, but other programs use them (load {load:.1f}): it takes longer")
    if cores < 2:
        return Finding(WARN, "cores", "1 usable, 2 expected: it takes twice as long")
    return Finding(OK, "cores", f"{cores} usable")


def usable_cores() -> int:
    """As many as this process may use: a container may allow fewer than there are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _words("/sys/fs/cgroup/cpu.max")
    if not limit:
        limit = [*_words("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), *_words("/sys/fs/cgroup/cpu/cpu.cfs_period_us")]
    if len(limit) == 2 and limit[0].isdecimal():
        cores = min(cores, max(1, int(limit[0]) // int(limit[1])))
    return cores


def check_memory() -> Finding:
    available = available_memory()
    if available < DEMO_MEMORY:
        text = f"{available / GB:.1f} GB available, the demo takes {DEMO_MEMORY / GB}: end other programs"
        return Finding(FAIL, "memory", text)
    return Finding(OK, "memory", f"{available / GB:.1f} GB available")


def available_memory() -> int:
    """Bytes that programs can still take: a container may allow fewer than there are."""
    words = _words("/proc/meminfo")
    if "MemAvailable:" in words:
        available = int(words[words.index("MemAvailable:") + 1]) << 10
    else:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = _words(f"/sys/fs/cgroup/{name}")
        if limit and limit[0].isdecimal():
            available = min(available, int(limit[0]))
    return available


def _words(file: str) -> list[str]:
    """Of a file of the system; none where there is no such file."""
    try:
        return pathlib.Path(file).read_text().split()
    except OSError:
        return []


def check_disk(output: pathlib.Path, expected: float) -> Finding:
    """Space at `output` and whether it can be written: tried with a file that is deleted at once."""
    try:
        place = nearest(output)
        with tempfile.NamedTemporaryFile(dir=place) as file:
            file.write(b"doctor")
        free = free_space(output)
    except OSError as error:
        text = f"cannot write to {output}: {error.strerror}; choose another --output, or mend its permissions"
        return Finding(FAIL, "disk", text)
    if free < expected:
        text = f"{free / GB:.1f} GB free at {output}, expected {expected / GB:.0f}: delete something"
        return Finding(FAIL, "disk", f"{text}, or choose another --output")
    return Finding(OK, "disk", f"{free / GB:.1f} GB free at {output}, and it can be written")


def nearest(path: pathlib.Path) -> pathlib.Path:
    """`path`, or the nearest folder above it that is there."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def free_space(output: pathlib.Path) -> int:
    return shutil.disk_usage(nearest(output)).free


def check_accelerator() -> tuple[Finding, bool]:
    """The finding, and whether training will use a GPU."""
    gpus, trouble = nvidia_gpus()
    names = ", ".join(gpus)
    if trouble:
        level, text = WARN, f"nvidia-smi fails ({trouble}): the CPU is used until the driver is mended"
    elif not gpus and (os.environ.get("TPU_NAME") or any(pathlib.Path("/dev").glob("accel*"))):
        if training_extra() == "train-tpu":
            level, text = OK, "a TPU: it is used"
        else:
            level, text = WARN, f"a TPU, which is not used: {how_to_install('train-tpu')} in an environment of its own"
    elif not gpus:
        level, text = OK, "none: the CPU is used"
    elif not training_extra().startswith("train-gpu"):
        install = "install the extra train-gpu in an environment of its own, see README.md"
        level, text = WARN, f"{names}, which tensorflow-cpu does not use: {install}"
    elif not importlib.util.find_spec("nvidia"):  # what TensorFlow's extra and-cuda brings
        level, text = WARN, f"{names}, but tensorflow is without CUDA: {how_to_install('train-gpu')}"
    else:
        alone = len(gpus) > 1 and training_extra() == "train-gpu"
        return Finding(OK, "accelerator", names + "; one of them is used, all with train-gpus instead" * alone), True
    return Finding(level, "accelerator", text), False


def nvidia_gpus() -> tuple[list[str], str]:
    """Names of the GPUs that the driver finds, and what is wrong with it."""
    if not shutil.which("nvidia-smi"):
        return [], ""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], str(error)
    names = re.findall(r"^GPU \d+: (.*?)(?: \(UUID.*)?$", done.stdout, re.MULTILINE)
    return names, "" if names else " ".join((done.stdout + done.stderr).split()) or "it names no GPU"
