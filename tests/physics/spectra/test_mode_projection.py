import numpy as np
import pytest
from ase.build import bulk
from damped_crystal import emt_crystal

from aiida_iontherm.physics.lattice import Phonons
from aiida_iontherm.physics.lattice.phonons import cartesian_rotations
from aiida_iontherm.physics.spectra import (
    ModeProjection,
    commensurate_qpoints,
    find_sites,
    largest_mesh,
    periodic_convention,
)
from aiida_iontherm.physics.spectra.mode_projection import crystal_stars, translation_share

MATRICES = [
    np.diag([2, 3, 1]),
    np.array([[-2, 2, 2], [2, -2, 2], [2, 2, -2]]),
    np.array([[2, 1, 0], [-1, 3, 1], [0, 2, -2]]),
]


def sites_of(crystal):
    primitive, supercell = crystal.primitive, crystal.supercell
    return find_sites(
        primitive.cell,
        primitive.scaled_positions,
        primitive.symbols,
        supercell.cell,
        supercell.positions[None],
        supercell.symbols,
    )


def modes_of(crystal, qpoints):
    phonons = Phonons.from_phonopy(crystal, qpoints=qpoints, weights=np.ones(len(qpoints)))
    return phonons, periodic_convention(phonons.eigenvectors, qpoints, crystal.primitive.scaled_positions)


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_commensurate_points(matrix):
    points = commensurate_qpoints(matrix)
    assert len(points) == abs(round(np.linalg.det(matrix)))
    assert len(np.unique(np.round(points, 9), axis=0)) == len(points)
    whole = points @ matrix.T
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-12)
    assert not points[0].any()


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_largest_mesh_fits(matrix):
    mesh = np.array(largest_mesh(matrix))
    for axis in range(3):
        for divisions, fits in ((mesh[axis], True), (2 * mesh[axis], False), (3 * mesh[axis], False)):
            whole = matrix[:, axis] / divisions
            assert np.allclose(whole, np.rint(whole)) == fits


def test_stars_hold_every_point_once(skewed):
    sites = sites_of(skewed)
    found = crystal_stars(sites.matrix, skewed.primitive.cell, cartesian_rotations(skewed))
    # 2 x 2 x 2 cubic cells of fcc: Gamma, X, L, the middle of Delta, W, the middle of Sigma
    assert sorted(int(star.weights.sum()) for star in found) == [1, 3, 4, 6, 6, 12]
    members = np.concatenate([star.members for star in found] + [-s.members[s.weights == 2] for s in found])
    assert len(np.unique(np.round(members % 1, 6) % 1, axis=0)) == 32
    for star in found:
        frequencies = modes_of(skewed, star.members)[0].frequencies_thz
        assert np.ptp(frequencies, axis=0).max() < 1e-3  # symmetrised force constants: acoustic sum rule and rounding


def test_energies_of_modes_add_up(skewed):
    sites = sites_of(skewed)
    velocities = np.random.default_rng(0).normal(size=(7, len(skewed.supercell), 3))
    projection = ModeProjection(velocities, sites, skewed.primitive.masses)
    points = commensurate_qpoints(sites.matrix)
    modes = projection.modes(points, modes_of(skewed, points)[1])
    kinetic = np.sum(np.array(skewed.supercell.masses)[:, None] * velocities**2, axis=(1, 2))
    np.testing.assert_allclose(np.sum(np.abs(modes) ** 2, axis=(1, 2)), kinetic, rtol=1e-10)
    np.testing.assert_allclose(projection.kinetic_energies(), kinetic, rtol=1e-10)


def test_wave_of_one_mode_is_seen_in_that_mode_only(skewed):
    """v_i = m_i^-1/2 Re(e_j exp(2 pi i q r_i)) with the eigenvectors and positions of the smooth convention."""
    sites, supercell = sites_of(skewed), skewed.supercell
    points = commensurate_qpoints(sites.matrix)
    phonons, vectors = modes_of(skewed, points)
    parents = [skewed.primitive.p2p_map[i] for i in skewed.primitive.s2p_map]
    for q, s in [(0, 4), (5, 1), (9, 3), (30, 5)]:
        point = points[q] @ np.linalg.inv(skewed.primitive.cell).T
        amplitude = phonons.eigenvectors[q, :, s].reshape(-1, 3)[parents]
        # Atoms of the primitive cell may stand elsewhere than in the supercell: the wave has the phase of its own atom.
        wave = np.exp(2j * np.pi * supercell.positions @ point)[:, None] * amplitude
        # Complex velocities in two frames: real and imaginary part.
        velocities = np.array([wave.real, wave.imag]) / np.sqrt(np.array(supercell.masses))[:, None]
        modes = ModeProjection(velocities, sites, skewed.primitive.masses).modes(points, vectors)
        both = modes[0] + 1j * modes[1]
        assert abs(both[q, s]) == pytest.approx(np.sqrt(len(points)), rel=1e-9)
        both[q, s] = 0
        assert np.abs(both).max() < 1e-9


def test_blocks_cover_all_points():
    crystal = emt_crystal(bulk("Cu"), np.diag([2, 2, 2]))
    projection = ModeProjection(np.ones((5, 8, 3), dtype=np.float32), sites_of(crystal), crystal.primitive.masses)
    assert [list(range(20))[block] for block in projection.blocks(20, 3 * 64 * 5 * 3)][:2] == [[0, 1, 2], [3, 4, 5]]
    assert sum(len(range(20)[block]) for block in projection.blocks(20, 1)) == 20


def test_translations(skewed):
    phonons, vectors = modes_of(skewed, np.zeros((1, 3)))
    share = translation_share(vectors, skewed.primitive.masses)[0]
    np.testing.assert_allclose(np.sort(share), [0, 0, 0, 1, 1, 1], atol=1e-8)  # as good as the acoustic sum rule
    assert np.all(share[np.abs(phonons.frequencies_thz[0]) < 0.01] > 0.5)


def test_bad_input(skewed):
    sites = sites_of(skewed)
    with pytest.raises(ValueError, match="do not fit"):
        ModeProjection(np.ones((5, 3, 3)), sites, skewed.primitive.masses)
    with pytest.raises(ValueError, match="NaN"):
        ModeProjection(np.full((5, 64, 3), np.nan), sites, skewed.primitive.masses)
