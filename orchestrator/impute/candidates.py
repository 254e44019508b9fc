"""Which methods could fill a table, with which parameters, and what they should cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import methods
from orchestrator.trial import canonical_json

FLOOR = ("mean", "median", "mode")
"""Always scored: what every other method has to beat."""
STRONG = ("mice", "em", "missforest")
"""Strong and cheap: always scored to the end."""
GENERATORS = {
    "diff_mean": "its imputations are column means",
    "stasy_mean": "its imputations are column means",
}
"""Methods for synthetic rows; no candidates unless they are asked for."""
ON_CPU: Mapping[str, Mapping[str, Any]] = {"diffputer": {"preset": "fast"}}
"""Parameters where there is no GPU: the defaults of these are made for one."""

CELLS = (17_070.0, 53_878.0, 320_000.0)
"""Rows times columns of the tables that :data:`SECONDS` was measured on."""
SECONDS: Mapping[str, tuple[float, ...]] = {
    "mean": (0.002, 0.004, 0.02),
    "median": (0.003, 0.005, 0.03),
    "mode": (0.004, 0.006, 0.04),
    "mice": (0.04, 0.04, 0.08),
    "em": (0.09, 0.09, 0.30),
    "softimpute": (0.07, 0.07, 0.43),
    "knn": (0.03, 0.24, 3.5),
    "sinkhorn": (0.37, 3.1, 14),
    "sinkhorn_rr": (4.4, 1.8, 3.0),
    "missforest": (2.6, 3.0, 14),
    "tdm": (3.2, 2.0, 7.7),
    "newimp": (1.2, 14, 164),
    "miracle": (5.0, 15, 40),
    "grape": (10.0, 6.5, 14),
    "hyperimpute": (11, 49, 68),
    "gain": (13, 13, 11),
    "remasker": (17, 7.3, 24),
    "igrm": (20, 14, 57),
    "mcflow": (7.4, 20, 18),
    "miwae": (13, 44, 86),
    "csdi_t": (5.8, 36),
    "missdiff": (8.2, 46),
    "diffputer": (18, 92),
}
"""CPU seconds of one thread on :data:`CELLS` (``benchmarks/costs.py``), in the order from plain to costly."""
GROWTH = (0.7, 2.0)
"""Bounds of the power of the number of rows by which seconds grow beyond what was measured."""


@dataclass(frozen=True)
class Candidate:
    """A method with parameters."""

    method: str
    params: str = "{}"
    """Canonical JSON; no ``random_state`` among them."""

    @property
    def plainness(self) -> int:
        """Place in the order from plain and cheap to costly; what was never measured comes last."""
        order = list(SECONDS)
        return order.index(self.method) if self.method in order else len(order)

    @property
    def plain(self) -> bool:
        """Whether it is scored to the end, however it does: a column statistic, or strong and cheap."""
        return self.method in FLOOR + STRONG

    @property
    def name(self) -> str:
        """Unlike that of any other candidate."""
        return self.method if self.params == "{}" else f"{self.method} {self.params}"

    @property
    def kwargs(self) -> dict[str, Any]:
        """The parameters as a constructor takes them."""
        return json.loads(self.params)


def candidates(
    names: Iterable[str] | None,
    *,
    categories: bool,
    gpu: bool,
    device: str | None = None,
    needs: Sequence[str] = (),
) -> tuple[list[Candidate], dict[Candidate, str]]:
    """Candidates from plain to costly, and those that cannot be ones with the reason.

    Parameters
    ----------
    names
        Methods to consider, or None for every registered one; column means, medians and modes are added.
    categories
        Whether the table has categorical columns.
    gpu
        Whether accelerated methods will have a GPU.
    device
        Given to accelerated methods; None for their default.
    needs
        What a candidate must be able to do, as fields of :class:`methods.MethodInfo`: ``inductive`` to fill
        other rows, ``stochastic`` to draw.

    Raises
    ------
    methods.UnknownNameError
        If a name is no method's.
    """
    asked = None if names is None else [methods.resolve(name) for name in names]
    # a floor method stays one where draws or new rows are asked for: it is scored, and cannot be chosen
    considered = methods.names() if asked is None else dict.fromkeys([*asked, *FLOOR])
    found, refused = [], {}
    for name in considered:
        info = methods.info(name)
        params = {} if gpu else dict(ON_CPU.get(name, {}))
        if device is not None and info.accelerated:
            params["device"] = device
        candidate = Candidate(name, canonical_json(params))
        lacking = [need for need in needs if not getattr(info, need)]
        if asked is None and name in GENERATORS:
            refused[candidate] = f"made to generate rows: {GENERATORS[name]}"
        elif categories and not info.categorical:
            refused[candidate] = "takes no categorical columns"
        elif lacking and name not in FLOOR:
            refused[candidate] = "; ".join(_LACKS[need] for need in lacking)
        else:
            found.append(candidate)
    return sorted(found, key=lambda candidate: (candidate.plainness, candidate.name)), refused


_LACKS = {"inductive": "cannot fill rows that it was not fitted on", "stochastic": "gives no draws"}


def expected_seconds(method: str, cells: float) -> float | None:
    """CPU seconds of one fit on a table of so many entries, None for a method that was never measured.

    Between the measured sizes on lines through the logarithms, below them as on the smallest, beyond them as
    the last two grow.

    >>> expected_seconds("knn", 53_878), expected_seconds("mean", 1)
    (0.24, 0.002)
    >>> expected_seconds("knn", 3_200_000) / expected_seconds("knn", 320_000) > 10
    True
    """
    measured = SECONDS.get(method)
    if measured is None:
        return None
    x, y = np.log(CELLS[: len(measured)]), np.log(measured)
    at = np.log(max(cells, CELLS[0]))
    slope = np.clip((y[-1] - y[-2]) / (x[-1] - x[-2]), *GROWTH)
    return float(round(np.exp(np.interp(at, x, y) + slope * max(at - x[-1], 0.0)), 6))


def growth(method: str, before: float, after: float) -> float:
    """By which factor seconds grow from a table of `before` entries to one of `after`; at least linear growth
    is assumed of a method that was never measured, and none of any where the table gets no larger.

    >>> growth("unheard_of", 100, 300), growth("em", 300, 100)
    (3.0, 1.0)
    """
    if after <= before:
        return 1.0
    first, second = expected_seconds(method, before), expected_seconds(method, after)
    if first is None or second is None:
        return after / before
    return max(1.0, second / first)
