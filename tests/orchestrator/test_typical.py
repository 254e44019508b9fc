"""What fits typically take."""

from __future__ import annotations

import pytest

from orchestrator.typical import CELLS, SECONDS, expected_seconds, growth


def test_costs_are_those_measured_and_grow_beyond():
    assert [expected_seconds("newimp", cells) for cells in CELLS] == list(SECONDS["newimp"])
    assert expected_seconds("newimp", 10 * CELLS[-1]) > 10 * SECONDS["newimp"][-1]
    assert SECONDS["em"][0] < expected_seconds("em", 200_000) < SECONDS["em"][-1]
    assert expected_seconds("unheard_of", 100) is None
    assert growth("missforest", CELLS[1], CELLS[2]) == pytest.approx(7.2 / 1.5)
