"""The proof that an exported file is the trained model: checks of the file, and of its answers in LiteRT.

Shapes: T frames, P = 100 points, V = 60 classes, N sequences.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from inference import latency
from inference.latency import Limits
from inference.recognizer import FRAME_LOGITS, MODEL, RECOGNISE, Recognizer, without_filler
from pipeline import directories, evaluation, scoring, vocabulary
from pipeline import landmarks as lm
from pipeline.commands import UserError, track
from pipeline.dataset import Dataset
from pipeline.sequences import Sequence
from pipeline.splits import TEST, TRAIN

CHECKED_SEQUENCES = 1000
TIMED_SEQUENCES = 100


@dataclasses.dataclass(frozen=True)
class Precision:
    """How weights are stored, and how far the file may be from the trained model.

    Attributes:
      bytes: of a weight.
      tolerance: of a logit, relative to the sequence's largest (or to 1): float32 rounds in proportion to that.
        Where weights are rounded, it only finds what is broken: float16 moved logits of long clips by up to 0.011 in
        untrained networks of the published size.
      exact: whether texts must be equal but for ties; otherwise the score decides.
    """

    bytes: int
    tolerance: float
    exact: bool


PRECISIONS = {
    "none": Precision(4, 1e-4, exact=True),
    "float16": Precision(2, 0.05, exact=False),
    "int8": Precision(1, 0.5, exact=False),
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One check: what was found, what was expected; `passed` is None of what is only told."""

    check: str
    found: str
    expected: str
    passed: bool | None


@dataclasses.dataclass(frozen=True)
class Answer:
    """What file and trained model say of one clip.

    Attributes:
      difference: the largest of a logit; NaN where one is NaN, or their number differs.
      largest: the trained model's largest logit, or 1.
      own: what the file's own logits say, which its text must be.
    """

    name: str
    difference: float
    largest: float
    text: str
    own: str
    trained: str


def check_size(file: pathlib.Path, *, weights: int, precision: Precision, max_size_mb: float) -> list[Verdict]:
    """Against the number of weights, and against the limit."""
    size = file.stat().st_size
    least = weights * precision.bytes
    return [
        Verdict("holds its weights", f"{size:,} bytes", f"at least {least:,}, of {weights:,} weights", size >= least),
        Verdict("size", f"{size / 1e6:.2f} MB", f"at most {max_size_mb:g} MB", size <= max_size_mb * 1e6),
    ]


def check_form(file: pathlib.Path) -> list[Verdict]:
    """Operators and signatures. Raises `ValueError` or `RuntimeError` where LiteRT cannot read the file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    operators, foreign = _operators(file)
    found = {}
    for name in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(name)
        ends = (runner.get_input_details(), runner.get_output_details())
        found[name] = [each["shape_signature"].tolist() for end in ends for each in end.values()]
    columns = [-1, len(lm.COLUMNS)]
    expected = {
        RECOGNISE: [columns, [-1, vocabulary.NUM_CHARACTERS]],
        FRAME_LOGITS: [columns, [-1, vocabulary.NUM_CLASSES]],
    }
    return [
        Verdict("operators", ", ".join(foreign) or f"{operators} kinds", "built-in ones only", not foreign),
        Verdict("signatures", _shown(found), _shown(expected), found == expected),
    ]


def compare(model, recognizer: Recognizer, clips: dict[str, np.ndarray], max_frames: int) -> Iterator[Answer]:
    """Yields the answers to each clip (T, P, 2), by its name."""
    from training.corpus import Corpus
    from training.recognition import frame_logits

    names = list(clips)
    trained = [_as_trained(clip) for clip in clips.values()]
    corpus = Corpus.read(Sequence(clip, " ", index, 0, "check") for index, clip in enumerate(trained))
    expected = frame_logits(model, corpus, max_frames=max_frames)
    for position, expected_TxV in track(expected, "checking", "sequences", total=len(clips)):
        name = names[position]
        # Twice: LiteRT has gone wrong in the second of two runs of equal length; see `training.layers`.
        recognizer.frame_logits(clips[name])
        logits_TxV = recognizer.frame_logits(clips[name])
        same_shape = logits_TxV.shape == expected_TxV.shape
        difference = np.abs(logits_TxV - expected_TxV).max() if same_shape else np.nan
        yield Answer(
            name,
            float(difference),
            max(1.0, float(np.abs(expected_TxV).max())),
            recognizer.text(clips[name]),
            _text(logits_TxV),
            _text(expected_TxV),
        )


def check_answers(answers: list[Answer], edge_cases: dict[str, np.ndarray], precision: Precision) -> list[Verdict]:
    """Of logits, of sequences and edge cases apart, and texts."""
    verdicts = []
    groups = {
        "logits": [each for each in answers if each.name not in edge_cases],
        "logits of edge cases": [each for each in answers if each.name in edge_cases],
    }
    for title, group in groups.items():
        off = [each.difference / each.largest for each in group]
        worst = int(np.argmax(np.nan_to_num(off, nan=np.inf)))
        shown = f"{off[worst]:.1e} in {group[worst].name}, of {len(group):,}"
        expected = f"at most {precision.tolerance:g} off, relative to the largest"
        # Written so that NaN fails too.
        verdicts.append(Verdict(title, shown, expected, off[worst] <= precision.tolerance))
    other = [each.name for each in answers if each.text != each.own]
    shown = f"{len(answers) - len(other):,} of {len(answers):,}" + (f", not in {other[0]}" if other else "")
    verdicts.append(Verdict("text is what the logits say", shown, "all", not other))
    equal = sum(each.text == each.trained for each in answers)
    # Within the tolerance of logits, only a tie can change the text.
    shown = f"{equal:,} of {len(answers):,} ({equal / len(answers):.1%})"
    verdicts.append(Verdict("texts of the trained model", shown, "all but ties" if precision.exact else "", None))
    return verdicts


def score_change(targets: list[str], first: list[str], second: list[str]) -> dict[str, Any]:
    """`evaluation.difference` of two recognitions of the same sequences."""
    texts = zip(targets, first, second, strict=True)
    totals_Nx3 = np.array([(len(t), scoring.edits(t, a), scoring.edits(t, b)) for t, a, b in texts])
    return evaluation.difference(totals_Nx3)


def shown_change(score: dict[str, Any]) -> str:
    low, high = score["interval"]
    return f"{score['difference']:+.4f} ({low:+.4f} to {high:+.4f})"


def checked_sequences(dataset: Dataset, phrase_share: float) -> tuple[list[Sequence], int]:
    """Those that a file is compared on, and how many of them, the first ones, its score is of.

    The score is of validation sequences alone: those that were trained on would flatter it, and by test signers nothing
    is decided. Only where there are none, it is of all.
    """
    from training.corpus import validation_sequences

    validation = list(itertools.islice(validation_sequences(dataset, phrase_share), CHECKED_SEQUENCES))
    known = {each.sequence_id for each in validation}
    others = itertools.chain.from_iterable(dataset.read(split) for split in (TRAIN, TEST) if dataset.count(split))
    rest = (each for each in others if each.sequence_id not in known)
    chosen = [*validation, *itertools.islice(rest, CHECKED_SEQUENCES - len(validation))]
    return chosen, len(validation) or len(chosen)


def prove(
    model,
    directory: pathlib.Path,
    dataset: Dataset,
    *,
    phrase_share: float,
    max_frames: int,
    trained_frames: int,
    quantize: str,
    limits: Limits,
    threads: int,
    max_score_loss: float,
) -> tuple[list[Verdict], dict[str, Any]]:
    """All checks of the export in `directory`, made of a `training.model.Recogniser`; and the figures of the report."""
    precision = PRECISIONS[quantize]
    weights = sum(int(np.prod(v.shape)) for v in model.network.trainable_variables)
    file = directory / MODEL
    figures: dict[str, Any] = {
        "model_sha256": directories.sha256_of(file),
        "bytes": file.stat().st_size,
        "parameters": weights,
        "max_frames": max_frames,
    }
    verdicts = check_size(file, weights=weights, precision=precision, max_size_mb=limits.max_size_mb)
    if not verdicts[0].passed:
        return verdicts, figures  # such a file may crash what reads it
    try:
        form = check_form(file)
        verdicts += form
        if not all(each.passed for each in form):
            return verdicts, figures
        recognizer = Recognizer(directory, threads=threads)
    except (ValueError, RuntimeError, UserError) as error:
        return [*verdicts, Verdict("LiteRT reads it", str(error), "both signatures", False)], figures
    sequences, scored = checked_sequences(dataset, phrase_share)
    cases = edge_cases(max_frames)
    named = {f"sequence {each.sequence_id}": each for each in sequences}
    clips = cases | {name: each.landmarks for name, each in named.items()}
    answers = {each.name: each for each in compare(model, recognizer, clips, max_frames)}
    verdicts += check_answers(list(answers.values()), cases, precision)
    targets = [each.label for each in sequences[:scored]]
    trained, exported = ([getattr(answers[name], which) for name in named][:scored] for which in ("trained", "text"))
    score = score_change(targets, trained, exported)
    verdicts.append(
        Verdict(
            "score",
            f"{score['second']:.4f} of {scored:,} sequences, {shown_change(score)}",
            f"{score['first']:.4f}, at most {max_score_loss:g} less",
            score["difference"] >= -max_score_loss,
        )
    )
    trimming = None
    if max_frames != trained_frames:
        trimming = score_change(targets, _texts_at(model, sequences[:scored], trained_frames), trained)
        title = f"score of {max_frames} frames"
        verdicts.append(Verdict(title, shown_change(trimming), f"trained with {trained_frames}", None))
    timed = latency.spread([each.num_frames for each in sequences], TIMED_SEQUENCES)
    times = latency.summary(latency.milliseconds(recognizer.recognize, [sequences[i].landmarks for i in timed]))
    asked = times[limits.statistic]
    shown = f"{limits.statistic} {asked:.1f} ms, threads: {threads}"
    expected = f"at most {limits.max_latency_ms:g} ms" if np.isfinite(limits.max_latency_ms) else ""
    verdicts.append(Verdict("latency", shown, expected, asked <= limits.max_latency_ms))
    worst = float(np.max([each.difference for each in answers.values()]))  # NaN where one is
    return verdicts, figures | {
        "sequences": len(sequences),
        "scored_sequences": scored,
        "edge_cases": len(cases),
        "largest_difference": worst if np.isfinite(worst) else None,
        "equal_texts": sum(each.text == each.trained for each in answers.values()) / len(answers),
        "score": score,
        "trimming": trimming,
        "latency_milliseconds": times,
    }


def edge_cases(max_frames: int) -> dict[str, np.ndarray]:
    """Landmarks (T, P, 2) that exports tend to fail on, by name."""
    random = np.random.default_rng(0)

    def clip(num_frames: int, *missing: slice) -> np.ndarray:
        # Points wander as hands do: in noise, a rounding error of the resampling would weigh as in no real clip.
        steps = random.normal(0, 0.01, (num_frames, lm.NUM_POINTS, 2))
        landmarks = (random.uniform(0, 1, (lm.NUM_POINTS, 2)) + np.cumsum(steps, axis=0)).astype(np.float32)
        for points in missing:
            landmarks[:, points] = np.nan
        return landmarks

    infinite = clip(40)
    infinite[10:20, :, 0] = np.inf
    infinite[15:25, :, 1] = -np.inf
    return {
        **{f"{n} frames": clip(n) for n in (0, 1, 2, 3, max_frames - 1, max_frames, max_frames + 1, 3 * max_frames)},
        "all missing": clip(20, slice(None)),
        "no hands": clip(50, lm.RIGHT_HAND, lm.LEFT_HAND),
        "no face": clip(50, lm.FACE),
        "only the right hand": clip(50, lm.FACE, lm.RIGHT_POSE, lm.LEFT_POSE, lm.LEFT_HAND),
        "no right hand": clip(50, lm.RIGHT_HAND),
        "infinite values": infinite,
    }


def _operators(file: pathlib.Path) -> tuple[int, list[str]]:
    """How many kinds of operators a file needs, and the names of those that LiteRT does not have built in."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(file.read_bytes(), 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    custom = [each for each in codes if each.CustomCode() or each.BuiltinCode() == schema.BuiltinOperator.CUSTOM]
    return len(codes), [(each.CustomCode() or b"?").decode() for each in custom]


def _shown(signatures: dict[str, list[list[int]]]) -> str:
    return "; ".join(f"{name} {' to '.join(map(str, shapes))}" for name, shapes in sorted(signatures.items()))


def _texts_at(model, sequences: list[Sequence], max_frames: int) -> list[str]:
    from training.corpus import Corpus
    from training.recognition import recognise

    return recognise(model, Corpus.read(sequences), max_frames=max_frames)


def _as_trained(landmarks_TxPx2: np.ndarray) -> np.ndarray:
    """What conversion would have made of a clip: infinite values are missing; at least one frame."""
    missing = np.full((max(0, 1 - len(landmarks_TxPx2)), lm.NUM_POINTS, 2), np.nan, np.float32)
    landmarks = np.concatenate([landmarks_TxPx2, missing])
    return np.where(np.isfinite(landmarks), landmarks, np.nan).astype(np.float32)


def _text(logits_TxV: np.ndarray) -> str:
    return without_filler(scoring.greedy_decode(np.argmax(logits_TxV, axis=-1)))
