"""Files of phono3py: ``fc2.hdf5``, ``fc3.hdf5``, and the cells and charges of ``phono3py.yaml`` (and ``phonopy.yaml``).

phono3py does the reading and writing of arrays. Its yaml loader builds whatever Python object a file asks for, so the
yaml text is parsed here by the safe loader and handed over as plain data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms
from phono3py import Phono3py
from phono3py.file_IO import read_fc3_from_hdf5, write_fc2_to_hdf5, write_fc3_to_hdf5
from phono3py.interface.phono3py_yaml import load_phono3py_yaml
from phonopy import Phonopy
from phonopy.interface.phonopy_yaml import load_phonopy_yaml
from phonopy.physical_units import get_calculator_physical_units, get_physical_units
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.lattice.cells import primitive_cell_by_symmetry, to_atoms
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.objects import compact, full, nac_in_order, rows_of_phonopy
from aiida_iontherm.tasks.force_constant_files.phonopy_files import DAMAGED
from aiida_iontherm.tasks.force_constant_files.repetition import Repetition
from aiida_iontherm.tasks.plain_yaml import plain_yaml


@dataclass(frozen=True)
class YamlCells:
    """Cells of a yaml file of phonopy or phono3py, in Angstrom.

    Attributes
    ----------
    primitive, supercell
        Of the third order where the second has its own.
    second_supercell
        Supercell of the second order.
    nac
        Charges as phonopy takes them, of the atoms of `primitive`, or None.
    """

    primitive: Atoms
    supercell: Atoms
    second_supercell: Atoms
    nac: dict[str, Any] | None


def read_yaml_cells(path: Path, symprec: float = 1e-5) -> YamlCells:
    """Cells and charges of a yaml file of phonopy or phono3py.

    Raises
    ------
    ValueError
        If the file is damaged or holds no cell.
    """
    data = plain_yaml(path)
    is_third = "phono3py" in data
    try:
        found: Any = load_phono3py_yaml(data) if is_third else load_phonopy_yaml(data)
        if found.unitcell is None or found.supercell_matrix is None:
            raise ValueError("it names no unit cell or no supercell matrix")
        kind: Any = Phono3py if is_third else Phonopy
        extra = {"phonon_supercell_matrix": found.phonon_supercell_matrix} if is_third else {}
        with primitive_cell_by_symmetry():
            crystal = kind(
                found.unitcell,
                found.supercell_matrix,
                primitive_matrix="P" if found.primitive_matrix is None else found.primitive_matrix,
                symprec=symprec,
                **extra,
            )
    except DAMAGED as error:
        raise ValueError(f"{path.name} holds no cells that can be read: {error}") from error
    scale = get_calculator_physical_units(found.calculator).distance_to_A
    nac = None if found.nac_params is None else dict(found.nac_params)
    if nac is not None and scale != 1:
        units = get_physical_units()
        nac["factor"] = units.Hartree * units.Bohr
    return YamlCells(
        primitive=_scaled(crystal.primitive, scale),
        supercell=_scaled(crystal.supercell, scale),
        second_supercell=_scaled(crystal.phonon_supercell if is_third else crystal.supercell, scale),
        nac=nac,
    )


def read_fc3(path: Path, repetition: Repetition) -> ForceConstants:
    """``fc3.hdf5`` in eV/Angstrom^3.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, or of another supercell.
    """
    try:
        with h5py.File(path) as file:
            rows = file["p2s_map"][:] if "p2s_map" in file else None
        array = read_fc3_from_hdf5(path)
    except DAMAGED as error:
        raise ValueError(f"{path.name} cannot be read as third-order force constants of phono3py: {error}") from error
    if isinstance(array, dict):  # with a mask of what a cutoff left
        array = array["fc3"]
    return ForceConstants(repetition, third=compact(array, repetition, rows))


def write_fc2(path: Path, constants: ForceConstants, *, whole: bool = False) -> None:
    """``fc2.hdf5``, every bit kept; `whole` writes all rows instead of those of the primitive cell."""
    if constants.second is None:
        raise ValueError("there are no second-order force constants here to write: read them first")
    array, rows = _rows(constants.second, constants.repetition, whole)
    write_fc2_to_hdf5(array, filename=str(path), p2s_map=rows, physical_unit="eV/angstrom^2")


def write_fc3(path: Path, constants: ForceConstants, *, whole: bool = False) -> None:
    """``fc3.hdf5``, every bit kept.

    Raises
    ------
    ValueError
        If there is no third order, or the supercell cannot hold it.
    """
    array, rows = _rows(constants.third_array(), constants.repetition, whole)
    write_fc3_to_hdf5(array, filename=str(path), p2s_map=rows)


def write_yaml(path: Path, constants: ForceConstants) -> None:
    """``phono3py.yaml`` with the cells and charges that belong to ``fc2.hdf5`` and ``fc3.hdf5`` beside it."""
    supercell = constants.supercell
    cell = PhonopyAtoms(cell=supercell.cell.array, positions=supercell.positions, numbers=supercell.numbers)
    phono3py = Phono3py(cell, np.eye(3, dtype=int), primitive_matrix=np.linalg.inv(constants.matrix))
    if constants.nac is not None:
        phono3py.nac_params = nac_in_order(constants, rows_of_phonopy(constants.repetition))
    phono3py.save(path)


def _rows(array: np.ndarray, repetition: Repetition, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    if whole:
        return full(array, repetition), np.arange(len(repetition.supercell))
    order = rows_of_phonopy(repetition)
    return np.ascontiguousarray(array[order]), repetition.p2s[order]


def _scaled(cell: PhonopyAtoms, scale: float) -> Atoms:
    atoms = to_atoms(cell)
    atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
    return atoms
