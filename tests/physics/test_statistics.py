import numpy as np
import pytest
from scipy.signal import lfilter

from aiida_iontherm.physics.statistics import autocorrelation_time, block_standard_error, jackknife, weighted_line


def ar1(phi: float, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Stationary AR(1) series of unit variance along the first axis."""
    noise = np.random.default_rng(seed).normal(size=shape) * np.sqrt(1 - phi**2)
    noise[0] /= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=0)


def test_jackknife_of_a_mean_is_the_textbook_standard_error():
    x = np.random.default_rng(1).normal(size=(12, 3))
    leave_one_out = (x.sum(axis=0) - x) / 11
    # an identity, so rounding only
    np.testing.assert_allclose(jackknife(leave_one_out), x.std(axis=0, ddof=1) / np.sqrt(12), rtol=1e-12)


def test_jackknife_of_a_ratio_agrees_with_error_propagation():
    rng = np.random.default_rng(2)
    a, b = 5 + rng.normal(size=4000), 2 + 0.1 * rng.normal(size=4000)
    ratios = (a.sum() - a) / (b.sum() - b)
    propagated = 2.5 * np.sqrt(1 / 25 + 0.01 / 4) / np.sqrt(4000)
    # the error of an error bar from 4000 samples is about 1/sqrt(8000) = 1.1 %; four times that
    assert jackknife(ratios) == pytest.approx(propagated, rel=0.045)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_autocorrelation_time_of_ar1(phi):
    tau = (1 + phi) / (2 * (1 - phi))
    times = [autocorrelation_time(ar1(phi, (50_000,), seed)) for seed in range(8)]
    # relative error of one estimate about sqrt(2 (2 * 5 tau + 1)/n) = 6 % at tau = 9.5 (Sokal), of 8 about 2 %;
    # cutting the sum at 5 tau loses exp(-5) = 0.7 %
    assert np.mean(times) == pytest.approx(tau, rel=0.07)


def test_block_standard_error_of_ar1():
    phi, n = 0.9, 40_000
    errors = block_standard_error(ar1(phi, (n, 200), 3), 20)
    exact = np.sqrt(2 * (1 + phi) / (2 * (1 - phi)) / n)
    # 200 series with 19 degrees of freedom each: 1/sqrt(2 * 19 * 200) = 1.1 %; blocks are 200 tau, a loss of 0.3 %
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(exact, rel=0.04)


def test_block_standard_error_drops_the_start():
    series = np.concatenate([[1e6], np.random.default_rng(4).normal(size=10)])
    assert block_standard_error(series, 5) < 10  # the outlier at the start is the one sample that does not fit


def test_weighted_line_against_numpy():
    rng = np.random.default_rng(5)
    x, sigma = rng.uniform(30, 60, 9), rng.uniform(0.1, 0.5, 9)
    y = 3 - 0.2 * x + sigma * rng.normal(size=9)
    line = weighted_line(x, y, sigma)
    coefficients, covariance = np.polyfit(x, y, 1, w=1 / sigma, cov="unscaled")
    # two ways to solve the same 2 x 2 problem with a condition number below 1e4
    np.testing.assert_allclose([line.slope, line.intercept], coefficients, rtol=1e-9)
    np.testing.assert_allclose(line.covariance[::-1, ::-1], covariance, rtol=1e-8)
    assert line.chi2 == pytest.approx(np.sum(((y - np.polyval(coefficients, x)) / sigma) ** 2), rel=1e-8)


def test_p_values_are_uniform():
    rng = np.random.default_rng(6)
    x = np.arange(6.0)
    p = [weighted_line(x, 1 + 2 * x + rng.normal(size=6) * 0.3, 0.3).p_value for _ in range(1000)]
    # mean 1/2 with a standard error of 1/sqrt(12 * 1000) = 0.009; four of them
    assert np.mean(p) == pytest.approx(0.5, abs=0.037)


@pytest.mark.parametrize(
    "call",
    [
        lambda: jackknife([1.0]),
        lambda: block_standard_error(np.arange(5.0), 1),
        lambda: block_standard_error(np.arange(5.0), 6),
        lambda: autocorrelation_time(np.full(20, 0.1)),
        lambda: autocorrelation_time(np.zeros((5, 5))),
        lambda: weighted_line([1.0, 1.0], [1.0, 2.0], 1.0),
        lambda: weighted_line([1.0, 2.0], [1.0, 2.0], 0.0),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()
