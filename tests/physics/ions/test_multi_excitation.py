from itertools import product

import numpy as np
import pytest

from aiida_iontherm.physics.ions import (
    bose_einstein,
    classical_occupation,
    mode_entropy,
    multi_excitation,
    multi_excitation_entropy,
    occupation_probability,
    participating_modes,
)
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV


def test_number_of_the_paper():
    """37 meV over h times 2 THz is 4.47; the printed 4.6 agrees with a quantum rounded to 8 meV."""
    result = multi_excitation(0.037, 0.002, 2.0, 298.0)
    assert result.quanta == pytest.approx(4.473, abs=0.0005)  # digits
    assert pytest.approx(4.6, abs=0.05) == 37 / 8  # digits as printed
    assert result.isokinetic_temperature == pytest.approx(429.4, abs=0.05)
    assert result.isokinetic_temperature_uncertainty == pytest.approx(0.002 / KB_EV, rel=1e-12)
    # "expected" 3.1 is the classical number at 298 K; Bose-Einstein is 2.63
    assert result.equilibrium_occupation == pytest.approx(2.63, abs=0.005)
    assert result.converged


def test_occupations_at_the_isokinetic_temperature():
    result = multi_excitation(0.037, None, 2.0, 298.0)
    # two ways to one number: rounding
    assert result.fixed_modes == pytest.approx(float(bose_einstein(2.0, result.isokinetic_temperature)), rel=1e-12)
    assert result.quanta == pytest.approx(float(classical_occupation(2.0, result.isokinetic_temperature)), rel=1e-12)


def test_ways_are_counted_one_by_one():
    for quanta, modes in product(range(6), range(1, 5)):
        ways = sum(sum(n) == quanta for n in product(range(quanta + 1), repeat=modes))
        # logarithms of gamma functions: rounding
        assert multi_excitation_entropy(quanta, modes) == pytest.approx(np.log(ways), abs=1e-12)


def test_entropy_of_a_mode_is_that_of_the_geometric_distribution():
    n = np.arange(4000)
    for t in (100.0, 300.0, 800.0):
        p = occupation_probability(n, 2.0, t)
        p = p[p > 0]
        # Shannon's sum to exp(-0.12 * 4000): rounding
        assert mode_entropy(bose_einstein(2.0, t)) == pytest.approx(-np.sum(p * np.log(p)), rel=1e-10)
    assert mode_entropy(0.0) == 0
    # few quanta: m - m ln m, the next term being m^2/2
    assert mode_entropy(1e-9) == pytest.approx(1e-9 * (1 - np.log(1e-9)), rel=1e-9)


def test_fixed_modes_from_counting():
    """Slope of ln(ways) per quantum at constant N, by differences of the exact count, gives back Delta0."""
    result, modes = multi_excitation(0.037, None, 2.0, 298.0), 1_000_000
    quanta = result.fixed_modes * modes
    slope = (multi_excitation_entropy(quanta + 500, modes) - multi_excitation_entropy(quanta - 500, modes)) / 1000
    # Stirling to 1/N = 1e-6, and cancellation in logarithms of 1e7: 1e7 * 1e-15/100 and less
    assert H_EV_THZ * 2.0 / slope == pytest.approx(0.037, rel=1e-5)


def test_growing_modes_from_counting():
    """Entropy per quantum of large systems with the same quanta per mode."""
    result = multi_excitation(0.037, None, 2.0, 298.0)
    quanta = 1e7
    slope = multi_excitation_entropy(quanta, quanta / result.growing_modes) / quanta
    # corrections of ln(N)/N = 1e-5
    assert H_EV_THZ * 2.0 / slope == pytest.approx(0.037, rel=1e-4)
    assert result.growing_modes > result.quanta > result.fixed_modes


def test_many_more_modes_than_quanta():
    """Both counts go to Delta0 = h nu/ln(N/n), the first exactly in m = exp(-h nu/Delta0), the second with m/e."""
    result = multi_excitation(0.05 * H_EV_THZ, None, 1.0, 298.0)
    assert result.fixed_modes == pytest.approx(np.exp(-20), rel=1e-7)  # next term exp(-20) = 2e-9
    assert result.growing_modes == pytest.approx(np.exp(1 - 20), rel=1e-6)  # next term m/2


def test_modes_that_take_part():
    result = multi_excitation(0.037, None, 2.0, 298.0)
    energies = np.array([0.05, 0.3])
    modes = participating_modes(energies, 2.0, 0.037)
    # quanta of the barrier over quanta per mode, in another form
    np.testing.assert_allclose(modes, energies / (2 * H_EV_THZ) / result.fixed_modes, rtol=1e-12)


@pytest.mark.parametrize("field", ["quanta", "fixed_modes", "growing_modes"])
def test_error_bars_against_draws(field):
    rng = np.random.default_rng(0)
    drawn = [
        getattr(multi_excitation(0.037 + 0.001 * a, None, 2.0 + 0.05 * b, 298.0), field)
        for a, b in rng.normal(size=(2000, 2))
    ]
    result = multi_excitation(0.037, 0.001, 2.0, 298.0, frequency_uncertainty_thz=0.05)
    # a standard deviation from 2000 draws is known to 1.6 %: four times that
    assert getattr(result, f"{field}_uncertainty") == pytest.approx(np.std(drawn), rel=0.064)


def test_verdict():
    vague = multi_excitation(0.037, 0.02, 2.0, 298.0)
    assert not vague.converged and "half its value" in vague.reason
    inherited = multi_excitation(0.037, 0.002, 2.0, 298.0, converged=False, reason="scattered")
    assert not inherited.converged and inherited.reason == "scattered"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: multi_excitation(37.0, None, 2.0, 298.0), "is it in meV"),
        (lambda: multi_excitation(0.0, None, 2.0, 298.0), "must be positive"),
        (lambda: multi_excitation(-0.03, None, 2.0, 298.0), "must be positive"),
        (lambda: multi_excitation(3.7e-5, None, 2.0, 298.0), "check its unit"),
        (lambda: multi_excitation(0.037, None, -2.0, 298.0), "imaginary"),
        (lambda: multi_excitation(0.037, None, 2.0, 0.0), "0 K"),
        (lambda: multi_excitation_entropy(3, 0.5), "at least one mode"),
        (lambda: mode_entropy(-1.0), "not be negative"),
        (lambda: participating_modes(300.0, 2.0, 0.037), "meV or kJ/mol"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
