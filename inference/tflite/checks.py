"""The proof that an exported file is the trained model: checks of the file, and of its answers in LiteRT.

Shapes: T frames, P points, D dimensions of a point, N clips.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from inference import latency
from inference.latency import Limits
from inference.recognizer import MODEL, RECOGNIZE, SERVING, Recognizer, as_inputs
from inference.tflite import fixed
from inference.tflite.conversion import WEIGHTS, Weights
from inference.window import FIXED, Window
from pipeline.common import native_output
from pipeline.common.errors import UserError
from pipeline.common.progress import track
from pipeline.dataset.clips import Clip
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import TEST, TRAIN
from pipeline.scores import analysis
from pipeline.tasks.task import Task
from training.data.corpus import Corpus
from training.data.holdout import Holdout
from training.runs import Run

CHECKED_CLIPS = 1000
TIMED_CLIPS = 100


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is exported, and what it must keep to.

    Attributes:
      weights: how they are stored, of `conversion.WEIGHTS`.
      threads: that latency is measured with.
      max_score_loss: most that the score may be below the trained model's, at the same frame budget.
      fixed_frames: of the second file, of fixed shape; None where there is none.
    """

    weights: str
    max_frames: int
    limits: Limits
    threads: int
    max_score_loss: float
    fixed_frames: int | None = None

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"limits": str(self.limits)}


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
      difference: the largest of an output; NaN where one is NaN, or their number differs.
      largest: the trained model's largest output, or 1.
      answer: the label that the file gives as the competition asks.
      own: the label that its own outputs say, which must be the same.
      trained: the label that the trained model says.
      fixed_difference: as `difference`, of the file of fixed shape; None where there is none, or the clip is longer.
    """

    name: str
    difference: float
    largest: float
    answer: str
    own: str
    trained: str
    fixed_difference: float | None = None


def check_size(file: pathlib.Path, *, numbers: int, weights: Weights, max_size_mb: float) -> list[Verdict]:
    """Against how many numbers training changed, and against the limit."""
    size = file.stat().st_size
    least = numbers * weights.bytes
    return [
        Verdict("holds its weights", f"{size:,} bytes", f"at least {least:,}, of {numbers:,} weights", size >= least),
        Verdict("size", f"{size / 1e6:.2f} MB", f"at most {max_size_mb:g} MB", size <= max_size_mb * 1e6),
    ]


def check_form(file: pathlib.Path, task: Task) -> list[Verdict]:
    """Operators and signatures. Raises `ValueError` or `RuntimeError` where LiteRT cannot read the file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    operators, foreign = _operators(file)
    found = {}
    for name in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(name)
        ends = (runner.get_input_details(), runner.get_output_details())
        found[name] = [each["shape_signature"].tolist() for end in ends for each in end.values()]
    answer = task.contract.answer_shape(len(task.classes))
    expected = [[-1, *task.contract.frame], list(answer)]
    first = interpreter.get_output_details()
    first_is_right = len(first) == 1 and first[0]["shape_signature"].tolist() == expected[1]
    return [
        Verdict("operators", ", ".join(foreign) or f"{operators} kinds", "built-in ones only", not foreign),
        Verdict("signatures", _shown(found), f"{RECOGNIZE}, {SERVING}", sorted(found) == sorted([RECOGNIZE, SERVING])),
        Verdict(f"shapes of {SERVING}", str(found.get(SERVING)), str(expected), found.get(SERVING) == expected),
        Verdict("first subgraph", str([each["name"] for each in first]), f"that of {SERVING}", first_is_right),
    ]


def check_fixed_form(file: pathlib.Path) -> list[Verdict]:
    """Operators and shapes of the file of fixed shape."""
    operators, foreign = _operators(file)
    dynamic = fixed.dynamic_shapes(file)
    return [
        Verdict(f"operators of {FIXED}", ", ".join(foreign) or f"{operators} kinds", "built-in ones only", not foreign),
        Verdict(f"shapes of {FIXED}", ", ".join(dynamic[:3]) or "all fixed", "all fixed", not dynamic),
    ]


def compare(
    model, recognizer: Recognizer, clips: dict[str, np.ndarray], settings: Settings, window: Window | None = None
) -> Iterator[Answer]:
    """Yields the answers to each clip (T, P, D), by its name."""
    from training.predict import clip_outputs, prediction

    task = recognizer.task
    names = list(clips)
    given = [Clip(_as_trained(clip), task.decode([0]), index, 0, "check") for index, clip in enumerate(clips.values())]
    corpus = Corpus.of_clips(given, task)
    expected = clip_outputs(model, corpus, max_frames=settings.max_frames)
    for position, trained in track(expected, "checking", "clips", total=len(clips)):
        clip = clips[names[position]]
        # Twice: LiteRT has gone wrong in the second of two runs of equal length; see `training.network.layers`.
        recognizer.outputs(clip)
        outputs = recognizer.outputs(clip)
        difference = np.abs(outputs - trained).max() if outputs.shape == trained.shape else np.nan
        yield Answer(
            name=names[position],
            difference=float(difference),
            largest=max(1.0, float(np.abs(trained).max())),
            answer=recognizer.answer(clip),
            own=recognizer.recognize(clip).label,
            trained=prediction(model, trained),
            fixed_difference=(
                fixed.difference(window, as_inputs(clip, task), trained)
                if window and len(clip) <= window.frames
                else None
            ),
        )


def check_answers(answers: list[Answer], edge_cases: dict[str, np.ndarray], weights: Weights) -> list[Verdict]:
    """Of outputs, of clips and edge cases apart, and predictions."""
    verdicts = []
    groups = {
        "outputs": [(each, each.difference) for each in answers if each.name not in edge_cases],
        "outputs of edge cases": [(each, each.difference) for each in answers if each.name in edge_cases],
    }
    if fitting := [(each, each.fixed_difference) for each in answers if each.fixed_difference is not None]:
        groups[f"outputs of {FIXED}"] = fitting
    for title, group in groups.items():
        off = [difference / each.largest for each, difference in group]
        worst = int(np.argmax(np.nan_to_num(off, nan=np.inf)))
        shown = f"{off[worst]:.1e} in {group[worst][0].name}, of {len(group):,}"
        expected = f"at most {weights.tolerance:g} off, relative to the largest"
        # Written so that NaN fails too.
        verdicts.append(Verdict(title, shown, expected, off[worst] <= weights.tolerance))
    other = [each.name for each in answers if each.answer != each.own]
    shown = f"{len(answers) - len(other):,} of {len(answers):,}" + (f", not in {other[0]}" if other else "")
    verdicts.append(Verdict("answer is what the outputs say", shown, "all", not other))
    equal = sum(each.answer == each.trained for each in answers)
    # Within the tolerance of outputs, only a tie can change the prediction.
    shown = f"{equal:,} of {len(answers):,} ({equal / len(answers):.1%})"
    expected = "only ties may differ" if weights.exact else "told, not judged"
    verdicts.append(Verdict("predictions of the trained model", shown, expected, None))
    return verdicts


def score_change(task: Task, labels: list[str], first: list[str], second: list[str]) -> dict[str, Any]:
    """`analysis.difference` of two predictions of the same clips."""
    rows = zip(labels, first, second, strict=True)
    totals_Nx3 = np.array([(task.units(t), task.errors(t, a), task.errors(t, b)) for t, a, b in rows])
    return analysis.difference(totals_Nx3)


def shown_change(score: dict[str, Any]) -> str:
    low, high = score["interval"]
    return f"{score['difference']:+.4f} ({low:+.4f} to {high:+.4f})"


def checked_clips(dataset: Dataset, trained: Run) -> tuple[list[Clip], int]:
    """Those that a file is compared on, and how many of them, the first ones, its score is of.

    The score is of validation clips alone: those that were trained on would flatter it, and by test signers nothing
    is decided. Only where there are none, it is of all.
    """
    holdout = Holdout.of(dataset, trained.config.data)
    validation = list(itertools.islice(holdout.read_validation(dataset), CHECKED_CLIPS))
    known = {each.sequence_id for each in validation}
    others = itertools.chain.from_iterable(dataset.read(split) for split in (TRAIN, TEST) if dataset.count(split))
    rest = (each for each in others if each.sequence_id not in known)
    chosen = [*validation, *itertools.islice(rest, CHECKED_CLIPS - len(validation))]
    return chosen, len(validation) or len(chosen)


def prove(
    model, directory: pathlib.Path, dataset: Dataset, trained: Run, settings: Settings
) -> tuple[list[Verdict], dict[str, Any]]:
    """All checks of the export in `directory`, made of the `model` of a run; and the figures of the report."""
    from training.predict import fits, predict  # only now: it needs Keras

    task, limits = trained.task, settings.limits
    weights = WEIGHTS[settings.weights]
    file = directory / MODEL
    figures: dict[str, Any] = {
        "bytes": file.stat().st_size,
        "parameters": model.trained_weights,
        "max_frames": settings.max_frames,
    }
    verdicts = check_size(file, numbers=model.trained_weights, weights=weights, max_size_mb=limits.max_size_mb)
    if not verdicts[0].passed:
        return verdicts, figures  # such a file may crash what reads it
    window = None
    try:
        with native_output.without_remarks():
            form = check_form(file, task)
            if settings.fixed_frames:
                form += check_fixed_form(directory / FIXED)
            verdicts += form
            if not all(each.passed for each in form):
                return verdicts, figures
            recognizer = Recognizer(directory, threads=settings.threads)
            if settings.fixed_frames:
                window = Window(directory, threads=settings.threads)
                figures["fixed_frames"] = window.frames
    except (ValueError, RuntimeError, UserError) as error:
        return [*verdicts, Verdict("LiteRT reads it", str(error), "both signatures", False)], figures
    clips, scored = checked_clips(dataset, trained)
    cases = edge_cases(task, settings.max_frames)
    named = {f"clip {each.sequence_id}": each for each in clips}
    landmarks = cases | {name: each.landmarks for name, each in named.items()}
    answers = {each.name: each for each in compare(model, recognizer, landmarks, settings, window)}
    verdicts += check_answers(list(answers.values()), cases, weights)
    labels = [each.label for each in clips[:scored]]
    corpus = Corpus.of_clips(clips[:scored], task)
    expected, exported = ([getattr(answers[name], which) for name in named][:scored] for which in ("trained", "answer"))
    score = score_change(task, labels, expected, exported)
    verdicts.append(
        Verdict(
            "score",
            f"{score['second']:.4f} of {scored:,} clips, {shown_change(score)}",
            f"{score['first']:.4f}, at most {settings.max_score_loss:g} less",
            score["difference"] >= -settings.max_score_loss,
        )
    )
    trimming = None
    trained_frames = trained.config.data.max_frames
    if settings.max_frames != trained_frames:
        untrimmed = predict(model, corpus, max_frames=trained_frames)
        trimming = score_change(task, labels, untrimmed, expected)
        title = f"score of {settings.max_frames} frames"
        verdicts.append(Verdict(title, shown_change(trimming), f"trained with {trained_frames}", None))
    if too_few_frames := int((~fits(model, corpus, max_frames=settings.max_frames)).sum()):
        said = f"{too_few_frames:,} of {scored:,} clips with fewer frames of the encoder than their label takes"
        verdicts.append(Verdict("frames for labels", said, "they cannot be read", None))
    timed = latency.spread([each.num_frames for each in clips], TIMED_CLIPS)
    times = latency.summary(latency.milliseconds(recognizer.recognize, [clips[i].landmarks for i in timed]))
    asked = times[limits.statistic]
    shown = f"{limits.statistic} {asked:.1f} ms, threads: {settings.threads}"
    allowed = f"at most {limits.max_latency_ms:g} ms" if np.isfinite(limits.max_latency_ms) else ""
    verdicts.append(Verdict("latency", shown, allowed, asked <= limits.max_latency_ms))
    worst = float(np.max([each.difference for each in answers.values()]))  # NaN where one is
    return verdicts, figures | {
        "clips": len(clips),
        "scored_clips": scored,
        "edge_cases": len(cases),
        "largest_difference": worst if np.isfinite(worst) else None,
        "equal_predictions": sum(each.answer == each.trained for each in answers.values()) / len(answers),
        "score": score,
        "trimming": trimming,
        "too_few_frames": too_few_frames,
        "latency_milliseconds": times,
    }


def edge_cases(task: Task, max_frames: int) -> dict[str, np.ndarray]:
    """Landmarks (T, P, D) that exports tend to fail on, by name."""
    random = np.random.default_rng(0)
    points = task.points
    groups = list(points.groups)

    def clip(num_frames: int, *missing: str) -> np.ndarray:
        # Points wander as hands do: in noise, a rounding error of the resampling would weigh as in no real clip.
        steps = random.normal(0, 0.01, (num_frames, *points.shape))
        landmarks = (random.uniform(0, 1, points.shape) + np.cumsum(steps, axis=0)).astype(np.float32)
        landmarks[:, points.indices(*missing)] = np.nan
        return landmarks

    infinite = clip(40)
    infinite[10:20, :, 0] = np.inf
    infinite[15:25, :, -1] = -np.inf
    hands = points.hands or ()
    return {
        **{f"{n} frames": clip(n) for n in (0, 1, 2, 3, max_frames - 1, max_frames, max_frames + 1, 3 * max_frames)},
        "all missing": np.full((20, *points.shape), np.nan, np.float32),
        "infinite values": infinite,
        **{f"no {group.replace('_', ' ')}": clip(50, group) for group in groups},
        **({"no hands": clip(50, *hands)} if hands else {}),
        **{
            f"only the {hand.replace('_', ' ')}": clip(50, *(group for group in groups if group != hand))
            for hand in hands
        },
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


def _as_trained(landmarks_TxPxD: np.ndarray) -> np.ndarray:
    """What conversion would have made of a clip: infinite values are missing; at least one frame."""
    missing = np.full((max(0, 1 - len(landmarks_TxPxD)), *landmarks_TxPxD.shape[1:]), np.nan, np.float32)
    landmarks = np.concatenate([landmarks_TxPxD, missing])
    return np.where(np.isfinite(landmarks), landmarks, np.nan).astype(np.float32)
