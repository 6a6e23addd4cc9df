from training import runs


def test_history(tmp_path):
    path = tmp_path / "history.csv"
    assert runs.read_history(path) == []
    history = [{"epoch": 1, "loss": 0.1 + 0.2, "seconds": 1.5}, {"epoch": 2, "loss": 1e-30, "seconds": 2.0}]
    runs.write_history(path, history)
    assert runs.read_history(path) == history
    assert path.read_text().splitlines()[0] == "epoch,loss,seconds"
    before = path.read_bytes()
    runs.write_history(path, runs.read_history(path))
    assert path.read_bytes() == before
