from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.fc_modes import SupercellModes, commensurate_frequencies
from aiida_iontherm.physics.lattice.force_constant_convergence import (
    convergence_with_cutoffs,
    convergence_with_snapshots,
)
from aiida_iontherm.physics.lattice.force_constants import fit_force_constants, fit_in_basis

CUTOFFS = (4.5, 3.0)


@pytest.fixture(scope="module")
def crystal():
    return bulk("NaCl", "rocksalt", a=5.6), bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(2)


@pytest.fixture(scope="module")
def trajectory(crystal):
    """Forces of springs whose length reaches second neighbours (3.96 Angstrom), with a little third order."""
    basis = ForceConstantBasis(*crystal, CUTOFFS)
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=basis.n_parameters)
    displacements = 0.05 * rng.normal(size=(24, len(crystal[1]), 3))
    return basis, parameters, displacements, basis.forces(parameters, displacements)


def test_supercell_modes_are_those_of_phonopy(crystal, trajectory):
    from phonopy import Phonopy
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points
    from phonopy.structure.atoms import PhonopyAtoms

    primitive = crystal[0]
    cell = PhonopyAtoms(
        numbers=primitive.numbers, cell=primitive.cell.array, scaled_positions=primitive.get_scaled_positions()
    )
    phonopy = Phonopy(cell, np.diag([3, 3, 3]), primitive_matrix="P")
    supercell = primitive.copy()
    supercell = type(primitive)(
        numbers=phonopy.supercell.numbers, positions=phonopy.supercell.positions, cell=phonopy.supercell.cell, pbc=True
    )
    basis = ForceConstantBasis(primitive, supercell, (4.5,))
    fc2 = basis.arrays(trajectory[1][: basis.n_parameters])[0]
    modes = SupercellModes.from_force_constants(fc2, basis.p2s, basis.translations, phonopy.supercell.masses)
    phonopy.force_constants = fc2
    points = [phonopy.get_frequencies(q) for q in get_commensurate_points(np.diag([3, 3, 3]))]
    expected = np.sort(np.ravel(points))
    translations = np.argsort(np.abs(expected))[:3]
    # Frequencies of some THz; phonopy's matrix is complex and rounds differently, its units agree to 1e-9.
    np.testing.assert_allclose(modes.frequencies_thz, np.delete(expected, translations), atol=1e-6)


def test_frequencies_point_by_point_are_those_of_the_supercell(crystal, trajectory):
    """Also of a primitive cell that is not along the axes of the supercell; masses and vectors of one and the other."""
    basis, parameters, _, _ = trajectory
    fc2 = basis.arrays(parameters)[0]
    whole = SupercellModes.from_force_constants(fc2, basis.p2s, basis.translations, crystal[1].get_masses())
    points = commensurate_frequencies(fc2, basis.p2s, basis.translations, *crystal)
    assert points.shape == (32, 6)
    expected = np.sort(np.append(whole.frequencies_thz, np.zeros(3)))
    # Frequencies of some 10 THz; a square root turns rounding of a zero mode into 1e-6 THz.
    np.testing.assert_allclose(np.sort(points.ravel()), expected, atol=1e-5)


def fitted(crystal, displacements, forces, cutoffs=CUTOFFS, **options):
    return fit_force_constants(*crystal, displacements, forces, cutoffs, partial=True, **options)


def test_partial_fits_are_those_to_the_snapshots_themselves(crystal, trajectory):
    """Blocks 2 and 3 of four, by a fit to these snapshots alone."""
    basis, _, displacements, forces = trajectory
    noisy = forces + 0.2 * np.random.default_rng(1).normal(size=forces.shape)
    whole = fitted(crystal, displacements, noisy, fit_method="least-squares")
    quarter, half = whole.partial
    assert (quarter.snapshots, half.snapshots, whole.snapshots) == (6, 12, 24)
    assert half.parameters.shape == (4, basis.n_parameters)
    alone = fit_in_basis(basis, displacements[6:18], noisy[6:18], fit_method="least-squares", blocks=2)
    # Normal equations square a condition number of some hundreds.
    np.testing.assert_allclose(half.parameters[1], alone.parameters, atol=1e-8)
    residuals = []
    for fit, start in zip(half.parameters, (0, 6, 12, 18), strict=True):
        unseen = np.roll(np.arange(24), -start)[12:]
        residuals.append(basis.forces(fit, displacements[unseen]) - noisy[unseen])
    assert half.rmse_test == pytest.approx(np.sqrt(np.mean(np.square(residuals))), rel=1e-9)


def test_enough_snapshots_are_recognised(crystal, trajectory):
    basis, _, displacements, forces = trajectory
    noisy = forces + 0.2 * np.random.default_rng(1).normal(size=forces.shape)
    fit = fitted(crystal, displacements, noisy)
    result = convergence_with_snapshots(fit, *crystal, tolerance_thz=0.2)
    assert result.settings == (6, 12, 24)
    assert result.n_parameters.tolist() == [basis.n_parameters] * 3
    assert result.change_thz[0] > result.change_thz[1] > result.change_thz[2] == 0
    assert result.rmse_test_ev_per_angstrom[-1] == fit.quality.rmse_test
    assert result.converged
    assert "from 12 to 24" in result.reason
    assert "within 0.2 THz" in result.reason
    strict = convergence_with_snapshots(fit, *crystal, tolerance_thz=1e-4)
    assert not strict.converged
    assert "still changed" in strict.reason


def test_the_change_from_half_to_all_is_a_standard_error(trajectory):
    """Least squares with white noise: var(half - all) = var(half) - var(all) = var(all)."""
    basis, parameters, displacements, forces = trajectory
    rng, second = np.random.default_rng(4), slice(0, basis.parameters_up_to(2))
    errors, changes = [], []
    for _ in range(40):
        noisy = forces + 0.1 * rng.normal(size=forces.shape)
        fit = fit_in_basis(basis, displacements, noisy, fit_method="least-squares", partial=True)
        errors.append((fit.parameters - parameters)[second])
        changes.append((fit.partial[1].parameters - fit.parameters)[:, second])
    variances, squares = np.mean(np.square(errors), axis=0), np.mean(np.square(changes), axis=(0, 1))
    # Each parameter on its own scale; the mean of forty draws of eight parameters, not independent, scatters by 0.1.
    assert np.mean(2 * squares / (squares + variances)) == pytest.approx(1.0, abs=0.25)


def test_cutoffs_that_miss_an_interaction_are_not_converged(crystal, trajectory):
    _, _, displacements, forces = trajectory
    forces = forces + 1e-3 * np.random.default_rng(3).normal(size=forces.shape)
    fit = fitted(crystal, displacements, forces)
    short = convergence_with_cutoffs(fit, *crystal, displacements, forces, [(3.0, 3.0)])
    assert not short.converged
    assert "from 3 / 3 Angstrom to 4.5 / 3 Angstrom" in short.reason
    assert short.rmse_test_ev_per_angstrom[0] > 100 * short.rmse_test_ev_per_angstrom[1]  # the last has noise alone
    longer = fitted(crystal, displacements, forces, (5.0, 3.0))
    long = convergence_with_cutoffs(longer, *crystal, displacements, forces, [(3.0,), CUTOFFS])
    assert long.converged
    assert long.settings == ((3.0,), CUTOFFS, (5.0, 3.0))
    assert list(long.n_parameters) == sorted(long.n_parameters)
    # The true model is within both spaces; 5000 forces with noise of 1e-3 of their size.
    assert long.change_thz[1] < 1e-2


def test_fitting_noise_is_not_convergence(crystal, trajectory):
    _, _, displacements, forces = trajectory
    noisy = (forces + np.random.default_rng(2).normal(size=forces.shape))[:3]
    fit = fit_force_constants(*crystal, displacements[:3], noisy, (5.0, 5.0), blocks=3)
    result = convergence_with_cutoffs(fit, *crystal, displacements[:3], noisy, [CUTOFFS], tolerance_thz=100.0, blocks=3)
    assert not result.converged
    assert "test error grew" in result.reason


def test_too_few_snapshots_for_a_part_of_them_is_not_convergence(crystal, trajectory):
    """Two snapshots in two blocks: one of them does not determine the parameters of a longer third order."""
    _, _, displacements, forces = trajectory
    fit = fitted(crystal, displacements[:2], forces[:2], (5.0, 3.0), blocks=2)
    undetermined = replace(fit, partial=())  # as where least squares find a part of the snapshots too few
    result = convergence_with_snapshots(undetermined, *crystal)
    assert not result.converged
    assert "fewer snapshots leave parameters undetermined" in result.reason


def test_a_comparison_needs_something_to_compare_with(crystal, trajectory):
    _, _, displacements, forces = trajectory
    fit = fit_force_constants(*crystal, displacements, forces, CUTOFFS)
    with pytest.raises(ValueError, match="partial=True"):
        convergence_with_snapshots(fit, *crystal)
    with pytest.raises(ValueError, match="at least one set"):
        convergence_with_cutoffs(fit, *crystal, displacements, forces, [])
