"""The page in a real browser, and its figures against those of other commands."""

import base64
import csv
import gzip
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from inference import evaluate, visualize
from inference.recognizer import Recognizer
from inference.visuals import mistakes, page, player, sources
from inference.visuals import training as training_section
from pipeline import convert, tasks
from pipeline.common import directories
from pipeline.dataset import summary
from pipeline.dataset.clips import ClipInfo
from pipeline.dataset.dataset import Dataset
from pipeline.scores import analysis, display, score_table
from pipeline.scores.score_table import Learnt, Row
from tests import browser

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
EVIL = ("<script>window.evil = 1</script>", "</td></table><!--", "a & b \"c\" 'd'", "</script>")


@pytest.fixture(scope="module")
def evaluation(toy_model, toy_dataset, command, made_once):
    words = ["--model", toy_model, "--dataset", toy_dataset]
    return made_once("toy-evaluation", lambda folder: command(evaluate, *words, "--output", folder))


@pytest.fixture(scope="module")
def report(toy_dataset, toy_run, toy_model, evaluation, command, made_once):
    """The page of toy directories of every kind but scores of a run and a budget."""

    def make(folder):
        folder.mkdir()
        made = [toy_dataset, toy_run, toy_model, evaluation]
        command(visualize, *made, "--output", folder / "report.html")

    return made_once("toy-report", make) / "report.html"


def opened(view, file):
    """Opens the page, which must ask for nothing else, and waits until a clip is drawn."""
    asked = []
    view.on("request", lambda request: asked.append(request.url))
    view.goto(file.as_uri())
    view.wait_for_selector("#player[data-drawn]")
    assert asked == [file.as_uri()]


def until(view, holds):
    """Waits for what a page does; by itself, as the page lets nobody evaluate texts."""
    for _ in range(300):
        if holds():
            return
        view.wait_for_timeout(50)
    raise AssertionError("it never came to hold")


def text(view, name):
    return view.text_content(f"#{name}")


def frame(view):
    return int(re.match(r"frame (\d+) of", text(view, "time"))[1])


@browser.needed
def test_clips_play(report, toy_model, toy_dataset):
    """By buttons, by keys, and from the tables; a prediction grows until it is that of the recognizer."""
    with browser.opened() as view:
        opened(view, report)
        assert frame(view) == 1
        for keys, at in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("Shift+ArrowRight", 12), ("Home", 1)):
            view.press("#picture", keys)
            assert frame(view) == at
        drawn = int(view.get_attribute("#player", "data-drawn"))
        view.press("#picture", "-")  # half as fast
        assert view.input_value("#speed") == "0.5"
        view.click("#play")
        assert view.get_attribute("#play", "aria-label") == "Pause"
        until(view, lambda: int(view.get_attribute("#player", "data-drawn")) >= drawn + 5)
        view.wait_for_selector("#play[aria-label=Play]")  # at the end
        assert view.evaluate("document.getElementById('frame').value === document.getElementById('frame').max")
        (clip,) = re.findall(r"clip (\d+),", text(view, "about"))
        landmarks = {
            each.sequence_id: each.landmarks
            for split in ("train", "test")
            for each in Dataset.open(toy_dataset).read(split)
        }
        said = Recognizer(toy_model).recognize(landmarks[int(clip)])
        assert text(view, "said") == said.label
        before = clip
        view.press("#picture", "]")
        until(view, lambda: f"clip {before}," not in text(view, "about"))
        view.click("#errors button.clip >> nth=-1")
        wanted = view.get_attribute("#errors button.clip >> nth=-1", "data-clip")
        until(view, lambda: f"clip {wanted}," in text(view, "about"))
        view.fill("#find", wanted)
        assert view.locator("#clips option").count() == 1
        view.fill("#find", "no such clip")
        assert view.locator("#clips option").count() == 0
        view.fill("#find", "")
        view.select_option("#order", "frames")
        frames = view.evaluate(
            "JSON.parse(document.getElementById('clips-data').textContent).clips.map((c) => c.frames)"
        )
        assert view.locator("#clips option").count() == len(frames)
        before = view.locator("#picture").screenshot()
        view.select_option("#zoom", "right hand")
        zoomed = view.locator("#picture").screenshot()
        view.check("#numbers")
        assert len({before, zoomed, view.locator("#picture").screenshot()}) == 3


@browser.needed
def test_what_is_drawn_is_what_was_recorded(report, toy_dataset):
    """The player unpacks the landmarks that the data set holds; a missing hand is said to be missing."""
    with browser.opened() as view:
        opened(view, report)
        view.select_option("#order", "id")
        clip = Dataset.open(toy_dataset)
        landmarks = {each.sequence_id: each.landmarks for split in ("train", "test") for each in clip.read(split)}
        hand = clip.task.points.groups["right_hand"]
        some = next(i for i, each in sorted(landmarks.items()) if np.isnan(each[:, hand]).all(axis=(1, 2)).any())
        view.fill("#find", str(some))
        view.select_option("#clips", str(some))
        until(view, lambda: f"clip {some}," in text(view, "about"))
        missing = np.isnan(landmarks[some][:, hand]).all(axis=(1, 2))
        view.press("#picture", "Home")
        for each in missing.tolist():
            assert ("right hand" in view.get_attribute("#picture", "aria-label")) == each
            view.press("#picture", "ArrowRight")


@browser.needed
@pytest.mark.parametrize("size", [browser.DESKTOP, pytest.param(browser.PHONE, marks=pytest.mark.long)])
def test_figures_and_charts(report, toy_dataset, evaluation, size):
    with browser.opened(size) as view:
        opened(view, report)
        found = directories.read_json(evaluation / analysis.REPORT)
        assert f"{display.scored(found)}" in text(view, "errors")
        manifest = directories.read_json(toy_dataset / directories.MANIFEST)
        row = view.locator("#data tr", has_text="clips").first.locator("td").all_text_contents()
        assert row == ["clips", *(str(manifest["splits"][split]["clips"]) for split in ("train", "test"))]
        charts = view.locator(".chart").count()
        assert charts >= 10
        for i in range(charts):
            view.locator(".chart").nth(i).scroll_into_view_if_needed()
        until(view, lambda: view.locator(".chart[data-drawn]").count() == charts)
        assert view.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_runs_of_which_nothing_was_validated():
    """One without a score, and one that was interrupted in its first epoch."""
    history = [{"epoch": float(epoch), "loss": 1 / epoch, "seconds": 60.0} for epoch in (1, 2)]
    found = training_section.section(sources.Sources(tasks.TASKS["fingerspelling"], histories={"a": history, "b": []}))
    table, *charts = found.blocks[0].items
    assert table.rows == [["a", "2", "0.5000", "", "", "2.0"], ["b", "0", "nan", "", "", "0.0"]]
    assert [each.label for each in charts] == ["Loss on training clips"]


@pytest.fixture(scope="module")
def evil(command, made_once):
    """A data set whose classes are pieces of HTML, and scores in which each is taken for another."""

    def make(folder):
        data = folder / "data"
        data.mkdir(parents=True)
        with (data / "samples.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["case", "x", "y", "class", "who"])
            for case in range(24):
                for t in range(5 + case % 3):
                    writer.writerow([case, t * 0.5, case, EVIL[case % 4], case % 6])
        (folder / "task.toml").write_text(
            'kind = "table"\nfiles = "samples.csv"\nchannels = ["x", "y"]\n'
            'clip = "case"\nlabel = "class"\ngroup = "who"\n'
        )
        words = ["--data", data, "--task", folder / "task.toml", "--test-signers", "0,1"]
        command(convert, *words, "--output", folder / "dataset")
        dataset = Dataset.open(folder / "dataset")
        rows = []
        for split in dataset.splits:
            for each in dataset.clips(split):
                wrong = EVIL[(EVIL.index(each.label) + 1) % 4]
                p = np.eye(4)[dataset.task.classes.index(wrong)] * 0.6 + 0.1
                rows.append(Row.of(each, wrong, dataset.task, Learnt.of([]), probabilities=p))
        request = directories.Request(score_table.KIND, {})
        directories.prepare(folder / "scores", request)
        score_table.write(folder / "scores" / score_table.FILE_NAME, rows)
        content = {"task": dataset.task.as_json()}
        directories.complete(folder / "scores", request, content, files=[score_table.FILE_NAME])
        words = [folder / "dataset", folder / "scores", "--output", folder / "report.html"]
        command(visualize, *words)

    return made_once("evil-report", make)


@browser.needed
def test_labels_are_text(evil):
    """Pieces of HTML are shown as they are, in tables, lists and charts, and end no script."""
    with browser.opened() as view:
        opened(view, evil / "report.html")
        assert view.evaluate("window.evil") is None
        for label in EVIL:
            assert label in view.text_content("#errors")
            view.fill("#find", label)
            found = view.locator("#clips option").all_text_contents()
            assert found
            assert all(label in each for each in found)
            view.select_option("#clips", index=next(i for i, each in enumerate(found) if each.endswith(f"  {label}")))
            until(view, lambda: text(view, "label") == label)  # noqa: B023
        for i in range(view.locator(".chart").count()):
            view.locator(".chart").nth(i).scroll_into_view_if_needed()
        view.press("#picture", "ArrowRight")  # lines of channels
        assert frame(view) == 2
        assert view.evaluate("window.evil") is None


def test_json_in_a_script_ends_nothing():
    """Whatever the text: what is parsed again is the same."""
    data = {"a": [*EVIL, "<!--<script>", "\u2028", "é"]}
    embedded = str(page.embedded(data))
    assert "<" not in embedded
    assert json.loads(embedded) == data


def test_a_folder_tells_what_its_dataset_does(toy_data, toy_dataset):
    """The same figures before conversion as after it, but for splits."""
    found = sources.open_all([toy_data], task=None, truth={}, most=1000)
    assert found.num_clips == 36
    infos = [info for info, _ in found.read()]
    dataset = Dataset.open(toy_dataset)
    converted = {each.sequence_id: each for split in dataset.splits for each in dataset.clips(split)}
    assert {each.sequence_id: each.num_frames for each in infos} == {
        i: each.num_frames for i, each in converted.items()
    }
    assert all(each.frames_unseen == converted[each.sequence_id].frames_unseen for each in infos)
    figures = summary.summarize(infos, found.task)
    assert figures["frames"] == sum(dataset.manifest["splits"][split]["frames"] for split in dataset.splits)
    assert found.folder.last_frames() == [each.num_frames - 1 for each in infos]
    half = sources.open_all([toy_data], task=None, truth={}, most=18)
    assert half.num_clips == 18


def unpacked(clip, shape):
    """As the player does it."""
    changes = np.frombuffer(gzip.decompress(base64.b64decode(clip["data"])), "<u2")
    steps = np.cumsum(changes.reshape(*shape, -1), axis=-1, dtype=np.uint16).transpose(2, 0, 1).astype(float)
    low, step = np.array(clip["low"]), np.array(clip["step"])
    ranged = (low, step) if len(low) == shape[1] else (low.reshape(shape), step.reshape(shape))
    return np.where(steps == 0, np.nan, ranged[0] + (steps - 1) * ranged[1])


@pytest.mark.parametrize("by_point", [False, True])
def test_packed_landmarks(by_point):
    random = np.random.default_rng(3)
    landmarks = random.normal(0.5, 0.3, (17, 6, 2)).astype(np.float32)
    landmarks[random.random((17, 6)) < 0.3] = np.nan
    landmarks[:, 5] = np.nan
    found = unpacked(player.compressed(landmarks, by_point=by_point), (6, 2))
    assert (np.isnan(found) == np.isnan(landmarks)).all()
    span = np.nanmax(landmarks) - np.nanmin(landmarks)
    assert np.nanmax(np.abs(found - landmarks)) < span / 16_000
    nothing = np.full((3, 6, 2), np.nan, np.float32)
    assert np.isnan(unpacked(player.compressed(nothing, by_point=by_point), (6, 2))).all()


def test_what_a_model_makes_of_a_clip(toy_model, noise):
    """What is emitted makes the prediction; probabilities of a frame are no more than certain."""
    recognizer = Recognizer(toy_model)
    for frames in (1, 9, 40):
        landmarks = noise(frames, frames)
        found = player.trace(recognizer, landmarks)
        assert found["prediction"] == recognizer.recognize(landmarks).label
        emitted = "".join(each for _, each in found["emitted"])
        assert emitted.strip(" ") == found["prediction"].strip(" ")
        best_U = recognizer.outputs(landmarks).argmax(axis=1)
        for row, character in found["emitted"]:  # where a run of its class begins
            assert recognizer.task.decode([best_U[row]]) == character
            assert row == 0 or best_U[row - 1] != best_U[row]
        assert found["at"][-1] == frames
        cells = np.frombuffer(base64.b64decode(found["p"]), np.uint8).reshape(len(found["rows"]), len(found["at"]))
        assert cells.sum(axis=0).max() <= 255 + len(found["rows"])


def test_every_kind_of_error_is_played(toy_dataset, monkeypatch):
    """Of a few clips as of many: the kinds take turns."""
    dataset = Dataset.open(toy_dataset)
    task, clips = dataset.task, [each for split in dataset.splits for each in dataset.clips(split)]
    said = {0: "", 1: "zz", 2: "{}xx", 3: "{}"}
    rows = {
        each.sequence_id: Row.of(each, said[i % 4].format(each.label), task, Learnt.of([]))
        for i, each in enumerate(clips)
    }
    scored = sources.Scored(toy_dataset, {}, task, rows, is_evaluation=False)
    truth = {clips[0].sequence_id: "truncated", clips[1].sequence_id: "wrong_phrase"}
    found = sources.Sources(task, datasets=[dataset], scored=[scored], truth=truth)
    looks = [visualize.data.look(info, clip, task) for info, clip in found.read()]
    assert len(looks) == 36
    monkeypatch.setattr(player, "MOST_CLIPS", 16)
    chosen = player.choose(found, looks)
    assert len(chosen) == 16
    kinds = {kind for each in chosen.values() for kind in each}
    name = toy_dataset.name
    expected = {f"worst of {name}", f"best of {name}", "shortest", "longest", "breaks the rule", "of each signer"}
    expected |= {f"{kind} in {name}" for kind in analysis.KINDS} | {"planted: truncated", "planted: wrong_phrase"}
    assert expected <= kinds
    assert mistakes.worst(rows)[0].errors > 0
    monkeypatch.setattr(player, "MOST_BYTES", 1)
    packed = player.pack(found, looks, None)
    assert len(packed["clips"]) == 1
    assert packed["of"] == 36


def test_one_command(toy_dataset, tmp_path):
    """The page is small, needs nothing from elsewhere, and TensorFlow is not loaded."""
    code = (
        "import sys\nfrom inference import visualize\nvisualize.main()\n"
        "assert not {'tensorflow', 'keras', 'apache_beam'} & set(sys.modules)"
    )
    file = tmp_path / "new" / "report.html"
    words = [sys.executable, "-c", code, str(toy_dataset), "--output", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{file}: " in done.stdout
    assert " clips to play; open it in a browser" in done.stdout
    assert file.stat().st_size < 10_000_000
    content = file.read_text(encoding="utf-8")
    assert not re.findall(r"""<(?:script|link|img|iframe)[^>]*\b(?:src|href)=""", content)
    assert list(file.parent.iterdir()) == [file]


def test_nothing_of_a_clip_that_is_rejected(kaggle_data, recording, command, tmp_path):
    """Rejects are told by their reason, and every clip is read or rejected."""
    data = kaggle_data([recording(1, "abc"), recording(2, ""), recording(3, "ab", num_frames=7), recording(4, "{}")])
    # As sample data have it, or what was tracked in videos: it is a data folder still.
    manifest = {key: {} for key in ("settings", "fingerprint", "command", "versions", "files")}
    made = {"kind": "sample set", "schema_version": directories.SCHEMA_VERSION}
    directories.write_json(data / directories.MANIFEST, manifest | made)
    found = sources.open_all([data], task=None, truth={}, most=10)
    infos: list[ClipInfo] = [info for info, _ in found.read()]
    assert [each.sequence_id for each in infos] == [1, 3]
    assert {each["reason"] for each in found.folder.rejected} == {"empty_label", "unknown_characters"}
    command(visualize, data, "--output", tmp_path / "a.html")
    content = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "4 clips read, 2 used, 2 rejected." in content
    assert "unknown_characters" in content
