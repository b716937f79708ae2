"""Energy and forces of a moment tensor potential on two threads against one.

Wall time, so it needs a moment in which nobody else uses either processor: with a load average above one the gain that
is printed is that of the machine, not of the kernel.
"""

from __future__ import annotations

import argparse
import time

from _systems import copper_chloride, evaluator, random_potential
from _timing import interleaved, print_load, print_machine, print_table, verdict
from ase import Atoms

MICROSECONDS = 1e6
GOAL = 1.8


def thread_row(atoms: Atoms, level: int, cutoff: float, rounds: int) -> list[str]:
    potential = random_potential(level, ("Cu", "Cl"), cutoff)
    one, two = evaluator(potential, atoms), evaluator(potential, atoms, threads=2)
    # Each sample is long enough to bring the second thread to a processor of its own, as a run of many steps does.
    timings = interleaved({"one": one.run, "two": two.run}, rounds=rounds, sample_seconds=0.01, clock=time.perf_counter)
    gain = timings["one"].shortest / timings["two"].shortest
    per_atom = MICROSECONDS / len(atoms)
    return [
        f"{cutoff:g} Å",
        str(level),
        timings["one"].text(per_atom),
        timings["two"].text(per_atom),
        f"{gain:.2f}",
        verdict(gain, GOAL),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", type=int, nargs="+", default=[8, 16, 22])
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[5.0, 7.0], help="in Angstrom")
    parser.add_argument("--rounds", type=int, default=300, help="samples of each time")
    arguments = parser.parse_args()

    print_machine()
    atoms = copper_chloride()
    rows = [
        thread_row(atoms, level, cutoff, arguments.rounds) for cutoff in arguments.cutoffs for level in arguments.levels
    ]
    print_table(
        "CuCl, 512 atoms: wall microseconds per atom and step, shortest (median)",
        ["cutoff", "level", "1 thread", "2 threads", "gain", "goal"],
        rows,
    )
    print_load()


if __name__ == "__main__":
    main()
