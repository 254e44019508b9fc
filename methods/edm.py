"""The diffusion of Karras, Aittala, Aila and Laine, "Elucidating the Design Space of Diffusion-Based
Generative Models", NeurIPS 2022: x_σ = x + σ N(0, I), and a denoiser D(x_σ; σ) that estimates x.

With a network F, D(x; σ) = c_skip x + c_out F(c_in x; ln(σ)/4). Sampling follows the noise levels of a grid
downwards; entries that are observed are put back at each level with the noise of that level (RePaint,
Lugmayr et al. 2022), so that the others are drawn in their company.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from methods.networks import NoiseLevelNet
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
    net: NoiseLevelNet, weights: Tensor, x: Tensor, counts: Tensor | None, generator: torch.Generator
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
    squares = (net(weights, c_in * noisy, c_noise) - target).square()
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

    def denoise(x: Tensor, sigma: float) -> Tensor:
        c_skip, c_out, c_in, c_noise = preconditioning(x.new_full((1, 1), sigma))
        correction = net(weights, (c_in * x).to(weights.dtype), c_noise).to(x.dtype)
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
    def __call__(
        self, denoise: Denoise, known: Tensor, missing: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Draw the missing entries of rows, given the observed ones.

        Parameters
        ----------
        denoise
            D(x; σ).
        known
            (n_rows, n_columns); what stands at missing entries has no influence.
        missing
            bool, the shape of `known`.

        Returns
        -------
        Tensor
            The shape of `known`, whose observed entries it holds.
        """

        def normal() -> Tensor:
            return torch.randn(known.shape, generator=generator, device=known.device)

        solve = {"sde": self._euler_maruyama, "heun": self._heun}[self.solver]
        levels = self.levels()
        x = levels[0] * normal()
        for t, s in itertools.pairwise(levels):
            n_repeats = self.n_repeats if s > 0 else 1
            for repeat in range(n_repeats):
                unknown = solve(denoise, x, t, s, normal)
                around = known + s * normal() if s > 0 else known
                x = torch.where(missing, unknown, around)
                if repeat < n_repeats - 1:
                    x += math.sqrt(t**2 - s**2) * normal()
        return x

    def _euler_maruyama(
        self, denoise: Denoise, x: Tensor, t: float, s: float, normal: Callable[[], Tensor]
    ) -> Tensor:
        """dx = -2 σ ∇ log p dσ + √(2σ) dω, whose noise over a step has the variance t² - s²."""
        x = x - (1 - (s / t) ** 2) * (x - denoise(x, t))
        return x + math.sqrt(t**2 - s**2) * normal() if s > 0 else x

    def _heun(self, denoise: Denoise, x: Tensor, t: float, s: float, normal: Callable[[], Tensor]) -> Tensor:
        gamma = min(S_CHURN / self.n_steps, math.sqrt(2) - 1)
        t_hat = t * (1 + gamma)
        x_hat = x + math.sqrt(t_hat**2 - t**2) * normal()
        slope = (x_hat - denoise(x_hat, t_hat)) / t_hat
        ahead = x_hat + (s - t_hat) * slope
        if s == 0:
            return ahead
        corrected = (ahead - denoise(ahead, s)) / s
        return x_hat + (s - t_hat) * (slope + corrected) / 2
