import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pipeline import landmarks as lm
from pipeline.features import NUM_FEATURES
from training import augment
from training import config as cfg
from training.features import Features

NEVER = cfg.Augment(mirror_probability=0, affine_probability=0, time_mask_probability=0)
AFFINE = dataclasses.replace(NEVER, affine_probability=1)
NO_AFFINE = {"rotation_degrees": 0.0, "shear": 0.0, "shift": 0.0}
ONLY = {
    "mirror": dataclasses.replace(NEVER, mirror_probability=1),
    "rotation": dataclasses.replace(AFFINE, **NO_AFFINE | {"rotation_degrees": 30.0}),
    "shear": dataclasses.replace(AFFINE, **NO_AFFINE | {"shear": 0.15}),
    "time mask": dataclasses.replace(NEVER, time_mask_probability=1),
}
SEEDS = [np.array([0, seed], np.int32) for seed in range(5)]


def network_input(landmarks):
    layer = Features(np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES), hand_shape=False)
    return np.array(layer(landmarks[None], mask=np.ones((1, len(landmarks)), bool)))[0]


def difference(landmarks, changed):
    return np.abs(network_input(np.array(changed)) - network_input(landmarks)).max()


@pytest.mark.parametrize("config", ONLY.values(), ids=ONLY)
def test_each_changes_what_the_network_sees(clip, config):
    landmarks = clip(20, np.s_[3:5, lm.RIGHT_HAND])
    for seed in SEEDS:
        changed = augment.augment(landmarks, config, seed)
        assert changed.shape == landmarks.shape
        assert difference(landmarks, changed) > 0.02


def test_a_shift_changes_what_the_network_sees_where_there_is_no_face(clip):
    """Where there is one, the features are centred on it."""
    config = dataclasses.replace(AFFINE, **NO_AFFINE | {"shift": 0.1})
    faceless = clip(8, np.s_[:, lm.FACE])
    assert difference(faceless, augment.augment(faceless, config, SEEDS[0])) > 0.02
    assert difference(clip(8), augment.augment(clip(8), config, SEEDS[0])) < 1e-4


def test_resampling_changes_what_the_network_sees(clip):
    """The steps between frames become longer or shorter."""
    moving = np.cumsum(clip(20), axis=0)
    steps = network_input(moving)[4, 2::6]
    faster = network_input(np.array(augment.resample(moving, 10)))[2, 2::6]
    assert np.abs(faster).mean() > 1.3 * np.abs(steps).mean()


def test_nothing_changes_with_probability_0(clips):
    for each in clips.values():
        np.testing.assert_array_equal(augment.augment(each, NEVER, SEEDS[0]), each)


@pytest.mark.parametrize("name", [*ONLY, "all"])
def test_missing_stays_missing(clips, name):
    config = ONLY.get(name, cfg.Augment(mirror_probability=1, affine_probability=1, time_mask_probability=1))
    for each in clips.values():
        missing = np.isnan(each)
        if config.mirror_probability:
            missing = missing[:, lm.MIRROR]
        for seed in SEEDS:
            found = np.isnan(augment.augment(each, config, seed))
            assert found[missing].all()
            if not config.time_mask_probability:
                # A point without x or y has no place: turned, it has neither.
                half_missing = missing.any(axis=2, keepdims=True) if config.affine_probability else missing
                np.testing.assert_array_equal(found, np.broadcast_to(half_missing, found.shape))


def test_time_mask(clip):
    """It adds a window of missing frames, 20-40 % of them, and changes no other value."""
    landmarks = clip(40, np.s_[:10, lm.LEFT_HAND])
    windows = set()
    for seed in range(30):
        found = augment.time_mask(landmarks, cfg.Augment(), np.array([seed, 1], np.int32)).numpy()
        masked = np.isnan(found).all(axis=(1, 2))
        np.testing.assert_array_equal(found[~masked], landmarks[~masked])
        assert 7 <= masked.sum() <= 17
        first, last = np.flatnonzero(masked)[[0, -1]]
        assert last - first + 1 == masked.sum()
        windows.add((first, last))
    assert len(windows) > 20
    assert min(first for first, _ in windows) < 5
    assert max(last for _, last in windows) > 34


def test_mirrored_twice_is_the_same(clips):
    for each in clips.values():
        np.testing.assert_allclose(augment.mirror(augment.mirror(each)), each, atol=1e-6)


def test_a_mirror_swaps_the_hands(clip):
    landmarks = clip(5, np.s_[:3, lm.RIGHT_HAND])
    mirrored = augment.mirror(landmarks).numpy()
    for here, there in ((lm.RIGHT_HAND, lm.LEFT_HAND), (lm.RIGHT_POSE, lm.LEFT_POSE)):
        np.testing.assert_allclose(mirrored[:, here, 0], 1 - landmarks[:, there, 0], atol=1e-6)
        np.testing.assert_array_equal(mirrored[:, here, 1], landmarks[:, there, 1])
        np.testing.assert_array_equal(mirrored[:, there, 1], landmarks[:, here, 1])
    np.testing.assert_allclose(mirrored[:, lm.CENTRE_POINT, 0], 1 - landmarks[:, lm.CENTRE_POINT, 0], atol=1e-6)


def test_a_rotation_is_rigid(clip):
    """There is one aspect ratio, within a tenth of 1.9, under which no distance between two points changes."""
    landmarks = clip(6)
    angles = []
    for seed in SEEDS:
        turned = augment.affine(landmarks, ONLY["rotation"], seed).numpy()
        before = np.diff(landmarks.reshape(-1, 2)[::7].astype(np.float64), axis=0)
        after = np.diff(turned.reshape(-1, 2)[::7].astype(np.float64), axis=0)
        # dx^2 + a^2 dy^2 is the same before and after: a^2 by least squares.
        shrunk, grown = (before**2 - after**2).T * [[1], [-1]]
        square = (shrunk @ grown) / (grown @ grown)
        assert 0.9 * 1.9 <= np.sqrt(square) <= 1.1 * 1.9
        np.testing.assert_allclose(after**2 @ [1, square], before**2 @ [1, square], atol=1e-4)
        # The image's middle stays; a determinant of 1: turned, not reflected.
        np.testing.assert_allclose(augment.affine(np.full((1, 1, 2), 0.5, np.float32), ONLY["rotation"], seed), 0.5)
        matrix = np.linalg.lstsq(before, after, rcond=None)[0]
        assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-4)
        angles.append(np.degrees(np.arccos(np.clip(matrix[0, 0], -1, 1))))
    assert max(angles) <= 30.1
    assert len({round(angle, 2) for angle in angles}) == len(SEEDS)


def test_the_same_seed_gives_the_same(clip):
    landmarks = clip(12, np.s_[3:5])
    config = cfg.Augment(mirror_probability=0.5, affine_probability=1, time_mask_probability=1)
    graph = tf.function(lambda seed: augment.augment(landmarks, config, seed))
    found = [augment.augment(landmarks, config, seed).numpy() for seed in SEEDS]
    for each, seed in zip(found, SEEDS, strict=True):
        np.testing.assert_array_equal(augment.augment(landmarks, config, seed), each)
        np.testing.assert_allclose(graph(tf.constant(seed)), each, atol=1e-6)
    assert len({each.tobytes() for each in found}) == len(SEEDS)


def test_probabilities(clip):
    config = dataclasses.replace(NEVER, mirror_probability=0.3)
    landmarks = clip(1)
    changed = [
        not np.array_equal(augment.augment(landmarks, config, np.array([7, seed], np.int32)), landmarks)
        for seed in range(200)
    ]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.1)


def test_resampling_to_the_same_length_is_the_identity(clips):
    for each in clips.values():
        np.testing.assert_array_equal(augment.resample(each, len(each)), each)


@pytest.mark.parametrize("new", [1, 2, 5, 13, 20, 33, 100])
def test_resampling_a_steady_movement(new):
    """Frame centres divide the time evenly: the middle stays the middle, and the steps are even but at the ends."""
    steady = np.broadcast_to(np.arange(20, dtype=np.float32)[:, None, None], (20, 3, 2))
    found = augment.resample(steady, new).numpy()
    assert found.shape == (new, 3, 2)
    expected = np.clip((np.arange(new) + 0.5) * 20 / new - 0.5, 0, 19)
    np.testing.assert_allclose(found[:, 0, 0], expected, atol=1e-4)


@pytest.mark.parametrize("new", [3, 7, 10, 15, 20, 21, 30, 39, 60])
def test_gaps_neither_spread_nor_close(clip, new):
    """A point is missing in a new frame exactly where it was in the old frame nearest in time."""
    landmarks = clip(20, np.s_[3:6], np.s_[10, lm.LEFT_HAND], np.s_[15:, lm.RIGHT_HAND], np.s_[0, 5, 1])
    found = augment.resample(landmarks, new).numpy()
    position = np.clip((np.arange(new) + 0.5) * 20 / new - 0.5, 0, 19)
    nearest = np.floor(position + 0.5).astype(int)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(landmarks[nearest]))
    between = np.nanmax(np.abs(landmarks))
    assert np.nanmax(np.abs(found)) <= between


def test_resampling_one_frame(clip):
    np.testing.assert_array_equal(augment.resample(clip(1), 4), np.repeat(clip(1), 4, axis=0))
