"""Where a training is, in a form that can be saved and continued exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything the next iteration depends on.

    Attributes
    ----------
    radial : float array [z, z, mu, k]
        Current radial coefficients, of unit scale.
    damping : float
        First one to try in the next iteration.
    iteration : int
        Iterations so far, those of all starts and samples together.
    start : int
        The start that is being tried; the number of starts once one is chosen.
    sample : int
        Index of the sample of the data that is being fitted.
    stalled : bool
        True when no step lowers the loss of this sample.
    tried : float array [starts tried, z, z, mu, k]
        Where the starts got to.
    tried_losses : float array [starts tried]
        In eV^2.
    best_radial : float array [z, z, mu, k]
        The coefficients that did best on the held-out part.
    best_validation : float
        Their loss there in eV^2, infinite before the first.
    history : float array [rows, 5]
        Iteration, loss, validation loss (eV^2; NaN without a held-out part), configurations in the loss, start.
    """

    radial: Array
    damping: float
    iteration: int
    start: int
    sample: int
    stalled: bool
    tried: Array
    tried_losses: Array
    best_radial: Array
    best_validation: float
    history: Array

    @property
    def losses(self) -> Array:
        """Losses of the current start on the current sample, its first value before any iteration."""
        return self.history[self._since(), 1]

    @property
    def validation_losses(self) -> Array:
        """Losses on the held-out part that belong to `losses`."""
        return self.history[self._since(), 2]

    def to_arrays(self) -> dict[str, Array]:
        """All of it as arrays of numbers."""
        return {name: np.asarray(value, dtype=float) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> TrainingState:
        """Inverse of `to_arrays`."""
        return cls(
            radial=arrays["radial"],
            damping=float(arrays["damping"]),
            iteration=int(arrays["iteration"]),
            start=int(arrays["start"]),
            sample=int(arrays["sample"]),
            stalled=bool(arrays["stalled"]),
            tried=arrays["tried"],
            tried_losses=arrays["tried_losses"],
            best_radial=arrays["best_radial"],
            best_validation=float(arrays["best_validation"]),
            history=arrays["history"],
        )

    def recorded(self, loss: float, validation: float, n_configurations: int) -> TrainingState:
        """Return the state with one more row of history, and with the best coefficients if these are."""
        row = [self.iteration, loss, validation, n_configurations, self.start]
        state = replace(self, history=np.vstack([self.history, row]))
        if validation < self.best_validation:
            state = replace(state, best_radial=self.radial, best_validation=validation)
        return state

    def _since(self) -> slice:
        """Rows of the history that belong to the current start and sample."""
        same = np.all(self.history[:, 3:] == self.history[-1, 3:], axis=1)
        others = np.flatnonzero(~same)
        return slice(others[-1] + 1 if len(others) else 0, None)
