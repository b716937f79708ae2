"""Errors of trained potentials against size of the training set and level, beside motep in the same time.

Sets of CuI, AgI, CsCu2I3 and Li6PS5Cl, labelled by the embedded CHGNet (`_labelled_sets.py`), are made at the first run
and kept in a folder. Test configurations come from other runs of molecular dynamics.

motep trains on the largest set, in the CPU time of one thread that our training took, with the same configurations,
weights, tables, cutoff, minimum distance and radial coefficients to start from. The two trainings of a point follow
each other.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _labelled_sets import COMPOUNDS, CUTOFF, LabelledSet, labelled_set, rms_force
from _motep_training import train_motep
from _timing import print_load, print_machine, print_table
from ase import Atoms

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.training import (
    PAPER_WEIGHTS,
    Configuration,
    Errors,
    TrainingState,
    evaluate_errors,
    train,
)

SIZES, SIZES_LEVEL = (25, 50, 100), 12
LEVELS = (8, 12, 16)
RADIAL_SIZE = 8
EV_PER_A3_IN_GPA = 160.21766


@dataclass(frozen=True)
class Point:
    """One training of ours and, where it was asked for, motep's beside it."""

    compound: str
    level: int
    size: int
    seconds: float
    reason: str
    ours: Errors
    peer: Errors | None
    evaluations: int


def measure(data: LabelledSet, level: int, size: int, limit: float, seed: int, peer_time: float) -> Point:
    """Train on the first configurations; motep too, in `peer_time` times the time unless that is zero."""
    frames = data.train[:size]
    end = time.process_time() + limit

    def go_on(_: TrainingState) -> bool:
        return time.process_time() < end

    start = time.process_time()
    training = train(frames, level=level, cutoff=CUTOFF, radial_size=RADIAL_SIZE, seed=seed, threads=1, on_step=go_on)
    seconds = time.process_time() - start
    peer, evaluations = None, 0
    if peer_time > 0:
        blank = _blank(training.potential, level, seed)
        potential, evaluations = train_motep(blank, frames, PAPER_WEIGHTS, peer_time * seconds)
        peer = _errors(potential, data.test)
    reason = f"after {limit:g} s" if training.reason == "stopped from outside" else training.reason
    return Point(data.name, level, size, seconds, reason, _errors(training.potential, data.test), peer, evaluations)


def _blank(trained: MomentTensorPotential, level: int, seed: int) -> MomentTensorPotential:
    """Potential that our training started from."""
    return MomentTensorPotential.new(
        level=level,
        species=trained.species,
        cutoff=trained.cutoff,
        min_distance=trained.min_distance,
        radial_size=RADIAL_SIZE,
        seed=seed,
    )


def _errors(potential: MomentTensorPotential, frames: Sequence[Atoms]) -> Errors:
    return evaluate_errors(potential, [Configuration.from_atoms(atoms) for atoms in frames], threads=1)


def set_row(data: LabelledSet) -> list[str]:
    energies = np.array([atoms.get_potential_energy() / len(atoms) for atoms in data.test])
    return [
        data.name,
        str(len(data.train[0])),
        f"{len(data.train)} / {len(data.test)}",
        f"{rms_force(data.test):.3f}",
        f"{np.std(energies) * 1e3:.1f}",
    ]


def point_row(point: Point) -> list[str]:
    return [
        point.compound,
        str(point.level),
        str(point.size),
        _pair(point, lambda errors: errors.force_rmse * 1e3),
        _pair(point, lambda errors: errors.energy_rmse * 1e3),
        _pair(point, lambda errors: (errors.stress_rmse or 0.0) * EV_PER_A3_IN_GPA * 1e3),
        f"{point.seconds:.0f}",
        "" if point.peer is None else str(point.evaluations),
        point.reason,
    ]


def _pair(point: Point, number: Callable[[Errors], float]) -> str:
    ours = f"{number(point.ours):.3g}"
    return ours if point.peer is None else f"{ours} / {number(point.peer):.3g}"


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw force errors relative to the rms force against size and level."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "accuracy"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
    views = (
        ("configurations", lambda p: p.size, [p for p in points if p.level == SIZES_LEVEL], f"level {SIZES_LEVEL}"),
        ("level", lambda p: p.level, [p for p in points if p.size == SIZES[-1]], f"{SIZES[-1]} configurations"),
    )
    for axis, (label, position, chosen, title) in zip(axes, views, strict=True):
        for number, name in enumerate(dict.fromkeys(p.compound for p in chosen)):
            own = sorted((p for p in chosen if p.compound == name), key=position)
            x, colour = [position(p) for p in own], f"C{number}"
            axis.plot(x, [_relative(p.ours) for p in own], "o-", color=colour, label=name)
            both = [p for p in own if p.peer is not None]
            axis.plot([position(p) for p in both], [_relative(p.peer) for p in both], "x--", color=colour)
            axis.set_xticks(x, [str(v) for v in x])
        axis.set(xlabel=label, title=title, yscale="log", ylim=(5, 100))
        axis.yaxis.set_major_locator(mpl.ticker.FixedLocator([5, 10, 20, 50, 100]))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes[0].set_ylabel("RMS error of forces / %")
    axes[1].plot([], [], "x--", color="grey", label="motep")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right center", fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _relative(errors: Errors) -> float:
    return 100 * errors.force_rmse / float(np.sqrt(np.mean(errors.forces[:, 0] ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=Path, default=_cache(), help="where the labelled sets are kept")
    parser.add_argument("--compounds", nargs="+", choices=COMPOUNDS, default=list(COMPOUNDS))
    parser.add_argument("--limit", type=float, default=60.0, help="CPU seconds of a training at most")
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    parser.add_argument("--levels", type=int, nargs="+", default=LEVELS, help=f"of the trainings on {SIZES[-1]}")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES[:-1], help=f"smaller sets, level {SIZES_LEVEL}")
    parser.add_argument("--peer-time", type=float, default=1.0, help="what motep gets of our time; 0 leaves it out")
    parser.add_argument("--figure", type=Path, help="draw the errors into this file")
    arguments = parser.parse_args()

    print_machine()
    trainings = [(SIZES_LEVEL, size) for size in arguments.sizes] + [(level, SIZES[-1]) for level in arguments.levels]
    sets, points = [], []
    for name in arguments.compounds:
        data = labelled_set(name, arguments.sets)
        sets.append(set_row(data))
        for level, size in trainings:
            peer_time = arguments.peer_time if size == SIZES[-1] else 0.0
            points.append(measure(data, level, size, arguments.limit, arguments.seed, peer_time))
            print(" ".join(point_row(points[-1])), flush=True)
    print_table(
        "Sets: atoms per cell, rms force in eV/Å and spread of the energies in meV/atom of the test part",
        ["compound", "atoms", "train / test", "rms force", "spread"],
        sets,
    )
    print_table(
        f"Errors on the test part, cutoff {CUTOFF:g} Å, ours / motep in {arguments.peer_time:g} times the time: forces "
        "in meV/Å, energies in meV/atom, stresses in MPa",
        ["compound", "level", "trained on", "forces", "energies", "stresses", "CPU s", "motep evaluations", "end"],
        [point_row(point) for point in points],
    )
    print_load()
    if arguments.figure is not None:
        draw(points, arguments.figure)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "iontherm" / "training_quality"


if __name__ == "__main__":
    main()
