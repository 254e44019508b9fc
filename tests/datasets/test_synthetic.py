"""The toys: their laws, and that they are the same everywhere (their pins are checked at each load)."""

import numpy as np
import pytest

import datasets
from datasets import synthetic

RNG = np.random.default_rng(0)
N = 200_000


@pytest.mark.parametrize("name", [n for n in datasets.names() if n.startswith("toy_")])
def test_toys_load_without_any_file(name):
    table = datasets.load(name)
    assert table.frame.shape == (table.info.rows, table.info.numeric)
    assert table.target is None
    assert datasets.fetch(name) == []


def test_gaussian():
    x = synthetic.gaussian(RNG, N)
    np.testing.assert_allclose(np.cov(x.T), [[1, 0.25], [0.25, 1]], atol=0.02)


def test_student_t_has_its_tails():
    """P(|t_3| > 3.182) = 0.05."""
    x = synthetic.student_t(RNG, N)
    np.testing.assert_allclose((np.abs(x) > 3.182).mean(axis=0), 0.05, atol=0.003)


def test_mixture():
    x = synthetic.mixture(RNG, N)
    weights, means = np.array(synthetic.MIXTURE_WEIGHTS), np.array(synthetic.MIXTURE_MEANS)
    np.testing.assert_allclose(x.mean(axis=0), weights @ means, atol=0.02)
    centred = means - weights @ means
    expected = (centred.T * weights) @ centred + 0.5 * np.array([[1, 0.25], [0.25, 1]])
    np.testing.assert_allclose(np.cov(x.T), expected, atol=0.03)


def test_skewed():
    """Mean delta sqrt(2/pi), and the skew-normal law's skewness at shape 5, 0.851."""
    x = synthetic.skewed(RNG, N)
    delta = 5 / np.sqrt(26)
    np.testing.assert_allclose(x.mean(axis=0), delta * np.sqrt(2 / np.pi), atol=0.01)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose((z**3).mean(axis=0), 0.851, atol=0.03)
    assert np.corrcoef(x.T)[0, 1] > 0.85


def test_dirichlet():
    x = synthetic.dirichlet(RNG, N)
    np.testing.assert_allclose(x.sum(axis=1), 1)
    np.testing.assert_allclose(x.mean(axis=0), [0.25, 0.25, 0.5], atol=0.002)
    np.testing.assert_allclose(x.var(axis=0), np.array([0.25 * 0.75, 0.25 * 0.75, 0.25]) / 11, atol=0.0005)


def test_the_mode_is_the_highest_point():
    mode = synthetic.dirichlet_mode()
    np.testing.assert_allclose(mode, np.array([1.5, 1.5, 4]) / 7)
    others = synthetic.dirichlet(RNG, 1000)
    assert synthetic.dirichlet_log_density(mode) > synthetic.dirichlet_log_density(others).max()
    assert synthetic.dirichlet_log_density(np.array([-0.1, 0.6, 0.5])) == -np.inf


def test_bad_concentrations():
    with pytest.raises(ValueError, match=r"no positive multiple of 0\.5"):
        synthetic.dirichlet(RNG, 3, (0.3, 1.0))
    with pytest.raises(ValueError, match="no mode inside the simplex"):
        synthetic.dirichlet_mode((1.0, 2.0))
