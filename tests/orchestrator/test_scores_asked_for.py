"""Scores beyond the standard ones as a sweep asks for them: keys, records, and what a failure costs."""

from __future__ import annotations

import dataclasses
import json

import pyarrow.parquet as pq
import pytest

from orchestrator import scores
from orchestrator.record import SCHEMA, SCHEMA_VERSION
from orchestrator.store import Store
from orchestrator.sweep import RequestError, Sweep
from orchestrator.trial import TrialSpec, run_trial

ALL = tuple(scores.GROUPS)

# The request


def test_a_trial_without_further_scores_keeps_the_key_it_had():
    spec = TrialSpec(
        dataset="blood",
        identity="blood",
        fingerprint="f" * 64,
        mechanism="mcar",
        ratio=0.3,
        mask_seed=0,
        method="missdiff",
        method_version=2,
        params='{"epochs":5}',
        protocol="holdout",
    )
    # computed before there were groups of scores: a change here runs everybody's sweeps again
    assert spec.key == "386053118e3153c732bc91e25761d744"
    asked = dataclasses.replace(spec, scores=("draws",))
    assert len({spec.key, asked.key, dataclasses.replace(spec, scores=ALL).key}) == 3


def test_the_versions_of_scores_are_in_the_key_of_those_who_ask(monkeypatch, make_sweep):
    plain, asking = make_sweep().trials()[0], make_sweep(scores="draws").trials()[0]
    before = plain.key, asking.key
    monkeypatch.setattr(scores, "SCORES_VERSION", scores.SCORES_VERSION + 1)
    assert plain.key == before[0]
    assert asking.key != before[1]


def test_a_sweep_reads_its_groups_in_any_order_and_refuses_others(make_sweep):
    assert make_sweep().scores == make_sweep(scores=[]).scores == make_sweep(scores="").scores == ()
    assert make_sweep(scores="pooled, draws").scores == make_sweep(scores=["draws", "pooled"]).scores
    with pytest.raises(RequestError, match="'draws'"):
        make_sweep(scores=["drawz"])
    again = Sweep.from_mapping(make_sweep(scores=ALL).as_mapping())
    assert again.trials()[0].key == make_sweep(scores=ALL).trials()[0].key


# The trial


def test_every_group_has_its_columns_in_the_schema():
    for group, table in scores.load(ALL).items():
        assert {*table, f"{group}_note"} <= set(SCHEMA.names)


@pytest.mark.parametrize("protocol", ["default", "holdout"])
def test_a_trial_holds_what_was_asked_for_and_null_elsewhere(make_sweep, protocol):
    (spec,) = make_sweep(methods=["em"], seeds=1, scores=["draws", "pooled"], protocol=protocol).trials()
    record = run_trial(spec)
    assert [row["status"] for row in record.rows] == ["ok"] * len(record.rows)
    for row in record.rows:
        assert set(row) == set(SCHEMA.names)
        assert json.loads(row["scores"]) == ["draws", "pooled"]
        assert 0 < row["crps"] < row["mae"]
        assert 0.6 < row["coverage_90"] <= 1
        assert row["pooled_bias"] >= 0
        assert row["energy_distance"] is None
        assert row["distribution_note"] is None


def test_a_trial_is_the_same_in_its_standard_columns_and_twice_the_same(make_sweep):
    (spec,) = make_sweep(methods=["em"], seeds=1, scores=ALL, protocol="holdout").trials()
    first, second, plain = run_trial(spec), run_trial(spec), run_trial(dataclasses.replace(spec, scores=()))
    names = [name for table in scores.load(ALL).values() for name in table]
    for one, other, standard in zip(first.rows, second.rows, plain.rows, strict=True):
        assert [one[name] for name in names] == [other[name] for name in names]
        assert one["mae"] == standard["mae"]
        assert standard["scores"] is None
        assert all(standard[name] is None for name in names)


def test_a_method_that_fails_to_draw_is_scored_all_the_same(make_sweep, monkeypatch):
    (spec,) = make_sweep(methods=["em"], seeds=1, scores=["draws", "distribution"]).trials()

    def refuse(*_, **__):
        raise MemoryError("no room for draws")

    monkeypatch.setattr("methods.em.EM._sample", refuse)
    (row,) = run_trial(spec).rows
    assert row["status"] == "ok"
    assert row["mae"] > 0
    assert row["crps"] is None
    assert row["draws_note"] == "MemoryError: no room for draws"
    assert row["sliced_wasserstein"] is not None


def test_records_from_before_are_still_read(tmp_path, make_sweep):
    store = Store(tmp_path)
    store.prepare()
    (spec,) = make_sweep(seeds=1).trials()
    store.commit(run_trial(spec))
    new = ["scores", *(c for c in SCHEMA.names if c.endswith("_note") and c != "wasserstein_note")]
    new += [
        name for table in scores.load(ALL).values() for name in table if name not in ("crps", "coverage_90")
    ]
    part = store.records / f"{spec.key}.parquet"
    pq.write_table(pq.read_table(part).drop_columns(new), part)
    (row,) = store.read(spec.key)
    assert row["mae"] > 0
    assert row["energy_distance"] is None
    assert store.statuses([spec.key]) == {spec.key: "ok"}
    assert SCHEMA_VERSION == 3
