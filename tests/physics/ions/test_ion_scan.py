"""Fourth-order fits of wells whose coefficients are known."""

import numpy as np
import pytest

from aiida_iontherm.physics.ions import quartic_well, scan_quantities

X = np.linspace(-0.6, 0.6, 13)
COEFFICIENTS = [-3.2, 0.05, 1.7, -0.9, 2.4]


def energies(coefficients, x=X):
    return np.polynomial.polynomial.polyval(x, coefficients)


def test_exact_on_a_polynomial():
    well = quartic_well(X, energies(COEFFICIENTS), 63.546)
    # least squares of a well-conditioned basis: rounding
    np.testing.assert_allclose(well.coefficients, COEFFICIENTS, rtol=1e-10)
    assert well.residual_ev < 1e-13
    x0 = well.minimum_A
    derivative = np.polynomial.polynomial.polyder(COEFFICIENTS)
    assert np.polynomial.polynomial.polyval(x0, derivative) == pytest.approx(0, abs=1e-10)
    assert well.stiffness_ev_A2 == pytest.approx(2 * 1.7 - 6 * 0.9 * x0 + 12 * 2.4 * x0**2)
    assert well.cubic_ev_A3 == pytest.approx(-6 * 0.9 + 24 * 2.4 * x0)
    assert well.quartic_ev_A4 == pytest.approx(24 * 2.4)
    assert (well.converged, well.wells) == (True, 1)
    np.testing.assert_allclose(well.energy(X), energies(COEFFICIENTS), rtol=1e-12)


def test_where_the_scan_starts_does_not_matter():
    one = quartic_well(X, energies(COEFFICIENTS), 63.5)
    moved = quartic_well(X + 2.0, energies(COEFFICIENTS), 63.5)
    # the basis of a shifted range is worse conditioned, by (2/0.6)^4
    assert moved.minimum_A - 2.0 == pytest.approx(one.minimum_A, abs=1e-7)
    assert moved.frequency_thz == pytest.approx(one.frequency_thz, rel=1e-7)
    assert moved.asymmetry == pytest.approx(one.asymmetry, rel=1e-6)


def test_frequency_of_a_harmonic_ion():
    """k = m (2 pi nu)^2: 1 amu at 15.6333 THz has 1 eV/Angstrom^2 (CODATA: sqrt(e/amu) 1e10 / 2 pi)."""
    well = quartic_well(X, 0.5 * X**2, 1.0)
    assert well.frequency_thz == pytest.approx(15.6333, rel=1e-5)
    assert quartic_well(X, 0.5 * X**2, 4.0).frequency_thz == pytest.approx(15.6333 / 2, rel=1e-5)
    assert well.asymmetry == pytest.approx(0, abs=1e-12)
    assert well.anharmonicity == pytest.approx(0, abs=1e-10)
    assert well.parabola_residual_ev < 1e-12


def test_measures_of_anharmonicity():
    """E = k x^2/2 + c x^3 + q x^4: asymmetry c a/(k/2 + q a^2), anharmonicity 2 q a^2/k."""
    k, c, q = 3.0, 0.4, 0.7
    well = quartic_well(X, energies([0, 0, k / 2, c, q]), 63.5)
    a = 0.6
    assert well.amplitude_A == pytest.approx(a)
    assert well.asymmetry == pytest.approx(c * a / (k / 2 + q * a**2), rel=1e-8)
    assert well.anharmonicity == pytest.approx(2 * q * a**2 / k, rel=1e-8)
    assert well.parabola_residual_ev > 1e3 * well.residual_ev


def test_a_double_well():
    well = quartic_well(X, energies([0, 0.01, -0.5, 0, 2.0]), 63.5)
    assert well.wells == 2
    # the tilt makes the left one the lower
    assert well.minimum_A == pytest.approx(-np.sqrt(0.5 / 4), abs=0.01)  # the tilt moves it by 0.01/(2 * 0.5)
    assert well.stiffness_ev_A2 > 0


def test_error_bars_cover_the_truth():
    """Over 400 scans with noise the frequency is within one standard error about as often as it should be."""
    truth = quartic_well(X, energies(COEFFICIENTS), 63.5)
    rng = np.random.default_rng(4)
    covered, spread, stated = 0, [], []
    for _ in range(400):
        well = quartic_well(X, energies(COEFFICIENTS) + rng.normal(0, 2e-3, len(X)), 63.5)
        covered += abs(well.frequency_thz - truth.frequency_thz) < well.frequency_uncertainty_thz
        spread.append(well.frequency_thz)
        stated.append(well.frequency_uncertainty_thz)
    # Student's t with 8 degrees of freedom: 65 %; binomial error of 400 trials 2.4 %, four of them
    assert 0.55 < covered / 400 < 0.75
    assert np.sqrt(np.mean(np.square(stated))) == pytest.approx(np.std(spread), rel=0.15)  # 1/sqrt(800) each, and more


def test_verdicts():
    slope = quartic_well(X, energies([0, 2.0, 1.0, 0.3, 0.1]), 63.5)
    assert not slope.converged
    assert slope.frequency_thz is None
    assert "no minimum" in slope.reason
    rough = quartic_well(X, np.cos(40 * X), 63.5)
    assert not rough.converged
    assert "shorter range" in rough.reason
    records = scan_quantities(slope, "Cu", "[1 0 0]", "rigid")
    assert all(record.value is None and not record.converged for record in records)
    frequency = scan_quantities(quartic_well(X, energies(COEFFICIENTS), 63.5), "Cu", "[1 0 0]", "rigid")[0]
    assert (frequency.name, frequency.unit, frequency.converged) == ("well_frequency_Cu", "THz", True)


def test_bad_input():
    with pytest.raises(ValueError, match="too few"):
        quartic_well(X[:6], X[:6] ** 2, 1.0)
    with pytest.raises(ValueError, match="too few"):
        quartic_well(np.repeat(X[:6], 2), np.ones(12), 1.0)
    with pytest.raises(ValueError, match="finite"):
        quartic_well(X, np.where(X > 0.5, np.nan, X), 1.0)
    with pytest.raises(ValueError, match="mass"):
        quartic_well(X, X**2, 0.0)
