"""One-phonon scattering: phonopy's own, sum rules, detailed balance."""

import numpy as np
import phonopy
import pytest

from aiida_iontherm.physics.lattice.displacements import Displacements
from aiida_iontherm.physics.spectra.detailed_balance import HBAR2_PER_AMU, KB_MEV, MEV_PER_THZ, loss_and_gain
from aiida_iontherm.physics.spectra.one_phonon import (
    half_sphere,
    mean_square_displacements,
    one_phonon,
    powder_spectrum,
)
from aiida_iontherm.physics.spectra.probes import ScatteringWeights, scattering_weights
from aiida_iontherm.physics.spectra.q_paths import even_path, read_corners
from aiida_iontherm.physics.spectra.resolution import Resolution
from aiida_iontherm.physics.units import AMU

TEMPERATURE = 200.0


@pytest.fixture(params=["tetragonal", "cubic"])
def crystal(request) -> phonopy.Phonopy:
    return request.getfixturevalue(request.param)


def vectors_of(crystal, text="2,1,0 2,2,1 3,1/3,1/5"):
    return even_path(read_corners(text, crystal.primitive.cell), crystal.primitive.cell, 0.4)


def solved(crystal, path, probe="neutron", **options):
    weights = scattering_weights(sorted(set(map(str, crystal.primitive.symbols))), path.norms, probe)
    return one_phonon(crystal, path.vectors, weights, TEMPERATURE, **options)


def test_phonopy_finds_the_same(crystal):
    path = vectors_of(crystal)
    weights = scattering_weights(sorted(set(map(str, crystal.primitive.symbols))), path.norms, "neutron")
    mesh = (6, 6, 6)
    thermal = mean_square_displacements(crystal, TEMPERATURE, mesh=mesh)
    ours = one_phonon(crystal, path.vectors, weights, TEMPERATURE, thermal=thermal)
    lengths = {name: float(b.real) for name, b in zip(weights.species, weights.coherent[0], strict=True)}
    crystal.run_mesh(mesh, with_eigenvectors=True, is_mesh_symmetry=False, is_gamma_center=True)
    crystal.run_dynamic_structure_factor(path.points, TEMPERATURE, scattering_lengths=lengths, freq_min=0.01)
    theirs = crystal.dynamic_structure_factor
    np.testing.assert_allclose(ours.energies_mev, theirs.frequencies * MEV_PER_THZ, atol=1e-4)
    loss, _ = loss_and_gain(np.where(ours.strengths > 0, ours.energies_mev, 1.0), TEMPERATURE)
    # their m^2/J: 1/(m nu) in place of hbar/(m w), and per cell
    unit = HBAR2_PER_AMU / MEV_PER_THZ * AMU * (2 * np.pi * 1e12) ** 2
    intensity = ours.strengths * loss * len(crystal.primitive)
    expected = theirs.dynamic_structure_factors * unit
    for energies, one, two in zip(ours.energies_mev, intensity, expected, strict=True):
        # degenerate modes share their intensity as each solver chooses
        for energy in np.unique(energies.round(4)):
            same = np.abs(energies - energy) < 1e-3
            assert one[same].sum() == pytest.approx(two[same].sum(), rel=1e-4, abs=1e-6 * expected.max())


@pytest.mark.parametrize("probe", ["neutron", "xray"])
def test_first_moment(crystal, probe):
    """Of the strengths, and of drawn spectra with and without widths."""
    path = vectors_of(crystal, "2,1,0.1 2,1.4,0.7")
    modes = solved(crystal, path, probe, thermal=mean_square_displacements(crystal, TEMPERATURE, mesh=(4, 4, 4)))
    assert modes.imaginary == modes.left_out == 0
    np.testing.assert_allclose((modes.strengths * modes.energies_mev).sum(axis=1), modes.first_moments, rtol=1e-9)
    energies = np.linspace(-150, 150, 6001)
    for gamma, tolerance in ((None, 1e-9), (0.5, 0.01)):
        spectra = modes.spectrum(energies, Resolution(1.0), gamma)
        moments = spectra @ energies * (energies[1] - energies[0])
        # wings of the lines beyond 150 meV: 4 gamma/(pi E) = 4e-3 of the moment
        np.testing.assert_allclose(moments, modes.first_moments, rtol=tolerance)


@pytest.mark.parametrize("gamma", [None, 0.4])
def test_detailed_balance(tetragonal, gamma):
    """Exact without resolution; a narrow one hardly disturbs it."""
    path = vectors_of(tetragonal)
    modes = solved(tetragonal, path)
    energies = np.linspace(0.5, 30, 60)
    resolution = Resolution(0.01) if gamma is None else None
    at = np.unique(modes.energies_mev[modes.energies_mev > 1].round(9))[::5] if gamma is None else energies
    loss, gain = (modes.spectrum(side * at, resolution, gamma) for side in (1, -1))
    balance = np.exp(-at / (KB_MEV * TEMPERATURE))
    seen = loss > 1e-6 * loss.max()
    # within a line of 0.01 meV the factor changes by 1e-3
    np.testing.assert_allclose(gain[seen] / loss[seen], np.broadcast_to(balance, loss.shape)[seen], rtol=2e-3)


def test_cold_crystal_gives_nothing_and_classical_is_even(tetragonal):
    path = vectors_of(tetragonal)
    weights = scattering_weights(["Au", "Cu"], path.norms, "neutron")
    cold = one_phonon(tetragonal, path.vectors, weights, 0.5)
    gain = cold.spectrum([-20.0, -10.0, -5.0], Resolution(0.5))
    assert gain.max() < 1e-12 * cold.spectrum([5.0, 10.0], Resolution(0.5)).max()
    classical = solved(tetragonal, path, classical=True)
    for gamma in (None, 0.7):
        sides = [classical.spectrum(side * np.linspace(1, 25, 40), Resolution(1.0), gamma) for side in (1, -1)]
        np.testing.assert_allclose(sides[0], sides[1], rtol=1e-9)
    # kT/E against n + 1/2 where kT is large
    hot = [one_phonon(tetragonal, path.vectors, weights, 5000.0, classical=flag) for flag in (True, False)]
    even = [m.spectrum([6.0], Resolution(1.0)) + m.spectrum([-6.0], Resolution(1.0)) for m in hot]
    # (E/kT)^2/12; lines far from 6 meV leave 1e-129 there
    np.testing.assert_allclose(even[0], even[1], rtol=1e-4, atol=1e-9 * even[0].max())


def test_narrow_damped_lines_are_sharp_lines(tetragonal):
    path = vectors_of(tetragonal)
    modes = solved(tetragonal, path)
    energies = np.linspace(-25, 25, 300)
    sharp, damped = (modes.spectrum(energies, Resolution(1.0), gamma) for gamma in (None, 1e-4))
    # the error that is stated for lines without width, and their wings
    np.testing.assert_allclose(damped, sharp, atol=2e-3 * sharp.max())
    widths = np.full(modes.energies_mev.shape, 0.3)
    one, many = modes.spectrum(energies, None, 0.3), modes.spectrum(energies, None, widths)
    np.testing.assert_array_equal(one, many)


def test_debye_waller_of_an_isotropic_crystal(tetragonal):
    path = vectors_of(tetragonal)
    same = Displacements(np.array([TEMPERATURE]), 0.01 * np.broadcast_to(np.eye(3), (1, 2, 3, 3)))
    free, damped = solved(tetragonal, path), solved(tetragonal, path, thermal=same)
    factor = np.exp(-0.01 * path.norms**2)
    np.testing.assert_allclose(damped.strengths, free.strengths * factor[:, None], rtol=1e-10)
    np.testing.assert_allclose(damped.first_moments, free.first_moments * factor, rtol=1e-10)


def test_powder(cubic):
    """Average over directions of the first moment, which is the same in all; and of the half sphere itself."""
    sphere = half_sphere(500)
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 1)
    np.testing.assert_allclose(sphere.T @ sphere / 500, np.eye(3) / 3, atol=2e-3)
    energies = np.linspace(-60, 60, 961)
    norms = np.array([2.3, 3.1])
    spectra = powder_spectrum(cubic, norms, energies, TEMPERATURE, Resolution(1.0), directions=60)
    weights = scattering_weights(["Au", "Cu"], norms, "neutron")
    masses = np.array(cubic.primitive.masses)
    lengths = weights.of([str(s) for s in cubic.primitive.symbols]).real
    expected = HBAR2_PER_AMU * norms**2 / 2 * (lengths**2 / masses).mean(axis=1)
    np.testing.assert_allclose(spectra @ energies * 0.125, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="must be positive"):
        powder_spectrum(cubic, [0.0], energies, TEMPERATURE, Resolution(1.0))


def test_acoustic_modes_at_a_bragg_peak_are_left_out(cubic):
    path = even_path(read_corners("2,0,0 2,1/2,0", cubic.primitive.cell), cubic.primitive.cell, 5.0)
    modes = solved(cubic, path)
    assert modes.left_out == 3
    assert modes.imaginary == 0
    assert np.isfinite(modes.spectrum([0.0, 5.0], Resolution(1.0))).all()


def test_bad_input(tetragonal):
    path = vectors_of(tetragonal)
    modes = solved(tetragonal, path)
    with pytest.raises(ValueError, match="give a resolution"):
        modes.spectrum([1.0])
    with pytest.raises(ValueError, match="do not fit modes"):
        modes.spectrum([1.0], None, np.ones(4))
    with pytest.raises(ValueError, match="not negative"):
        modes.spectrum([1.0], None, -1.0)
    with pytest.raises(ValueError, match="finite"):
        modes.spectrum([np.nan], Resolution(1.0))
    weights = scattering_weights(["Au", "Cu"], path.norms, "density")
    with pytest.raises(ValueError, match="temperature must be positive"):
        one_phonon(tetragonal, path.vectors, weights, 0.0)
    with pytest.raises(ValueError, match="finite"):
        one_phonon(tetragonal, path.vectors * np.nan, weights, 300.0)
    few = ScatteringWeights(("Au", "Cu"), np.ones((2, 2), complex), np.zeros(2), "density")
    with pytest.raises(ValueError, match="not those of"):
        one_phonon(tetragonal, path.vectors, few, 300.0)
