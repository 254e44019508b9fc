"""Raw files over loopback: verified, whole or not at all, one fetch for many askers."""

import gzip
import hashlib
import http.server
import io
import multiprocessing
import threading
import zipfile
from pathlib import Path

import pytest

from datasets import files
from datasets.files import FetchError, fetch_sources, inside
from datasets.table import Source

CONTENT = b"a,b\n" + b"1,2\n" * 5000


def source(url="http://127.0.0.1:9/t.csv", content=CONTENT, file="t/t.csv", member=""):
    return Source(file, hashlib.sha256(content).hexdigest(), url, member)


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def server():
    """A web server on loopback: ``server.pages[path] = (bytes to send, length to announce)``."""
    pages, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path not in pages:
                self.send_error(404)
                return
            body, announced = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.pages, running.asked = pages, asked
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def mirror_folder(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "mirror"
    (folder / "t").mkdir(parents=True)
    monkeypatch.setenv("LACUNA_MIRROR", str(folder))
    return folder


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".lock"))


def test_a_download_enters_the_cache_once(server, own_cache):
    server.pages["/t.csv"] = (CONTENT, len(CONTENT))
    (path,) = fetch_sources([source(f"{server.url}/t.csv")])
    assert path.read_bytes() == CONTENT
    assert fetch_sources([source(f"{server.url}/t.csv")]) == [path]
    assert server.asked == ["/t.csv"]
    assert leftovers(own_cache) == ["t.csv"]


def test_a_changed_download_is_refused_and_leaves_nothing(server, own_cache):
    server.pages["/t.csv"] = (b"other", 5)
    wanted = source(f"{server.url}/t.csv")
    with pytest.raises(FetchError) as raised:
        fetch_sources([wanted])
    assert wanted.sha256 in str(raised.value)
    assert hashlib.sha256(b"other").hexdigest() in str(raised.value)
    assert "LACUNA_MIRROR/t/t.csv" in str(raised.value)
    assert leftovers(own_cache) == []


def test_a_cut_download_is_refused(server, own_cache):
    server.pages["/t.csv"] = (CONTENT[:100], len(CONTENT))
    with pytest.raises(FetchError, match=f"sent 100 of {len(CONTENT)} bytes; try again"):
        fetch_sources([source(f"{server.url}/t.csv")])
    assert leftovers(own_cache) == []


def test_no_such_page_and_no_server(server):
    with pytest.raises(FetchError, match="Not Found"):
        fetch_sources([source(f"{server.url}/none.csv")])
    with pytest.raises(FetchError, match=r"check the network, or put the file at \$LACUNA_MIRROR/t/t.csv"):
        fetch_sources([source("http://127.0.0.1:9/t.csv")])


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", ""])
def test_only_the_web_is_read(url):
    with pytest.raises(FetchError, match="no web address"):
        fetch_sources([source(url)])


def test_a_corrupt_cache_is_set_aside_and_fetched_again(server, own_cache):
    server.pages["/t.csv"] = (CONTENT, len(CONTENT))
    cached = own_cache / "raw" / "t" / "t.csv"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"damaged")
    (path,) = fetch_sources([source(f"{server.url}/t.csv")])
    assert path.read_bytes() == CONTENT
    assert cached.with_name("t.csv.corrupt").read_bytes() == b"damaged"


@pytest.mark.parametrize("stored", ["t.csv", "t.csv.gz"])
def test_the_mirror_comes_before_the_download(stored, mirror_folder):
    (mirror_folder / "t" / stored).write_bytes(gzip.compress(CONTENT) if stored.endswith(".gz") else CONTENT)
    (path,) = fetch_sources([source()])
    assert path.read_bytes() == CONTENT


def test_a_corrupt_mirror_is_refused(mirror_folder, own_cache):
    (mirror_folder / "t" / "t.csv").write_bytes(b"x")
    with pytest.raises(FetchError, match="replace the mirror's copy"):
        fetch_sources([source()])
    assert leftovers(own_cache) == []


@pytest.mark.parametrize(
    "damage", [lambda z: z[: len(z) // 2], lambda z: b"\0" * 40, lambda z: z[:30] + b"\xff" * 20 + z[50:]]
)
def test_a_truncated_or_damaged_gzip_is_refused(damage, mirror_folder, own_cache):
    (mirror_folder / "t" / "t.csv.gz").write_bytes(damage(gzip.compress(CONTENT)))
    with pytest.raises(FetchError, match="not a whole gzip file"):
        fetch_sources([source()])
    assert leftovers(own_cache) == []


def test_an_archive_of_several_files_is_downloaded_once(server):
    archive = zipped(**{"in/a.csv": b"a", "b.csv": b"b"})
    server.pages["/z.zip"] = (archive, len(archive))
    url = f"{server.url}/z.zip"
    paths = fetch_sources([source(url, b"a", "t/a.csv", "in/a.csv"), source(url, b"b", "t/b.csv", "b.csv")])
    assert [p.read_bytes() for p in paths] == [b"a", b"b"]
    assert server.asked == ["/z.zip"]


@pytest.mark.parametrize(
    ("archive", "complaint"),
    [
        (zipped(**{"../a.csv": b"a", "a.csv": b"a"}), "leads out of its folder"),
        (zipped(**{"/etc/a.csv": b"a", "a.csv": b"a"}), "leads out of its folder"),
        (zipped(other=b"a"), "has no member 'a.csv'"),
        (zipped(**{"a.csv": b"a" * 1000})[:-30], "not a sound zip archive"),
    ],
)
def test_bad_archives_are_refused(archive, complaint, server, own_cache):
    server.pages["/z.zip"] = (archive, len(archive))
    with pytest.raises(FetchError, match=complaint):
        fetch_sources([source(f"{server.url}/z.zip", b"a", "t/a.csv", "a.csv")])
    assert leftovers(own_cache) == []


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/a", "C:/a", "..\\a", "", "."])
def test_paths_stay_inside(name, tmp_path):
    with pytest.raises(ValueError, match="leads out of its folder"):
        inside(tmp_path, name)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "f"
    target.write_bytes(b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(target, b"new")
    assert leftovers(tmp_path) == ["f"]
    assert target.read_bytes() == b"old"


def _ask(wanted, start, answers):
    start.wait()
    answers.put(hashlib.sha256(fetch_sources([wanted])[0].read_bytes()).hexdigest())


def test_many_processes_ask_and_one_fetches(server):
    server.pages["/t.csv"] = (CONTENT, len(CONTENT))
    wanted = source(f"{server.url}/t.csv")
    context = multiprocessing.get_context("fork")
    start, answers = context.Event(), context.Queue()
    askers = [context.Process(target=_ask, args=(wanted, start, answers)) for _ in range(6)]
    for asker in askers:
        asker.start()
    start.set()
    assert [answers.get(timeout=60) for _ in askers] == [wanted.sha256] * len(askers)
    for asker in askers:
        asker.join(timeout=60)
    assert server.asked == ["/t.csv"]
