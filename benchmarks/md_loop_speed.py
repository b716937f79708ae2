"""The compiled molecular dynamics loop: where the time of a step goes, and what a step costs beyond its forces.

The cells are CuCl with soft repulsive pairs: level 16 with all its terms, those of more than two atoms with
coefficients of zero, so that the atoms stay apart however long it runs. They melt, which moves them more than a solid
would: neighbour lists are made anew about every fifteenth step.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
from _systems import MIN_DISTANCE, RADIAL_SIZE, copper_chloride
from _timing import print_load, print_machine, print_table, verdict
from ase import Atoms, units
from ase.md.velocitydistribution import Stationary, thermalize_momenta

from aiida_iontherm import _native
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.kernel import DEFAULT_SKIN

TEMPERATURE_K = 300.0
TIMESTEP_FS = 2.0
FORCES_SHARE = 0.9
OVERHEAD_MICROSECONDS = 0.2
BATH_FS = 100.0
BAROSTAT_STRIDE = 10
BULK_MODULUS = 1.5
"""In eV/Angstrom^3: the order of magnitude for soft pairs."""

SLABS = 10
POWER = 0.02 / (100 * units.fs)
RUNS = {
    "NVE": ("none", 0),
    "Langevin": ("langevin", 0),
    "Bussi": ("bussi", 0),
    "Nose-Hoover": ("nose-hoover", 0),
    f"NPT, cell every {BAROSTAT_STRIDE} steps": ("npt", 0),
    "heat exchange": ("heat exchange", 0),
    "NVE, currents every 5 steps": ("none", 5),
}
LONG_ATOMS, LONG_PS, LONG_MINUTES = 500, 1000.0, 20.0


def soft_potential(level: int, cutoff: float) -> MomentTensorPotential:
    blank = MomentTensorPotential.new(
        level=level, species=["Cu", "Cl"], cutoff=cutoff, min_distance=MIN_DISTANCE, radial_size=RADIAL_SIZE
    )
    radial = np.zeros_like(blank.radial_coeffs)
    for mu in range(radial.shape[2]):
        radial[:, :, mu, mu] = 1 / (cutoff - MIN_DISTANCE) ** 2
    coefficients = np.zeros_like(blank.moment_coeffs)
    coefficients[0] = 2.0
    return blank.replace(radial_coeffs=radial, moment_coeffs=coefficients)


def mean_pressure(potential: MomentTensorPotential, atoms: Atoms) -> float:
    """Pressure of the atoms at rest, in eV/Angstrom^3."""
    resting = atoms.copy()
    resting.calc = potential.calculator()
    return -float(resting.get_stress()[:3].mean())


def make_loop(
    potential: MomentTensorPotential, atoms: Atoms, thermostat: str, threads: int
) -> _native.MolecularDynamics:
    thermalize_momenta(atoms, TEMPERATURE_K, rng=np.random.default_rng(0))
    Stationary(atoms)
    types = np.array([potential.species.index(symbol) for symbol in atoms.get_chemical_symbols()], dtype=np.int32)
    loop = _native.MolecularDynamics(
        potential.compiled,
        types,
        atoms.get_masses(),
        np.zeros(len(atoms), dtype=bool),
        atoms.cell.array,
        np.asarray(atoms.pbc),
        TIMESTEP_FS * units.fs,
        DEFAULT_SKIN,
        threads,
    )
    kt = units.kB * TEMPERATURE_K
    if thermostat == "heat exchange":
        loop.set_heat_exchange(axis=0, slabs=SLABS, hot=0, cold=SLABS // 2, power=POWER)
    elif thermostat == "npt":
        loop.set_thermostat("bussi", kt, BATH_FS * units.fs, 0)
        # At the pressure it has: the cell keeps its size within 2 % and the atoms their neighbours.
        pressure = mean_pressure(potential, atoms) + len(atoms) * kt / atoms.cell.volume
        loop.set_barostat(
            freedom="isotropic",
            pressure=pressure,
            kt=kt,
            time=1000 * units.fs,
            bulk_modulus=BULK_MODULUS,
            stride=BAROSTAT_STRIDE,
            seed=0,
        )
    else:
        loop.set_thermostat(thermostat, kt, BATH_FS * units.fs, 0)
    loop.set_state(atoms.positions, atoms.get_velocities(), 0)
    return loop


def speed_rows(repeat: int, arguments: argparse.Namespace) -> tuple[list[list[str]], dict[str, float]]:
    """Rows of the table, and microseconds per atom and step by the name of the run."""
    potential = soft_potential(arguments.level, arguments.cutoff)
    atoms = copper_chloride().repeat(repeat)
    everyone = np.arange(len(atoms), dtype=np.int32)
    loops, samplings = {}, {}
    for name, (thermostat, stride) in RUNS.items():
        loops[name] = make_loop(potential, atoms.copy(), thermostat, arguments.threads)
        samplings[name] = _native.Sampling(everyone, everyone, positions=20, thermo=20, currents=stride)
        loops[name].run(50, samplings[name], np.inf)
    times: dict[str, list[dict[str, float]]] = {name: [] for name in loops}
    lists = {}
    for _ in range(arguments.rounds):
        for name, loop in loops.items():
            before = loop.time_spent
            loop.run(arguments.steps, samplings[name], np.inf)
            after = loop.time_spent
            unit = 1e6 / (arguments.steps * len(atoms))
            times[name].append({key: (after[key] - before[key]) * unit for key in ("forces", "neighbours", "all")})
            lists[name] = after["evaluations"] / after["lists"]
    rows, costs = [], {}
    for name, rounds in times.items():
        quickest = {key: min(values[key] for values in rounds) for key in ("forces", "neighbours", "all")}
        rest = min(values["all"] - values["forces"] - values["neighbours"] for values in rounds)
        costs[name] = quickest["all"]
        share = statistics.median(values["forces"] / values["all"] for values in rounds)
        rows.append(
            [
                str(len(atoms)),
                name,
                f"{quickest['all']:.2f}",
                f"{quickest['forces']:.2f}",
                f"{quickest['neighbours']:.3f}",
                f"{lists[name]:.0f}",
                f"{rest:.3f}",
                verdict(rest, OVERHEAD_MICROSECONDS, at_least=False),
                f"{share:.3f}",
                verdict(share, FORCES_SHARE),
            ]
        )
    return rows, costs


def long_rows(costs: dict[str, float]) -> list[list[str]]:
    """Minutes of a long run whose atoms and steps cost the same."""
    rows = []
    for name, microseconds in costs.items():
        minutes = microseconds * 1e-6 * LONG_ATOMS * (LONG_PS * 1000 / TIMESTEP_FS) / 60
        rows.append([name, f"{minutes:.1f}", verdict(minutes, LONG_MINUTES, at_least=False)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", type=int, default=16)
    parser.add_argument("--cutoff", type=float, default=5.0, help="in Angstrom")
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 2], help="of the cell of 512 atoms, each way")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=60, help="of each run in a round")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    print_machine()
    measured = [speed_rows(repeat, arguments) for repeat in sorted(arguments.repeats)]
    print_table(
        f"CuCl, level {arguments.level}, {arguments.cutoff:g} Å, {arguments.threads} thread(s): wall microseconds per "
        f"atom and step, least of {arguments.rounds} rounds of {arguments.steps} steps; shares are medians",
        ["atoms", "run", "all", "forces", "lists", "steps per list", "rest", "goal", "share of forces", "goal"],
        [row for rows, _ in measured for row in rows],
    )
    print_table(
        f"{LONG_PS / 1000:g} ns of {LONG_ATOMS} atoms at {TIMESTEP_FS:g} fs, {arguments.threads} thread(s), at the "
        "cost per atom of the smallest cell",
        ["run", "minutes", "goal"],
        long_rows(measured[0][1]),
    )
    print_load()


if __name__ == "__main__":
    main()
