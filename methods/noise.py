"""Where the samplers get their noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Normal = Callable[[], Tensor]
"""N(0, 1) for every entry of the rows, drawn anew at each call."""


def normal_like(rows: Tensor, generator: torch.Generator) -> Normal:
    """Independent noise, in the shape of `rows`."""
    return lambda: torch.randn(rows.shape, generator=generator, device=rows.device)


def antithetic_normal(rows: Tensor, n_pairs: int, generator: torch.Generator) -> Normal:
    """Noise of which row n_pairs + i has that of row i negated, for the first `n_pairs` rows.

    Each row by itself has the noise that it had without. But where a sampler is nearly linear, what one of a
    pair draws above the mean of all draws the other draws below it, and the mean over a few pairs is worth
    that over many independent draws (Hammersley and Morton 1956).

    >>> noise = antithetic_normal(torch.zeros(5, 2), 2, torch.Generator().manual_seed(0))()
    >>> bool((noise[:2] == -noise[2:4]).all()), noise.shape
    (True, torch.Size([5, 2]))
    """
    if n_pairs == 0:
        return normal_like(rows, generator)
    shape = (len(rows) - n_pairs, *rows.shape[1:])

    def normal() -> Tensor:
        noise = torch.randn(shape, generator=generator, device=rows.device)
        return torch.cat([noise[:n_pairs], -noise[:n_pairs], noise[n_pairs:]])

    return normal
