"""The formulas against finite differences of a free energy whose volume dependence is known in closed form."""

import numpy as np
import pytest
from scipy import constants, optimize

from aiida_iontherm.physics.heat import (
    dilation_heat_capacity,
    grueneisen_from_expansion,
    heat_capacity,
    mode_heat_capacity,
    quasiharmonic,
)
from aiida_iontherm.physics.units import EV_PER_ANGSTROM3_TO_GPA, H_EV_THZ, KB_EV

V0, B0 = 40.0, 30.0 / EV_PER_ANGSTROM3_TO_GPA  # Angstrom^3; eV/Angstrom^3
NU0 = np.array([[0.8, 1.1, 1.6, 2.9, 4.0, 5.5], [0.9, 1.3, 1.5, 2.7, 4.3, 5.2]])  # THz, two points of two atoms
GAMMA = np.array([[2.5, 2.0, -0.6, 1.5, 1.1, 0.9], [2.2, 1.9, -0.4, 1.6, 1.2, 0.8]])
WEIGHTS = np.array([1.0, 3.0])
EV_TO_J_MOL = constants.e * constants.N_A


def frequencies(volume: float) -> np.ndarray:
    return NU0 * (volume / V0) ** -GAMMA


def pressure(volume: float, t: float) -> float:
    """-dF/dV of F = B0 (V - V0)^2/(2 V0) + oscillators, eV/Angstrom^3."""
    nu = frequencies(volume)
    energy = H_EV_THZ * nu * (0.5 + 1 / np.expm1(H_EV_THZ * nu / (KB_EV * t)))
    return float(-B0 * (volume / V0 - 1) + np.sum(WEIGHTS[:, None] / 4 * GAMMA * energy) / volume)


def free_energy(volume: float, t: float) -> float:
    x = H_EV_THZ * frequencies(volume) / (KB_EV * t)
    oscillators = KB_EV * t * (x / 2 + np.log(-np.expm1(-x)))
    return float(B0 * (volume - V0) ** 2 / (2 * V0) + np.sum(WEIGHTS[:, None] / 4 * oscillators))


def entropy(volume: float, t: float) -> float:
    x = H_EV_THZ * frequencies(volume) / (KB_EV * t)
    return float(np.sum(WEIGHTS[:, None] / 4 * KB_EV * (x / np.expm1(x) - np.log(-np.expm1(-x)))))


def volume_at(t: float) -> float:
    """Equilibrium volume at zero pressure."""
    return float(optimize.brentq(pressure, 0.9 * V0, 1.2 * V0, args=(t,), xtol=1e-13, rtol=1e-14))


def bulk_modulus(volume: float, t: float) -> float:
    step = 1e-4 * volume
    return -volume * (pressure(volume + step, t) - pressure(volume - step, t)) / (2 * step) * EV_PER_ANGSTROM3_TO_GPA


def test_the_oscillator_model_is_consistent():
    v, t = 41.0, 150.0
    # central differences with relative steps of 1e-4: 1e-8 of the function, times a few for higher derivatives
    slope = (free_energy(v + 4e-3, t) - free_energy(v - 4e-3, t)) / 8e-3
    assert pressure(v, t) == pytest.approx(-slope, rel=1e-6)
    assert entropy(v, t) == pytest.approx(-(free_energy(v, t + 0.01) - free_energy(v, t - 0.01)) / 0.02, rel=1e-6)


@pytest.mark.parametrize("t", [15.0, 60.0, 300.0])
def test_expansion_and_cp_are_derivatives_of_the_free_energy(t):
    v, step = volume_at(t), 1e-3 * t
    result = quasiharmonic(frequencies(v), WEIGHTS, GAMMA, bulk_modulus(v, t), v, t)
    before, after = volume_at(t - step), volume_at(t + step)
    # central differences with relative steps of 1e-3 in T and 1e-4 in V: 1e-6 times derivatives of order ten
    assert result.thermal_expansion[0] == pytest.approx((after - before) / (2 * step) / v, rel=3e-5)
    cp = t * (entropy(after, t + step) - entropy(before, t - step)) / (2 * step) * EV_TO_J_MOL
    assert result.heat_capacity_p[0] == pytest.approx(cp, rel=3e-5)
    cv = t * (entropy(v, t + step) - entropy(v, t - step)) / (2 * step) * EV_TO_J_MOL
    assert result.heat_capacity_v[0] == pytest.approx(cv, rel=3e-5)


def test_adiabatic_and_isothermal_pairs_give_the_same_grueneisen_number():
    """Gamma = alpha B_T V/C_v = alpha B_S V/C_p, with B_S at constant entropy by finite differences."""
    t = 200.0
    v = volume_at(t)
    bulk = bulk_modulus(v, t)
    result = quasiharmonic(frequencies(v), WEIGHTS, GAMMA, bulk, v, t)

    def isentropic_pressure(volume: float) -> float:
        level = entropy(v, t)
        return pressure(volume, optimize.brentq(lambda x: entropy(volume, x) - level, 0.8 * t, 1.2 * t, xtol=1e-11))

    step = 1e-3 * v
    rise = isentropic_pressure(v + step) - isentropic_pressure(v - step)
    adiabatic = -v * rise / (2 * step) * EV_PER_ANGSTROM3_TO_GPA
    alpha = result.thermal_expansion
    isothermal_pair = grueneisen_from_expansion(alpha, bulk, v, result.heat_capacity_v)
    assert isothermal_pair == pytest.approx(result.grueneisen, rel=1e-12)  # the inverse: rounding
    # relative step 1e-3 in V: 1e-6 times higher derivatives of order ten
    assert grueneisen_from_expansion(alpha, adiabatic, v, result.heat_capacity_p) == pytest.approx(
        result.grueneisen, rel=1e-4
    )
    assert adiabatic > bulk


def test_one_grueneisen_number_for_all_modes():
    result = quasiharmonic(NU0, WEIGHTS, 1.7, 30.0, V0, [5.0, 50.0, 500.0])
    np.testing.assert_allclose(result.grueneisen, 1.7, rtol=1e-12)  # rounding
    np.testing.assert_allclose(result.heat_capacity_v, heat_capacity(NU0, WEIGHTS, [5.0, 50.0, 500.0]), rtol=1e-12)


def test_high_temperature_is_dulong_petit_and_the_plain_mean():
    result = quasiharmonic(NU0, WEIGHTS, GAMMA, 30.0, V0, 1e5)
    mean = np.sum(WEIGHTS[:, None] * GAMMA) / WEIGHTS.sum() / 6
    # C = 1 - x^2/12 with x = 2.6e-3
    assert result.heat_capacity_v == pytest.approx(6 * constants.R, rel=1e-6)
    assert result.grueneisen == pytest.approx(mean, rel=1e-5)


def test_low_temperature_takes_the_soft_modes():
    result = quasiharmonic(NU0, WEIGHTS, GAMMA, 30.0, V0, 1.0)
    # the softest mode (0.8 THz, gamma 2.5) leads; the next at 0.9 THz weighs 3 exp(-4.8) = 2.5 % of it
    assert result.grueneisen == pytest.approx(2.5, abs=0.02)


def test_density_of_states_with_the_volume_per_mode():
    modes = np.random.default_rng(0).uniform(1, 5, (20, 6))
    cell = quasiharmonic(modes, np.ones(20), 1.4, 30.0, V0, [50.0, 300.0])
    dos = quasiharmonic(modes.reshape(-1, 1), np.ones(120), 1.4, 30.0, V0 / 6, [50.0, 300.0])
    np.testing.assert_allclose(dos.thermal_expansion, cell.thermal_expansion, rtol=1e-12)  # rounding
    np.testing.assert_allclose(6 * dos.heat_capacity_p, cell.heat_capacity_p, rtol=1e-12)


def test_acoustic_modes_at_gamma_are_left_out_with_their_grueneisen_numbers():
    with_gamma = NU0.copy()
    with_gamma[0, :3] = 1e-5
    numbers = GAMMA.copy()
    numbers[0, :3] = 1e6
    result = quasiharmonic(with_gamma, WEIGHTS, numbers, 30.0, V0, 300.0)
    share = np.where(with_gamma > 0.01, mode_heat_capacity(with_gamma, 300.0), 0) * WEIGHTS[:, None]
    expected = np.sum(share * np.where(with_gamma > 0.01, numbers, 0)) / share.sum()
    assert result.grueneisen == pytest.approx(expected, rel=1e-12)  # rounding


def test_copper():
    """Handbook copper at 293 K: alpha_V 49.5e-6/K, B 137 GPa, 11.81 Angstrom^3, C_p 24.44 J/(mol K)."""
    difference = dilation_heat_capacity(49.5e-6, 137.0, 11.81, 293.0)
    # by hand: (49.5e-6)^2 137e9 7.112e-6 293, all to three digits
    assert difference == pytest.approx(0.700, abs=0.003)
    # tables give 1.96 to 2.02; the bulk modulus is known to 2 %
    assert grueneisen_from_expansion(49.5e-6, 137.0, 11.81, 24.44 - difference) == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quasiharmonic(NU0, WEIGHTS, GAMMA[0], 30.0, V0, 300.0), "Grueneisen number for each mode"),
        (lambda: quasiharmonic(NU0, WEIGHTS, np.nan, 30.0, V0, 300.0), "finite"),
        (lambda: quasiharmonic(NU0, WEIGHTS, GAMMA, [30.0, 29.0], V0, 300.0), "one bulk modulus"),
        (lambda: quasiharmonic(NU0, WEIGHTS, GAMMA, -30.0, V0, 300.0), "positive"),
        (lambda: quasiharmonic(-NU0, WEIGHTS, GAMMA, 30.0, V0, 300.0), "imaginary"),
        (lambda: quasiharmonic(NU0, WEIGHTS, GAMMA, 30.0, V0, 0.0), "temperatures"),
        (lambda: dilation_heat_capacity(1e-5, 30.0, 0.0, 300.0), "positive"),
        (lambda: dilation_heat_capacity(1e-5, 30.0, V0, -1.0), "negative"),
        (lambda: grueneisen_from_expansion(1e-5, 30.0, V0, 0.0), "positive"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
