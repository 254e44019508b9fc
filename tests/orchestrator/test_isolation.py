"""What a trial cost, where a process of its own did the work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestrator import isolation
from orchestrator.isolation import Cost

BUSY = """
import time
while input() == "work":
    while time.process_time() < 0.5: pass
    print("done", flush=True)
"""


@pytest.fixture
def child():
    child = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield child
    child.kill()
    child.communicate()


@pytest.mark.parametrize("listed_by", ["kernel", "psutil"])
def test_processor_time_counts_children_that_live_on(child, listed_by, monkeypatch, tmp_path):
    if listed_by == "psutil":
        monkeypatch.setattr(isolation, "Path", lambda _: tmp_path)  # no such list
    with Cost() as cost:
        child.stdin.write("work\n")
        child.stdin.flush()
        child.stdout.readline()
    assert 0.4 < cost.cpu_seconds < 2
    with Cost() as idle:
        pass
    assert idle.cpu_seconds < 0.3  # what it spent before is not counted again
    with Cost() as ended:
        child.kill()
        child.wait()
    assert ended.cpu_seconds < 0.3
