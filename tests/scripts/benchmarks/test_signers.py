"""scripts.benchmarks.signers: which groups there are, and the score of all of them together."""

import json

import pytest

from pipeline.common.errors import UserError
from pipeline.scores import score_table
from scripts.benchmarks import signers as benchmark


def test_groups_share_no_signer():
    assert benchmark.deal([9, 4, 7, 2, 5], 2, None) == [[2, 5, 9], [4, 7]]
    assert benchmark.deal([9, 4, 7, 2, 5], 2, 1) == [[2], [4]]
    assert benchmark.deal(range(15), 5, 3)[1] == [1, 6, 11]


@pytest.mark.parametrize(("signers", "groups"), [(2, 3), (3, 1)])
def test_too_few_signers(signers, groups):
    with pytest.raises(UserError, match=f"{signers} signers are too few for {groups} groups"):
        benchmark.deal(range(signers), groups, None)


@pytest.mark.long
def test_every_group_is_tested_once(command, toy_data, toy_settings, tmp_path, capsys):
    words = ("--data", toy_data, "--output", tmp_path, "--groups", 2, "--signers", 1, *toy_settings)
    command(benchmark, *words)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [each["test_signers"] for each in report["models"]] == [[1], [2]]
    assert (report["clips"], report["signers"]) == (24, 2)
    tables = [score_table.open_table(tmp_path / f"scores-{number}")[1] for number in (1, 2)]
    tested = [row for table in tables for row in table.values() if row.split == "test"]
    assert report["score"] == pytest.approx(score_table.pooled_score(tested))
    assert "test clips of all 2 groups" in capsys.readouterr().out
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.name == "manifest.json"}
    command(benchmark, *words)
    assert written == {file: file.stat().st_mtime_ns for file in written}
