"""Files for LAMMPS: the potential as its pair style ``iontherm/mtp`` computes it fastest, and what grades need.

The pair style (``native/lammps``) reads every ``.mtp`` file. A file of MLIP brings tables that take longer than ours
for the same scalars; `write_potential` replaces them, and writes the names of the species, which LAMMPS then need not
be given. `write_grades` writes the inverse of the active set instead of its rows: a matrix of a thousand rows inverted
by another program would give other last digits, and grades are sensitive to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aiida_iontherm.physics.mtp.files._atomic import written_whole
from aiida_iontherm.physics.mtp.recognition import faster_tables
from aiida_iontherm.physics.mtp.selection.rows import check_belongs

if TYPE_CHECKING:
    from aiida_iontherm.physics.mtp.potential import MomentTensorPotential


def write_potential(potential: MomentTensorPotential, path: str | Path) -> None:
    """Write a ``.mtp`` file for ``pair_style iontherm/mtp``, with the names of the species and our own tables.

    Energies are those of the potential given, to rounding. MLIP and motep read the file too.

    Parameters
    ----------
    potential : MomentTensorPotential
    path : str or Path
    """
    potential.replace(tables=faster_tables(potential.tables), source=None).write(path)


def write_grades(potential: MomentTensorPotential, path: str | Path) -> None:
    """Write the file that ``pair_style iontherm/mtp ... grades FILE`` computes extrapolation grades from.

    Lines of text ("mode neighbourhood") and an empty one; then, as little-endian float64, the coefficients of the
    potential, by which the pair style knows that both files belong together (min_distance, cutoff, scaling, radial,
    species, moment coefficients), and the inverse of the active set [P, P].

    Parameters
    ----------
    potential : MomentTensorPotential
        With its active set.
    path : str or Path

    Raises
    ------
    ValueError
        If the potential carries no active set, or that of another potential.
    """
    active_set = potential.active_set
    if active_set is None:
        raise ValueError(
            "this potential carries no active set, so it has no extrapolation grades: make one of its training set "
            "with selection.active_set_of and attach it with replace(active_set=...)"
        )
    check_belongs(active_set, potential)
    coefficients = np.concatenate(
        [
            [potential.min_distance, potential.cutoff, potential.scaling],
            potential.radial_coeffs.ravel(),
            potential.species_coeffs,
            potential.moment_coeffs,
        ]
    )
    header = [
        "iontherm grades 1",
        f"mode {active_set.mode}",
        f"species {' '.join(potential.species)}",
        f"coefficients {len(coefficients)}",
        f"parameters {len(active_set.scale)}",
        "",
    ]
    with written_whole(Path(path)) as draft:
        draft.write_bytes(
            "".join(line + "\n" for line in header).encode()
            + coefficients.astype("<f8").tobytes()
            + active_set.inverse.astype("<f8").tobytes()
        )
