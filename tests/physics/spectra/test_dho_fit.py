"""Damped oscillators: the line itself, fits to noisy data with known parameters, overdamping."""

import numpy as np
import pytest
from scipy.integrate import quad

from aiida_iontherm.physics.spectra.detailed_balance import KB_MEV, MEV_PER_THZ
from aiida_iontherm.physics.spectra.dho_fit import BroadenedLines, Damping, dho_line, fit_dho
from aiida_iontherm.physics.spectra.line_shape import oscillator_spectrum
from aiida_iontherm.physics.spectra.resolution import Resolution

ENERGIES = np.arange(-12.0, 20.01, 0.1)


@pytest.mark.parametrize(("energy", "gamma"), [(6.0, 0.4), (6.0, 6.0), (3.0, 8.0)])
def test_moments_and_balance(energy, gamma):
    temperature = 120.0

    def first(e):
        return e * dho_line(e, energy, gamma, temperature)

    # the odd part of S is the response, whose wings fall as 1/E^3: twice the integral over one side
    total = quad(lambda e: first(e) + first(-e), 0, 400, limit=400)[0] + 4 * gamma / np.pi / 400
    # beyond 400 meV the integrand is 4 gamma/(pi E^2) to 1e-3
    assert total == pytest.approx(1, abs=2e-5)
    at = np.array([0.3, 2.0, 9.0])
    ratio = dho_line(-at, energy, gamma, temperature) / dho_line(at, energy, gamma, temperature)
    np.testing.assert_allclose(ratio, np.exp(-at / (KB_MEV * temperature)), rtol=1e-12)


def test_same_oscillator_as_that_of_velocities():
    """S of the displacement is that of the velocity over E^2."""
    at = np.array([0.5, 3.0, 4.1, 7.0])
    velocity = oscillator_spectrum(at / MEV_PER_THZ, 4.0 / MEV_PER_THZ, 0.7 / MEV_PER_THZ) / MEV_PER_THZ
    np.testing.assert_allclose(dho_line(at, 4.0, 0.7), 2 * velocity / at**2, rtol=1e-12)


def test_narrow_line_has_the_occupations():
    temperature, energy = 80.0, 5.0
    seen = BroadenedLines(ENERGIES, Resolution(1.0), temperature).line(energy, 1e-3)
    n = 1 / np.expm1(energy / (KB_MEV * temperature))
    for side, area in ((ENERGIES > 0, (n + 1) / energy), (ENERGIES < 0, n / energy)):
        # wings of gamma = 1e-3 meV
        assert seen[side].sum() * 0.1 == pytest.approx(area, rel=1e-3)


@pytest.mark.parametrize(
    ("energy", "gamma"), [(6.03, 0.02), (6.0, 0.3), (6.0, 5.9999), (6.0, 6.0), (4.0, 9.0), (0.5, 12.0)]
)
@pytest.mark.parametrize("temperature", [None, 50.0])
def test_broadened_line_against_quadrature(energy, gamma, temperature):
    resolution = Resolution(1.0, 0.05)
    at = np.array([-7.0, 0.0, 0.4, energy, 11.0])
    seen = BroadenedLines(at, resolution, temperature).line(energy, gamma)
    sharp = sorted({-energy, 0.0, energy} | {s * energy + d * gamma for s in (-1, 1) for d in (-3, 3)})
    expected = [
        quad(
            lambda e, x=x: resolution.kernel([x], [e])[0, 0] * dho_line(e, energy, gamma, temperature),
            -40,
            40,
            points=sharp,
            limit=800,
        )[0]
        for x in at
    ]
    # stated: 1e-3 of the maximum for lines without width
    np.testing.assert_allclose(seen, expected, atol=1e-3 * max(expected), rtol=1e-3)


def test_pulls():
    """Two lines, elastic line, constant; noise of known size: pulls have variance 1 and no mean."""
    resolution, temperature = Resolution(0.8, 0.02), 100.0
    lines = BroadenedLines(ENERGIES, resolution, temperature)
    true = np.array([30.0, 4.0, 0.3, 60.0, 9.0, 1.5, 0.2, 5.0])
    curve = true[0] * lines.line(*true[1:3]) + true[3] * lines.line(*true[4:6]) + true[6]
    curve = curve + true[7] * resolution.kernel(ENERGIES, [0.0])[:, 0]
    errors = 0.03 * np.sqrt(curve)
    rng = np.random.default_rng(5)
    pulls, chance = [], []
    for _ in range(60):
        data = curve + errors * rng.normal(size=len(curve))
        fit = fit_dho(ENERGIES, data, resolution, lines=[4.5, 8.0], temperature=temperature, errors=errors)
        a, b = fit.lines
        found = [a.amplitude, a.energy_mev, a.gamma_mev, b.amplitude, b.energy_mev, b.gamma_mev]
        found = np.array([*found, fit.background, fit.elastic])
        pulls.append((found - true) / np.sqrt(np.diag(fit.covariance)))
        chance.append(fit.p_value)
    pulls = np.array(pulls)
    # 60 fits: means to 1/sqrt(60) = 0.13, variances to sqrt(2/60) = 0.18; 3.5 of these, eight parameters
    assert np.abs(pulls.mean(axis=0)).max() < 3.5 * 0.13
    assert np.abs((pulls**2).mean(axis=0) - 1).max() < 3.5 * 0.18
    # p-values are even: their mean to 0.29/sqrt(60) = 0.037
    assert np.mean(chance) == pytest.approx(0.5, abs=3.5 * 0.037)


def test_errors_from_the_scatter():
    """Without error bars, noise in proportion to S: the scatter gives the same errors."""
    resolution, at = Resolution(0.5), ENERGIES[(ENERGIES > 2) & (ENERGIES < 12)]
    curve = 40 * BroadenedLines(at, resolution, None).line(6.0, 0.8)
    rng = np.random.default_rng(8)
    pulls, inflated = [], []
    for _ in range(40):
        data = curve * (1 + 0.1 * rng.normal(size=len(curve)))
        options = {"proportional": True, "background": False, "elastic": False}
        line = fit_dho(at, data, resolution, **options).lines[0]
        pulls.append([(line.energy_mev - 6) / line.energy_error_mev, (line.gamma_mev - 0.8) / line.gamma_error_mev])
        fewer = fit_dho(at, data, resolution, correlated_points=4.0, **options).lines[0]
        inflated.append(fewer.gamma_error_mev / line.gamma_error_mev)
    assert np.abs((np.array(pulls) ** 2).mean(axis=0) - 1).max() < 3.5 * 0.22  # sqrt(2/40)
    # weights by the model let the curve be high: half the relative variance, 0.5 %, far below the errors
    assert np.abs(np.mean(pulls, axis=0)).max() < 3.5 * 0.16  # 1/sqrt(40)
    # errors grow with the root of the points that count as one, less the parameters
    freedom = (len(at) - 3) / (len(at) / 4 - 3) / 4
    # some ten of the values are below 2 % of the maximum and do not count
    np.testing.assert_allclose(inflated, 2 * np.sqrt(freedom), rtol=0.03)


@pytest.mark.parametrize(
    ("gamma", "damping"),
    [(1.0, Damping.UNDERDAMPED), (4.5, Damping.IOFFE_REGEL), (12.0, Damping.OVERDAMPED)],
)
def test_overdamping(gamma, damping):
    resolution = Resolution(0.8)
    lines = BroadenedLines(ENERGIES, resolution, 300.0)
    curve = lines.line(6.0, gamma)
    rng = np.random.default_rng(3)
    errors = 0.01 * curve.max() * np.ones(len(curve))
    data = curve + errors * rng.normal(size=len(curve))
    fit = fit_dho(ENERGIES, data, resolution, temperature=300.0, errors=errors, elastic=False, background=False)
    assert fit.lines[0].damping == damping
    assert abs(fit.lines[0].ratio - gamma / 6) < 4 * fit.lines[0].ratio_error
    assert fit.lines[0].gamma_thz == pytest.approx(fit.lines[0].gamma_mev / 4.135667696)
    assert not fit.lines[0].at_bound


def test_undecided_when_noise_is_large():
    resolution = Resolution(0.8)
    curve = BroadenedLines(ENERGIES, resolution, 300.0).line(6.0, 6.0)
    errors = 0.3 * curve.max() * np.ones(len(curve))
    data = curve + errors * np.random.default_rng(3).normal(size=len(curve))
    fit = fit_dho(ENERGIES, data, resolution, temperature=300.0, errors=errors, elastic=False, background=False)
    assert fit.lines[0].damping == Damping.UNDECIDED


def test_no_elastic_line_where_it_is_not_seen():
    at = np.arange(3.0, 12.0, 0.1)
    curve = BroadenedLines(at, Resolution(0.5), None).line(6.0, 0.5)
    fit = fit_dho(at, curve, Resolution(0.5), background=False)
    assert fit.elastic == 0
    assert fit.covariance.shape == (3, 3)
    assert fit.lines[0].gamma_mev == pytest.approx(0.5, rel=1e-5)  # no noise: the solver's tolerance


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": np.full(len(ENERGIES), np.nan)}, "NaN"),
        ({"values": np.ones(3)}, "do not fit"),
        ({"errors": np.zeros(len(ENERGIES))}, "errors must be positive"),
        ({"errors": np.ones(len(ENERGIES)), "proportional": True}, "either errors"),
        ({"lines": 0}, "at least one line"),
        ({"lines": []}, "must be positive"),
        ({"lines": [-2.0]}, "must be positive"),
        ({"correlated_points": 0.5}, "counts as one"),
        ({"correlated_points": 80.0}, "too few for 5 parameters"),
        ({"temperature": -1.0}, "temperature must be positive"),
        ({"resolution": Resolution(20.0)}, "beyond the elastic line"),
    ],
)
def test_bad_cuts(change, words):
    arguments = {"values": np.exp(-((ENERGIES - 5) ** 2)), "resolution": Resolution(0.8), "lines": 1} | change
    values, resolution = arguments.pop("values"), arguments.pop("resolution")
    with pytest.raises(ValueError, match=words):
        fit_dho(ENERGIES, values, resolution, **arguments)
