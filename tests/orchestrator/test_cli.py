"""The command line as its user meets it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.store import Store
from orchestrator.sweep import Sweep
from orchestrator.trial import run_trial


def call(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, list(args))
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def command(*args: str, cwd: Path) -> list[str]:
    return [sys.executable, "-m", "orchestrator", *args]


@pytest.fixture
def request_of(small_csv, tmp_path):
    def make(*args: str) -> list[str]:
        base = ["--datasets", small_csv, "--mechanisms", "mcar", "--out", str(tmp_path / "out")]
        return ["sweep", *base, *args]

    return make


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["swep"], ["'swep'", "'sweep'"]),
        (["sweep", "quik"], ["'quik'", "'quick'"]),
        (["sweep", "--method", "mean"], ["--methods"]),
        (["sweep", "--datasts", "blood"], ["--datasets"]),
        (["sweep", "--methods", "meen"], ["'meen'", "'mean'"]),
        (["sweep", "--datasets", "brest_cancer"], ["'brest_cancer'", "'breast_cancer'"]),
        (["sweep", "--datasets", "nowhere.csv"], ["nowhere.csv"]),
        (["sweep", "--mechanisms", "mcra"], ["'mcra'", "'mcar'"]),
        (["sweep", "--ratios", "1.3"], ["ratio=1.3", "(0, 1)"]),
        (["sweep", "--scores", "drawz"], ["'drawz'", "'draws'"]),
        (["sweep", "--seeds", "0"], ["seeds=0"]),
        (["sweep", "--workers", "0"], ["workers"]),
        (["list", "methds"], ["'methds'", "'methods'"]),
        (["status", "/nowhere/at/all"], ["/nowhere/at/all"]),
        (["fetch", "blod"], ["'blod'", "'blood'"]),
    ],
)
def test_typos_name_the_nearest_and_run_nothing(args, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = call(*args, code=2)
    for part in parts:
        assert part in output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "no row"),
        ("a,b\n1,2\n3\n", "row #3"),
        ("a,b\nx,y\nz,w\n", "no numeric column"),
        ("a,a\n1,2\n3,4\n", "two columns named 'a'"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(content, message, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    output = call("sweep", "--datasets", str(path), "--out", str(tmp_path / "out"), code=2)
    assert "bad.csv" in output
    assert message in output.lower()
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    output = call("sweep", "--out", str(tmp_path / "file" / "out"), code=2)
    assert "--out" in output


def test_a_cluster_that_does_not_answer_is_refused(request_of, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    output = call(*request_of("--methods", "mean", "--address", address), code=2)
    assert address in output
    assert "cannot be reached" in output


def test_list_shows_what_there_is():
    output = call("list")
    for name in ("breast_cancer", "BCD", "newimp", "knewimp", "mar:newimp", "holdout", "quick"):
        assert name in output
    assert "newimp" not in call("list", "datasets").replace("NewImp", "")


@pytest.mark.usefixtures("ray_cluster")
class TestASweep:
    def test_ends_with_records_a_leaderboard_and_a_report(self, request_of, tmp_path):
        output = call(*request_of("--methods", "mean,em", "--seeds", "2"))
        assert "em" in output
        assert "2 mask seeds x 2 methods = 4 trials" in output
        assert "report.html" in output
        html = (tmp_path / "out" / "report.html").read_text()
        assert "<html" in html
        assert "http-equiv" not in html
        assert (tmp_path / "out" / "report.md").read_text()
        assert len(pd.read_parquet(tmp_path / "out" / "records")) == 4
        again = call(*request_of("--methods", "mean,em", "--seeds", "2"))
        assert "4 of them recorded already" in again
        assert len(pd.read_parquet(tmp_path / "out" / "records")) == 4
        status = call("status", str(tmp_path / "out"))
        assert "ok 4" in status
        assert "missing 0" in status

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            (None, "--plugin: plug-in 'mine.py' is not a file"),
            (
                "x = 1",
                "plug-in 'mine.py' defines no class with `info = MethodInfo(...)` in its body",
            ),
            ("import nothing_like_this", "mine.py cannot be run: ModuleNotFoundError: No module named"),
            ("raise ValueError('not today')", "mine.py cannot be run: ValueError: not today"),
            ("class Mine(", "mine.py cannot be run: SyntaxError: '(' was never closed"),
        ],
    )
    def test_a_plug_in_that_cannot_be_used_is_named(self, tmp_path, monkeypatch, source, told):
        monkeypatch.chdir(tmp_path)
        if source is not None:
            (tmp_path / "mine.py").write_text(source)
        assert told in call("sweep", "--plugin", "mine.py", code=2)
        assert told in call("tune", "knn", "--dataset", "concrete", "--plugin", "mine.py", code=2)

    def test_with_failures_ends_with_1_and_lists_them(self, request_of, awkward, tmp_path):
        args = request_of("--methods", "mean,raises", "--seeds", "1", "--plugin", str(awkward))
        output = call(*args, code=1)
        assert "no luck with this <table>" in output
        assert "1 of 2 trials failed" in output
        html = (tmp_path / "out" / "report.html").read_text()
        assert "no luck with this &lt;table&gt;" in html
        assert "no luck with this <table>" not in html
        assert "failed 1" in call("status", str(tmp_path / "out"))
        assert len(list((tmp_path / "out" / "records").iterdir())) == 2
        call(*args, "--retry-failed", code=1)
        assert len(list((tmp_path / "out" / "superseded").iterdir())) == 1


def test_a_killed_driver_loses_nothing(request_of, awkward, tmp_path, small_csv):
    """SIGKILL in mid-sweep, the command again: the rest runs, and the numbers are those of a quiet run."""
    args = request_of("--methods", "slow,mean", "--seeds", "8", "--plugin", str(awkward), "--workers", "2")
    store = Store(tmp_path / "out")
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen(
            command(*args, cwd=tmp_path), stdout=log, stderr=log, start_new_session=True
        )
        patience = time.monotonic() + 120
        while len(store.keys()) < 4 and driver.poll() is None and time.monotonic() < patience:
            time.sleep(0.05)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    time.sleep(1)
    kept = {path.name: path.stat().st_mtime_ns for path in store.records.iterdir()}
    assert 4 <= len(kept) < 16, (tmp_path / "log").read_text()
    output = subprocess.run(command(*args, cwd=tmp_path), capture_output=True, text=True, timeout=180)
    assert output.returncode == 0, output.stdout + output.stderr
    assert "recorded already" in output.stdout
    assert {name: (store.records / name).stat().st_mtime_ns for name in kept} == kept
    content = {"name": "quick", "datasets": [small_csv], "mechanisms": ["mcar"], "methods": ["slow", "mean"]}
    trials = Sweep.from_mapping({**content, "seeds": 8}).trials()
    assert store.keys() == {spec.key for spec in trials}
    frame = pd.read_parquet(store.records)
    assert len(frame) == 16
    quiet = run_trial(trials[0]).rows[0]
    assert frame.set_index("trial_key").loc[trials[0].key, "mae"] == quiet["mae"]
