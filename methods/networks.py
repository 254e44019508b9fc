"""The networks that several methods train, each one a function of its input and one flat vector of weights.

The flat vector is what makes training cheap and plain: one optimiser step moves it, a snapshot is a copy of
it, and a leading axis of it is a leading axis of everything: weights of shape (*replicas, n_weights) take
rows of shape (*replicas, n_rows, n_columns), each replica through its own network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Dense:
    """A list of linear layers whose weights and biases are views of one flat vector.

    Parameters
    ----------
    sizes
        (n_inputs, n_outputs) of each layer.

    Examples
    --------
    >>> layers = Dense([(3, 8), (8, 1)])
    >>> weights = layers.draw(torch.Generator().manual_seed(0))
    >>> weights.shape
    torch.Size([41])
    >>> (hidden, last) = layers.views(weights)
    >>> linear(linear(torch.ones(5, 3), hidden), last).shape
    torch.Size([5, 1])
    """

    def __init__(self, sizes: Sequence[tuple[int, int]]):
        self.sizes = tuple(sizes)
        self.lengths = [n for n_inputs, n_outputs in self.sizes for n in (n_inputs * n_outputs, n_outputs)]

    def draw(self, generator: torch.Generator) -> Tensor:
        """Fresh weights, U(-1, 1)/√n_inputs as torch's own linear layers have them; (n_weights,)."""
        parts = []
        for n_inputs, n_outputs in self.sizes:
            part = torch.empty((n_inputs + 1) * n_outputs, device=generator.device, dtype=torch.float32)
            parts.append(part.uniform_(-1, 1, generator=generator).div_(math.sqrt(n_inputs)))
        return torch.cat(parts)

    def views(self, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(weight, bias) of each layer: (*replicas, n_inputs, n_outputs) and (*replicas, 1, n_outputs)."""
        replicas = weights.shape[:-1]
        parts = weights.split(self.lengths, dim=-1)
        return [
            (weight.view(*replicas, *size), bias.unsqueeze(-2))
            for size, weight, bias in zip(self.sizes, parts[::2], parts[1::2], strict=True)
        ]


def linear(x: Tensor, layer: tuple[Tensor, Tensor]) -> Tensor:
    """x W + b over the last two axes."""
    weight, bias = layer
    if weight.dim() == 2 and x.dim() == 2:
        return torch.addmm(bias, x, weight)
    return torch.matmul(x, weight) + bias


class NoiseLevelNet:
    """The multilayer perceptron of DiffPuter, F(x, c), for a noise level c that each row has of its own.

    h = x W + b + embed(c), then H -> 2H -> 2H -> H -> n_columns with SiLU between; embed is a sinusoidal
    embedding of H channels and two layers.

    Parameters
    ----------
    n_columns
        Inputs and outputs.
    hidden
        Width H.

    Notes
    -----
    **Shape.** x (*replicas, n_rows, n_columns) and c (*replicas, n_rows, 1), or (1, 1) for a level that all
    rows share, which is then embedded once. Returns the shape of x.
    """

    def __init__(self, n_columns: int, hidden: int):
        H = hidden
        self.n_columns, self.hidden = n_columns, hidden
        self.n_channels = H + H % 2
        self.layers = Dense(
            [
                (self.n_channels, H),
                (H, H),
                (n_columns, H),
                (H, 2 * H),
                (2 * H, 2 * H),
                (2 * H, H),
                (H, n_columns),
            ]
        )

    def __call__(self, weights: Tensor, x: Tensor, level: Tensor) -> Tensor:
        return self.after(self.embed(weights, level), weights, x)

    def embed(self, weights: Tensor, level: Tensor) -> Tensor:
        """What the network makes of a level, (..., 1) -> (..., H): a sampler asks for it once."""
        embed_in, embed_out, *_ = self.layers.views(weights)
        waves = sinusoids(level, self.n_channels).to(weights.dtype)
        return linear(F.silu(linear(waves, embed_in)), embed_out)

    def after(self, embedded: Tensor, weights: Tensor, x: Tensor) -> Tensor:
        """F(x, c), given the embedding of c."""
        _, _, first, *body, last = self.layers.views(weights)
        h = linear(x, first) + embedded
        for layer in body:
            h = F.silu(linear(h, layer), inplace=not torch.is_grad_enabled())
        return linear(h, last)


def sinusoids(level: Tensor, n_channels: int) -> Tensor:
    """sin and cos of a level at frequencies from 1 down to 1/10,000; (..., 1) -> (..., n_channels)."""
    half = n_channels // 2
    exponents = torch.arange(half, device=level.device, dtype=level.dtype) / half
    angles = level * 10_000.0**-exponents
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
