"""The diffusion of Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020:
x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε for t = 1 ... T, ᾱ_t = Π (1 - β_s), and a network ε_θ(x_t, t) that estimates ε.

Sampling goes down a subsequence of the steps (Song, Meng and Ermon, "Denoising Diffusion Implicit Models",
ICLR 2021): over all T steps with η = 1 it is DDPM's ancestral sampling, with η = 0 it adds no noise.
Observed entries are put back at each step with the noise of that step (RePaint, Lugmayr et al. 2022).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.checks import check_integer
from methods.noise import Normal

Predict = Callable[[Tensor, int], Tensor]
"""ε_θ(x_t, t) for rows (n_rows, n_columns) at one step."""


def _linear(n_steps: int) -> NDArray[np.float64]:
    return np.minimum(np.linspace(1e-4, 0.02, n_steps) * 1000 / n_steps, MAX_BETA)


def _quad(n_steps: int) -> NDArray[np.float64]:
    return np.linspace(math.sqrt(1e-4), math.sqrt(0.5), n_steps) ** 2


def _cosine(n_steps: int) -> NDArray[np.float64]:
    curve = np.cos((np.arange(n_steps + 1) / n_steps + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - curve[1:] / curve[:-1], MAX_BETA)


MAX_BETA = 0.999

SCHEDULES: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "linear": _linear,
    "quad": _quad,
    "cosine": _cosine,
}
"""β_1 to β_T for T steps. "linear" is that of Ho et al., 0.0001 to 0.02 for T = 1,000, and about as noisy in
all for other T; "quad" is TabCSDI's, roots evenly spaced, 0.0001 to 0.5; "cosine" is that of Nichol and
Dhariwal 2021."""


def signal(schedule: str, n_steps: int) -> NDArray[np.float64]:
    """ᾱ_0 = 1 to ᾱ_T, shape (n_steps + 1,).

    >>> signal("quad", 100)[[0, 50]].round(3)
    array([1.   , 0.103])
    """
    return np.concatenate([[1.0], np.cumprod(1 - SCHEDULES[schedule](n_steps))])


def check_steps(n_steps: int | None, n_diffusion: int, *, bounded: bool) -> None:
    """Refuse a number of sampling steps that is out of range, or too small for a sampler without bounds.

    `bounded`: the estimate of x_0 is kept within bounds, or the network gives it without dividing by √ᾱ_t.
    """
    if n_steps is None:
        return
    check_integer("n_steps", n_steps, low=1)
    if n_steps > n_diffusion:
        raise ValueError(f"n_steps={n_steps} is more than n_diffusion={n_diffusion}")
    if n_steps < n_diffusion and not bounded:
        raise ValueError(
            f"n_steps={n_steps} of n_diffusion={n_diffusion} with clip=False: the first long step divides "
            "the error of ε by almost nothing; set clip=True"
        )


def diffuse(x: Tensor, signal: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """x_t at ᾱ_t = `signal`, which broadcasts against `x`, and its noise ε."""
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    return signal.sqrt() * x + (1 - signal).sqrt() * noise, noise


@dataclass(frozen=True)
class Sampler:
    """How noise becomes rows.

    Attributes
    ----------
    signal
        ᾱ_0 to ᾱ_T.
    n_steps
        Steps taken of the T, evenly spaced.
    eta
        Share η of the ancestral noise.
    n_repeats
        Times that each step but the last is passed: after all but the last of them, the noise that was taken
        away is added again, and the missing entries come to agree with the observed ones.
    bounds
        Least and greatest x_0 that a step may estimate, both broadcast against rows; None for no bounds.
    """

    signal: NDArray[np.float64]
    n_steps: int
    eta: float
    n_repeats: int
    bounds: tuple[Tensor, Tensor] | None = None

    def steps(self) -> list[int]:
        """T down to 0.

        >>> Sampler(signal("quad", 100), 4, 1.0, 1).steps()
        [100, 75, 50, 25, 0]
        """
        last = len(self.signal) - 1
        return [round(last * k / self.n_steps) for k in range(self.n_steps, -1, -1)]

    @torch.no_grad()
    def __call__(self, predict: Predict, known: Tensor, missing: Tensor, normal: Normal) -> Tensor:
        """Draw the missing entries of rows, given the observed ones.

        Parameters
        ----------
        predict
            ε_θ(x_t, t).
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

        x = normal()
        for t, s in itertools.pairwise(self.steps()):
            a_t, a_s = float(self.signal[t]), float(self.signal[s])
            n_repeats = self.n_repeats if s > 0 else 1
            for repeat in range(n_repeats):
                unknown = self._step(x, predict(x, t), a_t, a_s, normal)
                around = math.sqrt(a_s) * known + math.sqrt(1 - a_s) * normal() if s > 0 else known
                x = torch.where(missing, unknown, around)
                if repeat < n_repeats - 1:
                    x = math.sqrt(a_t / a_s) * x + math.sqrt(1 - a_t / a_s) * normal()
        return x

    def _step(self, x: Tensor, noise: Tensor, a_t: float, a_s: float, normal: Normal) -> Tensor:
        """From ᾱ_t to ᾱ_s: the estimated x_0 and ε, mixed anew, and the posterior's own noise."""
        sigma = self.eta * math.sqrt((1 - a_s) / (1 - a_t) * (1 - a_t / a_s))
        clean = (x - math.sqrt(1 - a_t) * noise) / math.sqrt(a_t)
        if self.bounds is not None:
            clean = clean.clamp(*self.bounds)
            noise = (x - math.sqrt(a_t) * clean) / math.sqrt(1 - a_t)
        x = math.sqrt(a_s) * clean + math.sqrt(max(1 - a_s - sigma**2, 0.0)) * noise
        return x + sigma * normal() if sigma > 0 else x
