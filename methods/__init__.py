"""Imputers behind one scikit-learn interface.

>>> import methods
>>> "em" in methods.names()
True
>>> methods.info("mice").inductive
True
>>> methods.build("knn", n_neighbors=5)
KNN(n_neighbors=5)

Importing this package loads neither torch nor scikit-learn: a method's own dependencies come with
:func:`build`.
"""

from methods.registry import (
    MethodInfo,
    UnknownNameError,
    build,
    describe,
    info,
    load_plugin,
    names,
    resolve,
)

__all__ = [
    "MethodInfo",
    "UnknownNameError",
    "build",
    "describe",
    "info",
    "load_plugin",
    "names",
    "resolve",
]
