"""Where the files of records lie: a folder, or a prefix of an object store.

Both do the same few things. A file is there whole or not at all, and is never changed under its name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pyarrow as pa

from orchestrator.sweep import RequestError

SUFFIX = ".parquet"
SCHEMES = ("s3", "gs")
MARK = ".compacted"


class Place(Protocol):
    """What the store asks of where its files lie."""

    def names(self) -> list[str]:
        """The names of the files, without ``.parquet``."""

    def read(self, name: str) -> pa.Buffer:
        """The bytes of a file; FileNotFoundError if it is not there."""

    def create(self, name: str, content: bytes, *, lasting: bool = False) -> bool:
        """Write a file; False if the name is taken. `lasting`: its name, too, survives a loss of power."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are not there are no error."""

    def move(self, name: str, folder: str) -> None:
        """Move a file to a folder beside; one that is not there is no error."""

    def mark(self) -> None:
        """Tell all other processes that the merged files are not those that they knew."""

    def marked(self) -> str | None:
        """What changes whenever the merged files do; None if there never was one."""


class Folder:
    """A folder that all processes share."""

    def __init__(self, records: Path, beside: Path):
        self.records = records
        self.beside = beside
        self.root = records.parent

    def names(self) -> list[str]:
        try:
            with os.scandir(self.records) as entries:
                return [_stem(entry.name) for entry in entries if _is_record(entry.name)]
        except FileNotFoundError:
            return []

    def read(self, name: str) -> pa.Buffer:
        return pa.py_buffer(self._path(name).read_bytes())

    def create(self, name: str, content: bytes, *, lasting: bool = False) -> bool:
        beside = self.beside / f"{name}.{secrets.token_hex(8)}.tmp"
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            created = link(beside, self._path(name))
        except FileNotFoundError:
            if not self._path(name).exists():  # else another attempt was first, and has tidied up
                raise
            created = False
        finally:
            beside.unlink(missing_ok=True)
        if lasting:
            handle = os.open(self.records, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return created

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def move(self, name: str, folder: str) -> None:
        aside = self.root / folder
        aside.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._path(name).rename(aside / f"{name}.{secrets.token_hex(4)}{SUFFIX}")

    def mark(self) -> None:
        beside = self.beside / f"mark.{secrets.token_hex(8)}.tmp"
        beside.write_text(secrets.token_hex(8))
        beside.replace(self.root / MARK)

    def marked(self) -> str | None:
        try:
            return (self.root / MARK).read_text()
        except FileNotFoundError:
            return None

    def _path(self, name: str) -> Path:
        return self.records / f"{name}{SUFFIX}"


class Prefix:
    """A prefix of an object store, through Arrow's own clients.

    A file is one PUT of its final name. Arrow's clients know no conditional PUT (apache/arrow#44281), so that
    the first commit wins unless another one comes between the look and the PUT: then the last does.
    """

    def __init__(self, url: str):
        self.url = url
        self.files, root = connect(url)
        self.root = root.rstrip("/")

    def names(self) -> list[str]:
        from pyarrow.fs import FileSelector, FileType

        entries = self.files.get_file_info(FileSelector(f"{self.root}/records", allow_not_found=True))
        names = [entry.base_name for entry in entries if entry.type == FileType.File]
        return [_stem(name) for name in names if _is_record(name)]

    def read(self, name: str) -> pa.Buffer:
        return self.fetch(f"records/{name}{SUFFIX}")

    def create(self, name: str, content: bytes, *, lasting: bool = False) -> bool:
        if self._exists(self._path(name)):
            return False
        self.put(f"records/{name}{SUFFIX}", content)
        return True

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self.files.delete_file(self._path(name))

    def move(self, name: str, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.put(f"{folder}/{name}.{secrets.token_hex(4)}{SUFFIX}", self.read(name))
            self.files.delete_file(self._path(name))

    def mark(self) -> None:
        """Nothing: a look at each commit would cost a request each."""

    def marked(self) -> str | None:
        return None

    def fetch(self, path: str) -> pa.Buffer:
        with self.files.open_input_file(f"{self.root}/{path}") as file:
            return file.read_buffer()

    def put(self, path: str, content: Any) -> None:
        with self.files.open_output_stream(f"{self.root}/{path}", compression=None) as file:
            file.write(content)

    def probe(self) -> None:
        """Try that it can be written to; OSError if not."""
        path = f"probe-{secrets.token_hex(8)}"
        self.put(path, b"probe")
        self.files.delete_file(f"{self.root}/{path}")

    def _exists(self, path: str) -> bool:
        from pyarrow.fs import FileType

        return self.files.get_file_info(path).type != FileType.NotFound

    def _path(self, name: str) -> str:
        return f"{self.root}/records/{name}{SUFFIX}"


def is_url(location: object) -> bool:
    """Whether it names a place in an object store and not a folder."""
    return "://" in str(location)


def connect(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises
    ------
    RequestError
        If the URL cannot be used or its store not be reached.
    """
    from pyarrow.fs import FileSystem

    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise RequestError(f"{url!r}: results can be kept in a folder, or under s3:// or gs://")
    if not parts.netloc or not parts.path.strip("/"):
        raise RequestError(f"{url!r} names no place: write {parts.scheme}://BUCKET/PREFIX")
    if parts.password or (parts.username and parts.scheme == "s3"):
        raise RequestError(
            f"the URL {parts.scheme}://...@{parts.hostname}{parts.path} holds credentials, which would be "
            "recorded: give them by the environment"
        )
    # one PUT a file, without creating it first; and give up within a minute where nobody answers
    asked = {"s3": "allow_delayed_open=true", "gs": "retry_limit_seconds=30"}[parts.scheme]
    given = "" if asked.partition("=")[0] in parse_qs(parts.query) else asked
    query = "&".join(filter(None, (parts.query, given)))
    try:
        files, path = FileSystem.from_uri(urlunsplit(parts._replace(query=query)))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise unreachable(url, error) from error
    return files, path


def unreachable(url: str, error: Exception) -> RequestError:
    """The refusal of a place in an object store that cannot be used."""
    lines = str(error).strip().splitlines()
    credentials = {
        "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws/credentials or the instance's role",
        "gs": "GOOGLE_APPLICATION_CREDENTIALS or the instance's service account",
    }[urlsplit(url).scheme]
    return RequestError(
        f"results cannot be kept in {url!r} ({lines[0] if lines else type(error).__name__}); credentials "
        f"come from {credentials}"
    )


def takes_no_more(error: OSError) -> bool:
    """Whether it says that nothing can be written, whatever it is: a full disk, a quota, a broken one."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def link(source: Path, target: Path) -> bool:
    """Give `source` the name `target` unless that is taken. Atomic; the first caller wins."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # no hard links on this file system: a rename is still atomic, but of two commits the last one wins
        if target.exists():
            return False
        source.rename(target)
    return True


def _is_record(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith((".", "_"))


def _stem(name: str) -> str:
    return name[: -len(SUFFIX)]
