"""What one trial may not do to the next: random state, threads, precision, warnings; and what it cost."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
from threadpoolctl import threadpool_limits


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Undo what the body does to the process.

    Its global random state, precision, warnings, devices, working folder and environment variables.
    """
    folder, environment = os.open(".", os.O_RDONLY), dict(os.environ)
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch = _loaded("torch")
    torch_state = torch.get_rng_state() if torch else None
    try:
        with warnings.catch_warnings(), np.errstate():
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        os.fchdir(folder)  # by its handle: it may have been renamed meanwhile
        os.close(folder)
        torch = _loaded("torch")
        if torch:
            torch.set_default_dtype(torch.float32)
            torch.set_default_device("cpu")
            torch.set_grad_enabled(True)
            torch.set_deterministic_debug_mode("default")
            torch.set_float32_matmul_precision("highest")
            if torch_state is not None:
                torch.set_rng_state(torch_state)
        _restore_environment(environment)


def _restore_environment(environment: dict[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


@contextlib.contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Run the body on `threads` CPU threads; to be entered once the libraries that it uses are imported.

    The number is fixed, not only bounded: floating-point sums depend on it, and the same trial must give the
    same numbers wherever it runs.
    """
    torch = _loaded("torch")
    before = torch.get_num_threads() if torch else None
    try:
        with threadpool_limits(limits=threads):
            if torch:
                torch.set_num_threads(threads)
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


class Cost:
    """Seconds and peak memory of the body of a ``with``.

    Attributes
    ----------
    seconds : float
        Wall time on the monotonic clock.
    cpu_seconds : float
        Processor time of this process, all threads, and of its children, whether they ended meanwhile or not.
        Unlike `seconds` it hardly depends on what else the machine does.
    peak_rss_mb : float
        Highest resident memory of the whole process meanwhile, in MiB.
    peak_gpu_mb : float or None
        Highest memory that torch held on the GPU, in MiB; None where none was used.
    gpu_name : str or None
        Which GPU that was, such as "NVIDIA A10G".
    """

    def __enter__(self) -> Cost:
        self._cuda = _loaded("torch") and sys.modules["torch"].cuda.is_available()
        if self._cuda:
            sys.modules["torch"].cuda.reset_peak_memory_stats()
        self._meter = _KernelPeak() if _KernelPeak.works() else _SampledPeak()
        self._meter.start()
        self._busy = _processor_time()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        torch = _loaded("torch")
        used = torch.cuda.max_memory_allocated() if torch and torch.cuda.is_available() else 0
        self.seconds = time.perf_counter() - self._began
        self.cpu_seconds = _processor_time() - self._busy
        self.peak_rss_mb = self._meter.stop() / 2**20
        self.peak_gpu_mb = used / 2**20 if used else None
        self.gpu_name = torch.cuda.get_device_name() if torch and used else None


def _processor_time() -> float:
    times = os.times()
    busy = times.user + times.system + times.children_user + times.children_system
    for pid in _living_children():
        with contextlib.suppress(psutil.Error):  # it has ended
            living = psutil.Process(pid).cpu_times()
            busy += living.user + living.system
    return busy


def _living_children() -> list[int]:
    """Their numbers. The kernel's own lists, one a thread, are had faster than by a look at every process."""
    lists = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            lists.append(path.read_text())
    if lists:
        return [int(pid) for pid in " ".join(lists).split()]
    return [child.pid for child in psutil.Process().children()]


class _KernelPeak:
    """The kernel's own high-water mark of resident memory, reset at the start (Linux)."""

    _CLEAR = Path("/proc/self/clear_refs")
    _STATUS = Path("/proc/self/status")

    @classmethod
    def works(cls) -> bool:
        try:
            cls._CLEAR.write_text("5")
            return "VmHWM:" in cls._STATUS.read_text()
        except OSError:
            return False

    def start(self) -> None:
        self._CLEAR.write_text("5")

    def stop(self) -> int:
        line = next(line for line in self._STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


class _SampledPeak:
    """Resident memory looked at every 20 ms, where the kernel keeps no mark that can be reset."""

    def start(self) -> None:
        self._process = psutil.Process()
        self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return max(self._peak, self._process.memory_info().rss)


def _loaded(name: str) -> ModuleType | None:
    return sys.modules.get(name)
