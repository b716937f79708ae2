import numpy as np
import pytest
from ase.build import bulk

from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.fc_modes import SupercellModes
from aiida_iontherm.physics.lattice.force_constant_convergence import (
    convergence_with_cutoffs,
    convergence_with_snapshots,
)

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


def test_enough_snapshots_are_recognised(crystal, trajectory):
    _, _, displacements, forces = trajectory
    noisy = forces + 0.2 * np.random.default_rng(1).normal(size=forces.shape)
    result = convergence_with_snapshots(*crystal, displacements, noisy, CUTOFFS, (4, 12, 24), tolerance_thz=0.2)
    assert result.settings == (4, 12, 24)
    assert result.change_thz[0] > result.change_thz[1] > result.change_thz[2] == 0
    assert result.converged
    assert "within 0.2 THz" in result.reason
    strict = convergence_with_snapshots(*crystal, displacements, noisy, CUTOFFS, (12, 24), tolerance_thz=1e-4)
    assert not strict.converged
    assert "still changed" in strict.reason


def test_cutoffs_that_miss_an_interaction_are_not_converged(crystal, trajectory):
    _, _, displacements, forces = trajectory
    forces = forces + 1e-3 * np.random.default_rng(3).normal(size=forces.shape)
    short = convergence_with_cutoffs(*crystal, displacements, forces, [(3.0, 3.0), CUTOFFS])
    assert not short.converged
    assert short.rmse_test_ev_per_angstrom[0] > 100 * short.rmse_test_ev_per_angstrom[1]  # the last has noise alone
    long = convergence_with_cutoffs(*crystal, displacements, forces, [(3.0,), CUTOFFS, (5.0, 3.0)])
    assert long.converged
    assert list(long.n_parameters) == sorted(long.n_parameters)
    # The true model is within both spaces; 5000 forces with noise of 1e-3 of their size.
    assert long.change_thz[1] < 1e-2


def test_fitting_noise_is_not_convergence(crystal, trajectory):
    _, _, displacements, forces = trajectory
    noise = np.random.default_rng(2).normal(size=forces.shape)
    result = convergence_with_cutoffs(
        *crystal, displacements[:3], (forces + noise)[:3], [CUTOFFS, (5.0, 5.0)], tolerance_thz=100.0, blocks=3
    )
    assert not result.converged
    assert "test error grew" in result.reason


def test_bad_series_are_refused(crystal, trajectory):
    _, _, displacements, forces = trajectory
    for counts in ((24,), (12, 6), (12, 25)):
        with pytest.raises(ValueError, match="ascending"):
            convergence_with_snapshots(*crystal, displacements, forces, CUTOFFS, counts)
    with pytest.raises(ValueError, match="two or more sets"):
        convergence_with_cutoffs(*crystal, displacements, forces, [CUTOFFS])
