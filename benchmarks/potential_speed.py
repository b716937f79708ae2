"""Energy and forces of a moment tensor potential, per atom and step, against motep's C extension.

Both are timed at the call of the kernel: neighbours are known, positions are not copied. Ours still finds out which
neighbours of its list are within the cutoff; motep is given those alone.
"""

from __future__ import annotations

import argparse

import numpy as np
from _peers import MotepKernel
from _systems import caesium_copper_iodide, copper_chloride, evaluator, random_potential
from _timing import interleaved, print_load, print_machine, print_table, verdict
from ase import Atoms

from aiida_iontherm import _native
from aiida_iontherm.physics.mtp.kernel import instruction_sets

MICROSECONDS = 1e6
RATIO_GOALS = {5.0: 10.0, 7.0: 12.0}
VIRIAL_GOAL_PERCENT = 10.0
CHLORIDE_GOALS = {(5.0, 16): 3.5}  # microseconds per atom at a cutoff and level


def largest_difference(ours: _native.Evaluator, peer: MotepKernel) -> float:
    """Relative to the largest force, or to the largest energy of an atom."""
    energies, forces = ours.run()[:2]
    peer_energies, peer_forces = peer.run()
    return max(
        np.abs(forces - peer_forces).max() / np.abs(peer_forces).max(),
        np.abs(energies - peer_energies).max() / np.abs(peer_energies).max(),
    )


def speed_rows(
    atoms: Atoms, level: int, cutoff: float, rounds: int, absolute_goals: dict[tuple[float, int], float]
) -> list[list[str]]:
    potential = random_potential(level, tuple(dict.fromkeys(atoms.get_chemical_symbols())), cutoff)
    peer = MotepKernel(potential, atoms)
    ours = {name: evaluator(potential, atoms, name) for name in instruction_sets()}
    difference = max(largest_difference(each, peer) for each in ours.values())
    calls = {"motep": peer.run}
    for name, each in ours.items():
        calls[name] = each.run
        calls[f"{name} virials"] = lambda each=each: each.run(True)
    timings = interleaved(calls, rounds=rounds)
    per_atom = MICROSECONDS / len(atoms)
    rows = []
    for rank, name in enumerate(ours):
        ratio = timings["motep"].shortest / timings[name].shortest
        overhead = 100 * (timings[f"{name} virials"].shortest / timings[name].shortest - 1)
        goals = ["", ""]
        if rank == 0:
            goals = [
                verdict(ratio, RATIO_GOALS.get(cutoff)),
                verdict(timings[name].shortest * per_atom, absolute_goals.get((cutoff, level)), at_least=False),
            ]
        rows.append(
            [
                f"{cutoff:g} Å, {peer.neighbours_per_atom:.0f} neighbours",
                str(level),
                name,
                timings[name].text(per_atom),
                timings["motep"].text(per_atom),
                f"{ratio:.1f}",
                ", ".join(goal for goal in goals if goal),
                f"{overhead:+.1f} %",
                "" if rank else verdict(overhead, VIRIAL_GOAL_PERCENT, at_least=False),
                f"{difference:.0e}",
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", type=int, nargs="+", default=[8, 16, 22])
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[5.0, 7.0], help="in Angstrom")
    parser.add_argument("--rounds", type=int, default=15, help="samples of each time")
    arguments = parser.parse_args()

    print_machine()
    systems = [
        ("CuCl, 2 species, 512 atoms", copper_chloride(), CHLORIDE_GOALS),
        ("CsCu2I3, 3 species, 384 atoms", caesium_copper_iodide(), {}),
    ]
    header = ["cutoff", "level", "instructions", "ours", "motep", "ratio", "goal", "virials", "goal", "difference"]
    for name, atoms, goals in systems:
        rows = [
            row
            for cutoff in arguments.cutoffs
            for level in arguments.levels
            for row in speed_rows(atoms, level, cutoff, arguments.rounds, goals)
        ]
        print_table(f"{name}: CPU microseconds per atom and step, shortest (median), one thread", header, rows)
    print_load()


if __name__ == "__main__":
    main()
