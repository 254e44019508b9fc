"""The masked autoencoder of ReMasker: a transformer over the columns of a row, one token a column.

Tokens of the visible columns go through the encoder; the decoder gets them back in their places, a learnt
token in every other place, and reconstructs each column. The codes of a category make one token, the sum of
what each is mapped to, and are read off one. Blocks are those of Dosovitskiy et al. 2021 (ViT): pre-norm
attention and a perceptron with GELU, each added to its input. As in :mod:`methods.networks`, all weights are
one flat vector; none is drawn from a global random state.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

EPS = 1e-6
"""Of layer normalisation."""


class MaskedAutoencoder:
    """Rows with some columns visible -> a value for every column.

    Parameters
    ----------
    owners
        Which token each of the L columns belongs to: 0, 1, ..., in order; (n_columns,). The codes of a
        category make one token.
    width, n_heads, mlp_ratio
        Size E of a token, attention heads, and hidden units of a perceptron in multiples of E.
    depth, decoder_depth
        Blocks of encoder and decoder.
    own_tokens
        Each column has its own map from value to token and its own read-out, each token its own offset and
        position; else all share one map and one read-out, and tokens differ by a sinusoidal position.
    bounded
        Squash the output to (0, 1), as tanh(z)/2 + ½.

    Notes
    -----
    **Shape.** x (n_rows, L); kept, indices of tokens, and valid, bool, (n_rows, n_kept), where a token that
    is not valid is padding and stays hidden. Returns (n_rows, L).

    Examples
    --------
    >>> net = MaskedAutoencoder(np.arange(3), width=8, n_heads=2, mlp_ratio=4, depth=1, decoder_depth=1)
    >>> weights = net.draw(torch.Generator().manual_seed(0))
    >>> kept, valid = visible(torch.tensor([[True, False, True], [False, True, False]]), 2)
    >>> kept.tolist(), valid.tolist()
    ([[0, 2], [1, 0]], [[True, True], [True, False]])
    >>> net(weights, torch.zeros(2, 3), kept, valid).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        owners: NDArray[np.intp],
        *,
        width: int,
        n_heads: int,
        mlp_ratio: int,
        depth: int,
        decoder_depth: int,
        own_tokens: bool = True,
        bounded: bool = False,
    ):
        E, L, n_tokens = width, len(owners), int(owners[-1]) + 1
        self.width, self.n_heads, self.n_tokens = width, n_heads, n_tokens
        self.owners = torch.from_numpy(owners)
        self.plain = n_tokens == L
        self.depth, self.decoder_depth = depth, decoder_depth
        self.own_tokens, self.bounded = own_tokens, bounded
        self.shapes: dict[str, tuple[int, ...]] = {
            "value": (L if own_tokens else 1, E),
            "offset": (n_tokens if own_tokens else 1, E),
            "class": (E,),
            "hidden": (E,),
            "bridge.weight": (E, E),
            "bridge.bias": (E,),
            "read": (L if own_tokens else 1, E),
            "read_offset": (1,),
        }
        if own_tokens:
            self.shapes["position"] = (n_tokens, E)
        norms = ["norm", "last_norm"]
        for block in self._blocks():
            sizes = {"qkv": (3 * E, E), "project": (E, E)}
            sizes |= {"expand": (mlp_ratio * E, E), "contract": (E, mlp_ratio * E)}
            for part, size in sizes.items():
                self.shapes[f"{block}.{part}.weight"] = size
                self.shapes[f"{block}.{part}.bias"] = size[:1]
            norms += [f"{block}.norm1", f"{block}.norm2"]
        for norm in norms:
            self.shapes |= {f"{norm}.weight": (E,), f"{norm}.bias": (E,)}
        self.lengths = [math.prod(shape) for shape in self.shapes.values()]

    def draw(self, generator: torch.Generator) -> Tensor:
        """Fresh weights: Xavier-uniform matrices, zero biases; (n_weights,)."""
        parts = []
        for name, shape in self.shapes.items():
            part = torch.zeros(shape, device=generator.device)
            kind = name.rsplit(".", 1)[-1]
            if name == "position":
                part = sinusoidal_positions(self.n_tokens, self.width).to(generator.device)
            elif "norm" in name and kind == "weight":
                part.fill_(1)
            elif len(shape) == 2 and name not in ("value", "offset"):
                bound = math.sqrt(6 / sum(shape)) if kind == "weight" else math.sqrt(6 / (1 + self.width))
                part.uniform_(-bound, bound, generator=generator)
            elif name in ("class", "hidden"):
                part.normal_(0, 0.02, generator=generator)
            elif name == "value" or (name == "offset" and self.own_tokens):
                part.normal_(0, 0.5 if self.own_tokens else self.width**-0.5, generator=generator)
            parts.append(part.flatten())
        return torch.cat(parts)

    def __call__(self, weights: Tensor, x: Tensor, kept: Tensor, valid: Tensor) -> Tensor:
        parts = weights.split(self.lengths)
        w = {name: part.view(shape) for part, (name, shape) in zip(parts, self.shapes.items(), strict=True)}
        E = self.width
        n_rows, n_kept = kept.shape
        position = w["position"] if self.own_tokens else sinusoidal_positions(self.n_tokens, E).to(x.device)
        places = kept[..., None].expand(n_rows, n_kept, E)
        tokens = (self._joined(x[..., None] * w["value"]) + w["offset"] + position).gather(1, places)
        tokens = torch.cat([w["class"].expand(n_rows, 1, E), tokens], 1)
        keys = F.pad(valid, (1, 0), value=True)[:, None, None, :]
        for block in self._blocks()[: self.depth]:
            tokens = self._block(w, block, tokens, keys)
        tokens = F.linear(self._norm(w, "norm", tokens), w["bridge.weight"], w["bridge.bias"])
        seen = torch.where(valid[..., None], tokens[:, 1:], w["hidden"])
        every = w["hidden"].expand(n_rows, self.n_tokens, E).scatter(1, places, seen) + position
        tokens = torch.cat([tokens[:, :1], every], 1)
        for block in self._blocks()[self.depth :]:
            tokens = self._block(w, block, tokens, None)
        read = self._norm(w, "last_norm", tokens[:, 1:])
        if not self.plain:
            read = read[:, self.owners.to(x.device)]
        out = (read * w["read"]).sum(-1) + w["read_offset"]
        return torch.sigmoid(2 * out) if self.bounded else out

    def _joined(self, codes: Tensor) -> Tensor:
        """Sums over the codes of each token, (n_rows, L, E) -> (n_rows, n_tokens, E)."""
        if self.plain:
            return codes
        sums = codes.new_zeros(len(codes), self.n_tokens, codes.shape[-1])
        return sums.index_add(1, self.owners.to(codes.device), codes)

    def _blocks(self) -> list[str]:
        return [f"encoder{k}" for k in range(self.depth)] + [f"decoder{k}" for k in range(self.decoder_depth)]

    def _norm(self, w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (self.width,), w[f"{name}.weight"], w[f"{name}.bias"], EPS)

    def _block(self, w: dict[str, Tensor], block: str, x: Tensor, keys: Tensor | None) -> Tensor:
        def dense(part: str, x: Tensor) -> Tensor:
            return F.linear(x, w[f"{block}.{part}.weight"], w[f"{block}.{part}.bias"])

        qkv = dense("qkv", self._norm(w, f"{block}.norm1", x)).view(*x.shape[:2], 3, self.n_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (n_rows, n_heads, n_tokens, E / n_heads) each
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
        x = x + dense("project", mixed.transpose(1, 2).reshape(x.shape))
        return x + dense("contract", F.gelu(dense("expand", self._norm(w, f"{block}.norm2", x))))


def sinusoidal_positions(n_columns: int, width: int) -> Tensor:
    """sin and cos of the column's number at width/2 frequencies from 1 to 1/10,000, (n_columns, width)."""
    frequencies = 10_000.0 ** -(torch.arange(width // 2) / (width // 2))
    angles = torch.arange(n_columns)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


def visible(shown: Tensor, n_kept: int) -> tuple[Tensor, Tensor]:
    """The columns that each row shows, padded to `n_kept`.

    Parameters
    ----------
    shown
        bool, (n_rows, n_columns), at most `n_kept` a row.

    Returns
    -------
    kept, valid
        Column indices, and which of them are no padding; (n_rows, n_kept).
    """
    kept = (~shown).to(torch.uint8).argsort(dim=1, stable=True)[:, :n_kept]
    return kept, shown.gather(1, kept)
