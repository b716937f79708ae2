import numpy as np
import pytest
from scipy import optimize

from aiida_iontherm.physics.ions.line_with_errors import line_with_errors
from aiida_iontherm.physics.statistics import weighted_line

# K. Pearson's points with D. York's weights (Can. J. Phys. 44, 1079 (1966)), the standard example of such fits.
X = np.array([0.0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4])
Y = np.array([5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5])
WX = np.array([1000, 1000, 500, 800, 200, 80, 60, 20, 1.8, 1.0])
WY = np.array([1, 1.8, 4, 8, 20, 20, 70, 70, 100, 500.0])


def covariances(sx, sy, r=0.0):
    sx, sy = np.broadcast_arrays(np.asarray(sx, dtype=float), np.asarray(sy, dtype=float))
    return np.stack([np.stack([sx**2, r * sx * sy], axis=-1), np.stack([r * sx * sy, sy**2], axis=-1)], axis=-2)


def test_pearson_with_yorks_weights():
    line = line_with_errors(X, Y, covariances(WX**-0.5, WY**-0.5))
    # York et al. (2004), table II: -0.480533407 and 5.47991022, +- 0.057985 and 0.294971, S/(n - 2) = 1.48329; digits
    assert line.slope == pytest.approx(-0.480533407, abs=5e-9)
    assert line.intercept == pytest.approx(5.47991022, abs=5e-8)
    assert line.chi2 / 8 == pytest.approx(1.48329, abs=5e-6)
    assert np.sqrt(np.diag(line.covariance)) == pytest.approx([0.294971, 0.057985], abs=1e-6)


@pytest.mark.parametrize("r", [-0.9, 0.3, 0.99])
def test_correlated_errors_against_a_fit_of_all_true_points(r):
    """The same likelihood without its algebra: line and true abscissae as free parameters of one least-squares fit."""
    rng = np.random.default_rng(5)
    c = covariances(rng.uniform(0.05, 0.2, 12), rng.uniform(0.1, 0.4, 12), r)
    x, y = np.stack([rng.multivariate_normal([i, 1 + 2 * i], c[i]) for i in range(12)], axis=1)
    whiten = np.linalg.inv(np.linalg.cholesky(c))

    def residuals(parameters):
        a, b, true = parameters[0], parameters[1], parameters[2:]
        return np.einsum("nij,nj->ni", whiten, np.stack([x - true, y - a - b * true], axis=1)).ravel()

    found = optimize.least_squares(residuals, [0.8, 2.1, *x], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    line = line_with_errors(x, y, c)
    # an iterative solver with derivatives by finite differences
    assert [line.intercept, line.slope] == pytest.approx(found.x[:2], rel=1e-6)
    assert line.chi2 == pytest.approx(2 * found.cost, rel=1e-9)
    # its covariance is that of York et al. up to terms of the order of the residuals, a few per cent here
    normal = np.linalg.inv(found.jac.T @ found.jac)[:2, :2]
    np.testing.assert_allclose(line.covariance, normal, rtol=1e-4)


def test_without_errors_in_x_it_is_the_weighted_line():
    rng = np.random.default_rng(0)
    x, sigma = np.arange(6.0), rng.uniform(0.1, 0.5, 6)
    y = 3 - 0.7 * x + sigma * rng.normal(size=6)
    line, plain = line_with_errors(x, y, covariances(1e-9, sigma)), weighted_line(x, y, sigma)
    # the error of x is 1e-9 of the spacing; the minimum is found to the square root of the machine precision
    assert line.slope == pytest.approx(plain.slope, rel=1e-6)
    assert line.intercept == pytest.approx(plain.intercept, rel=1e-6)
    np.testing.assert_allclose(line.covariance, plain.covariance, rtol=1e-6)
    assert line.scatter == 0


def test_exchanging_the_axes_gives_the_inverse_slope():
    rng = np.random.default_rng(2)
    c = covariances(rng.uniform(0.1, 0.3, 8), rng.uniform(0.1, 0.3, 8), 0.6)
    x = np.arange(8.0) + 0.2 * rng.normal(size=8)
    y = 1 + 1.5 * x + 0.2 * rng.normal(size=8)
    one, other = line_with_errors(x, y, c), line_with_errors(y, x, c[:, ::-1, ::-1])
    # the same minimum on another grid of slopes
    assert other.slope == pytest.approx(1 / one.slope, rel=1e-6)
    assert other.chi2 == pytest.approx(one.chi2, rel=1e-9)


def test_steep_line_through_exact_points():
    line = line_with_errors([0.1, 0.2, 0.3], [10.0, -990.0, -1990.0], covariances([1e-3] * 3, 1.0, 0.5))
    # exact points: the minimum is zero, found to the tolerance in the angle
    assert line.slope == pytest.approx(-10_000, rel=1e-8)
    assert line.chi2 == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("scatter", [False, True])
def test_coverage(scatter):
    rng, hits = np.random.default_rng(3), 0
    truth, extra = np.linspace(0, 4, 12), 0.5 * scatter
    c = covariances(np.full(12, 0.1), np.full(12, 0.25), 0.9)
    for _ in range(300):
        noise = rng.multivariate_normal([0, 0], c[0], size=12)
        line = line_with_errors(
            truth + noise[:, 0], 1 + 2 * truth + noise[:, 1] + extra * rng.normal(size=12), c, scatter=scatter
        )
        hits += abs(line.slope - 2) < np.sqrt(line.covariance[1, 1])
    # Four binomial standard errors. Where the scatter is estimated from the same twelve points the error follows
    # Student's t with 10 degrees of freedom, which has 66 % within one.
    expected = 0.659 if scatter else 0.683
    assert hits / 300 == pytest.approx(expected, abs=4 * np.sqrt(0.68 * 0.32 / 300))


def test_scatter_is_found():
    rng = np.random.default_rng(4)
    x = np.linspace(0, 5, 200)
    c = covariances(np.full(200, 1e-3), 0.1)
    line = line_with_errors(x, 2 + x + rng.normal(size=200) * np.hypot(0.1, 0.3), c, scatter=True)
    # a standard deviation from 200 points is known to 5 %: three times that
    assert line.scatter == pytest.approx(0.3, rel=0.15)
    assert line.chi2 == pytest.approx(198, rel=1e-5)  # the root, to 1e-6 in the variance
    narrow = line_with_errors(x, 2 + x, c, scatter=True)
    assert narrow.scatter == 0


@pytest.mark.parametrize(
    ("x", "y", "c", "message"),
    [
        ([0, 1], [0, 1], covariances([0.1] * 2, 0.1), "three points"),
        ([1, 1, 1], [0, 1, 2], covariances([0.1] * 3, 0.1), "no slope"),
        ([0, 1, 2], [0, 1, 2], covariances([0.1] * 3, 0.1, 1.0), "positive definite"),
        ([0, 1, 2], [0, 1, 2], covariances([0.1] * 3, 0.0), "positive definite"),
        ([0, 1, 2], [0, 1, 2], covariances([0.1] * 3, np.nan), "positive definite"),
        ([0, 1, 2], [0, 1], covariances([0.1] * 3, 0.1), "need x"),
    ],
)
def test_bad_input(x, y, c, message):
    with pytest.raises(ValueError, match=message):
        line_with_errors(x, y, c)
