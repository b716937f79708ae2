"""The force constants that ShengBTE gets are those of the crystal, in a supercell it takes."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from shengbte_crystal import FOUR_PHONONS, SUPERCELL, force_constants

from aiida_iontherm.physics.lattice import phonopy_from_phono3py
from aiida_iontherm.physics.lattice.fc_basis import ClusterTensors
from aiida_iontherm.tasks.crystal import phonopy_of
from aiida_iontherm.tasks.force_constant_files import (
    Repetition,
    fold,
    phonopy_supercell,
    read_force_constants,
    to_phono3py,
    to_phonopy,
)
from aiida_iontherm.tasks.force_constant_files.objects import full
from aiida_iontherm.tasks.shengbte_files import ShengBteSettings, crystal_of, read_control, write_inputs
from aiida_iontherm.tasks.shengbte_files.inputs import diagonal_divisions

QPOINTS = [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.1, 0.2, 0.3]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs")
    names = write_inputs(path, force_constants(), ShengBteSettings.of(FOUR_PHONONS))
    assert names == ["FORCE_CONSTANTS_2ND", "FORCE_CONSTANTS_3RD", "FORCE_CONSTANTS_4TH"]
    return path


def test_second_and_third_order(folder: Path) -> None:
    control = read_control(folder / "CONTROL")
    assert control.supercell == SUPERCELL
    supercell = phonopy_supercell(control.primitive, control.supercell)
    second = read_force_constants(folder / "FORCE_CONSTANTS_2ND", control.primitive, supercell)
    third = read_force_constants(folder / "FORCE_CONSTANTS_3RD", control.primitive, supercell)
    crystal = to_phono3py(second.joined(third))
    ours, theirs = phonopy_from_phono3py(crystal), phonopy_of(force_constants())
    # 15 decimals in the file; acoustic modes at Gamma are roots of rounding errors
    ours, theirs = (phonopy.run_qpoints(QPOINTS).frequencies for phonopy in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    # 17 digits; images at the border of the supercell are shared and added up again
    np.testing.assert_allclose(crystal.fc3, force_constants()["fc3_0"], atol=1e-12)


def test_fourth_order(folder: Path) -> None:
    arrays = force_constants()
    primitive = read_control(folder / "CONTROL").primitive
    supercell = phonopy_supercell(primitive, SUPERCELL)
    fourth = read_force_constants(folder / "FORCE_CONSTANTS_4TH", primitive, supercell).fourth
    repetition = Repetition.of(primitive, supercell)
    dense = ClusterTensors(arrays["fc4_clusters"], arrays["fc4_0"]).dense(arrays["p2s"], len(supercell))
    assert np.array_equal(repetition.p2s, arrays["p2s"])
    # 17 digits of elements up to some hundred eV/Angstrom^4
    np.testing.assert_allclose(fold(fourth, repetition), dense, atol=1e-12)


def test_supercell_that_is_not_diagonal() -> None:
    """Primitive cells of fcc in cubic supercells: the frequencies are the same in the parallelepiped ShengBTE takes."""
    cubic = bulk("Cu", cubic=True)
    supercell = phonopy_supercell(cubic, (2, 2, 2))
    atoms = len(supercell)
    # Any numbers that are symmetric and repeat with the lattice: images at the border count as much as neighbours.
    row = np.random.default_rng(1).normal(size=(1, atoms, 3, 3))
    springs = full(row, Repetition.of(bulk("Cu"), supercell))
    springs += springs.transpose(1, 0, 3, 2)
    arrays = {
        "fits": np.array(1),
        "unitcell": cubic.cell.array,
        "positions": cubic.positions,
        "numbers": cubic.numbers,
        "supercell": np.array([2, 2, 2]),
        "fc2_0": springs,
        "fc3_0": np.zeros((1, atoms, atoms, 3, 3, 3)),
    }
    arrays["fc3_0"][0, 0, 0] = 1.0
    crystal = crystal_of(arrays, ShengBteSettings.of({"temperatures": [300], "mesh": [2, 2, 2]}))
    assert np.array_equal(crystal.constants.matrix, np.diag([4, 4, 4]))
    ours, theirs = (
        np.sort(p.run_qpoints(QPOINTS).frequencies, axis=1) for p in (to_phonopy(crystal.constants), crystal.phonopy)
    )
    assert np.abs(theirs).max() > 1
    # squares of frequencies to rounding; at Gamma roots of rounding errors
    np.testing.assert_allclose(ours, theirs, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("matrix", "divisions"),
    [
        (np.diag([3, 3, 2]), (3, 3, 2)),
        # Cubic cells of fcc: a_1 = (0, a, a)/2 fits twice into two of them, but 2 a_1 is (0, a, a), so four times.
        ([[-1, 1, 1], [1, -1, 1], [1, 1, -1]], (2, 2, 2)),
        ([[-2, 2, 2], [2, -2, 2], [2, 2, -2]], (4, 4, 4)),
        ([[1, 1, 0], [-1, 1, 0], [0, 0, 3]], (2, 2, 3)),
        ([[2, 1, 0], [0, 1, 0], [0, 0, 1]], (2, 2, 1)),
    ],
)
def test_divisions(matrix: list[list[int]], divisions: tuple[int, int, int]) -> None:
    primitive = bulk("Cu")
    repetition = Repetition.of(primitive, phonopy_supercell(primitive, matrix))
    assert diagonal_divisions(repetition) == divisions


def test_what_is_missing_is_named() -> None:
    arrays = force_constants()
    settings = ShengBteSettings.of(FOUR_PHONONS)
    without_fourth = {name: array for name, array in arrays.items() if not name.startswith("fc4")}
    with pytest.raises(ValueError, match="four_phonon needs a fourth order"):
        crystal_of(without_fourth, settings)
    with pytest.raises(ValueError, match="no third order"):
        crystal_of({name: array for name, array in without_fourth.items() if name != "fc3_0"}, settings)
    crystal_of(without_fourth, ShengBteSettings.of({"temperatures": [300], "mesh": [2, 2, 2]}))


def test_charges_in_another_unit() -> None:
    charges = {"born": np.array([np.eye(3), -np.eye(3)]), "dielectric": np.eye(3)}
    settings = ShengBteSettings.of({"temperatures": [300], "mesh": [2, 2, 2]})
    with pytest.raises(ValueError, match="ShengBTE takes charges in e"):
        crystal_of(force_constants() | charges | {"nac_factor": np.array(2.0)}, settings)
    crystal = crystal_of(force_constants() | charges | {"nac_factor": np.array(14.399652)}, settings)
    np.testing.assert_array_equal(crystal.control(settings).nac["born"], charges["born"])


def test_mesh_that_breaks_the_symmetry() -> None:
    settings = ShengBteSettings.of({"temperatures": [300], "mesh": [4, 3, 3]})
    with pytest.raises(ValueError, match="4 x 3 x 3 breaks the symmetry of the crystal"):
        crystal_of(force_constants(), settings)
