"""A forest as flat arrays, for prediction alone.

Fitted trees of scikit-learn carry impurities, row counts and the values of inner nodes, some 80 bytes a node.
Where forests are kept for later rows by the hundred, that is most of the memory of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from methods import trees
from methods.base import Matrix
from methods.encoding import Column


@dataclass(frozen=True)
class Forest:
    """Trees that predict one column of the table from the columns of the matrix that are not its own."""

    column: Column
    roots: NDArray[np.int32]
    """Node where each tree begins, shape (n_trees,)."""
    feature: NDArray[np.int32]
    """Column of the matrix that a node cuts, shape (n_nodes,)."""
    cut: NDArray[np.float32]
    """Rows up to this value go left, shape (n_nodes,)."""
    children: NDArray[np.int32]
    """Left and right child of a node; of a leaf, -1 and its number; shape (n_nodes, 2)."""
    votes: Matrix
    """What each leaf predicts, in units of :func:`votes`, shape (n_leaves, width)."""

    @classmethod
    def of(cls, column: Column, fitted: list[Any], features: NDArray[np.int32]) -> Forest:
        """From the ``tree_`` of fitted estimators, whose features are these columns of the matrix."""
        sizes = [tree.node_count for tree in fitted]
        roots = np.cumsum([0, *sizes[:-1]])
        sides = ("children_left", "children_right")
        children = np.hstack(
            [[getattr(tree, side) + root for side in sides] for tree, root in zip(fitted, roots, strict=True)]
        ).T.astype(np.int32, order="C")
        is_leaf = np.concatenate([tree.children_left < 0 for tree in fitted])
        children[is_leaf, 0] = -1
        children[is_leaf, 1] = np.arange(is_leaf.sum())
        return cls(
            column=column,
            roots=roots.astype(np.int32),
            feature=features[np.concatenate([tree.feature for tree in fitted]).clip(0)],
            cut=round_down(np.concatenate([tree.threshold for tree in fitted])),
            children=children,
            votes=np.concatenate([tree.value[:, :, 0] for tree in fitted])[is_leaf],
        )

    def predict(self, table: NDArray[np.float32], rows: NDArray[np.int32]) -> Matrix:
        """Standardised values or vote shares of some rows, shape (len(rows), width).

        `table` is the matrix column by column, shape (n_encoded, n_rows).
        """
        found = trees.walk(table, rows, self.roots, self.feature, self.cut, self.children, self.votes)
        return found if self.column.kind == "numeric" else (found - self.column.center) / self.column.scale


def votes(column: Column, codes: Matrix) -> Matrix:
    """What trees learn of a column: its standardised values, or the 0/1 codes of a category."""
    return codes if column.kind == "numeric" else codes * column.scale + column.center


def round_down(values: Matrix) -> NDArray[np.float32]:
    """The largest float32 not above each value: float32 features compare with it as with the value."""
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)
