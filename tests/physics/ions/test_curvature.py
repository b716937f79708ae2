import numpy as np
import pytest

from aiida_iontherm.physics.ions import arrhenius_curvature, arrhenius_fit
from aiida_iontherm.physics.units import KB_EV

T = np.linspace(450, 900, 8)
BETA = 1 / (KB_EV * T)


def parabola(energy: float, bend: float) -> np.ndarray:
    """D whose -d ln D/d beta is energy + bend at the coldest and energy - bend at the hottest point."""
    half, middle = np.ptp(BETA) / 2, (BETA.max() + BETA.min()) / 2
    x = (BETA - middle) / half
    return 1e-3 * np.exp(-half * (energy * x + bend * x**2 / 2) - energy * middle)


def test_a_planted_bend_is_found():
    d = parabola(0.3, 0.1)
    found = arrhenius_curvature(T, d, 0.05 * d)
    # exact points on a parabola: rounding
    assert found.energy_cold_ev == pytest.approx(0.4, rel=1e-9)
    assert found.energy_hot_ev == pytest.approx(0.2, rel=1e-9)
    assert found.change_ev == pytest.approx(0.2, rel=1e-9)
    assert not found.converged and "from 0.4 eV at 450 K to 0.2 eV at 900 K" in found.reason


def test_gain_in_chi2_is_the_square_of_the_significance():
    """The parabola against the line: a known identity of least squares, from two separate fits."""
    d = parabola(0.3, 0.02) * np.exp(0.05 * np.random.default_rng(0).normal(size=8))
    found, line = arrhenius_curvature(T, d, 0.05 * d), arrhenius_fit(T, d, 0.05 * d)
    gain = line.chi2 - found.chi2
    assert gain == pytest.approx((found.change_ev / found.change_uncertainty_ev) ** 2, rel=1e-8)  # rounding
    assert found.degrees_of_freedom == line.degrees_of_freedom - 1 == 5


def test_straight_plots_are_called_bent_as_often_as_the_level_says():
    rng, d = np.random.default_rng(1), parabola(0.3, 0.0)
    found = [arrhenius_curvature(T, d * np.exp(0.1 * rng.normal(size=8)), 0.1 * d) for _ in range(400)]
    p = np.array([f.p_value for f in found])
    # uniform p-values: 400 draws, four binomial standard errors at 10 %; u/D moves with D, which widens by a little
    assert np.mean(p < 0.1) == pytest.approx(0.1, abs=4 * np.sqrt(0.1 * 0.9 / 400) + 0.01)
    # the error bar of the change, known to 1/sqrt(800) = 3.5 %: four times that
    change = np.array([f.change_ev for f in found])
    assert np.std(change) == pytest.approx(arrhenius_curvature(T, d, 0.1 * d).change_uncertainty_ev, rel=0.14)


def test_sharper_than_chi2_of_the_line():
    """One smooth bend of three and a half standard errors, which the chi2 of eight points often hides."""
    d = parabola(0.3, 0.0)
    error = arrhenius_curvature(T, d, 0.1 * d).change_uncertainty_ev
    bent, rng = parabola(0.3, 1.75 * error), np.random.default_rng(2)
    by_bend = by_line = 0
    for _ in range(200):
        noisy = bent * np.exp(0.1 * rng.normal(size=8))
        by_bend += arrhenius_curvature(T, noisy, 0.1 * noisy).p_value < 0.01
        by_line += not arrhenius_fit(T, noisy, 0.1 * noisy).converged
    # power at 3.5 sigma for a level of 1 % is 82 %, of chi2 with 6 degrees of freedom and 12.25 offset 52 %
    assert by_bend - by_line > 20


def test_blunt_data_are_not_called_straight():
    d = parabola(0.3, 0.0)
    blunt = arrhenius_curvature(T, d, 0.4 * d)
    assert not blunt.converged and "would not be seen" in blunt.reason
    assert arrhenius_curvature(T, d, 0.02 * d).converged


def test_bad_input():
    with pytest.raises(ValueError, match="three or more"):
        arrhenius_curvature([300.0, 400.0, 400.0], [1e-7, 1e-6, 1e-6], [1e-8] * 3)
    with pytest.raises(ValueError, match="positive"):
        arrhenius_curvature([0.0, 300.0, 400.0], [1e-7, 1e-6, 1e-6], [1e-8] * 3)
