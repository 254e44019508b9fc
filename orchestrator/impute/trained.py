"""A method fitted on a prepared table: what fills it, and others with the same columns."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

import methods
from methods.registry import MethodInfo
from orchestrator.impute.candidates import lacks, takes_device
from orchestrator.impute.prepared import Fills, Prepared, Recipe
from orchestrator.isolation import isolated, pinned
from orchestrator.sweep import RequestError

THREADS = 1
"""Sums of floating-point numbers depend on the number of threads; with this one anyone gets the same."""


@dataclass(frozen=True)
class Trained:
    """An imputer, and all that is needed to make it again."""

    method: str
    params: Mapping[str, Any]
    """Constructor parameters, ``random_state`` not among them."""
    seed: int
    recipe: Recipe
    train: pd.DataFrame
    """What it was fitted on: a `Prepared.frame`."""
    imputer: Any
    """Fitted."""

    @property
    def info(self) -> MethodInfo:
        return methods.info(self.method)

    def fill(self, prepared: Prepared, only: Collection[str] | None = None) -> Fills:
        """The fills of another table, prepared by `recipe`."""
        with _quiet():
            return prepared.take(self.imputer.transform(prepared.frame), only)

    def draw(self, prepared: Prepared, n_samples: int, only: Collection[str] | None = None) -> list[Fills]:
        """So many fills, drawn from the distribution that was learned."""
        with _quiet():
            drawn = self.imputer.sample(prepared.frame, n_samples)
            result = []
            while drawn:  # each is let go once its fills are taken
                result.append(prepared.take(drawn.pop(0), only))
            return result


def train(
    method: str,
    params: Mapping[str, Any],
    seed: int,
    recipe: Recipe,
    frame: pd.DataFrame,
    *,
    fill: bool,
    device: str = "auto",
) -> tuple[Trained, pd.DataFrame | None]:
    """Fit a method on a prepared table.

    Parameters
    ----------
    method, params
        As :func:`methods.build` takes them.
    seed
        The method's ``random_state``.
    recipe, frame
        Of the prepared table.
    fill
        Whether to fill its holes at the same go.
    device
        For methods that compute on a GPU.

    Returns
    -------
    tuple
        The imputer and, if asked for, the filled `frame`.
    """
    name = methods.resolve(method)
    extra = {"device": device} if takes_device(name) else {}
    filled = None
    with _quiet():
        imputer = methods.build(name, **{"random_state": seed, **extra, **params})
        if fill:
            filled = imputer.fit_transform(frame)
        else:
            imputer.fit(frame)
    return Trained(name, params, seed, recipe, frame, imputer), filled


def refuse_unable(method: str, needs: Sequence[str]) -> None:
    """Raise RequestError if the method cannot do what is asked of it.

    Parameters
    ----------
    method
        Its name.
    needs
        "inductive", to fill other rows than it was fitted on; "stochastic", to draw.
    """
    words = {
        "inductive": "fills only the rows that it is fitted on",
        "stochastic": "draws nothing: it is deterministic",
    }
    for need in lacks(method, needs):
        able = [name for name in methods.names() if not lacks(name, needs)]
        raise RequestError(f"{method} {words[need]}; methods that can are {', '.join(able)}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What a method does to the process is undone, and its warnings are not the user's."""
    with isolated(), pinned(THREADS):
        warnings.simplefilter("ignore")
        yield
