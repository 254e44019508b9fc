"""The process in which the package `hyperimpute` runs, and the messages to and from it.

:mod:`methods.hyperimpute` starts this file as a script. The package reseeds the global random numbers, sets
the thread variables of its process, silences logs and prints; here that disturbs nobody. A message is a JSON
object and an array, each behind its length; the script reads tables from its standard input and answers on
its standard output. It ends with its parent, whose end closes the input.

As a script it imports nothing of Lacuna: beside it lies a module with the name of the package it needs.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import multiprocessing
import os
import queue
import random
import struct
import sys
import threading
import traceback
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

LENGTH = struct.Struct("<Q")

LOGISTIC: dict[str, Any] = {}
"""Arguments of every logistic regression, over the package's own."""


def write_message(
    stream: IO[bytes], header: dict[str, Any], table: NDArray[np.float64] | None = None
) -> None:
    """Send a header, and a table or none."""
    buffer = io.BytesIO()
    if table is not None:
        np.save(buffer, table, allow_pickle=False)
    for block in (json.dumps(header).encode(), buffer.getvalue()):
        stream.write(LENGTH.pack(len(block)))
        stream.write(block)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], NDArray[np.float64] | None]:
    """Receive what :func:`write_message` sent.

    Raises
    ------
    EOFError
        If the other side has ended.

    Examples
    --------
    >>> stream = io.BytesIO()
    >>> write_message(stream, {"seed": 3}, np.ones((1, 2)))
    >>> _ = stream.seek(0)
    >>> read_message(stream)
    ({'seed': 3}, array([[1., 1.]]))
    """
    header, table = (_read_exactly(stream, LENGTH.unpack(_read_exactly(stream, 8))[0]) for _ in range(2))
    return json.loads(header), np.load(io.BytesIO(table), allow_pickle=False) if table else None


def _read_exactly(stream: IO[bytes], n_bytes: int) -> bytes:
    block = stream.read(n_bytes)
    if len(block) < n_bytes:
        raise EOFError(f"the stream ended after {len(block)} of {n_bytes} bytes")
    return block


def impute(
    table: NDArray[np.float64], seed: int, owners: list[int], settings: dict[str, Any]
) -> tuple[NDArray[np.float64], dict[str, list[str]]]:
    """Fill the holes by the package's plug-in.

    Parameters
    ----------
    table
        (n_rows, n_columns), NaN where a hole is.
    seed
        Of the order of columns and of the models.
    owners
        For each column, what it is part of: those of one owner are not predicted from each other.
    settings
        The plug-in's, and the ``class_weight`` of logistic regressions.

    Returns
    -------
    filled : ndarray
        The shape of `table`.
    models : dict
        For each column that a model was selected for, by its position as text: the models, in order of time.
    """
    import pandas as pd

    prepare()
    from hyperimpute.plugins.imputers import Imputers

    LOGISTIC["class_weight"] = settings.pop("class_weight")
    plugin = Imputers().get("hyperimpute", random_state=seed, **settings)
    names = [str(place) for place in range(table.shape[1])]
    others = {
        name: [other for other, its in zip(names, owners, strict=True) if its != owner]
        for name, owner in zip(names, owners, strict=True)
    }
    plugin.model._get_neighbors_for_col = others.__getitem__
    # building the plug-in builds others, which seed the global random numbers by their own default
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    sys.modules["torch"].manual_seed(seed)
    filled = plugin.fit_transform(pd.DataFrame(table))
    return filled.to_numpy(dtype=np.float64), plugin.trace()["models"]


@functools.cache
def prepare() -> None:
    """Make the package's surroundings those under which its results are its own and repeat.

    Raises
    ------
    RuntimeError
        On a pandas on which the package does nothing.
    """
    import optuna
    import pandas as pd
    from sklearn import linear_model

    if int(pd.__version__.split(".")[0]) >= 3:
        raise RuntimeError(
            f"hyperimpute writes through chained assignment, which pandas {pd.__version__} ignores: "
            "it would return column means; install 'pandas<3'"
        )
    pd.set_option("mode.copy_on_write", False)
    # forests ask for half the cores, and would sum their trees in the order in which threads end
    multiprocessing.cpu_count = lambda: 1

    plain_regression = linear_model.LogisticRegression

    def logistic_regression(*, multi_class: str, penalty: str, n_jobs: int, **kwargs: Any) -> Any:
        return plain_regression(**{**kwargs, **LOGISTIC})

    # newer releases of scikit-learn refuse `multi_class`: several classes are always "multinomial"
    linear_model.LogisticRegression = logistic_regression

    with contextlib.suppress(ModuleNotFoundError):  # the package does without
        _forget_objective()

    from hyperimpute.utils import optimizer

    def no_server() -> None:
        raise ConnectionError("studies stay in this process")

    plain_study = optuna.create_study

    def create_study(**kwargs: Any) -> Any:
        sampler = optuna.samplers.TPESampler(seed=np.random.randint(2**31))  # noqa: NPY002
        return plain_study(sampler=sampler, **kwargs)

    trial_type: Any = optuna.trial.Trial
    plain_int = trial_type.suggest_int

    def suggest_int(trial: Any, name: str, low: int, high: int, step: int = 1) -> int:
        return plain_int(trial, name, low, high, step=step)

    # newer releases of optuna take the step by name alone
    trial_type.suggest_int = suggest_int

    # a Redis server that listens on this machine would keep studies from one call to the next
    optimizer.RedisBackend = no_server
    # its sampler is seeded by the clock
    optuna.create_study = create_study


def _forget_objective() -> None:
    """Let a classifier that has seen three classes be fitted again to two, as the package does.

    xgboost keeps the objective of the fit before, for which it then lacks the number of classes.
    """
    import xgboost

    classifier: Any = xgboost.XGBClassifier
    plain_fit = classifier.fit

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.set_params(objective="binary:logistic")  # its default, from which it goes to several classes
        return plain_fit(self, *args, **kwargs)

    classifier.fit = fit


def main() -> None:
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed goes with the errors
    jobs: queue.SimpleQueue[tuple[dict[str, Any], Any]] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                jobs.put(read_message(requests))
        except EOFError:
            os._exit(0)  # the parent has ended, or wants no more: whatever is being computed

    threading.Thread(target=listen, daemon=True).start()
    while True:
        header, table = jobs.get()
        try:
            filled, models = impute(table, **header)
        except Exception:
            write_message(replies, {"error": traceback.format_exc()})
        else:
            write_message(replies, {"models": models}, filled)


if __name__ == "__main__":
    main()
