"""Loss and gradient of a training set against motep's loss function; time and memory of large sets.

Ours is what an iteration of a training does: new coefficients, predictions, residuals, one gradient sweep for all
coefficients. The other side is the loss function of motep with its Jacobian. The neighbour lists of both sides are made
before.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _peers import ENERGY_WEIGHT, FORCE_WEIGHT, STRESS_WEIGHT, MotepLoss
from _systems import random_potential, training_cells
from _timing import interleaved, print_load, print_machine, print_table, verdict
from ase import Atoms

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.kernel import TrainingKernel, compile_potential

Array = npt.NDArray[np.float64]

SPECIES = ("Cu", "Cl")
CUTOFF = 5.0
RATIO_GOALS = {8: 40.0, 16: 80.0}

LARGE_LEVEL, LARGE_REPEATS, LARGE_COUNT = 22, (5, 5, 4), 5000  # 200 atoms each
MEMORY_GOAL_GB = 4.0
DESIGN_BLOCK = 8  # configurations whose rows are held at once


class OurLoss:
    """The loss that motep computes, with our kernel."""

    def __init__(
        self,
        potential: MomentTensorPotential,
        cells: Sequence[Atoms],
        energies: Array,
        forces: Array,
        virials: Array,
    ) -> None:
        self._potential = potential
        self._kernel = TrainingKernel(potential, cells, threads=1)
        self._labels = energies, forces, virials
        n, k = self._kernel.n_atoms, len(cells)
        self._energy_weights = ENERGY_WEIGHT / n**2 / k
        self._force_weights = np.repeat(FORCE_WEIGHT / n / k, n)[:, None]
        self._virial_weights = (STRESS_WEIGHT / n**2 / k)[:, None, None]

    def loss_and_gradient(self) -> tuple[float, Array]:
        """As the method of `MotepLoss`."""
        # A copy, as in a training: its coefficients are compiled anew.
        potential = self._potential.replace()
        residuals = [ours - label for ours, label in zip(self._kernel.predict(potential), self._labels, strict=True)]
        weighted = [
            weight * residual
            for weight, residual in zip(
                (self._energy_weights, self._force_weights, self._virial_weights), residuals, strict=True
            )
        ]
        loss = sum(float(np.vdot(left, right)) for left, right in zip(weighted, residuals, strict=True))
        species, moments, radial = self._kernel.gradient(potential, *(2 * each for each in weighted))
        return loss, np.concatenate([moments, species, radial.ravel()])


def loss_row(level: int, count: int, rounds: int) -> list[str]:
    cells = training_cells(count, (4, 3, 2))
    labels = TrainingKernel(labeller := random_potential(level, SPECIES, CUTOFF, seed=1), cells).predict(labeller)
    potential = random_potential(level, SPECIES, CUTOFF)
    ours, peer = OurLoss(potential, cells, *labels), MotepLoss(potential, cells, *labels)
    (loss, gradient), (peer_loss, peer_gradient) = ours.loss_and_gradient(), peer.loss_and_gradient()
    difference = max(
        abs(loss - peer_loss) / peer_loss, np.abs(gradient - peer_gradient).max() / np.abs(peer_gradient).max()
    )
    timings = interleaved(
        {"ours": ours.loss_and_gradient, "motep": peer.loss_and_gradient}, rounds=rounds, sample_seconds=0.1
    )
    ratio = timings["motep"].shortest / timings["ours"].shortest
    return [
        str(level),
        str(len(gradient)),
        timings["ours"].text(1.0),
        timings["motep"].text(1.0),
        f"{ratio:.0f}",
        verdict(ratio, RATIO_GOALS.get(level)),
        f"{difference:.0e}",
    ]


def measure_large(count: int, design_count: int) -> dict[str, float]:
    """CPU seconds and peak memory of a set, in a process of its own.

    The peak is taken after predictions, gradient and the normal equations of the linear coefficients, which are summed
    block by block from the first `design_count` configurations: more of them need time but no memory.
    """
    result = {}
    potential = random_potential(LARGE_LEVEL, SPECIES, CUTOFF)
    compile_potential(potential)  # a training makes the tables of its level once: not part of these times
    cells = training_cells(count, LARGE_REPEATS)
    start = time.process_time()
    kernel = TrainingKernel(potential, cells, threads=1)
    result["lists s"] = time.process_time() - start
    start = time.process_time()
    weights = kernel.predict(potential)
    result["predict s"] = time.process_time() - start
    start = time.process_time()
    kernel.gradient(potential, *weights)
    result["gradient s"] = time.process_time() - start
    start = time.process_time()
    columns = len(SPECIES) + len(potential.tables.scalars)
    normal = np.zeros((columns, columns))
    design_count = min(design_count, count)
    for first in range(0, design_count, DESIGN_BLOCK):
        rows = kernel.design(potential, first, min(first + DESIGN_BLOCK, design_count))
        normal += rows.T @ rows
    result["design s"] = (time.process_time() - start) * count / design_count
    result["peak GB"] = peak_memory_gb()
    return result


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far (VmHWM; ru_maxrss would inherit that of the parent)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def large_rows(counts: Sequence[int], design_count: int) -> list[list[str]]:
    rows, peaks, times = [], {}, {}
    for count in counts:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            result = pool.submit(measure_large, count, design_count).result()
        peaks[count] = result["peak GB"]
        times[count] = [result[f"{name} s"] for name in ("lists", "predict", "gradient", "design")]
        part = "" if design_count >= count else f" (scaled from {design_count})"
        rows.append(_large_row(f"{count}", times[count], part, peaks[count]))
    first, last = min(counts), max(counts)
    if first < last < LARGE_COUNT:
        slope = (peaks[last] - peaks[first]) / (last - first)
        scaled = [seconds * LARGE_COUNT / last for seconds in times[last]]
        rows.append(_large_row(f"{LARGE_COUNT} (extrapolated)", scaled, "", peaks[last] + slope * (LARGE_COUNT - last)))
    return rows


def _large_row(name: str, seconds: Sequence[float], part: str, peak: float) -> list[str]:
    goal = verdict(peak, MEMORY_GOAL_GB, at_least=False) if name.startswith(str(LARGE_COUNT)) else ""
    lists, predict, gradient, design = (f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in seconds)
    return [name, lists, predict, gradient, design + part, f"{peak:.2f}", goal]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", type=int, nargs="*", default=[8, 16])
    parser.add_argument("--configurations", type=int, default=100, help="of 48 atoms, for the comparison")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each time")
    parser.add_argument("--large", type=int, nargs="*", default=[1000, 5000], help="sizes of the large sets")
    parser.add_argument("--design", type=int, default=40, help="configurations whose design rows are timed")
    arguments = parser.parse_args()

    print_machine()
    rows = [loss_row(level, arguments.configurations, arguments.rounds) for level in arguments.levels]
    if rows:
        print_table(
            f"Loss and gradient, {arguments.configurations} x 48 atoms of CuCl, {CUTOFF:g} Å: CPU seconds, "
            "shortest (median)",
            ["level", "parameters", "ours", "motep", "ratio", "goal", "difference"],
            rows,
        )
        print_load()
    if arguments.large:
        print_table(
            f"Sets of 200 atoms, level {LARGE_LEVEL}, {CUTOFF:g} Å: CPU seconds on one thread, peak memory in GB",
            ["configurations", "lists", "predict", "gradient", "normal equations", "memory", "goal"],
            large_rows(arguments.large, arguments.design),
        )
        print_load()


if __name__ == "__main__":
    main()
