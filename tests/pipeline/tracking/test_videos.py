import pathlib

import pytest

from pipeline.common import storage
from pipeline.common.errors import UserError
from pipeline.tracking import videos
from pipeline.tracking.videos import Video


def write(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"a")
    return folder


def test_ids_follow_from_names():
    assert Video(pathlib.Path("a/sign.mp4")).sequence_id == Video(pathlib.Path("/b/sign.mp4")).sequence_id
    ids = {Video(pathlib.Path(f"{i}.mp4")).sequence_id for i in range(10_000)}
    assert len(ids) == 10_000
    assert min(ids) >= 0 and max(ids) < 1 << 53
    assert Video(pathlib.Path("sign.mp4")).sequence_id == 3129334226582964  # as ever


def test_a_folder_means_its_videos_and_a_file_itself(tmp_path):
    folder = write(tmp_path / "v", "b.MOV", "a.mp4", "labels.csv", "a.txt")
    (folder / "sub.mp4").mkdir()
    found = videos.find([folder, folder / "a.txt", folder / "a.mp4"])
    assert [each.name for each in found] == ["a.mp4", "b.MOV", "a.txt"]


def test_two_of_one_name_are_refused(tmp_path):
    folders = [write(tmp_path / name, "a.mp4") for name in "vw"]
    with pytest.raises(UserError, match=r"v/a\.mp4 and .*w/a\.mp4 would get one name and id: rename one"):
        videos.find(folders)


@pytest.mark.parametrize("name", ["a\nb.mp4", "a\\b.mp4", "a\udcff.mp4"])
def test_names_that_no_table_holds_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="rename it"):
        videos.find([write(tmp_path / "v", name)])


def test_a_bucket_is_refused():
    with pytest.raises(UserError, match=r"gs://bucket/a\.mp4 is not on this machine"):
        videos.find([storage.path("gs://bucket/a.mp4")])


def test_metadata_are_in_the_order_of_the_videos(tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text('signer,phrase,file,note\n2,"a, b",b.mp4,\n1,c,a.mp4,\n')
    found = [Video(pathlib.Path(f"v/{name}.mp4")) for name in "ab"]
    a, b = (each.sequence_id for each in found)
    assert videos.metadata_of(labels, found) == (
        "path,sequence_id,participant_id,phrase\n"
        f"train_landmarks/a.mp4.parquet,{a},1,c\n"
        f'train_landmarks/b.mp4.parquet,{b},2,"a, b"\n'
    )
