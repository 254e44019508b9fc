"""STaSy-mean: column means in the holes, then score-based synthesis of the filled rows.

Kim, Lee and Park, "STaSy: Score-based Tabular data Synthesis", ICLR 2023 (arXiv:2210.04018), as the baseline
that Ouyang et al., "MissDiff", 2023, make of it by mean imputation. Rows are diffused in continuous time by
the stochastic equations of Song et al., ICLR 2021; the score is learned by denoising at times t ~ U(0, 1),
weighed by the variance of the noise; synthetic rows follow the reverse equation.

    "ve":  x_t = x_0 + σ(t) ε,    σ(t) = σ_min (σ_max / σ_min)^t
    "vp":  x_t = √ᾱ(t) x_0 + √(1 - ᾱ(t)) ε,    ln ᾱ(t) = -β_min t - (β_max - β_min) t² / 2

Divided by √ᾱ(t), the second is the first with σ(t) = √(1/ᾱ(t) - 1): one loss and one sampler serve both.

**Self-paced learning** (`self_paced`): early steps learn from the rows that are easy. Of the losses l_i of
the rows of a step, Q(p) the quantile at p, row i weighs

    v_i = 1 if l_i ≤ Q(α), 0 if l_i ≥ Q(β), else (Q(β) - l_i) / (Q(β) - Q(α))

and α and β grow with the logarithm of the steps made, until every row weighs 1.

Its point is ``generate``. As an imputer it is the mean.

**What is ours.** The network, with the preconditioning of Karras et al. (:mod:`methods.edm`), in place of the
authors' U-shaped one: the score is (D(x; σ) - x) / σ². Columns are standardised where the authors scale to
[-1, 1], so that σ_max = 10 is 20 deviations, as the rows are halved first. α and β start at 0.25 and 0.9 and
reach 1 after half of the steps. Euler-Maruyama steps on an even grid of times in place of the adaptive solver
of the probability flow; estimates of x_0 are kept in the observed range. Left out: the fine-tuning by
log-likelihood that follows the authors' training.

**Cost.** epochs · rows passes of a network with 10 H² weights to fit, n_steps passes a row to generate.

**When.** As the baseline of methods that learn from incomplete rows, never to impute. "vp" is the default
since its rows came nearer to the data: 2,000 rows drawn after training on 600 of a Gaussian of unit variances
and correlations of 0.8 have variances of 1.13 to 1.24 with it, and of 1.16 to 1.54 with "ve".

Checked against the covariance of that Gaussian, complete and mean-filled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from methods import edm
from methods.checks import check_choice, check_integer
from methods.meanfilled import MeanFilled
from methods.networks import NoiseLevelNet
from methods.noise import Normal
from methods.registry import MethodInfo
from methods.training import EntryLoss, Rows, mean_over

SIGMA_MIN, SIGMA_MAX = 0.01, 10.0
"""Of "ve"."""
BETA_MIN, BETA_MAX = 0.1, 20.0
"""Of "vp"."""
TIME_MIN = 1e-3
"""The least time of training and sampling: at 0 "vp" has no noise, and no score."""
EASY, KNOWN = 0.25, 0.9
"""α and β of the first step."""


def _sigma_ve(t: Tensor) -> Tensor:
    return SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** t


def _sigma_vp(t: Tensor) -> Tensor:
    # √(1/ᾱ - 1), without the cancellation near t = 0
    return torch.expm1(BETA_MIN * t + (BETA_MAX - BETA_MIN) * t.square() / 2).sqrt()


SIGMAS: dict[str, Callable[[Tensor], Tensor]] = {"ve": _sigma_ve, "vp": _sigma_vp}
"""σ(t) of each equation, for rows divided by √ᾱ(t)."""


class STaSyMean(MeanFilled):
    """Mean imputation, then a score-based model of the rows.

    Parameters
    ----------
    sde : {"vp", "ve"}
        The equation that diffuses the rows.
    n_steps : int
        Steps of the reverse equation.
    self_paced : bool
        Learn from easy rows first.
    clip : bool
        Keep the estimates of x_0 in the range of the observed entries of their column.
    hidden : int
        Width H of the network.
    epochs, patience : int
        Most epochs, and after how many without a better loss training stops.
    validation : float
        Share of the observed entries, in [0, 0.5], that are held out to judge the training; 0: its own loss
        judges it.
    batch_size, lr : int, float
        Rows of a step, and learning rate of Adam.
    device : str
        "auto", "cpu", "cuda", "cuda:1", ...
    random_state : int, optional
        Seeds network, noise, batches and what is held out.

    Attributes
    ----------
    net_, weights_ : NoiseLevelNet, Tensor
        The trained network.
    loss_, epochs_ : float, int
        Its best loss, and the epochs made.
    """

    info = MethodInfo(
        name="stasy_mean",
        title="STaSy-mean",
        family="diffusion",
        reference="Kim, Lee and Park, STaSy: Score-based Tabular data Synthesis, ICLR 2023",
        inductive=True,
        stochastic=False,
        version=2,
        generative=True,
        accelerated=True,
        search_space={
            "sde": ["vp", "ve"],
            "self_paced": [True, False],
            "hidden": [128, 256, 512, 1024],
            "lr": ("log", 1e-4, 2e-3),
            "epochs": [200, 500, 2000],
        },
    )

    def __init__(
        self,
        *,
        sde: str = "vp",
        n_steps: int = 100,
        self_paced: bool = True,
        clip: bool = True,
        hidden: int = 128,
        epochs: int = 500,
        patience: int = 200,
        validation: float = 0.1,
        batch_size: int = 256,
        lr: float = 1e-3,
        device: str = "auto",
        random_state: int | None = None,
    ):
        self.sde = sde
        self.n_steps = n_steps
        self.self_paced = self_paced
        self.clip = clip
        self.hidden = hidden
        self.epochs = epochs
        self.patience = patience
        self.validation = validation
        self.batch_size = batch_size
        self.lr = lr
        self.device = device
        self.random_state = random_state

    def _check(self) -> None:
        super()._check()
        check_choice("sde", self.sde, SIGMAS)
        check_integer("n_steps", self.n_steps, low=1)
        check_choice("self_paced", self.self_paced, (True, False))
        check_choice("clip", self.clip, (True, False))

    def _entry_loss(self, net: NoiseLevelNet, x: Tensor, n_steps: int) -> EntryLoss:
        x = edm.SIGMA_DATA * x
        made = 0

        def loss(weights: Tensor, rows: Rows, counts: Tensor | None, generator: torch.Generator) -> Tensor:
            nonlocal made
            clean = x[rows]
            t = torch.rand(len(clean), 1, generator=generator, device=x.device)
            sigma = SIGMAS[self.sde](TIME_MIN + (1 - TIME_MIN) * t)
            squares = score_errors(net, weights, clean, sigma, generator)
            # a look at held-out entries is no step, and all rows weigh the same in it
            if self.self_paced and torch.is_grad_enabled():
                of_rows = squares.mean(1) if counts is None else (squares * counts).mean(1)
                squares = pace(of_rows.detach(), made / n_steps).unsqueeze(1) * squares
                made += 1
            return mean_over(squares, counts)

        return loss

    def _draw(self, known: Tensor, missing: Tensor, normal: Normal) -> Tensor:
        half = edm.SIGMA_DATA
        bounds = (half * self.low_, half * self.high_) if self.clip else None
        denoise = edm.denoiser(self.net_, self.weights_, bounds)
        return Sampler(self.n_steps, 1, "sde", sde=self.sde)(denoise, half * known, missing, normal) / half


def score_errors(
    net: NoiseLevelNet, weights: Tensor, x: Tensor, sigma: Tensor, generator: torch.Generator
) -> Tensor:
    """σ² (s_θ(x + σε) - s)², with the score s_θ = (D - x_σ) / σ²; the shape of `x`.

    It is (D - x)² / σ², or σ_data² / (σ² + σ_data²) times what the network itself misses.

    Parameters
    ----------
    x
        (n_rows, n_columns), of standard deviation ``edm.SIGMA_DATA``.
    sigma
        (n_rows, 1).
    """
    noisy = x + sigma * torch.randn(x.shape, generator=generator, device=x.device)
    c_skip, c_out, c_in, c_noise = edm.preconditioning(sigma)
    missed = net(weights, c_in * noisy, c_noise) - (x - c_skip * noisy) / c_out
    return (c_out / sigma).square() * missed.square()


def pace(losses: Tensor, done: float) -> Tensor:
    """The weight of each row in a step of self-paced learning.

    Parameters
    ----------
    losses
        Of the rows, (n_rows,).
    done
        The part of all steps that is done, in [0, 1].

    Examples
    --------
    >>> losses = torch.arange(11.0)
    >>> pace(losses, 0.0).round(decimals=2)
    tensor([1.0000, 1.0000, 1.0000, 0.9200, 0.7700, 0.6200, 0.4600, 0.3100, 0.1500,
            0.0000, 0.0000])
    >>> pace(losses, 0.5)
    tensor([1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1.])
    """
    grown = math.log1p(min(2 * done, 1.0) * (math.e - 1))  # 0 to 1
    if grown >= 1:
        return torch.ones_like(losses)
    levels = losses.new_tensor([EASY + (1 - EASY) * grown, KNOWN + (1 - KNOWN) * grown])
    easy, hard = torch.quantile(losses, levels)
    weights = (hard - losses) / (hard - easy)
    # rows of one loss are all easy
    return torch.where(losses <= easy, 1.0, weights.clamp(0.0, 1.0))


@dataclass(frozen=True)
class Sampler(edm.Sampler):
    """The reverse equation on an even grid of times."""

    sde: str = "ve"

    def levels(self) -> list[float]:
        """σ(1) down to σ(TIME_MIN), then 0.

        >>> [round(level, 3) for level in Sampler(3, 1, "sde", sde="ve").levels()]
        [10.0, 0.317, 0.01, 0.0]
        """
        times = torch.linspace(1.0, TIME_MIN, self.n_steps, dtype=torch.float64)
        return [*SIGMAS[self.sde](times).tolist(), 0.0]
