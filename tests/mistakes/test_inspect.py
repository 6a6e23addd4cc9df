"""Mistakes people make with `python -m pipeline.inspect`."""

import shutil

import pytest

from pipeline import convert, inspect

NEEDS = ("data", "dataset", "scores", "run")
SHARD = "dataset/shards/train-00000-of-00002.tfrecord.gz"
REPORT = "dataset/reports/00000-of-00002.json"
A_DATASET = "expected a dataset, which ... makes"
UNFINISHED = "is unfinished: run the command that makes it again; it goes on where it stopped"
REPAIR = "delete it and its data set's manifest.json, then run the command that made it: it makes what is missing"
DAMAGED = "dataset is damaged, delete it and make it again"

OPTIONS = {
    "": "the following arguments are required: directory",
    "dataset --verfy": "unrecognized arguments: --verfy (did you mean --verify instead of --verfy?)",
    "dataset scores": "unrecognized arguments: scores (no option takes it: ...)",
    "--directory dataset": "unrecognized arguments: --directory (did you mean --record instead of --directory?)",
    "dataset --record": "argument --record: expected one argument",
    "dataset --record 100.5": "argument --record: not a whole number: '100.5'",
    "dataset --record 100,101": "argument --record: not a whole number: '100,101'",
    "s3://bucket/dataset": "argument directory: 's3://bucket/dataset' is neither ... nor gs://BUCKET/FOLDER",
    "~nobody-here/dataset": "argument directory: '~nobody-here/dataset': Could not determine home directory.",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(inspect, words, OPTIONS[words])


MISTAKES = {
    # Another place.
    "a misspelt folder": (
        None,
        "datset",
        f"datset: no such file or directory; {A_DATASET} (did you mean dataset?)",
    ),
    "a file of the data set": (
        None,
        "dataset/manifest.json",
        f"dataset/manifest.json: a file, not a directory; {A_DATASET} (did you mean dataset?)",
    ),
    "a record file": (
        None,
        f"{SHARD} --verify",
        f"{SHARD}: a file, not a directory; {A_DATASET} (did you mean dataset?)",
    ),
    "its folder": (
        None,
        "dataset/shards",
        f"dataset/shards has no manifest.json; {A_DATASET} (did you mean dataset?)",
    ),
    "the folder around it": (None, ". --verify", f". has no manifest.json; {A_DATASET} (did you mean dataset?)"),
    "the folder of Kaggle data": (None, "data", f"data has no manifest.json; {A_DATASET}"),
    "a link to nowhere": (("links_nowhere", "link"), "link", f"link: a link to gone, which is not there; {A_DATASET}"),
    "a run to verify": (None, "run --verify", f"run is a run; {A_DATASET}"),
    "a record of a score table": (None, "scores --record 100", f"scores is a score table; {A_DATASET}"),
    "a manifest of another program": (
        ("holds", "site/manifest.json", '{"name": "site"}'),
        "site",
        f"site is a directory of another program; {A_DATASET}",
    ),
    "an unfinished data set": (("removed", "dataset/manifest.json"), "dataset --verify", f"dataset {UNFINISHED}"),
    "an unfinished run": (("removed", "run/manifest.json"), "run", f"run {UNFINISHED}"),
    # A directory that is damaged.
    "a manifest that is cut": (
        ("cut", "dataset/manifest.json"),
        "dataset",
        f"cannot read dataset/manifest.json (...): {DAMAGED}",
    ),
    "an empty manifest": (
        ("holds", "scores/manifest.json", ""),
        "scores",
        "cannot read scores/manifest.json (...): scores is damaged, delete it and make it again",
    ),
    "a manifest that is a list": (
        ("holds", "dataset/manifest.json", "[]"),
        "dataset --verify",
        f"cannot read dataset/manifest.json (no JSON object): {DAMAGED}",
    ),
    "a manifest of another version": (
        ("says", "dataset/manifest.json", {"schema_version": 0}),
        "dataset",
        "dataset is a dataset of another version of this program (schema version 0, this one has 1): "
        "delete it and make it again",
    ),
    "a manifest without shards": (
        ("says", "dataset/manifest.json", {"shards": None}),
        "dataset --verify",
        "dataset/manifest.json lacks shards: of another version, delete dataset and make it again",
    ),
    "a manifest without overlap": (
        ("says", "dataset/manifest.json", {"overlap": None}),
        "dataset",
        "dataset tells nothing of 'overlap': an earlier version of this program made it; make it again",
    ),
    "no permission": (
        ("cannot_be_read", "dataset/manifest.json"),
        "dataset",
        "cannot read dataset/manifest.json: Permission denied: get access to it, or name another place",
    ),
    "no statistics": (
        ("removed", "dataset/statistics.json"),
        "dataset --verify",
        f"cannot read dataset/statistics.json (No such file or directory): {DAMAGED}",
    ),
    "statistics that are cut": (
        ("cut", "dataset/statistics.json"),
        "dataset --verify",
        f"cannot read dataset/statistics.json (...): {DAMAGED}",
    ),
    "statistics of something else": (
        ("says", "dataset/statistics.json", {"mean": [0.0]}),
        "dataset --verify",
        "dataset/statistics.json: expected 600 finite numbers in 'mean': delete dataset and make it again",
    ),
    "a record file that is missing": (("removed", SHARD), "dataset --verify", f"{SHARD} is not there: {REPAIR}"),
    "a record file that is cut": (
        ("cut", SHARD),
        "dataset --verify",
        f"{SHARD} has ... bytes, the manifest says ...: cut short, or another data set's; {REPAIR}",
    ),
    # One sequence.
    "an unknown sequence": (None, "dataset --record 7", "dataset has no sequence 7, and rejected none"),
    "a sequence whose report is missing": (
        ("removed", REPORT),
        "dataset --record 100",
        f"{REPORT} is missing or damaged: --verify tells how to mend it",
    ),
    "a sequence whose report is of other shards": (
        ("says", REPORT, {"files": []}),
        "dataset --record 100",
        f"{REPORT} is missing or damaged: --verify tells how to mend it",
    ),
    "a sequence whose report is cut": (
        ("cut", REPORT),
        "dataset --record 100",
        f"{REPORT} is missing or damaged: --verify tells how to mend it",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(inspect, *MISTAKES[name])


def with_another_byte(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(content)


PART = "these files and dataset/manifest.json"
# What is spoiled, what --verify says of it, and what it says to delete.
DAMAGES = {
    "a record file": (("edited", SHARD, with_another_byte), f"{SHARD} is damaged at record ", PART),
    "a stray record file": (("is_copy_of", f"{SHARD}~", SHARD.rpartition("/")[2]), "is not of this data set", PART),
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
    assert advice == f"to mend it, delete {deleted}, and run again what made it:"
    if deleted == "dataset":
        shutil.rmtree(place / "dataset")
    else:
        (place / "dataset/manifest.json").unlink()
        (place / spoiled[1]).unlink(missing_ok=True)
    command(convert, "--data", "data", "--output", "dataset", "--test-participants", 3, "--workers", 1)
    command(inspect, "dataset", "--verify")
    assert capsys.readouterr().out.endswith("ok: dataset, every record and count\n")
