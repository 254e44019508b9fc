"""The report of a sweep that still runs: a page on this machine that loads itself anew when records come in.

The server listens on loopback alone and answers two requests: the page, and the stamp of the page. The page
asks for the stamp every few seconds and loads itself anew when it differs.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rich.console import Console

from analysis.records import NoRecordsError
from analysis.report import report_text
from orchestrator.sweep import RequestError

HOST = "127.0.0.1"
PORT = 8642
INTERVAL = 2.0
"""Seconds between two looks at the records."""

_RELOAD = """<script>
setInterval(async () => {
  if (document.querySelector("#tip:not([hidden]), #filter details[open]")) return; // somebody is reading
  try {
    const stamp = await (await fetch("/stamp", { cache: "no-store" })).text();
    if (stamp !== "%s") location.reload();
  } catch { /* the server has ended: the page stays */ }
}, %d);
</script>
"""

_EMPTY = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>Lacuna</title></head><body style="font: 1rem/1.6 system-ui, sans-serif; margin: 3rem">
<h1>No report yet</h1><p>%s</p><p>This page looks again by itself.</p></body></html>
"""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)


class Page:
    """The newest report of a results folder, made again when the folder has changed.

    Attributes
    ----------
    stamp
        What the folder looked like when `body` was made.
    body
        The page, UTF-8.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.stamp, self.body = "", b""

    def refresh(self) -> bool:
        """Make the page again if records have come, gone or changed; whether it was made."""
        stamp = folder_stamp(self._directory)
        if stamp == self.stamp:
            return False
        try:
            text = report_text(self._directory)
        except NoRecordsError as error:
            text = _EMPTY % escape(str(error))
        except (ValueError, OSError) as error:
            # a sweep that still runs may be caught in the middle of a change; the next look sees it whole
            _log.warning("the report cannot be made: %s", error)
            text = _EMPTY % escape(str(error))
        before, found, after = text.rpartition("</body>")
        script = _RELOAD % (stamp, round(1000 * INTERVAL))
        self.stamp, self.body = stamp, f"{before}{script}{found}{after}".encode()
        return True

    def watch(self, ended: threading.Event) -> None:
        """Refresh until the event is set, at most half of the time being spent on it."""
        pause = INTERVAL
        while not ended.wait(pause):
            began = time.monotonic()
            self.refresh()
            pause = max(INTERVAL, time.monotonic() - began)


def folder_stamp(directory: Path) -> str:
    """A hash of names, sizes and times of the records' files and of the manifest."""
    seen = []
    for place in (directory / "records", directory):
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.endswith(".parquet") or entry.name == "sweep.json":
                        facts = entry.stat()
                        seen.append(f"{entry.name} {facts.st_size} {facts.st_mtime_ns}")
        except FileNotFoundError:  # of the folder, or of a file that was merged just now
            continue
    return hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()[:16]


def open_server(page: Page, port: int) -> ThreadingHTTPServer:
    """A server on loopback that answers with `page`; port 0 takes any free one.

    Raises
    ------
    RequestError
        If the port is taken, or may not be taken.
    """
    try:
        return ThreadingHTTPServer((HOST, port), _handler(page))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(
            f"port={port} on {HOST} cannot be listened on ({reason}): choose another by --port, or any "
            "free one by --port 0"
        ) from error


def serve(directory: Path, console: Console, *, port: int = PORT) -> None:
    """Show the report of `directory` to browsers of this machine until Ctrl-C.

    Raises
    ------
    RequestError
        As `open_server`.
    """
    page = Page(directory)
    server = open_server(page, port)
    ended = threading.Event()
    try:
        page.refresh()
        console.print(f"report: http://{HOST}:{server.server_port}/  (Ctrl-C ends)", soft_wrap=True)
        threading.Thread(target=page.watch, args=(ended,), daemon=True).start()
        server.serve_forever()
    finally:
        ended.set()
        server.server_close()


def _handler(page: Page) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A page elsewhere whose name was made to point here must not read the results.
            name = self.headers.get("Host", "").partition(":")[0]
            if name not in (HOST, "localhost"):
                self._answer(HTTPStatus.FORBIDDEN, b"ask for 127.0.0.1\n", "text/plain")
            elif self.path == "/":
                self._answer(HTTPStatus.OK, page.body, "text/html; charset=utf-8")
            elif self.path == "/stamp":
                self._answer(HTTPStatus.OK, page.stamp.encode(), "text/plain")
            elif self.path == "/favicon.ico":
                self._answer(HTTPStatus.NO_CONTENT, b"", "image/x-icon")
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"there is only /\n", "text/plain")

        def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            headers: Mapping[str, Any] = {**_HEADERS, "Content-Type": kind, "Content-Length": len(body)}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            _log.debug(format, *args)

    return Handler
