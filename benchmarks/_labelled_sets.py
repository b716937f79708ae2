"""Training and test sets of four compounds, labelled by the embedded CHGNet and kept in a folder.

Labels cost up to half a second each, so CHGNet does not drive the molecular dynamics itself: rattled cells train a
pilot potential, that one explores, and CHGNet labels what it found; a pilot that breaks learns from where it broke, and
the next one explores anew. So a hundred configurations lie 0.2 ps apart instead of a few steps, and all labels are
CHGNet's.
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
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.training import train

ENGINE = "chgnet"
CUTOFF = 5.0  # Angstrom
TEMPERATURES = (150.0, 300.0, 450.0)
VOLUMES = (0.97, 1.0, 1.03)
RATTLES = (0.03, 0.06, 0.1, 0.15)  # Angstrom
N_TRAIN, N_TEST = 100, 20
PILOT_LEVEL = 8
TIME_STEP = 2.0 * units.fs  # thirty steps per period of the fastest vibration, P-S at 17 THz
BLOCK = 10  # steps between two looks at the dynamics
EQUILIBRATION, SPACING = 25, 10  # blocks: 0.5 and 0.2 ps
FRICTION = 0.01 / units.fs
CONDITIONS = [(temperature, volume) for temperature in TEMPERATURES for volume in VOLUMES]
HOT = 4.0  # times the temperature: the pilot has broken
MAX_PILOTS = 8
LARGEST_FORCE = 15.0  # eV/Angstrom, of what a pilot is to learn


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
class _Run:
    """Frames of a run of dynamics; if it is not whole, the last one is from just before it broke."""

    frames: list[Atoms]
    whole: bool


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
    known = _rattled(cell, calculator)
    for _ in range(MAX_PILOTS):
        pilot = train(known, level=PILOT_LEVEL, cutoff=CUTOFF, max_iterations=25, threads=1).potential
        parts = [
            [
                _explore(cell, pilot, temperature, volume, -(-count // len(CONDITIONS)), seed=1000 * (part + 1) + run)
                for run, (temperature, volume) in enumerate(CONDITIONS)
            ]
            for part, count in enumerate((N_TRAIN, N_TEST))
        ]
        if all(run.whole for runs in parts for run in runs):
            return _labelled(parts[0], N_TRAIN, calculator), _labelled(parts[1], N_TEST, calculator)
        # Where the runs ended the pilot learns most, be it that they broke there.
        ends = [_label(run.frames[-1], calculator) for runs in parts for run in runs]
        known += [atoms for atoms in ends if np.abs(atoms.get_forces()).max() < LARGEST_FORCE]
    raise RuntimeError(f"{MAX_PILOTS} pilots broke in the dynamics of {compound.entry}: lower the temperatures")


def _labelled(runs: Sequence[_Run], count: int, calculator: Calculator) -> list[Atoms]:
    frames = [frame for run in runs for frame in run.frames]
    # Any first part of the list is then a fair sample of all conditions.
    order = np.random.default_rng(count).permutation(len(frames))[:count]
    return [_label(frames[index], calculator) for index in order]


def _relaxed(atoms: Atoms, calculator: Calculator) -> Atoms:
    """Relax roughly: the table's cells are PBEsol's or measured, which is not where CHGNet has its minimum."""
    atoms = atoms.copy()
    # Off the saddle points that symmetry would keep it on.
    atoms.rattle(0.03, seed=0)
    atoms.calc = calculator
    FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=0.05, steps=60)
    atoms.calc = None
    return atoms


def _rattled(cell: Atoms, calculator: Calculator) -> list[Atoms]:
    frames = []
    for volume in VOLUMES:
        for seed, amplitude in enumerate(RATTLES * 3):
            atoms = _scaled(cell, volume)
            atoms.rattle(amplitude, seed=seed)
            frames.append(_label(atoms, calculator))
    return frames


def _explore(
    cell: Atoms, pilot: MomentTensorPotential, temperature: float, volume: float, count: int, *, seed: int
) -> _Run:
    rng = np.random.default_rng(seed)
    atoms = _scaled(cell, volume)
    atoms.calc = pilot.calculator()
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * temperature, rng=rng)
    dynamics = Langevin(atoms, TIME_STEP, temperature_K=temperature, friction=FRICTION, fixcm=False, rng=rng)
    frames = []
    last = _snapshot(atoms, temperature)
    for block in range(1, EQUILIBRATION + count * SPACING + 1):
        dynamics.run(BLOCK)
        distances = atoms.get_all_distances(mic=True)
        shortest = np.min(distances[np.triu_indices(len(atoms), 1)])
        if shortest < pilot.min_distance or atoms.get_temperature() > HOT * temperature:
            return _Run([*frames, last], whole=False)
        last = _snapshot(atoms, temperature)
        if block > EQUILIBRATION and (block - EQUILIBRATION) % SPACING == 0:
            frames.append(last)
    return _Run(frames, whole=True)


def _snapshot(atoms: Atoms, temperature: float) -> Atoms:
    frame = atoms.copy()
    frame.info["group"] = f"{temperature:g} K"
    return frame


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
