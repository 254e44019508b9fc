"""Refusals that name the hyperparameter, its value and what would be right."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def check_number(
    name: str, value: Any, *, low: float, high: float = float("inf"), open_low: bool = False
) -> None:
    """Raise ValueError unless `value` is a number in [low, high], or (low, high] with `open_low`."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not ((low < value if open_low else low <= value) and value <= high):
        left = "(" if open_low else "["
        right = "]" if high < float("inf") else ")"
        raise ValueError(f"{name}={value!r} is not in {left}{low:g}, {high:g}{right}")


def check_integer(name: str, value: Any, *, low: int) -> None:
    """Raise ValueError unless `value` is an integer of at least `low`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name}={value!r} is not an integer of at least {low}")


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")
