"""Mistakes people make with `python -m pipeline.filter`."""

import pytest

from pipeline import filter as filter_command

NEEDS = ("data", "dataset", "scores", "run", "evaluation")
SCORES = "scores/scores.csv"
SHARD = "dataset/shards/train-00000-of-00002.tfrecord.gz"
GOOD = "--dataset dataset --scores scores --output o --workers 1"
A_DATASET = "expected a dataset, which pipeline.convert or pipeline.filter makes"
A_SCORE_TABLE = "expected a score table, which training.score makes"
COLUMNS = (
    "sequence_id, participant_id, split, num_frames, passes_length_rule, target, recognised, score, fold, known_signer,"
    " known_phrase, exact"
)
AGAIN = "delete its directory and score the data set again"
REPAIR = "delete it and its data set's manifest.json, then run the command that made it: it makes what is missing"

OPTIONS = {
    "--dataset dataset": "the following arguments are required: --scores, --output",
    "--dataset dataset --score scores --output o": "the following arguments are required: --scores (did you mean"
    " --scores instead of --score?)",
    f"{GOOD} --treshold 0.2": "unrecognized arguments: --treshold 0.2 (did you mean --threshold instead of"
    " --treshold?)",
    f"{GOOD} --threshold otsu": "argument --threshold: 'otsu' is neither auto nor a number",
    f"{GOOD} --threshold 20%": "argument --threshold: '20%' is neither auto nor a number",
    f"{GOOD} --threshold nan": "argument --threshold: 'nan' is neither auto nor a number",
    f"{GOOD} --workers two": "argument --workers: 'two' is not a whole number of at least 1",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(wrong_options, words):
    wrong_options(filter_command, words, OPTIONS[words])


def one_row_less(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


MISTAKES = {
    "swapped": (
        None,
        "--dataset scores --scores dataset --output o",
        f"scores is a score table; {A_DATASET}",
    ),
    "the folder of Kaggle data": (
        None,
        "--dataset data --scores scores --output o",
        f"data has no manifest.json; {A_DATASET}",
    ),
    "a misspelt folder": (
        None,
        "--dataset datset --scores scores --output o",
        f"datset: no such file or directory; {A_DATASET} (did you mean dataset?)",
    ),
    "the table itself": (
        None,
        f"--dataset dataset --scores {SCORES} --output o",
        f"{SCORES}: a file, not a directory; {A_SCORE_TABLE} (did you mean scores?)",
    ),
    "scores of an exported model": (
        None,
        "--dataset dataset --scores evaluation --output o",
        f"evaluation is an evaluation; {A_SCORE_TABLE}",
    ),
    "scores of another data set": (
        ("says", "scores/manifest.json", {"dataset": "another"}),
        GOOD,
        "scores holds the scores of another dataset than dataset: score this one (training.score)",
    ),
    "unfinished scores": (
        ("removed", "scores/manifest.json"),
        GOOD,
        "scores is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "an unfinished data set": (
        ("removed", "dataset/manifest.json"),
        GOOD,
        "dataset is unfinished: run the command that makes it again; it goes on where it stopped",
    ),
    "no table": (("removed", SCORES), GOOD, f"cannot read {SCORES} (No such file or directory): {AGAIN}"),
    "an empty table": (("holds", SCORES, ""), GOOD, f"{SCORES}: expected the columns {COLUMNS}; {AGAIN}"),
    "a misspelt column": (
        ("replaced", SCORES, "recognised", "recognized"),
        GOOD,
        f"{SCORES}: expected the columns {COLUMNS}; {AGAIN}",
    ),
    "a row that is cut short": (
        ("replaced", SCORES, ",0.9,0", ""),
        GOOD,
        f"{SCORES}, line 2 is damaged (...); {AGAIN}",
    ),
    "a word for a number": (
        ("replaced", SCORES, ",0.9,", ",high,"),
        GOOD,
        f"{SCORES}, line 2 is damaged (could not convert string to float: 'high'); {AGAIN}",
    ),
    "a row too few": (
        ("edited", SCORES, one_row_less),
        GOOD,
        f"{SCORES} has 35 scores, the dataset 36 sequences: score the dataset again",
    ),
    "a score of another sequence": (
        ("replaced", SCORES, "\n100,", "\n99,"),
        GOOD,
        f"{SCORES} has no score of sequence 100: score the dataset again; finished shards stay: the same command makes"
        " only the rest",
    ),
    "another phrase": (
        ("replaced", SCORES, ",aba,", ",abb,"),
        GOOD,
        f"{SCORES}: sequence 100 is 'abb' in train, by ...: score the dataset again; finished"
        " shards stay: the same command makes only the rest",
    ),
    "another split": (
        ("replaced", SCORES, "\n100,1,train", "\n100,1,test"),
        GOOD,
        f"{SCORES}: sequence 100 is 'aba' in test, by ..., in the dataset 'aba' in train, ... finished"
        " shards stay: the same command makes only the rest",
    ),
    "a score that is no number": (
        ("replaced", SCORES, ",0.9,", ",nan,"),
        GOOD,
        f"{SCORES}, line 2 is damaged (the score is nan); {AGAIN}",
    ),
    "a threshold in per cent": (
        None,
        f"{GOOD} --threshold 20",
        "--threshold 20 leaves nothing to train on: the best training score is 0.9",
    ),
    "a record file that is missing": (
        ("removed", SHARD),
        GOOD,
        f"{SHARD} is not there: {REPAIR}",
    ),
    "a record file of another split": (
        ("is_copy_of", SHARD, "test-00000-of-00002.tfrecord.gz"),
        GOOD,
        f"{SHARD} has ... bytes, the manifest says ...: cut short, or another data set's; {REPAIR}",
    ),
    "the input as output": (
        None,
        "--dataset dataset --scores scores --output dataset",
        "dataset holds a dataset made with other settings (...); delete it first if you mean to replace it: choose"
        " another directory",
    ),
    "the scores as output": (
        None,
        "--dataset dataset --scores scores --output scores",
        "scores holds a score table, not a dataset: choose another directory",
    ),
    "no space": (
        ("cannot_be_written", "o/dropped.jsonl"),
        GOOD,
        "cannot write to o: No space left on device: make room there, then run the same command: it goes on",
    ),
    "no permission": (
        ("cannot_be_written", "o/request.json", 13),
        GOOD,
        "cannot write to o: Permission denied: get access to it, or name another place",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(mistake, name):
    mistake(filter_command, *MISTAKES[name])
