"""A variational autoencoder of incomplete rows, and what importance sampling makes of it.

The observed entries x_o of a row, 0 in its holes, give q(z | x_o) = N(μ, diag σ²); a code z gives each column
a distribution of its own, all independent: a continuous one for a number, for a category the probability of
each of its values. Samples z_k ~ q have the log weights

    log w_k = log p(x_o | z_k) + log N(z_k; 0, I) - log q(z_k | x_o),

whose log mean exp is a lower bound of log p(x_o) (Burda, Grosse, Salakhutdinov 2016), and whose normalised
exponentials turn averages over q into averages over p(z | x_o).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.encoding import Column
from methods.networks import Dense, linear

Likelihood = Literal["student_t", "gaussian"]

LEAST_DOF = 3.0
"""What softplus is added to: no column gets heavier tails."""

Parameters = tuple[Tensor, ...]
"""Location, scale and, for Student-t, degrees of freedom; each (*samples, n_columns). At the 0/1 codes of a
category, location holds the log probability of each value (of two values: the log odds of the second), and
the others mean nothing."""


@dataclass(frozen=True)
class Category:
    """Where the 0/1 codes of a category stand in the matrix, and how they were standardised."""

    columns: slice
    """One column for two values, else one for each value."""
    center: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def binary(self) -> bool:
        return len(self.center) == 1

    def raw(self, codes: Tensor) -> Tensor:
        """Codes in units of the matrix as 0 and 1; (..., width)."""
        return codes * codes.new_tensor(self.scale) + codes.new_tensor(self.center)

    def standardized(self, raw: Tensor) -> Tensor:
        """The inverse of :meth:`raw`."""
        return (raw - raw.new_tensor(self.center)) / raw.new_tensor(self.scale)


def categories(columns: Iterable[Column]) -> tuple[Category, ...]:
    """The categories among the columns of a table whose code is one-hot, "onehot" or "joint"."""
    return tuple(
        Category(column.slice, tuple(column.center.tolist()), tuple(column.scale.tolist()))
        for column in columns
        if column.encoded and column.kind == "categorical"
    )


@dataclass(frozen=True)
class Autoencoder:
    """Encoder and decoder of two hidden layers each, over one flat vector of weights.

    Attributes
    ----------
    n_columns, hidden, latent
        Columns of a row, width H of the hidden layers, entries of a code.
    likelihood : {"student_t", "gaussian"}
        Distribution of a number given the code.
    categories : tuple of Category
        The columns that are no numbers, in order.
    min_scale
        What softplus is added to: no number gets a narrower distribution.
    """

    n_columns: int
    hidden: int
    latent: int
    likelihood: Likelihood
    categories: tuple[Category, ...] = ()
    min_scale: float = 1e-3

    @property
    def n_parameters(self) -> int:
        """Numbers that describe the distribution of one column."""
        return 3 if self.likelihood == "student_t" else 2

    @property
    def layers(self) -> Dense:
        H, n_codes = self.hidden, self.latent
        encoder = [(self.n_columns, H), (H, H), (H, 2 * n_codes)]
        return Dense([*encoder, (n_codes, H), (H, H), (H, self.n_parameters * self.n_columns)])

    def draw(self, generator: torch.Generator) -> Tensor:
        """Fresh weights: orthogonal matrices, biases as torch's own layers have them; (n_weights,)."""
        layers = self.layers
        weights = layers.draw(generator)
        for matrix, _ in layers.views(weights):
            torch.nn.init.orthogonal_(matrix, generator=generator)
        return weights

    def weigh(
        self, weights: Tensor, x: Tensor, m: Tensor, n_codes: int, generator: torch.Generator
    ) -> tuple[Tensor, Parameters]:
        """Codes drawn from q(z | x_o), weighed.

        Parameters
        ----------
        x, m
            Rows without NaN and 1 where observed, both (n_rows, n_columns).
        n_codes
            Codes for each row, K or L.

        Returns
        -------
        log_w : Tensor, shape (n_codes, n_rows)
        parameters : tuple of Tensor
            Distribution of every entry, (n_codes, n_rows, n_columns) each.
        """
        *encoder, first, second, last = self.layers.views(weights)
        mu, spread = perceptron(x * m, *encoder).chunk(2, dim=1)
        sigma = F.softplus(spread)
        shape = (n_codes, len(x), self.latent)
        noise = torch.randn(shape, generator=generator, device=x.device)
        z = mu + sigma * noise
        out = perceptron(z.view(-1, self.latent), first, second, last)
        parameters = self.distribution(out.view(n_codes, len(x), -1))
        # log N(z; 0, I) - log q(z | x_o), in which the powers of 2π cancel
        prior = 0.5 * (noise.square() - z.square()).sum(-1) + sigma.clamp_min(1e-30).log().sum(-1)
        return (self.log_density(x, parameters) * m).sum(-1) + prior, parameters

    def distribution(self, out: Tensor) -> Parameters:
        """The decoder's last layer, (..., n_parameters * n_columns), as parameters of a distribution."""
        location, scale, *dof = out.split(self.n_columns, dim=-1)
        return (
            self._at_categories(location, (self._log_odds(c, location) for c in self.categories)),
            F.softplus(scale) + self.min_scale,
            *(F.softplus(nu) + LEAST_DOF for nu in dof),
        )

    def log_density(self, x: Tensor, parameters: Parameters) -> Tensor:
        """log p(x | z), entry by entry, in the shape of the parameters; at the code of a category the log
        probability of its value, spread over the code."""
        location, scale, *dof = parameters
        square = ((x - location) / scale).square()
        if dof:
            (nu,) = dof
            tail = 0.5 * (nu + 1) * torch.log1p(square / nu)
            density = log_gamma_ratio(nu) - 0.5 * (math.pi * nu).log() - scale.log() - tail
        else:
            density = -0.5 * square - scale.log() - 0.5 * math.log(2 * math.pi)
        return self._at_categories(density, (self._log_p(c, x, location) for c in self.categories))

    def mean(self, parameters: Parameters) -> Tensor:
        """E[x | z], (*samples, n_columns): of a category, its codes in proportion to their probability."""
        location = parameters[0]
        return self._at_categories(location, (self._expected(c, location) for c in self.categories))

    def draw_entries(self, parameters: Parameters, generator: torch.Generator) -> Tensor:
        """One draw of every entry, in the shape of the parameters."""
        location, scale, *dof = parameters
        noise = torch.randn(location.shape, generator=generator, device=location.device)
        if dof:
            half = dof[0] / 2
            # a normal over the root of a chi-square by its degrees of freedom
            noise = noise / (torch._standard_gamma(half, generator) / half).sqrt()
        drawn = location + scale * noise
        return self._at_categories(drawn, (self._drawn(c, location, generator) for c in self.categories))

    def _at_categories(self, entries: Tensor, codes: Iterator[Tensor]) -> Tensor:
        """`entries`, (..., n_columns), with those of each category in their place."""
        if not self.categories:
            return entries
        parts, start = [], 0
        for category, values in zip(self.categories, codes, strict=True):
            parts += [entries[..., start : category.columns.start], values]
            start = category.columns.stop
        return torch.cat([*parts, entries[..., start:]], dim=-1)

    @staticmethod
    def _log_odds(category: Category, out: Tensor) -> Tensor:
        values = out[..., category.columns]
        return values if category.binary else values.log_softmax(-1)

    @staticmethod
    def _log_p(category: Category, x: Tensor, location: Tensor) -> Tensor:
        chosen, log_p = category.raw(x[..., category.columns]), location[..., category.columns]
        return chosen * log_p - F.softplus(log_p) if category.binary else chosen * log_p

    @staticmethod
    def _expected(category: Category, location: Tensor) -> Tensor:
        log_p = location[..., category.columns]
        return category.standardized(log_p.sigmoid() if category.binary else log_p.exp())

    @staticmethod
    def _drawn(category: Category, location: Tensor, generator: torch.Generator) -> Tensor:
        log_p = location[..., category.columns]
        if category.binary:
            lots = torch.rand(log_p.shape, generator=generator, device=log_p.device)
            return category.standardized((lots < log_p.sigmoid()).to(log_p.dtype))
        # the greatest of log p plus Gumbel noise: value v with probability p_v
        noise = torch.empty_like(log_p).exponential_(generator=generator).log()
        return category.standardized(F.one_hot((log_p - noise).argmax(-1), log_p.shape[-1]).to(log_p.dtype))


def perceptron(x: Tensor, *layers: tuple[Tensor, Tensor]) -> Tensor:
    """Linear layers with ReLU between."""
    for layer in layers[:-1]:
        x = F.relu(linear(x, layer))
    return linear(x, layers[-1])


def log_gamma_ratio(nu: Tensor) -> Tensor:
    """log Γ((ν + 1)/2) - log Γ(ν/2), for ν of at least 3, to 2e-6.

    One step of the recurrence of Γ, then the asymptotic series in w = ν/2 + 3/4, whose odd powers vanish
    (Tricomi, Erdélyi 1951): a third of the time of lgamma, whose derivative is slow.

    >>> nu = torch.tensor([3.0, 8.0, 100.0])
    >>> torch.allclose(log_gamma_ratio(nu), torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2), atol=1e-5)
    True
    """
    w = nu / 2 + 0.75
    r = w.square().reciprocal()
    series = r * (1 / 64 - r * (5 / 2048 - r * (61 / 49152)))
    return (w.sqrt() * nu / (nu + 1)).log() + series
