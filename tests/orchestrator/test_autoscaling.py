"""A cluster that has no CPU until trials wait for one: Ray's autoscaler with nodes that are processes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.store import Store

PORT = 6379
"""The only one at which Ray's imitated nodes look for their head."""
MEMORY = 80 * 2**20
PATIENCE = 400

CLUSTER = f"""
cluster_name: imitated
provider: {{type: fake_multinode}}
max_workers: 2
upscaling_speed: 10
idle_timeout_minutes: 1
head_node_type: head
available_node_types:
  head: {{resources: {{CPU: 0}}, node_config: {{}}, max_workers: 0}}
  worker:
    resources: {{CPU: 1, object_store_memory: {MEMORY}}}
    node_config: {{}}
    min_workers: 0
    max_workers: 2
# what Ray's validator wants and imitated nodes have no use for
auth: {{}}
docker: {{}}
file_mounts: {{}}
cluster_synced_files: []
rsync_exclude: []
rsync_filter: []
initialization_commands: []
setup_commands: []
head_setup_commands: []
worker_setup_commands: []
head_start_ray_commands: []
worker_start_ray_commands: []
"""


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}


@contextlib.contextmanager
def autoscaling(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A head without CPUs, and an autoscaler that may start two nodes of one CPU."""
    (folder / "cluster.yaml").write_text(CLUSTER)
    command = [
        *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={PORT}"),
        *(f"--autoscaling-config={folder / 'cluster.yaml'}", "--num-cpus=0"),
        *(f"--object-store-memory={MEMORY}", "--include-dashboard=false", "--disable-usage-stats"),
    ]
    quick = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    with (folder / "head.log").open("w") as log:
        head = subprocess.Popen(command, env={**environment, **quick}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while "Ray runtime started" not in (folder / "head.log").read_text():
            assert head.poll() is None, (folder / "head.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield
    finally:
        everything = [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(everything, timeout=30)


def port_is_taken() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


@pytest.mark.slow
@pytest.mark.skipif(port_is_taken(), reason=f"port {PORT}, which Ray's imitated nodes need, is taken")
def test_nodes_come_when_trials_wait_for_them(tmp_path, small_csv, environment):
    request = {"datasets": [small_csv], "methods": ["mean", "knn"], "mechanisms": ["mcar"], "seeds": 3}
    (tmp_path / "request.yaml").write_text(json.dumps(request))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "orchestrator", "sweep", str(tmp_path / "request.yaml")]
    command += ["--out", str(out), "--address", f"127.0.0.1:{PORT}"]
    with autoscaling(tmp_path, environment):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(out)
    assert set(store.statuses(store.keys()).values()) == {"ok"}
    assert len(store.keys()) == 6
