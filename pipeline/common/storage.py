"""Files on this machine and in Google Cloud Storage, used alike.

`path("gs://bucket/folder")` is a `GsPath`, other text a `pathlib.Path`. A `GsPath` does what this program asks of a
`pathlib.Path`, and what the store refuses it raises as the `OSError` that a file system would: other modules need not
ask which of the two they have. There are no folders in a bucket: one is there if an object's name begins with it.

Google's library and its credentials are looked for when a `GsPath` is first used: local work needs neither. The library
reads STORAGE_EMULATOR_HOST, which names an emulator in place of the store.
"""

import contextlib
import errno
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import tempfile
import textwrap
import uuid
from collections.abc import Iterator
from typing import IO, Any

from pipeline.common.temporary import temporary_folder

_SCHEME = "gs://"
_PATIENCE = 60.0  # seconds for which a request is repeated before it fails
_UPLOAD_CHUNK = 16 << 20  # 16 MiB of a large file in memory at a time
# 2 MiB, about what comes in the time that a request takes to be answered: the least that one brings. The 201 columns
# of a parquet file of 214 MB then take 41 requests and 78 MB in one row group, 68 and 136 MB in four; without what lies
# between the columns it would be 76 requests or 292, and 27 MB.
_READ_BUFFER = 2 << 20


class GsPath(pathlib.PurePosixPath):
    """An object in a bucket, or the folder of the objects whose names begin with it: the path /BUCKET/NAME.

    It holds no connection, so it can be pickled. It keeps nothing it has read: it tells what the store has now.
    """

    def __str__(self) -> str:
        text = super().__str__()
        return f"{_SCHEME}{text[1:]}" if text.startswith("/") else text

    def is_file(self) -> bool:
        return self._find() is not None

    def is_dir(self) -> bool:
        """Raises `FileNotFoundError` where there is no such bucket."""
        objects, _ = self._list(max_results=1)
        return bool(objects)

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        return False

    def absolute(self) -> "GsPath":
        return self

    def iterdir(self) -> Iterator["GsPath"]:
        objects, folders = self._list(delimiter="/")
        return (self / name for name in (*objects, *folders) if name)

    def glob(self, pattern: str) -> Iterator["GsPath"]:
        """What in this folder, not below it, has a name that matches `pattern`."""
        return (each for each in self.iterdir() if each.match(pattern))

    def file_sizes(self) -> dict[str, int]:
        objects, _ = self._list(delimiter="/")
        return {name: size for name, size in objects.items() if name}

    def file_marks(self) -> dict[str, str]:
        with _os_errors(self, missing=_NO_BUCKET):
            prefix = f"{self._name}/" if self._name else ""
            blobs = self._bucket().list_blobs(prefix=prefix, delimiter="/", retry=_retry())
            return {blob.name.removeprefix(prefix): str(blob.crc32c) for blob in blobs}

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a folder is there as soon as something is in it."""

    def read_bytes(self) -> bytes:
        with _os_errors(self):
            return self._blob().download_as_bytes(checksum="crc32c", retry=_retry())

    def read_text(self, encoding: str) -> str:
        return self.read_bytes().decode(encoding)

    def open(self, mode: str = "r", *, encoding: str | None = None, newline: str | None = None) -> IO[Any]:
        """The object as it is now; should another take its place, reading raises `FileNotFoundError`.

        Text is read at once, bytes are as they are needed.
        """
        if mode not in ("r", "rb"):
            raise ValueError(f"mode {mode!r}: objects are written by `replacing`")
        if mode == "r":  # at once: TextIOWrapper would ask for 8 KiB at a time
            return io.TextIOWrapper(io.BytesIO(self.read_bytes()), encoding, newline=newline)
        blob = self._find()
        if blob is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return io.BufferedReader(_Object(self, blob), _READ_BUFFER)

    def download(self, file: pathlib.Path) -> None:
        with _os_errors(self):
            self._blob().download_to_filename(str(file), checksum="crc32c", retry=_retry())

    def upload(self, file: pathlib.Path) -> None:
        """Makes the object hold what `file` does; on an error it stays as it was."""
        with _os_errors(self, missing=_NO_BUCKET):
            blob = self._blob(chunk_size=_UPLOAD_CHUNK)
            blob.upload_from_filename(str(file), checksum="crc32c", retry=_retry())

    def unlink(self, *, missing_ok: bool = False) -> None:
        try:
            with _os_errors(self):
                self._blob().delete(retry=_retry())
        except FileNotFoundError:
            if not missing_ok:
                raise

    @property
    def _name(self) -> str:
        """The object's; empty for the bucket itself."""
        return "/".join(self.parts[2:])

    def _bucket(self) -> Any:
        return _client().bucket(self.parts[1])

    def _blob(self, **options: Any) -> Any:
        return self._bucket().blob(self._name, **options)

    def _find(self) -> Any:
        """The object with its properties, or None."""
        with _os_errors(self):
            return self._bucket().get_blob(self._name, retry=_retry()) if self._name else None

    def _list(self, **options: Any) -> tuple[dict[str, int], list[str]]:
        """Objects in this folder, by name with their bytes, and folders.

        An object without a name is no file: it is how Google's console makes an empty folder.
        """
        prefix = f"{self._name}/" if self._name else ""
        with _os_errors(self, missing=_NO_BUCKET):
            blobs = self._bucket().list_blobs(prefix=prefix, retry=_retry(), **options)
            objects = {blob.name.removeprefix(prefix): int(blob.size) for blob in blobs}
            return objects, [folder.removeprefix(prefix).rstrip("/") for folder in sorted(blobs.prefixes)]


AnyPath = pathlib.Path | GsPath


def path(text: str | AnyPath) -> AnyPath:
    """Raises `ValueError` for a URL that is not an object or folder in a bucket."""
    if not isinstance(text, str):
        return text
    if "://" not in text:
        return pathlib.Path(text)
    bucket, *names = text.removeprefix(_SCHEME).rstrip("/").split("/")
    if not text.startswith(_SCHEME) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]*[a-z0-9]", bucket):
        raise ValueError(f"{text!r} is neither a path on this machine nor gs://BUCKET/FOLDER")
    if {"", ".", ".."} & set(names):
        raise ValueError(f"{text!r}: there is no '..', '.' or empty folder in a bucket")
    return GsPath("/", bucket, *names)


@contextlib.contextmanager
def replacing(path: AnyPath) -> Iterator[pathlib.Path]:
    """Yields a temporary name on this machine; at the end what was written there is at `path`, whole.

    On an error `path` stays as it was; an `OSError` that names no file, or the temporary one, names `path`. The
    temporary name is beside `path`, or in the folder for temporary files where `path` is in a bucket.
    """
    if isinstance(path, GsPath):
        with temporary_folder() as folder:
            temporary = folder / path.name
            try:
                yield temporary
            except OSError as error:
                if error.errno == errno.ENOSPC and error.filename in (None, str(temporary)):
                    error.strerror = f"{error.strerror} in {tempfile.gettempdir()}, from where it is uploaded"
                raise
            path.upload(temporary)
        return
    check_ends(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        # Arrow's have no number: Python shows those by their text alone, and only without a name.
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def is_leftover(name: str) -> bool:
    """Whether a file has a name of those that `replacing` makes."""
    return re.fullmatch(r"\..*\.[0-9a-f]{8}\.tmp", name) is not None


def remove_leftovers(folder: AnyPath) -> None:
    """Removes what processes that were killed inside `replacing` left in `folder`."""
    if isinstance(folder, pathlib.Path):  # what is on its way to a bucket is not in it
        for file in folder.glob(".*.tmp"):
            if is_leftover(file.name):
                file.unlink(missing_ok=True)


def file_sizes(folder: AnyPath) -> dict[str, int]:
    """Bytes of each file in a folder, by name; empty where there is no folder. One request for 1,000 objects."""
    if isinstance(folder, GsPath):
        return folder.file_sizes()
    sizes = {}
    for each in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # it may be gone by now
            if each.is_file():
                sizes[each.name] = each.stat().st_size
    return sizes


def cache() -> pathlib.Path:
    """The folder of the copies that `cached` makes. Deleting it costs nothing but the time to copy again."""
    try:
        return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fingerspelling"
    except RuntimeError:  # somebody without a home
        return pathlib.Path(tempfile.gettempdir()) / "fingerspelling-cache"


def cached(path: AnyPath, sha256: str) -> pathlib.Path:
    """A file on this machine with what `path` holds, whose hash is `sha256`: itself, or a copy, made once and checked.

    Raises:
      OSError: there is nothing to copy, it has another hash, or the copy cannot be written.
    """
    if not isinstance(path, GsPath):
        return path
    copy = cache() / sha256
    if not copy.is_file() or sha256_of(copy) != sha256:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with replacing(copy) as temporary:
            path.download(temporary)
            found = sha256_of(temporary)
            if found != sha256:
                said = f"it is damaged: its SHA-256 is {found}, the manifest says {sha256}: make the directory again"
                raise OSError(errno.EIO, said, str(path))
    return copy


def check_ends(path: AnyPath) -> None:
    """Raises `OSError` for a pipe or a device: to read it may never end or begin, and no file may take its place."""
    if isinstance(path, pathlib.Path) and path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "a pipe or a device, not a file", str(path))


def sha256_of(path: AnyPath) -> str:
    check_ends(path)
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]


class _Object(io.RawIOBase):
    """What a certain version of an object holds."""

    def __init__(self, path: GsPath, blob: Any):
        self._path = path
        self._blob = blob
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._blob.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._read(self._blob.size)

    def _read(self, size: int) -> bytes:
        end = min(self._position + size, self._blob.size)
        if end <= self._position:
            return b""
        with _os_errors(self._path):
            # No checksum: the store knows that of the whole object only.
            span = {"start": self._position, "end": end - 1, "checksum": None}
            data = self._blob.download_as_bytes(**span, retry=_retry())
        self._position += len(data)
        return data


@functools.cache
def _client() -> Any:
    try:
        from google.cloud.storage import Client
    except ImportError as error:
        raise ModuleNotFoundError("no google-cloud-storage", name="google-cloud-storage") from error
    return Client(project=None)  # a project owns buckets; who reads and writes objects needs none


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(_PATIENCE)


_NO_BUCKET = "no such bucket: name another, or create it"
_NO_CREDENTIALS = "run 'gcloud auth application-default login', or name a key file in GOOGLE_APPLICATION_CREDENTIALS"


@contextlib.contextmanager
def _os_errors(path: GsPath, missing: str = os.strerror(errno.ENOENT)) -> Iterator[None]:
    """What Google's library raises becomes the `OSError` of a file system, so that callers know one kind.

    Args:
      missing: what it means that something is not there.
    """
    try:
        yield
    except Exception as error:
        meaning = _meaning(error, missing)
        if meaning is None:
            raise
        raise OSError(*meaning, str(path)) from error


def _meaning(error: Any, missing: str) -> tuple[int, str] | None:
    """Error number and words, or None for what is no failure of the store."""
    try:
        import requests
        from google.api_core import exceptions as api
        from google.auth import exceptions as auth
    except ImportError:
        return None
    if isinstance(error, api.RetryError):
        return _meaning(error.cause, missing)
    # By name, here and below: where it is defined depends on the library's version.
    if type(error).__name__ == "InvalidResponse":
        return _meaning(api.from_http_response(error.response), missing)
    if isinstance(error, api.NotFound):
        return errno.ENOENT, missing
    if isinstance(error, (api.Forbidden, api.Unauthorized)):
        return errno.EACCES, f"permission denied ({_answer(error)})"
    if isinstance(error, auth.DefaultCredentialsError):
        return errno.EIO, f"no credentials for Google Cloud: {_NO_CREDENTIALS}"
    if isinstance(error, (requests.RequestException, auth.TransportError, ConnectionError)):
        host = os.environ.get("STORAGE_EMULATOR_HOST", "Google Cloud Storage")
        return errno.EIO, f"cannot reach {host} ({_innermost(error)}): run the same command again to continue"
    if isinstance(error, auth.GoogleAuthError):
        return errno.EIO, f"the credentials for Google Cloud were rejected ({_line(error)}): {_NO_CREDENTIALS}"
    if isinstance(error, api.GoogleAPICallError):
        return errno.EIO, f"the store answers {error.code} ({_answer(error)}): run the same command again to continue"
    if type(error).__name__ == "DataCorruption":
        return errno.EIO, "damaged on its way: run the same command again to continue"
    return None


def _answer(error: Any) -> str:
    """What the store says of an error."""
    said = error.response.text if error.response is not None else ""
    with contextlib.suppress(ValueError, LookupError, TypeError):  # of a download it may be plain text
        said = json.loads(said)["error"]["message"]
    return _line(said or error.message)


def _innermost(error: BaseException) -> str:
    """The words of the error that the others were raised for."""
    while error.__context__ is not None:
        error = error.__context__
    return _line(getattr(error, "strerror", None) or error)


def _line(words: object) -> str:
    return textwrap.shorten(str(words), 300, placeholder=" ...")
