"""Functions compiled by numba, once a machine: kept beside its source, or in the user's cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(signature: str, **options: Any) -> Callable[[Function], Function]:
    """Compile when the module is imported, so that no fit is timed with it.

    Parameters
    ----------
    signature
        Types as numba writes them, ``"float64[:](float32[:, ::1], int64)"``.
    options
        Of ``numba.njit``.
    """

    def decorate(function: Function) -> Function:
        try:
            return cast(Function, njit(signature, nogil=True, cache=True, **options)(function))
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            # nowhere to keep it
            return cast(Function, njit(signature, nogil=True, **options)(function))

    return decorate
