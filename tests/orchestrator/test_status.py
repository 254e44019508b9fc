"""How far a sweep is, told from its folder alone."""

from __future__ import annotations

import io
import os
import subprocess

import pytest
from rich.console import Console

import methods
from orchestrator import status
from orchestrator.status import look, print_status

GPUS = "0, NVIDIA H200, 37, 1024, 143771\n1, NVIDIA H200, [N/A], [N/A], 143771\n"


def test_done_failed_by_cause_running_and_missing(call, fill, make_sweep, awkward, tmp_path):
    sweep = make_sweep(methods=["mean", "raises", "out_of_memory"], seeds=4)
    trials = sweep.trials()
    recorded = [spec for spec in trials if spec.mask_seed < 2 or spec.method == "raises"]
    store = fill(tmp_path / "out", sweep, recorded, plugins=[str(awkward)])
    (started,) = [spec for spec in trials if spec.method == "mean" and spec.mask_seed == 2]
    store.begin(started.key)
    output = call("status", str(tmp_path / "out"))
    assert "12 trials planned ok 2 failed 4" in output
    assert "4 x ValueError: no luck with this <table> out_of_memory 2" in output
    assert "2 x MemoryError: cannot hold it missing 4 1 of these were started: mean on" in output
    assert "go on with: the command" in output
    snapshot = look(tmp_path / "out")
    assert [spec.key for spec in snapshot.running] == [started.key]
    assert (snapshot.waiting, snapshot.missing) == (3, 4)


def test_the_time_left_is_told_from_what_is_recorded_or_not_at_all(call, fill, make_sweep, awkward, tmp_path):
    methods.load_plugin(str(awkward))
    sweep = make_sweep(methods=["mean", "random_noise"], seeds=4)
    store = fill(tmp_path / "out", sweep, [])
    assert "4 trials by what their methods typically take" in call("status", str(tmp_path / "out"))
    mean, noise = sweep.trials()[:4], sweep.trials()[4:]
    fill(tmp_path / "out", sweep, mean[:2])
    store.begin(mean[2].key)
    output = call("status", str(tmp_path / "out"))
    assert "of work, and 4 trials of unknown cost" in output
    assert "on the 1 workers at it" in output
    fill(tmp_path / "out", sweep, [*mean, *noise])
    done = call("status", str(tmp_path / "out"))
    assert "missing 0" in done
    assert "left: " not in done


def test_looking_touches_nothing_and_names_what_cannot_be_read(call, fill, make_sweep, tmp_path):
    store = fill(tmp_path / "out", make_sweep(seeds=3))
    broken = min(store.records.iterdir())
    broken.write_bytes(b"no parquet")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    output = call("status", str(tmp_path / "out"))
    assert "ok 2" in output
    assert "missing 1" in output
    assert broken.stem in output
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_watching_ends_when_nothing_is_missing(fill, make_sweep, tmp_path, monkeypatch):
    sweep = make_sweep(seeds=3)
    store = fill(tmp_path / "out", sweep, sweep.trials()[:1])
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        fill(tmp_path / "out", sweep, sweep.trials()[: 1 + len(slept)])

    monkeypatch.setattr(status.time, "sleep", sleep)
    stream = io.StringIO()
    print_status(tmp_path / "out", Console(file=stream, width=120), watch=True)
    assert len(slept) == 2
    assert len(store.keys()) == 3
    shown = " ".join(stream.getvalue().split())
    assert [shown.count(f"missing {n}") for n in (2, 1, 0)] == [1, 1, 1]


def test_ctrl_c_ends_the_watch(call, fill, make_sweep, tmp_path, monkeypatch):
    fill(tmp_path / "out", make_sweep(), [])

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", interrupted)
    assert "Traceback" not in call("status", str(tmp_path / "out"), "--watch", code=130)


def test_gpus_are_shown_where_there_are_any(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert status.gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nwhile read line; do echo \"$line\"; done <<'END'\n{GPUS}END\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    first, second = status.gpus()
    assert first == "GPU 0, NVIDIA H200: 37% busy, 1.0 of 140.4 GiB in use"
    assert second == "GPU 1, NVIDIA H200: load not told, memory not told"
    monkeypatch.setattr(
        status.subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(subprocess.TimeoutExpired("x", 1))
    )
    assert status.gpus() == []


@pytest.mark.parametrize("content", [None, "{", "[]", '{"name": "no config"}'])
def test_a_folder_that_does_not_say_what_it_is_of_is_refused(call, fill, make_sweep, tmp_path, content):
    fill(tmp_path / "out", make_sweep(), [])
    described = tmp_path / "out" / "sweep.json"
    described.unlink() if content is None else described.write_text(content)
    assert "sweep.json" in call("status", str(tmp_path / "out"), code=2)


def test_a_plugin_that_is_gone_is_named(call, fill, make_sweep, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("import nothing_like_this")
    fill(tmp_path / "out", make_sweep(), [], plugins=[str(plugin)])
    output = call("status", str(tmp_path / "out"), code=2)
    assert "mine.py" in output
    assert "nothing_like_this" in output
