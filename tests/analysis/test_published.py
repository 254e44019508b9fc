"""Published numbers: read right, compared only with the same experiment, explained only by what is known."""

from __future__ import annotations

import pytest
from made_records import frame, record

from analysis.published import DATASETS, FACTS, METHODS, SOURCES, beside, published


def newimp(mae: list[float], *, dataset="blood", mechanism="mcar:newimp", **changes):
    """Records of NewImp under its own protocol, one MAE for each mask seed; blood MCAR is printed as .48."""
    about = {"method": "newimp", "protocol": "newimp", "wasserstein": None} | changes
    place = {"dataset": dataset, "mechanism": mechanism}
    return [record(**place, mask_seed=seed, mae=value, **about) for seed, value in enumerate(mae)]


def only(records, metric="mae"):
    table = beside(frame(records))
    row = table[table["metric"].eq(metric)]
    assert len(row) == 1
    return row.iloc[0]


@pytest.mark.parametrize(
    ("source", "method", "dataset", "base", "metric", "value"),
    [
        # The printed tables, in our units.
        ("newimp", "NewImp", "blood", "mar", "mae", 0.52),
        ("newimp", "NewImp", "qsar", "mnar", "wasserstein", 5.57),
        ("newimp", "NewImp[NER=off;Joint=on]", "concrete", "mcar", "mae", 0.62),
        ("newimp", "NewImp[NER=off;Joint=on]", "vowel", "mnar", "wasserstein", 0.79),
    ],
)
def test_printed_numbers_are_found_under_our_names(source, method, dataset, base, metric, value):
    table = published()
    found = table[
        table["source"].eq(source)
        & table["published_method"].eq(method)
        & table["dataset"].eq(dataset)
        & table["base"].eq(base)
        & table["metric"].eq(metric)
    ]
    assert found["published"].tolist() == [value]


def test_percent_and_hundredfold_tables_are_brought_to_our_units():
    table = published()
    ours = table[table["source"].eq("diffputer")]
    accuracy = ours.loc[ours["metric"].eq("accuracy"), "published"]
    assert accuracy.between(0, 1).all()
    errors = ours.loc[ours["metric"].isin(["mae", "rmse"]), "published"]
    assert errors.median() < 1


def test_what_is_no_number_is_left_out():
    assert published()["published"].notna().all()
    assert len(published()) > 1000


def test_every_table_and_fact_names_things_that_exist():
    table = published()
    assert set(table["source"]) == set(SOURCES)
    assert set(table["dataset"]) <= set(DATASETS.values())
    for fact in FACTS:
        assert set(fact.methods) <= set(METHODS)
        assert any(fact.holds(row) for row in table.to_dict("records")), fact.text


def test_the_same_experiment_is_compared():
    row = only(newimp([0.47, 0.49, 0.51]))
    assert row["comparable"]
    assert row["published"] == 0.48
    assert row["difference"] == pytest.approx(0.01)
    assert (row["tolerance"], row["within"], row["n"]) == (0.03, True, 3)
    assert row["reason"] == ""


def test_beyond_tolerance_and_seeds_is_unexplained():
    row = only(newimp([0.60, 0.61, 0.60]))
    assert row["within"] is False or not row["within"]
    assert row["reason"] == "unexplained"


def test_a_difference_that_our_seeds_span_is_explained_by_them():
    row = only(newimp([0.45, 0.62, 0.80], mechanism="mar:newimp"))  # printed .52, standard deviation .175
    assert row["tolerance"] == 0.08
    assert "draws its observed columns anew" in row["reason"]
    assert "two standard deviations" in row["reason"]


def test_seed_spread_explains_nothing_where_our_seeds_agree():
    row = only(newimp([0.70, 0.71, 0.70], mechanism="mar:newimp"))
    assert row["reason"] == "unexplained"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"mechanism": "mcar"}, "not drawn as published"),
        ({"mechanism": "mcar:diffputer"}, "not drawn as published"),
        ({"protocol": "default"}, "protocol default"),
    ],
)
def test_another_experiment_gives_a_reason_and_no_difference(changes, word):
    row = only(newimp([0.47], **changes))
    assert not row["comparable"]
    assert row[["difference", "tolerance", "within"]].isna().all()
    assert row["reason"].startswith("not comparable")
    assert word in row["reason"]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ("{}", ["NewImp"]),
        ('{"lambda_":10.0,"bandwidth":0.5}', ["NewImp"]),
        ('{"lambda_":0}', ["NewImp[NER=off;Joint=on]"]),
        ('{"lambda_":0.0,"joint":false}', ["NewImp[NER=off;Joint=off]"]),
        ('{"bandwidth":2.0}', []),
        ('{"lambda_":1}', []),
    ],
)
def test_hyperparameters_choose_the_printed_row(params, names):
    table = beside(frame(newimp([0.5], params=params)))
    assert table["published_method"].tolist() == names


def test_wasserstein_of_unrestored_rows_is_not_compared():
    records = [
        record(
            dataset="blood",
            mechanism="mcar:newimp",
            method="missdiff",
            protocol="newimp",
            mae=0.5,
            wasserstein=0.2,
        )
    ]
    row = only(records, "wasserstein")
    assert not row["comparable"]
    assert "observed entries are not put back" in row["reason"]
    assert only(records, "mae")["comparable"]


def test_sinkhorn_is_said_to_be_mean_imputation():
    records = [
        record(
            dataset="blood",
            mechanism="mcar:newimp",
            method="sinkhorn",
            protocol="newimp",
            mae=0.4,
            wasserstein=None,
        )
    ]
    assert "equals mean imputation" in only(records)["reason"]


def test_another_ratio_or_split_is_not_the_printed_one():
    assert beside(frame(newimp([0.5], ratio=0.5))).empty
    assert beside(frame(newimp([0.5], split="out_of_sample"))).empty


def test_failed_trials_have_nothing_to_compare_and_lost_seeds_are_told():
    assert beside(frame(newimp([0.5], status="failed"))).empty
    some = newimp([0.47, 0.49]) + newimp([0.5] * 3, status="failed")[2:]
    assert "2 of 3 mask seeds" in only(some)["reason"]
