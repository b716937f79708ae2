"""The peer's training: motep's own loss, linear least squares and SciPy optimiser, with its C engine."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from _peers import motep_data
from ase import Atoms
from motep.loss import LossFunction, LossSetting
from motep.optimizers import LLSOptimizer, ScipyMinimizeOptimizer

from aiida_iontherm.physics.mtp import MomentTensorPotential

LINEAR = ["species_coeffs", "moment_coeffs"]


class _TimeUp(Exception):
    """The optimiser has used its time."""


class _TimedOptimizer(ScipyMinimizeOptimizer):
    """Motep's optimiser that remembers its best parameters and stops at a time."""

    def __init__(self, loss: LossFunction, end: float) -> None:
        super().__init__(loss)
        self._end = end
        self.best_loss, self.best = math.inf, self.loss.mtp_data.parameters.copy()
        self.evaluations = 0

    def rank0_loss(self, parameters: npt.NDArray[np.float64]) -> float:
        value = super().rank0_loss(parameters)
        self.evaluations += 1
        if value < self.best_loss:
            self.best_loss, self.best = value, np.array(parameters)
        if time.process_time() > self._end:
            raise _TimeUp
        return value


def train_motep(
    start: MomentTensorPotential,
    frames: Sequence[Atoms],
    weights: tuple[float, float, float],
    seconds: float,
    method: str = "BFGS",
) -> tuple[MomentTensorPotential, int]:
    """Train as motep's users do: least squares for the linear coefficients, then all of them together.

    When the time is up, the linear coefficients are solved for once more at the best radial ones; that is not counted.

    Parameters
    ----------
    start : MomentTensorPotential
        Radial coefficients to start from, and the potential that motep reads from a file.
    frames : sequence of ase.Atoms
        With labels, all with the same number of atoms.
    weights : (float, float, float)
        Of our loss. motep divides squared energies and virials by N^2 where we divide by N, so its weights are N times
        ours: both sides then lower the same function.
    seconds : float
        CPU seconds.
    method : str
        Of ``scipy.optimize.minimize``.

    Returns
    -------
    potential : MomentTensorPotential
    evaluations : int
        Of its loss function in the search.
    """
    (n_atoms,) = {len(atoms) for atoms in frames}
    end = time.process_time() + seconds
    data = motep_data(start)
    setting = LossSetting(
        energy_weight=weights[0] * n_atoms, forces_weight=weights[1], stress_weight=weights[2] * n_atoms
    )
    loss = LossFunction(list(frames), data, setting, engine="cext")
    LLSOptimizer(loss, optimized=LINEAR).optimize()
    search = _TimedOptimizer(loss, end)
    try:
        search.optimize(method=method, options={"maxiter": 100_000})
    except _TimeUp:
        data.parameters = search.best
    LLSOptimizer(loss, optimized=LINEAR).optimize()
    trained = start.replace(
        radial_coeffs=np.array(data.radial_coeffs),
        species_coeffs=np.array(data.species_coeffs),
        moment_coeffs=np.array(data.moment_coeffs),
    )
    return trained, search.evaluations
