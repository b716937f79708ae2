from collections import Counter

import numpy as np
import pytest

from aiida_iontherm.physics.ions import ActivatedCompound, arrhenius_fit, meyer_neldel_fit
from aiida_iontherm.physics.units import KB_EV

T = np.linspace(450, 750, 6)
BETA = 1 / (KB_EV * T)
PIVOT = float(BETA.mean())
"""Slope in 1/eV of the errors: equal weights at these temperatures."""
DELTA0 = 0.037
RELATIVE = 0.1
"""Standard error of each ln D; that of E_A is then 0.015 eV."""


def measured(rng, energies, ln_prefactors) -> list[ActivatedCompound]:
    """Arrhenius fits to drawn diffusivities: errors with their true correlation, none put in by hand."""
    compounds = []
    for index, (energy, ln_prefactor) in enumerate(zip(energies, ln_prefactors, strict=True)):
        true = ln_prefactor - energy * BETA
        drawn = np.exp(true + RELATIVE * rng.normal(size=len(T)))
        compounds.append(ActivatedCompound.from_fit(str(index), arrhenius_fit(T, drawn, RELATIVE * drawn)))
    return compounds


def series(n, energies, ln_prefactors, *, scatter=False):
    """Fit many drawn series; `ln_prefactors` draws or gives the true ones."""
    fits = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        fits.append(meyer_neldel_fit(measured(rng, energies, ln_prefactors(rng)), scatter=scatter))
    return fits


def test_planted_delta0_is_recovered_with_honest_error_bars():
    energies = np.linspace(0.2, 0.4, 6)
    fits = series(300, energies, lambda rng: -12 + energies / DELTA0)
    pulls = np.array([(f.slope_per_ev - 1 / DELTA0) / np.sqrt(f.covariance[1, 1]) for f in fits])
    # four binomial standard errors of 68.3 % of 300; weights from drawn D instead of true ones add one per cent or so
    assert np.mean(np.abs(pulls) < 1) == pytest.approx(0.683, abs=4 * np.sqrt(0.683 * 0.317 / 300) + 0.01)
    # no bias: the mean pull within four of its standard errors, and 0.1 for the drawn weights
    assert abs(pulls.mean()) < 4 / np.sqrt(300) + 0.1
    # the finding fails only where chi2 is above its level of 1 %: 3 expected, 9 is beyond 99.5 % of Poisson
    found = Counter(f.finding for f in fits)
    assert found["compensation"] >= 291 and set(found) <= {"compensation", "scattered"}
    one = next(f for f in fits if f.converged)
    assert one.isokinetic_temperature == pytest.approx(one.characteristic_energy_ev / KB_EV, rel=1e-12)
    assert one.characteristic_energy_ev == pytest.approx(DELTA0, abs=4 * one.characteristic_energy_uncertainty_ev)
    assert "one line" in one.reason


def test_errors_alone_draw_a_line_and_are_called_so():
    """Eight times the same compound. Naively, r = 0.99 and a Delta0 of k_B times the mean temperature."""
    fits = series(300, np.full(8, 0.3), lambda rng: np.full(8, -5.0))
    found = Counter(f.finding for f in fits)
    # "the same" is rejected at a level of 1 %: 3 of 300 expected, 9 is beyond 99.5 % of Poisson
    assert found["correlated errors"] >= 291
    # and passing that, the spread of energies must still be beyond chance: no false law in a thousand or so
    assert found["compensation"] <= 2
    assert np.median([f.correlation for f in fits]) > 0.98
    flagged = [f for f in fits if f.finding == "correlated errors"]
    assert all(f.characteristic_energy_ev is None and not f.converged for f in flagged)
    assert "correlated errors" in flagged[0].reason
    # 575 to 595 K: the harmonic mean, shifted a little by weights from drawn D
    assert flagged[0].error_temperature == pytest.approx(1 / (KB_EV * PIVOT), rel=0.02)


def test_what_a_fit_without_the_covariance_would_claim():
    """The naive straight line of the same eight points has Delta0 = k_B T of the measurements."""
    slopes = []
    for seed in range(100):
        compounds = measured(np.random.default_rng(seed), np.full(8, 0.3), np.full(8, -5.0))
        x, y = np.array([(c.activation_energy_ev, c.ln_prefactor) for c in compounds]).T
        slopes.append(np.polyfit(x, y, 1)[0])
    # scatter of a slope: (sigma of ln D at the pivot 0.04)/(sigma of E 0.015)/sqrt(8 points, 100 times) = 0.1
    assert np.mean(slopes) == pytest.approx(PIVOT, abs=0.6)
    assert min(slopes) > 10


def test_independent_prefactors_are_not_a_law():
    energies = np.linspace(0.2, 0.4, 6)
    fits = series(200, energies, lambda rng: np.full(6, -5.0))
    found = Counter(f.finding for f in fits)
    # slope zero: beyond three standard errors in 0.13 % of all cases, with small drawn weights a few times that
    assert found["compensation"] <= 3
    assert found["no compensation"] >= 190
    negative = meyer_neldel_fit(measured(np.random.default_rng(0), energies, -5 - energies / DELTA0))
    assert negative.finding == "no compensation" and negative.characteristic_energy_ev is None


def test_hardly_different_energies_are_unresolved():
    """Spread like the errors: a slope would be drawn towards that of the errors."""
    energies = np.linspace(0.28, 0.32, 6)
    fits = series(200, energies, lambda rng: -12 + energies / DELTA0 + rng.normal(size=6))
    found = Counter(f.finding for f in fits)
    assert found["unresolved"] + found["scattered"] + found["correlated errors"] >= 190
    assert found["unresolved"] > 100


def test_false_claims_over_all_spreads():
    """Whatever the spread, a Delta0 more than two standard errors off is claimed hardly more often than in 5 %."""
    for half in (0.01, 0.02, 0.03):
        energies = np.linspace(0.3 - half, 0.3 + half, 6)
        fits = series(150, energies, lambda rng, energies=energies: -12 + energies / DELTA0)
        wrong = [f for f in fits if f.converged and abs(f.slope_per_ev - 1 / DELTA0) > 2 * np.sqrt(f.covariance[1, 1])]
        # 7 % measured with 400 series; 150 add three binomial standard errors of 2 %
        assert len(wrong) / 150 < 0.07 + 3 * 0.02


def test_scattered_compounds_and_their_scatter():
    energies = np.linspace(0.1, 0.6, 10)
    fits = series(40, energies, lambda rng: -12 + energies / DELTA0 + 0.5 * rng.normal(size=10))
    # scatter of 0.5 against errors of 0.04 in ln D: never within the errors
    assert {f.finding for f in fits} == {"scattered"}
    with_scatter = series(120, energies, lambda rng: -12 + energies / DELTA0 + 0.5 * rng.normal(size=10), scatter=True)
    assert all(f.converged for f in with_scatter)
    # median of a standard deviation with 8 degrees of freedom is 0.96 of it; that of 120 scatters by 0.014
    assert np.median([f.scatter for f in with_scatter]) == pytest.approx(0.48, abs=0.04)
    pulls = [abs(f.slope_per_ev - 1 / DELTA0) / np.sqrt(f.covariance[1, 1]) for f in with_scatter]
    # Student's t with 8 degrees of freedom: 65.3 % within one; four binomial standard errors
    assert np.mean(np.array(pulls) < 1) == pytest.approx(0.653, abs=4 * np.sqrt(0.653 * 0.347 / 120))


def test_window_of_the_measurement():
    """Diffusivities drawn at the mean temperature, whatever the barrier: ln D0 still rises with E_A, by geometry."""
    energies = np.linspace(0.1, 0.6, 10)
    fits = series(100, energies, lambda rng: -12 + energies * PIVOT + 0.5 * rng.normal(size=10), scatter=True)
    assert np.median([f.correlation for f in fits]) > 0.98
    # off by more than three standard errors with 8 degrees of freedom: 1.7 %; 6 of 100 is beyond 99.5 % of Poisson
    assert sum(f.finding == "measurement window" and not f.converged for f in fits) >= 94


def test_published_numbers_get_their_covariance_back():
    compound = measured(np.random.default_rng(1), [0.3], [-5.0])[0]
    errors = np.sqrt(np.diag(compound.covariance))
    temperature = compound.covariance[1, 1] / (KB_EV * compound.covariance[0, 1])
    rebuilt = ActivatedCompound.from_published("a", 0.3, errors[1], -5.0, errors[0], temperature)
    np.testing.assert_allclose(rebuilt.covariance, compound.covariance, rtol=1e-12)  # an identity
    with pytest.raises(ValueError, match="log10"):
        ActivatedCompound.from_published("a", 0.3, errors[1], -5.0, errors[0] / np.log(10), temperature)


def test_unit_of_the_prefactor_moves_the_intercept_alone():
    energies = np.linspace(0.2, 0.4, 5)
    compounds = measured(np.random.default_rng(2), energies, -12 + energies / DELTA0)
    other = [
        ActivatedCompound(
            label=c.label,
            activation_energy_ev=c.activation_energy_ev,
            ln_prefactor=c.ln_prefactor + np.log(1e4),
            covariance=c.covariance,
        )
        for c in compounds
    ]
    one, two = meyer_neldel_fit(compounds), meyer_neldel_fit(other)
    # the minimum is found to about 1e-8 of its error bar
    assert two.slope_per_ev == pytest.approx(one.slope_per_ev, rel=1e-7)
    assert two.intercept - one.intercept == pytest.approx(np.log(1e4), abs=1e-5)
    assert two.finding == one.finding


def with_energies(*energies):
    covariance = np.array([[0.1, 0.0015], [0.0015, 0.0001]])
    return [
        ActivatedCompound(label=str(e), activation_energy_ev=e, ln_prefactor=1 + 20 * e, covariance=covariance)
        for e in energies
    ]


@pytest.mark.parametrize(
    ("compounds", "message"),
    [
        (with_energies(0.1, 0.2), "three compounds or more, not 2"),
        (with_energies(0.3, 0.3, 0.3), "all activation energies are the same"),
        (with_energies(100.0, 200.0, 300.0), "meV or kJ/mol"),
        (with_energies(0.1, 0.2, np.nan), "finite|negative"),
    ],
)
def test_bad_input(compounds, message):
    with pytest.raises(ValueError, match=message):
        meyer_neldel_fit(compounds)


def test_three_compounds_are_enough_and_a_singular_covariance_is_refused():
    fit = meyer_neldel_fit(with_energies(0.1, 0.2, 0.4))
    assert fit.degrees_of_freedom == 1 and fit.slope_per_ev == pytest.approx(20, rel=1e-8)  # exact points
    singular = [
        ActivatedCompound(label="", activation_energy_ev=e, ln_prefactor=0.0, covariance=np.ones((2, 2)))
        for e in (0.1, 0.2, 0.3)
    ]
    with pytest.raises(ValueError, match="positive definite"):
        meyer_neldel_fit(singular)
