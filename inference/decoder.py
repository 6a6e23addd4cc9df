"""Live decoding: frames come one by one, and text as it is understood. numpy alone.

`web/decoder.js` and `web/language.js` are the same in JavaScript, part for part; a test feeds both the same frames.

Shapes: T frames, W frames of the window, P points, D dimensions of a point, U frames of the encoder, V outputs of the
head.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from inference.language import Language
from inference.recognizer import softmax
from pipeline.tasks.task import Task

RATE = 30  # frames a second that training sets were recorded at: times below are counted in frames
HOP = 8  # from one decoding to the next
LEAD = 90  # kept of those before the first hand
PHRASE_PAUSE = 90  # without a hand, that end a phrase
SIGN_PAUSE = 24  # without a hand, that end a sign
WORD_PAUSE = 75  # without a letter, that end a word: of 1,400 training clips of the sample data none pauses as long
SETTLED = 15  # how old a letter is at least that stays as it is until the phrase ends
FLOOR = 0.5  # of confidence: what is below is not claimed


@dataclasses.dataclass(frozen=True)
class Letter:
    """One that the greedy path holds.

    Attributes:
      index: of its class.
      probability: the highest in its run of frames.
      first, peak, last: frames, counted from the phrase's first one: of its run, and where it is surest.
    """

    index: int
    probability: float
    first: float
    peak: float
    last: float


@dataclasses.dataclass(frozen=True)
class Phrase:
    """What was understood. Text with less than `FLOOR` of confidence is not claimed."""

    text: str
    confidence: float

    @property
    def claimed(self) -> bool:
        return bool(self.text) and self.confidence >= FLOOR


@dataclasses.dataclass(frozen=True)
class Shown:
    """What is shown of a phrase that goes on: letters that stay, and what may change."""

    settled: str
    tentative: str
    confidence: float

    @property
    def text(self) -> str:
        return self.settled + self.tentative


NOTHING = Shown("", "", 0.0)


class Decoder:
    """A rolling window over frames, decoded again every `HOP` of them.

    A phrase begins with the first hand and ends after a pause without one; then it is decoded once more, as a whole.
    Until then the letters that two decodings in a row agree on, and that are not too new, stay (local agreement). What
    is longer than the window is decoded piece by piece: of a full window the letters before a seam, the widest gap
    between two of them in its second quarter, are kept, and the window goes on shortly before the seam.

    With a language model the text of a phrase that ends within its first window, frames without a hand before and after
    it included, is the likeliest label, as a recognizer says it; pauses between words are then for that to know. Its
    confidence, by which it is claimed, is still that of the network's own letters.

    Args:
      outputs: of the network for (T, P, D) landmarks, T from 1 to `window`: (U, V), logits of classes and blank, or
        (1, V) of a task with one class a clip.
      window: W.
      language: such as `Recognizer.language`; None: as the network alone says.

    Attributes:
      phrases: those that ended, also such as are not claimed.
      shown: of the phrase that goes on.
    """

    def __init__(
        self, task: Task, outputs: Callable[[np.ndarray], np.ndarray], window: int, language: Language | None = None
    ):
        self.task = task
        self._language = language
        self.phrases: list[Phrase] = []
        self.shown = NOTHING
        self._outputs = outputs
        self._window = window
        self._one_class = task.contract.filler is None
        self._lead = min(LEAD, window // 4)
        self._pause = SIGN_PAUSE if self._one_class else PHRASE_PAUSE
        self._frames: list[np.ndarray] = []
        self._reset()

    def _reset(self) -> None:
        self.shown = NOTHING
        self._begun = False
        self._unseen = 0  # how many frames since the last hand
        self._waiting = 0  # how many frames since the last decoding
        self._start = 0  # of the window, in frames of the phrase
        self._seam = 0.0  # the letters before it are kept
        self._kept: list[Letter] = []
        self._settled: list[Letter] = []
        self._before: list[Letter] = []  # what the last decoding had after those that are settled

    def push(self, frame_PxD: np.ndarray, *, more: bool = False) -> None:
        """Takes the next frame, NaN for missing. `more`: others wait already, so decoding had better wait for them."""
        seen = bool(self.task.seen(frame_PxD[None])[0])
        if len(self._frames) == self._window:
            self._roll()
        self._frames.append(frame_PxD)
        self._begun = self._begun or seen
        if not self._begun:
            self._frames = self._frames[-self._lead :]
            return
        self._unseen = 0 if seen else self._unseen + 1
        self._waiting += 1
        if self._unseen >= self._pause:
            self._end()
        elif self._waiting >= HOP and not more:
            self._show(self._decode())

    def finish(self) -> None:
        """Ends the phrase that goes on, if any, and forgets it: what comes next may be another recording."""
        self._end()
        self._frames = []

    def _end(self) -> None:
        if self._begun:
            outputs_UxV = self._logits()
            phrase = self._phrase(self._letters(outputs_UxV))
            if self._language is not None and not self._start:
                classes, _ = self._language.classes(outputs_UxV)
                phrase = Phrase(self.task.prediction(classes), phrase.confidence)
            if phrase.text:
                self.phrases.append(phrase)
        self._frames = self._frames[-min(self._unseen, self._lead) :] if self._unseen else []
        self._reset()

    def _logits(self) -> np.ndarray:
        self._waiting = 0
        return self._outputs(np.stack(self._frames)).astype(np.float64)

    def _decode(self) -> list[Letter]:
        return self._letters(self._logits())

    def _letters(self, outputs_UxV: np.ndarray) -> list[Letter]:
        """The letters of the phrase so far, or the one class as a letter."""
        probabilities_UxV = softmax(outputs_UxV)
        if self._one_class:
            best = int(np.argmax(outputs_UxV[0]))
            return [Letter(best, float(probabilities_UxV[0, best]), 0.0, 0.0, float(len(self._frames)))]
        step = len(self._frames) / len(outputs_UxV)
        found = greedy(outputs_UxV, probabilities_UxV, start=self._start, step=step)
        return self._kept + [each for each in found if each.peak >= self._seam]

    def _roll(self) -> None:
        letters = self._decode()
        low, high = (self._start + share * self._window for share in (0.25, 0.5))
        if self._one_class:
            seam = low
        else:
            seam = widest_gap([each.peak for each in letters], low, high)
            self._kept = [each for each in letters if each.peak < seam]
            self._seam = seam
        start = max(self._start + 1, int(seam) - self._window // 8)
        self._frames = self._frames[start - self._start :]
        self._start = start
        self._show(letters)

    def _show(self, letters: list[Letter]) -> None:
        if self._one_class:
            phrase = self._phrase(letters)
            self.shown = Shown("", phrase.text, phrase.confidence) if phrase.claimed else NOTHING
            return
        newest = self._start + len(self._frames)
        since = self._settled[-1].last if self._settled else -1.0
        rest = [each for each in letters if each.peak > since]
        settled = 0
        for now, before in zip(rest, self._before, strict=False):
            if now.index != before.index or now.last > newest - SETTLED:
                break
            self._settled.append(now)
            settled += 1
        self._before = rest = rest[settled:]
        shown = [*self._settled, *rest]
        confidence = self._confidence(shown)
        if confidence < FLOOR:
            self.shown = dataclasses.replace(NOTHING, confidence=confidence)
            return
        start = self._text(self._settled)
        self.shown = Shown(start, self._text(shown)[len(start) :], confidence)

    def _phrase(self, letters: list[Letter]) -> Phrase:
        text = self._text(letters)
        return Phrase(text, self._confidence(letters) if text else 0.0)

    def _text(self, letters: list[Letter]) -> str:
        if [each.index for each in letters] == [self.task.contract.filler]:
            return ""
        text = ""
        for before, letter in zip([None, *letters], letters, strict=False):
            character = self.task.decode([letter.index])
            pause = before is not None and letter.first - before.last >= WORD_PAUSE
            text += " " * (pause and character != " " and not text.endswith(" ")) + character
        return text

    @staticmethod
    def _confidence(letters: Sequence[Letter]) -> float:
        """As `Recognizer`: the geometric mean; 0 of nothing."""
        if not letters:
            return 0.0
        logs = np.log(np.clip([each.probability for each in letters], np.finfo(np.float64).tiny, 1.0))
        return float(np.exp(np.mean(logs)))


def greedy(logits_UxV: np.ndarray, probabilities_UxV: np.ndarray, *, start: float, step: float) -> list[Letter]:
    """The letters of the greedy path; the blank is the last class. Row u lies at frame start + (u + 0.5) * step."""
    letters = []
    best_U = np.argmax(logits_UxV, axis=-1)
    for index, group in itertools.groupby(range(len(best_U)), key=lambda u: int(best_U[u])):
        rows = list(group)
        if index == logits_UxV.shape[-1] - 1:
            continue
        run = probabilities_UxV[rows, index]
        first, peak, last = (start + (u + 0.5) * step for u in (rows[0], rows[int(np.argmax(run))], rows[-1]))
        letters.append(Letter(index, float(run.max()), first, peak, last))
    return letters


def widest_gap(times: Sequence[float], low: float, high: float) -> float:
    """The middle of the widest gap between times from low to high; both ends count as times."""
    inside = [low, *(each for each in times if low < each < high), high]
    gaps = [(after - before, -before, (before + after) / 2) for before, after in itertools.pairwise(inside)]
    return max(gaps)[2]
