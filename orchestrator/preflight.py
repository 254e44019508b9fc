"""One look at every node before anything runs: a wrong one is one message, not a thousand failed trials."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ray.exceptions import RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import datasets
from orchestrator.placement import Gpu
from orchestrator.raylib import ray
from orchestrator.record import versions
from orchestrator.store import Store
from orchestrator.sweep import RequestError

LOOK_SECONDS = 180.0
"""How long a node may take to answer: it receives the code and imports it first."""
ACQUAINTANCE_SECONDS = 1.0
"""After which a node that was not known where the tasks are handed out is asked again."""
FREE = ("lacuna", "ray")
"""Packages whose version is not compared: our code travels, and Ray is asked for its own."""


def look(
    location: str, token: str, wanted: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """What this machine is like, seen from a process of it.

    Parameters
    ----------
    location, token
        Of the store; the driver has written a file of the name `token` where attempts are noted.
    wanted
        Tables to look for, and the fingerprint that each must have.
    environment
        The driver's variables that say where the data are.
    """
    import ray

    with _environment(environment):
        troubles = [*_data_troubles(wanted), *_store_troubles(Store(location), token)]
    return {
        "python": platform.python_version(),
        "ray": ray.__version__,
        "versions": versions(),
        "gpus": gpus(),
        "troubles": troubles,
    }


def _data_troubles(wanted: Mapping[str, str]) -> list[str]:
    troubles = []
    for name, fingerprint in wanted.items():
        try:
            found = datasets.fingerprint(name)
            datasets.fetch(name)
        except (ValueError, OSError, datasets.FetchError) as error:
            troubles.append(f"the table {name!r} cannot be had: {error}")
        else:
            if found != fingerprint:
                troubles.append(f"the table {name!r} is another one there: put the same file on every node")
    return troubles


def _store_troubles(store: Store, token: str) -> list[str]:
    if store.remote:
        try:
            store.prepare()
        except (RequestError, OSError) as error:
            return [str(error)]
        return []
    folder = store.running
    if not folder.is_dir():
        return [
            f"the results folder {str(folder)!r} is not there: choose one on a shared file system with --out"
        ]
    if not (folder / token).exists():
        return [f"{str(folder)!r} is another folder there: choose one on a shared file system with --out"]
    try:
        probe = folder / f"{token}.{secrets.token_hex(4)}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return [f"the results folder {str(folder)!r} cannot be written to ({error.strerror})"]
    return []


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def gpus() -> list[tuple[str, float]]:
    """Name and memory in MiB of each NVIDIA GPU of this machine; asks the driver, so that torch stays out."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in told.splitlines():
        name, _, memory = line.rpartition(",")
        with contextlib.suppress(ValueError):  # a slice of a GPU may have no number of its own
            found.append((name.strip(), float(memory)))
    return found


def check(store: Store, wanted: Mapping[str, str]) -> list[Gpu]:
    """Look at every node of the cluster.

    Parameters
    ----------
    store
        Where the workers will write; prepared.
    wanted
        Tables of the sweep, and the fingerprint of each.

    Returns
    -------
    list of Gpu
        The kinds that there are, where their memory could be asked for.

    Raises
    ------
    RequestError
        Naming each node that cannot run the sweep as this machine would, and why.
    """
    token = f".preflight-{secrets.token_hex(8)}"
    environment = {key: value for key, value in os.environ.items() if key.startswith("LACUNA_")}
    (store.running / token).write_bytes(b"")
    try:
        found = _ask_all(store.location, token, dict(wanted), environment)
    finally:
        (store.running / token).unlink()
    own = {"python": platform.python_version(), "ray": ray.__version__, "versions": versions()}
    wrong = []
    for (name, facts), number in zip(found, range(1, len(found) + 1), strict=True):
        troubles = (
            facts["troubles"] if "versions" not in facts else [*differences(own, facts), *facts["troubles"]]
        )
        if troubles:
            wrong.append(f"  node {number}, {name}: {'; '.join(troubles)}")
    if wrong:
        raise RequestError(
            f"{len(wrong)} of the cluster's {len(found)} nodes cannot run this sweep; nothing was started\n"
            + "\n".join(wrong)
        )
    kinds = {(name, memory) for _, facts in found for name, memory in facts["gpus"]}
    return [Gpu(ray_name(name), memory) for name, memory in sorted(kinds)]


def _ask_all(
    location: str, token: str, wanted: dict[str, str], environment: dict[str, str]
) -> list[tuple[str, dict[str, Any]]]:
    """Address and answer of each node; one that leaves the cluster meanwhile is not there."""
    remote = ray.remote(num_cpus=0, max_retries=1)(look)
    until = time.monotonic() + LOOK_SECONDS
    silent = f"it did not answer within {LOOK_SECONDS:g} s"
    waiting = _alive()
    answers = []
    while waiting:
        asked = {
            node: remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
                location, token, wanted, environment
            )
            for node in waiting
        }
        left = max(0.0, until - time.monotonic())
        ready, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=left)
        alive, again = _alive(), {}
        for node, reference in asked.items():
            try:
                if reference not in ready:
                    raise TimeoutError(silent)
                answers.append((waiting[node], ray.get(reference)))
            except (RayError, TimeoutError) as error:
                if node not in alive:
                    continue
                unknown = isinstance(error, TaskUnschedulableError)
                if unknown and time.monotonic() < until:
                    again[node] = waiting[node]  # it has just come, and is not known to all others yet
                else:
                    trouble = silent if unknown else _last_line(error)
                    answers.append((waiting[node], {"troubles": [trouble]}))
        if again:
            time.sleep(ACQUAINTANCE_SECONDS)
        waiting = again
    return answers


def _alive() -> dict[str, str]:
    """Address of each node, by its id."""
    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def differences(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """How a node differs from the driver in what a result may depend on, in words.

    >>> own = {"python": "3.11.7", "ray": "2.60.0", "versions": {"numpy": "2.1.0", "torch": "2.9.0+cpu"}}
    >>> differences(own, {**own, "versions": {"torch": "2.9.0+cu126"}})
    ['numpy is missing: install the versions of constraints.txt']
    >>> differences(own, {**own, "python": "3.12.1", "ray": "2.50.0"})
    ['Python 3.12.1 instead of 3.11', 'Ray 2.50.0 instead of 2.60.0']
    """
    found = []
    minor = own["python"].rpartition(".")[0]
    if other["python"].rpartition(".")[0] != minor:
        found.append(f"Python {other['python']} instead of {minor}")
    if other["ray"] != own["ray"]:
        found.append(f"Ray {other['ray']} instead of {own['ray']}")
    packages = []
    for name in sorted({*own["versions"], *other["versions"]} - {"python", *FREE}):
        here, there = (_public(which["versions"].get(name)) for which in (own, other))
        if here != there:
            packages.append(
                f"{name} is missing" if there is None else f"{name} {there} instead of {here or 'none'}"
            )
    if packages:
        found.append(f"{', '.join(packages)}: install the versions of constraints.txt")
    return found


def _public(version: str | None) -> str | None:
    """A version without its build: ``2.9.0+cpu`` and ``2.9.0+cu126`` are the same code."""
    return None if version is None else version.partition("+")[0]


def ray_name(gpu: str) -> str:
    """What Ray's ``accelerator_type`` resource calls a GPU.

    >>> ray_name("NVIDIA A100-SXM4-80GB"), ray_name("Tesla T4")
    ('A100', 'T4')
    """
    from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager

    asked: str | None = NvidiaGPUAcceleratorManager._gpu_name_to_accelerator_type(gpu)
    return asked or gpu


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if "Error" in line or "Exception" in line), None)
    return told or (lines[-1] if lines else type(error).__name__)
