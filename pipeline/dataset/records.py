"""Clips as `tf.train.Example` records in GZIP TFRecord files, without TensorFlow.

An Example has six features, read by stock `tf.io.parse_single_example`: `landmarks` (bytes: little-endian float32,
T x P x D), `num_frames` (int64, T), `label` (bytes, UTF-8), `sequence_id` and `participant_id` (int64; the signer) and
`source` (bytes).
The wire format is that of https://protobuf.dev/programming-guides/encoding for tensorflow/core/example/example.proto;
the framing that of tensorflow/core/lib/io/record_writer.h. The same records make the same file bytes.
"""

import contextlib
import hashlib
import math
import struct
from collections.abc import Iterator
from typing import Self

import google_crc32c
import numpy as np
from isal import isal_zlib

from pipeline.common import errors, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset.clips import Clip

_FLOATS = np.dtype("<f4")
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3  # field numbers of the message Feature; we write no float lists
_KINDS = {
    "label": _BYTES_LIST,
    "landmarks": _BYTES_LIST,
    "num_frames": _INT64_LIST,
    "participant_id": _INT64_LIST,
    "sequence_id": _INT64_LIST,
    "source": _BYTES_LIST,
}

# The file's bytes depend on these two, and on the records being compressed one by one: level 1 of python-isal gives
# the same bytes on every CPU.
_LEVEL = 1
_GZIP = 16 + isal_zlib.MAX_WBITS  # zlib's way to ask for a gzip header: it has no name and no time
_CHUNK = 1 << 20  # 1 MiB read at a time

# What to do about a record file that cannot be used. A data set with a manifest would be taken for complete.
MAKE_AGAIN = "delete it and its data set's manifest.json, then run the command that made it: it makes what is missing"


def encode(clip: Clip) -> bytes:
    """The bytes of the clip's Example, features in alphabetical order."""
    values: dict[str, bytes | int] = {
        "label": clip.label.encode(),
        "landmarks": np.ascontiguousarray(clip.landmarks, _FLOATS).tobytes(),
        "num_frames": clip.num_frames,
        "participant_id": clip.signer,
        "sequence_id": clip.sequence_id,
        "source": clip.source.encode(),
    }
    return b"".join(_field(1, *(part for name, value in values.items() for part in _field(1, *_entry(name, value)))))


def decode(record: bytes, shape: tuple[int, int]) -> Clip:
    """The clip of an Example, with P x D points.

    Strict: raises `ValueError` for anything but what `encode` writes, in any order.
    """
    values: dict[str, bytes | int] = {}
    for features in _fields(record, 1):
        for entry in _fields(features, 1):
            name, value = _parse_entry(entry)
            if name in values:
                raise ValueError(f"feature {name} is there twice")
            values[name] = value
    missing = _KINDS.keys() - values.keys()
    if missing:
        raise ValueError(f"no feature {', '.join(sorted(missing))}")
    label, data, num_frames, participant_id, sequence_id, source = (values[name] for name in _KINDS)
    assert isinstance(label, bytes) and isinstance(data, bytes) and isinstance(source, bytes)
    assert isinstance(num_frames, int) and isinstance(participant_id, int) and isinstance(sequence_id, int)
    if num_frames < 1 or len(data) != num_frames * math.prod(shape) * _FLOATS.itemsize:
        raise ValueError(f"{len(data)} bytes of landmarks do not make {num_frames} frames")
    landmarks = np.frombuffer(data, _FLOATS).reshape(num_frames, *shape).astype(np.float32)
    return Clip(landmarks, label.decode(), sequence_id, participant_id, source.decode())


def float_lists(record: bytes) -> dict[str, np.ndarray]:
    """The float32 lists of another program's Example, by their names; other features are passed over.

    Raises:
      ValueError: it is no Example as TensorFlow writes it.
    """
    lists: dict[str, np.ndarray] = {}
    for features in _fields(record, 1):
        for entry in _fields(features, 1):
            key, feature = _split_fields(entry, (1, 2))
            if feature[:1] != bytes([_FLOAT_LIST << 3 | 2]):
                continue
            if key.decode() in lists:
                raise ValueError(f"feature {key.decode()} is there twice")
            (values,) = _split_fields(feature, (_FLOAT_LIST,))
            packed = _split_fields(values, (1,))[0] if values else b""
            lists[key.decode()] = np.frombuffer(packed, _FLOATS)
    return lists


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
        self.content.add(record)
        self.count += 1
        self._put(self._compressor.compress(frame(record)))

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
        with path.open("rb") as file:
            stream = _GzipStream(file)
            while header := stream.read(12):
                if len(header) < 12:
                    raise ValueError("it ends inside the record")
                (length,) = struct.unpack("<Q", header[:8])
                if header[8:] != _masked_crc(header[:8]):
                    raise ValueError("the checksum of its length is wrong")
                body = stream.read(length + 4)
                if len(body) < length + 4:
                    raise ValueError("it ends inside the record")
                record = body[:-4]
                if body[-4:] != _masked_crc(record):
                    raise ValueError("its checksum is wrong")
                yield record
                number += 1
            # What the checksums inside do not cover: bits of the header, and other data altogether.
            if file_sha256 not in (None, stream.file_sha256):
                raise ValueError("its SHA-256 is not that of the file that was written")
    except OSError as error:
        raise errors.cannot_read(path, error, MAKE_AGAIN) from error
    except (ValueError, isal_zlib.IsalError) as error:  # type: ignore[misc]  # its stub calls it an instance
        raise UserError(f"{path} is damaged at record {number} ({error}): {MAKE_AGAIN}") from error


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


class _GzipStream:
    """Exactly one gzip member, its checksum verified, read with bounded memory."""

    def __init__(self, file):
        self._file = file
        self._file_hash = hashlib.sha256()
        self._decompressor = isal_zlib.decompressobj(wbits=_GZIP)
        self._input = b""
        self._buffer = b""

    def read(self, size: int) -> bytes:
        """`size` bytes, or fewer at the end of the file. Raises `ValueError` for a truncated file or trailing bytes."""
        parts = [self._buffer]
        available = len(self._buffer)
        while available < size and not self._decompressor.eof:
            part = self._more()
            parts.append(part)
            available += len(part)
        data = b"".join(parts)
        self._buffer = data[size:]
        if len(data) < size:
            self._check_end()
        return data[:size]

    @property
    def file_sha256(self) -> str:
        """Of the bytes read so far: at the end, of the file."""
        return self._file_hash.hexdigest()

    def _more(self) -> bytes:
        data = self._decompressor.unconsumed_tail
        if not data:
            data = self._file.read(_CHUNK)
            self._file_hash.update(data)
        part = self._decompressor.decompress(data, _CHUNK)
        if not data and not part and not self._decompressor.eof:
            raise ValueError("the compressed file is truncated")
        return part

    def _check_end(self) -> None:
        if self._decompressor.unused_data or self._file.read(1):
            raise ValueError("there are bytes after the end of the compressed data")


def _entry(name: str, value: bytes | int) -> list[bytes]:
    """An entry of the map Features.feature: key 1, value 2 (a Feature that holds a list of one value)."""
    content = value if isinstance(value, bytes) else _varint(value)
    return [*_field(1, name.encode()), *_field(2, *_field(_KINDS[name], *_field(1, content)))]


def _parse_entry(entry: bytes) -> tuple[str, bytes | int]:
    key, feature = _split_fields(entry, (1, 2))
    name = key.decode()
    if name not in _KINDS:
        raise ValueError(f"unknown feature {name!r}")
    (values,) = _split_fields(feature, (_KINDS[name],))
    (value,) = _split_fields(values, (1,))
    if _KINDS[name] == _BYTES_LIST:
        return name, value
    number, end = _parse_varint(value, 0)
    if end != len(value):
        raise ValueError(f"feature {name} has more than one value")
    return name, number - (1 << 64) if number >= 1 << 63 else number


def _field(number: int, *content: bytes) -> list[bytes]:
    """A length-delimited field, in parts: long ones are copied once, when all are joined."""
    return [bytes([number << 3 | 2]) + _varint(sum(map(len, content))), *content]


def _fields(message: bytes, number: int) -> Iterator[bytes]:
    """Contents of a message that has only length-delimited fields of this number."""
    position = 0
    while position < len(message):
        if message[position] != number << 3 | 2:
            raise ValueError(f"unexpected field tag {message[position]}")
        length, start = _parse_varint(message, position + 1)
        position = start + length
        if position > len(message):
            raise ValueError("a field is longer than its message")
        yield message[start:position]


def _split_fields(message: bytes, numbers: tuple[int, ...]) -> list[bytes]:
    """Contents of a message that has exactly these length-delimited fields, once each and in this order."""
    contents = []
    position = 0
    for number in numbers:
        if message[position : position + 1] != bytes([number << 3 | 2]):
            raise ValueError(f"expected field {number}")
        length, start = _parse_varint(message, position + 1)
        position = start + length
        contents.append(message[start:position])
    if position != len(message):
        raise ValueError("unexpected length of a message")
    return contents


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers: two's complement
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _parse_varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, position after it)."""
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(data):
            raise ValueError("a number is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                raise ValueError("a number is too large")
            return value, position
    raise ValueError("a number is too long")
