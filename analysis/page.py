"""What every page is made with: its templates, and the way to disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis import grid as render


def environment(*, autoescape: bool) -> jinja2.Environment:
    """The templates, with tables, the page's style and its script; undefined names are errors."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["table"] = render.html
    made.filters["pipes"] = render.markdown
    made.filters["plain"] = render.markdown_text
    made.globals["style"] = Markup(_text("report.css"))
    made.globals["script"] = Markup(_text("report.js"))
    return made


def _text(name: str) -> str:
    return files("analysis").joinpath("templates", name).read_text(encoding="utf-8")


def write_whole(path: Path, text: str) -> None:
    """Write to a neighbour and rename, so that no reader ever sees half a report."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def flat(value: Any) -> dict[str, str]:
    """The entries of a manifest's object as text; nothing where it is no object."""
    if not isinstance(value, Mapping):
        return {}
    return {str(key): str(entry) for key, entry in value.items() if entry is not None}
