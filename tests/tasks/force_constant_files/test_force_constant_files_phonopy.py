"""Files of phonopy: round trips, phonopy reads what is written, damaged files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import phonopy
import pytest
from ase import Atoms
from phonopy.file_IO import parse_BORN, write_FORCE_CONSTANTS, write_force_constants_to_hdf5
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.lattice.cells import to_atoms
from aiida_iontherm.tasks.force_constant_files import (
    ForceConstants,
    from_phonopy,
    phonopy_supercell,
    read_born,
    read_force_constants,
    to_phonopy,
    write_force_constants,
)
from aiida_iontherm.tasks.force_constant_files.objects import full

PRINTED = 0.5e-15 + 2e-15
"""eV/Angstrom^2: half of the 15th decimal that FORCE_CONSTANTS has, and the rounding of numbers up to 12."""


@pytest.mark.parametrize("layout", ["phonopy", "phonopy-full"])
def test_text_round_trip(layout: str, constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "FORCE_CONSTANTS"
    write_force_constants(path, constants, format=layout)
    back = read_force_constants(path, constants.primitive, constants.supercell)
    assert np.abs(back.second - constants.second).max() < PRINTED


@pytest.mark.parametrize("layout", ["phonopy-hdf5", "phonopy-hdf5-full"])
def test_hdf5_round_trip(layout: str, constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "force_constants.hdf5"
    write_force_constants(path, constants, format=layout)
    back = read_force_constants(path, constants.primitive, constants.supercell)
    assert np.array_equal(back.second, constants.second)


@pytest.mark.parametrize("name", ["FORCE_CONSTANTS", "force_constants.hdf5"])
def test_phonopy_reads_what_is_written(name: str, constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / name, constants)
    theirs = phonopy.load(
        unitcell=as_phonopy(constants.primitive),
        supercell_matrix=constants.matrix,
        primitive_matrix="P",
        force_constants_filename=tmp_path / name,
        is_nac=False,
        log_level=0,
    )
    ours = to_phonopy(replace(constants, nac=None))
    for crystal in (theirs, ours):
        crystal.run_qpoints([[0.1, 0.2, 0.3]])
    # THz: eigenvalues of the same numbers to 15 decimals, and no soft modes.
    assert np.abs(theirs.qpoints.frequencies - ours.qpoints.frequencies).max() < 1e-9


@pytest.mark.parametrize("whole", [False, True])
def test_what_phonopy_writes_is_read(whole: bool, constants: ForceConstants, tmp_path: Path) -> None:
    array = full(constants.second, constants.repetition) if whole else constants.second
    rows = np.arange(24) if whole else constants.repetition.p2s
    write_FORCE_CONSTANTS(array, filename=tmp_path / "FORCE_CONSTANTS", p2s_map=rows)
    write_force_constants_to_hdf5(array, filename=str(tmp_path / "fc.hdf5"), p2s_map=rows)
    for name in ("FORCE_CONSTANTS", "fc.hdf5"):
        back = read_force_constants(tmp_path / name, constants.primitive, constants.supercell)
        assert np.abs(back.second - constants.second).max() < PRINTED


def test_rows_of_other_atoms_are_moved_home(constants: ForceConstants, tmp_path: Path) -> None:
    """Compact files may list the last atom of each kind instead of the first, in any order."""
    atom_of = constants.repetition.atom_of
    rows = np.array([np.flatnonzero(atom_of == atom)[-1] for atom in (2, 0, 1)])
    array = full(constants.second, constants.repetition)[rows]
    write_FORCE_CONSTANTS(array, filename=tmp_path / "FORCE_CONSTANTS", p2s_map=rows)
    back = read_force_constants(tmp_path / "FORCE_CONSTANTS", constants.primitive, constants.supercell)
    assert np.abs(back.second - constants.second).max() < PRINTED


def test_primitive_atoms_in_another_order(constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "FORCE_CONSTANTS", constants)
    order = [2, 0, 1]
    back = read_force_constants(tmp_path / "FORCE_CONSTANTS", constants.primitive[order], constants.supercell)
    assert np.abs(back.second - constants.second[order]).max() < PRINTED
    write_force_constants(tmp_path / "again", back, format="phonopy")
    assert (tmp_path / "again").read_text() == (tmp_path / "FORCE_CONSTANTS").read_text()


@pytest.mark.slow
def test_real_crystal_through_all_doors(shared_data: Path, tmp_path: Path) -> None:
    """Rock salt of the phonon database: conventional cell, forces, charges; and a yaml file to find the cells in."""
    folder = shared_data / "phonondb" / "mp-22862"
    theirs = phonopy.load(
        unitcell_filename=folder / "POSCAR-unitcell",
        supercell_matrix=np.diag([2, 2, 2]),
        primitive_matrix="F",
        force_sets_filename=folder / "FORCE_SETS",
        born_filename=folder / "BORN",
        log_level=0,
    )
    known = from_phonopy(theirs)
    primitive, supercell = to_atoms(theirs.primitive), to_atoms(theirs.supercell)
    made = read_force_constants(folder / "FORCE_SETS", primitive, supercell, born=True)
    # eV/Angstrom^2: the same cell, described otherwise; measured 2e-15.
    assert np.abs(made.second - known.second).max() < 1e-12
    assert np.abs(made.nac["born"] - theirs.nac_params["born"]).max() < 1e-12
    theirs.save(tmp_path / "phonopy.yaml")
    for name in ("FORCE_CONSTANTS", "force_constants.hdf5"):
        write_force_constants(tmp_path / name, known)
        beside = read_force_constants(tmp_path / name, born=True)
        assert np.abs(beside.second - known.second).max() < PRINTED
        assert np.array_equal(beside.nac["dielectric"], theirs.nac_params["dielectric"])
    again = to_phonopy(read_force_constants(tmp_path / "FORCE_CONSTANTS", born=True))
    for crystal in (theirs, again):
        crystal.run_qpoints([[0.1, 0.1, 0.3]])
    # THz; the factor of the non-analytical term, 14.4, has six decimals in the yaml file: relative 3e-8 at most.
    assert np.abs(theirs.qpoints.frequencies - again.qpoints.frequencies).max() < 1e-7


def test_folder_of_phonopy_is_read(shared_data: Path) -> None:
    constants = read_force_constants(shared_data / "phonondb" / "mp-22862", born=True)
    assert constants.second.shape == (2, 64, 3, 3)
    assert constants.nac is not None


def test_born_round_trip(constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "BORN", constants)
    back = read_born(tmp_path / "BORN", constants.primitive)
    # 8 decimals are written.
    assert np.abs(back["born"] - constants.nac["born"]).max() < 0.6e-8
    assert np.abs(back["dielectric"] - constants.nac["dielectric"]).max() < 0.6e-8
    theirs = parse_BORN(as_phonopy(constants.primitive), filename=tmp_path / "BORN")
    assert np.array_equal(theirs["born"], back["born"])


def test_missing_charges_are_asked_for(constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "FORCE_CONSTANTS"
    write_force_constants(path, constants)
    cells = (constants.primitive, constants.supercell)
    with pytest.raises(ValueError, match="there is no BORN file beside FORCE_CONSTANTS"):
        read_force_constants(path, *cells, born=True)
    with pytest.raises(ValueError, match=r"there is no .*CHARGES: the non-analytical term needs a BORN file"):
        read_force_constants(path, *cells, born=tmp_path / "CHARGES")
    write_force_constants(tmp_path / "BORN", constants)
    assert read_force_constants(path, *cells).nac is None
    assert read_force_constants(path, *cells, born=True).nac is not None
    text = (tmp_path / "BORN").read_text().splitlines()
    (tmp_path / "BORN").write_text("\n".join(text[:-1]))
    with pytest.raises(ValueError, match="BORN does not fit the primitive cell of 3 atoms: Number of lines"):
        read_force_constants(path, *cells, born=True)


def test_another_supercell_is_refused(constants: ForceConstants, crystal: Atoms, tmp_path: Path) -> None:
    larger = phonopy_supercell(crystal, (2, 2, 3))
    for name in ("FORCE_CONSTANTS", "force_constants.hdf5"):
        write_force_constants(tmp_path / name, constants)
        with pytest.raises(ValueError, match="over 3 x 24 atoms do not belong to a supercell of 36 atoms"):
            read_force_constants(tmp_path / name, crystal, larger)


@pytest.mark.parametrize("layout", ["phonopy", "phonopy-full"])
def test_another_order_of_atoms_is_refused(layout: str, constants: ForceConstants, tmp_path: Path) -> None:
    """By species, as VASP sorts, instead of phonopy's order: the count is right, everything else is not."""
    path = tmp_path / "FORCE_CONSTANTS"
    write_force_constants(path, constants, format=layout)
    supercell = constants.supercell
    wrong = supercell[np.concatenate([[0], np.arange(7, 0, -1), np.arange(8, 24)])]
    with pytest.raises(ValueError, match="another order of its atoms"):
        read_force_constants(path, constants.primitive, wrong)


def test_cells_are_needed(constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "FORCE_CONSTANTS", constants)
    with pytest.raises(ValueError, match="does not say what crystal it is of: give primitive= and supercell="):
        read_force_constants(tmp_path / "FORCE_CONSTANTS", constants.primitive)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda text: text[: len(text) // 2], r"has \d+ lines where 3 x 24 force constants need 289: it is cut short"),
        (lambda text: text.replace("3   24", "3   25", 1), "need 301: it is cut short"),
        (lambda text: text[:-60] + " NaN".rjust(60), "not finite"),
        (lambda text: text[:-60] + "abc".rjust(60), "something else than numbers"),
    ],
)
def test_damaged_text(
    how: Callable[[str], str], message: str, constants: ForceConstants, tmp_path: Path, changed: Callable
) -> None:
    write_force_constants(tmp_path / "FORCE_CONSTANTS", constants)
    path = changed(tmp_path / "FORCE_CONSTANTS", how)
    with pytest.raises(ValueError, match=message):
        read_force_constants(path, constants.primitive, constants.supercell)


def test_damaged_hdf5(constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "force_constants.hdf5"
    write_force_constants(path, constants)
    cells = (constants.primitive, constants.supercell)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a complete HDF5 file"):
        read_force_constants(path, *cells)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="empty or not a complete HDF5 file"):
        read_force_constants(path, *cells)
    with h5py.File(path, "w") as file:
        file["force_constants"] = np.full((3, 24, 3, 3), np.nan)
    with pytest.raises(ValueError, match="hold 648 numbers that are not finite"):
        read_force_constants(path, *cells)
    with h5py.File(path, "w") as file:
        file["gamma"] = np.zeros(3)
    with pytest.raises(ValueError, match="holds gamma, and no force constants"):
        read_force_constants(path, *cells)


def test_units_that_a_file_states_are_used(constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "force_constants.hdf5"
    rydberg = 13.605693122994 / 0.529177210903**2  # CODATA 2018
    p2s = constants.repetition.p2s
    write_force_constants_to_hdf5(constants.second / rydberg, filename=str(path), p2s_map=p2s, physical_unit="Ry/au^2")
    cells = (constants.primitive, constants.supercell)
    back = read_force_constants(path, *cells)
    # phonopy's constants are of an older CODATA, relative 1e-6.
    assert np.abs(back.second - constants.second).max() < 1e-5 * np.abs(constants.second).max()
    with pytest.raises(ValueError, match=r"says that it is in Ry/au\^2: leave out unit="):
        read_force_constants(path, *cells, unit="Ry/bohr")


def test_force_sets_of_another_supercell_or_cut_short(shared_data: Path, tmp_path: Path, changed: Callable) -> None:
    folder = shared_data / "phonondb" / "mp-22862"
    unit = read_force_constants(folder)
    with pytest.raises(ValueError, match="holds forces on 64 atoms and the supercell has 16"):
        read_force_constants(folder / "FORCE_SETS", unit.primitive, phonopy_supercell(unit.primitive, (2, 2, 2)))
    cut = changed(folder / "FORCE_SETS", lambda text: text[: len(text) * 2 // 3])
    with pytest.raises(ValueError, match="FORCE_SETS is cut short or damaged"):
        read_force_constants(cut, unit.primitive, unit.supercell)


def as_phonopy(atoms: Atoms) -> PhonopyAtoms:
    return PhonopyAtoms(cell=atoms.cell.array, positions=atoms.positions, numbers=atoms.numbers)
