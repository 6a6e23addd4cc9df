"""Mistakes people make with `python -m inference.visualize` alone."""

import sys

import pytest

MISTAKES = {
    "no such directory": (None, "gone --output o.html", "gone: no such file or directory; expected what a command"),
    "nothing in it": (("holds", "empty/a.txt", ""), "empty --output o.html", "empty has no train.csv: expected a data"),
    "a model alone": (None, "model --output o.html", "model: nothing to show; name a dataset, scores or a run as well"),
    "two data folders": (None, "data data --output o.html", "2 data folders: a report shows one"),
    "another task": (
        ("task", "scores/manifest.json", "toy"),
        "dataset scores --output o.html",
        "scores/manifest...task",
    ),
    "a folder as output": (None, "scores --output run", "run is a directory: name a file, such as run/report.html"),
    "no truth": (None, "scores --truth t.csv --output o.html", "t.csv: expected a CSV file with"),
    "no history": (("removed", "run/history.csv"), "run --output o.html", "run/history.csv...delete run"),
    "a history of words": (
        ("holds", "run/history.csv", "epoch,loss\none,two\n"),
        "run --output o.html",
        "run/history.csv...delete run",
    ),
    "no permission": (("cannot_be_written", "o.html", 13), "scores --output o.html", "o.html: Permission denied"),
    "no clips": (None, "data --clips 0 --output o.html", "argument --clips: '0' is not a whole number of at least 1"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("inference.visualize", *MISTAKES[name])


def test_without_the_extra(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    refused("inference.visualize", None, "scores --output o.html", "bokeh is not installed in...'.[report]' there")
