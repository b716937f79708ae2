import numpy as np
import pytest

from aiida_iontherm.physics.ions import critical_number, critical_phonon_number
from aiida_iontherm.physics.units import H_EV_THZ

SHARE = 0.6827
"""Of a Gaussian within one standard deviation."""


def binomial_sigma(n: int) -> float:
    return float(np.sqrt(SHARE * (1 - SHARE) / n))


def test_exact_input_has_no_spread():
    number = critical_number(0.2, 2.0)
    assert (number.value, number.lower, number.upper, number.probability) == (25, 25, 25, 1.0)
    assert number.ratio == pytest.approx(0.2 / (2 * H_EV_THZ), rel=1e-12)  # the same division
    assert number.converged


def test_chance_of_the_number_agrees_with_draws():
    quantum = 2.0 * H_EV_THZ
    number = critical_number(24.18 * quantum, 2.0, 1.2 * quantum)
    share = np.mean(np.ceil(np.random.default_rng(0).normal(24.18, 1.2, 200_000)) == 25)
    # five standard errors of a share of 200 000
    assert number.probability == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / 200_000))


def test_interval_holds_the_true_number_as_often_as_it_says():
    rng, hits, ratio_hits = np.random.default_rng(1), 0, 0
    energy, nu, energy_error, nu_error = 0.31, 1.7, 0.02, 0.08
    truth, true_ratio = critical_phonon_number(energy, nu), energy / (H_EV_THZ * nu)
    for _ in range(2000):
        number = critical_number(
            energy + energy_error * rng.normal(), nu + nu_error * rng.normal(), energy_error, nu_error
        )
        hits += number.lower <= truth <= number.upper
        ratio_hits += abs(number.ratio - true_ratio) < number.ratio_uncertainty
    # The ratio is Gaussian to (nu_error/nu)^2 = 0.2 %: four binomial standard errors and a little.
    assert ratio_hits / 2000 == pytest.approx(SHARE, abs=4 * binomial_sigma(2000) + 0.005)
    # Whole numbers: n_c is in the interval whenever the ratio is, and up to a quantum beyond. Rounding adds at most
    # 2 * 0.24/u in chance (the density of the Gaussian at one standard deviation, on both sides), u = 4 quanta.
    assert ratio_hits <= hits
    assert hits / 2000 < SHARE + 2 * 0.24 / 3.9 + 4 * binomial_sigma(2000)


def test_verdict():
    assert critical_number(0.2, 2.0, 0.02, 0.1).converged
    vague = critical_number(0.05, 2.0, 0.03)
    assert not vague.converged and "half its value" in vague.reason
    assert vague.lower == 3 and vague.upper == 10  # 20 and 80 meV over 8.27
    # an error beyond the barrier itself ends at none
    assert critical_number(0.05, 2.0, 0.1).lower == 0
    nothing = critical_number(0.0, 2.0, 0.01)
    assert nothing.value == 0 and not nothing.converged and nothing.probability == pytest.approx(0.5, rel=1e-12)


def test_bad_input():
    with pytest.raises(ValueError, match="meV"):
        critical_number(200.0, 2.0)
    with pytest.raises(ValueError, match="standard error of the frequency"):
        critical_number(0.2, 2.0, 0.01, -0.1)
