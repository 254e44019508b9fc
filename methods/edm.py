"""The diffusion of Karras, Aittala, Aila and Laine, "Elucidating the Design Space of Diffusion-Based
Generative Models", NeurIPS 2022: x_σ = x + σ N(0, I), and a denoiser D(x_σ; σ) that estimates x.

With a network F, D(x; σ) = c_skip x + c_out F(c_in x; ln(σ)/4). Sampling follows the noise levels of a grid
downwards; entries that are observed are put back at each level with the noise of that level (RePaint,
Lugmayr et al. 2022), so that the others are drawn in their company.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from methods.networks import NoiseLevelNet
from methods.noise import Normal
from methods.training import mean_over

SIGMA_DATA = 0.5
"""Standard deviation of the data, as the method scales its columns."""

P_MEAN, P_STD = -1.2, 1.2
"""Training noise: ln σ ~ N(P_MEAN, P_STD²)."""

SIGMA_MIN, RHO = 0.002, 7.0
"""The least noise level of the grid that is not zero, and its curvature."""

S_CHURN = 1.0
"""Noise that the Heun solver adds in all, in units of the grid."""

Denoise = Callable[[Tensor, float], Tensor]
"""D(x; σ) for rows (n_rows, n_columns) at one level."""


def loss(
    net: NoiseLevelNet,
    weights: Tensor,
    x: Tensor,
    counts: Tensor | None,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The weighted denoising loss, mean of λ(σ) (D(x + σε; σ) - x)² over entries.

    With λ(σ) = (σ² + σ_data²) / (σ σ_data)² it is the plain square of what the network itself misses,
    (F - (x - c_skip (x + σε)) / c_out)², which is what is computed.

    Parameters
    ----------
    x
        (n_rows, n_columns), of standard deviation SIGMA_DATA; or (*replicas, n_rows, n_columns), a table for
        each replica of the weights.
    counts
        Entries that count, bool, the shape of `x`; None for all.
    dtype
        Of the network's products.

    Returns
    -------
    Tensor
        Of the weights' leading shape.
    """
    log_sigma = P_MEAN + P_STD * torch.randn(*x.shape[:-1], 1, generator=generator, device=x.device)
    sigma = log_sigma.exp()
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    noisy = torch.addcmul(x, sigma, noise)
    c_skip, c_out, c_in, c_noise = preconditioning(sigma)
    target = (x - c_skip * noisy) / c_out
    estimate = net(weights.to(dtype), (c_in * noisy).to(dtype), c_noise)
    squares = (estimate - target).square()
    return mean_over(squares, counts)


def preconditioning(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in and c_noise at noise levels σ."""
    variance = sigma.square() + SIGMA_DATA**2
    root = variance.sqrt()
    return SIGMA_DATA**2 / variance, sigma * SIGMA_DATA / root, 1 / root, sigma.log() / 4


def denoiser(net: NoiseLevelNet, weights: Tensor, bounds: tuple[Tensor, Tensor] | None = None) -> Denoise:
    """D(x; σ) of a trained network, kept within least and greatest values of each column if given.

    The network computes in the precision of its weights, all else in that of the rows: what a coarse network
    misses is scaled by c_out, which is never above the noise that is left.
    """

    @functools.cache
    def at(sigma: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        c_skip, c_out, c_in, c_noise = preconditioning(torch.full((1, 1), sigma, device=weights.device))
        return c_skip, c_out, c_in, net.embed(weights, c_noise)

    def denoise(x: Tensor, sigma: float) -> Tensor:
        c_skip, c_out, c_in, embedded = at(sigma)
        correction = net.after(embedded, weights, (c_in * x).to(weights.dtype)).to(x.dtype)
        estimate = torch.addcmul(c_skip * x, c_out, correction)
        return estimate if bounds is None else estimate.clamp(*bounds)

    return denoise


@dataclass(frozen=True)
class Sampler:
    """How noise becomes rows.

    Attributes
    ----------
    n_steps
        Noise levels M.
    n_repeats
        Times J that each level but the last is passed: after all but the last of them, the noise that was
        taken away is added again, and the missing entries come to agree with the observed ones.
    solver
        "sde": Euler-Maruyama steps of the reverse stochastic equation, one call of D each; "heun": the
        second-order steps of Karras et al., Algorithm 2, with their churn, two calls each.
    sigma_max
        The first noise level.
    """

    n_steps: int
    n_repeats: int
    solver: Literal["sde", "heun"]
    sigma_max: float = 80.0

    def levels(self) -> list[float]:
        """σ_0 = sigma_max down to σ_M = 0.

        >>> [round(level, 3) for level in Sampler(4, 1, "sde").levels()]
        [80.0, 9.723, 0.47, 0.002, 0.0]
        """
        high, low = self.sigma_max ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
        last = max(self.n_steps - 1, 1)
        return [(high + i / last * (low - high)) ** RHO for i in range(self.n_steps)] + [0.0]

    @torch.no_grad()
    def __call__(self, denoise: Denoise, known: Tensor, missing: Tensor, normal: Normal) -> Tensor:
        """Draw the missing entries of rows, given the observed ones.

        Parameters
        ----------
        denoise
            D(x; σ).
        known
            (n_rows, n_columns); what stands at missing entries has no influence.
        missing
            bool, the shape of `known`.
        normal
            Noise in the shape of `known`.

        Returns
        -------
        Tensor
            The shape of `known`, whose observed entries it holds.
        """

        entry = self._entry
        levels = self.levels()
        x = entry(levels[0]) * normal()
        for t, s in itertools.pairwise(levels):
            step = self._euler_maruyama if self.solver == "sde" else self._heun
            n_repeats = self.n_repeats if s > 0 else 1
            for repeat in range(n_repeats):
                unknown, spread = step(denoise, x, t, s)
                x = torch.where(missing, unknown, known)
                # all noise up to where the next pass begins, in one draw
                begin = entry(t if repeat < n_repeats - 1 else s)
                if begin:
                    raised = math.sqrt(spread**2 + begin**2 - s**2)
                    x.addcmul_(normal(), torch.where(missing, raised, begin))
        return x

    def _entry(self, t: float) -> float:
        """The noise that a row has when a pass of the level t begins."""
        churn = min(S_CHURN / self.n_steps, math.sqrt(2) - 1) if self.solver == "heun" else 0.0
        return t * (1 + churn)

    def _euler_maruyama(self, denoise: Denoise, x: Tensor, t: float, s: float) -> tuple[Tensor, float]:
        """dx = -2 σ ∇ log p dσ + √(2σ) dω: where a step goes, and the noise √(t² - s²) that it adds."""
        ahead = torch.lerp(denoise(x, t), x, (s / t) ** 2)
        return ahead, math.sqrt(t**2 - s**2) if s > 0 else 0.0

    def _heun(self, denoise: Denoise, x: Tensor, t: float, s: float) -> tuple[Tensor, float]:
        t = self._entry(t)
        slope = (x - denoise(x, t)) / t
        ahead = x + (s - t) * slope
        if s > 0:
            corrected = (ahead - denoise(ahead, s)) / s
            ahead = x + (s - t) * (slope + corrected) / 2
        return ahead, 0.0
