"""Which imputers exist, what they can do, and how to build one.

A method is a class with a literal ``info = MethodInfo(...)`` in its body, in a module of this package. The
registry reads that literal from the source, so that listing and checking names imports nothing: a method
whose optional dependency is missing can still be named, and says so only when it is built.

Third parties add methods through entry points (group ``lacuna.methods``, value ``package.module:Class``) or a
file given to :func:`load_plugin`.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from methods.base import Imputer

ENTRY_POINT_GROUP = "lacuna.methods"


class UnknownNameError(ValueError):
    """A name that nothing answers to; the message holds the nearest valid ones."""

    def __init__(self, kind: str, name: str, valid: Iterable[str]):
        valid = list(valid)
        near = difflib.get_close_matches(name.lower(), valid, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"valid: {', '.join(valid)}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


@dataclass(frozen=True)
class MethodInfo:
    """What is known of a method before it is built."""

    name: str
    """The registry's name: lower case, a valid identifier."""
    title: str
    """How papers write it."""
    family: str
    """The kind of model, for grouping in tables."""
    reference: str
    """The paper or implementation that it follows."""
    inductive: bool
    """Has out-of-sample imputation: ``transform`` takes rows that ``fit`` has not seen."""
    stochastic: bool
    """Has ``sample``: draws from a distribution of imputations."""
    categorical: bool = True
    """Handles ``category`` columns."""
    generative: bool = False
    """Has ``generate``: synthetic rows."""
    accelerated: bool = False
    """Has a ``device`` parameter and gains from a GPU."""
    version: int = 1
    """Raised whenever the same seed would give other numbers; part of a trial's key."""
    aliases: tuple[str, ...] = ()
    extra: str | None = None
    """The optional dependency group to install, if any."""
    search_space: Mapping[str, Any] = field(default_factory=dict)
    """Hyperparameter -> ``("log", low, high)``, ``("uniform", low, high)`` or a list of choices."""


@dataclass(frozen=True)
class _Entry:
    info: MethodInfo
    load: Callable[[], type[Imputer]]


_plugins: dict[str, _Entry] = {}


def names() -> tuple[str, ...]:
    """Every registered method, in alphabetical order."""
    return tuple(sorted(_entries()))


def resolve(name: str) -> str:
    """The canonical name behind a name or alias.

    Raises
    ------
    UnknownNameError
        If no method answers to `name`; the message names the nearest ones.
    """
    entries = _entries()
    if name in entries:
        return name
    aliases = {alias: entry.info.name for entry in entries.values() for alias in entry.info.aliases}
    if name in aliases:
        return aliases[name]
    raise UnknownNameError("method", name, [*sorted(entries), *sorted(aliases)])


def info(name: str) -> MethodInfo:
    """What the method can do, without importing its dependencies."""
    return _entries()[resolve(name)].info


def build(name: str, **params: Any) -> Imputer:
    """An unfitted imputer.

    Parameters
    ----------
    name
        A name or alias.
    **params
        Constructor parameters; the rest keep their defaults.

    Raises
    ------
    UnknownNameError
        If the method or one of the parameters is unknown.
    ImportError
        If an optional dependency is missing; the message names the extra to install.
    """
    cls = _load(resolve(name))
    valid = list(inspect.signature(cls).parameters)
    for key in params:
        if key not in valid:
            raise UnknownNameError(f"parameter of {name}", key, valid)
    return cls(**params)


def describe(name: str) -> dict[str, Any]:
    """The method's parameters and their defaults (builds the class, so its dependencies are imported)."""
    signature = inspect.signature(_load(resolve(name)))
    return {key: parameter.default for key, parameter in signature.parameters.items()}


def load_plugin(path: str | Path) -> tuple[str, ...]:
    """Register every imputer class defined in a Python file.

    Returns
    -------
    tuple of str
        The names that were added.

    Raises
    ------
    ValueError
        If the file does not exist, cannot be run, or defines no imputer with an ``info``.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"plug-in {str(path)!r} is not a file")
    module_name = f"lacuna_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"plug-in {path} cannot be run: {type(error).__name__}: {error}") from error
    classes: list[Any] = [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls) and cls.__module__ == module_name and isinstance(_own_info(cls), MethodInfo)
    ]
    if not classes:
        raise ValueError(f"plug-in {str(path)!r} defines no class with `info = MethodInfo(...)` in its body")
    for cls in classes:
        method = _own_info(cls)
        if method.name in _builtin():
            raise ValueError(
                f"plug-in {str(path)!r}: the name {method.name!r} is taken by a method of Lacuna"
            )
        _plugins[method.name] = _Entry(method, functools.partial(_identity, cls))
    return tuple(_own_info(cls).name for cls in classes)


def _load(name: str) -> type[Imputer]:
    entry = _entries()[name]
    try:
        return entry.load()
    except ImportError as error:
        if entry.info.extra is None:
            raise
        remedy = f"pip install 'lacuna[{entry.info.extra}]'"
        raise ImportError(f"{name} needs {error.name!r}, which is not installed: {remedy}") from error


def _entries() -> dict[str, _Entry]:
    return {**_from_entry_points(), **_builtin(), **_plugins}


@functools.cache
def _builtin() -> dict[str, _Entry]:
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for class_name, method in _read_infos(path):
            load = functools.partial(_import_class, f"methods.{path.stem}", class_name)
            found[method.name] = _Entry(method, load)
    return found


@functools.cache
def _from_entry_points() -> dict[str, _Entry]:
    found = {}
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        cls = point.load()
        found[_own_info(cls).name] = _Entry(_own_info(cls), functools.partial(_identity, cls))
    return found


def _read_infos(path: Path) -> list[tuple[str, MethodInfo]]:
    """(class name, info) of each class in a source file whose body holds a literal ``info``."""
    source = path.read_text(encoding="utf-8")
    if "info = MethodInfo(" not in source:
        return []
    infos = []
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            if (
                isinstance(statement, ast.Assign)
                and isinstance(statement.targets[0], ast.Name)
                and statement.targets[0].id == "info"
                and isinstance(statement.value, ast.Call)
            ):
                values = {str(word.arg): ast.literal_eval(word.value) for word in statement.value.keywords}
                infos.append((node.name, MethodInfo(**values)))
    return infos


def _import_class(module: str, class_name: str) -> type[Imputer]:
    return getattr(importlib.import_module(module), class_name)


def _identity(cls: type[Imputer]) -> type[Imputer]:
    return cls


def _own_info(cls: type) -> MethodInfo:
    return vars(cls).get("info")  # type: ignore[return-value]
