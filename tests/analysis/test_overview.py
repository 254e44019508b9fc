"""The plain words at the head of a report, and its fingerprint."""

from __future__ import annotations

import pytest
from made_records import frame, grid_rows, manifest, record

from analysis.fingerprint import results_hash
from analysis.overview import caveats, empty_metrics, failures, outcome, realised, verdict
from analysis.ranking import leaderboard


def told(records, about=None):
    board = leaderboard(records)
    return verdict(board, records), " ".join(caveats(board, records, about))


def test_outcome_counts_trials_and_not_rows():
    rows = [
        record(),
        record(split="out_of_sample"),
        record(method="em"),
        record(method="em", split="out_of_sample", status="timeout"),
        record(method="knn", status="out_of_memory"),
    ]
    result = outcome(frame(rows), {"planned": {"trials": 5}})
    assert (result.planned, result.recorded, result.failures, result.missing) == (5, 3, 2, 2)
    assert dict(result.ended) == {"ok": 1, "timeout": 1, "out_of_memory": 1}
    sentence = result.sentence()
    for part in ("3 of 5 planned trials", "1 succeeded", "1 out of time", "1 out of memory", "2 not yet run"):
        assert part in sentence


def test_outcome_without_a_manifest_claims_no_plan():
    result = outcome(frame([record()]))
    assert result.planned is None
    assert result.missing == 0
    assert "planned" not in result.sentence()


@pytest.mark.parametrize(
    ("share", "off"), [(0.3, False), (0.3049, False), (0.305, False), (0.3051, True), (0.15, True)]
)
def test_a_realised_share_more_than_half_a_point_away_is_flagged(share, off):
    rows = [record(mechanism="mar", realised_ratio=share, method=name) for name in ("em", "mean")]
    table = realised(frame(rows))
    assert table["off"].tolist() == [off]
    assert table["masks"].tolist() == [1]  # two methods, one mask
    assert ("realised missing share" in told(frame(rows))[1]) is off


def test_the_verdict_names_winner_margin_and_scope():
    rows = [
        record(dataset=dataset, method=method, mae=mae)
        for dataset in "ab"
        for method, mae in (("em", 0.4), ("knn", 0.6), ("mean", 1.0))
    ]
    text, notes = told(frame(rows))
    for part in (
        "em fills the holes best",
        "2 datasets × 1 mechanism",
        "60\u202f% less error",
        "2 of 2 cells",
        "knn",
    ):
        assert part in text
    assert "no significance is claimed" in notes
    assert "1 mask seed each" in notes


def test_a_shared_first_place_has_no_winner():
    rows = [
        record(dataset=dataset, method=method, mae=mae)
        for dataset, pair in (("a", (0.4, 0.5)), ("b", (0.5, 0.4)))
        for method, mae in zip(("em", "knn"), pair, strict=True)
    ]
    text, _ = told(frame(rows))
    assert "em and knn share the first place" in text
    assert "best" not in text


def test_one_method_wins_nothing():
    text, _ = told(frame([record(method="em", mae=0.4)]))
    assert "alone" in text
    assert "best" not in text


def test_nobody_is_ranked_when_all_failed():
    text, notes = told(frame([record(method="em", status="failed"), record(status="failed")]))
    assert text.startswith("Nobody can be ranked")
    assert "2 trials of 2 did not succeed" in notes


def test_an_unfinished_sweep_says_so():
    _, notes = told(frame([record(), record(method="em", mae=0.3)]), {"planned": {"trials": 10}})
    assert "8 of 10 trials have no record" in notes


def test_another_leader_by_wasserstein_is_pointed_out():
    rows = [record(method="em", mae=0.3, wasserstein=2.0), record(method="newimp", mae=0.4, wasserstein=1.0)]
    assert "newimp comes first" in told(frame(rows))[1]


def test_alike_failures_are_told_together():
    rows = [
        record(method="em", mask_seed=seed, status="failed", error=f"singular\n  trace {seed}")
        for seed in range(3)
    ]
    rows += [record(method="em", mask_seed=3, status="timeout", error=None)]
    table = failures(frame(rows))
    assert table[["label", "status", "error", "trials"]].to_numpy().tolist() == [
        ["em", "failed", "singular", 3],
        ["em", "timeout", "", 1],
    ]
    assert table["trace"].tolist() == ["singular\n  trace 0", ""]
    assert table["where"].tolist() == ["breast_cancer MCAR 30\u202f%"] * 2


def test_the_hash_is_of_results_alone():
    rows = grid_rows(seeds=1)
    base = results_hash(frame(rows))
    moved = [
        row | {"fit_seconds": 99.0, "node": "other", "attempts": 2, "started_at": None, "versions": "{}"}
        for row in rows
    ]
    assert results_hash(frame(moved[::-1])) == base
    for change in (
        {"mae": rows[0]["mae"] + 1e-12},
        {"wasserstein": None},
        {"mask_hash": "x"},
        {"mask_seed": 9},
    ):
        assert results_hash(frame([rows[0] | change, *rows[1:]])) != base
    assert results_hash(frame(rows[1:])) != base


def test_a_manifest_of_nonsense_harms_nothing():
    records = frame([record(), record(method="em", mae=0.2)])
    for about in (
        {"planned": None},
        {"planned": [1]},
        {"planned": {"trials": "many"}},
        {},
        manifest([record()], planned={}),
    ):
        assert outcome(records, about).recorded == 2


def test_records_of_several_schemas_are_told():
    rows = [record(method=name, schema_version=version) for name, version in (("em", 1), ("mean", 3))]
    assert "schema versions 1 and 3 stand side by side" in told(frame(rows))[1]
    assert "schema" not in told(frame(rows[:1]))[1]


def test_a_score_that_is_null_throughout_is_told_with_its_reason():
    rows = [
        record(wasserstein=None, wasserstein_note="no row is whole", mae=0.2, method=m)
        for m in ("em", "mean")
    ]
    sentences = empty_metrics(frame(rows))
    assert "No row has WASS: no row is whole." in sentences
    assert "No row has Accuracy: in these tables no categories were hidden." in sentences
    assert not any("MAE" in sentence for sentence in sentences)
    assert empty_metrics(frame([record(status="failed")])) == ["No score can be shown: no trial succeeded."]
