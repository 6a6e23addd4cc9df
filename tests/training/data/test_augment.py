import dataclasses

import numpy as np
import pytest

from pipeline.tasks.body import POINTS
from pipeline.tasks.task import Points
from training import config as cfg
from training.data import augment
from training.network.features import Features

PROBABILITIES = [field.name for field in dataclasses.fields(cfg.Augment) if field.name.endswith("_probability")]
# What the batch plan draws, and `augment` does not.
PLANNED = {"resample_probability", "join_probability"}
# Of channels, not of landmarks.
OF_CHANNELS = {f"{name}_probability" for name in ("turn", "channel_scale", "noise", "channel_mask")}
CHANNELS = Points(names=tuple("abcdefg"), axes="v", rotations=((0, 1, 2), (4, 5, 6)))
NEVER = dataclasses.replace(cfg.Augment(), **dict.fromkeys(PROBABILITIES, 0.0))
ALWAYS = dataclasses.replace(NEVER, **dict.fromkeys(PROBABILITIES, 1.0))
NO_AFFINE = dict.fromkeys(("rotation_degrees", "shear", "shift", "hand_scale", "hand_shift"), 0.0)
AFFINE = dataclasses.replace(NEVER, affine_probability=1.0, **NO_AFFINE)
ONLY = {
    **{
        name.removesuffix("_probability"): dataclasses.replace(NEVER, **{name: 1.0})
        for name in PROBABILITIES
        if name not in PLANNED | OF_CHANNELS | {"affine_probability"}
    },
    "rotation": dataclasses.replace(AFFINE, rotation_degrees=30.0),
    "shear": dataclasses.replace(AFFINE, shear=0.15),
    "hand_scale": dataclasses.replace(AFFINE, hand_scale=0.2),
    "hand_shift": dataclasses.replace(AFFINE, hand_shift=0.1),
}
SEEDS = range(5)
FACE, RIGHT_HAND, LEFT_HAND, RIGHT_POSE, LEFT_POSE = POINTS.groups.values()
PLACES = [name for name in ONLY if name in ("mirror", "rotation", "shear", "hand_scale", "hand_shift")]


def applied(landmarks, config, seed=0):
    """Augmented; what was given is left as it was."""
    before = landmarks.copy()
    changed = augment.augment(landmarks, POINTS, config, np.random.default_rng(seed))
    np.testing.assert_array_equal(landmarks, before)
    assert changed.dtype == np.float32
    assert changed.shape == landmarks.shape
    return changed


def network_input(landmarks, kind="published"):
    layer = Features(POINTS, np.zeros(600), np.ones(600), kind=kind)
    return np.array(layer(landmarks[None], mask=np.ones((1, len(landmarks)), bool)))[0]


def difference(landmarks, changed, kind="published"):
    return np.abs(network_input(changed, kind) - network_input(landmarks, kind)).max()


@pytest.mark.parametrize("config", ONLY.values(), ids=ONLY)
def test_each_changes_what_the_network_sees(clip, config):
    landmarks = clip(20, np.s_[3:5, RIGHT_HAND])
    for seed in SEEDS:
        assert difference(landmarks, applied(landmarks, config, seed)) > 0.01


@pytest.mark.parametrize("name", ["rotation", "shear", "time_mask"])
def test_each_of_the_small_presets_changes_what_is_seen_of_a_hand_alone(clip, name):
    """What they draw besides, a hand alone takes back: see there."""
    assert cfg.PRESETS["small"].augment.spatial_mask_probability == cfg.PRESETS["small"].augment.mirror_probability == 0
    landmarks = clip(20, np.s_[3:5, RIGHT_HAND])
    for seed in SEEDS:
        assert difference(landmarks, applied(landmarks, ONLY[name], seed), "hand") > 0.01


def test_a_shift_changes_what_the_network_sees_where_there_is_no_face(clip):
    """Where there is one, the features are centred on it."""
    config = dataclasses.replace(AFFINE, shift=0.1)
    faceless = clip(8, np.s_[:, FACE])
    assert difference(faceless, applied(faceless, config)) > 0.02
    assert difference(clip(8), applied(clip(8), config)) < 1e-4


@pytest.mark.parametrize("changes", [{"hand_scale": 0.2}, {"hand_shift": 0.1}], ids=str)
def test_hands_are_scaled_and_shifted_against_the_rest(clip, changes):
    """About the image's middle, and both alike; the published scale and shift of everything would be taken back."""
    landmarks = clip(6)
    changed = applied(landmarks, dataclasses.replace(AFFINE, **changes), 3)
    for rest in (FACE, RIGHT_POSE, LEFT_POSE):
        np.testing.assert_allclose(changed[:, rest], landmarks[:, rest], atol=1e-6)
    amounts = []
    for hand in (RIGHT_HAND, LEFT_HAND):
        before, after = landmarks[:, hand] - 0.5, changed[:, hand] - 0.5
        if "hand_scale" in changes:
            amounts.append(np.full(2, np.median(after / before)))
            np.testing.assert_allclose(after, amounts[-1] * before, atol=1e-6)
            assert 0.8 <= amounts[-1][0] <= 1.2
        else:
            amounts.append((after - before)[0, 0])
            np.testing.assert_allclose(after, before + amounts[-1], atol=1e-6)
            assert np.abs(amounts[-1]).max() <= 0.1
    np.testing.assert_allclose(*amounts, atol=1e-5)


def test_resampling_changes_what_the_network_sees(clip):
    """The steps between frames become longer or shorter."""
    moving = np.cumsum(clip(20), axis=0)
    steps = network_input(moving)[4, 2::6]
    faster = network_input(augment.resample(moving, 10))[2, 2::6]
    assert np.abs(faster).mean() > 1.3 * np.abs(steps).mean()


def test_nothing_changes_with_probability_0(clips):
    for each in clips.values():
        np.testing.assert_array_equal(applied(each, NEVER), each)


@pytest.mark.parametrize("name", [*ONLY, "all"])
def test_missing_stays_missing(clips, name):
    config = ONLY.get(name, ALWAYS)
    for each in clips.values():
        missing = np.isnan(each)
        if config.mirror_probability:
            missing = missing[:, POINTS.mirror]
        for seed in SEEDS:
            found = np.isnan(applied(each, config, seed))
            assert found[missing].all()
            if name in PLACES:
                # A point without x or y has no place: turned, it has neither.
                half_missing = missing.any(axis=2, keepdims=True) if config.affine_probability else missing
                np.testing.assert_array_equal(found, np.broadcast_to(half_missing, found.shape))


def added(landmarks, changed):
    """(T, P) which points have become missing; none has moved, and none misses only x or y."""
    kept = ~np.isnan(changed)
    np.testing.assert_array_equal(changed[kept], landmarks[kept])
    lost = np.isnan(changed) & ~np.isnan(landmarks)
    np.testing.assert_array_equal(lost[..., 0], lost[..., 1])
    return lost[..., 0]


def test_time_mask(clip):
    """It adds a window of missing frames, 20-40 % of them, and changes no other value."""
    landmarks = clip(40, np.s_[:10, LEFT_HAND])
    windows = set()
    for seed in range(30):
        masked = added(landmarks, applied(landmarks, ONLY["time_mask"], seed)).any(axis=1)
        assert 7 <= masked.sum() <= 17
        first, last = np.flatnonzero(masked)[[0, -1]]
        assert last - first + 1 == masked.sum()
        windows.add((first, last))
    assert len(windows) > 20
    assert min(first for first, _ in windows) < 5
    assert max(last for _, last in windows) > 34


def test_spatial_mask():
    """In each frame what is inside one window, 20-40 % of the image wide and high, is missing: no more, no less."""
    grid = np.stack(np.meshgrid(np.linspace(0.01, 0.99, 10), np.linspace(0.01, 0.99, 10)), axis=-1).reshape(1, 100, 2)
    landmarks = np.repeat(np.roll(grid, 30, axis=1), 3, axis=0).astype(np.float32)
    landmarks[1] = 5.0  # all outside the image
    windows, sizes = set(), set()
    for seed in range(30):
        lost = added(landmarks, applied(landmarks, ONLY["spatial_mask"], seed))
        assert not lost[1].any()
        np.testing.assert_array_equal(lost[0], lost[2])
        inside = landmarks[0, lost[0]]
        low, high = inside.min(axis=0), inside.max(axis=0)
        within = ((landmarks[0] >= low) & (landmarks[0] <= high)).all(axis=1)
        np.testing.assert_array_equal(lost[0], within)
        windows.add((*low, *high))
        sizes |= set(((high - low) / (0.98 / 9) + 1).round().tolist())
    # Points are 0.11 apart.
    assert sizes <= {1, 2, 3, 4}
    assert {2, 3} <= sizes
    assert len(windows) > 15


@pytest.mark.parametrize(
    ("missing", "hand"),
    [(np.s_[2:4, RIGHT_HAND], RIGHT_HAND), (np.s_[2:4, LEFT_HAND], LEFT_HAND), (np.s_[0, 0], LEFT_HAND)],
    ids=["right seen less", "left seen less", "seen alike"],
)
def test_the_hand_that_spells_is_not_dropped(clip, missing, hand):
    landmarks = clip(9, missing)
    lost = added(landmarks, applied(landmarks, ONLY["drop_hand"]))
    expected = ~np.isnan(landmarks[..., 0])
    expected[:, [p for p in range(100) if not hand.start <= p < hand.stop]] = False
    np.testing.assert_array_equal(lost, expected)


@pytest.mark.parametrize(
    ("name", "parts"), [("drop_face", [FACE]), ("drop_pose", [RIGHT_POSE, LEFT_POSE])], ids=["face", "pose"]
)
def test_face_and_pose_are_dropped_whole(clip, name, parts):
    lost = added(clip(4), applied(clip(4), ONLY[name]))
    expected = np.zeros_like(lost)
    for part in parts:
        expected[:, part] = True
    np.testing.assert_array_equal(lost, expected)


def test_fingers_are_dropped_whole(clip):
    """Two to six of ten, in all frames; a finger is the four points after the wrist, of every hand alike."""
    seen = set()
    for seed in range(40):
        lost = added(clip(4), applied(clip(4), ONLY["drop_fingers"], seed))
        np.testing.assert_array_equal(lost, np.broadcast_to(lost[0], lost.shape))
        names = {POINTS.names[p] for p in np.flatnonzero(lost[0])}
        fingers = {(name.rsplit("_", 1)[0], (int(name.rsplit("_", 1)[1]) - 1) // 4) for name in names}
        assert names == {f"{hand}_{1 + 4 * finger + k}" for hand, finger in fingers for k in range(4)}
        assert {hand for hand, _ in fingers} <= {"right_hand", "left_hand"}
        assert 2 <= len(fingers) <= 6
        seen |= fingers
    assert len(seen) == 10


def test_mirrored_twice_is_the_same(clips):
    for each in clips.values():
        np.testing.assert_allclose(augment.mirror(augment.mirror(each, POINTS), POINTS), each, atol=1e-6)


def test_a_mirror_swaps_the_hands(clip):
    landmarks = clip(5, np.s_[:3, RIGHT_HAND])
    mirrored = augment.mirror(landmarks, POINTS)
    for here, there in ((RIGHT_HAND, LEFT_HAND), (RIGHT_POSE, LEFT_POSE)):
        np.testing.assert_allclose(mirrored[:, here, 0], 1 - landmarks[:, there, 0], atol=1e-6)
        np.testing.assert_array_equal(mirrored[:, here, 1], landmarks[:, there, 1])
        np.testing.assert_array_equal(mirrored[:, there, 1], landmarks[:, here, 1])
    np.testing.assert_allclose(mirrored[:, POINTS.centre, 0], 1 - landmarks[:, POINTS.centre, 0], atol=1e-6)


def test_a_rotation_is_rigid(clip):
    """There is one aspect ratio, within a tenth of 1.9, under which no distance between two points changes."""
    landmarks = clip(6)
    angles = []
    for seed in SEEDS:
        turned = applied(landmarks, ONLY["rotation"], seed)
        before = np.diff(landmarks.reshape(-1, 2)[::7].astype(np.float64), axis=0)
        after = np.diff(turned.reshape(-1, 2)[::7].astype(np.float64), axis=0)
        # dx^2 + a^2 dy^2 is the same before and after: a^2 by least squares.
        shrunk, grown = (before**2 - after**2).T * [[1], [-1]]
        square = (shrunk @ grown) / (grown @ grown)
        assert 0.9 * 1.9 <= np.sqrt(square) <= 1.1 * 1.9
        np.testing.assert_allclose(after**2 @ [1, square], before**2 @ [1, square], atol=1e-4)
        # The image's middle stays; a determinant of 1: turned, not reflected.
        middle = np.full((1, 100, 2), 0.5, np.float32)
        np.testing.assert_allclose(applied(middle, ONLY["rotation"], seed), 0.5, atol=1e-6)
        matrix = np.linalg.lstsq(before, after, rcond=None)[0]
        assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-4)
        angles.append(np.degrees(np.arccos(np.clip(matrix[0, 0], -1, 1))))
    assert max(angles) <= 30.1
    assert len({round(angle, 2) for angle in angles}) == len(SEEDS)


def test_what_points_of_another_kind_do_not_allow_is_left_out():
    """Without mirror, hands, face and pose, and not in an image: a window of the frames is masked, nothing else."""
    points = Points(names=("a", "b"), axes="xyz")
    landmarks = np.random.default_rng(0).normal(0, 1, (20, 2, 3)).astype(np.float32)
    found = augment.augment(landmarks, points, ALWAYS, np.random.default_rng(0))
    lost = np.isnan(found)
    np.testing.assert_array_equal(lost, np.broadcast_to(lost[:, :1, :1], lost.shape))
    assert 0.2 <= lost.mean() <= 0.45
    np.testing.assert_array_equal(found[~lost], landmarks[~lost])


def test_the_same_seed_gives_the_same(clip):
    landmarks = clip(12, np.s_[3:5])
    found = [applied(landmarks, ALWAYS, seed) for seed in SEEDS]
    for each, seed in zip(found, SEEDS, strict=True):
        np.testing.assert_array_equal(applied(landmarks, ALWAYS, seed), each)
    assert len({each.tobytes() for each in found}) == len(SEEDS)


@pytest.mark.parametrize("name", [name for name in ONLY if name in ("mirror", "time_mask", "drop_face")])
def test_probabilities(clip, name):
    config = dataclasses.replace(NEVER, **{f"{name}_probability": 0.3})
    landmarks = clip(3)
    changed = [not np.array_equal(applied(landmarks, config, seed), landmarks) for seed in range(200)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.1)


def test_resampling_to_the_same_length_is_the_identity(clips):
    for each in clips.values():
        np.testing.assert_array_equal(augment.resample(each, len(each)), each)


@pytest.mark.parametrize("new", [1, 2, 5, 13, 20, 33, 100])
def test_resampling_a_steady_movement(new):
    """Frame centres divide the time evenly: the middle stays the middle, and the steps are even but at the ends."""
    steady = np.broadcast_to(np.arange(20, dtype=np.float32)[:, None, None], (20, 3, 2))
    found = augment.resample(steady, new)
    assert found.shape == (new, 3, 2)
    expected = np.clip((np.arange(new) + 0.5) * 20 / new - 0.5, 0, 19)
    np.testing.assert_allclose(found[:, 0, 0], expected, atol=1e-4)


@pytest.mark.parametrize("new", [3, 7, 10, 15, 20, 21, 30, 39, 60])
def test_gaps_neither_spread_nor_close(clip, new):
    """A point is missing in a new frame exactly where it was in the old frame nearest in time."""
    landmarks = clip(20, np.s_[3:6], np.s_[10, LEFT_HAND], np.s_[15:, RIGHT_HAND], np.s_[0, 5, 1])
    found = augment.resample(landmarks, new)
    position = np.clip((np.arange(new) + 0.5) * 20 / new - 0.5, 0, 19)
    nearest = np.floor(position + 0.5).astype(int)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(landmarks[nearest]))
    between = np.nanmax(np.abs(landmarks))
    assert np.nanmax(np.abs(found)) <= between


def test_resampling_one_frame(clip):
    np.testing.assert_array_equal(augment.resample(clip(1), 4), np.repeat(clip(1), 4, axis=0))


def channels(num_frames=30, seed=0):
    values = np.random.default_rng(seed).normal(size=(num_frames, 7, 1)).astype(np.float32)
    values[:, 3] = 5.0  # a constant one
    values[4:6, 1] = np.nan
    return values


@pytest.mark.parametrize("name", sorted(OF_CHANNELS))
def test_channels_are_varied(name):
    """What is missing stays missing, what is given stays as it was, and landmarks are left alone."""
    values, config = channels(), dataclasses.replace(NEVER, **{name: 1.0})
    before = values.copy()
    for seed in SEEDS:
        changed = augment.augment(values, CHANNELS, config, np.random.default_rng(seed))
        assert changed.dtype == np.float32
        assert np.isnan(changed[4:6, 1]).all()
        assert np.nanmax(np.abs(changed - values)) > 0.01 or np.isnan(changed).sum() > np.isnan(values).sum()
    np.testing.assert_array_equal(values, before)
    landmarks = np.random.default_rng(0).random((5, 100, 2)).astype(np.float32)
    np.testing.assert_array_equal(applied(landmarks, config), landmarks)


def test_a_turn_keeps_the_length_of_three_axes():
    values, config = channels(), dataclasses.replace(NEVER, turn_probability=1.0, turn_degrees=180.0)
    values[4:6, 1] = 0.0
    changed = augment.augment(values, CHANNELS, config, np.random.default_rng(0))
    for axes in CHANNELS.rotations:
        lengths = [np.linalg.norm(each[:, axes, 0], axis=1) for each in (values, changed)]
        np.testing.assert_allclose(*lengths, rtol=1e-4)
    np.testing.assert_array_equal(changed[:, 3], values[:, 3])


def test_noise_leaves_a_constant_channel_constant():
    config = dataclasses.replace(NEVER, noise_probability=1.0)
    changed = augment.augment(channels(), CHANNELS, config, np.random.default_rng(0))
    assert set(changed[:, 3, 0].tolist()) == {5.0}
