"""The page's points, under node: where they come from, and frames at an even rate."""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from inference import libraries
from pipeline.tasks import body

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="NOT CHECKED: the page's points: there is no node")
MODULE = pathlib.Path(libraries.WEB, "points.js").as_uri()


def said(script: str, given: object) -> list:
    """What a script prints of `given`; NaN comes and goes as null."""
    head = f"import {{Pace, between, placeOf, pointsOf}} from {json.dumps(MODULE)};\n"
    head += f"const given = {json.dumps(given)};\nconst frame = (row) => Float32Array.from(row, (v) => v ?? NaN);\n"
    head += "const print = (rows) => console.log(JSON.stringify(rows.map((row) => [...row])));\n"
    words = ["node", "--input-type=module", "-e", head + script]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PACED = """
const pace = new Pace(30);
print(given.flatMap(([seconds, row]) => pace.push(seconds, frame(row))));
"""


def paced(times, values) -> np.ndarray:
    given = [
        [float(t), [None if np.isnan(v) else float(v) for v in np.atleast_1d(row)]]
        for t, row in zip(times, values, strict=True)
    ]
    return np.array(said(PACED, given), float)


def test_recordings_at_the_rate_stay_as_they_are():
    """Also where clocks are not exact."""
    values = np.random.default_rng(0).random((90, 2)).astype(np.float32)
    np.testing.assert_array_equal(paced(np.arange(90) / 30, values), values)
    np.testing.assert_array_equal(paced(np.round(np.arange(90) / 30, 5), values), values)


@pytest.mark.parametrize("rate", [10, 15, 24, 60])
def test_other_rates_are_interpolated(rate):
    times = np.arange(4 * rate) / rate
    found = paced(times, 100 * times)[:, 0]
    np.testing.assert_allclose(found, 100 * np.arange(len(found)) / 30, atol=0.05)
    assert len(found) == pytest.approx(30 * times[-1], abs=1.1)


def test_a_gap_neither_spreads_nor_closes():
    found = paced([0, 0.1, 0.2], [1.0, np.nan, 3.0])[:, 0]
    np.testing.assert_array_equal(np.isnan(found), [False, False, True, True, True, False, False])
    np.testing.assert_array_equal(found[~np.isnan(found)], [1, 1, 3, 3])


def test_where_nothing_came_for_long_frames_are_missing():
    found = paced([0, 1.5, 9.5], [1.0, 2.0, 3.0])[:, 0]
    assert np.isnan(found).sum() == 45 + 90  # three seconds at most
    np.testing.assert_array_equal(found[~np.isnan(found)], [1, 2, 3])


def test_points_are_those_of_their_names():
    """Of lists as MediaPipe gives them, in which each point says which one it is; a part may lack."""
    script = """
    const list = (part, count) => Array.from({length: count}, (_, i) => ({x: part, y: i}));
    const places = given.map(placeOf);
    const results = {faceLandmarks: list(1, 468), poseLandmarks: list(2, 33), rightHandLandmarks: list(4, 21)};
    print([pointsOf(results, places)]);
    """
    (values,) = said(script, list(body.POINTS.names))
    found = np.array(values, float).reshape(-1, 2)
    parts = {"face": 1, "pose": 2, "left_hand": np.nan, "right_hand": 4}
    names = [name.rpartition("_") for name in body.POINTS.names]
    expected = [(parts[part], int(number) if part != "left_hand" else np.nan) for part, _, number in names]
    np.testing.assert_array_equal(found, expected)


def test_other_names_have_no_place():
    assert said("console.log(JSON.stringify(given.map(placeOf)));", ["x", "ankle_3", "sensor 1"]) == [None] * 3
