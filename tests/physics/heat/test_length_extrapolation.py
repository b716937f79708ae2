"""1/kappa against 1/L: exact points, error bars, and what is refused."""

import numpy as np
import pytest

from aiida_iontherm.physics.heat import extrapolate_length, extrapolation_quantities

LENGTHS = np.array([60.0, 90.0, 130.0, 200.0])
KAPPA, PATH = 1.2, 40.0


def true_kappa(lengths, kappa=KAPPA, path=PATH):
    return kappa / (1 + 2 * path / lengths)


def test_exact_points():
    kappas = true_kappa(LENGTHS)
    result = extrapolate_length(LENGTHS[::-1], kappas[::-1], 0.01 * kappas)
    assert result.kappa == pytest.approx(KAPPA, rel=1e-12)
    assert result.mean_free_path_A == pytest.approx(PATH, rel=1e-11)
    np.testing.assert_array_equal(result.lengths_A, LENGTHS)
    assert result.chi2 == pytest.approx(0.0, abs=1e-15)
    assert result.problems == ()
    line, error = result.line([0.0, 1 / 60])
    np.testing.assert_allclose(line, [1 / KAPPA, 1 / kappas[0]], rtol=1e-12)
    assert error[0] == pytest.approx(result.uncertainty / KAPPA**2, rel=1e-12)


def test_error_bars_mean_what_they_say():
    rng = np.random.default_rng(1)
    exact = 1 / true_kappa(LENGTHS)
    pulls, path_pulls, chi2 = [], [], []
    for _ in range(400):
        noisy = exact * (1 + 0.03 * rng.normal(size=4))
        result = extrapolate_length(LENGTHS, 1 / noisy, 0.03 / noisy)
        pulls.append((1 / result.kappa - 1 / KAPPA) * result.kappa**2 / result.uncertainty)
        path_pulls.append((result.mean_free_path_A - PATH) / result.mean_free_path_uncertainty_A)
        chi2.append(result.chi2)
    # standard errors of 400: 0.05 of a mean, 0.035 of a width, 0.1 of the mean of chi2 with two degrees of freedom
    assert abs(np.mean(pulls)) < 0.2
    assert 0.88 < np.std(pulls) < 1.12
    assert 0.85 < np.std(path_pulls) < 1.15
    assert np.mean(chi2) == pytest.approx(2.0, abs=0.35)


def test_two_lengths_have_no_verdict():
    result = extrapolate_length(LENGTHS[2:], true_kappa(LENGTHS[2:]), [0.01, 0.01])
    assert result.kappa == pytest.approx(KAPPA)
    assert "3 or more are needed" in result.problems[0]
    assert result.degrees_of_freedom == 0


def test_points_off_the_line():
    kappas = true_kappa(LENGTHS) * [1.0, 1.1, 0.9, 1.0]
    result = extrapolate_length(LENGTHS, kappas, 0.01 * kappas)
    assert any("is no line" in problem for problem in result.problems)
    assert result.p_value < 0.01


def test_most_of_it_is_extrapolated():
    kappas = true_kappa(LENGTHS, path=200.0)
    (problem,) = extrapolate_length(LENGTHS, kappas, 0.001 * kappas).problems
    assert "the longest cell has 33% of the extrapolated value" in problem


def test_lost_in_its_error():
    kappas = true_kappa(LENGTHS, path=2000.0)
    result = extrapolate_length(LENGTHS, kappas, 0.2 * kappas)
    assert "lost in its error" in result.problems[0]


def test_no_value_where_the_line_crosses_below_zero():
    kappas = 1 / (30 / LENGTHS - 0.1)
    result = extrapolate_length(LENGTHS, kappas, 0.01 * kappas)
    value, path = extrapolation_quantities(result, 300.0, "a")
    assert (value.value, path.value) == (None, None)
    assert "lost in its error" in value.reason


def test_kappa_that_falls_with_the_length():
    kappas = true_kappa(LENGTHS, path=-10.0)
    (problem,) = extrapolate_length(LENGTHS, kappas, 0.01 * kappas).problems
    assert "falls with the length" in problem


def test_records():
    kappas = true_kappa(LENGTHS)
    result = extrapolate_length(LENGTHS, kappas, 0.002 * kappas)
    kappa, path = extrapolation_quantities(result, 300.0, "c")
    assert (kappa.name, kappa.unit, kappa.converged, kappa.direction) == ("kappa_nemd", "W/(m K)", True, "c")
    assert (path.name, path.unit) == ("nemd_mean_free_path", "Angstrom")
    doubtful, _ = extrapolation_quantities(result, 300.0, "c", ["at 60 Angstrom: not steady"])
    assert (doubtful.converged, doubtful.reason) == (False, "at 60 Angstrom: not steady")
    wide = extrapolate_length(LENGTHS, kappas, 0.2 * kappas)
    (noisy, _) = extrapolation_quantities(wide, 300.0, "c", target=0.05)
    assert "times the time at each length gives 5%" in noisy.reason


@pytest.mark.parametrize(
    ("lengths", "kappas", "errors"),
    [([50.0], [1.0], [0.1]), ([50.0, 50.0], [1.0, 1.1], [0.1, 0.1]), ([50.0, 60.0], [1.0, -1.1], [0.1, 0.1])],
)
def test_bad_input(lengths, kappas, errors):
    with pytest.raises(ValueError, match=r"two or more different lengths|must be positive"):
        extrapolate_length(lengths, kappas, errors)
