"""Training and test sets of four compounds, labelled by the embedded CHGNet and kept in a folder.

Labels cost up to half a second each, so CHGNet does not drive the molecular dynamics itself: rattled cells train a
pilot potential, that one explores, and CHGNet labels what it found. So a hundred configurations lie far apart in time
instead of a few steps, and all labels are CHGNet's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import FIRE

from aiida_iontherm.engines.embedded.registry import make_calculator
from aiida_iontherm.materials.loaders import load_structure
from aiida_iontherm.physics.mtp.training import train

ENGINE = "chgnet"
CUTOFF = 5.0  # Angstrom
TEMPERATURES = (150.0, 300.0, 450.0)
VOLUMES = (0.97, 1.0, 1.03)
RATTLES = (0.03, 0.06, 0.1, 0.15)  # Angstrom
N_TRAIN, N_TEST = 100, 20
PILOT_LEVEL = 8
TIME_STEP = 2.0 * units.fs  # thirty steps per period of the fastest vibration, P-S at 17 THz
EQUILIBRATION, SPACING = 250, 100  # steps: 0.5 and 0.2 ps
FRICTION = 0.01 / units.fs


@dataclass(frozen=True)
class LabelledSet:
    """Cells of one compound with energies, forces and stresses.

    Attributes
    ----------
    train, test : list of ase.Atoms
        From different runs of molecular dynamics.
    """

    name: str
    train: list[Atoms]
    test: list[Atoms]


@dataclass(frozen=True)
class Compound:
    """An entry of the table of materials, and the supercell that is used."""

    entry: str
    repeats: tuple[int, int, int]


COMPOUNDS = {
    "CuI": Compound("CuI", (2, 2, 2)),
    "AgI": Compound("AgI", (3, 3, 2)),
    "CsCu2I3": Compound("CsCu2I3", (1, 1, 2)),
    "Li6PS5Cl": Compound("li6ps5cl-f43m-ordered-proto", (1, 1, 1)),
}


def labelled_set(name: str, folder: Path) -> LabelledSet:
    """Read the set of a compound from the folder, or make it there."""
    paths = [folder / f"{name}-{part}.traj" for part in ("train", "test")]
    if not all(path.is_file() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for path, frames in zip(paths, _make(COMPOUNDS[name]), strict=True):
            write(path, frames)
    return LabelledSet(name, *(read(path, ":") for path in paths))


def _make(compound: Compound) -> tuple[list[Atoms], list[Atoms]]:
    calculator = make_calculator(ENGINE)
    cell = _relaxed(load_structure(compound.entry).atoms, calculator).repeat(compound.repeats)
    pilot = _pilot(cell, calculator)
    conditions = [(temperature, volume) for temperature in TEMPERATURES for volume in VOLUMES]
    parts = []
    for number, count in enumerate((N_TRAIN, N_TEST)):
        per_run = -(-count // len(conditions))
        frames = []
        for run, (temperature, volume) in enumerate(conditions):
            frames += _explore(cell, pilot, temperature, volume, per_run, seed=1000 * (number + 1) + run)
        # Any first part of the list is then a fair sample of all conditions.
        order = np.random.default_rng(number).permutation(len(frames))[:count]
        parts.append([_label(frames[index], calculator) for index in order])
    return parts[0], parts[1]


def _relaxed(atoms: Atoms, calculator: Calculator) -> Atoms:
    """Relax roughly: the table's cells are PBEsol's or measured, which is not where CHGNet has its minimum."""
    atoms = atoms.copy()
    # Off the saddle points that symmetry would keep it on.
    atoms.rattle(0.03, seed=0)
    atoms.calc = calculator
    FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=0.05, steps=60)
    atoms.calc = None
    return atoms


def _pilot(cell: Atoms, calculator: Calculator) -> Calculator:
    frames = []
    for volume in VOLUMES:
        for seed, amplitude in enumerate(RATTLES * 3):
            atoms = _scaled(cell, volume)
            atoms.rattle(amplitude, seed=seed)
            frames.append(_label(atoms, calculator))
    return train(frames, level=PILOT_LEVEL, cutoff=CUTOFF, max_iterations=25, threads=1).potential.calculator()


def _explore(
    cell: Atoms, pilot: Calculator, temperature: float, volume: float, count: int, *, seed: int
) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    atoms = _scaled(cell, volume)
    atoms.calc = pilot
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * temperature, rng=rng)
    dynamics = Langevin(atoms, TIME_STEP, temperature_K=temperature, friction=FRICTION, rng=rng)
    dynamics.run(EQUILIBRATION)
    frames = []
    for _ in range(count):
        dynamics.run(SPACING)
        frame = atoms.copy()
        frame.calc = None
        frame.info["group"] = f"{temperature:g} K"
        frames.append(frame)
    return frames


def _scaled(cell: Atoms, volume: float) -> Atoms:
    atoms = cell.copy()
    atoms.set_cell(cell.cell * volume ** (1 / 3), scale_atoms=True)
    return atoms


def _label(atoms: Atoms, calculator: Calculator) -> Atoms:
    labelled = atoms.copy()
    labelled.calc = calculator
    results = {
        "energy": float(labelled.get_potential_energy()),
        "forces": np.asarray(labelled.get_forces(), dtype=float),
        "stress": np.asarray(labelled.get_stress(), dtype=float),
    }
    labelled.calc = SinglePointCalculator(labelled, **results)
    return labelled


def rms_force(frames: Sequence[Atoms]) -> float:
    """Root mean square of the force components in eV/Angstrom."""
    return float(np.sqrt(np.mean(np.concatenate([atoms.get_forces() for atoms in frames]) ** 2)))
