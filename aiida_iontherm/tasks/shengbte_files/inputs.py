"""The input files of a run: ``CONTROL`` and the force constants of two, three and, if wanted, four orders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy

from aiida_iontherm.physics.lattice.cells import to_atoms
from aiida_iontherm.physics.lattice.conversion import phonopy_from_phono3py
from aiida_iontherm.physics.lattice.isotopes import natural_mass_variance
from aiida_iontherm.physics.lattice.phonons import irreducible_mesh
from aiida_iontherm.tasks.crystal import mesh_divisions, phono3py_of, phonopy_of
from aiida_iontherm.tasks.force_constant_files import (
    ForceConstants,
    Repetition,
    from_phono3py,
    phonopy_supercell,
    write_force_constants,
)
from aiida_iontherm.tasks.force_constant_files.objects import from_members_anywhere
from aiida_iontherm.tasks.shengbte_files.control import COULOMB, Control, control_text
from aiida_iontherm.tasks.shengbte_files.settings import ShengBteSettings

CONTROL = "CONTROL"
SECOND, THIRD, FOURTH = "FORCE_CONSTANTS_2ND", "FORCE_CONSTANTS_3RD", "FORCE_CONSTANTS_4TH"


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal as a run needs it.

    Attributes
    ----------
    constants
        All orders, the second in a supercell of n1 x n2 x n3 primitive cells.
    phonopy
        Its harmonic part as the two-channel sum takes it.
    """

    constants: ForceConstants
    phonopy: Phonopy

    def control(self, settings: ShengBteSettings) -> Control:
        """Crystal and mesh for ``CONTROL``."""
        primitive = self.constants.primitive.copy()
        primitive.set_masses(self.phonopy.primitive.masses)
        n1, n2, n3 = np.diag(self.constants.matrix).tolist()
        nac = None if self.constants.nac is None else dict(self.constants.nac)
        return Control(primitive, (n1, n2, n3), mesh_divisions(self.phonopy, settings.mesh), nac)


def misfit(arrays: Mapping[str, NDArray[Any]], settings: ShengBteSettings) -> str | None:
    """Say in what force constants (`tasks.crystal`) and settings do not go together, or ``None``; large arrays rest."""
    if "fc3_0" not in arrays:
        return "the force constants have no third order: fit them with a cutoff for it"
    if settings.four_phonon and not {"fc4_0", "fc4_clusters"} <= set(arrays):
        return "four_phonon needs a fourth order, and the force constants have none: fit them with three cutoffs"
    if isinstance(settings.mesh, tuple):
        try:
            irreducible_mesh(phonopy_of(harmonic_part(arrays)), settings.mesh)
        except RuntimeError:
            divisions = " x ".join(map(str, settings.mesh))
            return f"a mesh of {divisions} breaks the symmetry of the crystal: take as many divisions along equal axes"
    return None


def harmonic_part(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of the crystal without those of third and fourth order, which are large and left where they are."""
    return {name: arrays[name] for name in arrays if not name.startswith(("fc3", "fc4"))}


def crystal_of(arrays: Mapping[str, NDArray[Any]], settings: ShengBteSettings) -> Crystal:
    """Crystal of the fit to all data.

    Raises
    ------
    KeyError
        If an array is missing.
    ValueError
        If an order that is needed is not there, or the force constants do not fit the cells.
    """
    if (wrong := misfit(arrays, settings)) is not None:
        raise ValueError(wrong)
    phono3py = phono3py_of(arrays)
    constants = from_phono3py(phono3py)
    if settings.four_phonon:
        fourth = from_members_anywhere(
            {4: (arrays["fc4_clusters"], arrays["fc4_0"])},
            to_atoms(phono3py.supercell),
            constants.primitive,
            one_of_each=True,
        )
        if not np.isin(arrays["fc4_clusters"][:, 0], fourth.repetition.p2s).all():
            raise ValueError("the clusters of fourth order do not start in the home cell: fit the force constants anew")
        constants = constants.joined(fourth)
    if constants.nac is not None and abs(constants.nac["factor"] / COULOMB - 1) > 1e-4:
        raise ValueError(
            f"the Born charges have the factor {constants.nac['factor']:g}, and ShengBTE takes charges in e, whose "
            f"factor is {COULOMB:g} eV Angstrom"
        )
    if not constants.repetition.is_diagonal:
        divisions = diagonal_divisions(constants.repetition)
        constants = constants.in_supercell(phonopy_supercell(constants.primitive, divisions))
    return Crystal(constants, phonopy_from_phono3py(phono3py))


def diagonal_divisions(repetition: Repetition) -> tuple[int, int, int]:
    """Smallest n1, n2, n3 for which all n_i a_i are vectors of the superlattice.

    In a supercell of so many primitive cells every image of an atom that was nearest, or equally near, still is: the
    force constants, and the frequencies from them, are the same. ShengBTE takes no other supercells.
    """
    determinant = round(abs(np.linalg.det(repetition.matrix)))
    # a_i = sum_k (M^-1)_ki A_k with superlattice vectors A_k; n_i is the common denominator of column i.
    parts = np.rint(np.linalg.inv(repetition.matrix) * determinant).astype(int)
    n1, n2, n3 = (determinant // math.gcd(determinant, *column) for column in parts.T.tolist())
    return n1, n2, n3


def write_inputs(folder: Path, arrays: Mapping[str, NDArray[Any]], settings: ShengBteSettings) -> list[str]:
    """Write all input files of a run into a folder and return the names of those with force constants.

    Parameters
    ----------
    folder
        Where the program will run.
    arrays
        Force constants, see `tasks.crystal`.
    settings
        What is to be done.

    Raises
    ------
    KeyError
        If an array is missing.
    ValueError
        If an order that is needed is not there, or the force constants do not fit the cells.
    """
    crystal = crystal_of(arrays, settings)
    variances = {symbol: natural_mass_variance(symbol) for symbol in set(crystal.constants.primitive.symbols)}
    text = control_text(crystal.control(settings), variances, settings)
    (folder / CONTROL).write_text(text, encoding="utf-8")
    names = [SECOND, THIRD, *([FOURTH] if settings.four_phonon else [])]
    for name in names:
        write_force_constants(folder / name, crystal.constants)
    return names
