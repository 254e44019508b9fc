"""Small tables, awkward methods, and one Ray for the tests that need it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import methods
from orchestrator.sweep import Sweep

AWKWARD = '''
"""Methods that misbehave, each in its own way."""
import ctypes
import os
import random
import time
import warnings

import numpy as np

from methods import MethodInfo
from methods.columns import Mean


def known(name):
    facts = dict(title=name, family="awkward", reference="none", inductive=True, stochastic=False)
    return MethodInfo(name=name, **facts)


class Raises(Mean):
    info = known("raises")

    def _fit(self, X, rng):
        raise ValueError("no luck with this <table>")


class RaisesOnOddMasks(Mean):
    """Fails for some masks alone: whether the number of holes is odd."""

    info = known("raises_on_odd_masks")

    def _fit(self, X, rng):
        super()._fit(X, rng)
        if np.isnan(X).sum(axis=0)[0] % 2:
            raise RuntimeError("an odd number of holes")


class ChangesObserved(Mean):
    info = known("changes_observed")

    def fit_transform(self, X, y=None):
        filled = super().fit_transform(X)
        filled.iloc[3, 1] = X.iloc[:, 1].max() + 1
        return filled


class ChangesInput(Mean):
    info = known("changes_input")

    def fit_transform(self, X, y=None):
        filled = super().fit_transform(X)
        X.iloc[X.iloc[:, 0].notna().to_numpy().argmax(), 0] += 1
        return filled


class LeavesHoles(Mean):
    info = known("leaves_holes")

    def fit_transform(self, X, y=None):
        return X.copy()


class Float32(Mean):
    info = known("float32")

    def fit_transform(self, X, y=None):
        return super().fit_transform(X).astype({"b": "float32"})


class Diverges(Mean):
    info = known("diverges")

    def _impute(self, X, rng):
        return np.where(np.isnan(X), np.inf, X)


class OutOfMemory(Mean):
    info = known("out_of_memory")

    def _fit(self, X, rng):
        raise MemoryError("cannot hold it")


class Vandal(Mean):
    """Leaves the process in another state than it found it in."""

    info = known("vandal")

    def _fit(self, X, rng):
        import torch

        super()._fit(X, rng)
        np.random.seed(0)
        random.seed(0)
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(2)
        np.seterr(all="raise")
        warnings.simplefilter("error")


class Random(Mean):
    """Imputes noise from its own generator: any difference in seeding shows."""

    info = known("random_noise")

    def _impute(self, X, rng):
        return np.where(np.isnan(X), rng.standard_normal(X.shape), X)


class Hangs(Mean):
    """Sleeps in C while it holds the interpreter's lock."""

    info = known("hangs")

    def _fit(self, X, rng):
        ctypes.PyDLL(None).sleep(600)


class Slow(Mean):
    info = known("slow")

    def _fit(self, X, rng):
        super()._fit(X, rng)
        time.sleep(0.4)


class DiesOnce(Mean):
    """Kills its worker the first time; LACUNA_TEST_MARK names the file by which it knows."""

    info = known("dies_once")

    def __init__(self, *, mark="", random_state=None):
        super().__init__(random_state=random_state)
        self.mark = mark

    def _fit(self, X, rng):
        super()._fit(X, rng)
        if not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getpid(), 9)


class AlwaysDies(Mean):
    info = known("always_dies")

    def _fit(self, X, rng):
        os.kill(os.getpid(), 9)
'''


@pytest.fixture(scope="session")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plug-in file whose methods misbehave; registered in this process."""
    path = tmp_path_factory.mktemp("plugins") / "awkward.py"
    path.write_text(textwrap.dedent(AWKWARD))
    methods.load_plugin(path)
    return path


@pytest.fixture(scope="session")
def small_csv(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A user's table: 60 rows, three correlated numeric columns and a categorical one."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=60)
    frame = pd.DataFrame(
        {"a": base, "b": base + 0.1 * rng.normal(size=60), "c": 10 * base + rng.normal(size=60)}
    )
    frame["kind"] = np.where(base > 0, "high", "low")
    path = tmp_path_factory.mktemp("tables") / "small.csv"
    frame.to_csv(path, index=False)
    return str(path)


@pytest.fixture
def make_sweep(small_csv: str):
    """A sweep over the small table; keyword arguments override."""

    def make(**overrides) -> Sweep:
        content = {
            "name": "small",
            "datasets": [small_csv],
            "methods": ["mean"],
            "mechanisms": ["mcar"],
            "seeds": 2,
        }
        return Sweep.from_mapping({**content, **overrides})

    return make


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A two-CPU Ray on loopback, started once."""
    from orchestrator import schedule

    with schedule._cluster(schedule.Resources(workers=2)):
        yield
