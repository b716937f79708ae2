import numpy as np
import pytest

from aiida_iontherm.physics.ions import activation_energy_bound, activation_energy_from_diffusivity, arrhenius_fit
from aiida_iontherm.physics.units import KB_EV

T = np.array([500.0, 600.0, 700.0, 800.0])


def arrhenius(t, energy=0.3, prefactor=1e-3):
    return prefactor * np.exp(-energy / (KB_EV * np.asarray(t)))


def test_exact_data():
    fit = arrhenius_fit(T, arrhenius(T), 0.1 * arrhenius(T))
    # exact points: rounding only
    assert fit.activation_energy_ev == pytest.approx(0.3, rel=1e-10)
    assert fit.prefactor == pytest.approx(1e-3, rel=1e-10)
    assert fit.ln_prefactor == pytest.approx(np.log(1e-3), rel=1e-10)
    assert fit.chi2 == pytest.approx(0, abs=1e-15)
    assert fit.converged


def test_two_temperatures_are_exact_with_propagated_errors():
    t, d, u = np.array([500.0, 600.0]), np.array([1e-7, 4e-7]), np.array([1e-8, 2e-8])
    fit = arrhenius_fit(t, d, u)
    beta = 1 / (KB_EV * t)
    energy = np.log(d[1] / d[0]) / (beta[0] - beta[1])
    error = np.hypot(0.1, 0.05) / (beta[0] - beta[1])
    assert fit.activation_energy_ev == pytest.approx(energy, rel=1e-10)
    assert fit.activation_energy_uncertainty_ev == pytest.approx(error, rel=1e-10)
    assert fit.degrees_of_freedom == 0
    # at the data themselves the line gives back the data and their errors
    values, errors = fit.extrapolate(t)
    np.testing.assert_allclose(values, d, rtol=1e-9)
    np.testing.assert_allclose(errors, u, rtol=1e-8)


def test_error_bars_against_repeated_fits():
    rng = np.random.default_rng(0)
    energies, at_300 = [], []
    u = 0.1 * arrhenius(T)
    for _ in range(1000):
        fit = arrhenius_fit(T, arrhenius(T) * np.exp(0.1 * rng.normal(size=4)), u)
        energies.append(fit.activation_energy_ev)
        at_300.append(np.log(fit.extrapolate(300.0)[0]))
    reference = arrhenius_fit(T, arrhenius(T), u)
    # a standard deviation from 1000 repeats is known to 2.2 %; four times that
    assert np.std(energies) == pytest.approx(reference.activation_energy_uncertainty_ev, rel=0.09)
    value, error = reference.extrapolate(300.0)
    assert np.std(at_300) == pytest.approx(error / value, rel=0.09)


def test_precise_points_weigh_more():
    d = arrhenius(T)
    d[0] *= 3
    fit = arrhenius_fit(T, d, d * np.array([0.5, 0.01, 0.01, 0.01]))
    # an outlier ln 3 = 2.2 sigma off with a weight of 1/2500 moves the energy by about its weight
    assert fit.activation_energy_ev == pytest.approx(0.3, abs=0.005)


def test_curved_data_are_not_converged():
    d = np.where(T < 650, arrhenius(T, 0.6, 1.0), arrhenius(T))
    fit = arrhenius_fit(T, d, 0.05 * d)
    assert not fit.converged and "line" in fit.reason


def test_poor_points_are_not_converged():
    assert not arrhenius_fit(T, arrhenius(T), 0.6 * arrhenius(T)).converged
    assert not arrhenius_fit(T, arrhenius(T, 0.01), 0.2 * arrhenius(T, 0.01)).converged


@pytest.mark.parametrize(
    ("t", "d", "u"),
    [
        ([300.0], [1e-6], [1e-7]),
        ([300.0, 300.0], [1e-6, 2e-6], [1e-7, 1e-7]),
        ([300.0, 400.0], [1e-6, 0.0], [1e-7, 1e-7]),
        ([300.0, 400.0], [1e-6, 1e-6], [1e-7, 0.0]),
        ([300.0, 400.0], [1e-6, 1e-6], [1e-7]),
    ],
)
def test_bad_fit_input(t, d, u):
    with pytest.raises(ValueError):
        arrhenius_fit(t, d, u)


def test_one_diffusivity_gives_the_barrier_it_was_made_from():
    nu, a, energy, t = 2.0, 3.0, 0.25, 400.0
    d = nu * 1e12 * (a * 1e-8) ** 2 / 6 * np.exp(-energy / (KB_EV * t))  # in cm^2/s from SI-like pieces
    value, error = activation_energy_from_diffusivity(d, 0.2 * d, t, nu, a)
    assert value == pytest.approx(energy, rel=1e-10)  # the inverse function: rounding
    assert error == pytest.approx(0.2 * KB_EV * t, rel=1e-10)
    along_one_axis, _ = activation_energy_from_diffusivity(3 * d, 0.0, t, nu, a, dimension=1)
    assert along_one_axis == pytest.approx(energy, rel=1e-10)


def test_bound_rises_as_the_diffusivity_falls_and_never_goes_negative():
    bounds = [activation_energy_bound(d, 300.0, 2.0, 3.0) for d in (1e-6, 1e-8, 1e-10)]
    # two decades in D are k_B T ln 100
    np.testing.assert_allclose(np.diff(bounds), KB_EV * 300 * np.log(100), rtol=1e-10)
    assert activation_energy_bound(1.0, 300.0, 2.0, 3.0) == 0.0


def test_bad_hop_input():
    with pytest.raises(ValueError):
        activation_energy_bound(0.0, 300.0, 2.0, 3.0)
