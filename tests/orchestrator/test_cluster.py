"""On a cluster of several nodes, here all on one machine: what a sweep survives, and what it refuses at once.

The sweep is a process of its own, as a user's is; this one holds the nodes and does the harm.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

import methods
from orchestrator.preflight import differences, look, ray_name
from orchestrator.store import Store
from orchestrator.sweep import Sweep
from orchestrator.trial import run_trial

MEMORY = 80 * 2**20
"""Of each node's object store, which nothing here uses."""
PATIENCE = 400
"""Seconds that a sweep of seconds may take on a busy machine."""

PLUGIN = '''
"""Methods that take their time and say where they were."""
import json
import os
import time

from methods import MethodInfo
from methods.columns import Mean


def known(name, **more):
    facts = dict(title=name, family="test", reference="none", inductive=True, stochastic=False)
    return MethodInfo(name=name, **facts, **more)


class Unhurried(Mean):
    info = known("unhurried")

    def _fit(self, X, rng):
        super()._fit(X, rng)
        time.sleep(0.5)


class Told(Mean):
    """Leaves a file that says when it ran, and on which node."""

    def __init__(self, *, folder="", seconds=0.3, random_state=None):
        super().__init__(random_state=random_state)
        self.folder = folder
        self.seconds = seconds

    def _fit(self, X, rng):
        import ray

        super()._fit(X, rng)
        began, node = time.time(), ray.get_runtime_context().get_node_id()
        open(os.path.join(self.folder, f"{node}-{began}.began"), "w").close()
        time.sleep(self.seconds)
        seen = dict(method=self.info.name, node=node, began=began, ended=time.time())
        path = os.path.join(self.folder, f"{self.info.name}-{os.getpid()}-{began}.json")
        with open(path, "w") as file:
            json.dump(seen, file)


class OnCpu(Told):
    info = known("on_cpu")


class OnGpu(Told):
    info = known("on_gpu", accelerated=True)
'''


@contextlib.contextmanager
def nodes(*others: dict, cpus: int = 1) -> Iterator[Cluster]:
    """A head with CPUs alone, and other nodes beside it."""
    small = {"object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, connect=False, head_node_args={"num_cpus": cpus, **small})
    try:
        for other in others:
            cluster.add_node(object_store_memory=MEMORY, **other)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plugins") / "telling.py"
    path.write_text(textwrap.dedent(PLUGIN))
    return path


@pytest.fixture
def request_file(tmp_path, small_csv):
    """Writes a sweep over the small table."""

    def write(**content) -> Path:
        path = tmp_path / "request.yaml"
        whole = {"datasets": [small_csv], "methods": ["mean"], "mechanisms": ["mcar"], "seeds": 2, **content}
        path.write_text(json.dumps(whole))  # JSON is YAML
        return path

    return write


def command(request: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "orchestrator", "sweep", str(request), "--out", str(out), *options]


def start(*args, **more) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command(*args), **pipes, env={**os.environ, "OMP_NUM_THREADS": "1"}, **more)


def finish(process: subprocess.Popen) -> str:
    """What the sweep printed, in one line."""
    return " ".join(process.communicate(timeout=PATIENCE)[0].split())


def wait_for_records(out: Path, count: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(list((out / "records").glob("*.parquet"))) < count:
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_a_trial_on(node: str, folder: Path, process: subprocess.Popen, *, after: float) -> None:
    """Until a trial has just begun on a node, later than a point in time."""
    deadline = time.monotonic() + PATIENCE
    while not any(float(path.stem.partition("-")[2]) > after for path in folder.glob(f"{node}-*.began")):
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rows_in(out: Path) -> list[dict]:
    store = Store(out)
    assert not list(store.running.iterdir())
    return [row for key in sorted(store.keys()) for row in store.read(key)]


def scores_in(out: Path) -> list[tuple]:
    return [
        (row["trial_key"], row["split"], row["mask_hash"], row["mae"], row["rmse"]) for row in rows_in(out)
    ]


@pytest.mark.slow
class TestWithTwoNodes:
    def test_gpu_trials_share_a_gpu_and_cpu_trials_keep_off_its_node(self, tmp_path, plugin, request_file):
        (tmp_path / "seen").mkdir()
        where = {"folder": str(tmp_path / "seen")}
        request = request_file(
            methods=["on_gpu", "on_cpu"],
            seeds=4,
            params={"on_gpu": {**where, "seconds": 1.0}, "on_cpu": where},
            gpu_fraction=0.5,
        )
        with nodes({"num_cpus": 2, "num_gpus": 1}) as cluster:
            options = ("--address", cluster.address, "--plugin", str(plugin))
            process = start(request, tmp_path / "out", *options)
            assert (finish(process), process.returncode)[1] == 0
            (gpu_node,) = (node.node_id for node in cluster.worker_nodes)
        rows = rows_in(tmp_path / "out")
        assert {row["status"] for row in rows} == {"ok"}
        assert {(row["method"], row["gpu_fraction"]) for row in rows} == {("on_gpu", 0.5), ("on_cpu", 0.0)}
        seen = [json.loads(path.read_text()) for path in (tmp_path / "seen").glob("*.json")]
        busy = max(entry["ended"] for entry in seen if entry["method"] == "on_gpu")
        assert all(entry["node"] == gpu_node for entry in seen if entry["method"] == "on_gpu")
        meanwhile = [e for e in seen if e["method"] == "on_cpu" and e["began"] < busy]
        assert meanwhile
        assert all(entry["node"] != gpu_node for entry in meanwhile)

    def test_a_node_that_is_gone_costs_attempts_and_no_trial(self, tmp_path, plugin, request_file):
        (tmp_path / "seen").mkdir()
        params = {"on_cpu": {"folder": str(tmp_path / "seen"), "seconds": 2.0}}
        request = request_file(methods=["on_cpu"], seeds=8, params=params)
        with nodes({"num_cpus": 1}) as cluster:
            options = ("--address", cluster.address, "--plugin", str(plugin))
            process = start(request, tmp_path / "out", *options)
            wait_for_records(tmp_path / "out", 2, process)
            (other,) = cluster.worker_nodes
            wait_for_a_trial_on(other.node_id, tmp_path / "seen", process, after=time.time())
            cluster.remove_node(other, allow_graceful=False)
            text = finish(process)
            assert process.returncode == 0, text
        rows = rows_in(tmp_path / "out")
        assert len(rows) == 8
        assert {row["status"] for row in rows} == {"ok"}
        assert max(row["attempts"] for row in rows) == 2

    def test_without_its_head_the_sweep_says_so_and_another_one_goes_on(self, tmp_path, plugin, request_file):
        request = request_file(methods=["unhurried"], seeds=12)
        out = tmp_path / "out"
        with nodes() as cluster:
            process = start(request, out, "--address", cluster.address, "--plugin", str(plugin))
            wait_for_records(out, 2, process)
            cluster.remove_node(cluster.head_node, allow_graceful=False)
            text = finish(process)
        assert process.returncode not in (0, 2), text
        assert "the head of the cluster" in text, text
        assert "the same command" in text
        before = {path.name: path.stat().st_mtime_ns for path in (out / "records").iterdir()}
        assert 2 <= len(before) < 12
        with nodes() as cluster:
            process = start(request, out, "--address", cluster.address, "--plugin", str(plugin))
            text = finish(process)
        assert process.returncode == 0, text
        assert len(rows_in(out)) == 12
        assert before.items() <= {p.name: p.stat().st_mtime_ns for p in (out / "records").iterdir()}.items()

    def test_a_driver_killed_again_and_again_ends_with_the_same_numbers(self, tmp_path, plugin, request_file):
        request = request_file(methods=["unhurried", "mice"], seeds=8, mechanisms=["mcar", "mnar"])
        out, rng, kills = tmp_path / "out", random.Random(0), 0
        with nodes({"num_cpus": 1}) as cluster:
            options = ("--address", cluster.address, "--plugin", str(plugin))
            for more in (0, 1, 3, 2, 5, 0, 4, 1, 2, 3):
                process = start(request, out, *options)
                wanted = len(list((out / "records").glob("*.parquet"))) + more
                with contextlib.suppress(AssertionError):  # it may be done before
                    if (out / "records").is_dir() or more:
                        wait_for_records(out, min(wanted, 31), process)
                time.sleep(rng.uniform(0.0, 1.5))
                kills += process.poll() is None
                process.send_signal(signal.SIGKILL)
                process.communicate()
            process = start(request, out, *options)
            text = finish(process)
        assert process.returncode == 0, text
        assert kills >= 8
        methods.load_plugin(plugin)
        sweep = Sweep.load(str(request))
        alone = Store(tmp_path / "alone")
        alone.prepare()
        for spec in sweep.trials():
            alone.commit(run_trial(spec))
        assert scores_in(out) == scores_in(tmp_path / "alone")

    def test_a_node_with_other_packages_is_found_before_anything_runs(self, tmp_path, request_file):
        # what Python finds first on that node: another numpy by its metadata, and Hugging Face's `datasets`
        foreign = tmp_path / "foreign"
        (foreign / "numpy-0.9.9.dist-info").mkdir(parents=True)
        (foreign / "numpy-0.9.9.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 0.9.9\n")
        (foreign / "datasets").mkdir()
        (foreign / "datasets" / "__init__.py").write_text("load_dataset = None\n")
        with nodes({"num_cpus": 1, "env_vars": {"PYTHONPATH": str(foreign)}}) as cluster:
            process = start(request_file(), tmp_path / "out", "--address", cluster.address)
            text = finish(process)
        assert process.returncode == 2, text
        assert "1 of the cluster's 2 nodes cannot run this sweep; nothing was started" in text
        assert "numpy 0.9.9 instead of" in text
        assert (
            "datasets" not in text.partition("nothing was started")[2]
        )  # our own travels, and is found first
        assert not list((tmp_path / "out" / "records").iterdir())
        assert not list((tmp_path / "out" / "running").iterdir())


class TestPreflight:
    @staticmethod
    def put_token(folder):
        (folder / "running").mkdir()
        (folder / "running" / "token").write_text("")

    def test_a_good_node_has_no_troubles(self, tmp_path, make_sweep):
        self.put_token(tmp_path)
        (spec,) = make_sweep(seeds=1).trials()
        facts = look(str(tmp_path), "token", {spec.dataset: spec.fingerprint}, {})
        assert facts["troubles"] == []
        assert differences(facts, facts) == []
        assert [path.name for path in (tmp_path / "running").iterdir()] == ["token"]

    @pytest.mark.parametrize(
        ("folder", "said"), [("absent", "is not there"), ("", "is another folder there")]
    )
    def test_a_results_folder_that_is_not_shared(self, tmp_path, folder, said):
        (tmp_path / "running").mkdir()
        (trouble,) = look(str(tmp_path / folder), "token", {}, {})["troubles"]
        assert said in trouble
        assert "--out" in trouble

    def test_data_that_are_missing_or_others(self, tmp_path, small_csv):
        self.put_token(tmp_path)
        wanted = {small_csv: "0" * 64, str(tmp_path / "gone.csv"): "0" * 64}
        other, gone = look(str(tmp_path), "token", wanted, {})["troubles"]
        assert "is another one there" in other
        assert "gone.csv" in gone

    def test_the_mirror_is_that_of_the_driver(self, tmp_path, monkeypatch):
        monkeypatch.delenv("LACUNA_MIRROR", raising=False)
        self.put_token(tmp_path)
        look(str(tmp_path), "token", {}, {"LACUNA_MIRROR": "/elsewhere"})
        assert "LACUNA_MIRROR" not in os.environ

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"python": "3.12.4"}, "Python 3.12.4 instead of 3.11"),
            ({"ray": "2.9.0"}, "Ray 2.9.0 instead of 2.60.0"),
            ({"versions": {"scipy": "1.14.0"}}, "torch is missing"),
            ({"versions": {"scipy": "1.2", "torch": "2.9.0"}}, "scipy 1.2 instead of 1.14.0"),
        ],
    )
    def test_what_a_result_may_depend_on_must_be_the_same(self, change, said):
        own = {"python": "3.11.7", "ray": "2.60.0", "versions": {"scipy": "1.14.0", "torch": "2.9.0+cpu"}}
        assert said in "; ".join(differences(own, {**own, **change}))

    def test_kinds_of_gpu_are_named_as_ray_names_them(self):
        assert ray_name("NVIDIA H100 80GB HBM3") == "H100"
        assert ray_name("Tesla T4") == "T4"


@pytest.mark.slow
def test_on_four_nodes_each_does_what_suits_it_and_one_may_go(tmp_path, plugin, request_file):
    (tmp_path / "seen").mkdir()
    where = {"folder": str(tmp_path / "seen")}
    request = request_file(
        methods=["on_gpu", "on_cpu"],
        seeds=16,
        params={"on_gpu": {**where, "seconds": 0.5}, "on_cpu": {**where, "seconds": 1.0}},
        gpu_fraction=0.5,
    )
    kinds = ({"num_cpus": 1}, {"num_cpus": 1}, {"num_cpus": 2, "num_gpus": 1})
    with nodes() as cluster:
        plain, lost, gpu = (cluster.add_node(object_store_memory=MEMORY, **kind) for kind in kinds)
        process = start(request, tmp_path / "out", "--address", cluster.address, "--plugin", str(plugin))
        head = cluster.head_node.node_id
        for node in (plain, lost):
            wait_for_a_trial_on(node.node_id, tmp_path / "seen", process, after=0.0)
        cluster.remove_node(lost, allow_graceful=False)
        text = finish(process)
        assert process.returncode == 0, text
    rows = rows_in(tmp_path / "out")
    assert len(rows) == 32
    assert {row["status"] for row in rows} == {"ok"}
    seen = [json.loads(path.read_text()) for path in (tmp_path / "seen").glob("*.json")]
    assert {entry["node"] for entry in seen if entry["method"] == "on_gpu"} == {gpu.node_id}
    assert {plain.node_id, head} <= {e["node"] for e in seen if e["method"] == "on_cpu"}
