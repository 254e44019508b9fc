"""A Ray to run on: one of our own on this machine's loopback, or a cluster that is there."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray._private import ray_constants
from ray._private.state import state

import analysis
import datasets
import methods
import orchestrator
from orchestrator.raylib import ray
from orchestrator.sweep import RequestError

CONNECT_SECONDS = 10.0
"""How long a cluster may take to answer the first knock."""
KNOCK_SECONDS, KNOCKS = 2.0, 3
"""How often the head is knocked at, and how many times in a row it may not answer."""
LEAVE_SECONDS = 5.0
"""How long the main thread may take to leave once the head is gone."""

PACKAGES = (orchestrator, methods, datasets, analysis)
"""What travels to the nodes of a cluster, so that they run the driver's code."""
TOKEN_HINT = (
    "; if it asks for a token, export RAY_AUTH_MODE=token, with the token in RAY_AUTH_TOKEN or in "
    "~/.ray/auth_token"
)


@dataclass(frozen=True)
class Resources:
    """What a sweep may use."""

    address: str | None = None
    """Address of a running Ray cluster, "auto" to find one; None starts one on this machine's loopback."""
    workers: int | None = None
    """CPUs of the local cluster: trials run at once; None for all."""


class ClusterLostError(RuntimeError):
    """The head of the cluster is gone in mid-sweep. What is recorded stays; the same command goes on."""


@contextlib.contextmanager
def connect(resources: Resources) -> Iterator[None]:
    """A Ray for the body: the cluster at the address, or one of our own, ended afterwards.

    Raises
    ------
    RequestError
        If there is no cluster at the address, if it runs another Python or Ray, or if our own does not start.
    ClusterLostError
        From the body, if the head of the cluster is lost meanwhile.
    """
    if resources.address is not None:
        _require_reachable(resources.address)
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    expects_cluster = ray_constants.ENABLE_RAY_CLUSTER
    if resources.address is not None:
        _join(resources.address, quiet)
    else:
        # the switch by which Ray keeps to loopback where it does not expect a cluster
        ray_constants.ENABLE_RAY_CLUSTER = False
        _start(resources.workers, quiet)
    watch = _HeadWatch(ray.get_runtime_context().gcs_address) if resources.address is not None else None
    try:
        yield
    except BaseException as error:
        if watch is not None and watch.lost():
            raise ClusterLostError(watch.message) from error
        raise
    finally:
        if watch is not None:
            watch.stop()
        if watch is None or not watch.lost():
            with _undisturbed():
                ray.shutdown()  # without its head it would wait for a minute and then abort
        ray_constants.ENABLE_RAY_CLUSTER = expects_cluster


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C is not heard: in the midst of its shutdown, Ray would end this process without a word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start(workers: int | None, quiet: dict[str, Any]) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=128 * 2**20,
            **quiet,
        )
    except Exception as error:
        if type(error) is not Exception:  # what Ray raises when its processes do not start in time
            raise
        raise RequestError(f"Ray did not start ({error}): try again when the machine is less busy") from error


def _join(address: str, quiet: dict[str, Any]) -> None:
    code = [str(Path(package.__file__).parent) for package in PACKAGES if package.__file__]
    try:
        ray.init(address=address, runtime_env={"py_modules": code}, **quiet)
    except ConnectionError as error:
        hint = "" if os.environ.get("RAY_AUTH_MODE") else TOKEN_HINT
        raise RequestError(f"no Ray cluster at {address!r}: {error}{hint}") from error
    except RuntimeError as error:
        if "ersion mismatch" not in str(error):
            raise
        told = " ".join(str(error).split())
        raise RequestError(
            f"the cluster at {address!r} runs another Python or Ray than this command: {told}"
        ) from error


def potential() -> dict[str, float]:
    """What the cluster's autoscaler may add, all nodes together; empty where there is none."""
    try:
        return dict(state.get_max_resources_from_cluster_config() or {})
    except Exception:
        # Ray has no public question for this; without an answer, the nodes that are there count
        return {}


def _require_reachable(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself would try for many minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        return  # "auto" and the like: Ray answers at once
    try:
        _knock(address.removeprefix("ray://"))
    except OSError as error:
        told = f"{host}:{port} cannot be reached ({error})"
        raise RequestError(f"no Ray cluster at {address!r}: {told}") from error


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


class _HeadWatch:
    """Knocks at the head; when it is gone for good, interrupts the main thread, as Ctrl-C would.

    Where that is stuck in Ray, the process ends here, with the message: Ray would abort it after a minute
    and not say what to do. Nothing is lost by it, since each worker commits its own records.
    """

    def __init__(self, address: str):
        self.address = address
        self.message = (
            f"the head of the cluster at {address} is lost: start it again and issue the same command, "
            "which goes on from the records that are there"
        )
        self._lost = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def lost(self) -> bool:
        """Whether the head does not answer, asked anew."""
        return self._lost or not self._answers()

    def stop(self) -> None:
        self._done.set()

    def _answers(self) -> bool:
        try:
            _knock(self.address)
        except OSError:
            return False
        return True

    def _watch(self) -> None:
        silent = 0
        while not self._done.wait(KNOCK_SECONDS):
            silent = 0 if self._answers() else silent + 1
            if silent >= KNOCKS:
                self._lost = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                if not self._done.wait(LEAVE_SECONDS):
                    print(f"\n{self.message}", file=sys.stderr, flush=True)
                    os._exit(1)
                return
