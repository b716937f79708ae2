"""A crystal with its force constants as plain arrays: what the task ``force-constants`` leaves and others start from.

``force_constants.npz`` holds

- ``unitcell`` [3, 3] and ``positions`` [n, 3] in Angstrom, ``numbers`` [n], ``supercell`` [3] or [3, 3];
- for each of the ``fits`` fits ``fc2_i`` in eV/Angstrom^2 and, where there is a third order, ``fc3_i`` in
  eV/Angstrom^3, compact or full, atoms in phonopy's order;
- where there is a fourth order ``fc4_clusters`` [c, 4], atoms of the supercell, and ``fc4_i`` [c, 3, 3, 3, 3] in
  eV/Angstrom^4 (`ClusterTensors`);
- and where they are known ``masses`` [n] in amu, ``primitive_matrix`` [3, 3] (else found by symmetry), ``symprec`` in
  Angstrom, ``phonon_supercell`` where the second order has one of its own, and for the non-analytical term ``born``
  [p, 3, 3], ``dielectric`` [3, 3], ``nac_factor``, ``nac_method`` and phonopy's settings of the Ewald sum,
  ``nac_Lambda`` and ``nac_G_cutoff`` in 1/Angstrom, atoms of the primitive cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.phonon.grid import length2mesh

from aiida_iontherm.physics.lattice.cells import SYMMETRY_TOLERANCE
from aiida_iontherm.physics.lattice.conversion import phono3py_from_force_constants, phonopy_from_phono3py

if TYPE_CHECKING:
    from phono3py import Phono3py

Arrays = dict[str, NDArray[Any]]

_NAC_SETTINGS = ("method", "Lambda", "G_cutoff")
"""What phonopy's parameters of the non-analytical term may hold beside numbers of the crystal."""


def crystal_arrays(crystal: Phonopy | Phono3py) -> Arrays:
    """Pack an object of phonopy or phono3py that holds force constants.

    Raises
    ------
    ValueError
        If it holds none of second order.
    """
    third = hasattr(crystal, "fc3")
    constants = crystal.fc2 if third else crystal.force_constants
    if constants is None:
        raise ValueError("there are no second-order force constants to store: produce them first")
    cell = crystal.unitcell
    arrays: Arrays = {
        "unitcell": np.array(cell.cell),
        "positions": np.array(cell.positions),
        "numbers": np.array(cell.numbers),
        "masses": np.array(cell.masses),
        "supercell": np.array(crystal.supercell_matrix),
        "symprec": np.array(crystal.symmetry.tolerance),
        "fits": np.array(1),
        "fc2_0": np.array(constants),
    }
    if crystal.primitive_matrix is not None:
        arrays["primitive_matrix"] = np.array(crystal.primitive_matrix)
    if third and crystal.phonon_supercell_matrix is not None:
        arrays["phonon_supercell"] = np.array(crystal.phonon_supercell_matrix)
    if third and crystal.fc3 is not None:
        arrays["fc3_0"] = np.array(crystal.fc3)
    nac = crystal.nac_params
    if nac is not None:
        arrays["born"], arrays["dielectric"] = np.array(nac["born"]), np.array(nac["dielectric"])
        arrays["nac_factor"] = np.array(nac["factor"])
        arrays |= {f"nac_{name}": np.array(nac[name]) for name in _NAC_SETTINGS if nac.get(name)}
    return arrays


def phonopy_of(arrays: Mapping[str, NDArray[Any]], fit: int = 0) -> Phonopy:
    """Harmonic part of a fit; errors as in `phono3py_of`."""
    return phonopy_from_phono3py(phono3py_of(arrays, fit))


def phono3py_of(arrays: Mapping[str, NDArray[Any]], fit: int = 0) -> Phono3py:
    """Second and, where there is one, third order of a fit.

    Raises
    ------
    KeyError
        If an array is missing.
    ValueError
        If the force constants do not fit the cells.
    """
    supercell = arrays["supercell"]
    unitcell = Atoms(numbers=arrays["numbers"], positions=arrays["positions"], cell=arrays["unitcell"], pbc=True)
    if "masses" in arrays:
        unitcell.set_masses(arrays["masses"])
    return phono3py_from_force_constants(
        unitcell,
        np.diag(supercell) if np.ndim(supercell) == 1 else supercell,
        arrays[f"fc2_{fit}"],
        arrays.get(f"fc3_{fit}"),
        phonon_supercell_matrix=arrays.get("phonon_supercell"),
        primitive_matrix=arrays.get("primitive_matrix", "auto"),
        nac_params=_nac(arrays),
        symprec=float(arrays.get("symprec", SYMMETRY_TOLERANCE)),
    )


def mesh_divisions(phonopy: Phonopy, mesh: tuple[int, int, int] | float) -> tuple[int, int, int]:
    """Divisions of a mesh, given as such or as phonopy's length in Angstrom: the same along equal axes."""
    if isinstance(mesh, tuple):
        return mesh
    rotations = phonopy.primitive_symmetry.pointgroup_operations
    divisions = length2mesh(mesh, phonopy.primitive.cell, rotations=rotations)
    return (int(divisions[0]), int(divisions[1]), int(divisions[2]))


def _nac(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any] | None:
    if "born" not in arrays:
        return None
    nac: dict[str, Any] = {name: np.array(arrays[name], dtype="double", order="C") for name in ("born", "dielectric")}
    nac["factor"] = float(arrays["nac_factor"])
    for name in _NAC_SETTINGS:
        if f"nac_{name}" in arrays:
            nac[name] = arrays[f"nac_{name}"].item()
    return nac
