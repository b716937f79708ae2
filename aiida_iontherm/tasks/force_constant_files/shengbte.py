"""Files of ShengBTE: ``FORCE_CONSTANTS_2ND`` as phonopy writes it and ``FORCE_CONSTANTS_3RD``.

hiphive reads and writes the third order too, but over a supercell as a dense array of all triplets, and writes triplets
at the border of the supercell once for each of their equidistant images, unshared, which its reader then refuses. Here
triplets stay with their lattice vectors, and images at the same distance share.

ShengBTE itself takes the second order only in supercells of n1 x n2 x n3 primitive cells, all rows of it, in the order
of atoms that phonopy gives such a supercell of the primitive cell.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from aiida_iontherm.tasks.force_constant_files import phonopy_files
from aiida_iontherm.tasks.force_constant_files.blocks import block_lines, read_blocks
from aiida_iontherm.tasks.force_constant_files.clusters import Clusters
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.repetition import phonopy_supercell


def read_third(path: Path, primitive: Atoms) -> Clusters:
    """``FORCE_CONSTANTS_3RD`` in eV/Angstrom^3.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, or does not belong to the primitive cell.
    """
    return read_blocks(path, primitive, 3)


def write_second(path: Path, constants: ForceConstants) -> None:
    """``FORCE_CONSTANTS_2ND`` in eV/Angstrom^2, 15 decimals, atoms in the order ShengBTE expects.

    Raises
    ------
    ValueError
        If there is no second order, or the supercell is not diagonal in the primitive cell.
    """
    matrix = constants.matrix
    if not constants.repetition.is_diagonal:
        raise ValueError(
            "ShengBTE takes force constants of n1 x n2 x n3 primitive cells only: put them into such a supercell with "
            "in_supercell(phonopy_supercell(primitive, (n1, n2, n3))) first"
        )
    ordered = constants.in_supercell(phonopy_supercell(constants.primitive, np.diag(matrix)))
    phonopy_files.write_text_file(path, ordered, whole=True)


def write_third(path: Path, constants: ForceConstants) -> None:
    """``FORCE_CONSTANTS_3RD`` in eV/Angstrom^3, 17 digits.

    Raises
    ------
    ValueError
        If there is no third order.
    """
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(block_lines(constants.triplets(), constants.primitive))
