"""Several runs of one system side by side, a thread each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.dynamics.blocks import BlockedRun


def replica_seed(seed: int, replica: int) -> int:
    """Seed of a replica; that of the first is the seed itself, so that it is the run without replicas."""
    if replica == 0:
        return seed
    return int(np.random.SeedSequence([seed, replica]).generate_state(1, np.uint64)[0] >> 1)


class Replicas:
    """Runs that differ in their seeds alone, advanced together block by block.

    The compiled loop lets other threads run while it works, so that as many replicas advance at a time as there are
    processors; with ASE's integrators they take turns. What is stored does not depend on the number of threads.

    Parameters
    ----------
    runs : sequence of BlockedRun
        Without watches: a run that breaks would leave series of different lengths.
    threads : int
        Runs advanced at a time.

    Raises
    ------
    ValueError
        If there is no run, or one is watched.
    """

    def __init__(self, runs: Sequence[BlockedRun], threads: int) -> None:
        if not runs:
            raise ValueError("there must be at least one replica")
        if len(runs) > 1 and any(run.watch is not None for run in runs):
            raise ValueError("graded runs have no replicas: one may break where others go on")
        self.runs = list(runs)
        self.threads = threads

    @property
    def finished(self) -> bool:
        """True when every run is."""
        return all(run.finished for run in self.runs)

    @property
    def block(self) -> int:
        """Number of blocks that all runs have made."""
        return min(run.block for run in self.runs)

    @property
    def temperature(self) -> float:
        """Mean kinetic temperature in K at the end of the last block."""
        return float(np.mean([run.temperature for run in self.runs]))

    def run_block(self) -> None:
        """Advance every run by one block.

        Raises
        ------
        UnstableRunError
            That of the first run that has one, when all have ended their block.
        """
        if len(self.runs) == 1:
            self.runs[0].run_block()
            return
        with ThreadPoolExecutor(min(self.threads, len(self.runs))) as pool:
            for advanced in [pool.submit(run.run_block) for run in self.runs]:
                advanced.result()

    def observables(self) -> dict[str, npt.NDArray[Any]]:
        """Return what each run has stored, see there; of several runs stacked along a first axis."""
        return self._joined([run.observables() for run in self.runs])

    def reduced(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the reducers of each run have made of its frames, stacked in the same way."""
        return self._joined([run.reduced() for run in self.runs])

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Plain data and arrays from which `restore` continues."""
        meta: dict[str, Any] = {}
        arrays: dict[str, npt.NDArray[Any]] = {}
        for index, run in enumerate(self.runs):
            meta[str(index)], own = run.state()
            arrays |= {f"{index}/{name}": values for name, values in own.items()}
        return meta, arrays

    def restore(self, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Continue from the `state` of the same runs."""
        for index, run in enumerate(self.runs):
            prefix = f"{index}/"
            own = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
            run.restore(meta[str(index)], own)

    def _joined(self, parts: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
        if len(parts) == 1:
            return parts[0]
        return {name: np.stack([part[name] for part in parts]) for name in parts[0]}
