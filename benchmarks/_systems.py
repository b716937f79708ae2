"""The cells and potentials of the measurements."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

from aiida_iontherm import _native
from aiida_iontherm.materials.loaders import load_structure
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.files.mtp_file import read_mtp_file
from aiida_iontherm.physics.mtp.kernel import DEFAULT_SKIN, compile_potential

RADIAL_SIZE = 8
MIN_DISTANCE = 1.5


def copper_chloride() -> Atoms:
    """512 atoms of zincblende CuCl, 28 neighbours within 5 Angstrom and 74 within 7."""
    atoms = bulk("CuCl", "zincblende", a=5.42, cubic=True).repeat(4)
    atoms.rattle(0.05, seed=1)
    return atoms


def caesium_copper_iodide() -> Atoms:
    """384 atoms of CsCu2I3: three species, 16 neighbours within 5 Angstrom and 37 within 7."""
    atoms = load_structure("CsCu2I3").atoms.repeat((2, 2, 4))
    atoms.rattle(0.05, seed=1)
    return atoms


def training_cells(count: int, repeats: tuple[int, int, int]) -> list[Atoms]:
    """Rattled supercells of the primitive cell of CuCl, without labels."""
    cell = bulk("CuCl", "zincblende", a=5.42).repeat(repeats)
    cells = []
    for seed in range(count):
        atoms = cell.copy()
        atoms.rattle(0.1, seed=seed)
        cells.append(atoms)
    return cells


def random_potential(level: int, species: tuple[str, ...], cutoff: float, seed: int = 0) -> MomentTensorPotential:
    """Potential with MLIP's own tables for the level and random coefficients.

    The tables come from a potential file of MLIP, so that the peer runs what its users run. Our kernel recognises them
    and computes the same scalars its own way, as it does for every such file.

    Raises
    ------
    SystemExit
        If those files are not at hand.
    """
    tables = read_mtp_file(_shared() / "fitting" / "crystals" / "cubic" / f"{level:02d}" / "pot.mtp").tables
    rng = np.random.default_rng(seed)
    n = len(species)
    return MomentTensorPotential(
        species=species,
        tables=tables,
        min_distance=MIN_DISTANCE,
        cutoff=cutoff,
        radial_coeffs=rng.normal(size=(n, n, tables.n_radial, RADIAL_SIZE)) / (cutoff - MIN_DISTANCE) ** 2,
        species_coeffs=rng.normal(size=n),
        moment_coeffs=rng.normal(size=len(tables.scalars)),
    )


def evaluator(
    potential: MomentTensorPotential, atoms: Atoms, instructions: str = "", threads: int = 1
) -> _native.Evaluator:
    """Our kernel with the neighbour list of these atoms made; its `run` is what is timed."""
    types = np.array([potential.species.index(symbol) for symbol in atoms.get_chemical_symbols()], dtype=np.int32)
    result = _native.Evaluator(compile_potential(potential, instructions), DEFAULT_SKIN, threads)
    result.update(atoms.positions, types, atoms.cell.array, np.asarray(atoms.pbc))
    return result


def _shared() -> Path:
    root = Path(os.environ.get("IONTHERM_SHARED", Path(__file__).parents[2] / "shared"))
    folder = root / "data" / "mtp"
    if not folder.is_dir():
        raise SystemExit("potential files of MLIP not found: set IONTHERM_SHARED to the folder that holds data/mtp")
    return folder
