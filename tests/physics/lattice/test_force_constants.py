import logging

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from hiphive import ClusterSpace
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.lattice import (
    ForceConstantBasis,
    fit_force_constants,
    phono3py_from_force_constants,
    phonopy_from_phono3py,
    reference_displacements,
)
from aiida_iontherm.physics.statistics import jackknife

CUTOFFS = (5.0, 4.0)


def to_ase(cell: PhonopyAtoms) -> Atoms:
    return Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)


def to_phonopy(atoms: Atoms) -> PhonopyAtoms:
    return PhonopyAtoms(symbols=atoms.symbols, cell=atoms.cell, scaled_positions=atoms.get_scaled_positions())


@pytest.fixture(scope="module")
def salt() -> Phonopy:
    cell = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    return Phonopy(to_phonopy(cell), np.diag([2, 2, 2]), primitive_matrix="F")


@pytest.fixture(scope="module")
def basis(salt) -> ForceConstantBasis:
    return ForceConstantBasis(to_ase(salt.primitive), to_ase(salt.supercell), CUTOFFS)


def forces_of(fc2, fc3, basis, displacements):
    """Taylor expansion written out with dense arrays, home cell by home cell."""
    forces = np.empty_like(displacements)
    for snapshot, result in zip(displacements, forces, strict=True):
        for image in basis.translations:
            u = snapshot[image]
            home = -np.einsum("ijab,jb->ia", fc2, u) - np.einsum("ijkabc,jb,kc->ia", fc3, u, u, optimize=True) / 2
            result[image[basis.p2s]] = home
    return forces


def test_basis_is_hiphives_with_its_sum_rules(salt, basis):
    """hiphive imposes the sum rules with exact algebra: the same number of parameters is left."""
    logger = logging.getLogger("hiphive")
    logger.setLevel(logging.WARNING)
    assert basis.n_parameters == ClusterSpace(to_ase(salt.primitive), list(CUTOFFS)).n_dofs
    np.testing.assert_array_equal(basis.p2s, salt.primitive.p2s_map)


def test_arrays_obey_sum_rules_and_index_symmetry(basis):
    fc2, fc3 = basis.arrays(np.random.default_rng(0).normal(size=basis.n_parameters))
    # Sums of some dozens of numbers of order one.
    np.testing.assert_allclose(fc2.sum(axis=1), 0, atol=1e-11)
    np.testing.assert_allclose(fc3.sum(axis=1), 0, atol=1e-11)
    np.testing.assert_allclose(fc3.sum(axis=2), 0, atol=1e-11)
    np.testing.assert_allclose(fc3, fc3.transpose(0, 2, 1, 3, 5, 4), atol=1e-12)
    first, second = basis.p2s
    np.testing.assert_allclose(fc2[0, second], fc2[1, first].T, atol=1e-12)


@pytest.mark.parametrize("method", ["ridge", "least-squares"])
def test_planted_force_constants_are_found(salt, basis, method):
    rng = np.random.default_rng(1)
    fc2, fc3 = basis.arrays(rng.normal(size=basis.n_parameters))
    displacements = 0.05 * rng.normal(size=(6, len(salt.supercell), 3))
    seen = []
    result = fit_force_constants(
        to_ase(salt.primitive),
        to_ase(salt.supercell),
        displacements,
        forces_of(fc2, fc3, basis, displacements),
        CUTOFFS,
        fit_method=method,
        blocks=3,
        progress=lambda done, total: seen.append((done, total)),
    )
    # Least squares are exact; ridge may pick any strength whose bias is below the rounding of its test error.
    np.testing.assert_allclose(result.fc2, fc2, atol=1e-5)
    np.testing.assert_allclose(result.fc3, fc3, atol=1e-4)
    assert result.quality.r2_test == pytest.approx(1.0, abs=1e-9)
    assert result.quality.n_parameters == basis.n_parameters
    assert seen == sorted(seen)
    assert seen[-1] == (6, 6)
    for replica in result.replicas:
        np.testing.assert_allclose(result.basis.arrays(replica)[0], fc2, atol=1e-5)


def test_noise_shows_in_test_error_and_in_the_spread_of_replicas(salt, basis):
    rng = np.random.default_rng(2)
    truth = rng.normal(size=basis.n_parameters)
    fc2, fc3 = basis.arrays(truth)
    displacements = 0.05 * rng.normal(size=(20, len(salt.supercell), 3))
    noise = 0.05
    forces = forces_of(fc2, fc3, basis, displacements)
    forces += noise * rng.normal(size=forces.shape)
    result = fit_force_constants(
        to_ase(salt.primitive), to_ase(salt.supercell), displacements, forces, CUTOFFS, blocks=10
    )
    # 3840 forces: the standard deviation of the noise is known to 1.2 %; allowed is three times that.
    assert result.quality.rmse_train == pytest.approx(noise, rel=0.036)
    assert result.quality.rmse_test >= result.quality.rmse_train
    errors = jackknife(result.replicas)
    pulls = (result.parameters - truth) / errors
    # With ten blocks the pulls follow Student's t of nine degrees of freedom (rms 1.13); 46 of them: rms to 15 %.
    assert 0.7 < np.sqrt(np.mean(pulls**2)) < 1.6


def test_lennard_jones_crystal_agrees_with_finite_displacements():
    """Small displacements of an anharmonic crystal: harmonic part as phonopy's, third order as the potential's."""
    calculator = LennardJones(sigma=3.4, epsilon=0.0104, rc=4.8)  # between first (3.72) and second neighbours
    cell = bulk("Ar", "fcc", a=5.26, cubic=True)
    crystal = Phonopy(to_phonopy(cell), np.diag([2, 2, 2]), primitive_matrix="F")
    supercell = to_ase(crystal.supercell)

    def forces(displaced: np.ndarray) -> np.ndarray:
        atoms = supercell.copy()
        atoms.positions += displaced
        atoms.calc = calculator
        return atoms.get_forces()

    crystal.generate_displacements(distance=0.001)
    moved = [s.positions - supercell.positions for s in crystal.supercells_with_displacements]
    crystal.forces = [forces(u) for u in moved]
    crystal.produce_force_constants()
    displacements = 0.01 * np.random.default_rng(3).normal(size=(8, len(supercell), 3))
    result = fit_force_constants(
        to_ase(crystal.primitive),
        supercell,
        displacements,
        np.array([forces(u) for u in displacements]),
        (4.5, 4.0),
        fit_method="least-squares",
    )
    scale = np.abs(crystal.force_constants).max()
    # Fourth order: (0.01 A * 5 per A)^2 of the harmonic part, 0.3 %.
    np.testing.assert_allclose(result.fc2, crystal.force_constants[result.p2s], atol=0.005 * scale)
    # Radial third derivative of the pair potential along a bond, from its formula.
    distance, sigma, epsilon = 5.26 / np.sqrt(2), 3.4, 0.0104
    third = 4 * epsilon * (-12 * 13 * 14 * sigma**12 / distance**15 + 6 * 7 * 8 * sigma**6 / distance**9)
    home = result.p2s[0]
    bonds = supercell.get_distances(home, range(len(supercell)), mic=True, vector=True)
    neighbour = int(np.argmin(np.where(np.arange(len(supercell)) == home, np.inf, np.linalg.norm(bonds, axis=1))))
    direction = bonds[neighbour] / np.linalg.norm(bonds[neighbour])
    fitted = np.einsum("abc,a,b,c->", result.fc3[0, neighbour, neighbour], direction, direction, direction)
    # Phi_ijj is minus (-1)^... the third derivative: two indices on the neighbour, one on the atom. Fifth order: 2 %.
    assert fitted == pytest.approx(-third, rel=0.02)


def test_phono3py_takes_the_fit(salt, basis):
    fc2, fc3 = basis.arrays(np.random.default_rng(4).normal(size=basis.n_parameters))
    crystal = phono3py_from_force_constants(
        to_ase(salt.unitcell), np.diag([2, 2, 2]), fc2, fc3, primitive_matrix=salt.primitive_matrix
    )
    harmonic = phonopy_from_phono3py(crystal)
    points = [[0.1, 0.2, 0.3]]
    harmonic.run_qpoints(points)
    salt.force_constants = fc2
    salt.run_qpoints(points)
    np.testing.assert_allclose(
        harmonic.get_qpoints_dict()["frequencies"], salt.get_qpoints_dict()["frequencies"], atol=1e-10
    )
    with pytest.raises(ValueError, match="fc3 has shape"):
        phono3py_from_force_constants(
            to_ase(salt.unitcell), np.diag([2, 2, 2]), fc2, fc3[:, :8], primitive_matrix=salt.primitive_matrix
        )


def test_displacements_survive_wrapping_and_drift(salt):
    sites = to_ase(salt.supercell)
    rng = np.random.default_rng(5)
    true = 0.1 * rng.normal(size=(3, len(sites), 3))
    true -= true.mean(axis=1, keepdims=True)
    drift = np.array([[0.0, 0, 0], [5.0, -1, 2], [-30.0, 4, 5.6]])[:, None]
    moved = sites.copy()
    wrapped = np.empty_like(true)
    for i in range(3):
        moved.positions = sites.positions + true[i] + drift[i]
        moved.wrap()
        wrapped[i] = moved.positions
    np.testing.assert_allclose(reference_displacements(wrapped, sites.positions, sites.cell), true, atol=1e-10)


def test_bad_input_is_refused(salt):
    primitive, supercell = to_ase(salt.primitive), to_ase(salt.supercell)
    zeros = np.zeros((4, len(supercell), 3))
    with pytest.raises(ValueError, match="longer than"):
        fit_force_constants(primitive, supercell, zeros, zeros, (7.0, 4.0))
    with pytest.raises(ValueError, match="must both be"):
        fit_force_constants(primitive, supercell, zeros[:, :5], zeros, CUTOFFS)
    with pytest.raises(ValueError, match="fit_method must be"):
        fit_force_constants(primitive, supercell, zeros, zeros, CUTOFFS, fit_method="lasso")
    with pytest.raises(ValueError, match="blocks"):
        fit_force_constants(primitive, supercell, zeros, zeros, CUTOFFS, blocks=5)
    with pytest.raises(ValueError, match="do not fit"):
        ForceConstantBasis(bulk("NaCl", "rocksalt", a=5.7), supercell, CUTOFFS)
    for cutoffs in ((), (5.0, -1.0), (5.0, 4.0, 3.0, 3.0)):
        with pytest.raises(ValueError, match="one to three positive lengths"):
            ForceConstantBasis(primitive, supercell, cutoffs)
    with pytest.raises(ValueError, match="nothing to fit"):
        fit_force_constants(primitive, supercell, zeros, zeros, CUTOFFS)
    moved = np.random.default_rng(6).normal(size=zeros.shape)
    with pytest.raises(ValueError, match="cannot be fitted to 192 forces"):
        fit_force_constants(primitive, supercell, moved[:2], moved[:2], (5.0, 5.0, 4.0), blocks=2)
    moved[..., 1:] = 0  # along x alone: nothing is known of the other axes' coupling
    with pytest.raises(ValueError, match="undetermined"):
        fit_force_constants(primitive, supercell, moved, moved, CUTOFFS, fit_method="least-squares")
