"""The served report: this machine alone, two addresses, refusals that say what to do."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest
from click.testing import CliRunner

from orchestrator import serve
from orchestrator.cli import main


def ask(port: int, path: str = "/", host: str = "127.0.0.1"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


@pytest.fixture
def server(tmp_path):
    (tmp_path / "records").mkdir()
    page = serve.Page(tmp_path)
    page.refresh()
    with serve.open_server(page, 0) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found, page, tmp_path
        found.shutdown()


def test_a_sweep_without_records_has_a_page_that_says_so_and_looks_again(server):
    found, page, folder = server
    status, body, headers = ask(found.server_port)
    assert status == 200
    assert "no records in" in body
    assert page.stamp in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert ask(found.server_port, "/stamp")[1] == page.stamp
    assert not page.refresh()
    (folder / "sweep.json").write_text("{}")
    assert page.refresh()


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [("/", "localhost:1", 200), ("/", "elsewhere.example", 403), ("/sweep.json", "localhost", 404),
     ("/../sweep.json", "localhost", 404), ("/favicon.ico", "localhost", 204)],
)  # fmt: skip
def test_only_the_page_is_answered_and_only_to_this_machine(server, path, host, status):
    assert ask(server[0].server_port, path, host)[0] == status


def test_a_folder_that_cannot_be_read_is_told_on_the_page(server):
    found, page, folder = server
    (folder / "records" / "a.parquet").write_bytes(b"no parquet")
    with pytest.warns(UserWarning, match="cannot be read"):
        page.refresh()
    assert "none of its 1 parts holds a readable row" in ask(found.server_port)[1]


def test_refusals_name_the_value_and_the_way_out(tmp_path):
    (tmp_path / "records").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        cases = {
            ("--serve", "--port", port): f"port={port} on 127.0.0.1 cannot be listened on",
            ("--serve", "--port", "70000"): "port=70000",
            ("--port", "8000"): "add --serve",
        }
        for options, told in cases.items():
            result = CliRunner().invoke(main, ["report", str(tmp_path), *options])
            assert result.exit_code == 2
            assert told in result.output
