"""What a run will do and cost, known before it starts: steps, jobs, time and disk.

Times per unit of work were measured on one core of a 2-core x86-64 laptop-class machine; trust them to a factor of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ase import Atoms

from aiida_iontherm.materials.supercells import perpendicular_heights, supercell_matrix
from aiida_iontherm.physics.mtp.basis import basis_tables
from aiida_iontherm.workchains.settings import Settings

ENGINE_SECONDS_PER_ATOM = {"chgnet": 3.5e-3, "mace": 5e-3, "tblite": 3e-2, "emt": 1e-4, "lj": 2e-4}
"""Energy, forces and stress of one configuration, per atom."""

MD_STEP_SECONDS = 1.5e-3
"""One MD step of any cell: the integrator and the calculator are Python."""

MTP_SECONDS = (1.0e-6, 8.5e-10)
"""Forces per atom: a constant, and a share for each elementary moment component and neighbour."""

GRADING_COST = 4.0
"""One grading against one evaluation of forces: derivatives to all parameters, and their product with the inverse."""

TRAIN_EVALUATIONS = (40.0, 1.5)
"""One iteration of training in evaluations of forces of the whole set: a constant, and a share for each radial
coefficient."""

LINEWIDTH_SECONDS = 4.5e-7
"""One irreducible point, per mesh point and band^3."""

JOB_SECONDS = 4.0
"""AiiDA's own work and the start of Python, per job."""


@dataclass(frozen=True)
class Step:
    """One stage of a run.

    Attributes
    ----------
    name : str
        Call link label of its (first) process below `MaterialWorkChain`.
    what : str
        For people.
    jobs : int
    seconds : float
        On one core, jobs one after the other.
    parallel : int
        Jobs that can run side by side.
    megabytes : float
    """

    name: str
    what: str
    jobs: int
    seconds: float
    parallel: int
    megabytes: float

    def wall_seconds(self, cores: int) -> float:
        """Return the expected time on a machine with so many cores."""
        return self.seconds / min(self.parallel, cores)


def make_plan(atoms: Atoms, settings: Settings, *, with_training: bool) -> list[Step]:
    """List the steps of a run of `MaterialWorkChain`.

    Parameters
    ----------
    atoms : ase.Atoms
        Unit cell.
    settings : Settings
        Resolved protocol.
    with_training : bool
        False when a ready potential is given.
    """
    steps = _training_steps(atoms, settings) if with_training else []
    dynamics, conductivity = settings.dynamics, settings.conductivity
    temperatures = len(settings.temperatures)
    n = _supercell_atoms(atoms, dynamics.min_extent, dynamics.max_atoms)
    step_seconds = MD_STEP_SECONDS + _mtp_seconds(atoms, settings.potential.level, settings.potential.cutoff) * n
    md_steps = (dynamics.equilibration_ps + dynamics.production_ps) * 1000 / dynamics.timestep_fs
    frames = dynamics.production_ps * 1000 / dynamics.position_interval_fs
    steps.append(
        Step(
            "diffusion",
            f"molecular dynamics of {n} atoms at {_kelvin(settings.temperatures)}, {dynamics.production_ps:g} ps each"
            + _shortfall(atoms, dynamics.min_extent, dynamics.max_atoms),
            temperatures,
            temperatures * (md_steps * step_seconds + JOB_SECONDS),
            temperatures,
            temperatures * (frames * n / 3 * 12 + dynamics.snapshots * n * 130) / 1e6,
        )
    )
    steps.append(
        Step(
            "force_constants",
            f"force constants to {settings.force_constants.cutoffs[0]:g} / {settings.force_constants.cutoffs[1]:g} "
            "Angstrom",
            temperatures,
            temperatures * (5 + 2e-3 * dynamics.snapshots * n * 0.2 + JOB_SECONDS),
            temperatures,
            temperatures * 2.0,
        )
    )
    primitive = _primitive_atoms(atoms)
    per_temperature = sum(
        runs * _linewidth_seconds(atoms, primitive, length)
        for runs, length in (
            (1, conductivity.mesh_length),
            (1 + settings.force_constants.blocks, conductivity.coarse_mesh_length),
        )
    )
    steps.append(
        Step(
            "lattice_conductivity",
            f"phonons and linewidths of {3 * primitive} bands, {2 + settings.force_constants.blocks} solutions each",
            temperatures,
            temperatures * (per_temperature + JOB_SECONDS),
            temperatures,
            temperatures * 1e-6 * 24 * (3 * primitive) ** 2 * _mesh_points(atoms, primitive, conductivity.mesh_length),
        )
    )
    return steps


def _training_steps(atoms: Atoms, settings: Settings) -> list[Step]:
    reference, potential = settings.reference, settings.potential
    engine = ENGINE_SECONDS_PER_ATOM.get(settings.engine.name, 1e-2)
    n = _supercell_atoms(atoms, reference.min_extent, reference.max_atoms)
    moved = len(reference.temperatures) * reference.frames_per_run
    frames = moved + reference.rattled_frames
    rounds = potential.max_rounds
    labels = rounds * (potential.max_selected + potential.test_frames)
    runs = len(potential.explore_temperatures) * len(potential.explore_volumes)
    # As if each length were passed at once and the rounds left over had the last one.
    lengths = [potential.explore_ps[min(done, len(potential.explore_ps) - 1)] for done in range(rounds)]
    explore_steps = sum(lengths) * 1000 / reference.timestep_fs
    forces = _mtp_seconds(atoms, potential.level, potential.cutoff) * n
    iteration = forces * _training_evaluations(atoms, potential.level, potential.radial_size)
    step = MD_STEP_SECONDS + forces * (1 + GRADING_COST / potential.grade_interval)
    trained = sum(frames + labels * done / max(1, rounds) for done in range(rounds + 1))
    return [
        Step("relax", f"relax {len(atoms)} atoms with {settings.engine.name}", 1, 60 * len(atoms) * engine + 8, 1, 0.1),
        Step(
            "potential",
            f"{frames} reference configurations of {n} atoms from {moved * reference.stride} steps of MD, then train "
            f"level {potential.level} and refine it in at most {rounds} round(s) of {runs} graded runs, with at most "
            f"{labels} more labels",
            2 + rounds * (runs + 3),
            (moved * reference.stride + reference.rattled_frames + labels) * n * engine
            + trained * iteration * potential.max_iterations
            + runs * explore_steps * step
            + (2 + rounds * (runs + 3)) * JOB_SECONDS,
            1,
            (frames + labels) * n * 130 / 1e6 + 1,
        ),
    ]


def _training_evaluations(atoms: Atoms, level: int, radial_size: int) -> float:
    constant, share = TRAIN_EVALUATIONS
    return constant + share * len(set(atoms.numbers)) ** 2 * basis_tables(level).n_radial * radial_size


def _mtp_seconds(atoms: Atoms, level: int, cutoff: float) -> float:
    constant, share = MTP_SECONDS
    # The neighbour list reaches 0.6 Angstrom beyond the cutoff.
    return constant + share * len(basis_tables(level).basic) * _neighbours(atoms, cutoff + 0.6)


def _neighbours(atoms: Atoms, radius: float) -> float:
    return len(atoms) / atoms.cell.volume * 4 / 3 * math.pi * radius**3


def _supercell_atoms(atoms: Atoms, extent: float, max_atoms: int) -> int:
    a, b, c = supercell_matrix(atoms, extent, max_atoms=max_atoms)
    return a * b * c * len(atoms)


def _shortfall(atoms: Atoms, extent: float, max_atoms: int) -> str:
    """Say so where the number of atoms keeps the cell smaller than wanted."""
    repeats = supercell_matrix(atoms, extent, max_atoms=max_atoms)
    reached = min(n * height for n, height in zip(repeats, perpendicular_heights(atoms.cell.array), strict=True))
    if reached >= extent - 1e-6:
        return ""
    return f" (cell of {reached:.1f} Angstrom instead of {extent:g}: more atoms are not allowed by dynamics.max_atoms)"


def _primitive_atoms(atoms: Atoms) -> int:
    from aiida_iontherm.materials.supercells import primitive_cell

    return len(primitive_cell(atoms))


def _mesh_points(atoms: Atoms, primitive: int, length: float) -> float:
    volume = atoms.cell.volume * primitive / len(atoms)
    return max(1.0, length**3 / volume)


def _linewidth_seconds(atoms: Atoms, primitive: int, length: float) -> float:
    points = _mesh_points(atoms, primitive, length)
    # Symmetry of a typical compound leaves about a fifth of the points.
    return 2.0 + LINEWIDTH_SECONDS * points / 5 * points * (3 * primitive) ** 3


def _kelvin(temperatures: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in temperatures) + " K"
