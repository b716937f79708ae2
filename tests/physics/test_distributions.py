"""Tails and quantiles against `scipy.stats`, to rounding: both are good to some 1e-13."""

import numpy as np
import pytest
from scipy import stats

from aiida_iontherm.physics.distributions import chi2_quantile, chi2_tail, normal_quantile, student_quantile

PROBABILITIES = np.array([0.025, 0.5, 0.8, 0.95, 0.9999])


@pytest.mark.parametrize("freedom", [1, 2, 7, 400])
def test_as_scipy_stats(freedom):
    np.testing.assert_allclose(
        chi2_quantile(PROBABILITIES, freedom), stats.chi2.ppf(PROBABILITIES, freedom), rtol=1e-12
    )
    np.testing.assert_allclose(
        student_quantile(PROBABILITIES, freedom), stats.t.ppf(PROBABILITIES, freedom), rtol=1e-10, atol=1e-12
    )
    values = freedom * np.array([0.0, 0.1, 1.0, 3.0])
    np.testing.assert_allclose(chi2_tail(values, freedom), stats.chi2.sf(values, freedom), rtol=1e-11)


def test_normal():
    np.testing.assert_allclose(normal_quantile(PROBABILITIES), stats.norm.ppf(PROBABILITIES), rtol=1e-13, atol=1e-15)


def test_of_a_table():
    """Two degrees of freedom are an exponential; the rest is what every table has."""
    assert chi2_tail(2 * np.log(20), 2) == pytest.approx(0.05, rel=1e-13)
    assert student_quantile(0.975, 4) == pytest.approx(2.776, abs=5e-4)
    assert normal_quantile(0.975) == pytest.approx(1.95996, abs=5e-6)
