"""``.fc`` files of hiphive: written by hiphive itself, never read.

A ``.fc`` file is a tar archive of the supercell (JSON) and the force constants, and the latter are a Python pickle:
unpickling runs whatever program the file holds. Nothing is unpickled here, so only the supercell of such a file is
read. In hiphive, ``write_to_phonopy`` and ``write_to_phono3py`` give files that are data; objects in memory come and go
with `from_hiphive` and `to_hiphive`.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import cast

import ase.io
from ase import Atoms

from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.objects import to_hiphive


def read_supercell(path: Path) -> Atoms:
    """Supercell of a ``.fc`` file, the part that is data.

    Raises
    ------
    ValueError
        If the file is damaged or not hiphive's.
    """
    try:
        with tarfile.open(path) as archive:
            member = archive.extractfile("supercell")
            text = "" if member is None else member.read().decode()
        return cast("Atoms", ase.io.read(io.StringIO(text), format="json"))
    except (tarfile.TarError, KeyError, ValueError, OSError) as error:
        raise ValueError(f"{path.name} is not a .fc file of hiphive, or is damaged: {error}") from error


def refuse(path: Path) -> ForceConstants:
    """Say why the force constants of a ``.fc`` file are not read, and what to do.

    Raises
    ------
    ValueError
        Always.
    """
    atoms = len(read_supercell(path))
    raise ValueError(
        f"{path.name} keeps force constants over {atoms} atoms as a Python pickle, which can run any program when "
        "it is opened, so it is not read: in hiphive write them with write_to_phonopy and write_to_phono3py, or hand "
        "the object to from_hiphive"
    )


def write(path: Path, constants: ForceConstants) -> None:
    """``.fc`` with all orders there are, for hiphive to read."""
    to_hiphive(constants).write(str(path))
