"""Mistakes people make with `python -m pipeline.inspect` alone."""

import shutil

import pytest

from pipeline import convert, inspect

SHARD = "dataset/shards/train-00000-of-00002.tfrecord.gz"
MANIFEST = "dataset/manifest.json"
REPORT = "dataset/reports/00000-of-00002.json"

MISTAKES = {
    "a misspelt option": (None, "dataset --verfy", "arguments: --verfy (did you mean --verify"),
    "two clips": (None, "dataset --record 100,101", "argument --record: not a whole number: '100,101'"),
    "a misspelt folder": (None, "scorse", "scorse: no such file or directory; expected...did you mean scores?"),
    "a file of the dataset": (None, "dataset/manifest.json", "dataset/manifest.json: a file...did you mean dataset?"),
    "a folder in it": (None, "dataset/shards", "dataset/shards has no manifest.json; expected...did you mean dataset?"),
    "another program's": (("holds", "site/manifest.json", '{"name": "s"}'), "site", "site is a directory of another"),
    "an edited manifest": (("says", MANIFEST, {"overlap": None}), "dataset", f"{MANIFEST} is damaged...delete dataset"),
    "no report": (("removed", REPORT), "dataset --record 100", f"{REPORT} is missing or damaged: delete it"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(refused, name):
    refused("pipeline.inspect", *MISTAKES[name])


def with_another_byte(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(content)


PART = "these files and dataset/manifest.json"
# What is spoiled, what --verify says of it, and what it says to delete.
DAMAGES = {
    "a record file": (("edited", SHARD, with_another_byte), f"{SHARD} is damaged at record ", PART),
    "a stray record file": (("is_copy_of", f"{SHARD}~", SHARD.rpartition("/")[2]), "is not of this dataset", PART),
    "a report": (("removed", REPORT), f"{REPORT} is missing or damaged", PART),
    "the list of what was rejected": (("removed", "dataset/rejected.jsonl"), "does not list what the reports", PART),
    "the request": (("removed", "dataset/request.json"), "request.json is not what the manifest says", "dataset"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_damaged_can_be_mended_as_verify_says(place, spoil, command, capsys, name):
    spoiled, said, deleted = DAMAGES[name]
    spoil(*spoiled)
    with pytest.raises(SystemExit) as ended:
        command(inspect, "dataset", "--verify")
    assert ended.value.code == 1
    problem, advice, _ = capsys.readouterr().out.splitlines()
    assert said in problem
    assert advice == f"to repair it, delete {deleted}, and run again what made it:"
    if deleted == "dataset":
        shutil.rmtree(place / "dataset")
    else:
        (place / "dataset/manifest.json").unlink()
        (place / spoiled[1]).unlink(missing_ok=True)
    command(convert, "--data", "data", "--output", "dataset", "--test-signers", 3, "--workers", 1)
    command(inspect, "dataset", "--verify")
    assert capsys.readouterr().out.endswith("ok: dataset, every record and count\n")
