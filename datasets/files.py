"""Raw files: cache, else mirror, else download; nothing is used that does not match its checksum.

A file enters the cache by one rename of a complete, verified, flushed temporary file, under a lock that all
processes share. A reader therefore sees either no file or the whole one, whoever dies in between, and of many
processes that ask at once one fetches and the others wait.
"""

import gzip
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path, PurePosixPath

from filelock import FileLock
from platformdirs import user_cache_dir

from datasets.table import Source

TIMEOUT_SECONDS = 60.0
# A catalogued file is a few megabytes; a server that sends gigabytes in its place is cut off.
LARGEST_BYTES = 1 << 30


class FetchError(RuntimeError):
    """A raw file could not be had: not to be found, unreadable, or not the file that the catalog names."""


def cache_dir() -> Path:
    """Folder of the cache: the environment's ``LACUNA_DATA``, else the platform's user cache folder."""
    return Path(os.environ.get("LACUNA_DATA") or user_cache_dir("lacuna"))


def mirror_dir() -> Path | None:
    """Folder of the mirror, ``LACUNA_MIRROR`` of the environment, or None."""
    named = os.environ.get("LACUNA_MIRROR")
    return Path(named) if named else None


def sha256(data: bytes | memoryview) -> str:
    """SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def fetch_sources(sources: Iterable[Source]) -> list[Path]:
    """Make raw files present in the cache, verified.

    Parameters
    ----------
    sources : iterable of Source
        The files, their checksums and addresses; an archive that holds several is downloaded once.

    Returns
    -------
    list of Path
        The files in the cache, in the order asked for.

    Raises
    ------
    FetchError
        When neither cache, mirror nor download yields a file with the catalog's checksum.
    """
    archives: dict[str, bytes] = {}
    return [_fetch(source, archives) for source in sources]


def _fetch(source: Source, archives: dict[str, bytes]) -> Path:
    cached = _cached(source)
    if _holds(cached, source.sha256):
        return cached
    cached.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{cached}.lock"):
        if _holds(cached, source.sha256):
            return cached
        if cached.exists():
            cached.replace(cached.with_name(f"{cached.name}.corrupt"))
        write_atomically(cached, _obtain(source, archives))
    return cached


def in_mirror(source: Source) -> Path | None:
    """Where the mirror stores a raw file, plain or with ``.gz`` added; None when it does not."""
    mirror = mirror_dir()
    if mirror is None:
        return None
    plain = inside(mirror, source.file)
    return next((p for p in (plain, plain.with_name(f"{plain.name}.gz")) if p.is_file()), None)


def in_cache(source: Source) -> bool:
    """Whether the cache has a file by this name (verified only when it is fetched)."""
    return _cached(source).is_file()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that others see nothing of it or all of it.

    A temporary file in the same folder is written, flushed to disk and renamed over ``path``. After a crash a
    file ``.tmp-*`` may be left; it is never read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def inside(folder: Path, relative: str) -> Path:
    """The path of a name inside a folder.

    Raises
    ------
    ValueError
        When the name is absolute or climbs out with ``..``.
    """
    parts = PurePosixPath(relative.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or not parts.parts or ":" in parts.parts[0]:
        raise ValueError(f"{relative!r} leads out of its folder; refused")
    return folder.joinpath(*parts.parts)


def gunzip(data: bytes, what: str) -> bytes:
    """The content of a gzip stream.

    Raises
    ------
    FetchError
        When the stream is cut short or damaged; ``what`` names it.
    """
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FetchError(f"{what} is not a whole gzip file ({error}); replace it") from error


def zip_member(data: bytes, member: str, what: str) -> bytes:
    """One member of a zip archive, read in memory: nothing is ever unpacked to a path that an archive names.

    Raises
    ------
    FetchError
        When the archive is damaged, lacks the member, or has names that lead out of its folder.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            for name in archive.namelist():
                inside(Path(), name)
            return archive.read(member)
    except KeyError:
        raise FetchError(f"{what} has no member {member!r}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise FetchError(f"{what} is not a sound zip archive ({error})") from error


def _cached(source: Source) -> Path:
    return inside(cache_dir() / "raw", source.file)


def _holds(path: Path, checksum: str) -> bool:
    # The largest raw file is hashed in some 20 ms, and only where no parsed copy exists: no marker is worth
    # its risk.
    return path.is_file() and sha256(path.read_bytes()) == checksum


def _obtain(source: Source, archives: dict[str, bytes]) -> bytes:
    """The verified content of a raw file, from the mirror or from its official address."""
    stored = in_mirror(source)
    if stored is not None:
        origin, data = str(stored), stored.read_bytes()
        if stored.suffix == ".gz" and not source.file.endswith(".gz"):
            data = gunzip(data, origin)
        remedy = "replace the mirror's copy, or unset LACUNA_MIRROR to download the official one"
    else:
        origin = source.url
        if origin not in archives:
            archives[origin] = download(origin, remedy=f"or put the file at $LACUNA_MIRROR/{source.file}")
        data = zip_member(archives[origin], source.member, origin) if source.member else archives[origin]
        remedy = f"the official file has changed; put a good copy at $LACUNA_MIRROR/{source.file}"
    found = sha256(data)
    if found != source.sha256:
        raise FetchError(
            f"{origin} does not hold {source.file}: its SHA-256 is {found},"
            f" the catalog's {source.sha256}; {remedy}"
        )
    return data


def download(url: str, remedy: str = "") -> bytes:
    """The content at an address.

    Raises
    ------
    FetchError
        When the address cannot be reached, answers with an error, or sends less or more than it should.
    """
    if not url.startswith(("https://", "http://")):
        raise FetchError(f"{url!r} is no web address; {remedy or 'give one'}")
    request = urllib.request.Request(url, headers={"User-Agent": "lacuna"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            data = answer.read(LARGEST_BYTES + 1)
            announced = answer.headers.get("Content-Length")
    except (http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(
            f"cannot download {url} ({reason}); check the network, {remedy or 'try again'}"
        ) from error
    if len(data) > LARGEST_BYTES:
        raise FetchError(f"{url} sends more than {LARGEST_BYTES} bytes; refused")
    if announced is not None and len(data) != int(announced):
        raise FetchError(f"{url} sent {len(data)} of {announced} bytes; try again")
    return data
