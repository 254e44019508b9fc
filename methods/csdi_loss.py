"""What TabCSDI learns in one step: which observed entries are targets, and the loss on them."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from methods import ddpm
from methods.csdi_net import ConditionalNet
from methods.training import Codes

TargetRatio = float | Literal["uniform"] | tuple[float, float]
"""Share of the observed entries of a row: fixed, from U(0, 1), or from U(low, high)."""

REST = 0.3
"""Standard deviation s of an entry around what the others say of it, in those of its column: a guess that
need not be right, about that of tables that are worth imputing."""


def share_bounds(target_ratio: TargetRatio) -> tuple[float, float]:
    """Least and greatest share of targets.

    Raises
    ------
    ValueError
        If `target_ratio` is neither "uniform", a share, nor a pair of them in order.

    Examples
    --------
    >>> share_bounds("uniform"), share_bounds(0.8)
    ((0.0, 1.0), (0.8, 0.8))
    """
    if target_ratio == "uniform":
        return 0.0, 1.0
    if isinstance(target_ratio, (tuple, list)) and len(target_ratio) == 2:
        low, high = target_ratio
        if 0 <= low <= high <= 1 and high > 0:
            return float(low), float(high)
    elif (
        isinstance(target_ratio, (int, float))
        and not isinstance(target_ratio, bool)
        and 0 < target_ratio <= 1
    ):
        return float(target_ratio), float(target_ratio)
    raise ValueError(
        f"{target_ratio=} is neither 'uniform', in (0, 1], nor (low, high) with low <= high in it"
    )


def draw_share(n_rows: int, target_ratio: TargetRatio, empty: float, generator: torch.Generator) -> Tensor:
    """The share of targets of each row, (n_rows, 1); 1 for the part `empty` of the rows."""
    low, high = share_bounds(target_ratio)
    share, whole = torch.rand(2, n_rows, 1, generator=generator, device=generator.device)
    return torch.where(whole < empty, 1.0, low + (high - low) * share)


def choose_targets(observed: Tensor, share: Tensor, codes: Codes, generator: torch.Generator) -> Tensor:
    """Random observed entries: round(share · n_observed) of each row, and one at least where there is one.

    An entry is one of the table: of a category, the whole code is chosen or none of it.

    Parameters
    ----------
    observed
        bool, (n_rows, n_columns).
    share
        (n_rows, 1).
    codes
        Of the columns.

    Returns
    -------
    Tensor
        bool, (n_rows, n_columns).
    """
    whole = codes.gather(observed)
    noise = torch.rand(whole.shape, generator=generator, device=whole.device)
    # the observed entries come first, in random order
    rank = noise.masked_fill(~whole, 2.0).argsort(dim=1).argsort(dim=1)
    n_targets = (share * whole.sum(1, keepdim=True)).round().clamp_min(1)
    return codes.spread(whole & (rank < n_targets))


def loss(
    net: ConditionalNet,
    weights: Tensor,
    x: Tensor,
    given: Tensor,
    target: Tensor,
    t: Tensor,
    signal: Tensor,
    predict: str,
    generator: torch.Generator,
) -> Tensor:
    """Mean square error of the network over all targets; 0 where there is no target.

    Parameters
    ----------
    x
        Rows without NaN, (n_rows, n_columns).
    given, target
        bool, the shape of `x`.
    t, signal
        Step and ᾱ_t of each row, (n_rows, 1).
    predict
        "noise": the network estimates ε; "clean": F of :func:`precondition`.
    """
    noisy, noise = ddpm.diffuse(x, signal, generator)
    goal = noise
    if predict == "clean":
        skip, scale = precondition(signal)
        goal = (x - skip * noisy) / scale
    squares = (net(weights, x, given, noisy, target, t) - goal).square()
    return (squares * target).sum() / target.sum().clamp_min(1)


def precondition(signal: Any) -> tuple[Any, Any]:
    """c and d of the estimate x̂_0 = c x_t + d F, F the network, at ᾱ_t = `signal` (a tensor or a float).

    With v = ᾱ s² + 1 - ᾱ these are c = √ᾱ s² / v and d = √((1 - ᾱ) / v) (Karras et al. 2022, up to a
    constant), so that F is x_0 itself where all is noise, and need not copy x_t where little is.

    >>> [round(part, 3) for part in precondition(0.0)], [round(part, 3) for part in precondition(1.0)]
    ([0.0, 1.0], [1.0, 0.0])
    """
    variance = signal * REST**2 + 1 - signal
    return signal**0.5 * REST**2 / variance, ((1 - signal) / variance) ** 0.5
