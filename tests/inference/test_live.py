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


@pytest.mark.parametrize(("clips", "fed"), [(5, "5 of 5"), (100, "12 of 12")])
def test_only_some_clips(toy_model, toy_dataset, command, capsys, clips, fed):
    command(live, "--model", toy_model, "--dataset", toy_dataset, "--clips", clips)
    assert fed in capsys.readouterr().out
