import numpy as np
import pytest
from ase import Atoms
from phono3py import Phono3py

from aiida_iontherm.physics.lattice import (
    ThreePhononScattering,
    phono3py_from_force_constants,
    three_phonon_gamma,
)

MESH, TEMPERATURES = (5, 5, 5), [100.0, 300.0]


@pytest.fixture(scope="module")
def scattering(silicon) -> ThreePhononScattering:
    return ThreePhononScattering(silicon, MESH, TEMPERATURES)


def test_linewidths_are_those_of_phono3pys_own_run(silicon, scattering):
    ours = three_phonon_gamma(scattering)
    silicon.mesh_numbers = list(MESH)
    silicon.init_phph_interaction(average_degenerate_weights=True)
    silicon.run_thermal_conductivity(temperatures=TEMPERATURES)
    theirs = silicon.thermal_conductivity
    np.testing.assert_array_equal(scattering.weights, theirs.grid_weights)
    np.testing.assert_allclose(scattering.qpoints, theirs.qpoints, atol=1e-14)
    # The same kernel on the same points: rounding at most.
    np.testing.assert_allclose(ours, theirs.gamma[0], rtol=1e-12, atol=1e-16)


def test_interrupted_run_goes_on_to_the_same_result(scattering):
    whole = three_phonon_gamma(scattering)
    stored: dict[int, np.ndarray] = {}

    class WallTime(Exception):
        pass

    def stop_after_four(index: int, total: int, gamma: np.ndarray) -> None:
        stored[index] = gamma.copy()
        assert total == len(scattering)
        if len(stored) == 4:
            raise WallTime

    with pytest.raises(WallTime):
        three_phonon_gamma(scattering, progress=stop_after_four)
    seen: list[int] = []
    resumed = three_phonon_gamma(scattering, stored, lambda index, total, gamma: seen.append(index))
    np.testing.assert_array_equal(resumed, whole)
    assert seen == list(range(4, len(scattering)))


def test_linewidths_follow_from_stored_arrays(silicon, scattering):
    """A new process with the same arrays gives the same numbers, whatever basis its solver finds for degenerate modes.

    Without phono3py's averaging of weights single linewidths of this very case differ by up to 30 %.
    """
    cell = silicon.unitcell
    atoms = Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
    rebuilt = phono3py_from_force_constants(atoms, silicon.supercell_matrix, silicon.fc2, silicon.fc3)
    gamma = three_phonon_gamma(ThreePhononScattering(rebuilt, MESH, TEMPERATURES))
    # Positions go through ASE: rounding. Widths below 1e-9 THz belong to the acoustic modes at Gamma.
    np.testing.assert_allclose(gamma, three_phonon_gamma(scattering), rtol=1e-9, atol=1e-9)


def test_nothing_is_printed_or_written(silicon, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    three_phonon_gamma(ThreePhononScattering(silicon, (2, 2, 2), [300.0]))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert not list(tmp_path.iterdir())


def test_bad_input_is_refused(silicon, scattering):
    bare = Phono3py(silicon.unitcell, [1, 1, 1], primitive_matrix="P")
    with pytest.raises(ValueError, match="force constants"):
        ThreePhononScattering(bare, MESH, TEMPERATURES)
    with pytest.raises(ValueError, match="temperatures must be positive"):
        ThreePhononScattering(silicon, MESH, [0.0])
    with pytest.raises(ValueError, match="three positive integers"):
        ThreePhononScattering(silicon, (5, 5), TEMPERATURES)
    with pytest.raises(ValueError, match="from another calculation"):
        three_phonon_gamma(scattering, {0: np.zeros((1, 6))})
