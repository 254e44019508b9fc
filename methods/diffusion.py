"""What the imputers that sample from a diffusion share: rows in chunks, all samples of a row in one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.base import ImputationError, Imputer, Matrix
from methods.device import activation_budget, torch_device, torch_generator
from methods.noise import Normal, antithetic_normal
from methods.training import Codes, HeldOut, hold_out

Draw = Callable[[Tensor, Tensor, Normal], Tensor]
Aggregate = Literal["mean", "median"]

MIN_STACKED = 1024
"""Rows times samples of the smallest chunk: with fewer, the products of a wide network are slow."""

AGGREGATES: dict[Aggregate, Callable[[Tensor], Tensor]] = {
    "mean": lambda draws: draws.mean(0),
    # torch.median takes the lower of two middles, and torch.quantile takes no large tensors
    "median": lambda draws: draws.sort(0).values[(len(draws) - 1) // 2 : len(draws) // 2 + 1].mean(0),
}
"""(n_samples, n_rows, n_columns) -> (n_rows, n_columns)."""


class Plan(NamedTuple):
    """How an imputation is made of draws."""

    n_samples: int
    aggregate: Aggregate
    width: int
    """Of the widest layer of the network."""
    antithetic: bool = False
    """Draws in pairs, each with the noise of the other negated."""


class DiffusionImputer(Imputer):
    """Imputation by the mean or median of conditional samples.

    Subclasses implement ``_fit``, which learns a model, and

    - ``_draw(known, missing, normal)``: one draw of each row, all (n_rows, n_encoded) on the device, in units
      of the matrix; `known` holds 0 where `missing`; all noise comes from `normal`;
    - ``_plan()``: how an imputation is made of draws.
    """

    device: str

    @property
    def device_(self) -> str:
        """Where it computes."""
        return str(torch_device(self.device))

    def _draw(self, known: Tensor, missing: Tensor, normal: Normal) -> Tensor:
        raise NotImplementedError

    def _draw_whole(self, known: Tensor, missing: Tensor, normal: Normal) -> Tensor:
        """``_draw`` for rows of which nothing is known."""
        return self._draw(known, missing, normal)

    def _plan(self) -> Plan:
        raise NotImplementedError

    def _impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        return self._expect(X, self._generator(rng))

    def _sample(self, X: Matrix, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        samples = np.repeat(X[None], n_samples, axis=0)
        for rows, draws in self._draws(X, n_samples, self._generator(rng)):
            samples[:, rows] = draws.cpu().numpy()
        return np.where(np.isnan(X), samples, X)

    def _generate(self, n_rows: int, rng: np.random.Generator) -> Matrix:
        table = np.full((n_rows, self.encoder_.width), np.nan)
        for rows, draws in self._draws(table, 1, self._generator(rng), self._draw_whole):
            table[rows] = draws[0].cpu().numpy()
        return table

    def _expect(self, X: Matrix, generator: torch.Generator, n_samples: int | None = None) -> Matrix:
        """The matrix with the mean or median of its draws in the holes: so many, or the plan's number."""
        plan = self._plan()
        filled = X.copy()
        for rows, draws in self._draws(X, n_samples or plan.n_samples, generator, antithetic=plan.antithetic):
            filled[rows] = AGGREGATES[plan.aggregate](draws).cpu().numpy()
        return np.where(np.isnan(X), filled, X)

    def _draws(
        self,
        X: Matrix,
        n_samples: int,
        generator: torch.Generator,
        draw: Draw | None = None,
        *,
        antithetic: bool = False,
    ) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """(numbers of rows with holes, their draws (n_samples, n_rows, n_encoded)), chunk by chunk."""
        incomplete = np.flatnonzero(np.isnan(X).any(axis=1))
        n_stacked = max(activation_budget(generator.device) // self._plan().width, MIN_STACKED)
        n_chunk = max(n_stacked // n_samples, 1)
        for start in range(0, len(incomplete), n_chunk):
            rows = incomplete[start : start + n_chunk]
            chunk = torch.as_tensor(X[rows], dtype=torch.float32, device=generator.device)
            stacked = chunk.repeat(n_samples, 1)  # (n_samples * n_rows, n_encoded)
            n_pairs = n_samples // 2 * len(rows) if antithetic else 0
            normal = antithetic_normal(stacked, n_pairs, generator)
            draws = (draw or self._draw)(stacked.nan_to_num(0.0), stacked.isnan(), normal)
            if not torch.isfinite(draws).all():
                raise ImputationError(f"{self.info.name}: sampling diverged to a value that is not finite")
            yield rows, draws.view(n_samples, *chunk.shape)

    def _hold_out(self, X: Matrix, ratio: float, rng: np.random.Generator) -> HeldOut | None:
        """Observed entries to judge a training by, with a seed apart from all others."""
        generator = self._generator(rng)
        observed = torch.as_tensor(~np.isnan(X), device=generator.device)
        return hold_out(observed, ratio, Codes(self.encoder_.owners, generator.device), generator)

    def _range(self, X: Matrix) -> tuple[Tensor, Tensor]:
        """Least and greatest observed entry of each column, on the device, both (n_encoded,)."""
        low, high = (
            torch.as_tensor(bound(X, axis=0), dtype=torch.float32, device=torch_device(self.device))
            for bound in (np.nanmin, np.nanmax)
        )
        return low, high

    def _generator(self, rng: np.random.Generator) -> torch.Generator:
        return torch_generator(int(rng.integers(2**63)), torch_device(self.device))
