"""What the tests of mistakes share: good inputs of every kind, ways to spoil them, and the one line of the answer.

`test_common.py` has what can go wrong in many commands. The other files are a command each, with what is its own, in
MISTAKES (name: what is spoiled, words, what is said). Paths are relative to a folder with a good directory of every
kind. What is said is the path or the option that is at fault, and a few words of the advice, in this order; "..."
stands for anything between them.
"""

import re
from collections.abc import Callable

import pytest

from tests.spoiling import answer, attempt, good, place, spoil

__all__ = ["answer", "attempt", "good", "place", "spoil"]


@pytest.fixture
def refused(answer, spoil) -> Callable[..., None]:
    """`refused(command, spoiled, words, said)`: the command ends with one line, which says `said`, and with status 1.

    Where `said` begins with "argument", the options are wrong: status 2, and the line also names the help.
    """

    def check(command: str, spoiled: tuple | list[tuple] | None, words, said: str, *, begins: bool = True) -> None:
        for each in spoiled if isinstance(spoiled, list) else [spoiled] if spoiled else []:
            spoil(*each)
        status, line = answer(command, words, begins=begins)
        wrong_options = said.startswith("argument")
        program = f"python -m {command}"
        whole = f"{program}: ...{said}...; see {program} --help" if wrong_options else f"error: ...{said}..."
        pattern = ".*".join(map(re.escape, whole.split("...")))
        assert re.fullmatch(pattern, line), f"\nsaid:     {line}\nexpected: {whole}"
        assert status == 1 + wrong_options

    return check
