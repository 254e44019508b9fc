"""Significance beside other people's programs, and the slips for which such programs are known."""

from __future__ import annotations

from itertools import product

import baycomp
import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.significance import (
    bayes_signed_rank,
    critical_difference,
    friedman,
    holm,
    median_interval,
    pairwise,
    signed_rank,
)


def losses(n: int = 12, k: int = 5, seed: int = 0) -> pd.DataFrame:
    """Made-up losses: data sets of all difficulties, methods a little apart."""
    rng = np.random.default_rng(seed)
    table = rng.lognormal(0, 1, (n, 1)) * (1 + 0.1 * np.arange(k)) * rng.lognormal(0, 0.15, (n, k))
    names = [f"method_{index}" for index in range(k)]
    return pd.DataFrame(table, columns=names, index=[f"set_{index}" for index in range(n)])


@pytest.mark.parametrize("seed", range(5))
def test_friedman_is_scipys(seed):
    table = losses(seed=seed).round(1)  # with ties
    ours, theirs = friedman(table), stats.friedmanchisquare(*table.to_numpy().T)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))


@pytest.mark.parametrize("n", [3, 6, 10])
def test_wilcoxon_is_the_whole_permutation_test_ties_and_zeros_included(n):
    rng = np.random.default_rng(n)
    for _ in range(4):
        d = rng.integers(-2, 5, n).astype(float)
        ranks = stats.rankdata(np.abs(d)) * (d != 0)  # Pratt's: zeros are ranked and then count for none
        sums = np.array([ranks @ signs for signs in product((0, 1), repeat=n)])
        seen = ranks @ (d > 0)
        p = min(1.0, 2 * min((sums <= seen + 1e-9).mean(), (sums >= seen - 1e-9).mean()))
        assert signed_rank(d)[2] == pytest.approx(p)
        whole = stats.PermutationMethod(n_resamples=2**n)
        assert stats.wilcoxon(d, zero_method="pratt", method=whole).pvalue == pytest.approx(p)


@pytest.mark.parametrize("seed", range(3))
def test_holm_is_statsmodels(seed):
    p = np.random.default_rng(seed).uniform(0, 0.2, 21).round(2)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize(("k", "n"), [(3, 8), (5, 12), (10, 30)])
def test_ranks_a_critical_difference_apart_are_at_the_level_and_no_root_of_two_is_lost(k, n):
    apart = critical_difference(k, n)
    # The statistic that scikit-posthocs looks up, checked against it on a table below.
    at_level = stats.studentized_range.sf(apart / np.sqrt(k * (k + 1) / (6 * n)) * np.sqrt(2), k, np.inf)
    assert at_level == pytest.approx(0.05)
    assert apart < stats.studentized_range.ppf(0.95, k, np.inf) * np.sqrt(k * (k + 1) / (6 * n)) / 1.4
    table = losses(n, k)
    theirs = scikit_posthocs.posthoc_nemenyi_friedman(table)
    gaps = np.abs(np.subtract.outer(*[friedman(table).ranks.to_numpy()] * 2))
    assert ((gaps >= apart) == (theirs.to_numpy() <= 0.05)).all()


@pytest.mark.parametrize("rope", [0.01, 0.05, 0.2])
def test_the_bayesian_signed_rank_test_is_baycomps(rope):
    table = losses(9, 2, seed=4)
    d = (np.log(table["method_0"]) - np.log(table["method_1"])).to_numpy()
    draws = 20_000
    ours = bayes_signed_rank(d, np.random.default_rng(0), rope=rope, draws=draws)
    # baycomp takes scores, the more the better, and gives (first, alike, second) as ours does for losses.
    theirs = baycomp.SignedRankTest.probs(np.zeros(9), d, rope, nsamples=draws, random_state=0)
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(2) * 0.5 / draws**0.5)


def test_the_interval_of_a_median_is_scipys_percentile_bootstrap():
    values = losses(25, 2).iloc[:, 0].to_numpy()
    median, low, high = median_interval(values, np.random.default_rng(0), draws=20_000)
    theirs = stats.bootstrap((values,), np.median, n_resamples=20_000, method="percentile", rng=1)
    assert median == np.median(values)
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), rel=0.05)


# What other tools are known to get wrong


def test_a_missing_cell_is_refused_and_not_ranked_on():
    """autorank goes on with p = nan, scipy too; scikit-posthocs leaves the data set out without a word."""
    table = losses()
    table.iloc[3, 1] = np.nan
    assert np.isnan(stats.friedmanchisquare(*table.to_numpy().T).pvalue)
    with pytest.raises(ValueError, match=r"no finite loss for every method on \['set_3'\]: choose how"):
        friedman(table)
    with pytest.raises(ValueError, match="no finite loss"):
        pairwise(table)


def test_only_ranks_count_however_few_the_data_sets():
    """autorank takes an analysis of variance where five differences look normal."""
    table = losses(5)
    stretched = table.apply(lambda row: row ** (3 + len(str(row.name))), axis=1)
    ours, other = friedman(table), friedman(stretched)
    assert (ours.statistic, ours.f_p) == pytest.approx((other.statistic, other.f_p))


def test_draws_follow_their_seed_and_touch_no_global_one():
    """rliable's bootstrap takes a random state and does not use it."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    table = losses()
    first, again, other = (pairwise(table, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first["low"].equals(other["low"])
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_what_is_said_of_a_pair_does_not_depend_on_the_pool_but_for_holm():
    """Average ranks, and a critical-difference diagram, change with who else is in the pool."""
    table = losses()
    pool, alone = pairwise(table), pairwise(table[["method_0", "method_1"]])
    pair = pool[pool["first"].eq("method_0") & pool["second"].eq("method_1")].reset_index(drop=True)
    pd.testing.assert_frame_equal(pair.drop(columns="p_holm"), alone.drop(columns="p_holm"))
    assert pair.at[0, "p_holm"] >= alone.at[0, "p_holm"] == alone.at[0, "p"]


def test_seeds_as_samples_find_what_is_not_there_and_data_sets_do_not():
    """Two methods alike on average, apart by chance on each of eight tables: ten seeds a table are no 80."""
    rng = np.random.default_rng(5)
    runs, tables, seeds = 2000, 8, 10
    by_table = rng.normal(0, 1, (runs, tables, 1))
    gaps = by_table + rng.normal(0, 1, (runs, tables, seeds))
    as_samples = (stats.ttest_1samp(gaps.reshape(runs, -1), 0, axis=1).pvalue < 0.05).mean()
    assert as_samples > 0.3
    means = gaps.mean(axis=2)
    found = np.mean([signed_rank(row)[2] <= 0.05 for row in means[:500]])
    # The exact test's own level for eight data sets is 10 of 256.
    assert found == pytest.approx(10 / 256, abs=4 * np.sqrt(0.04 * 0.96 / 500))
