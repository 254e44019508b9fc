"""Diff-mean: column means in the holes, then an ordinary diffusion of the filled rows.

The baseline of Ouyang, Xie, Li and Cheng, "MissDiff: Training Diffusion Models on Tabular Data with Missing
Values", 2023 (arXiv:2307.00467), that shows what it costs a generative model to take imputed values for real
ones: Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020, on mean-filled rows,

    minimise  mean (ε - ε_θ(x_t, t))² over all entries, filled ones too,    x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε

Its point is ``generate``. As an imputer it is the mean, to the last bit but for rounding.

**What is ours.** The paper says no more than the name. Network, schedule, bounds on x_0 and stopping are
those of :mod:`methods.missdiff`, so that the two differ in the filled entries alone. Training stops on
observed entries that are held out from the loss.

**Cost.** epochs · rows passes of a network with 10 H² weights to fit, n_diffusion passes a row to generate.

**When.** As the baseline of methods that learn from incomplete rows, never to impute.

Checked against the covariance of a Gaussian with unit variances and correlations of 0.8. Of 2,000 rows drawn
after training on 600 complete ones, the variances are 1.21 to 1.25, the covariance of a pair 1.06; after
training on the 600 with 30 % hidden and filled, 0.62 to 0.75 and 0.4, as mean imputation shrinks them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods import ddpm
from methods.checks import check_choice, check_integer
from methods.meanfilled import MeanFilled
from methods.networks import NoiseLevelNet
from methods.noise import Normal
from methods.registry import MethodInfo
from methods.training import EntryLoss, Rows, mean_over


class DiffMean(MeanFilled):
    """Mean imputation, then an unconditional DDPM.

    Parameters
    ----------
    n_diffusion : int
        Steps T of the forward process.
    schedule : {"quad", "linear", "cosine"}
        How its noise grows; see :func:`methods.ddpm.signal`.
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
        name="diff_mean",
        title="Diff-mean",
        family="diffusion",
        reference="Ouyang et al., MissDiff, 2023 (its baseline); Ho et al., DDPM, NeurIPS 2020",
        inductive=True,
        stochastic=False,
        version=2,
        generative=True,
        accelerated=True,
        search_space={
            "n_diffusion": [50, 100, 500, 1000],
            "schedule": ["quad", "linear", "cosine"],
            "hidden": [128, 256, 512, 1024],
            "lr": ("log", 1e-4, 2e-3),
            "epochs": [200, 500, 2000],
        },
    )

    def __init__(
        self,
        *,
        n_diffusion: int = 100,
        schedule: str = "quad",
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
        self.n_diffusion = n_diffusion
        self.schedule = schedule
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
        check_integer("n_diffusion", self.n_diffusion, low=1)
        check_choice("schedule", self.schedule, ddpm.SCHEDULES)
        check_choice("clip", self.clip, (True, False))

    def _entry_loss(self, net: NoiseLevelNet, x: Tensor, n_steps: int) -> EntryLoss:
        self.signal_ = ddpm.signal(self.schedule, self.n_diffusion)
        signal = torch.as_tensor(self.signal_, dtype=torch.float32, device=x.device)

        def loss(weights: Tensor, rows: Rows, counts: Tensor | None, generator: torch.Generator) -> Tensor:
            clean = x[rows]
            t = torch.randint(1, len(signal), (len(clean), 1), generator=generator, device=x.device)
            noisy, noise = ddpm.diffuse(clean, signal[t], generator)
            return mean_over((net(weights, noisy, t.to(x.dtype)) - noise).square(), counts)

        return loss

    def _draw(self, known: Tensor, missing: Tensor, normal: Normal) -> Tensor:
        bounds = (self.low_, self.high_) if self.clip else None
        sampler = ddpm.Sampler(self.signal_, n_steps=self.n_diffusion, eta=1.0, n_repeats=1, bounds=bounds)

        def predict(x: Tensor, t: int) -> Tensor:
            return self.net_(self.weights_, x, x.new_full((1, 1), t))

        return sampler(predict, known, missing, normal)
