import pytest

from inference import live


def test_in_order():
    assert live.in_order("", "") and live.in_order("ace", "abcde")
    assert not live.in_order("ca", "abc") and not live.in_order("aa", "a")


def test_what_it_tells(toy_model, toy_dataset, command, capsys):
    """Of clips that fit the window, and begin and end with a hand, the text is always that of the whole clip."""
    command(live, "--model", toy_model, "--dataset", toy_dataset)
    lines = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in capsys.readouterr().out.splitlines()[2:-1]
    }
    assert lines["text of the whole clip"] == "12 of 12 (100.0%)"
    assert lines["score live"] == lines["score of whole clips"]


@pytest.mark.parametrize("greedy", [False, True])
def test_by_the_network_alone(toy_model, toy_dataset, command, monkeypatch, capsys, greedy):
    """The language model, where there is one, is of both or of neither."""
    heard = []

    class Lingual:
        def classes(self, outputs):
            heard.append(len(outputs))
            return [0, 1], -1.0

    for each in (live.Window, live.Recognizer):
        init = each.__init__

        def made(self, *given, init=init, **more):
            init(self, *given, **more)
            self.language = Lingual()

        monkeypatch.setattr(each, "__init__", made)
    words = ["--model", toy_model, "--dataset", toy_dataset, "--clips", 3, *["--greedy"] * greedy]
    command(live, *words)
    assert len(heard) == (0 if greedy else 6)
    assert "3 of 3 (100.0%)" in capsys.readouterr().out


@pytest.mark.parametrize(("clips", "fed"), [(5, "5 of 5"), (100, "12 of 12")])
def test_only_some_clips(toy_model, toy_dataset, command, capsys, clips, fed):
    command(live, "--model", toy_model, "--dataset", toy_dataset, "--clips", clips)
    assert fed in capsys.readouterr().out
