"""The record of one crystal against phonopy, limits, and what has to be refused."""

import json
from dataclasses import replace

import numpy as np
import phonopy as phonopy_package
import pytest
from scipy.constants import R

from aiida_iontherm.physics.heat.capacity import debye_temperature
from aiida_iontherm.physics.lattice.harmonic_summary import (
    CROSSING_POINTS,
    HarmonicSummary,
    _paths,
    commensurate_frequencies,
    harmonic_summary,
    missing_displacement,
    stability,
)
from aiida_iontherm.physics.lattice.modes import projected_dos, site_projected_dos
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.sites import equivalent_sites

MESH = (8, 8, 8)


@pytest.fixture(scope="module")
def salt(nacl: phonopy_package.Phonopy) -> Phonons:
    return Phonons.from_phonopy(nacl, MESH)


@pytest.fixture(scope="module")
def summary(nacl: phonopy_package.Phonopy, salt: Phonons) -> HarmonicSummary:
    return harmonic_summary(nacl, salt)


@pytest.mark.parametrize(("name", "mesh"), [("nacl", (8, 8, 8)), ("wurtzite", (6, 6, 4))])
def test_the_same_as_phonopy(name: str, mesh: tuple[int, int, int], request: pytest.FixtureRequest) -> None:
    phonopy = request.getfixturevalue(name)
    phonons = Phonons.from_phonopy(phonopy, mesh)
    ours = harmonic_summary(phonopy, phonons)
    phonopy.run_mesh(mesh, with_eigenvectors=True, is_mesh_symmetry=False, is_gamma_center=True)
    phonopy.run_thermal_properties(temperatures=[300], cutoff_frequency=0.01)
    capacity = phonopy.thermal_properties.heat_capacity[0] / ours.n_atoms
    # the same modes, those at Gamma left out by both; the gas constants differ in the sixth digit
    assert ours.heat_capacity == pytest.approx(capacity, rel=1e-5)
    phonopy.run_thermal_displacements(temperatures=[300], freq_min=0.01)
    # Of each atom along x, y, z; the mean over the axes and over equivalent atoms is U_iso.
    squares = phonopy.thermal_displacements.thermal_displacements[0].reshape(-1, 3).mean(axis=1)
    for site, found in zip(equivalent_sites(phonopy), ours.sites, strict=True):
        assert found.u_iso_A2 == pytest.approx(squares[list(site.atoms)].mean(), rel=1e-5)
    sigma, grid = 0.1, np.linspace(0, 1.2 * ours.highest_thz, 120)
    phonopy.run_projected_dos(
        sigma=sigma, freq_min=grid[0], freq_max=grid[-1], freq_pitch=grid[1], use_tetrahedron_method=False
    )
    theirs = phonopy.projected_dos
    by_species = projected_dos(phonons, theirs.frequency_points, sigma)
    symbols = np.array(phonopy.primitive.symbols)
    for symbol, states in by_species.items():
        expected = theirs.projected_dos[symbols == symbol].sum(axis=0)
        np.testing.assert_allclose(states, expected, atol=1e-6 * expected.max())


def test_sites_add_up_to_species_and_total(nacl: phonopy_package.Phonopy, salt: Phonons) -> None:
    sigma = 0.08
    grid = np.linspace(-5 * sigma, salt.frequencies_thz.max() + 6 * sigma, 800)
    total = sum(projected_dos(salt, grid, sigma).values())
    sites = sum(site_projected_dos(salt, equivalent_sites(nacl), grid, sigma).values())
    np.testing.assert_allclose(sites, total, rtol=1e-12)
    assert np.trapezoid(total, grid) == pytest.approx(6, rel=1e-5)  # 3n states, Gaussians cut at 5 sigma


def test_heat_capacity_tends_to_three_R(nacl: phonopy_package.Phonopy, salt: Phonons) -> None:
    hot = harmonic_summary(nacl, salt, temperature=5000.0)
    # 1 - x^2/12 with x = h 5 THz/(k 5000 K) = 0.05, and the three modes at Gamma of 3 x 2 x 512
    assert hot.heat_capacity == pytest.approx(3 * R, rel=2e-3)
    assert hot.heat_capacity < 3 * R


def test_rock_salt_against_experiment(summary: HarmonicSummary) -> None:
    """Theta_D = 321 K and C_p = 50.5 J/(mol K) of NaCl (Kittel; NIST), U = 0.018 A^2 at room temperature."""
    # PBEsol at its own volume: velocities to 10 per cent, see test_long_waves
    assert summary.debye_temperature_K == pytest.approx(321, rel=0.1)
    # C_p - C_v = 9 alpha^2 B V T is 5 per cent
    assert 2 * summary.heat_capacity == pytest.approx(50.5 * 0.95, rel=0.03)
    # 0.0173 and 0.0157 A^2 measured for Na and Cl (Abrahams and Bernstein, Acta Cryst. 18, 926, 1965); the harmonic
    # frequencies of 0 K are used at 300 K
    for site in summary.sites:
        assert site.u_iso_A2 + summary.u_iso_missing_A2 == pytest.approx(0.0175, rel=0.3)
    # A lower limit is below the 6.5 W/(m K) measured at 300 K.
    assert 0.2 < summary.diffuson_limit < summary.cahill_limit < 1


def test_record_is_complete_and_plain(summary: HarmonicSummary, salt: Phonons) -> None:
    assert summary.trusted
    assert summary.verdict == "stable: no imaginary mode on 512 points nor on the 32 of the supercell"
    assert (summary.formula, summary.n_atoms, summary.nac) == ("NaCl", 2, True)
    assert summary.mesh_points == 512
    assert summary.debye_temperature_K == pytest.approx(
        debye_temperature(summary.debye_m_s, summary.number_density_per_A3), rel=1e-12
    )
    assert [site.label for site in summary.sites] == ["Na 4a", "Cl 4b"]
    # every atom has the same number of modes
    means = summary.species_frequencies_thz
    assert summary.average_frequency_thz == pytest.approx((means["Na"] + means["Cl"]) / 2, rel=1e-3)
    gamma = salt.frequencies_thz[np.all(salt.qpoints == 0, axis=1)][0]
    np.testing.assert_allclose(summary.low_optical_thz, gamma[3:], rtol=1e-12)
    assert summary.localised_share is None
    assert "no mode of a cell of 2 atoms" in summary.reasons["localised_share"]
    assert "not looked for" in summary.reasons["crossings"]
    assert json.loads(json.dumps(summary.to_dict()))["sites"][0]["symbol"] == "Na"
    with pytest.raises(ValueError, match="cahill_limit are missing without a reason"):
        replace(summary, cahill_limit=None)


def test_the_missing_volume_around_gamma(
    nacl: phonopy_package.Phonopy, summary: HarmonicSummary, salt: Phonons
) -> None:
    """U of two meshes differs by what the coarse one leaves out more."""
    coarse = harmonic_summary(nacl, Phonons.from_phonopy(nacl, (4, 4, 4)))
    for few, many in zip(coarse.sites, summary.sites, strict=True):
        bare = many.u_iso_A2 - few.u_iso_A2
        mended = bare + summary.u_iso_missing_A2 - coarse.u_iso_missing_A2
        # The sphere stands for a rhombic cell: that removes nine tenths of the error.
        assert abs(mended) < 0.2 * bare
    assert missing_displacement(salt, summary.debye_m_s, 600.0) == pytest.approx(
        2 * summary.u_iso_missing_A2, rel=1e-12
    )


def test_unstable_crystals_get_a_verdict_instead_of_numbers(nacl: phonopy_package.Phonopy, salt: Phonons) -> None:
    frequencies = salt.frequencies_thz.copy()
    frequencies[-1, 0] = -1.4
    unstable = harmonic_summary(nacl, replace(salt, frequencies_thz=frequencies))
    share = salt.weights[-1] / salt.weights.sum() / 6
    assert not unstable.trusted
    assert unstable.imaginary_weight == pytest.approx(share, rel=1e-12)
    assert "down to -1.40 THz" in unstable.verdict
    for name in ("longitudinal_m_s", "cahill_limit", "heat_capacity", "diffuson_conductivity", "average_frequency_thz"):
        assert getattr(unstable, name) is None
        assert unstable.reasons[name] == unstable.verdict
    assert all(site.u_iso_A2 is None and site.average_frequency_thz is None for site in unstable.sites)
    assert unstable.lowest_thz == -1.4


def test_the_supercell_shows_what_a_mesh_passes_by(nacl: phonopy_package.Phonopy) -> None:
    frequencies = commensurate_frequencies(nacl)
    assert frequencies.shape == (32, 6)
    # Cells of 64 atoms: Gamma, X and L of the primitive cell are among the points.
    expected = nacl.run_qpoints([[0.5, 0.5, 0], [0.5, 0, 0]]).frequencies
    for own in expected:
        assert np.abs(frequencies - own).max(axis=1).min() < 1e-5  # two sums of the long-range part
    softened = nacl.copy()
    matrices = nacl.force_constants.copy()
    # A force constant that alternates from plane to plane acts at the edge of the zone, not on a mesh of Gamma alone.
    positions = np.array(nacl.supercell.scaled_positions)
    signs = np.cos(2 * np.pi * (positions[None] - positions[nacl.primitive.p2s_map][:, None]) @ np.array([2, 0, 0]))
    matrices -= 0.1 * signs[..., None, None] * np.eye(3)
    softened.force_constants = matrices
    trusted, verdict = stability(softened, Phonons.from_phonopy(softened, (1, 1, 1)))
    assert not trusted
    assert "that the mesh passes by" in verdict


def test_noise_of_acoustic_branches_is_said(nacl: phonopy_package.Phonopy, salt: Phonons) -> None:
    frequencies = salt.frequencies_thz.copy()
    frequencies[1, 0] = -0.05
    noisy = replace(salt, frequencies_thz=frequencies)
    trusted, verdict = stability(nacl, noisy)
    assert trusted
    assert verdict.endswith("-0.05 THz counts as noise of the acoustic branches")
    result = harmonic_summary(nacl, noisy)
    assert result.heat_capacity is not None
    # such a mode would make up most of U
    assert all(site.u_iso_A2 is None for site in result.sites)
    assert "away from Gamma" in result.reasons["u_iso"]


def test_broken_sum_rules_cost_the_sound(nacl: phonopy_package.Phonopy) -> None:
    broken = nacl.copy()
    constants = nacl.force_constants.copy()
    constants[np.arange(2), nacl.primitive.p2s_map] += 0.05 * np.eye(3)
    broken.force_constants = constants
    broken.nac_params = nacl.nac_params
    result = harmonic_summary(broken, Phonons.from_phonopy(broken, (2, 2, 2)))
    assert result.trusted
    assert result.debye_temperature_K is None
    assert "symmetrise them" in result.reasons["debye_temperature_K"]
    assert result.u_iso_missing_A2 is None
    assert result.heat_capacity is not None


def test_crossings_along_axes_that_differ(wurtzite: phonopy_package.Phonopy, wurtzite_irreducible: Phonons) -> None:
    paths = _paths(wurtzite, wurtzite_irreducible)
    assert [tuple(path[-1]) for path in paths] == [(0.5, 0, 0), (0, 0, 0.5)]  # a* and b* are equivalent
    assert all(len(path) == CROSSING_POINTS for path in paths)
    found = harmonic_summary(wurtzite, wurtzite_irreducible, crossings=True).crossings
    # An acoustic branch meets the low optical one at 0.6 THz half-way to M.
    assert found
    assert 0.6 < found[0].frequency_thz < 1.2
    assert 0 < found[0].gap_thz < 0.2


def test_bad_input_is_refused(nacl: phonopy_package.Phonopy, salt: Phonons) -> None:
    with pytest.raises(ValueError, match="temperature must be positive"):
        harmonic_summary(nacl, salt, temperature=0)
    with pytest.raises(ValueError, match="Gamma is not among the points"):
        harmonic_summary(nacl, Phonons.from_phonopy(nacl, qpoints=[[0.1, 0.2, 0.3]]))
