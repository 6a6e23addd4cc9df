import pathlib

import pytest

from pipeline import directories, sharding, transforms
from pipeline.commands import UserError
from pipeline.sharding import ShardWriter


class MakeEmpty:
    """Makes shards without sequences; fails on those named."""

    def __init__(self, directory, error=UserError, bad=()):
        self.directory = directory
        self.error = error
        self.bad = bad

    def __call__(self, shard):
        if shard.index in self.bad:
            raise self.error(f"shard {shard.index} of {pathlib.Path('somewhere')} is bad")
        with ShardWriter(self.directory, shard):
            pass


@pytest.fixture
def shards():
    return sharding.shards_of(directories.Request("dataset", {}), [["a"], ["b"], ["c"]])


def make(make_shard, shards, directory, workers=1):
    transforms.make_shards(make_shard, shards, directory=directory, workers=workers, title="testing")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_is_the_users_line(tmp_path, shards, workers):
    with pytest.raises(UserError) as caught:
        make(MakeEmpty(tmp_path, bad=(1,)), shards, tmp_path, workers)
    assert str(caught.value) == (
        "shard 1 of somewhere is bad; finished shards stay: the same command makes only the rest"
    )
    assert [sharding.finished_report(tmp_path, shard) is None for shard in shards] == [False, True, False]
    make(MakeEmpty(tmp_path, bad=(0, 2)), shards, tmp_path)  # the finished ones are not made again
    assert all(sharding.finished_report(tmp_path, shard) for shard in shards)
    assert {path.suffix for path in (tmp_path / "reports").iterdir()} == {".json"}


def test_several_errors(tmp_path, shards):
    with pytest.raises(UserError, match=r"shard 0 .* \(and 1 more of 3 shards failed\)"):
        make(MakeEmpty(tmp_path, bad=(0, 2)), shards, tmp_path)


def test_our_own_mistake_keeps_its_traceback(tmp_path, shards):
    with pytest.raises(ZeroDivisionError):
        make(MakeEmpty(tmp_path, error=ZeroDivisionError, bad=(0,)), shards, tmp_path)
