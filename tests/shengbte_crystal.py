"""CuAu with force constants of EMT up to fourth order, and a run of the stand-in for FourPhonon on it."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT

from aiida_iontherm.physics.lattice.cells import build_supercell, displaced_supercells
from aiida_iontherm.physics.lattice.force_constants import fit_force_constants
from aiida_iontherm.tasks.shengbte_files import ShengBteSettings, write_inputs

SUPERCELL = (3, 3, 2)
MESH = (4, 4, 3)
FOUR_PHONONS = {"temperatures": [200.0, 300.0], "mesh": list(MESH), "four_phonon": True}


@cache
def force_constants() -> dict[str, np.ndarray]:
    """Arrays of the task ``force-constants``: two atoms, tetragonal, in 3 x 3 x 2 cells; two seconds."""
    cell = Atoms("CuAu", cell=np.diag([2.80, 2.80, 3.68]), scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], pbc=True)
    ideal = build_supercell(cell, SUPERCELL)
    frames = displaced_supercells(cell, SUPERCELL, 10, 0.02, 0)
    forces = []
    for atoms in frames:
        atoms.calc = EMT()
        forces.append(atoms.get_forces())
    displacements = np.array([atoms.positions for atoms in frames]) - ideal.positions
    # EMT reaches farther; this is a crystal of its own, with the symmetry and about the stiffness of CuAu.
    cutoffs = [3.6, 3.0, 2.75]
    fit = fit_force_constants(
        cell, ideal, displacements, np.array(forces), cutoffs, fit_method="least-squares", blocks=2, symprec=1e-5
    )
    return {
        "fits": np.array(1),
        "fc2_0": fit.fc2,
        "fc3_0": fit.fc3,
        "fc4_0": fit.fc4.tensors,
        "fc4_clusters": fit.fc4.clusters,
        "unitcell": cell.cell.array,
        "positions": cell.positions,
        "numbers": cell.numbers,
        "supercell": np.array(SUPERCELL),
        "p2s": fit.p2s,
    }


def run(folder: Path, **settings: Any) -> Path:
    """Write the input files into a folder and run the stand-in there."""
    import shengbte_stand_in

    write_inputs(folder, force_constants(), ShengBteSettings.of(settings))
    shengbte_stand_in.run(folder)
    return folder
