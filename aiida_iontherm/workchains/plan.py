"""What a run will do and cost, known before it starts: steps, jobs, time and disk.

Times per unit of work are those of a run of CsCu2I3 with the protocol `demo` on a quiet 2-core x86-64 machine (Intel
Xeon, 2.5 GHz), as far as it did that work; trust them to a factor of two. What is counted is the most that may come:
all rounds, all labels, exploration runs that do not break off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from phonopy import Phonopy
from phonopy.phonon.grid import length2mesh

from aiida_iontherm.materials.supercells import max_cutoff, perpendicular_heights, supercell_matrix
from aiida_iontherm.physics.lattice.cells import make_phonopy
from aiida_iontherm.physics.lattice.phonons import irreducible_mesh
from aiida_iontherm.physics.mtp.basis import basis_tables
from aiida_iontherm.physics.mtp.training.projection import ROWS_PER_COEFFICIENT
from aiida_iontherm.physics.mtp.training.search import JACOBIAN_ROWS_PER_COEFFICIENT, START_ITERATIONS
from aiida_iontherm.workchains.fit_cost import expected_parameters, fit_seconds
from aiida_iontherm.workchains.reference_cost import evaluation_seconds, is_program, start_seconds
from aiida_iontherm.workchains.settings import PotentialSection, Settings

RELAX_STEPS = 30
"""Of one relaxation; CsCu2I3 took 28 with CHGNet."""

MD_STEP_SECONDS = 2e-5
"""One MD step of any cell, beside its forces: what is kept of it, blocks and reducers."""

MTP_SECONDS = (1.0e-6, 8.5e-10)
"""Forces per atom: a constant, and a share for each elementary moment component and neighbour."""

GRADING_COST = 4.0
"""One grading against one evaluation of forces: derivatives to all parameters, and their product with the inverse."""

TRAIN_STARTS = 2
"""Sets of radial coefficients that a training tries, on a sample of the data."""

TRAIN_EVALUATIONS = (30.0, 0.45)
"""One iteration of training in evaluations of forces of the configurations it is made from: a constant, and a share for
each radial coefficient. Levels 8 to 20 of three species, one thread, come within 25 %. A second thread is not counted:
the trainings of the run had one, and their iterations took as long."""

SOLUTION_SECONDS = 2.5
"""Before the first linewidth of a solution: force constants, phonons of the mesh."""

LINEWIDTH_SECONDS = (7.0e-6, 4.3e-7)
"""One irreducible point, per band^3: a constant, and a share for each mesh point. From the two meshes of the run."""

JOB_SECONDS = 7.0
"""What a job takes beside its task: AiiDA's own work before and after it, and the start of Python."""


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
    alone : float
        Part of `seconds` in which one job runs at a time.
    """

    name: str
    what: str
    jobs: int
    seconds: float
    parallel: int
    megabytes: float
    alone: float = 0.0

    def wall_seconds(self, cores: int) -> float:
        """Return the expected time on a machine with so many cores."""
        return self.seconds - (self.seconds - self.alone) * (1 - 1 / min(self.parallel, cores))


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
    if settings.goal == "diffusivity":
        return steps
    phonopy = make_phonopy(atoms, (1, 1, 1))
    steps.append(_fit_step(atoms, phonopy, settings, n))
    bands = 3 * len(phonopy.primitive)
    mesh_points, _ = _mesh(phonopy, conductivity.mesh_length)
    solutions = [conductivity.mesh_length, *[conductivity.coarse_mesh_length] * (1 + settings.force_constants.blocks)]
    steps.append(
        Step(
            "lattice_conductivity",
            f"phonons and linewidths of {bands} bands, {len(solutions)} solutions each",
            temperatures,
            temperatures * (sum(_solution_seconds(phonopy, length) for length in solutions) + JOB_SECONDS),
            temperatures,
            temperatures * 1e-6 * 24 * bands**2 * mesh_points,
        )
    )
    return steps


def _fit_step(atoms: Atoms, phonopy: Phonopy, settings: Settings, n: int) -> Step:
    section, temperatures = settings.force_constants, len(settings.temperatures)
    repeats = supercell_matrix(atoms, settings.dynamics.min_extent, max_atoms=settings.dynamics.max_atoms)
    longest = max_cutoff(atoms.cell.array * np.array(repeats)[:, None])
    cutoffs = [min(cutoff, longest) for cutoff in section.cutoffs]
    seconds = fit_seconds(
        phonopy,
        cutoffs,
        n,
        settings.dynamics.snapshots,
        section.blocks,
        ridge=section.fit_method == "ridge",
        series="snapshots" in section.convergence,
    )
    if "cutoffs" in section.convergence:
        # Two more fits, at 0.8 and 0.9 of the cutoffs: each has the fewer parameters, by a fourth to sixth power.
        seconds *= 2
    parameters = sum(expected_parameters(phonopy, cutoffs))
    return Step(
        "force_constants",
        f"force constants to {' / '.join(f'{cutoff:g}' for cutoff in section.cutoffs)} Angstrom, some "
        f"{float(f'{parameters:.1g}'):g} parameters from {settings.dynamics.snapshots} snapshots",
        temperatures,
        temperatures * (seconds + JOB_SECONDS),
        temperatures,
        temperatures * (1 + 1e-3 * parameters),
    )


def _training_steps(atoms: Atoms, settings: Settings) -> list[Step]:
    reference, potential = settings.reference, settings.potential
    engine_job = start_seconds(settings.engine) + JOB_SECONDS
    repeats = supercell_matrix(atoms, reference.min_extent, max_atoms=reference.max_atoms)
    n = math.prod(repeats) * len(atoms)
    label = evaluation_seconds(settings.engine, atoms.cell.array * np.array(repeats)[:, None], n)
    relax = evaluation_seconds(settings.engine, atoms.cell.array, len(atoms), settings.engine.dft.for_relaxation())
    moved = len(reference.temperatures) * reference.frames_per_run
    frames = moved + reference.rattled_frames
    rounds = potential.max_rounds
    labels = rounds * (potential.max_selected + potential.test_frames)
    runs = len(potential.explore_temperatures) * len(potential.explore_volumes)
    # As if each length were passed at once and the rounds left over had the last one.
    lengths = [potential.explore_ps[min(done, len(potential.explore_ps) - 1)] for done in range(rounds)]
    explore_steps = sum(lengths) * 1000 / reference.timestep_fs
    forces = _mtp_seconds(atoms, potential.level, potential.cutoff) * n
    step = MD_STEP_SECONDS + forces * (1 + GRADING_COST / potential.grade_interval)
    sizes = [frames + labels * done / max(1, rounds) for done in range(rounds + 1)]
    # The engine forgets after each frame of the reference MD, so that the next one begins with one evaluation more.
    evaluations = moved * (reference.stride + 1) + reference.rattled_frames + labels
    # A program takes one structure a job, an ASE calculator all of them.
    reference_jobs = 1 + rounds
    if is_program(settings.engine):
        reference_jobs = len(reference.temperatures) + reference.rattled_frames + labels
    alone = (
        evaluations * label
        + sum(_training_seconds(atoms, potential, size, n) for size in sizes)
        + reference_jobs * engine_job
        + (1 + rounds) * JOB_SECONDS
        + rounds * JOB_SECONDS
    )
    return [
        Step(
            "relax",
            f"relax {len(atoms)} atoms with {settings.engine.name}",
            1,
            RELAX_STEPS * relax + engine_job,
            1,
            0.1,
        ),
        Step(
            "potential",
            f"{frames} reference configurations of {n} atoms from {moved * reference.stride} steps of MD, then train "
            f"level {potential.level} and refine it in at most {rounds} round(s) of {runs} graded runs, with at most "
            f"{labels} more labels",
            1 + reference_jobs + rounds * (runs + 2),
            alone + runs * (explore_steps * step + rounds * JOB_SECONDS),
            runs,
            (frames + labels) * n * 130 / 1e6 + 1,
            alone,
        ),
    ]


def _training_seconds(atoms: Atoms, potential: PotentialSection, configurations: float, n: int) -> float:
    """Return the time of all iterations: those of the starts, made on a sample, and those on all the data."""
    tables, species = basis_tables(potential.level), len(set(atoms.numbers))
    radial = species**2 * tables.n_radial * potential.radial_size
    per_coefficient = (species + len(tables.scalars) + radial) / (3 * n + 10)
    fitted = configurations * (1 - potential.validation_fraction)
    # Nearly all of an iteration is its Jacobian, which is made from so many numbers per coefficient and no more.
    sample, large = (
        min(fitted, rows * per_coefficient) for rows in (ROWS_PER_COEFFICIENT, JACOBIAN_ROWS_PER_COEFFICIENT)
    )
    starts = min(TRAIN_STARTS * START_ITERATIONS, potential.max_iterations)
    constant, share = TRAIN_EVALUATIONS
    forces = _mtp_seconds(atoms, potential.level, potential.cutoff) * n
    return (starts * sample + (potential.max_iterations - starts) * large) * (constant + share * radial) * forces


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


def _mesh(phonopy: Phonopy, length: float) -> tuple[int, int]:
    """Return the points of a mesh and how many of them symmetry leaves."""
    rotations = phonopy.primitive_symmetry.pointgroup_operations
    divisions = length2mesh(length, phonopy.primitive.cell, rotations=rotations)
    return math.prod(divisions.tolist()), len(irreducible_mesh(phonopy, divisions)[1])


def _solution_seconds(phonopy: Phonopy, length: float) -> float:
    points, irreducible = _mesh(phonopy, length)
    constant, share = LINEWIDTH_SECONDS
    return SOLUTION_SECONDS + irreducible * (constant + share * points) * (3 * len(phonopy.primitive)) ** 3


def _kelvin(temperatures: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in temperatures) + " K"
