"""How long our training needs to the best loss that motep reaches in hours.

Both lower the same loss of the same labelled configurations (`_labelled_sets.py`), nothing held out, from the same
radial coefficients. motep goes first, for the CPU time it is given; then ours goes on until it ends by itself, and the
table says when it passed motep's best.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from _labelled_sets import COMPOUNDS, CUTOFF, labelled_set
from _motep_training import train_motep
from _timing import print_load, print_machine, print_table, verdict
from training_quality import RADIAL_SIZE, _cache

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.training import PAPER_WEIGHTS, Configuration, TrainingState, train
from aiida_iontherm.physics.mtp.training.loss import Part
from aiida_iontherm.physics.mtp.training.ranges import choose_min_distance

GOAL_SECONDS = 180.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=Path, default=_cache(), help="where the labelled sets are kept")
    parser.add_argument("--compound", choices=COMPOUNDS, default="CsCu2I3")
    parser.add_argument("--level", type=int, default=16)
    parser.add_argument("--motep-hours", type=float, default=2.0, help="CPU time of motep")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    print_machine()
    frames = labelled_set(arguments.compound, arguments.sets).train
    data = [Configuration.from_atoms(atoms) for atoms in frames]
    species = tuple(dict.fromkeys(symbol for atoms in frames for symbol in atoms.get_chemical_symbols()))
    blank = MomentTensorPotential.new(
        level=arguments.level,
        species=species,
        cutoff=CUTOFF,
        min_distance=choose_min_distance(data)[0],
        radial_size=RADIAL_SIZE,
        seed=arguments.seed,
    )
    peer, evaluations = train_motep(blank, frames, PAPER_WEIGHTS, 3600 * arguments.motep_hours)
    peer_loss = Part(blank, data, PAPER_WEIGHTS, threads=1).loss(peer)
    print(f"motep: {evaluations} evaluations, loss {peer_loss:.4g} eV^2", flush=True)

    start = time.process_time()
    trace: list[tuple[float, float]] = []

    def on_step(state: TrainingState) -> bool:
        if state.history[-1, 3] == len(frames):
            trace.append((time.process_time() - start, float(state.history[-1, 1])))
        return True

    training = train(
        frames,
        level=arguments.level,
        cutoff=CUTOFF,
        radial_size=RADIAL_SIZE,
        seed=arguments.seed,
        validation_fraction=0.0,
        threads=1,
        on_step=on_step,
    )
    passed = next((seconds for seconds, loss in trace if loss <= peer_loss), None)
    print_table(
        f"{arguments.compound}, {len(frames)} configurations of {len(frames[0])} atoms, level {arguments.level}",
        ["motep CPU h", "motep loss", "ours passed it after", "goal", "our last loss", "after", "our end"],
        [
            [
                f"{arguments.motep_hours:g}",
                f"{peer_loss:.3g} eV²",
                "never" if passed is None else f"{passed:.0f} s",
                verdict(passed if passed is not None else float("inf"), GOAL_SECONDS, at_least=False),
                f"{trace[-1][1]:.3g} eV²",
                f"{trace[-1][0]:.0f} s",
                training.reason,
            ]
        ],
    )
    print_load()


if __name__ == "__main__":
    main()
