import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hiphive import ClusterSpace
from hiphive.core.rotational_constraints import get_rotational_constraint_matrix
from scipy.sparse import csr_matrix
from symfc import Symfc
from symfc.utils.utils import SymfcAtoms

from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.fc_sum_rules import null_space
from aiida_iontherm.physics.lattice.force_constants import fit_force_constants


@pytest.fixture(scope="module")
def wurtzite() -> tuple[Atoms, Atoms]:
    """No atom at a centre of inversion: the rotational rules say something."""
    primitive = bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.382)
    return primitive, primitive.repeat((4, 4, 2))


def test_null_space_is_that_of_a_dense_decomposition():
    rng = np.random.default_rng(0)
    rules = np.zeros((9, 14))
    rules[:4, :6] = rng.integers(-2, 3, size=(4, 6))
    rules[4] = rules[0] - 2 * rules[2]  # a dependent one
    rules[5:, 7:13] = rng.integers(-2, 3, size=(4, 6))
    null = null_space(csr_matrix(rules), rng.integers(0, 3, size=14)).toarray()
    values = np.linalg.svd(rules)[1]
    rank = int(np.sum(values > 1e-10))
    assert null.shape == (14, 14 - rank)
    assert np.linalg.matrix_rank(null) == 14 - rank
    np.testing.assert_allclose(rules @ null, 0, atol=1e-12)  # integers below ten
    np.testing.assert_array_equal(null[[6, 13]].sum(axis=1), 1)  # no rule touches these


def test_null_space_is_sparse_and_repeated_atoms_go_first(wurtzite):
    basis = ForceConstantBasis(*wurtzite, (4.5, 3.5, 2.1))
    null = basis.null_space
    assert null.nnz < 0.1 * null.shape[0] * null.shape[1]
    # Every column has an element 1 that no other column has: the free parameter itself.
    own = null[np.diff(null.indptr) == 1]
    assert len(np.unique(own.indices[own.data == 1])) == null.shape[1]


def test_nothing_left_is_an_error():
    with pytest.raises(ValueError, match="no free force constants"):
        null_space(csr_matrix(np.eye(3)), np.zeros(3, dtype=int))


def test_rotational_rules_leave_as_many_parameters_as_hiphives(wurtzite):
    primitive, supercell = wurtzite
    space = ClusterSpace(primitive, [4.5])
    rules = get_rotational_constraint_matrix(space)
    plain = ForceConstantBasis(primitive, supercell, (4.5,))
    ruled = ForceConstantBasis(primitive, supercell, (4.5,), rotational_sum_rules=True)
    assert plain.n_parameters == space.n_dofs
    # Singular values of independent rules are of order one, the others rounding of positions.
    assert ruled.n_parameters == space.n_dofs - np.linalg.matrix_rank(rules, tol=1e-4)
    assert ruled.n_parameters < plain.n_parameters


def test_rotational_rules_hold(wurtzite):
    primitive, supercell = wurtzite
    basis = ForceConstantBasis(primitive, supercell, (4.5, 3.0), rotational_sum_rules=True)
    fc2 = basis.arrays(np.random.default_rng(1).normal(size=basis.n_parameters))[0]
    np.testing.assert_allclose(fc2.sum(axis=1), 0, atol=1e-10)
    vectors = np.array([supercell.get_distances(i, range(len(supercell)), mic=True, vector=True) for i in basis.p2s])
    moment = np.einsum("ijab,ijc->iabc", fc2, vectors)
    np.testing.assert_allclose(moment, moment.transpose(0, 1, 3, 2), atol=1e-10)  # elements of order one
    second = np.einsum("ijab,ijc,ijd->abcd", fc2, vectors, vectors)
    np.testing.assert_allclose(second, second.transpose(2, 3, 0, 1), atol=1e-9)  # of order 100


def test_a_rotating_crystal_feels_no_force(wurtzite):
    """A bond model that depends on lengths alone, at rest: it must lie in the space of the rotational rules."""
    primitive, supercell = wurtzite
    basis = ForceConstantBasis(primitive, supercell, (4.0,), rotational_sum_rules=True)
    atoms = len(supercell)
    vectors = supercell.get_all_distances(mic=True, vector=True)
    lengths = np.linalg.norm(vectors, axis=2)
    bonded = (lengths > 0.1) & (lengths < 4.0)
    springs = np.where(bonded, np.exp(-lengths), 0.0)  # the same for bonds of the same length
    units = vectors / np.where(bonded, lengths, 1.0)[..., None]
    full = -np.einsum("ij,ija,ijb->ijab", springs, units, units)
    full[np.arange(atoms), np.arange(atoms)] = -full.sum(axis=1)
    displacements = 0.01 * np.random.default_rng(2).normal(size=(4, atoms, 3))
    forces = -np.einsum("ijab,mjb->mia", full, displacements)
    fit = fit_force_constants(
        primitive, supercell, displacements, forces, (4.0,), fit_method="least-squares", rotational_sum_rules=True
    )
    assert fit.quality.n_parameters == basis.n_parameters
    np.testing.assert_allclose(fit.fc2, full[fit.p2s], atol=1e-8)  # noise-free, symmetry to 1e-9 of the positions


def test_symfc_finds_the_same_second_and_third_order():
    """Another code, another basis, the same displacements; forces of a model within both spaces."""
    primitive = bulk("NaCl", "rocksalt", a=5.6)
    supercell = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(2)
    cutoffs = (5.0, 4.0)
    basis = ForceConstantBasis(primitive, supercell, cutoffs)
    rng = np.random.default_rng(3)
    displacements = 0.05 * rng.normal(size=(20, len(supercell), 3))
    forces = basis.forces(rng.normal(size=basis.n_parameters), displacements)
    fit = fit_force_constants(primitive, supercell, displacements, forces, cutoffs, fit_method="least-squares")
    cell = SymfcAtoms(
        numbers=supercell.numbers, cell=supercell.cell.array, scaled_positions=supercell.get_scaled_positions()
    )
    other = Symfc(cell, displacements=displacements, forces=forces, cutoff={3: 4.0})
    other.run(max_order=3, is_compact_fc=False)
    # Noise-free on both sides; normal equations of both codes lose about eight digits.
    np.testing.assert_allclose(other.force_constants[2][fit.p2s], fit.fc2, atol=1e-7)
    np.testing.assert_allclose(other.force_constants[3][fit.p2s], fit.fc3, atol=1e-6)
