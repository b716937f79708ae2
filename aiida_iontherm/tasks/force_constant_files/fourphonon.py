"""``FORCE_CONSTANTS_4TH`` of FourPhonon."""

from __future__ import annotations

from pathlib import Path

from ase import Atoms

from aiida_iontherm.tasks.force_constant_files.blocks import block_lines, read_blocks
from aiida_iontherm.tasks.force_constant_files.clusters import Clusters
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants


def read_fourth(path: Path, primitive: Atoms) -> Clusters:
    """``FORCE_CONSTANTS_4TH`` in eV/Angstrom^4.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, or does not belong to the primitive cell.
    """
    return read_blocks(path, primitive, 4)


def write_fourth(path: Path, constants: ForceConstants) -> None:
    """``FORCE_CONSTANTS_4TH`` in eV/Angstrom^4, 17 digits.

    Raises
    ------
    ValueError
        If there is no fourth order.
    """
    if constants.fourth is None:
        raise ValueError("there are no fourth-order force constants here to write: read them first")
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(block_lines(constants.fourth, constants.primitive))
