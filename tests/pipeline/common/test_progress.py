import io
import re
import subprocess
import sys

from rich.console import Console

from pipeline.common import progress


def test_progress_goes_to_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(progress, "console", Console(file=io.StringIO(), width=120))
    with progress.progress("things") as bar:
        bar.advance(bar.add_task("making", total=4, note="fine"), 4)
    shown = progress.console.file.getvalue()
    assert "making" in shown
    assert re.search(r"4/4 things [\d,]+\.\d/s fine", shown)
    assert capsys.readouterr().out == ""


def test_items_are_counted_as_they_are_used():
    with progress.console.capture() as captured:
        assert list(progress.track(iter("abc"), "reading", "files", total=3)) == ["a", "b", "c"]
    assert "3/3 files" in captured.get()


def test_a_process_without_standard_error():
    """As some services start one."""
    script = "import sys; sys.stderr = None; from pipeline.common import progress; print('imported')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "imported\n"
