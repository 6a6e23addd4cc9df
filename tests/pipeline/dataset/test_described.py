"""Recordings of which a description file tells: four kinds, CSV and parquet, what is left out, and what is wrong."""

import csv
import dataclasses
import json
import os
import pathlib
import re
import shutil
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import tasks
from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common.errors import UserError
from pipeline.dataset import description, guess, listing, readers, tabular
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.faults import Fault
from training import config as cfg
from training.data import holdout

RANDOM = np.random.default_rng(0)
PEOPLE, CLASSES = ("ann", "bob", "eve"), ("wave", "tap")
# Of each clip: name, class, person, values (T, 2).
CLIPS = [
    (f"r{i:02d}", CLASSES[i % 2], PEOPLE[i // 2 % 3], RANDOM.normal(size=(4 + i % 3, 2)).astype(np.float32))
    for i in range(12)
]
COMMON = 'channels = ["x", "y"]\nlabel = "class"\n'
FILES = COMMON + 'kind = "files"\nfiles = "clips/*.csv"\nlabels = "labels.csv"\nclip = "name"\ngroup = "who"\n'
TABLE = COMMON + 'kind = "table"\nfiles = "all.csv"\nclip = "name"\ngroup = "who"\n'
ROWS = 'kind = "rows"\nfiles = "wide.csv"\nchannels = ["v*"]\nframes = 3\nlabel = "class"\ngroup = "who"\n'
STREAMS = COMMON + 'kind = "streams"\nfiles = "streams/*.tsv"\nseparator = "\\t"\nwindow = 6\nstride = 3\nrate = 2\n'


def write(path: pathlib.Path, header: list[str] | None, rows, separator: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(([header] if header else []) + [list(row) for row in rows])


@pytest.fixture
def data(tmp_path) -> pathlib.Path:
    """A folder with the same clips in every layout."""
    for name, _, _, values in CLIPS:
        write(tmp_path / f"clips/{name}.csv", ["x", "y"], values)
    backwards = [(name, label, who) for name, label, who, _ in reversed(CLIPS)]
    write(tmp_path / "labels.csv", ["name", "class", "who"], backwards)
    rows = [(name, *row, label, who) for name, label, who, values in CLIPS for row in values]
    write(tmp_path / "all.csv", ["name", "x", "y", "class", "who"], rows)
    wide = [(label, who, *values[:3].ravel()) for _, label, who, values in CLIPS]
    write(tmp_path / "wide.csv", ["class", "who", *(f"v{i}" for i in range(6))], wide)
    for number, who in enumerate(PEOPLE):
        stream = [(i, *RANDOM.normal(size=2), CLASSES[(i // 20 + number) % 2]) for i in range(90)]
        write(tmp_path / f"streams/{who}.tsv", ["time", "x", "y", "class"], stream, "\t")
    return tmp_path


@pytest.fixture
def described(data, tmp_path):
    """`described(text)`: the table of clips, the task and the remarks."""

    def read(text: str):
        (tmp_path / "task.toml").write_text(text)
        return listing.read(data, description.read(tmp_path / "task.toml", data))

    return read


def values_of(data, task, table):
    found = {}
    for path, entries in table.by_path.items():
        reader = tabular.read_clips(data / path, task, [entry.sequence_id for entry in entries])
        found |= {table.entries[i].source: values for i, values in reader}
    return found


@pytest.mark.parametrize("text", [FILES, TABLE])
def test_clips_are_joined_by_name(data, described, text):
    table, task, remarks = described(text)
    assert remarks == ["groups are numbered: 0 is ann, 1 is bob, 2 is eve"]
    assert task.channels == ("x", "y")
    assert task.classes == ("tap", "wave")
    assert task.groups == PEOPLE
    expected = {name: (label, PEOPLE.index(who)) for name, label, who, _ in CLIPS}
    assert {entry.source: (entry.label, entry.signer) for entry in table.entries.values()} == expected
    found = values_of(data, task, table)
    for name, _, _, values in CLIPS:
        np.testing.assert_allclose(found[name][:, :, 0], values, rtol=1e-6)


def test_a_row_is_a_clip(data, described):
    table, task, _ = described(ROWS)
    assert task.points.shape == (2, 1)
    found = values_of(data, task, table)
    assert list(found) == [str(i) for i in range(12)]
    for values, (_, _, _, expected) in zip(found.values(), CLIPS, strict=True):
        np.testing.assert_allclose(values[:, :, 0], expected[:3], rtol=1e-6)


def test_windows_of_streams(data, described):
    table, task, _ = described(STREAMS + "purity = 1.0\n")
    rows = {who: list(csv.DictReader((data / f"streams/{who}.tsv").open(), delimiter="\t")) for who in PEOPLE}
    expected = {}
    for who in PEOPLE:
        for first in range(0, 85, 3):
            classes = {row["class"] for row in rows[who][first : first + 6]}
            if len(classes) == 1:
                expected[f"{who}:{first}"] = classes.pop()
    assert {entry.source: entry.label for entry in table.entries.values()} == expected
    assert {entry.signer for entry in table.entries.values()} == {0, 1, 2}
    for name, values in values_of(data, task, table).items():
        who, _, first = name.partition(":")
        window = rows[who][int(first) : int(first) + 6]
        np.testing.assert_allclose(values[:, :, 0], [[float(row["x"]), float(row["y"])] for row in window], rtol=1e-6)
    names = [take.sequence_id for take in tabular.read_takes(data / "streams/ann.tsv", task.points, task.layout)]
    assert names[:2] == ["0.00-3.00 s", "1.50-4.50 s"]
    assert len(names) == 29


def test_purity_and_classes_that_are_ignored(described):
    everything, _, _ = described(STREAMS + "purity = 0.01\n")
    assert len(everything.entries) == 3 * 29
    # Of six rows four are of one class at least, wherever the class changes, or three of each.
    some, _, _ = described(STREAMS + "purity = 0.6\n")
    assert len(some.entries) < 3 * 29
    with pytest.raises(UserError, match="no window is as long and as pure"):
        described(STREAMS + 'ignore = ["wave", "tap"]\n')
    with pytest.raises(UserError, match="all clips are of one class, tap"):
        described(STREAMS + 'ignore = ["wave"]\n')


def test_parquet_and_tables_without_a_header(data, described):
    for name, _, _, values in CLIPS:
        pq.write_table(pa.table({"x": values[:, 0], "y": values[:, 1]}), data / f"clips/{name}.parquet")
        write(data / f"bare/{name}.txt", None, values, ";")
    table, task, _ = described(FILES.replace("*.csv", "*.parquet"))
    bare = FILES.replace("clips/*.csv", "bare/*.txt").replace('["x", "y"]', "[0, 1]")
    other, same, _ = described(bare + 'header = false\nseparator = ";"\n')
    assert same.channels == ("0", "1")
    for found in (values_of(data, task, table), values_of(data, same, other)):
        for name, _, _, values in CLIPS:
            np.testing.assert_allclose(found[name][:, :, 0], values, rtol=1e-6)


def test_empty_cells_are_missing(data, described):
    (data / "clips/r00.csv").write_text("x,y\n1,\nNaN,2\n,\n")
    table, task, _ = described(FILES)
    expected = [[1, np.nan], [np.nan, 2], [np.nan, np.nan]]
    np.testing.assert_array_equal(values_of(data, task, table)["r00"][:, :, 0], expected)


def test_what_is_left_over_is_said(data, described):
    (data / "clips/r00.csv").unlink()
    write(data / "clips/extra.csv", ["x", "y"], [(1, 2)])
    table, _, remarks = described(FILES)
    assert len(table.entries) == 11
    assert remarks[:2] == [
        "warning: 1 of 12 clips have no label in labels.csv: clips/extra.csv; left out",
        "warning: labels.csv names 1 that is not in clips/*.csv: r00; left out",
    ]


def test_a_data_folder_means_the_files_of_its_pattern(data, described):
    """And another folder its tables but for that of labels."""
    _, task, _ = described(FILES)
    (data / "clips/folder.csv").mkdir()
    names = [f"r{i:02d}.csv" for i in range(12)]
    assert readers.files_of(data, task) == [data / "clips" / name for name in names]
    assert [each.name for each in readers.files_of(data / "clips", task) if each.is_file()] == names
    for name in (*(f"clips/{each}" for each in names), "all.csv", "wide.csv"):
        (data / name).unlink()
    with pytest.raises(UserError, match=r"holds labels.csv alone: expected files clips/\*.csv, or a folder of such"):
        readers.files_of(data, task)


def test_a_task_travels_as_json(described):
    for text in (FILES, TABLE, ROWS, STREAMS + "purity = 0.5\n"):
        _, task, _ = described(text)
        assert tasks.from_json(json.loads(json.dumps(task.as_json())), "here") == task


@pytest.mark.parametrize("text", [FILES, TABLE, ROWS, STREAMS])
def test_converted_with_any_number_of_workers_they_are_the_same(data, tmp_path, text):
    (tmp_path / "task.toml").write_text(text)
    for workers in (1, 2):
        output = tmp_path / f"made-{workers}"
        conversion.convert(
            data,
            output,
            SplitRule(test_share=0.3),
            num_shards=2,
            runner=Runner(workers=workers),
            task_name=str(tmp_path / "task.toml"),
        )
    first, second = (Dataset.open(tmp_path / f"made-{workers}") for workers in (1, 2))
    assert first.fingerprint == second.fingerprint
    assert sum(map(first.count, first.splits)) == first.manifest["read"] > 0
    learnt, tested = (set(first.signers(split)) for split in ("train", "test"))
    assert learnt
    assert tested
    assert not learnt & tested


def test_the_data_s_own_division(data, tmp_path, described):
    table, _, _ = described(TABLE + 'test = "who=bob"\n')
    split_of = SplitRule().assign(table.entries.values())
    assert {table.entries[i].signer for i, split in split_of.items() if split == "test"} == {1}
    with pytest.raises(UserError, match="who bob has clips that meet the condition 'row>=8' and others"):
        described(TABLE + 'test = "row>=8"\n')
    without_group = ROWS.replace('group = "who"\n', 'test = "row>=8"\n')
    table, _, _ = described(without_group)
    assert [entry.split for entry in table.entries.values()] == [""] * 8 + ["test"] * 4


WRONG = [
    (FILES + "chanels = []\n", r"task.toml: no key 'chanels' \(did you mean channels\?\)"),
    (FILES.replace('"files"', '"file"'), "kind is 'file', expected one of files, table, rows, streams"),
    (FILES.replace('label = "class"', 'label = "clas"'), "lacks the column clas"),
    (FILES.replace('["x", "y"]', '["x", "z"]'), "has no column 'z'"),
    (FILES.replace("clips/", "clip/"), "has no files clip/"),
    (FILES.replace('clip = "name"\n', ""), "task.toml lacks clip"),
    (FILES.replace('clip = "name"', 'clip = "who"'), "labels.csv, line 3: eve has a label before"),
    (FILES + "frames = 2\n", "frames is of the kind 'rows', this is 'files'"),
    (FILES + 'rotate = [["x", "y", "x"]]\n', "expected a list of lists of three channels"),
    (ROWS.replace("3", "1"), "expected a whole number, two at least"),
    (FILES + 'rotate = [["x", "y"]]\n', "expected a list of lists of three channels"),
    (FILES + 'rotate = [["x", "y", "z"]]\n', "rotate has 'z', which is no channel"),
    (FILES + 'test = "who"\n', "expected a condition such as"),
    (FILES + 'test = "who=max"\n', "no clip meets the condition"),
    (FILES + 'test = "whom=max"\n', r"no column 'whom' of labels \(did you mean who\?\)"),
    (TABLE.replace('clip = "name"\n', ""), "task.toml lacks clip"),
    (ROWS.replace("3", "4"), "6 columns are no 4 frames"),
    (STREAMS.replace("window = 6", "window = 100"), "no window is as long"),
    (STREAMS + 'group = "time"\n', "its group is file or folder"),
    (STREAMS + "purity = 2\n", "expected a share above 0"),
    ("kind = \n", "cannot read .*task.toml"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_wrong_description_is_one_line(described, text, said):
    with pytest.raises(UserError, match=said) as error:
        described(text)
    assert "\n" not in str(error.value)


def test_a_class_with_one_clip(data, described):
    labels = (data / "labels.csv").read_text().replace("r00,wave", "r00,jump")
    (data / "labels.csv").write_text(labels)
    with pytest.raises(UserError, match="the class 'jump' has one clip"):
        described(FILES)


BAD_FILES = {
    "x,y\n1,2\n3,abc\n": r"Row #3: .*invalid value 'abc'",
    "x,y\n1,2\n3\n": "Row #3: Expected 2 columns, got 1",
    "x,z\n1,2\n": "lacks the column 'y'",
    "x,y,z\n1,2,3\n": "has the column 'z', which the first of the files has not",
    "x,x,y\n1,2,3\n": "has the column 'x' more than once",
    "x,y\n": "has no rows",
    "": "is empty",
    "x,y\n\xff\xfe": "expected text in UTF-8",
}


@pytest.mark.parametrize("content", BAD_FILES)
def test_a_bad_file_is_a_rejected_clip(data, described, content):
    (data / "clips/r05.csv").write_bytes(content.encode("latin-1"))
    table, task, _ = described(FILES)
    found = values_of(data, task, table)["r05"]
    assert isinstance(found, Fault)
    assert re.search(BAD_FILES[content], found.detail)


def test_text_in_a_column_of_a_table_names_file_and_column(data, described):
    text = (data / "all.csv").read_text()
    (data / "all.csv").write_text(text.replace(",wave,", ",wave,", 1) + "r99,oops,2,tap,ann\nr99,1,2,tap,ann\n")
    table, task, _ = described(TABLE)
    with pytest.raises(UserError, match=r"all.csv: column x: Row #\d+: .*invalid value 'oops'"):
        values_of(data, task, table)


def test_rows_of_a_clip_lie_side_by_side(data, described):
    with (data / "all.csv").open("a") as file:
        file.write("r00,1,2,wave,ann\n")
    with pytest.raises(UserError, match="the clip r00 was there before"):
        described(TABLE)


@pytest.mark.parametrize(
    ("kept", "kind", "more"),
    [
        (["clips", "labels.csv"], "files", {"labels": "labels.csv", "clip": "name", "label": "class", "group": "who"}),
        (["streams"], "streams", {"label": "class", "separator": "\t", "group": "file"}),
        (["all.csv"], "table", {"clip": "name", "label": "class", "group": "who"}),
        (["wide.csv"], "rows", {"label": "class", "group": "who"}),
    ],
)
def test_a_first_description_is_guessed_and_can_be_read(data, tmp_path, kept, kind, more):
    for path in list(data.iterdir()):
        if path.name not in kept:
            path.unlink() if path.is_file() else shutil.rmtree(path)
    text = guess.describe(data)
    if kind == "rows":  # of 6 columns nobody knows how many frames they are
        assert "# Add frames = ..." in text
        text += "frames = 3\n"
    (tmp_path / "task.toml").write_text(text)
    task = description.read(tmp_path / "task.toml", data)
    assert task.tables.kind == kind
    found = dataclasses.asdict(task.tables)
    assert {name: found[name] for name in more} == more
    assert task.channels == (("0", "1") if kind == "rows" else ("x", "y"))
    assert listing.read(data, task)[0].entries


def test_nothing_to_guess_from(tmp_path):
    with pytest.raises(UserError, match="has no tables"):
        guess.describe(tmp_path)


def test_two_files_of_one_name_are_not_one_clip(data, described):
    write(data / "more/r00.csv", ["x", "y"], [(1, 2)])
    with pytest.raises(UserError, match=r"r00 is the name of clips/r00.csv and of more/r00.csv"):
        described(FILES.replace("clips/*.csv", "*/r*.csv"))


@pytest.mark.parametrize("column", ["class", "who"])
def test_a_clip_has_one_label_and_one_group(data, described, column):
    rows = list(csv.DictReader((data / "all.csv").open()))
    rows[2][column] = "tap" if column == "class" else "eve"
    write(data / "all.csv", list(rows[0]), [row.values() for row in rows])
    with pytest.raises(UserError, match=f"row 3: {column} changes within the clip r00"):
        described(TABLE)


def test_what_has_no_label_or_nobody(data, described):
    text = (data / "labels.csv").read_text()
    (data / "labels.csv").write_text(text.replace("r03,tap,", "r03, ,"))
    table, task, remarks = described(FILES)
    assert len(table.entries) == 11
    assert task.classes == ("tap", "wave")
    assert "clips with an empty label, which are left out: r03" in remarks
    (data / "labels.csv").write_text(text.replace("r03,tap,bob", "r03,tap,"))
    with pytest.raises(UserError, match="clips without a who, who may be of anyone: r03"):
        described(FILES)


def test_groups_are_numbered_alike_every_time():
    """Whatever the order of a set is: 01 and 1 are different names."""
    for values in (["p1", "p01", "p001", "x"], ["x", "p001", "p01", "p1"]):
        numbers, names = listing._numbered(values)
        assert names == ("p001", "p01", "p1", "x")
        assert all(names[numbers[value]] == value for value in values)
    assert listing._numbered(["subject_10", "subject_9", "subject_10"]) == ({"subject_10": 10, "subject_9": 9}, ())


@pytest.mark.parametrize("pattern", ["/tmp/*.csv", "**a", "../*.csv"])
def test_patterns_stay_within_the_folder(described, pattern):
    with pytest.raises(UserError, match=r"expected a pattern such as|has no files"):
        described(FILES.replace("clips/*.csv", pattern))


def test_rows_of_several_files(data, described):
    (data / "wide2.csv").write_text((data / "wide.csv").read_text())
    table, _, _ = described(ROWS.replace("wide.csv", "wide*.csv"))
    assert len(table.entries) == 24


def test_an_empty_line_of_one_column_is_a_missing_value(data, described):
    for name, _, _, _ in CLIPS:
        (data / f"clips/{name}.csv").write_text("x\n1\n\n3\n")
    table, task, _ = described(FILES.replace('["x", "y"]', '["x"]'))
    np.testing.assert_array_equal(values_of(data, task, table)["r00"][:, 0, 0], [1, np.nan, 3])


def test_labels_with_other_separators(data, described):
    text = (data / "labels.csv").read_text()
    for separator in ";\t":
        (data / "labels.csv").write_text(text.replace(",", separator))
        assert len(described(FILES)[0].entries) == 12


def test_the_table_of_labels_is_no_recording(data, described):
    for path in (data / "clips").iterdir():
        path.rename(data / path.name)
    for name in ("all.csv", "wide.csv"):
        (data / name).unlink()
    table, task, _ = described(FILES.replace("clips/", ""))
    assert len(table.entries) == 12
    assert {path.name for path in readers.files_of(data, task)} == {f"{name}.csv" for name, *_ in CLIPS}


def test_a_flat_folder_with_notes_is_described(data, tmp_path):
    for path in (data / "clips").iterdir():
        path.rename(data / path.name)
    for name in ("all.csv", "wide.csv"):
        (data / name).unlink()
    shutil.rmtree(data / "streams")
    (data / "README.txt").write_text('He said "hello\nand left.\n')
    (data / "NOTES.txt").write_bytes("für später\n".encode("latin-1"))
    (tmp_path / "task.toml").write_text(guess.describe(data))
    task = description.read(tmp_path / "task.toml", data)
    assert (task.tables.kind, task.tables.labels, task.channels) == ("files", "labels.csv", ("x", "y"))
    assert len(listing.read(data, task)[0].entries) == 12


def test_a_measurement_is_not_taken_for_a_name(tmp_path):
    """It stays the same for some rows, but labels change meanwhile."""
    rows = [(CLASSES[i % 2], i // 4, *RANDOM.normal(size=5)) for i in range(40)]
    write(tmp_path / "one.csv", ["class", *(f"v{i}" for i in range(6))], rows)
    text = guess.describe(tmp_path)
    assert 'kind = "rows"' in text
    assert "frames = " not in text.partition("# Add frames = ...")[2]


def test_a_column_of_times_is_no_column_of_classes(described, monkeypatch):
    monkeypatch.setattr(listing, "MOST_CLASSES", 50)
    with pytest.raises(UserError, match="time has more than 50 values: is it a column of classes"):
        described(STREAMS.replace('label = "class"', 'label = "time"'))


def test_windows_that_share_frames_are_not_split_by_clip(data, tmp_path):
    (tmp_path / "task.toml").write_text(STREAMS)
    with pytest.raises(UserError, match="--split-by clip: windows share frames"):
        conversion.convert(
            data,
            tmp_path / "o",
            SplitRule(by="clip"),
            num_shards=None,
            runner=Runner(),
            task_name=str(tmp_path / "task.toml"),
        )
    _, task, _ = listing.read(data, description.read(tmp_path / "task.toml", data))
    folds = cfg.Data(folds=2, fold=1, fold_by_clip=True)
    with pytest.raises(UserError, match="folds by clip, but windows share frames"):
        holdout.divide({1: 1, 2: 2}, folds, task, where=data)
    with pytest.raises(UserError, match=r"1 training signers to divide: lower the number of folds$"):
        holdout.divide({1: 1, 2: 1}, cfg.Data(folds=2, fold=1), task, where=data)


def test_metadata_files_beside_a_description_are_refused(data, tmp_path):
    (tmp_path / "task.toml").write_text(FILES)
    with pytest.raises(UserError, match=r"--metadata labels.csv: .*task.toml says where labels are"):
        conversion.listed(data, str(tmp_path / "task.toml"), ["labels.csv"])


def test_ids_follow_the_table_of_labels(described):
    """Which is backwards here: labels that slipped by a line are those of neighbours."""
    table, _, _ = described(FILES)
    assert {entry.source: i for i, entry in table.entries.items()} == {f"r{11 - i:02d}": i for i in range(12)}


def test_axes_of_a_sensor_are_guessed():
    assert guess._triples(["ax", "ay", "az", "x_gyro", "y_gyro", "z_gyro", "bx", "by", "x", "y", "z"]) == [
        ["ax", "ay", "az"],
        ["x_gyro", "y_gyro", "z_gyro"],
    ]


def test_the_row_of_a_wrong_value_far_down(data, described):
    """Beyond what is read at a time."""
    rows = (data / "all.csv").read_text()
    filler = "".join(f"f{i},1,2,tap,ann\n" for i in range(100_000))
    (data / "all.csv").write_text(rows + filler + "last,1,2,tap,ann\nlast,1,oops,tap,ann\n")
    table, task, _ = described(TABLE)
    row = len(rows.splitlines()) + 100_002
    with pytest.raises(UserError, match=rf"all.csv: column y: Row #{row}: .*invalid value 'oops'"):
        values_of(data, task, table)


def test_a_name_of_the_task_alone_is_not_enough(data):
    with pytest.raises(UserError, match=r"the task recordings needs a description of .*: --task FILE.toml"):
        conversion.listed(data, "recordings")


SHARED = pathlib.Path(os.environ.get("FINGERSPELLING_SHARED", pathlib.Path(__file__).parents[4] / "shared"))
# Folder: clips, those to test on, groups (0: none).
PUBLIC = {"watch": (140, 0, 10), "watch_streams": (4716, 0, 10), "vowels": (640, 370, 0)}
PUBLIC |= {"pickup": (100, 50, 0), "digits": (1797, 597, 0)}


@pytest.mark.parametrize("name", PUBLIC)
def test_the_descriptions_of_the_readme(tmp_path, name):
    """They can be read, and are what `pipeline.describe` writes of those data sets."""
    data = SHARED / "data/sensors" / name
    if not data.is_dir():
        pytest.skip(f"NOT CHECKED on shared recordings: there is no {data}")
    readme = (pathlib.Path(__file__).parents[3] / "pipeline/README.md").read_text(encoding="utf-8")
    texts = re.findall(r"^```toml\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    text = texts[list(PUBLIC).index(name)]
    (tmp_path / "task.toml").write_text(text)
    table, task, _ = listing.read(data, description.read(tmp_path / "task.toml", data))
    tested = sum(entry.split == "test" for entry in table.entries.values())
    assert (len(table.entries), tested, len(table.signers) if task.tables.group else 0) == PUBLIC[name]
    guessed, written = tomllib.loads(guess.describe(data)), tomllib.loads(text)
    if name == "watch":
        patterns = guessed.pop("channels"), written.pop("channels")
        assert patterns == (["ax", "ay", "az", "wx", "wy", "wz"], ["a?", "w?"])
    if name == "digits":
        del written["test"]
    if name == "watch_streams":
        assert guessed.pop("group") == "file"  # which it is anyway
    assert guessed == written
