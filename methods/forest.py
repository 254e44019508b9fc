"""A forest as flat arrays, for prediction alone.

Fitted trees of scikit-learn carry impurities, row counts and the values of inner nodes, some 80 bytes a node.
Where forests are kept for later rows by the hundred, that is most of the memory of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from methods.base import Matrix
from methods.encoding import Column


@dataclass(frozen=True)
class Forest:
    """Trees that predict one column of the table from the columns of the matrix that are not its own."""

    column: Column
    roots: NDArray[np.intp]
    """Node where each tree begins, shape (n_trees,)."""
    feature: NDArray[np.int32]
    """Feature that a node cuts, shape (n_nodes,)."""
    cut: NDArray[np.float32]
    """Rows up to this value go left, shape (n_nodes,)."""
    children: NDArray[np.int32]
    """Left and right child of a node; of a leaf, -1 and its number; shape (n_nodes, 2)."""
    votes: Matrix
    """What each leaf predicts, shape (n_leaves, width)."""

    @classmethod
    def of(cls, column: Column, trees: list[Any]) -> Forest:
        """From the ``tree_`` of fitted estimators."""
        sizes = [tree.node_count for tree in trees]
        roots = np.cumsum([0, *sizes[:-1]])
        sides = ("children_left", "children_right")
        children = np.hstack(
            [[getattr(tree, side) + root for side in sides] for tree, root in zip(trees, roots, strict=True)]
        ).T.astype(np.int32)
        is_leaf = np.concatenate([tree.children_left < 0 for tree in trees])
        children[is_leaf, 0] = -1
        children[is_leaf, 1] = np.arange(is_leaf.sum())
        return cls(
            column=column,
            roots=roots,
            feature=np.concatenate([tree.feature for tree in trees]).astype(np.int32),
            cut=round_down(np.concatenate([tree.threshold for tree in trees])),
            children=children,
            votes=np.concatenate([tree.value[:, :, 0] for tree in trees])[is_leaf],
        )

    def predict(self, features: NDArray[np.float32]) -> Matrix:
        """Standardised values or vote shares, shape (n_rows, width)."""
        n_rows = len(features)
        node = np.repeat(self.roots, n_rows)  # (n_trees * n_rows,)
        row = np.tile(np.arange(n_rows), len(self.roots))
        walking = np.arange(len(node))
        while True:
            walking = walking[self.children[node[walking], 0] >= 0]
            if not walking.size:
                break
            at = node[walking]
            goes_right = features[row[walking], self.feature[at]] > self.cut[at]
            node[walking] = self.children[at, goes_right.astype(np.intp)]
        votes = self.votes[self.children[node, 1]].reshape(len(self.roots), n_rows, -1).mean(axis=0)
        return (votes - self.column.center) / self.column.scale


def round_down(values: Matrix) -> NDArray[np.float32]:
    """The largest float32 not above each value: float32 features compare with it as with the value."""
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)
