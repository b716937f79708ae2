"""Which files a run in LAMMPS leaves, and how far it came by them.

A run has two phases, each with its own count of steps from 0. At the end of every block LAMMPS writes its state under a
temporary name and renames it to ``PHASE.STEP.restart``: what is there under such a name is whole, and dumps and series
reach at least as far.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from aiida_iontherm.physics.dynamics import MdSettings

EQUILIBRATION, PRODUCTION = "equilibration", "production"

DATA, POTENTIAL, MLIP_INI = "structure.data", "lammps.mtp", "mlip.ini"

COLUMNS = {
    "state": "id xu yu zu vx vy vz",
    "positions": "id xu yu zu",
    "velocities": "id vx vy vz",
    "snapshots": "id xu yu zu fx fy fz",
}
"""Of the dumps; ``state`` is there once in a block, in both phases."""


def dump_name(phase: str, what: str) -> str:
    """Name of a binary dump."""
    return f"{phase}.{what}.bin"


def series_name(phase: str, what: str) -> str:
    """Name of a series."""
    return f"{phase}.{what}.txt"


@dataclass(frozen=True)
class Place:
    """A point between two blocks.

    Attributes
    ----------
    block : int
        Blocks made, of both phases.
    phase : str
        That goes on from here.
    step : int
        Of the phase.
    """

    block: int
    phase: str
    step: int

    @classmethod
    def at(cls, block: int, settings: MdSettings) -> Place:
        """Return the place behind so many blocks."""
        if block < settings.equilibration_blocks:
            return cls(block, EQUILIBRATION, block * settings.block_steps)
        return cls(block, PRODUCTION, (block - settings.equilibration_blocks) * settings.block_steps)


def restart_name(block: int, settings: MdSettings) -> str:
    """Name of the state of LAMMPS behind so many blocks, written by the phase that made the last of them."""
    if block <= settings.equilibration_blocks:
        return f"{EQUILIBRATION}.{block * settings.block_steps}.restart"
    return f"{PRODUCTION}.{(block - settings.equilibration_blocks) * settings.block_steps}.restart"


def last_restart(folder: Path, settings: MdSettings) -> int:
    """Return the number of blocks behind which the newest state in a folder was written; 0 if there is none."""
    blocks = [0]
    for path in folder.glob("*.restart") if folder.is_dir() else ():
        if match := re.fullmatch(rf"({EQUILIBRATION}|{PRODUCTION})\.(\d+)\.restart", path.name):
            block, left_over = divmod(int(match[2]), settings.block_steps)
            block += settings.equilibration_blocks if match[1] == PRODUCTION else 0
            if not left_over and restart_name(block, settings) == path.name:
                blocks.append(block)
    return max(blocks)


def scratch_files(folder: Path) -> list[Path]:
    """List dumps and series in a folder: of use only until they are reduced."""
    patterns = [f"{phase}.*.{end}" for phase in (EQUILIBRATION, PRODUCTION) for end in ("bin", "txt")]
    return [path for pattern in patterns for path in folder.glob(pattern)]
