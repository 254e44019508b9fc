"""How holes come about: mechanisms, by name, and the masks that they draw.

A mask is a bool array of the frame's shape, ``True`` = newly hidden. It depends on (identity of the table,
mechanism, ratio, seed) and on the values that its mechanism looks at; on nothing that ran before, no
platform, no other mechanism.

Mechanisms without a colon in their name are *rate-matched*: they hide the asked-for share of all observed
entries, exactly, up to one entry. ``<base>:<paper>`` is a mechanism as a paper's code has it, whatever share
that realises.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from datasets import published, ratematched
from datasets.naming import UnknownNameError
from datasets.values import Values

Draw = Callable[[Values, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class MechanismInfo:
    """One way to make holes.

    Parameters
    ----------
    name : str
        As it is asked for.
    title : str
        What gets hidden, in words.
    source : str
        Paper or code that it follows.
    rate_matched : bool
        Whether the realised share is the ratio, up to one entry.
    draw : callable
        ``draw(values, ratio, generator)`` to a bool array of shape (n_rows, n_columns).
    """

    name: str
    title: str
    source: str
    rate_matched: bool
    draw: Draw


def _matched(name: str, title: str, source: str, draw: Draw) -> MechanismInfo:
    return MechanismInfo(name, title, source, True, draw)


def _published_family(paper: str, source: str, logistic: published.Logistic) -> tuple[MechanismInfo, ...]:
    return (
        MechanismInfo(f"mcar:{paper}", "entries independently", source, False, published.mcar),
        MechanismInfo(f"mar:{paper}", logistic.about, source, False, logistic.mar),
        MechanismInfo(f"mnar:{paper}", f"{logistic.about}; drivers at random", source, False, logistic.mnar),
    )


_MUZELLEC = "Muzellec et al. (2020), experiments"
_LOGISTIC = "Muzellec et al. (2020), the ratio met exactly"
_MISSDIFF = "MissDiff (2023)"

_MECHANISMS = (
    _matched("mcar", "entries at random", "Rubin (1976)", ratematched.mcar),
    _matched("mar", "by a logistic model of columns that stay complete", _LOGISTIC, ratematched.mar),
    _matched("mnar", "as mar, and the columns that drive it lose entries too", _LOGISTIC, ratematched.mnar),
    _matched("mnar_self", "by a logistic model of the entry's own value", _LOGISTIC, ratematched.mnar_self),
    _matched("mnar_quantile", "in both tails of each column", _LOGISTIC, ratematched.mnar_quantile),
    _matched("row", "the same share of every row", f"{_MISSDIFF}, the ratio met exactly", ratematched.row),
    _matched(
        "column", "the same share of every column", f"{_MISSDIFF}, the ratio met exactly", ratematched.column
    ),
    *_published_family("newimp", "NewImp, by hyperimpute's simulate_nan", published.NEWIMP),
    *_published_family("diffputer", "DiffPuter, generate_mask", published.DIFFPUTER),
    *_published_family("muzellec", _MUZELLEC, published.MUZELLEC),
    MechanismInfo(
        "mnar_self:muzellec", "own values, intercepts confused", _MUZELLEC, False, published.mnar_self
    ),
    MechanismInfo("mnar_quantile:muzellec", "tails that overlap", _MUZELLEC, False, published.mnar_quantile),
    MechanismInfo("mcar:missdiff", "entries independently", _MISSDIFF, False, published.mcar),
    MechanismInfo("row:missdiff", "int(ratio x columns) of every row", _MISSDIFF, False, published.row),
    MechanismInfo("column:missdiff", "int(ratio x rows) of every column", _MISSDIFF, False, published.column),
)
_BY_NAME = {mechanism.name: mechanism for mechanism in _MECHANISMS}


def mechanisms() -> tuple[MechanismInfo, ...]:
    """Every mechanism, the rate-matched ones first."""
    return tuple(sorted(_MECHANISMS, key=lambda mechanism: not mechanism.rate_matched))


def resolve_mechanism(name: str) -> str:
    """The name of a mechanism, given in any case.

    Raises
    ------
    UnknownNameError
        When there is none; the message names the nearest.

    Examples
    --------
    >>> resolve_mechanism("MAR:NewImp")
    'mar:newimp'
    """
    folded = str(name).casefold()
    if folded not in _BY_NAME:
        raise UnknownNameError("mechanism", str(name), _BY_NAME)
    return folded


def ampute(frame: pd.DataFrame, mechanism: str, ratio: float, seed: int, *, identity: str = "") -> np.ndarray:
    """Draw which entries of a frame to hide.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Numeric, bool and ``category`` columns. Its own holes are never drawn, and count for nothing in the
        ratio.
    mechanism : str
        One of :func:`mechanisms`.
    ratio : float in (0, 1)
        Share of the observed entries to hide.
    seed : int
        Mask seed, at least 0.
    identity : str
        What the frame is, so that two tables of one shape get masks of their own.

    Returns
    -------
    ndarray of bool, shape (n_rows, n_columns)
        True = newly hidden.

    Raises
    ------
    ValueError
        When the ratio is outside (0, 1) or more than the mechanism can hide of this frame, the seed is
        negative, or the frame is empty, infinite or holds columns that are neither numeric nor ``category``.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": range(10), "b": range(10)})
    >>> int(ampute(frame, "mcar", 0.3, seed=0).sum())
    6
    """
    chosen = _BY_NAME[resolve_mechanism(mechanism)]
    if not 0 < ratio < 1:
        raise ValueError(f"{ratio=} is not in (0, 1)")
    values = Values.of(frame)
    return chosen.draw(values, float(ratio), generator(identity, chosen.name, ratio, seed))


def generator(*key: object) -> np.random.Generator:
    """A random generator for a key, its last part the seed; the same on every platform.

    Raises
    ------
    ValueError
        When the seed is no integer or negative.
    """
    *parts, seed = key
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"{seed=} is not an integer of at least 0")
    text = "\x1f".join(
        ["lacuna mask 1", *(repr(float(p)) if isinstance(p, float) else str(p) for p in parts), str(seed)]
    )
    entropy = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def mask_hash(*masks: np.ndarray) -> str:
    """SHA-256 of masks' shapes and bits, in hex: equal for equal masks and for no others."""
    digest = hashlib.sha256()
    for mask in masks:
        digest.update(repr(mask.shape).encode())
        digest.update(np.packbits(np.ascontiguousarray(mask, dtype=bool)).tobytes())
    return digest.hexdigest()
