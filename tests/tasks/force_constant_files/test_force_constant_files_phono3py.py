"""Files of phono3py: round trips, phono3py reads what is written, a yaml file that would run a program."""

from pathlib import Path

import numpy as np
import phono3py
import pytest
from ase import Atoms
from phono3py import Phono3py
from phono3py.file_IO import write_fc2_to_hdf5, write_fc3_to_hdf5

from aiida_iontherm.physics.lattice.cells import to_atoms
from aiida_iontherm.tasks.force_constant_files import (
    ForceConstants,
    from_phono3py,
    largest_difference,
    phonopy_supercell,
    read_force_constants,
    sum_rule_violation,
    to_phono3py,
    write_force_constants,
)
from aiida_iontherm.tasks.force_constant_files.objects import full


@pytest.mark.parametrize("whole", ["", "-full"])
def test_round_trip(whole: str, constants: ForceConstants, tmp_path: Path) -> None:
    cells = (constants.primitive, constants.supercell)
    write_force_constants(tmp_path / "fc2.hdf5", constants, format=f"phono3py-fc2{whole}")
    write_force_constants(tmp_path / "fc3.hdf5", constants, format=f"phono3py-fc3{whole}")
    second = read_force_constants(tmp_path / "fc2.hdf5", *cells)
    third = read_force_constants(tmp_path / "fc3.hdf5", *cells)
    assert np.array_equal(second.second, constants.second)
    assert np.array_equal(third.third, constants.third)
    both = third.joined(second)
    assert both.second is second.second
    assert both.third is third.third


def test_full_third_order_repeats_with_the_lattice(constants: ForceConstants) -> None:
    """Rows of the full array, taken as the compact ones of another choice of home atoms, are symmetric as triplets."""
    array = full(constants.third, constants.repetition)
    # Phi_ijk = Phi_jik for all atoms of the supercell: only right if every row was moved rightly. Elements up to 17.
    assert np.abs(array - array.transpose(1, 0, 2, 4, 3, 5)).max() < 1e-13
    assert np.abs(array.sum(axis=0)).max() < 1e-12


def test_phono3py_reads_what_is_written(constants: ForceConstants, tmp_path: Path) -> None:
    for name in ("phono3py.yaml", "fc2.hdf5", "fc3.hdf5"):
        write_force_constants(tmp_path / name, constants)
    theirs = phono3py.load(
        tmp_path / "phono3py.yaml",
        fc2_filename=tmp_path / "fc2.hdf5",
        fc3_filename=tmp_path / "fc3.hdf5",
        log_level=0,
    )
    back = from_phono3py(theirs)
    assert np.array_equal(back.third, constants.third)
    assert np.array_equal(back.second, constants.second)
    # 15 decimals in the yaml file.
    assert np.abs(back.nac["born"] - constants.nac["born"]).max() < 1e-14
    # And we read it with all that lies beside, finding cells and charges in the yaml file.
    ours = read_force_constants(tmp_path, born=True)
    assert np.array_equal(ours.third, constants.third)
    alone = read_force_constants(tmp_path / "fc3.hdf5", born=True)
    assert np.array_equal(alone.third, constants.third)
    assert np.abs(alone.nac["dielectric"] - constants.nac["dielectric"]).max() < 1e-14


def test_what_phono3py_writes_is_read(constants: ForceConstants, tmp_path: Path) -> None:
    p2s = constants.repetition.p2s
    write_fc2_to_hdf5(constants.second, filename=str(tmp_path / "fc2.hdf5"), p2s_map=p2s)
    write_fc3_to_hdf5(constants.third, filename=str(tmp_path / "fc3.hdf5"), p2s_map=p2s)
    mask = np.any(constants.third != 0, axis=(3, 4, 5)).astype("byte")
    write_fc3_to_hdf5(constants.third, fc3_nonzero_indices=mask, filename=str(tmp_path / "masked.hdf5"), p2s_map=p2s)
    cells = (constants.primitive, constants.supercell)
    assert np.array_equal(read_force_constants(tmp_path / "fc2.hdf5", *cells).second, constants.second)
    for name in ("fc3.hdf5", "masked.hdf5"):
        assert np.array_equal(read_force_constants(tmp_path / name, *cells).third, constants.third)


def test_objects_there_and_back(constants: ForceConstants) -> None:
    back = from_phono3py(to_phono3py(constants))
    assert np.array_equal(back.third, constants.third)
    assert np.array_equal(back.second, constants.second)
    assert np.array_equal(back.nac["born"], constants.nac["born"])


def test_second_order_in_a_supercell_of_its_own(constants: ForceConstants, crystal: Atoms) -> None:
    larger = constants.in_supercell(phonopy_supercell(crystal, (3, 2, 2)))
    cell = Phono3py(
        to_phono3py(constants).primitive,
        supercell_matrix=np.diag([2, 2, 2]),
        phonon_supercell_matrix=np.diag([3, 2, 2]),
        primitive_matrix="P",
    )
    cell.fc2, cell.fc3 = larger.second, constants.third
    both = from_phono3py(cell)
    assert len(both.supercell) == 36
    # eV/Angstrom^3, elements up to 17: moved, not changed.
    assert largest_difference(both.triplets(), constants.triplets()) < 1e-13


@pytest.mark.slow
def test_silicon_keeps_its_sum_rules(silicon: Phono3py, tmp_path: Path) -> None:
    """Real force constants that reach the faces of their supercell, through the sparse form and back."""
    constants = from_phono3py(silicon)
    triplets = constants.triplets()
    before = sum_rule_violation(constants.third)
    # Rounding of sums of some thousand elements.
    assert before < 1e-12
    assert sum_rule_violation(triplets) < 1e-12
    write_force_constants(tmp_path / "fc3.hdf5", ForceConstants(constants.repetition, third=triplets))
    back = read_force_constants(tmp_path / "fc3.hdf5", constants.primitive, constants.supercell)
    # eV/Angstrom^3: shares of up to 64 images added up again, elements up to 31.
    assert np.abs(back.third - constants.third).max() < 1e-12


def test_a_yaml_file_cannot_run_a_program(constants: ForceConstants, tmp_path: Path) -> None:
    for name in ("phono3py.yaml", "fc2.hdf5", "fc3.hdf5"):
        write_force_constants(tmp_path / name, constants)
    yaml = tmp_path / "phono3py.yaml"
    trace = tmp_path / "trace"
    program = f"!!python/object/apply:os.mkdir [{trace}]"
    yaml.write_text(f"{yaml.read_text()}\nextra: {program}\n")
    for path in (yaml, tmp_path, tmp_path / "fc3.hdf5"):
        with pytest.raises(ValueError, match=r"phono3py\.yaml is not plain yaml"):
            read_force_constants(path)
    assert not trace.exists()


def test_another_supercell_is_refused(constants: ForceConstants, crystal: Atoms, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "fc3.hdf5", constants)
    with pytest.raises(ValueError, match="over 3 x 24 x 24 atoms do not belong to a supercell of 36 atoms"):
        read_force_constants(tmp_path / "fc3.hdf5", crystal, phonopy_supercell(crystal, (2, 2, 3)))


def test_folder_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no cell to read"):
        read_force_constants(tmp_path)


def test_cells_survive_the_yaml_file(constants: ForceConstants, tmp_path: Path) -> None:
    for name in ("phono3py.yaml", "fc2.hdf5"):
        write_force_constants(tmp_path / name, constants)
    back = read_force_constants(tmp_path / "fc2.hdf5")
    assert list(back.supercell.symbols) == list(constants.supercell.symbols)
    # Angstrom, 15 decimals of fractional coordinates.
    assert np.abs(back.supercell.positions - constants.supercell.positions).max() < 1e-13
    assert np.array_equal(back.matrix, constants.matrix)
    assert np.array_equal(to_atoms(to_phono3py(constants).supercell).numbers, back.supercell.numbers)
