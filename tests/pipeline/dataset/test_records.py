import dataclasses
import gzip
import hashlib
import os
import pathlib
import struct
import subprocess
import sys
import zlib

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.dataset import records
from pipeline.dataset.clips import Clip
from pipeline.tasks.body import POINTS

ROOT = pathlib.Path(__file__).parents[3]

ids = st.integers(-(1 << 63), (1 << 63) - 1)


def clip(seed: int = 0, **changes) -> Clip:
    random = np.random.default_rng(seed)
    landmarks = random.normal(size=(seed % 4 + 1, *POINTS.shape)).astype(np.float32)
    landmarks[0, 3] = np.nan
    return dataclasses.replace(Clip(landmarks, "a label", 7, 3, "train"), **changes)


def content_of(contents) -> str:
    """The definition: the sum of the records' SHA-256, as numbers."""
    numbers = (int(hashlib.sha256(content).hexdigest(), 16) for content in contents)
    return f"{sum(numbers) % 2**256:064x}"


def assert_same(left: Clip, right: Clip) -> None:
    np.testing.assert_array_equal(left.landmarks, right.landmarks)
    assert dataclasses.replace(left, landmarks=None) == dataclasses.replace(right, landmarks=None)


@given(label=st.text(), source=st.text(), sequence_id=ids, signer=ids, seed=st.integers(0, 9))
def test_a_clip_survives_encoding(label, source, sequence_id, signer, seed):
    try:
        (label + source).encode()
    except UnicodeEncodeError:  # lone surrogates are no text
        return
    given_clip = clip(seed, label=label, source=source, sequence_id=sequence_id, signer=signer)
    assert_same(records.decode(records.encode(given_clip), POINTS.shape), given_clip)


@pytest.mark.parametrize("num_frames", [1, 2, 700])
def test_stock_tensorflow_reads_the_file(tmp_path, num_frames):
    tf = pytest.importorskip("tensorflow")
    given_clip = clip(label="zoë ~", sequence_id=-5, landmarks=np.full((num_frames, *POINTS.shape), 0.25, np.float32))
    with records.RecordWriter(tmp_path / "a.tfrecord.gz") as writer:
        writer.write(records.encode(given_clip))
    (record,) = tf.data.TFRecordDataset(str(writer.path), compression_type="GZIP")
    kinds = {"landmarks": tf.string, "num_frames": tf.int64, "label": tf.string}
    kinds |= {"sequence_id": tf.int64, "signer": tf.int64, "source": tf.string}
    found = tf.io.parse_single_example(record, {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()})
    landmarks = tf.reshape(tf.io.decode_raw(found["landmarks"], tf.float32), (-1, *POINTS.shape))
    np.testing.assert_array_equal(landmarks, given_clip.landmarks)
    assert found["num_frames"] == num_frames
    assert found["sequence_id"] == -5
    assert found["label"].numpy().decode() == "zoë ~"


@settings(max_examples=40, deadline=None)
@given(label=st.text(), sequence_id=ids, signer=ids, seed=st.integers(0, 9))
def test_stock_tensorflow_reads_any_example(label, sequence_id, signer, seed):
    tf = pytest.importorskip("tensorflow")
    expected = clip(seed, label=label, sequence_id=sequence_id, signer=signer)
    record = records.encode(expected)
    example = tf.train.Example.FromString(record)
    assert example.SerializeToString(deterministic=True) == record
    feature = example.features.feature
    assert feature["label"].bytes_list.value[0].decode() == label
    assert feature["sequence_id"].int64_list.value[:] == [sequence_id]
    assert feature["signer"].int64_list.value[:] == [signer]
    assert feature["num_frames"].int64_list.value[:] == [expected.num_frames]
    assert feature["landmarks"].bytes_list.value[0] == expected.landmarks.astype("<f4").tobytes()


def test_beams_own_source_reads_the_file(tmp_path):
    beam = pytest.importorskip("apache_beam")
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.testing.util import assert_that, equal_to

    contents = [records.encode(clip(seed)) for seed in range(5)] + [b"", bytes(3 << 20)]
    with records.RecordWriter(tmp_path / "a.tfrecord.gz") as writer:
        for content in contents:
            writer.write(content)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        found = pipeline | beam.io.ReadFromTFRecord(str(writer.path), validate=True)
        assert_that(found, equal_to(contents))


def test_an_example_of_stock_tensorflow_is_read():
    tf = pytest.importorskip("tensorflow")
    expected = clip(3)
    text = lambda value: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))  # noqa: E731
    number = lambda value: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))  # noqa: E731
    features = {
        "source": text(b"train"),
        "sequence_id": number(7),
        "signer": number(3),
        "num_frames": number(expected.num_frames),
        "label": text(b"a label"),
        "landmarks": text(expected.landmarks.tobytes()),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    assert_same(records.decode(example.SerializeToString(), POINTS.shape), expected)


def test_framing_is_that_of_tfrecord():
    """CRC-32C of the eight bytes 5, 0, .. and of "hello", masked as TensorFlow does."""

    def masked(data):
        crc = google_crc32c.value(data)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32)

    assert google_crc32c.value(b"123456789") == 0xE3069283  # the published check value of CRC-32C
    length = struct.pack("<Q", 5)
    assert records.frame(b"hello") == length + struct.pack("<I", masked(length)) + b"hello" + struct.pack(
        "<I", masked(b"hello")
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=100)))
def test_records_survive_a_file(tmp_path_factory, contents):
    path = tmp_path_factory.mktemp("records") / "a.tfrecord.gz"
    with records.RecordWriter(path) as writer:
        for content in contents:
            writer.write(content)
    assert list(records.read_records(path)) == contents
    assert writer.count == len(contents)
    assert writer.size == path.stat().st_size
    assert writer.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(writer.content) == content_of(contents)


def test_the_same_records_make_the_same_bytes(tmp_path):
    for name in "ab":
        with records.RecordWriter(tmp_path / name) as writer:
            for seed in range(20):
                writer.write(records.encode(clip(seed)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    # No time, no name, no operating system.
    assert (tmp_path / "a").read_bytes()[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


# Prints of records of 15 lengths how many different files each makes.
SAME_RECORDS = """
import ctypes, pathlib
from pipeline.dataset import records
found = {}
for _ in range(3000):
    for high in range(1, 16):
        length = bytes([high, 0, 0, 0])  # its own bytes 1 to 4 in the file, which the record has again
        record = length.join([bytes(range(100, 180))] * 4)[:256].ljust(256 * high, b"x")
        writer, parts = records.RecordWriter(pathlib.Path()), []
        writer._put = parts.append
        writer.write(record)
        found.setdefault(high, set()).add(b"".join([*parts, writer._compressor.flush()]))
    ctypes.CDLL(None).malloc(65536)  # never freed: what comes next lies elsewhere
print(*map(len, found.values()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="moves what the C library allocates")
def test_the_same_records_make_the_same_bytes_anywhere_in_memory():
    """`_FIRST = 4000` makes two or three of each."""
    environment = os.environ | {"PYTHONMALLOC": "malloc"}
    command = [sys.executable, "-c", SAME_RECORDS]
    run = subprocess.run(command, env=environment, cwd=ROOT, text=True, capture_output=True, check=False)
    assert (run.stdout.split(), run.stderr) == (["1"] * 15, "")


def test_constant_data_that_shrinks_a_thousandfold_is_read(tmp_path):
    with records.RecordWriter(tmp_path / "a") as writer:
        for _ in range(3):
            writer.write(bytes(5 << 20))
    assert [len(record) for record in records.read_records(tmp_path / "a")] == [5 << 20] * 3


def small_file(path):
    with records.RecordWriter(path) as writer:
        for seed in range(3):
            writer.write(bytes([seed] * 8))
    return path.read_bytes()


def test_every_truncation_is_found(tmp_path):
    path = tmp_path / "a"
    whole = small_file(path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"is damaged at record [0-3]"):
            list(records.read_records(path))


def test_no_flipped_bit_changes_what_is_read(tmp_path):
    """Every flip is found but those that unpack to the same: header flags, time, padding, equal matches."""
    path = tmp_path / "a"
    whole = small_file(path)
    unpacked = zlib.decompress(whole[10:-8], -zlib.MAX_WBITS)
    expected = list(records.read_records(path))
    for bit in range(8 * len(whole)):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        try:
            assert list(records.read_records(path)) == expected
            assert 3 <= bit // 8 < len(whole) - 8
            assert zlib.decompress(broken[10:-8], -zlib.MAX_WBITS) == unpacked
        except UserError as error:
            assert "is damaged at record" in str(error)


def test_the_hash_of_the_file_finds_every_flipped_bit(tmp_path):
    path = tmp_path / "a"
    whole = small_file(path)
    sha256 = hashlib.sha256(whole).hexdigest()
    expected = list(records.read_records(path, file_sha256=sha256))
    for bit in range(8 * len(whole)):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        found = []
        with pytest.raises(UserError, match="is damaged at record"):
            found.extend(records.read_records(path, file_sha256=sha256))
        assert found == expected[: len(found)]


def test_trailing_bytes_are_found(tmp_path):
    path = tmp_path / "a"
    whole = small_file(path)
    sha256 = hashlib.sha256(whole).hexdigest()
    for more in (b"\0", b"garbage", whole):
        path.write_bytes(whole + more)
        with pytest.raises(UserError, match="is damaged at record"):
            list(records.read_records(path, file_sha256=sha256))
    path.write_bytes(whole + b"garbage")
    with pytest.raises(UserError, match="is damaged at record"):
        list(records.read_records(path))


def test_a_record_that_claims_to_be_huge_takes_no_memory(tmp_path):
    header = struct.pack("<Q", 1 << 40)
    (tmp_path / "a").write_bytes(
        gzip.compress(records.frame(b"first") + header + records._masked_crc(header) + bytes(99))
    )
    found = records.read_records(tmp_path / "a")
    assert next(found) == b"first"
    with pytest.raises(UserError, match=r"record 1 \(it claims 1,099,511,627,776 bytes, more than the 67,108,864"):
        next(found)


def test_damage_is_placed(tmp_path):
    good, bad = records.frame(b"first"), bytearray(records.frame(b"second"))
    bad[14] ^= 1
    (tmp_path / "a").write_bytes(gzip.compress(good + bytes(bad)))
    with pytest.raises(UserError, match=r"a is damaged at record 1 \(its checksum is wrong\): delete it"):
        list(records.read_records(tmp_path / "a"))
    with pytest.raises(UserError, match="cannot read"):
        list(records.read_records(tmp_path / "nowhere"))


def test_another_programs_record_is_refused(tmp_path):
    with records.RecordWriter(tmp_path / "a") as writer:
        writer.write(records.encode(clip()))
        writer.write(b"\x0a\x00")
    with pytest.raises(UserError, match=r"record 1 is not this program's \(feature label is None"):
        list(records.read_clips(tmp_path / "a", POINTS.shape))


@given(st.data())
def test_a_broken_record_raises_value_error_alone(data):
    record = bytearray(records.encode(clip(landmarks=np.zeros((1, *POINTS.shape), np.float32))))
    # The landmarks' own bytes can be anything: break what is around them.
    positions = [*range(60), *range(len(record) - 90, len(record))]
    for _ in range(data.draw(st.integers(1, 3))):
        record[data.draw(st.sampled_from(positions))] = data.draw(st.integers(0, 255))
    try:
        records.decode(bytes(record[: data.draw(st.integers(0, len(record)))]), POINTS.shape)
        records.decode(bytes(record), POINTS.shape)
    except ValueError:
        pass


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 3), max_size=40), st.randoms(use_true_random=False))
def test_content_depends_on_neither_order_nor_files(contents, files, order):
    whole = records.Content()
    for content in contents:
        whole.add(content)
    order.shuffle(contents)
    parts = [records.Content() for _ in range(4)]
    for i, content in enumerate(contents):
        parts[files[i] if i < len(files) else 0].add(content)
    assert str(whole) == str(records.Content(*map(str, parts))) == content_of(contents)


@given(st.lists(st.binary(max_size=20), min_size=1), st.binary(max_size=20))
def test_another_record_is_other_content(contents, other):
    """Also one that is there twice, and one that is longer at the cost of its neighbour."""
    expected = content_of(contents)
    for changed in ([*contents, other], contents[1:], [contents[0] + b"x", *contents[1:]], [b"".join(contents), b""]):
        found = records.Content()
        for content in changed:
            found.add(content)
        assert (str(found) == expected) == (sorted(changed) == sorted(contents))


def test_a_record_of_other_points_is_refused(tmp_path):
    with records.RecordWriter(tmp_path / "a") as writer:
        writer.write(records.encode(clip()))
    with pytest.raises(UserError, match=r"record 0 is not this program's \(800 bytes of landmarks do not"):
        list(records.read_clips(tmp_path / "a", (100, 3)))


def test_a_failed_block_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), records.RecordWriter(tmp_path / "a") as writer:
        writer.write(b"x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_no_place_to_write(tmp_path):
    with pytest.raises(UserError, match="cannot write"), records.RecordWriter(tmp_path / "no" / "a"):
        pass
