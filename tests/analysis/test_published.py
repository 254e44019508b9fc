"""Published numbers: read right, compared only with the same experiment, explained only by what is known."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from made_records import frame, record

from analysis.published import DATASETS, METHODS, SOURCES, beside, published
from analysis.published_facts import FACTS
from analysis.sections import incomparable, published_grids


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
    assert set(table["published_method"]) <= set(METHODS)
    with files("analysis").joinpath("published.csv").open(encoding="utf-8") as stream:
        whole = pd.read_csv(stream, dtype=str, keep_default_na=False)
    assert {key for known in whole["known"] for key in known.split("; ") if key} == set(FACTS)
    assert set(whole["protocol"]) <= {"newimp", "diffputer", "missdiff"}
    numbers = pd.to_numeric(whole["mean"], errors="coerce")
    silent = whole[numbers.isna() & whole["known"].eq("")]
    assert silent.empty  # what is printed and no number says why


def test_the_same_experiment_is_compared():
    row = only(newimp([0.47, 0.49, 0.51]))
    assert row["comparable"]
    assert row["published"] == 0.48
    assert row["difference"] == pytest.approx(0.01)
    assert (row["tolerance"], row["within"], row["n"]) == (0.03, True, 3)
    assert row["reason"] == ""


def test_one_mask_seed_says_nothing_of_its_spread():
    row = only(newimp([0.60]))
    assert not row["within"]
    assert "one mask seed" in row["reason"]


def test_every_printed_baseline_of_newimp_comes_with_what_is_known_of_it():
    table = published()
    baselines = table[table["source"].eq("newimp") & ~table["published_method"].str.startswith("NewImp")]
    assert len(baselines) > 300
    assert (baselines["reason"] != "").all()


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
def test_another_experiment_says_what_departs_and_is_not_judged(changes, word):
    row = only(newimp([0.47], **changes))
    assert not row["comparable"]
    assert row["difference"] == pytest.approx(-0.01)
    assert row[["tolerance", "within"]].isna().all()
    assert row["reason"].startswith("not the same experiment")
    assert word in row["settings"]
    assert word in row["reason"]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ("{}", ["NewImp"]),
        ('{"lambda_":10.0,"bandwidth":0.5}', ["NewImp"]),
        ('{"lambda_":0}', ["NewImp[NER=off;Joint=on]"]),
        ('{"lambda_":0.0,"joint":false}', ["NewImp[NER=off;Joint=off]"]),
    ],
)
def test_hyperparameters_choose_the_printed_row(params, names):
    table = beside(frame(newimp([0.5], params=params)))
    assert table["published_method"].tolist() == names
    assert table["settings"].eq("as published").all()


def test_other_hyperparameters_are_named():
    row = only(newimp([0.5], params='{"bandwidth":2.0,"lambda_":10}'))
    assert (row["comparable"], row["settings"]) == (False, "run with bandwidth=2.0")


def test_variants_beside_one_with_published_settings_are_left_out():
    records = newimp([0.5]) + newimp([0.6], params='{"bandwidth":2.0}')
    assert only(records)["label"] == "newimp"


def test_either_preset_of_diffputer_is_published():
    about = {"dataset": "adult", "mechanism": "mar:diffputer", "protocol": "diffputer", "method": "diffputer"}
    for preset, settings in (("official", "as published"), ("fast", "run with preset=fast")):
        params = f'{{"preset":"{preset}"}}'
        table = beside(frame([record(**about, split="out_of_sample", params=params, mae=0.4, rmse=0.9)]))
        assert set(table["settings"]) == {settings}, preset


def test_missdiffs_slides_are_shown_as_orders_of_magnitude():
    about = {"dataset": "wine_red", "mechanism": "row:missdiff", "protocol": "missdiff", "method": "missdiff"}
    row = only([record(**about, split="out_of_sample", rmse=0.06)], "rmse")
    assert (row["source"], row["published"], row["published_std"]) == ("missdiff", 0.053, 0.001)
    assert row["difference"] == pytest.approx(0.007)
    assert not row["comparable"]
    assert "neither mechanism nor rate" in row["settings"]


def test_rows_of_the_fit_and_rows_held_out_are_told_apart_where_both_stand_beside_one_number():
    about = {"dataset": "wine_red", "mechanism": "row:missdiff", "protocol": "missdiff", "method": "missdiff"}
    inside, outside = (record(**about, split=split, rmse=0.06) for split in ("in_sample", "out_of_sample"))
    (grid,) = published_grids(beside(frame([inside, outside])), {})
    place = [column.title for column in grid.columns].index("rows")
    assert [row[place].text for row in grid.rows] == ["in sample", "out of sample"]
    (grid,) = published_grids(beside(frame([outside])), {})
    assert "rows" not in [column.title for column in grid.columns]


@pytest.mark.parametrize(
    ("table", "method", "dataset", "void"),
    [
        ("T7_MAR_in_RMSE", "MIWAE", "adult", True),  # a copied row
        ("T7_MAR_in_RMSE", "KNN", "default", True),  # changed places with shoppers
        ("T7_MAR_in_RMSE", "KNN", "beijing", False),
        ("T1_accuracy", "SoftImpute", "shoppers", True),  # a copied cell
        ("T1_accuracy", "SoftImpute", "adult", False),
        ("T8_MAR_oos", "KNN", "news", True),  # the baselines' columns only
        ("T8_MAR_oos", "DiffPuter", "news", False),
        ("T11_MNAR_oos", "KNN", "adult", False),
        ("T5_oos", "GRAPE", "default", False),
    ],
)
def test_numbers_known_to_be_off_are_marked(table, method, dataset, void):
    rows = published()
    row = rows[
        rows["table"].eq(table) & rows["published_method"].eq(method) & rows["dataset"].eq(dataset)
    ].iloc[0]
    keys = [key for key in row["known"].split("; ") if key]
    assert any(FACTS[key].voids for key in keys) is void
    assert all(FACTS[key].text in row["reason"] for key in keys)


def test_accuracies_of_rounded_bits_are_another_experiment():
    about = {"dataset": "adult", "mechanism": "mcar:diffputer", "protocol": "diffputer", "method": "knn"}
    row = only([record(**about, accuracy=0.66)], "accuracy")
    assert not row["comparable"]
    assert row["difference"] == pytest.approx(0.66 - 0.6328)
    assert row["reason"].startswith(
        "not the same experiment: the authors hand this method a category as the bits"
    )


def test_a_void_number_gets_no_difference_and_a_sentence():
    about = {"dataset": "default", "mechanism": "mar:diffputer", "protocol": "diffputer", "method": "knn"}
    pairs = beside(frame([record(**about, rmse=0.5)]))
    row = pairs[pairs["metric"].eq("rmse")].iloc[0]
    assert np.isnan(row["difference"])
    assert "changed places" in row["reason"]
    assert any("changed places" in sentence for sentence in incomparable(pairs))


def test_tables_say_whether_the_settings_were_the_published_ones():
    records = newimp([0.47, 0.49]) + newimp([0.5], dataset="concrete", mechanism="mcar")
    same, other = published_grids(beside(frame(records)), {})
    at = [column.title for column in same.columns].index("as published")
    assert [row[at].text for row in same.rows] == ["yes"]
    assert other.caption.endswith("other settings")
    at = [column.title for column in other.columns].index("as published")
    assert [row[at].text for row in other.rows] == ["no"]
    assert "not drawn as published" in other.rows[0][at].note
    assert other.rows[0][5].text == "+0.030"  # measured minus published


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
