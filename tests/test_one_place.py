"""A new task is one class, a new encoder another: both go the whole path without a change anywhere else."""

import csv
import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import tasks
from pipeline.common.errors import UserError
from pipeline.tasks.faults import EMPTY_LABEL, Fault
from pipeline.tasks.task import ExportContract, MetadataColumns, Points, Task, WideParquet
from training.network.encoders import ENCODERS, EncoderSettings
from training.settings import setting

POINTS = Points(names=("thumb", "palm", "elbow"), axes="xyz", groups={"hand": slice(0, 2)})


@dataclasses.dataclass(frozen=True)
class Morse(Task):
    """Letters of an alphabet that the data folder tells, three points with a depth, other column names."""

    alphabet: str

    name = "morse"
    points = POINTS
    metadata = MetadataColumns(label="letters", file="clips.csv", path="file", id="clip", signer="who")
    layout = WideParquet(
        id="clip", frame="number", values=tuple(f"{name}.{axis}" for name in POINTS.names for axis in "xyz")
    )
    head = "ctc"
    holdout = "signers"
    unit = "letters"
    visible = "a palm"
    plausible_rule = "a frame for each letter"
    contract = ExportContract(
        columns=tuple(f"{name}.{axis}" for name in POINTS.names for axis in "zyx"),  # in an order of its own
        frame=(9,),
        index=np.arange(9).reshape(3, 3)[:, ::-1],
        filler=0,
        max_mb=1.0,
        max_hours=1.0,
        test_clips=10,
    )

    @classmethod
    def of_data(cls, data, labels):
        return cls(json.loads((data / "alphabet.json").read_text(encoding="utf-8")))

    @property
    def classes(self):
        return tuple(self.alphabet)

    def label_fault(self, label):
        return None if label else Fault(EMPTY_LABEL, "no letters")

    def encode(self, label):
        return [self.alphabet.index(letter) for letter in label]

    def decode(self, indices):
        return "".join(self.alphabet[i] for i in indices)

    def edits(self, label, prediction):
        return [] if label == prediction else [(label, prediction)]

    def errors(self, label, prediction):
        return int(label != prediction)

    def units(self, label):
        return 1

    def seen(self, landmarks_TxPxD):
        return ~np.isnan(landmarks_TxPxD[:, 1, 0])

    def plausible(self, landmarks_TxPxD, label):
        return len(landmarks_TxPxD) >= len(label)


@dataclasses.dataclass(frozen=True)
class Halving(EncoderSettings):
    """A dense layer, and the mean of every two frames."""

    name = "halving"

    width: int = setting(8, "channels", at_least=1)

    def frames(self, num_frames):
        return (num_frames + 1) // 2

    def make(self):
        import keras
        from keras import ops

        from training.network.layers import Dense, MaskedLayer

        class Layer(MaskedLayer):
            def __init__(self, width):
                super().__init__(name="encoder")
                self.width = width
                self.dense = Dense(width, activation="tanh", name="dense")
                self.pool = keras.layers.AveragePooling1D(2, padding="same")

            def build(self, shape):
                self.dense.build(shape)

            def call(self, x, mask, training=False):
                real = ops.cast(mask, "float32")[:, :, None]
                pooled, share = self.pool(self.dense(x) * real), self.pool(real)
                return pooled / ops.maximum(share, 0.1), share[:, :, 0] > 0

        return Layer(self.width)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(tasks.TASKS, Morse.name, Morse)
    monkeypatch.setitem(ENCODERS, Halving.name, Halving)


@pytest.fixture
def data(tmp_path):
    """A folder of 40 clips by 5 people, in the columns of `Morse`."""
    folder = tmp_path / "data"
    (folder / "clips").mkdir(parents=True)
    (folder / "alphabet.json").write_text('"est"')
    random = np.random.default_rng(0)
    lines = [("file", "clip", "who", "letters")]
    tables = []
    for clip in range(40):
        letters = "".join(random.choice(list("est"), random.integers(1, 4)))
        frames = int(random.integers(8, 20))
        values = random.normal(0, 1, (frames, 9)).astype(np.float32)
        columns = {"clip": np.full(frames, clip), "number": np.arange(frames)}
        tables.append(pa.table(columns | dict(zip(Morse.layout.values, values.T, strict=True))))
        lines.append(("clips/a.parquet", clip, clip % 5, letters))
    pq.write_table(pa.concat_tables(tables), folder / "clips/a.parquet")
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return folder


def test_the_whole_path_of_a_new_task_with_a_new_encoder(registered, data, tmp_path, command, capsys):
    from inference import evaluate, export, recognize, submit
    from inference.recognizer import Recognizer
    from pipeline import convert, inspect, report
    from pipeline import filter as filter_command
    from pipeline.dataset.dataset import Dataset
    from training import score, train

    settings = ["--preset", "small"]
    for change in ("encoder.width=6", "encoder.name=halving", "data.max_frames=12"):
        settings += ["--set", change]
    for change in ("data.validation_share=0.4", "optimizer.epochs=2", "optimizer.batch_size=4"):
        settings += ["--set", change]
    place = {name: tmp_path / name for name in ("dataset", "base", "scores", "filtered", "final", "model", "result")}
    dataset, base, scores, filtered, final, model, result = place.values()
    words = ["--data", data, "--output", dataset, "--task", "morse", "--test-signers", 4, "--workers", 1]
    with pytest.raises(UserError, match="--swap-hands: the task morse has no left and right hand"):
        command(convert, *words, "--swap-hands")
    command(convert, *words)
    command(train, "--dataset", dataset, "--output", base, *settings)
    command(score, "--run", base, "--dataset", dataset, "--output", scores)
    given = ("--dataset", dataset, "--scores", scores, "--output", filtered)
    command(filter_command, *given, "--threshold", 0, "--workers", 1)
    command(train, "--dataset", filtered, "--output", final, *settings)
    command(export, "--run", final, "--dataset", filtered, "--output", model)
    command(evaluate, "--model", model, "--dataset", filtered, "--output", result)
    command(submit, "--model", model, "--data", data, "--output", tmp_path / "submission", "--signers", 4)
    command(report, scores, "--split", "train")
    command(inspect, dataset, "--verify")
    command(inspect, dataset, "--record", 3)
    said = capsys.readouterr().out
    assert "without a palm" in said and "letters" in said
    assert Dataset.open(filtered).task == Morse("est")
    recognizer = Recognizer(model)
    landmarks = np.random.default_rng(1).normal(0, 1, (9, 3, 3))
    assert recognizer.task == Morse("est")
    assert recognizer.outputs(landmarks).shape == (5, 4)  # half of the frames; three letters and the blank
    command(recognize, data / "clips", "--model", model)
    with pytest.raises(UserError, match="--swap-hands: the task morse has no left and right hand"):
        command(recognize, data / "clips", "--model", model, "--swap-hands")
    assert len(capsys.readouterr().out.splitlines()) == 40
