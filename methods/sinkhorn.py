"""Sinkhorn: imputation by optimal transport between batches of the table itself.

Muzellec, Josse, Boyer and Cuturi, "Missing Data Imputation using Optimal Transport", ICML 2020, algorithm 1.
Two random batches of one table should have the same distribution. So the holes are parameters, start at the
observed column mean plus noise, and descend the Sinkhorn divergence between pairs of batches X and Y,

    S(X, Y) = OT(X, Y) - ½ OT(X, X) - ½ OT(Y, Y),

where OT is entropic transport with cost ½‖x - y‖² and temperature ε. With potentials f and g and b rows a
batch, the Sinkhorn iteration in the log domain, and the plan that it leaves, are

    f_i = -ε log mean_j exp((g_j - C_ij) / ε),   P_ij ∝ exp((g_j - C_ij) / ε), rows summing to one.

By the envelope theorem only the plan is needed for the gradient: a row moves from where its own batch sends
it to where the other batch does, b ∂S/∂x_i = Σ_j P^XX_ij x_j - Σ_j P^XY_ij y_j.

**What differs.** Nothing is differentiated through iterations. Potentials stay with their rows from one pair
of batches to the next, so that a few iterations do what otherwise takes some 40. An epoch splits the shuffled
table into disjoint pairs of batches, so that rows are visited equally often; RMSprop counts a row's own
visits alone, and its step falls linearly to 0. ε ends as the square of 5 % of the median cost, as in the
authors' experiments (the paper has 5 % of the median itself), and falls to that from `epsilon_start`: where
many rows miss the same column, their guesses are one lump in both batches, which a small ε matches to itself.

**Cost.** O(epochs · n · b · (iterations + d)) time, O(n d + b²) memory beyond the median's 2,000 rows.

**When.** Distributions with several modes or curved supports, where their shape matters more than the single
error. Not for sharp prediction: chained regressions have lower errors on most tables.

Checked against the authors' code, whose MAE with 30 % of the entries hidden completely at random is 0.354 on
breast cancer and 0.320 on parkinsons after 3,000 steps. One run is one local minimum: no draw from a
posterior, and hence no ``sample``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from methods.base import ImputationError, Imputer, Matrix
from methods.checks import check_choice, check_integer, check_number
from methods.device import torch_device, torch_generator
from methods.registry import MethodInfo

DTYPES = {"float32": torch.float32, "float64": torch.float64}

MEDIAN_ROWS = 2000
"""The median cost is that of the pairs of at most this many rows, evenly spaced."""

DECAY = 0.99
"""RMSprop's memory of squared gradients, for each visit."""

MIN_EXPONENT = -60.0
"""Exponents are raised to this: e⁻⁶⁰ adds nothing to a sum that holds e⁰, and denormal numbers are slow."""


class Sinkhorn(Imputer):
    """Holes that make random batches of the table alike, by the Sinkhorn divergence.

    Parameters
    ----------
    n_epochs : int
        How often each row is visited.
    batch_size : int
        Rows of a batch b; where the table has no two such batches, the largest power of two that fits twice.
    lr : float
        RMSprop's step at the start, in standard deviations; it falls linearly to 0.
    epsilon : float
        √ε at the end, as a share of the median cost between rows of the mean-filled table.
    epsilon_start : float
        ε at the start, as a share of that median; it falls geometrically to the end's over half the steps.
        With 0, or where that is below the end's, ε is constant.
    n_sinkhorn : int
        Sinkhorn iterations for a pair of batches.
    init_noise : float
        Standard deviation of the noise on the initial column means.
    dtype : {"float32", "float64"}
        Precision of everything.
    device : str
        "auto", "cpu", "cuda", "cuda:1", ...
    random_state : int or None
        Seed of noise and batches.

    Attributes
    ----------
    device_ : str
        Where it was computed.
    temperature_ : float
        ε at the end, in units of the standardised columns' squares.
    n_steps_ : int
        Pairs of batches that were compared.
    """

    category_code = "joint"
    info = MethodInfo(
        name="sinkhorn",
        title="Sinkhorn",
        family="optimal transport",
        reference="Muzellec et al., Missing Data Imputation using Optimal Transport, ICML 2020",
        inductive=False,
        stochastic=False,
        version=2,
        accelerated=True,
        search_space={
            "epsilon": [0.01, 0.05, 0.1],
            "lr": ("log", 1e-2, 2e-1),
            "n_epochs": [100, 250, 500],
            "batch_size": [64, 128, 256],
            "init_noise": [0.01, 0.1],
        },
    )

    def __init__(
        self,
        *,
        n_epochs: int = 250,
        batch_size: int = 128,
        lr: float = 0.1,
        epsilon: float = 0.05,
        epsilon_start: float = 0.2,
        n_sinkhorn: int = 5,
        init_noise: float = 0.1,
        dtype: str = "float32",
        device: str = "auto",
        random_state: int | None = None,
    ):
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.epsilon = epsilon
        self.epsilon_start = epsilon_start
        self.n_sinkhorn = n_sinkhorn
        self.init_noise = init_noise
        self.dtype = dtype
        self.device = device
        self.random_state = random_state

    def _check(self) -> None:
        for name in ("n_epochs", "batch_size", "n_sinkhorn"):
            check_integer(name, getattr(self, name), low=1)
        for name in ("lr", "epsilon"):
            check_number(name, getattr(self, name), low=0, open_low=True)
        for name in ("epsilon_start", "init_noise"):
            check_number(name, getattr(self, name), low=0)
        check_choice("dtype", self.dtype, tuple(DTYPES))
        torch_device(self.device)

    def _fit(self, X: Matrix, rng: np.random.Generator) -> None:
        self._fit_impute(X, rng)

    @torch.inference_mode()
    def _fit_impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        device = torch_device(self.device)
        generator = torch_generator(int(rng.integers(2**63)), device)
        holes = torch.as_tensor(np.isnan(X), device=device)
        x = torch.as_tensor(np.where(np.isnan(X), 0, X), dtype=DTYPES[self.dtype], device=device)
        median = median_cost(x)
        self.device_ = str(device)
        self.temperature_ = (self.epsilon * median) ** 2
        hotter = max(self.epsilon_start * median / self.temperature_, 1.0)
        x = x + self.init_noise * torch.empty_like(x).normal_(generator=generator) * holes

        n_rows = len(x)
        b = self.batch_size if 2 * self.batch_size <= n_rows else 2 ** int(math.log2(n_rows // 2))
        n_pairs = n_rows // (2 * b)
        self.n_steps_ = self.n_epochs * n_pairs
        potentials = x.new_zeros(2, n_rows)  # towards the own batch, towards the other
        squares = torch.zeros_like(x)
        step = 0
        for epoch in range(1, self.n_epochs + 1):
            order = torch.randperm(n_rows, generator=generator, device=device)
            # rows left over this time are likely to be drawn the next
            for rows in order[: n_pairs * 2 * b].view(n_pairs, 2 * b):
                progress = step / self.n_steps_
                temperature = self.temperature_ * hotter ** max(1 - 2 * progress, 0)
                gradient, potentials[:, rows] = divergence_gradient(
                    x[rows], potentials[:, rows], temperature, self.n_sinkhorn
                )
                gradient *= holes[rows]
                square = squares[rows].mul_(DECAY).addcmul_(gradient, gradient, value=1 - DECAY)
                squares[rows] = square
                scale = square.div_(1 - DECAY**epoch).sqrt_().add_(1e-8)
                x[rows] -= self.lr * (1 - progress) * gradient / scale
                step += 1
        if not torch.isfinite(x).all():
            raise ImputationError(f"the transport diverged: lower lr={self.lr!r} or look for extreme values")
        return x.cpu().numpy().astype(np.float64)


def median_cost(x: Tensor) -> float:
    """Median of ½‖x - y‖² over pairs of rows that differ; 1 if none do."""
    costs = torch.pdist(x[:: -(-len(x) // MEDIAN_ROWS)]).square() / 2
    positive = costs[costs > 0]
    return float(positive.median()) if len(positive) else 1.0


def divergence_gradient(
    x: Tensor, potentials: Tensor, temperature: float, n_iter: int
) -> tuple[Tensor, Tensor]:
    """The gradient of b S(X, Y) by the rows of X and Y, and the potentials it was computed with.

    Parameters
    ----------
    x : Tensor, shape (2 b, d)
        The rows of X, then those of Y.
    potentials : Tensor, shape (2, 2 b)
        Where to start: of each row towards its own batch, and towards the other, in units of the cost.
    temperature
        ε.
    n_iter
        Sinkhorn iterations.
    """
    b = len(x) // 2
    # four problems at once, each its own rows against those it faces: XX, YY, XY, YX
    left = x.view(2, b, -1).repeat(2, 1, 1)
    right = facing(left)
    norms = left.square().sum(2) / 2
    logits = torch.bmm(left, right.transpose(1, 2))  # -C / ε, (4, b, b)
    logits -= norms[:, :, None]
    logits -= facing(norms)[:, None]
    logits = logits.clamp_(max=0).div_(temperature)

    f = potentials.reshape(4, b) / temperature  # and so on in units of ε
    for _ in range(n_iter):
        _, log_sums = softmax_terms(logits + facing(f)[:, None])
        f = (f + math.log(b) - log_sums) / 2
    weights, _ = softmax_terms(logits + facing(f)[:, None])
    targets = torch.bmm(weights, right) / weights.sum(2, keepdim=True)
    return (targets[:2] - targets[2:]).reshape(2 * b, -1), f.reshape(2, 2 * b) * temperature


def facing(problems: Tensor) -> Tensor:
    """What is on the other side of XX, YY, XY, YX: the last two change places."""
    return torch.cat([problems[:2], problems[2:].flip(0)])


def softmax_terms(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Terms of the softmax over the last axis, and the log of the sum of exponentials.

    The terms are yet to be divided by their sum; they overwrite `logits`.
    """
    largest = logits.amax(-1, keepdim=True)
    terms = logits.sub_(largest).clamp_min_(MIN_EXPONENT).exp_()
    return terms, terms.sum(-1).log_() + largest[..., 0]
