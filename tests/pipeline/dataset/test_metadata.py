import re

import pytest

from pipeline.common.errors import UserError
from pipeline.dataset import metadata
from pipeline.tasks.fingerspelling import Fingerspelling
from pipeline.tasks.task import MetadataColumns

COLUMNS = Fingerspelling.metadata

HEADER = "path,file_id,sequence_id,participant_id,phrase\n"


def test_reads_the_kaggle_layout(kaggle_data, example_recordings):
    table = metadata.read(kaggle_data(), COLUMNS)
    assert list(table.sha256) == ["train.csv"]
    assert {entry.source for entry in table.entries.values()} == {"train"}
    assert table.paths == [f"train_landmarks/{i}.parquet" for i in (1, 2, 3)]
    assert table.signers == [1, 2, 3, 4]
    assert [entry.label for entry in table.entries.values()] == [each.phrase for each in example_recordings]


def test_a_folder_of_other_tables_is_told_of_descriptions(tmp_path):
    data = tmp_path / "my data"
    (data / "recordings").mkdir(parents=True)
    with pytest.raises(UserError, match=r"the files it lists$"):
        metadata.read(data, COLUMNS)
    (data / "recordings/1.csv").write_text("x,y\n1,2\n")
    advice = (
        f"; other recordings need --task task.toml, of which python -m pipeline.describe '{data}' --output task.toml"
    )
    with pytest.raises(UserError, match=re.escape(advice)):
        metadata.read(data, COLUMNS)


def test_quotes_commas_spaces_and_other_alphabets_survive(tmp_path):
    (tmp_path / "train.csv").write_text(
        HEADER + 'a/./b.parquet,1,-5,1,"say ""hi"", you "\nb.parquet,1,6,1,é\n', encoding="utf-8"
    )
    first, second = metadata.read(tmp_path, COLUMNS).entries.values()
    assert (first.path, first.sequence_id, first.label) == ("a/b.parquet", -5, 'say "hi", you ')
    assert second.label == "é"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the columns path, sequence_id, participant_id, phrase"),
        ("path,sequence_id,phrase\n", "lacks the column participant_id"),
        (HEADER, "lists no clips"),
        (HEADER + "a.parquet,1,x7,1,hi\n", "line 2: sequence_id 'x7' is not an integer"),
        (HEADER + "a.parquet,1,1.0,1,hi\n", "sequence_id '1.0' is not an integer"),
        (HEADER + "a.parquet,1,9223372036854775808,1,hi\n", "is not an integer of 64 bits"),
        (HEADER + "a.parquet,1,7,,hi\n", "participant_id '' is not an integer"),
        (HEADER + "a.parquet,1,7\n", "line 2: expected 5 fields"),
        (HEADER + "a.parquet,1,7,1,hi,there\n", "line 2: expected 5 fields"),
        (HEADER + "a.parquet,1,7,1,hi\nb.parquet,2,8,1,a\nb.parquet,2,7,2,b\n", "line 4: clip 7 is also in "),
        (HEADER + "../a.parquet,1,7,1,hi\n", "path '../a.parquet' is not a file inside"),
        (HEADER + "b/../../a.parquet,1,7,1,hi\n", "is not a file inside the data directory"),
        (HEADER + "/etc/passwd,1,7,1,hi\n", "is not a file inside the data directory"),
        (HEADER + "..,1,7,1,hi\n", "is not a file inside the data directory"),
        (HEADER + ",1,7,1,hi\n", "is not a file inside the data directory"),
    ],
)
def test_bad_rows_are_one_clear_line(tmp_path, text, message):
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        metadata.read(tmp_path, COLUMNS)
    assert message in str(caught.value)
    assert "train.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_files_are_one_table(tmp_path):
    (tmp_path / "train.csv").write_text(HEADER + "a.parquet,1,5,1,x\n")
    (tmp_path / "supplemental_metadata.csv").write_text(HEADER + "b.parquet,1,3,2,y\na.parquet,1,4,1,z\n")
    table = metadata.read(tmp_path, COLUMNS, ["train.csv", "supplemental_metadata.csv"])
    assert [(entry.sequence_id, entry.source) for entry in table.entries.values()] == [
        (5, "train"),
        (3, "supplemental_metadata"),
        (4, "supplemental_metadata"),
    ]
    assert [entry.sequence_id for entry in table.by_path["a.parquet"]] == [5, 4]
    assert list(table.sha256) == ["train.csv", "supplemental_metadata.csv"]


def test_an_id_in_two_files_names_both_places(tmp_path):
    (tmp_path / "train.csv").write_text(HEADER + "a.parquet,1,4,1,w\na.parquet,1,5,1,x\n")
    (tmp_path / "more.csv").write_text(HEADER + "b.parquet,1,5,2,y\n")
    with pytest.raises(UserError, match=r"more\.csv, line 2: clip 5 is also in .*train\.csv, line 3"):
        metadata.read(tmp_path, COLUMNS, ["train.csv", "more.csv"])
    with pytest.raises(UserError, match="two have the same name"):
        metadata.read(tmp_path, COLUMNS, ["train.csv", "train.csv"])
    with pytest.raises(UserError, match=r"has no other\.csv"):
        metadata.read(tmp_path, COLUMNS, ["train.csv", "other.csv"])


def test_other_columns_and_another_usual_file(tmp_path):
    columns = MetadataColumns(label="sign", file="signs.csv", path="file", id="id", signer="who")
    (tmp_path / "signs.csv").write_text("who,id,sign,file\n3,7,hello,a.parquet\n")
    ((number, entry),) = metadata.read(tmp_path, columns).entries.items()
    assert (number, entry) == (7, metadata.Entry("a.parquet", 7, 3, "hello", "signs"))
    with pytest.raises(UserError, match=r"has no signs\.csv"):
        metadata.read(tmp_path / "..", columns)
    (tmp_path / "signs.csv").write_text("who,id,phrase,file\n")
    with pytest.raises(UserError, match=r"signs\.csv lacks the column sign: expected file, id, who, sign"):
        metadata.read(tmp_path, columns)
