"""How trials are put together, from what trials like them took."""

from __future__ import annotations

import math

import pytest

from orchestrator.bundles import BUNDLE_SECONDS, BUNDLES_A_SLOT, MAX_BUNDLE, Ledger, bundle
from orchestrator.typical import SECONDS


def test_bundles_hold_seeds_of_one_cell_and_leave_each_slot_several(make_sweep):
    trials = make_sweep(methods=["mean", "newimp"], seeds=40).trials()
    grouped = bundle(trials, slots=2)
    assert sorted(spec.key for specs in grouped for spec in specs) == sorted(spec.key for spec in trials)
    assert all(len({spec.cell for spec in specs}) == 1 for specs in grouped)
    assert len(grouped) >= 8
    assert grouped[0][0].method == "newimp"
    assert max(map(len, bundle(make_sweep(seeds=1000).trials(), slots=2))) == MAX_BUNDLE


def test_bundles_of_known_cost_hold_half_a_minute_and_the_longest_come_first(make_sweep):
    trials = make_sweep(methods=["mean", "median", "mode", "knn"], seeds=100).trials()
    seconds = {"mean": 5.0, "median": 40.0, "mode": 0.5}
    grouped = bundle(trials, slots=2, seconds=lambda spec: seconds.get(spec.method))
    lengths = [seconds.get(specs[0].method, math.inf) * len(specs) for specs in grouped]
    assert lengths == sorted(lengths, reverse=True)  # the unknown ones may be long
    work = {name: {seconds[name] * len(s) for s in grouped if s[0].method == name} for name in seconds}
    assert work["median"] == {40.0}  # a bundle of one
    assert max(work["mean"]) <= BUNDLE_SECONDS
    assert min(work["mode"]) > BUNDLE_SECONDS / 2
    assert len([specs for specs in grouped if specs[0].method == "mode"]) == 2


def test_a_short_sweep_still_gives_each_slot_several_bundles(make_sweep):
    grouped = bundle(make_sweep(seeds=100).trials(), slots=4, seconds=lambda spec: 0.01)
    assert len(grouped) >= BUNDLES_A_SLOT * 4
    assert bundle([], slots=4) == []


def test_a_ledger_learns_seconds_and_memory_from_what_ended_well(make_sweep, rows_of):
    first, second, third = make_sweep(seeds=3).trials()
    ledger = Ledger(rows_of(first, 3.0, peak_gpu_mb=800.0))
    ledger.add(rows_of(second, 5.0, peak_gpu_mb=1000.0))
    ledger.add(rows_of(third, 500.0, status="failed", peak_gpu_mb=9000.0))
    assert ledger.seconds(third) == SECONDS["mean"][0]  # what is typical, before it is settled
    ledger.settle(gpu=False)
    assert ledger.seconds(third) == pytest.approx(4.0, abs=0.5)
    assert ledger.peak_gpu_mb(third) == 1000.0
    (other,) = make_sweep(methods=["median"], seeds=1).trials()
    assert ledger.seconds(other) == SECONDS["median"][0]
    assert ledger.peak_gpu_mb(other) is None
