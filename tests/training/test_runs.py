import pytest

from pipeline import directories
from pipeline.commands import UserError
from training import runs


def test_history(tmp_path):
    path = tmp_path / "history.csv"
    assert runs.read_history(path) == []
    history = [{"epoch": 1, "loss": 0.1 + 0.2, "seconds": 1.5}, {"epoch": 2, "loss": 1e-30, "seconds": 2.0}]
    runs.write_history(path, history)
    assert runs.read_history(path) == history
    assert path.read_text().splitlines()[0] == "epoch,loss,seconds"


def test_what_is_no_finished_run(tmp_path):
    request = directories.Request(runs.KIND, {})
    directories.prepare(tmp_path / "unfinished", request)
    with pytest.raises(UserError, match="is unfinished"):
        runs.Run.open(tmp_path / "unfinished")
    directories.prepare(tmp_path / "scores", directories.Request("score table", {}))
    directories.complete(tmp_path / "scores", directories.Request("score table", {}), {})
    with pytest.raises(UserError, match="is a score table, expected a run"):
        runs.Run.open(tmp_path / "scores")
    with pytest.raises(UserError, match="no such directory"):
        runs.Run.open(tmp_path / "absent")
