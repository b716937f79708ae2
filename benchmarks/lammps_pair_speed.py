"""Dynamics in LAMMPS with the pair style iontherm/mtp, against our compiled loop and against no forces at all.

Same cells, potentials and temperature on both sides: the soft pairs of `md_loop_speed.py`, level by level with all
their terms. "No forces" is LAMMPS with `pair_style zero` and the same neighbour lists: what a step costs there that is
not ours.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
from _systems import copper_chloride
from _timing import print_load, print_machine, print_table, verdict
from ase import Atoms
from md_loop_speed import TEMPERATURE_K, TIMESTEP_FS, make_loop, soft_potential

from aiida_iontherm import _native
from aiida_iontherm.physics.mtp.lammps import write_potential

ELEMENTS = ("Cu", "Cl")
SKIN = 1.0
"""Of LAMMPS in Angstrom: rebuilding a list costs more there than in our loop."""

WARM_UP = 20
LARGEST_RATIO = 1.25
CURRENT = """
compute ke all ke/atom
compute pe all pe/atom
compute stress all centroid/stress/atom NULL virial
compute flux all heat/flux ke pe stress
fix flux all ave/time 5 1 5 c_flux[*] file /dev/null
"""


class Lammps:
    """Times of runs of the program in the Python package, or on the path."""

    def __init__(self, folder: Path, plugin: Path, ranks: int) -> None:
        self._folder, self._plugin, self._ranks = folder, plugin, ranks

    def seconds(self, style: str, steps: int, extra: str = "") -> float:
        """Wall time of a run, as LAMMPS takes it itself."""
        lines = f"""
            units metal
            atom_style atomic
            read_data data.lammps
            plugin load {self._plugin}
            {style}
            velocity all create {TEMPERATURE_K} 1 mom yes
            neighbor {SKIN} bin
            timestep {TIMESTEP_FS / 1000}
            fix nve all nve
            {extra}
            thermo 0
            run {WARM_UP}
            run {steps}
            """
        (self._folder / "in.lammps").write_text(lines)
        here = Path(sys.prefix) / "bin"
        launcher = [] if self._ranks == 1 else [str(here / "mpiexec"), "-n", str(self._ranks)]
        command = [*launcher, str(here / "lmp"), "-in", "in.lammps", "-log", "none"]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True)
        times = re.findall(r"Loop time of (\S+) on", done.stdout)
        if done.returncode or len(times) != 2:
            raise SystemExit(f"LAMMPS failed:\n{done.stdout}{done.stderr}")
        return float(times[1])


def write_data(path: Path, atoms: Atoms) -> None:
    """Write a data file of an orthorhombic cell."""
    masses = dict(zip(atoms.get_chemical_symbols(), atoms.get_masses(), strict=True))
    lines = ["CuCl", "", f"{len(atoms)} atoms", f"{len(ELEMENTS)} atom types"]
    lines += [f"0 {length} {axis}lo {axis}hi" for length, axis in zip(atoms.cell.lengths(), "xyz", strict=True)]
    lines += ["", "Masses", "", *(f"{k + 1} {masses[element]}" for k, element in enumerate(ELEMENTS))]
    lines += ["", "Atoms # atomic", ""]
    for i, (symbol, r) in enumerate(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)):
        lines.append(f"{i + 1} {ELEMENTS.index(symbol) + 1} {r[0]} {r[1]} {r[2]}")
    path.write_text("\n".join(lines) + "\n")


def speed_row(level: int, cutoff: float, ranks: int, arguments: argparse.Namespace) -> list[str]:
    atoms, potential = copper_chloride().repeat(arguments.repeat), soft_potential(level, cutoff)
    loop = make_loop(potential, atoms.copy(), "none", ranks)
    nobody = np.zeros(0, dtype=np.int32)
    sampling = _native.Sampling(nobody, nobody)
    loop.run(WARM_UP, sampling, np.inf)
    steps = arguments.steps
    unit = 1e6 / (steps * len(atoms))

    def ours() -> float:
        before = loop.time_spent["all"]
        loop.run(steps, sampling, np.inf)
        return loop.time_spent["all"] - before

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "data.lammps", atoms)
        write_potential(potential, folder / "potential.mtp")
        lammps = Lammps(folder, arguments.plugin.resolve(), ranks)
        style = f"pair_style iontherm/mtp potential.mtp\npair_coeff * * {' '.join(ELEMENTS)}"
        calls = {
            "ours": ours,
            "pair style": lambda: lammps.seconds(style, steps),
            "heat current": lambda: lammps.seconds(style, steps, CURRENT),
            "no forces": lambda: lammps.seconds(f"pair_style zero {cutoff} full\npair_coeff * *", steps),
        }
        times: dict[str, list[float]] = {key: [] for key in calls}
        for _ in range(arguments.rounds):
            for key, call in calls.items():
                times[key].append(call() * unit)
    least = {key: min(values) for key, values in times.items()}
    ratio = least["pair style"] / least["ours"]
    return [
        f"{cutoff:g} Å",
        str(level),
        str(ranks),
        *(f"{least[key]:.3g}" for key in calls),
        f"{ratio:.2f}",
        verdict(ratio, LARGEST_RATIO, at_least=False),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", type=int, nargs="+", default=[8, 16, 22])
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[5.0, 7.0], help="in Angstrom")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1], help="of LAMMPS, and threads of our loop")
    parser.add_argument("--repeat", type=int, default=1, help="of the cell of 512 atoms, each way")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100, help="of each run in a round")
    parser.add_argument("--plugin", type=Path, default=Path("build/lammps/iontherm_mtp.so"))
    arguments = parser.parse_args()
    if not arguments.plugin.is_file():
        raise SystemExit(f"no {arguments.plugin}: make lammps-plugin")
    os.environ["OMP_NUM_THREADS"] = "1"  # of LAMMPS

    print_machine()
    print(f"LAMMPS {metadata.version('lammps')}")
    rows = [
        speed_row(level, cutoff, ranks, arguments)
        for ranks in arguments.ranks
        for cutoff in arguments.cutoffs
        for level in arguments.levels
    ]
    print_table(
        f"CuCl, {512 * arguments.repeat**3} atoms, NVE at {TIMESTEP_FS:g} fs: wall microseconds per atom and step, "
        f"least of {arguments.rounds} rounds of {arguments.steps} steps",
        ["cutoff", "level", "ranks", "our loop", "pair style", "heat current every 5", "no forces", "ratio", "goal"],
        rows,
    )
    print_load()


if __name__ == "__main__":
    main()
