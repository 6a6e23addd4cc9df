from pipeline.dataset import writers


def test_column_names():
    assert len(writers.POINT_COLUMNS) == 3 * writers.NUM_POINTS
    for name, points in (("face", writers.FACE), ("left_hand", writers.LEFT_HAND), ("right_hand", writers.RIGHT_HAND)):
        assert writers.POINT_COLUMNS[points.start] == f"x_{name}_0"
        assert writers.POINT_COLUMNS[writers.NUM_POINTS + points.stop - 1].startswith(f"y_{name}_")
