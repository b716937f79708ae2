"""Fourth order: in one model with the others, and apart from them."""

from itertools import permutations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hiphive import ClusterSpace, ForceConstantPotential
from hiphive.force_constant_model import ForceConstantModel

from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.force_constants import fit_force_constants

CUTOFFS = (4.3, 3.1, 3.1)


@pytest.fixture(scope="module")
def cell() -> Atoms:
    """Simple cubic: the only dense fourth order that is small enough to be written out."""
    return Atoms("Po", cell=3.0 * np.eye(3), pbc=True)


@pytest.fixture(scope="module")
def basis(cell) -> ForceConstantBasis:
    return ForceConstantBasis(cell, cell.repeat(3), CUTOFFS)


@pytest.fixture(scope="module")
def planted(basis):
    return np.random.default_rng(0).normal(size=basis.n_parameters)


def dense(basis, parameters):
    fc2, fc3 = basis.arrays(parameters)
    return fc2, fc3, basis.fourth_order(parameters).dense(basis.p2s, basis.atoms)


def forces_of(constants, basis, displacements):
    """Taylor expansion written out with dense arrays, home cell by home cell."""
    fc2, fc3, fc4 = constants
    forces = np.empty_like(displacements)
    for snapshot, result in zip(displacements, forces, strict=True):
        for image in basis.translations:
            u = snapshot[image]
            home = -np.einsum("ijab,jb->ia", fc2, u) - np.einsum("ijkabc,jb,kc->ia", fc3, u, u, optimize=True) / 2
            home -= np.einsum("ijklabcd,jb,kc,ld->ia", fc4, u, u, u, optimize=True) / 6
            result[image[basis.p2s]] = home
    return forces


def test_all_orders_obey_sum_rules_and_index_symmetry(basis, planted):
    constants = dense(basis, planted)
    for order, array in enumerate(constants, start=2):
        assert np.abs(array).max() > 0.1
        for axis in range(1, order):
            # Sums of some dozens of numbers of order one.
            np.testing.assert_allclose(array.sum(axis=axis), 0, atol=1e-10)
        for turn in permutations(range(1, order)):
            axes = (0, *turn, order, *(order + x for x in turn))
            np.testing.assert_allclose(array, array.transpose(axes), atol=1e-12)
    fc4 = constants[2]
    # The first index changes places with the others by a lattice translation.
    for image in basis.translations:
        other = image[basis.p2s[0]]
        there = np.argsort(image)
        element = fc4[0, other]
        moved = fc4[0][there[basis.p2s[0]]][there][:, there]
        np.testing.assert_allclose(element.transpose(0, 1, 3, 2, 4, 5), moved, atol=1e-12)


def test_sum_over_the_first_index_vanishes_as_well(basis, planted):
    """Where the crystal moves as a whole no force arises, in any power of the shift."""
    rng = np.random.default_rng(5)
    displacements = 0.1 * rng.normal(size=(2, basis.atoms, 3))
    shifted = displacements + np.array([0.3, -0.2, 0.5])
    still = basis.forces(planted, displacements)
    # Forces of order 0.1 with terms of order one.
    np.testing.assert_allclose(basis.forces(planted, shifted), still, atol=1e-10)
    np.testing.assert_allclose(still.sum(axis=1), 0, atol=1e-10)


def test_forces_are_the_taylor_expansion(basis, planted):
    displacements = 0.2 * np.random.default_rng(1).normal(size=(2, basis.atoms, 3))
    expected = forces_of(dense(basis, planted), basis, displacements)
    np.testing.assert_allclose(basis.forces(planted, displacements), expected, atol=1e-12 * np.abs(expected).max())


def test_planted_force_constants_are_found(cell, basis, planted):
    truth = dense(basis, planted)
    displacements = 0.2 * np.random.default_rng(2).normal(size=(8, basis.atoms, 3))
    forces = forces_of(truth, basis, displacements)
    fit = fit_force_constants(
        cell, cell.repeat(3), displacements, forces, CUTOFFS, fit_method="least-squares", expansion="taylor"
    )
    found = (fit.fc2, fit.fc3, fit.fc4.dense(fit.p2s, basis.atoms))
    for array, expected in zip(found, truth, strict=True):
        # Normal equations square the condition number, some hundreds here.
        np.testing.assert_allclose(array, expected, atol=1e-9)
    assert fit.quality.rmse_test < 1e-6
    assert fit.quality_with_fourth is None
    for replica in fit.replicas:
        np.testing.assert_allclose(replica, planted, atol=1e-8)


@pytest.mark.parametrize("memory", [2.0, 0.0])
def test_order_and_place_of_the_blocks_do_not_matter(cell, basis, planted, memory):
    """The same blocks in reverse, in memory or in a scratch file: the same fits."""
    rng = np.random.default_rng(3)
    displacements = 0.2 * rng.normal(size=(12, basis.atoms, 3))
    forces = basis.forces(planted, displacements) + 0.1 * rng.normal(size=displacements.shape)
    first = fit_force_constants(cell, cell.repeat(3), displacements, forces, CUTOFFS, expansion="taylor")
    turned = fit_force_constants(
        cell, cell.repeat(3), displacements[::-1], forces[::-1], CUTOFFS, expansion="taylor", memory=memory
    )
    # Rounding of sums of 1000 terms times the condition number.
    np.testing.assert_allclose(turned.parameters, first.parameters, atol=1e-9)
    np.testing.assert_allclose(turned.replicas[::-1], first.replicas, atol=1e-9)
    assert turned.quality.rmse_test == pytest.approx(first.quality.rmse_test, rel=1e-9)
    assert first.quality.rmse_train == pytest.approx(
        np.sqrt(np.mean((basis.forces(first.parameters, displacements) - forces) ** 2)), rel=1e-8
    )


def test_orders_come_one_after_the_other(basis):
    """No free parameter is shared by two orders, and the first ones are a basis of the lower orders."""
    second, third = basis.parameters_up_to(2), basis.parameters_up_to(3)
    assert 0 < second < third < basis.parameters_up_to(4) == basis.n_parameters
    limits = {2: (0, second), 3: (second, third), 4: (third, basis.n_parameters)}
    for order, (start, end) in limits.items():
        for parameter in (start, end - 1):
            unit = np.zeros(basis.n_parameters)
            unit[parameter] = 1.0
            sizes = {k: np.abs(basis.cluster_tensors(unit, k).tensors).max() for k in (2, 3, 4)}
            assert {k for k, size in sizes.items() if size > 0} == {order}


@pytest.fixture(scope="module")
def thermal(basis, planted):
    """Independent normal displacements and the forces of the planted model."""
    displacements = 0.2 * np.random.default_rng(8).normal(size=(1000, basis.atoms, 3))
    return displacements, basis.forces(planted, displacements)


def test_effective_orders_are_those_of_two_fits(cell, thermal):
    """Second and third of a fit without the fourth, the fourth of a fit of all; replicas and partial fits alike."""
    crystal, snapshots = (cell, cell.repeat(3)), (thermal[0][:40], thermal[1][:40])
    apart = fit_force_constants(*crystal, *snapshots, CUTOFFS, fit_method="least-squares", partial=True)
    lower = fit_force_constants(*crystal, *snapshots, CUTOFFS[:2], fit_method="least-squares", partial=True)
    whole = fit_force_constants(*crystal, *snapshots, CUTOFFS, fit_method="least-squares", expansion="taylor")
    size = lower.quality.n_parameters
    for found, below, all_orders in (
        (apart.parameters, lower.parameters, whole.parameters),
        (apart.replicas, lower.replicas, whole.replicas),
    ):
        # The same equations summed in another order.
        np.testing.assert_allclose(found[..., :size], below, atol=1e-9)
        np.testing.assert_allclose(found[..., size:], all_orders[..., size:], atol=1e-9)
    assert apart.quality.rmse_test == pytest.approx(lower.quality.rmse_test, rel=1e-9)
    assert apart.quality_with_fourth.n_parameters == whole.quality.n_parameters
    for part, other in zip(apart.partial, lower.partial, strict=True):
        np.testing.assert_allclose(part.parameters[:, :size], other.parameters, atol=1e-9)
        assert not part.parameters[:, size:].any()


def test_effective_second_order_is_the_mean_of_the_second_derivative(cell, basis, planted, thermal):
    """Phi2 + Phi4 <uu> / 2, with one variance for all displacements: half of the trace over the last two indices."""
    fit = fit_force_constants(cell, cell.repeat(3), *thermal, CUTOFFS)
    fc2, fc3, fc4 = dense(basis, planted)
    mean = fc2 + 0.2**2 / 2 * np.einsum("ijkkabcc->ijab", fc4)
    shift = np.abs(mean - fc2).max()
    # What the fourth order scatters around its mean is noise to this fit: 1 to 2 % of the shift for 27 000 views.
    np.testing.assert_allclose(fit.fc2, mean, atol=0.06 * shift)
    # By symmetry the fourth has no share in the third; the same noise, against products of displacements.
    assert np.abs(fit.fc3 - fc3).max() < 0.1 * np.abs(fc3).max()
    np.testing.assert_allclose(fit.fc4.dense(fit.p2s, basis.atoms), fc4, atol=1e-6)  # noise-free


@pytest.mark.slow
def test_fit_equals_that_of_hiphive():
    """Its cluster space with its own exact sum rules, its rows, NumPy's least squares on the design matrix."""
    primitive = bulk("NaCl", "rocksalt", a=5.6)
    supercell = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(2)
    cutoffs = (4.5, 3.0, 3.0)
    rng = np.random.default_rng(4)
    displacements = 0.1 * rng.normal(size=(8, len(supercell), 3))
    forces = rng.normal(size=displacements.shape)  # pure noise: every parameter and every residual counts
    space = ClusterSpace(primitive, list(cutoffs))
    model = ForceConstantModel(supercell, space)
    matrix = np.concatenate([model.get_fit_matrix(moved) for moved in displacements])
    solution = np.linalg.lstsq(matrix, forces.ravel(), rcond=None)[0]
    expected = ForceConstantPotential(space, solution).get_force_constants(supercell)
    fit = fit_force_constants(
        primitive, supercell, displacements, forces, cutoffs, fit_method="least-squares", expansion="taylor"
    )
    assert fit.quality.n_parameters == space.n_dofs
    # The normal equations lose twice the digits of the design matrix's condition number, about 10^3.
    for order, array in ((2, fit.fc2), (3, fit.fc3)):
        reference = expected.get_fc_array(order)[fit.p2s]
        np.testing.assert_allclose(array, reference, atol=1e-8 * np.abs(reference).max())
    for members, tensor in zip(fit.fc4.clusters, fit.fc4.tensors, strict=True):
        reference = expected[tuple(members)]
        np.testing.assert_allclose(tensor, reference, atol=1e-8 * np.abs(fit.fc4.tensors).max())


def test_one_cutoff_gives_the_second_order_alone(cell):
    supercell = cell.repeat(3)
    displacements = 0.05 * np.random.default_rng(6).normal(size=(4, 27, 3))
    basis = ForceConstantBasis(cell, supercell, (4.3,))
    truth = np.random.default_rng(7).normal(size=basis.n_parameters)
    fit = fit_force_constants(cell, supercell, displacements, basis.forces(truth, displacements), (4.3,))
    assert fit.quality.ridge_strength == 0  # nothing to regularise
    assert fit.fc3 is None
    assert fit.fc4 is None
    np.testing.assert_allclose(fit.fc2, basis.arrays(truth)[0], atol=1e-9)  # noise-free
