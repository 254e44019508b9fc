"""What a fit by each method typically takes: the first expectation, where nothing was recorded yet.

Measured once, on one machine and with each method's defaults. It orders work and says hours from minutes;
what is recorded on the machine at hand replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

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
    "missforest": (1.0, 1.5, 7.2),
    "sinkhorn_rr": (4.4, 1.8, 3.0),
    "tdm": (3.2, 2.0, 7.7),
    "newimp": (1.2, 14, 164),
    "miracle": (5.0, 15, 40),
    "grape": (10.0, 6.5, 14),
    "hyperimpute": (11, 49, 68),
    "gain": (13, 13, 11),
    "remasker": (17, 7.3, 24),
    "igrm": (20, 14, 57),
    "mcflow": (7.4, 20, 18),
    "miwae": (11, 49, 82),
    "csdi_t": (5.8, 36),
    "missdiff": (8.2, 46),
    "diffputer": (7.8, 32, 133),
}
"""CPU seconds of one thread on :data:`CELLS` (``benchmarks/costs.py``), in the order from plain to costly."""
GROWTH = (0.7, 2.0)
"""Bounds of the power of the number of rows by which seconds grow beyond what was measured."""


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
