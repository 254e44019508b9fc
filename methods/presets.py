"""Methods that stand in several parameterisations: a frozen dataclass for each, and what a user gives."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from sklearn.base import BaseEstimator

Settings = TypeVar("Settings", bound=Any)
"""A dataclass, each field a constructor parameter of the method or fixed by the preset."""


def chosen(preset: Settings, imputer: BaseEstimator) -> Settings:
    """The preset, with the parameters of `imputer` that are not None in its place.

    >>> from methods.gain import GAIN, PRESETS
    >>> chosen(PRESETS["official"], GAIN(alpha=10.0)).alpha, PRESETS["official"].alpha
    (10.0, 100.0)
    """
    params = imputer.get_params()
    names = [field.name for field in dataclasses.fields(preset)]
    given = {name: params[name] for name in names if params.get(name) is not None}
    return dataclasses.replace(preset, **given)
