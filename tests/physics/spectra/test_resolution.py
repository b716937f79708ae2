"""Broadening: areas, variances, and what cannot be broadened."""

import numpy as np
import pytest

from aiida_iontherm.physics.spectra.detailed_balance import HBAR2_PER_AMU, KB_MEV, harmonic_correction, loss_and_gain
from aiida_iontherm.physics.spectra.resolution import FWHM_PER_SIGMA, Resolution, convolve

GRID = np.linspace(-30, 30, 1201)


def gaussian(fwhm, centre=0.0):
    sigma = fwhm / FWHM_PER_SIGMA
    return np.exp(-0.5 * ((GRID - centre) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)


@pytest.mark.parametrize("resolution", [Resolution(1.0), Resolution(0.5, 0.08), Resolution(3.0, -0.05)])
def test_areas_are_kept(resolution):
    rng = np.random.default_rng(1)
    values = rng.random((3, len(GRID)))  # up to the very ends of the grid
    broadened = convolve(GRID, values, resolution)
    # sums of 1201 numbers to rounding
    np.testing.assert_allclose(broadened.sum(axis=1), values.sum(axis=1), rtol=1e-12)
    assert broadened.std() < values.std()


def test_variances_add():
    broadened = convolve(GRID, gaussian(1.5, 4.0), Resolution(2.0))
    # sums over grids of 1/30 of the width or finer are exact to far below this
    np.testing.assert_allclose(broadened, gaussian(2.5, 4.0), atol=1e-10)


def test_width_follows_the_energy():
    values = gaussian(0.3, 0.0) + gaussian(0.3, 20.0)
    broadened = convolve(GRID, values, Resolution(0.5, 0.1))
    for centre, fwhm in ((0.0, 0.5), (20.0, 2.5)):
        part = np.abs(GRID - centre) < 9
        mean = np.average(GRID[part], weights=broadened[part])
        variance = np.average((GRID[part] - mean) ** 2, weights=broadened[part])
        # the width changes by a tenth of a meV across the line: 2 % of the variance at zero, less at 20
        expected = (0.3**2 + fwhm**2) / FWHM_PER_SIGMA**2
        assert variance == pytest.approx(expected, rel=0.05)


def test_kernel_has_unit_area():
    at = np.linspace(-60, 60, 6001)
    kernel = Resolution(1.0, 0.1).kernel(at, [-20.0, 0.0, 15.0])
    np.testing.assert_allclose(kernel.sum(axis=0) * (at[1] - at[0]), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((GRID, np.full(len(GRID), np.nan), Resolution(1.0)), "NaN"),
        ((GRID, np.ones(7), Resolution(1.0)), "do not fit"),
        ((GRID**3, np.ones(len(GRID)), Resolution(1.0)), "even, ascending"),
        ((GRID[::-1], np.ones(len(GRID)), Resolution(1.0)), "even, ascending"),
        ((GRID, np.ones(len(GRID)), Resolution(0.05)), "take 0.025 meV"),
        ((GRID, np.ones(len(GRID)), Resolution(1.0, -0.1)), "not positive at"),
    ],
)
def test_what_cannot_be_broadened(arguments, words):
    with pytest.raises(ValueError, match=words):
        convolve(*arguments)


@pytest.mark.parametrize("fwhm", [0.0, -1.0, np.nan, np.inf])
def test_no_resolution(fwhm):
    with pytest.raises(ValueError, match="positive full width"):
        Resolution(fwhm)


def test_occupations():
    energies = np.array([0.01, 5.0, 40.0])
    loss, gain = loss_and_gain(energies, 300.0)
    x = energies / (KB_MEV * 300)
    np.testing.assert_allclose(gain / loss, np.exp(-x), rtol=1e-12)
    classical = loss_and_gain(energies, 300.0, classical=True)
    # quantum over classical on both sides
    np.testing.assert_allclose(loss / classical[0], harmonic_correction(energies, 300.0), rtol=1e-12)
    np.testing.assert_allclose(gain / classical[1], harmonic_correction(-energies, 300.0), rtol=1e-12)
    assert harmonic_correction([0.0], 300.0) == 1
    # far on the side of gain nothing is left, and nothing overflows
    assert np.all(harmonic_correction([-1e6], 10.0) == 0)
    # free recoil of a neutron: hbar^2 Q^2/2m = 2.0721 meV at 1/Angstrom (Squires, Table 1.1)
    recoil = HBAR2_PER_AMU / 2 / 1.00866491
    assert recoil == pytest.approx(2.0721, rel=1e-4)
    with pytest.raises(ValueError, match="temperature must be positive"):
        harmonic_correction(energies, 0.0)
