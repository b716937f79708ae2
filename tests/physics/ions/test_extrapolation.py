import numpy as np
import pytest

from aiida_iontherm.physics.ions import arrhenius_fit, extrapolated
from aiida_iontherm.physics.units import KB_EV

T = np.array([450.0, 500.0, 600.0, 700.0, 800.0])


def arrhenius(t, energy=0.3, prefactor=1e-3):
    return prefactor * np.exp(-energy / (KB_EV * np.asarray(t)))


def test_room_temperature_is_covered_as_often_as_the_error_bar_says():
    rng, truth, inside = np.random.default_rng(0), np.log(arrhenius(300.0)), 0
    for _ in range(400):
        d = arrhenius(T) * np.exp(0.1 * rng.normal(size=5))
        point = extrapolated(arrhenius_fit(T, d, 0.1 * arrhenius(T)), 300.0)
        inside += point.lower < np.exp(truth) < point.upper
    # 68.3 % of 400: four binomial standard errors; u/D with the true D under a drawn one moves weights by 10 %
    assert inside / 400 == pytest.approx(0.683, abs=4 * np.sqrt(0.683 * 0.317 / 400) + 0.01)


def test_without_the_covariance_the_error_would_be_twice_as_large():
    fit = arrhenius_fit(T, arrhenius(T), 0.1 * arrhenius(T))
    beta = 1 / (KB_EV * 300)
    naive = np.hypot(fit.ln_prefactor_uncertainty, beta * fit.activation_energy_uncertainty_ev)
    assert naive > 2 * extrapolated(fit, 300.0).ln_uncertainty


def test_the_line_is_known_best_at_the_pivot():
    fit = arrhenius_fit(T, arrhenius(T), 0.1 * arrhenius(T))
    # equal weights: the harmonic mean of the temperatures
    assert fit.pivot_temperature == pytest.approx(len(T) / np.sum(1 / T), rel=1e-10)
    assert extrapolated(fit, fit.pivot_temperature).ln_uncertainty == pytest.approx(0.1 / np.sqrt(5), rel=1e-8)
    assert (fit.lowest_temperature, fit.highest_temperature) == (450.0, 800.0)


def test_verdicts():
    good = arrhenius_fit(T, arrhenius(T), 0.1 * arrhenius(T))
    between, room = extrapolated(good, 600.0), extrapolated(good, 300.0)
    assert between.converged and between.distance == 0 and "among the data" in between.reason
    # (1/300 - 1/450)/(1/450 - 1/800)
    assert room.converged and room.distance == pytest.approx(8 / 7, rel=1e-12)
    far = extrapolated(good, 200.0)
    assert not far.converged and "beyond the data" in far.reason
    # 200 K from data of 450 to 800 K: (1/200 - 1/450)/(1/450 - 1/800) = 2.86
    assert far.distance == pytest.approx(20 / 7, rel=1e-12)
    assert extrapolated(good, 1000.0).distance == pytest.approx((1 / 800 - 1 / 1000) / (1 / 450 - 1 / 800), rel=1e-12)
    vague = extrapolated(arrhenius_fit(T, arrhenius(T), 0.45 * arrhenius(T)), 220.0)
    assert not vague.converged and "factor of e" in vague.reason
    bent = np.where(T > 550, arrhenius(T), arrhenius(T, 0.5))
    assert "not one line" in extrapolated(arrhenius_fit(T, bent, 0.1 * bent), 600.0).reason


def test_bad_input():
    with pytest.raises(ValueError, match="0 K"):
        extrapolated(arrhenius_fit(T, arrhenius(T), 0.1 * arrhenius(T)), 0.0)
