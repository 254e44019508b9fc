"""The network of rows and columns that GRAPE and IGRM share, over dense tensors.

A table is a bipartite graph: a node for each row i and each column j, and an edge e_ij with the value of each
observed entry. A layer (You et al. 2020, equations 2 to 4) sends messages along the edges both ways,

    m_ij = ReLU(P [h_j, e_ij]),   h_i' = ReLU(Q [mean_j m_ij, h_i]) / ‖·‖,
    e_ij' = ReLU(W [h_i', h_j', e_ij]),

and a value is read off the two nodes at its ends: D(g(h_i), g(h_j)), D and g of two linear layers each. The
edge of a number starts as that number, the edge of a category as the vector of its codes; D has an output for
all numbers and one for each code.

Edges stand in a tensor (n_rows, n_columns, hidden) beside a mask of the observed ones, so that nothing is
gathered or scattered: P [h_j, e_ij] = P_h h_j + P_e e_ij, whose second term both directions share. A row
hears from columns alone: with the columns' states at hand, rows need not know of each other. So the memory
does not grow with their number. In training, the columns hear from the rows of a batch; afterwards from all
rows, chunk by chunk (:meth:`BipartiteNet.column_states`), and their states are kept for every row to come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from methods.networks import Dense, linear

Layer = tuple[Tensor, Tensor]
Norm = Literal["l2", "rms"]

CHUNK_ENTRIES = {"cpu": 2**20, "cuda": 2**26}
"""Entries of one edge tensor (n_rows, n_columns, hidden), where rows are walked in chunks."""


class BipartiteNet:
    """Layers of messages between rows and columns, and the decoder, as functions of one flat vector.

    Parameters
    ----------
    owners
        Which of the d columns of the table each code is part of: 0, 1, ..., in order; (n_codes,).
    hidden
        Width of node states, edge states and messages.
    n_layers
        Layers of messages.
    norm
        What a node's state is scaled to: "l2" is length 1, with torch's first weights, as the authors have
        it. "rms" is mean square 1, and larger first weights: a vector of length 1 has entries of 1/√hidden,
        and what it says is lost beside the bias until the weights have grown.
    extra
        Sizes (n_inputs, n_outputs) of linear layers of the caller's own, behind the others in `layers`.

    Notes
    -----
    Rows start as a vector of d ones, columns as unit vectors (of mean square 1 with "rms"). Values have the
    shape (n_rows, n_codes), masks (n_rows, n_columns).
    """

    def __init__(
        self,
        owners: NDArray[np.intp],
        hidden: int,
        n_layers: int,
        *,
        norm: Norm = "rms",
        extra: Sequence[tuple[int, int]] = (),
    ):
        n_columns = int(owners[-1]) + 1
        self.n_columns, self.hidden, self.n_layers = n_columns, hidden, n_layers
        # the codes of each column, and their places in the vector of its edge; numbers share the first place
        self.n_codes = len(owners)
        self.spans: list[tuple[slice, slice]] = []
        code, self.edge_width = 0, 1
        for width in np.bincount(owners).tolist():
            place = self.edge_width if width > 1 else 0
            self.spans.append((slice(code, code + width), slice(place, place + width)))
            self.edge_width = max(self.edge_width, place + width)
            code += width
        self.plain = self.edge_width == 1
        large = norm == "rms"
        self.radius = math.sqrt(hidden) if large else 1.0
        self.first_radius = math.sqrt(n_columns) if large else 1.0
        self.gain = math.sqrt(3) if large else 1.0
        sizes = []
        for number in range(n_layers):
            node, edge = (hidden, hidden) if number else (n_columns, self.edge_width)
            sizes += [(node + edge, hidden), (hidden + node, hidden)]
            if number + 1 < n_layers:  # nobody reads the last layer's edges
                sizes.append((2 * hidden + edge, hidden))
        self.n_messages = len(sizes)
        sizes += [(hidden, hidden), (hidden, hidden), (2 * hidden, hidden), (hidden, self.edge_width)]
        self.n_own = len(sizes)
        self.layers = Dense([*sizes, *extra])

    def draw(self, generator: torch.Generator) -> Tensor:
        """Fresh weights, (n_weights,)."""
        return self.gain * self.layers.draw(generator)

    def extra(self, weights: Tensor) -> list[Layer]:
        """The caller's own layers."""
        return self.layers.views(weights)[self.n_own :]

    def chunk_rows(self, device: torch.device) -> int:
        """Rows of a chunk, where rows are walked in chunks."""
        budget = CHUNK_ENTRIES.get(device.type, CHUNK_ENTRIES["cpu"])
        return max(budget // (self.n_codes * self.hidden), 1)

    def first_columns(self, like: Tensor) -> Tensor:
        """The columns before the first layer, (n_columns, n_columns)."""
        return self.first_radius * torch.eye(self.n_columns, dtype=like.dtype, device=like.device)

    def embed(self, weights: Tensor, values: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """The states of rows and columns after all layers, the columns hearing from these rows.

        Parameters
        ----------
        weights
            (n_weights,).
        values
            (n_rows, n_codes); finite, and of no consequence where not kept.
        kept
            Which edges there are: 0 or 1, (n_rows, n_columns).

        Returns
        -------
        (n_rows, hidden) and (n_columns, hidden).
        """
        columns = [self.first_columns(values)]
        rows, _ = self._walk(weights, values, kept, columns, grow=True)
        return rows, columns[-1]

    def embed_rows(self, weights: Tensor, values: Tensor, kept: Tensor, columns: Sequence[Tensor]) -> Tensor:
        """The states of rows after all layers, (n_rows, hidden), the columns' given by `column_states`."""
        rows, _ = self._walk(weights, values, kept, list(columns), grow=False)
        return rows

    def embed_table(self, weights: Tensor, values: Tensor, kept: Tensor, columns: Sequence[Tensor]) -> Tensor:
        """As `embed_rows`, in chunks."""
        size = self.chunk_rows(values.device)
        chunks = zip(values.split(size), kept.split(size), strict=True)
        return torch.cat([self.embed_rows(weights, *chunk, columns) for chunk in chunks])

    def column_states(self, weights: Tensor, values: Tensor, kept: Tensor) -> list[Tensor]:
        """The states of the columns before the first layer and after each, hearing from all rows.

        Rows are walked in chunks, once for each layer, so that no more than a chunk's edges are in memory.
        """
        columns = [self.first_columns(values)]
        size = self.chunk_rows(values.device)
        counts = kept.sum(0).to(values.dtype)
        for number in range(self.n_layers):
            heard = values.new_zeros(self.n_columns, self.hidden)
            for chunk, edges in zip(values.split(size), kept.split(size), strict=True):
                _, sums = self._walk(weights, chunk, edges.to(values.dtype), columns, grow=False)
                assert sums is not None
                heard += sums
            _, update, _ = self._views(weights)[number]
            columns.append(_update(heard / counts.clamp_min(1)[:, None], columns[-1], update, self.radius))
        return columns

    def decode(self, weights: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Values (n_rows, n_codes) from node states (n_rows, hidden) and (n_columns, hidden)."""
        first, second, (mix, bias), last = self.layers.views(weights)[self.n_messages : self.n_own]
        rows, columns = (linear(F.relu(linear(nodes, first)), second) for nodes in (rows, columns))
        from_rows, from_columns = mix.split(self.hidden)
        both = F.relu((rows @ from_rows + bias)[:, None] + columns @ from_columns)
        return self._read(both, last)

    def _along(self, values: Tensor, edges: Tensor | None, weight: Tensor) -> Tensor:
        """The edges times a weight, (n_rows, n_columns, hidden)."""
        if edges is None:
            return self._spell(values, weight)
        return (edges.flatten(0, 1) @ weight).view(*edges.shape[:2], -1)

    def _spell(self, values: Tensor, weight: Tensor) -> Tensor:
        """The edges before the first layer times a weight (edge_width, hidden): (n_rows, n_columns, hidden).

        An edge is the vector of its codes, most of them those of other columns and 0; it is never made.
        """
        if self.plain:
            return values.unsqueeze(-1) * weight[0]
        return torch.stack([values[:, codes] @ weight[places] for codes, places in self.spans], 1)

    def _read(self, both: Tensor, layer: Layer) -> Tensor:
        """What the last layer says of each code, from (n_rows, n_columns, hidden): (n_rows, n_codes)."""
        weight, bias = layer
        if self.plain:
            return linear(both.flatten(0, 1), layer).view(both.shape[:2])
        parts = [both[:, j] @ weight[:, places] + bias[:, places] for j, (_, places) in enumerate(self.spans)]
        return torch.cat(parts, 1)

    def _views(self, weights: Tensor) -> list[tuple[Layer, Layer, Layer | None]]:
        """(P, Q, W) of each layer."""
        views = self.layers.views(weights)
        last = self.n_messages - 2  # where the last layer begins, which has no W
        return [(views[k], views[k + 1], views[k + 2] if k < last else None) for k in range(0, last + 1, 3)]

    def _walk(
        self, weights: Tensor, values: Tensor, kept: Tensor, columns: list[Tensor], *, grow: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Rows through the layers for which there are column states.

        With `grow`, columns hear from these rows, and what comes of it is appended; all layers are walked.
        Else the walk ends where `columns` does; if that is before the last layer, the second result is the
        sum of the messages (n_columns, hidden) that the next state of the columns is made of.
        """
        rows = values.new_ones(1, self.n_columns)
        edges: Tensor | None = None  # before the first layer: the values
        kept = kept.to(values.dtype)
        by_row = kept.unsqueeze(1)  # (n_rows, 1, n_columns)
        by_column = kept.t().unsqueeze(1)  # (n_columns, 1, n_rows)
        per_row = kept.sum(1, keepdim=True).clamp_min(1)
        per_column = kept.sum(0).clamp_min(1)[:, None]
        for number, ((P, bias), update, W) in enumerate(self._views(weights)):
            width = self.edge_width if edges is None else self.hidden
            P_h, P_e = P.split([P.shape[0] - width, width])
            from_edges = self._along(values, edges, P_e) + bias[0]
            ends = number + 1 == len(columns)  # nothing is known yet of the columns after this layer
            heard = None
            if ends:
                to_columns = F.relu(from_edges + (rows @ P_h)[:, None])
                heard = torch.bmm(by_column, to_columns.transpose(0, 1))[:, 0]
                if not grow:
                    return rows, heard
                columns.append(_update(heard / per_column, columns[number], update, self.radius))
            to_rows = F.relu(from_edges + columns[number] @ P_h)
            rows = _update(torch.bmm(by_row, to_rows)[:, 0] / per_row, rows, update, self.radius)
            if W is not None:
                W_row, W_column, W_e = W[0].split([self.hidden, self.hidden, width])
                nodes = (rows @ W_row + W[1])[:, None] + columns[number + 1] @ W_column
                edges = F.relu(nodes + self._along(values, edges, W_e))
        return rows, None


def _update(heard: Tensor, nodes: Tensor, update: Layer, radius: float) -> Tensor:
    """ReLU(Q [heard, nodes]), scaled to length `radius`."""
    Q, bias = update
    Q_heard, Q_nodes = Q.split([heard.shape[1], nodes.shape[1]])
    return radius * F.normalize(F.relu(heard @ Q_heard + nodes @ Q_nodes + bias), dim=-1)
