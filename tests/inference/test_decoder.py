"""The live decoder, with a network that a frame tells what to say; and that of the page, under node."""

import base64
import itertools
import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

from inference import beam, page
from inference import decoder as live
from inference.decoder import Decoder
from inference.language import Language, NGrams
from inference.recognizer import Recognizer
from inference.window import Window
from pipeline.tasks.fingerspelling import CHARACTER_TO_INDEX, Fingerspelling
from pipeline.tasks.isolated_signs import IsolatedSigns

TASK, SIGNS = Fingerspelling(), IsolatedSigns(("no", "tea", "yes"))
BLANK, WIDTH = 59, 60
GRAMS = NGrams.of([TASK.encode(each) for each in ("hello", "abc xyz", "cab by")], BLANK, 5)
LANGUAGE = Language(GRAMS, weight=0.5, bonus=0.8)
WEB = pathlib.Path(live.__file__).with_name("web")
WINDOW = 512


def frame(says: str = "", *, hand: bool = True, sure: float = 9.0) -> np.ndarray:
    """(100, 2): its first 60 numbers are the logits of a character, or of the blank."""
    values = np.zeros(200, np.float32)
    values[CHARACTER_TO_INDEX[says] if says else BLANK] = sure
    values[[2 * wrist for wrist in TASK.points.wrists]] = 0.5 if hand else np.nan
    return values.reshape(100, 2)


def logits(frames_TxPx2: np.ndarray) -> np.ndarray:
    return frames_TxPx2.reshape(len(frames_TxPx2), -1)[:, :WIDTH]


def spelled(text: str, *, each: int = 3, between: int = 5, sure: float = 9.0) -> list[np.ndarray]:
    return [one for letter in text for one in [*[frame(letter, sure=sure)] * each, *[frame()] * between]]


def decoder(window=WINDOW, outputs=logits, task=TASK) -> Decoder:
    return Decoder(task, outputs, window)


def fed(frames, **given) -> Decoder:
    made = decoder(**given)
    for each in frames:
        made.push(each)
    return made


def test_text_comes_while_one_spells_and_stays_at_the_end():
    made = decoder()
    shown = []
    for each in spelled("hello"):
        made.push(each)
        shown.append(made.shown.text)
    assert shown[-1].startswith("hel")
    assert all(after.startswith(before) for before, after in itertools.pairwise(shown))
    assert made.shown.settled and made.phrases == []
    made.finish()
    assert [each.text for each in made.phrases] == ["hello"]
    assert made.phrases[0].claimed
    assert made.shown.text == ""


def test_a_pause_without_a_hand_ends_the_phrase():
    away = [frame(hand=False)]
    made = fed([*spelled("ab"), *away * (live.PHRASE_PAUSE - 1)])
    assert made.phrases == []
    made.push(away[0])
    assert [each.text for each in made.phrases] == ["ab"]
    for each in [*away * 500, *spelled("c")]:
        made.push(each)
    made.finish()
    assert [each.text for each in made.phrases] == ["ab", "c"]


def test_without_a_hand_nothing_is_read():
    """Whatever the network would say, and however long it lasts: there is no clip to give it."""

    def never(_):
        raise AssertionError("asked of nothing")

    made = fed([frame("x", hand=False)] * 1000, outputs=never)
    made.finish()
    assert (made.phrases, made.shown) == ([], live.NOTHING)


def test_what_comes_before_the_first_hand_is_kept_for_a_while():
    lengths = []

    def outputs(frames):
        lengths.append(len(frames))
        return logits(frames)

    made = fed([*[frame(hand=False)] * 300, *spelled("a")], outputs=outputs)
    made.finish()
    assert max(lengths) == live.LEAD + len(spelled("a"))


@pytest.mark.parametrize(("gap", "said"), [(live.WORD_PAUSE - 2, "ab"), (live.WORD_PAUSE + 8, "a b")])
def test_a_long_gap_between_letters_ends_a_word(gap, said):
    made = fed([*spelled("a"), *[frame()] * (gap - 5), *spelled("b")])
    made.finish()
    assert made.phrases[0].text == said


def test_a_space_that_was_read_is_not_doubled():
    made = fed([*spelled("a "), *[frame()] * 80, *spelled("b")])
    made.finish()
    assert made.phrases[0].text == "a b"


def test_what_is_unsure_is_not_claimed():
    made = fed(spelled("abc", sure=3.0))
    assert made.shown.text == ""
    assert 0 < made.shown.confidence < live.FLOOR
    made.finish()
    (phrase,) = made.phrases
    assert (phrase.text, phrase.claimed) == ("abc", False)


def test_a_lone_filler_is_no_text():
    made = fed(spelled(" "))
    made.finish()
    assert made.phrases == []


@pytest.mark.parametrize("window", [64, 128])
def test_what_is_longer_than_the_window_is_read_to_its_end(window):
    """Each letter once, wherever the seams fall; the network never sees more than the window."""
    text = "the quick brown fox jumps over the lazy dog 0123456789"

    def outputs(frames):
        assert len(frames) <= window
        return logits(frames)

    for each in (2, 3, 5):
        made = fed(spelled(text, each=each), window=window, outputs=outputs)
        made.finish()
        assert made.phrases[0].text == text


def test_settled_letters_do_not_flicker():
    """The network changes its mind about a letter from one decoding to the next: it is shown, but not as settled."""
    asked = 0

    def outputs(frames):
        nonlocal asked
        asked += 1
        found = logits(frames).copy()
        found[8:11] = logits(np.stack([frame("x" if asked % 2 else "y")] * 3))[: len(found[8:11])]
        return found

    made = decoder(outputs=outputs)
    settled = ""
    for each in spelled("abcdefgh"):
        made.push(each)
        assert made.shown.settled.startswith(settled)
        settled = made.shown.settled
    assert settled == "a"
    assert made.shown.text[:2] in ("ax", "ay")


def test_decoding_waits_while_frames_do():
    lengths = []

    def outputs(frames):
        lengths.append(len(frames))
        return logits(frames)

    made = decoder(outputs=outputs)
    for number, each in enumerate(spelled("abcd")):
        made.push(each, more=number < 20)
    assert lengths[0] == 21


def sign(number: int, *, hand: bool = True) -> np.ndarray:
    return frame(" ", hand=hand) * 0 + np.where(np.arange(200) == number, 5, 0).reshape(100, 2)


def mean(frames_TxPx2: np.ndarray) -> np.ndarray:
    return frames_TxPx2.reshape(len(frames_TxPx2), -1)[:, :3].mean(axis=0, keepdims=True)


def test_signs_have_their_probability():
    made = fed([sign(1)] * 20, outputs=mean, task=SIGNS)
    assert made.shown.text == "tea"
    assert made.shown.confidence == pytest.approx(np.exp(5) / (np.exp(5) + 2), rel=1e-5)
    for each in [sign(1, hand=False)] * live.SIGN_PAUSE:
        made.push(each)
    assert [(each.text, each.claimed) for each in made.phrases] == [("tea", True)]


def test_with_a_language_model_the_end_of_a_phrase_is_the_likeliest_label():
    """Of two letters that look alike; while one spells, the network alone is shown."""
    o = CHARACTER_TO_INDEX["o"]
    alike = frame("0", sure=2.0)
    alike[o // 2, o % 2] = 1.7
    frames = [*spelled("hell"), *[alike] * 3, *[frame()] * 40]
    made = Decoder(TASK, logits, WINDOW, LANGUAGE)
    for each in frames:
        made.push(each)
    assert made.shown.text == "hell0"
    made.finish()
    assert [each.text for each in made.phrases] == ["hello"]
    alone = fed(frames)
    alone.finish()
    assert [each.text for each in alone.phrases] == ["hell0"]
    assert made.phrases[0].confidence == alone.phrases[0].confidence
    # What is longer than the window is read as the network alone says.
    longer = Decoder(TASK, logits, 20, LANGUAGE)
    for each in frames:
        longer.push(each)
    longer.finish()
    assert [each.text for each in longer.phrases] == ["hell0"]


def test_what_is_read_while_one_spells_is_claimed_at_the_end_too():
    """Though a whole label is less probable than the letters of one path."""
    frames = [*spelled("hello", sure=4.5), *[frame()] * 20]
    made = Decoder(TASK, logits, WINDOW, LANGUAGE)
    for each in frames:
        made.push(each)
    before = made.shown
    made.finish()
    (phrase,) = made.phrases
    assert (phrase.text, phrase.claimed) == (before.text, True) == ("hello", True)
    assert phrase.confidence == pytest.approx(before.confidence)
    outputs = logits(np.stack(frames)).astype(np.float64)
    classes, log = LANGUAGE.classes(outputs)
    assert np.exp(log / len(classes)) < live.FLOOR < phrase.confidence


def test_whole_clips_read_as_the_recognizer_reads_them(toy_model, noise):
    """Frame by frame, after the last one; of clips that fit the window, with a hand in the first and the last frame."""
    recognizer, window = Recognizer(toy_model), Window(toy_model)
    texts = set()
    for seed in range(30):
        clip = noise(1 + seed % window.frames, seed)
        made = fed(clip, window=window.frames, outputs=window.outputs)
        made.finish()
        text = " ".join(each.text for each in made.phrases)
        assert text == recognizer.recognize(clip).label
        texts.add(text)
    assert len(texts) > 10


def cases(task, seed: int) -> list[np.ndarray]:
    """Clips of frames with hands and without, whose logits dither."""
    random = np.random.default_rng(seed)
    clips = []
    for _ in range(6):
        letters = "abc  xyz" if task is TASK else " !#"  # the classes 0 to 2
        text = "".join(random.choice(list(letters), random.integers(1, 40)))
        frames = spelled(
            text,
            each=int(random.integers(1, 4)),
            between=int(random.integers(0, 9)),
            sure=6.0 if task is TASK else 40.0,
        )
        clip = np.stack([*[frame(hand=False)] * int(random.integers(0, 150)), *frames])
        clip += random.normal(0, 1.2, clip.shape).astype(np.float32) * (random.random(len(clip)) < 0.3)[:, None, None]
        start = int(random.integers(0, len(clip)))
        clip[start : start + int(random.integers(0, 120)), task.points.wrists, 0] = np.nan
        clips.append(clip)
    return clips


@pytest.mark.skipif(shutil.which("node") is None, reason="NOT CHECKED: the page's decoder, as there is no node")
@pytest.mark.parametrize(
    ("task", "outputs", "width", "language"),
    [(TASK, logits, WIDTH, None), (TASK, logits, WIDTH, LANGUAGE), (SIGNS, mean, 3, None)],
    ids=["fingerspelling", "with a language model", "signs"],
)
@pytest.mark.parametrize("window", [48, 512])
def test_the_pages_decoder_does_the_same(task, outputs, width, language, window, tmp_path):
    clips = cases(task, window)
    given = {
        "task": {"classes": task.classes, "filler": task.contract.filler, "wrists": task.points.wrists},
        "window": window,
        "width": width,
        "clips": [[[None if np.isnan(v) else float(v) for v in f.ravel()] for f in clip] for clip in clips],
        "language": None,
    }
    if language:
        file = tmp_path / "language.bin"
        given["language"] = page.write_language(language, file)
        given["language"]["content"] = base64.b64encode(file.read_bytes()).decode()
    script = pathlib.Path(__file__).with_name("decode.mjs")
    words = ["node", script, WEB]
    done = subprocess.run(words, input=json.dumps(given), capture_output=True, text=True, check=True)
    steps = 0
    for clip, said in zip(clips, json.loads(done.stdout), strict=True):
        made = Decoder(task, outputs, window, language)
        for each, step in zip(clip, said["steps"], strict=True):
            made.push(each)
            shown = made.shown
            assert (step["settled"], step["tentative"]) == (shown.settled, shown.tentative)
            assert step["confidence"] == pytest.approx(shown.confidence, abs=1e-5)
            assert step["phrases"] == len(made.phrases)
            steps += bool(shown.text)
        made.finish()
        assert [each["text"] for each in said["phrases"]] == [each.text for each in made.phrases]
        expected = [(pytest.approx(each.confidence, abs=1e-5), each.claimed) for each in made.phrases]
        assert [(each["confidence"], each["claimed"]) for each in said["phrases"]] == expected
    assert steps > 50


def test_the_numbers_are_the_same():
    source = (WEB / "decoder.js").read_text(encoding="utf-8")
    for name in ("RATE", "HOP", "LEAD", "PHRASE_PAUSE", "SIGN_PAUSE", "WORD_PAUSE", "SETTLED", "FLOOR"):
        assert f"export const {name} = {getattr(live, name):g};" in source
    source = (WEB / "language.js").read_text(encoding="utf-8")
    assert f"const WIDTH = {beam._WIDTH};" in source
    rare = float(re.search(r"const RARE = Math\.log\((.*)\);", source)[1])
    assert np.log(rare) == pytest.approx(beam._RARE)
