"""Sweeps on disk for the tests to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import the maker of records beside them

from made_records import grid_rows, manifest, write_sweep


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return grid_rows()


@pytest.fixture
def sweep(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    return write_sweep(tmp_path / "quick", rows, manifest(rows))


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes any rows as a sweep of its own and gives its folder."""
    made = iter(range(1000))

    def write(rows: list[dict[str, Any]], about: dict[str, Any] | None = None) -> Path:
        return write_sweep(tmp_path / f"sweep-{next(made)}", rows, about)

    return write
