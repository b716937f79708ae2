import numpy as np
import pytest

from aiida_iontherm.physics.ions import (
    bose_einstein,
    classical_occupation,
    critical_phonon_number,
    mobile_fraction,
    mobile_temperature,
    occupation_analysis,
    occupation_probability,
    probability_at_least,
)
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV

FIVE_MEV = 0.005 / H_EV_THZ
"""Frequency in THz of a quantum of 5 meV."""


def test_numbers_of_the_paper_and_its_slip():
    # 2 THz at 298 K: the paper prints 3.1 as Bose-Einstein, which is k_B T/(h nu); digits as printed
    assert classical_occupation(2.0, 298.0) == pytest.approx(3.105, abs=0.0005)
    assert bose_einstein(2.0, 298.0) == pytest.approx(2.63, abs=0.005)
    # "about 10 %" at 0.05 eV is 14.3 %
    assert mobile_fraction(0.05, 298.0) == pytest.approx(0.143, abs=0.0005)


def test_more_numbers_of_the_paper():
    # "n0 about 5.0" at room temperature is k_B T/(h nu) of a 5 meV quantum, Bose-Einstein 4.65; digits as printed
    assert classical_occupation(FIVE_MEV, 298.0) == pytest.approx(5.14, abs=0.005)
    assert bose_einstein(FIVE_MEV, 298.0) == pytest.approx(4.65, abs=0.005)
    # half of the ions mobile at "more than 1000 K": 837 K at the barrier of 0.05 eV the sentence is about
    assert mobile_temperature(0.05) == pytest.approx(837, abs=0.5)
    # "at most 2 n0 for the majority", for the exponential distribution 1 - exp(-2); the geometric one is near it
    assert 1 - probability_at_least(11, FIVE_MEV, 298.0) == pytest.approx(1 - np.exp(-2), abs=0.03)


def test_mobile_temperature_is_the_inverse():
    energies = np.array([0.05, 0.2, 0.5])
    for fraction in (0.01, 0.5, 0.9):
        # the inverse function: rounding
        np.testing.assert_allclose(mobile_fraction(energies, mobile_temperature(energies, fraction)), fraction, 1e-12)


def test_classical_limit():
    # n0 + 1/2 = k_B T/(h nu) (1 + x^2/12 - ...), x = 2.4e-3 at 0.5 THz and 10^4 K
    assert bose_einstein(0.5, 1e4) + 0.5 == pytest.approx(classical_occupation(0.5, 1e4), rel=1e-6)


@pytest.mark.parametrize(("energy", "expected"), [(0.0, 0), (0.05, 10), (0.3, 60), (0.0501, 11), (0.0001, 1)])
def test_critical_number_at_five_mev(energy, expected):
    assert critical_phonon_number(energy, FIVE_MEV) == expected


def test_exact_multiples_are_not_rounded_up():
    n = np.arange(1, 1001)
    frequencies = np.array([0.37, 1.0, 2.0, FIVE_MEV])[:, None]
    assert np.array_equal(
        critical_phonon_number(n * (H_EV_THZ * frequencies), frequencies), np.broadcast_to(n, (4, 1000))
    )
    # but a barrier above by more than rounding takes one more
    assert critical_phonon_number(0.05 * (1 + 1e-6), FIVE_MEV) == 11


@pytest.mark.parametrize("temperature", [50.0, 298.0, 900.0])
def test_moments_of_the_distribution(temperature):
    n = np.arange(20_000)
    p = occupation_probability(n, 1.2, temperature)
    n0 = bose_einstein(1.2, temperature)
    # geometric sums to 20 000 terms with exp(-0.064 n): the rest is below rounding
    assert p.sum() == pytest.approx(1, rel=1e-12)
    assert (n * p).sum() == pytest.approx(n0, rel=1e-11)
    assert np.sqrt((n**2 * p).sum() - n0**2) == pytest.approx(np.sqrt(n0 * (n0 + 1)), rel=1e-10)
    np.testing.assert_allclose(probability_at_least([0, 7], 1.2, temperature), [1, p[7:].sum()], rtol=1e-11)


def test_jump_probability_never_exceeds_the_mobile_fraction():
    energies = np.linspace(0, 0.5, 101)
    counts = critical_phonon_number(energies, 1.3)
    jump, mobile = probability_at_least(counts, 1.3, 300.0), mobile_fraction(energies, 300.0)
    # rounding up costs less than one quantum: P(n >= n_c) <= exp(-E/kT) < P(n >= n_c) exp(h nu/kT); 1e-9 for rounding
    assert np.all(jump <= mobile * (1 + 1e-9))
    assert np.all(mobile < jump * np.exp(H_EV_THZ * 1.3 / (KB_EV * 300.0)) * (1 + 1e-9))


def test_probabilities_against_drawn_occupations():
    # another route to the distribution: numpy's geometric one counts trials from 1
    drawn = np.random.default_rng(1).geometric(-np.expm1(-H_EV_THZ * 2.0 / (KB_EV * 298.0)), 200_000) - 1
    n0 = bose_einstein(2.0, 298.0)
    # five standard errors of a mean and of a share of 200 000
    assert drawn.mean() == pytest.approx(n0, abs=5 * np.sqrt(n0 * (n0 + 1) / 200_000))
    share = probability_at_least(7, 2.0, 298.0)
    assert np.mean(drawn >= 7) == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / 200_000))


def test_broadcasting():
    assert mobile_fraction(np.zeros((3, 1)), np.array([300.0, 400.0])).shape == (3, 2)
    assert bose_einstein(np.ones((3, 1)), np.array([300.0, 400.0])).shape == (3, 2)


def by_name(*arguments, **options):
    return {q.name: q for q in occupation_analysis(*arguments, **options)}


def test_analysis():
    records = by_name(0.2, 0.004, 2.0, 300.0)
    kt = KB_EV * 300
    assert records["mobile_fraction"].value == pytest.approx(np.exp(-0.2 / kt), rel=1e-10)
    # half the spread between both ends is f sinh(u/kT): the linear f u/kT to (u/kT)^2/6 = 0.4 %
    assert records["mobile_fraction"].uncertainty == pytest.approx(np.exp(-0.2 / kt) * 0.004 / kt, rel=0.005)
    assert records["critical_phonon_number"].value == 25  # 200/8.271 = 24.2
    assert records["critical_phonon_number"].uncertainty == 0.5  # 196 meV: 24, 204 meV: 25
    assert records["equilibrium_occupation"].value == pytest.approx(bose_einstein(2.0, 300.0), rel=1e-12)
    assert records["jump_probability"].value == pytest.approx(np.exp(-25 * H_EV_THZ * 2 / kt), rel=1e-10)
    assert all(r.bound is None and r.converged and r.unit == "1" for r in records.values())


def test_uncertainty_of_the_frequency_enters():
    exact, records = by_name(0.2, 0.004, 2.0, 300.0), by_name(0.2, 0.004, 2.0, 300.0, frequency_uncertainty_thz=0.2)
    assert exact["equilibrium_occupation"].uncertainty is None
    n0 = [float(bose_einstein(nu, 300.0)) for nu in (1.98, 2.02)]
    # the derivative by central differences over 1 %: relative error (0.01)^2 times a number of order one
    slope = (n0[0] - n0[1]) / 0.04
    assert records["equilibrium_occupation"].uncertainty == pytest.approx(slope * 0.2, rel=1e-3)
    # 24.2 +- 2.5: 22 to 27
    assert records["critical_phonon_number"].uncertainty == 2.5
    assert records["mobile_fraction"].uncertainty == exact["mobile_fraction"].uncertainty
    assert records["jump_probability"].uncertainty >= exact["jump_probability"].uncertainty


def test_hopeless_error_bar_is_not_taken_for_another_unit():
    records = by_name(0.2, 30.0, 2.0, 300.0)
    # between no barrier at all and an infinite one: half of 1 - 0
    assert records["mobile_fraction"].uncertainty == pytest.approx(0.5, rel=1e-9)


def test_lower_bound_on_the_barrier_turns_round():
    records = by_name(0.4, None, 2.0, 300.0, "lower")
    assert records["mobile_fraction"].bound == "upper"
    assert records["jump_probability"].bound == "upper"
    assert records["critical_phonon_number"].bound == "lower"
    assert records["equilibrium_occupation"].bound is None
    assert records["mobile_fraction"].uncertainty is None and records["mobile_fraction"].reason
    assert by_name(0.4, None, 2.0, 300.0, "upper")["mobile_fraction"].bound == "lower"


def test_verdict_is_inherited():
    records = by_name(0.2, 0.1, 2.0, 300.0, converged=False, reason="three points only")
    assert not records["mobile_fraction"].converged and records["mobile_fraction"].reason == "three points only"
    assert records["equilibrium_occupation"].converged


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bose_einstein(0.0, 300.0), "imaginary and zero modes"),
        (lambda: bose_einstein(-1.0, 300.0), "imaginary and zero modes"),
        (lambda: bose_einstein(np.nan, 300.0), "imaginary and zero modes"),
        (lambda: bose_einstein(1.0, 0.0), "0 K"),
        (lambda: mobile_fraction(0.1, 0.0), "0 K"),
        (lambda: bose_einstein(2e12, 300.0), "1/cm or Hz"),
        (lambda: critical_phonon_number(-0.1, 1.0), "not be negative"),
        (lambda: critical_phonon_number(300.0, 1.0), "meV or kJ/mol"),
        (lambda: mobile_fraction(50.0, 300.0), "meV or kJ/mol"),
        (lambda: critical_phonon_number(0.1, 0.0), "imaginary and zero modes"),
        (lambda: occupation_probability(-1, 1.0, 300.0), "number of phonons"),
        (lambda: mobile_fraction(-0.1, 300.0), "not be negative"),
        (lambda: mobile_temperature(0.1, 1.0), "between 0 and 1"),
        (lambda: occupation_analysis(0.1, None, 1.0, 300.0, "both"), "bound must be"),
        (lambda: occupation_analysis(0.1, -0.1, 1.0, 300.0), "standard error"),
        (lambda: occupation_analysis(0.1, 0.1, 1.0, 300.0, frequency_uncertainty_thz=1.0), "may be zero"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
