"""Folders of ShengBTE give the crystal that phono3py has."""

import ase.io
import numpy as np
import pytest

from aiida_iontherm.physics.lattice.cells import to_atoms
from aiida_iontherm.tasks.crystal_directory import find_third_order, load_crystal
from aiida_iontherm.tasks.force_constant_files import from_phono3py, phonopy_supercell, write_force_constants
from aiida_iontherm.tasks.phonopy_directory import load_phono3py_directory

QPOINTS = [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.1, 0.2, 0.3]]


@pytest.fixture(scope="module")
def silicon(shared_data):
    return load_phono3py_directory(shared_data / "force_sets" / "Si-PBE")


@pytest.fixture(scope="module")
def folder(silicon, tmp_path_factory):
    """ShengBTE's two files; the second order in 4 x 4 x 4 primitive cells, which hold that of 2 x 2 x 2 cubic ones."""
    path = tmp_path_factory.mktemp("shengbte")
    primitive = to_atoms(silicon.primitive)
    constants = from_phono3py(silicon)
    large = constants.in_supercell(phonopy_supercell(primitive, (4, 4, 4)))
    write_force_constants(path / "FORCE_CONSTANTS_2ND", large)
    write_force_constants(path / "FORCE_CONSTANTS_3RD", constants)
    ase.io.write(path / "POSCAR", primitive, format="vasp", direct=True)
    return path


def test_frequencies_and_third_order_are_phono3pys(folder, silicon):
    assert find_third_order(folder)
    said = []
    crystal = load_crystal(folder, third=True, supercell_matrix=[4, 4, 4], remark=said.append)
    from aiida_iontherm.physics.lattice import phonopy_from_phono3py

    ours, theirs = (phonopy_from_phono3py(c).run_qpoints(QPOINTS).frequencies for c in (crystal, silicon))
    # seventeen digits in the file; acoustic modes at Gamma are roots of rounding errors
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert "FORCE_CONSTANTS_3RD" in said[0]
    # the same triplets: the sum over all elements does not depend on the supercell they are in
    assert np.sum(crystal.fc3**2) > 0
    np.testing.assert_allclose(np.abs(crystal.fc3).max(), np.abs(silicon.fc3).max(), rtol=1e-9)


def test_harmonic_alone(folder):
    crystal = load_crystal(folder, third=False, supercell_matrix=[4, 4, 4])
    assert crystal.force_constants.shape[1] == 128


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"third": True}, "does not tell its supercell"),
        ({"third": False, "nac": True, "supercell_matrix": [4, 4, 4]}, "no BORN beside"),
        ({"third": False, "supercell_matrix": [3, 3, 3]}, "do not belong to a supercell of 54 atoms"),
    ],
)
def test_what_is_missing_is_named(folder, options, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        load_crystal(folder, **options)


def test_cell_is_asked_for(folder, tmp_path):
    (tmp_path / "FORCE_CONSTANTS_2ND").write_bytes((folder / "FORCE_CONSTANTS_2ND").read_bytes())
    with pytest.raises(FileNotFoundError, match="put the primitive cell there"):
        load_crystal(tmp_path, third=False)
