"""How the command line says that a request cannot be carried out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

import datasets
import methods
from orchestrator.sweep import RequestError


class Refusal(click.ClickException):
    """A request that cannot be carried out."""

    exit_code = 2


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn a request that cannot be carried out into a message and exit status 2."""
    try:
        yield
    except (RequestError, methods.UnknownNameError, datasets.UnknownNameError) as error:
        raise Refusal(str(error)) from error
