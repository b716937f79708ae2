"""Mean square displacements and velocity autocorrelations: time, memory and numbers against kinisi and MDAnalysis.

The ions follow Langevin's equation without forces. Their frames come in blocks, as a run hands them over, and are made
outside the time that is measured. The peers hold all frames at once, so they are compared at a smaller size.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import MDAnalysis
import numpy as np
import numpy.typing as npt
import scipp as sc
import tidynamics
from _timing import interleaved, print_load, print_machine, print_table, verdict
from kinisi.displacement import calculate_msd
from kinisi.parser import Parser
from MDAnalysis.analysis.msd import EinsteinMSD
from scipy.signal import lfilter

from aiida_iontherm.physics.dynamics.reducers import DisplacementReducer, VelocityReducer
from aiida_iontherm.physics.ions.msd import mean_square_displacement

Array = npt.NDArray[np.float64]

INTERVAL_PS = 0.02
KEPT = 0.98
"""Share of a velocity that is left after a frame: a memory of 1 ps."""

SPEED = 3.0
"""Root mean square of each velocity component in Angstrom/ps."""

MASS = 63.546
BLOCK = 500
BOX = 40.0
SECONDS_GOAL = 10.0
MEMORY_GOAL_GB = 1.0


def blocks(frames: int, ions: int) -> Iterator[tuple[Array, Array]]:
    """Positions and velocities [n, ions, 3], some frames at a time.

    They are rounded to single precision, in which MDAnalysis holds its coordinates, so that all see the same.
    """
    rng = np.random.default_rng(0)
    place = rng.uniform(0, BOX, (ions, 3))
    memory = KEPT * rng.normal(scale=SPEED, size=(1, ions, 3))
    for first in range(0, frames, BLOCK):
        kicks = rng.standard_normal((min(BLOCK, frames - first), ions, 3)) * (SPEED * np.sqrt(1 - KEPT**2))
        velocities, memory = lfilter([1.0], [1.0, -KEPT], kicks, axis=0, zi=memory)
        positions = place + INTERVAL_PS * np.cumsum(velocities, axis=0)
        place = positions[-1]
        yield positions.astype(np.float32).astype(float), velocities.astype(np.float32).astype(float)


def reducers(ions: int, max_lag: int) -> tuple[DisplacementReducer, VelocityReducer]:
    groups = {"ions": np.arange(ions)}
    return (
        DisplacementReducer(groups, INTERVAL_PS),
        VelocityReducer(groups, np.full(ions, MASS), INTERVAL_PS, max_lag),
    )


def reduce_blocks(reducer: DisplacementReducer | VelocityReducer, frames: Array) -> dict[str, Array]:
    for first in range(0, len(frames), BLOCK):
        reducer.add(frames[first : first + BLOCK])
    return reducer.results()


def measure_full(frames: int, ions: int, max_lag: int) -> tuple[float, float, float]:
    """CPU seconds of displacements and of velocities, and peak memory in GB, in a process of its own."""
    displacements, velocities = reducers(ions, max_lag)
    seconds = np.zeros(2)
    for places, speeds in blocks(frames, ions):
        start = time.process_time()
        displacements.add(places)
        middle = time.process_time()
        velocities.add(speeds)
        seconds += middle - start, time.process_time() - middle
    for index, reducer in enumerate((displacements, velocities)):
        start = time.process_time()
        reducer.results()
        seconds[index] += time.process_time() - start
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9
    return float(seconds[0]), float(seconds[1]), peak


def full_rows(frames: int, ions: int, max_lag: int, rounds: int) -> list[list[str]]:
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        runs = [pool.apply(measure_full, (frames, ions, max_lag)) for _ in range(rounds)]
    displacements, velocities, peaks = (np.array(column) for column in zip(*runs, strict=True))
    seconds = {"displacements": displacements, "velocities": velocities, "both": displacements + velocities}
    goals = {"both": SECONDS_GOAL}
    rows = [
        [
            f"{name}, CPU s",
            f"{min(values):.1f} ({np.median(values):.1f})",
            verdict(min(values), goals.get(name), at_least=False),
        ]
        for name, values in seconds.items()
    ]
    return [*rows, ["both, peak GB", f"{max(peaks):.2f}", verdict(max(peaks), MEMORY_GOAL_GB, at_least=False)]]


def kinisi_parser(positions: Array, lags: npt.NDArray[np.int64]) -> Parser:
    """Hand kinisi a trajectory, of which it makes displacements from the first frame."""
    frames, ions, _ = positions.shape
    return Parser(
        coords=sc.array(dims=["time", "particle", "dimension"], values=positions / BOX % 1.0),
        latt=sc.array(dims=["time", "row", "column"], values=np.tile(BOX * np.eye(3), (frames, 1, 1)), unit="angstrom"),
        time_step=sc.scalar(INTERVAL_PS, unit="ps"),
        step_skip=sc.scalar(1),
        dt=sc.array(dims=["time interval"], values=lags * INTERVAL_PS, unit="ps"),
        specie_indices=sc.array(dims=["particle"], values=np.arange(ions)),
        drift_indices=sc.array(dims=["particle"], values=np.empty(0, dtype=np.int64)),
    )


def mdanalysis_universe(positions: Array) -> MDAnalysis.Universe:
    universe = MDAnalysis.Universe.empty(positions.shape[1], trajectory=True)
    universe.load_new(positions.astype(np.float32), dt=INTERVAL_PS)
    return universe


def compare_rows(frames: int, ions: int, max_lag: int, rounds: int) -> list[list[str]]:
    positions, velocities = (np.concatenate(parts) for parts in zip(*blocks(frames, ions), strict=True))
    streamed = reduce_blocks(reducers(ions, max_lag)[0], positions)
    lags = np.rint(streamed["msd_lags_ps"] / INTERVAL_PS).astype(int)
    parser, universe = kinisi_parser(positions, lags), mdanalysis_universe(positions)
    calls = {
        "reducer": lambda: reduce_blocks(reducers(ions, max_lag)[0], positions)["msd_ions"].sum(axis=1),
        "transform": lambda: np.trace(mean_square_displacement(positions), axis1=1, axis2=2),
        "kinisi": lambda: calculate_msd(parser, progress=False)["da"].values,
        "MDAnalysis": lambda: EinsteinMSD(universe, fft=True).run().results.timeseries,
        "velocities": lambda: reduce_blocks(reducers(ions, max_lag)[1], velocities)["vacf_ions"].sum(axis=0) / MASS,
        "tidynamics": lambda: sum(tidynamics.acf(velocities[:, ion]) for ion in range(ions))[: max_lag + 1] / ions,
    }
    results = {name: call() for name, call in calls.items()}
    times = interleaved(calls, rounds=rounds)

    # At its longer lags the reducer takes fewer origins: the shortest are those where all take every frame.
    every = np.flatnonzero(streamed["msd_origins"] == frames - lags)
    found = results["kinisi"]
    differences = {
        ("reducer", "kinisi"): (results["reducer"][every], found[every]),
        ("reducer", "MDAnalysis"): (results["reducer"][every], results["MDAnalysis"][lags[every]]),
        ("transform", "kinisi"): (results["transform"][lags[: len(found)]], found),
        ("transform", "MDAnalysis"): (results["transform"], results["MDAnalysis"]),
        ("velocities", "tidynamics"): (results["velocities"], results["tidynamics"]),
    }
    kinds = {
        "reducer": f"displacements as they come, {len(lags)} lags",
        "transform": f"displacements by transform, {frames - 1} lags",
        "velocities": f"velocities as they come, {max_lag} lags",
    }
    peers = {
        "kinisi": f"kinisi, {len(found)} lags",
        "MDAnalysis": f"MDAnalysis, {frames - 1} lags",
        "tidynamics": f"tidynamics, {frames - 1} lags",
    }
    rows = []
    for (ours, peer), (mine, theirs) in differences.items():
        relative = np.abs(mine - theirs).max() / np.abs(theirs).max()
        ratio = times[peer].shortest / times[ours].shortest
        rows.append(
            [kinds[ours], times[ours].text(1), peers[peer], times[peer].text(1), f"{ratio:.1f}", f"{relative:.0e}"]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--ions", type=int, default=1000)
    parser.add_argument("--compared-frames", type=int, default=2000)
    parser.add_argument("--compared-ions", type=int, default=50)
    parser.add_argument("--max-lag", type=int, default=1000, help="of velocities, in frames")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    print_machine()
    print_table(
        f"{arguments.frames} frames of {arguments.ions} ions, least (and median) of {arguments.rounds} runs",
        ["", "ours", "goal"],
        full_rows(arguments.frames, arguments.ions, arguments.max_lag, arguments.rounds),
    )
    print_table(
        f"{arguments.compared_frames} frames of {arguments.compared_ions} ions: CPU seconds",
        ["ours", "CPU s", "peer", "CPU s", "ratio", "difference"],
        compare_rows(arguments.compared_frames, arguments.compared_ions, arguments.max_lag, arguments.rounds),
    )
    print_load()


if __name__ == "__main__":
    main()
