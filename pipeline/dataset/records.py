"""Clips as `tf.train.Example` records in GZIP TFRecord files, without TensorFlow.

An Example has six features, read by stock `tf.io.parse_single_example`: `landmarks` (bytes: little-endian float32,
T x P x D), `num_frames` (int64, T), `label` (bytes, UTF-8), `sequence_id` and `signer` (int64) and `source` (bytes).
The framing is that of tensorflow/core/lib/io/record_writer.h. The same records make the same file bytes.
"""

import contextlib
import gzip
import hashlib
import io
import math
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any, Self

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from isal import igzip, isal_zlib

from pipeline.common import errors, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset.clips import Clip

_FLOATS = np.dtype("<f4")
_BYTES, _INT64 = "bytes_list", "int64_list"
_KINDS = {
    "label": _BYTES,
    "landmarks": _BYTES,
    "num_frames": _INT64,
    "sequence_id": _INT64,
    "signer": _INT64,
    "source": _BYTES,
}

# The file's bytes depend on these three, and on the records being compressed one by one: level 1 of python-isal gives
# the same bytes on every CPU, if the first call for a stream takes fewer than 16 bytes and flushes them. Otherwise
# ISA-L 2.32 hashes the address of the stream's state in place of its second bytes (igzip_icf_body_h1_gr_bt.asm,
# `.write_first_byte` reads rcx before it is set), and at one address of some 8,000 compresses to other bytes.
_LEVEL = 1
_FIRST = 12  # bytes
_GZIP = 16 + isal_zlib.MAX_WBITS  # zlib's way to ask for a gzip header: it has no name and no time
# The longest record: 46 minutes of 100 points at 30 frames a second. A damaged or hostile file may claim any length,
# and what is made of a record takes several times that.
LONGEST = 64 << 20  # 64 MiB

# What to do about a record file that cannot be used. A dataset with a manifest would be taken for complete.
MAKE_AGAIN = "delete it and its dataset's manifest.json, then run the command that made it: it makes what is missing"


def _example() -> type[Any]:
    """The message class of tensorflow/core/example/example.proto.

    In a pool of its own: TensorFlow, where it is imported as well, registers the same message in the common one.
    """
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="records", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def add(message: Any, name: str, number: int, kind: Any, **more: Any) -> None:
        message.field.add(**{"name": name, "number": number, "type": kind, "label": field.LABEL_OPTIONAL} | more)

    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    lists = (("bytes", field.TYPE_BYTES), ("float", field.TYPE_FLOAT), ("int64", field.TYPE_INT64))
    for number, (name, kind) in enumerate(lists, 1):
        add(file.message_type.add(name=name), "value", 1, kind, label=field.LABEL_REPEATED)
        add(feature, f"{name}_list", number, field.TYPE_MESSAGE, type_name=f".records.{name}", oneof_index=0)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, field.TYPE_STRING)
    add(entry, "value", 2, field.TYPE_MESSAGE, type_name=".records.Feature")
    repeated = {"type_name": ".records.Features.FeatureEntry", "label": field.LABEL_REPEATED}
    add(features, "feature", 1, field.TYPE_MESSAGE, **repeated)
    example = file.message_type.add(name="Example")
    add(example, "features", 1, field.TYPE_MESSAGE, type_name=".records.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("records.Example"))


Example = _example()


def encode(clip: Clip) -> bytes:
    """The bytes of the clip's Example, features in alphabetical order."""
    values: dict[str, bytes | int] = {
        "label": clip.label.encode(),
        "landmarks": np.ascontiguousarray(clip.landmarks, _FLOATS).tobytes(),
        "num_frames": clip.num_frames,
        "sequence_id": clip.sequence_id,
        "signer": clip.signer,
        "source": clip.source.encode(),
    }
    example = Example()
    for name, value in values.items():
        getattr(example.features.feature[name], _KINDS[name]).value.append(value)
    return example.SerializeToString(deterministic=True)


def decode(record: bytes, shape: tuple[int, int]) -> Clip:
    """The clip of an Example, with P x D points.

    Strict: raises `ValueError` for anything but what `encode` writes, in any order.
    """
    example = _parse(record)
    example.DiscardUnknownFields()
    if example.ByteSize() != len(record):
        raise ValueError("it has unknown fields, or a feature twice")
    found = {name: feature.WhichOneof("kind") for name, feature in example.features.feature.items()}
    if found != _KINDS:
        wrong = sorted(name for name in found.keys() | _KINDS.keys() if found.get(name) != _KINDS.get(name))
        raise ValueError(f"feature {wrong[0]} is {found.get(wrong[0])}, expected {_KINDS.get(wrong[0])}")
    values = {name: getattr(feature, _KINDS[name]).value for name, feature in example.features.feature.items()}
    if several := sorted(name for name, each in values.items() if len(each) != 1):
        raise ValueError(f"feature {several[0]} has {len(values[several[0]])} values, expected 1")
    label, data, num_frames, sequence_id, signer, source = (values[name][0] for name in _KINDS)
    if num_frames < 1 or len(data) != num_frames * math.prod(shape) * _FLOATS.itemsize:
        raise ValueError(f"{len(data)} bytes of landmarks do not make {num_frames} frames")
    landmarks = np.frombuffer(data, _FLOATS).reshape(num_frames, *shape).astype(np.float32)
    return Clip(landmarks, label.decode(), sequence_id, signer, source.decode())


def float_lists(record: bytes) -> dict[str, np.ndarray]:
    """The float32 lists of another program's Example, by their names; other features are passed over.

    Raises:
      ValueError: it is no Example.
    """
    features = _parse(record).features.feature.items()
    of_floats = ((name, each) for name, each in features if each.WhichOneof("kind") == "float_list")
    return {name: np.array(each.float_list.value, _FLOATS) for name, each in of_floats}


def _parse(record: bytes) -> Any:
    try:
        return Example.FromString(record)
    except DecodeError as error:
        raise ValueError(f"it is no Example ({error})") from error


class Content:
    """Identifies a set of records, whatever their order and files: the sum of their SHA-256, modulo 2 ** 256."""

    def __init__(self, *parts: str):
        """The records of all `parts` together, each the text of another."""
        self._sum = sum(int(part, 16) for part in parts)

    def add(self, record: bytes) -> None:
        self._sum += int.from_bytes(hashlib.sha256(record).digest(), "big")

    def __str__(self) -> str:
        return f"{self._sum % (1 << 256):064x}"


class RecordWriter:
    """Writes one GZIP TFRecord file: to a temporary name, renamed when the `with` block ends without an exception.

    Attributes, final after the block:
      count: records written.
      content: identifies the records, whatever their order: see `Content`.
      file_sha256, size: of the file itself.

    Raises:
      UserError: the file cannot be written.
    """

    def __init__(self, path: AnyPath):
        self.path = path
        self.count = 0
        self.size = 0
        self.content = Content()
        self._file_hash = hashlib.sha256()
        self._compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._writing(), contextlib.ExitStack() as stack:
            temporary = stack.enter_context(storage.replacing(self.path))
            self._file = stack.enter_context(temporary.open("wb"))
            self._stack = stack.pop_all()
        return self

    def write(self, record: bytes) -> None:
        if len(record) > LONGEST:
            raise UserError(
                f"{self.path}: record {self.count} has {len(record):,} bytes, at most {LONGEST:,} can be read"
            )
        framed = frame(record)
        if not self.count:
            self._put(self._compressor.compress(framed[:_FIRST]) + self._compressor.flush(isal_zlib.Z_SYNC_FLUSH))
            framed = framed[_FIRST:]
        self._put(self._compressor.compress(framed))
        self.content.add(record)
        self.count += 1

    def __exit__(self, *exception) -> None:
        with self._writing():
            if exception[0] is None:
                with self._stack:
                    self._put(self._compressor.flush())
            else:
                self._stack.__exit__(*exception)

    @property
    def file_sha256(self) -> str:
        return self._file_hash.hexdigest()

    def _put(self, data: bytes) -> None:
        with self._writing():
            self._file.write(data)
        self._file_hash.update(data)
        self.size += len(data)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {errors.reason(error)}") from error


def read_records(path: AnyPath, *, file_sha256: str | None = None) -> Iterator[bytes]:
    """Yields the records of a GZIP TFRecord file, each verified, and at the end the file's SHA-256 if one is given.

    Raises:
      UserError: the file cannot be read, or is truncated or corrupt anywhere; names the file and the record.
    """
    number = 0
    try:
        storage.check_ends(path)
        with path.open("rb") as file:
            compressed = _Hashed(file)
            stream = igzip.IGzipFile(fileobj=compressed, mode="rb")
            while header := stream.read(12):
                if len(header) < 12:
                    raise ValueError("it ends inside the record")
                (length,) = struct.unpack("<Q", header[:8])
                if header[8:] != _masked_crc(header[:8]):
                    raise ValueError("the checksum of its length is wrong")
                if length > LONGEST:
                    raise ValueError(f"it claims {length:,} bytes, more than the {LONGEST:,} that a record may have")
                body = stream.read(length + 4)
                if len(body) < length + 4:
                    raise ValueError("it ends inside the record")
                record = body[:-4]
                if body[-4:] != _masked_crc(record):
                    raise ValueError("its checksum is wrong")
                yield record
                number += 1
            if not compressed.size:
                raise ValueError("it is empty")
            # What the checksums inside do not cover: bits of the header, and other data altogether.
            if file_sha256 not in (None, compressed.sha256.hexdigest()):
                raise ValueError("its SHA-256 is not that of the file that was written")
    except (ValueError, EOFError, zlib.error, isal_zlib.IsalError, gzip.BadGzipFile) as error:  # type: ignore[misc]
        raise UserError(f"{path} is damaged at record {number} ({error}): {MAKE_AGAIN}") from error
    except OSError as error:
        raise errors.cannot_read(path, error, MAKE_AGAIN) from error


def read_clips(path: AnyPath, shape: tuple[int, int], *, file_sha256: str | None = None) -> Iterator[Clip]:
    """Yields the clips of a file. Raises `UserError` as `read_records` does, and for another program's record."""
    for number, record in enumerate(read_records(path, file_sha256=file_sha256)):
        try:
            yield decode(record, shape)
        except ValueError as error:
            raise UserError(f"{path}, record {number} is not this program's ({error}): {MAKE_AGAIN}") from error


def frame(record: bytes) -> bytes:
    """TFRecord framing: length, masked CRC-32C of the length, record, masked CRC-32C of the record."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _masked_crc(length), record, _masked_crc(record)))


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


class _Hashed(io.RawIOBase):
    """A file that is read; of what was read so far the size and the SHA-256."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self.sha256.update(data)
        self.size += len(data)
        return len(data)
