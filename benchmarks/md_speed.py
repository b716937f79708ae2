"""Steps of molecular dynamics per second through ASE, our calculator against that of motep.

All that a step takes is counted: the integrator of ASE, the neighbour lists, the copies. The coefficients are random,
scaled to forces so small that the atoms fly almost freely, in the short time of a measurement as far as the atoms of a
warm solid swing: that is all the neighbour lists notice, and nothing else about this dynamics has a meaning.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from _peers import motep_calculator
from _systems import copper_chloride, random_potential
from _timing import print_load, print_machine, print_table
from ase import Atoms, units
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.calculator import MtpCalculator

TEMPERATURE_K = 100.0
TIMESTEP_FS = 1.0
LARGEST_FORCE = 0.01  # eV/Angstrom at the start


def gentle_potential(level: int, cutoff: float, atoms: Atoms) -> MomentTensorPotential:
    potential = random_potential(level, ("Cu", "Cl"), cutoff)
    largest = np.abs(potential.evaluate(atoms, virials=False).forces).max()
    return potential.replace(moment_coeffs=potential.moment_coeffs * LARGEST_FORCE / largest)


def dynamics(atoms: Atoms, calculator: object) -> VelocityVerlet:
    atoms = atoms.copy()
    thermalize_momenta(atoms, TEMPERATURE_K, rng=np.random.default_rng(0))
    Stationary(atoms)
    atoms.calc = calculator
    return VelocityVerlet(atoms, timestep=TIMESTEP_FS * units.fs)


def seconds_per_step(run: Callable[[int], object], steps: int) -> float:
    start = time.process_time()
    run(steps)
    return (time.process_time() - start) / steps


def speed_row(level: int, cutoff: float, rounds: int, steps: int) -> list[str]:
    atoms = copper_chloride()
    potential = gentle_potential(level, cutoff, atoms)
    sides = {
        "ours": dynamics(atoms, MtpCalculator(potential)),
        "motep": dynamics(atoms, motep_calculator(potential)),
    }
    for side in sides.values():
        side.run(1)  # makes the first neighbour list
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(seconds_per_step(side.run, steps))
    apart = np.abs(sides["ours"].atoms.positions - sides["motep"].atoms.positions).max()
    means = {name: statistics.fmean(values) for name, values in times.items()}
    return [
        f"{cutoff:g} Å",
        str(level),
        *(f"{1 / means[name]:.3g} ({1 / min(times[name]):.3g})" for name in sides),
        f"{means['motep'] / means['ours']:.1f} ({min(times['motep']) / min(times['ours']):.1f})",
        f"{apart:.0e} Å",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", type=int, nargs="+", default=[16])
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[5.0, 7.0], help="in Angstrom")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="of each side in a round")
    arguments = parser.parse_args()

    print_machine()
    rows = [
        speed_row(level, cutoff, arguments.rounds, arguments.steps)
        for cutoff in arguments.cutoffs
        for level in arguments.levels
    ]
    print_table(
        f"CuCl, 512 atoms, ASE's velocity Verlet, {arguments.rounds * arguments.steps} steps of {TIMESTEP_FS:g} fs: "
        "steps per CPU second, mean (fastest round)",
        ["cutoff", "level", "ours", "motep", "ratio", "trajectories apart"],
        rows,
    )
    print_load()


if __name__ == "__main__":
    main()
