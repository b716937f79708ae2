"""The search for radial coefficients: several starts, growing samples of the data, when to stop.

A Gauss-Newton step costs one prediction per radial coefficient, so most of the way is made on a sample: the first part
of the data, ten numbers for each coefficient. There the starts are tried and the best one is taken on; each following
sample is at least four times larger, and the last one is all the data. Whatever the sample, the linear coefficients are
solved for exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.training.loss import Part, n_rows
from aiida_iontherm.physics.mtp.training.marquardt import FIRST_DAMPING, marquardt_iteration
from aiida_iontherm.physics.mtp.training.projection import Point, ProjectedLoss
from aiida_iontherm.physics.mtp.training.state import TrainingState

Array = npt.NDArray[np.float64]

START_ITERATIONS = 6
"""Iterations of each start before the best one is chosen: by then the first steep fall is over."""

SAMPLE_GROWTH = 4

SAMPLE_GAIN = 0.1
"""The next sample is taken when an iteration lowers the loss of this one by less than this fraction."""

JACOBIAN_ROWS_PER_COEFFICIENT = 250
"""Numbers that make the Gauss-Newton matrix, if there are so many: they fix it to some per cent."""

STOP_WINDOW = 10
"""Iterations over which the fall of the loss is judged."""


@dataclass(frozen=True)
class StopRules:
    """When the search ends.

    Attributes
    ----------
    max_iterations : int
        Limit of iterations, those of starts and samples included.
    tolerance : float
        Enough when ten iterations on all the data lower the loss by less than this fraction.
    patience : int
        Enough when so many iterations on all the data do not lower the loss of the held-out part.
    """

    max_iterations: int
    tolerance: float
    patience: int


class Search:
    """Makes one state of the training from the one before.

    Parameters
    ----------
    problem : ProjectedLoss
    held_out : Part or None
        Configurations to judge the potential by.
    make_radial : callable
        Radial coefficients of the start of this number.
    n_starts : int
    from_scratch : bool
        False goes on from the coefficients of an earlier potential, on all the data at once.
    rules : StopRules
    seed : int
    """

    def __init__(
        self,
        problem: ProjectedLoss,
        held_out: Part | None,
        make_radial: Callable[[int], Array],
        *,
        n_starts: int,
        from_scratch: bool,
        rules: StopRules,
        seed: int,
    ) -> None:
        self._problem = problem
        self._held_out = held_out
        self._make_radial = make_radial
        self._n_starts = n_starts if from_scratch else 1
        self._rules = rules
        self._seed = seed
        self._part_rows = np.array([sum(n_rows(entry) for entry in part.data) for part in problem.parts])
        self.samples = _samples(self._part_rows) if from_scratch else (len(problem.parts),)
        self._point: Point | None = None

    def begin(self) -> TrainingState:
        """Return the state before the first iteration."""
        radial = self._problem.unit_scale(self._make_radial(0))
        state = TrainingState(
            radial=radial,
            damping=FIRST_DAMPING,
            iteration=0,
            start=0 if self._n_starts > 1 else 1,
            sample=0,
            stalled=False,
            tried=np.empty((0, *radial.shape)),
            tried_losses=np.empty(0),
            best_radial=radial,
            best_validation=np.inf,
            history=np.empty((0, 5)),
        )
        return self._recorded(state)

    def step(self, state: TrainingState) -> TrainingState:
        """Make one iteration, after turning to the next start or sample if the last one is done with."""
        state = self._moved_on(state)
        point = self._solved(state)
        found, damping = marquardt_iteration(self._problem, point, state.damping, self._jacobian_parts(state))
        if found is None:
            return replace(state, stalled=True)
        self._point = found
        state = replace(state, radial=found.potential.radial_coeffs, damping=damping, iteration=state.iteration + 1)
        return self._recorded(state)

    def end(self, state: TrainingState) -> tuple[str, bool] | None:
        """Tell why the search is over and whether it converged; None while it is not over.

        This follows from the state alone, so that a run continued from its last state stops where it was.
        """
        if self._is_last(state):
            losses, validation = state.losses, state.validation_losses
            if state.stalled:
                return "no step lowers the loss", True
            gain = losses[-1 - STOP_WINDOW] - losses[-1] if len(losses) > STOP_WINDOW else np.inf
            if gain < self._rules.tolerance * losses[-1]:
                return f"{STOP_WINDOW} iterations lowered the loss by less than {self._rules.tolerance:g} of it", True
            # Without a held-out part the losses are NaN, and argmin is the first: `best_validation` tells.
            if np.isfinite(state.best_validation):
                since = len(validation) - 1 - int(np.argmin(validation))
                if since >= self._rules.patience:
                    return f"{since} iterations did not lower the loss of the held-out part", True
        if state.iteration >= self._rules.max_iterations:
            return f"the limit of {self._rules.max_iterations} iterations was reached", False
        return None

    def finish(self, state: TrainingState) -> Point:
        """Solve for the best potential so far on all the data."""
        radial = state.best_radial if np.isfinite(state.best_validation) else state.radial
        return self._problem.solve(radial, len(self._problem.parts))

    def _is_last(self, state: TrainingState) -> bool:
        return state.start == self._n_starts and state.sample == len(self.samples) - 1

    def _moved_on(self, state: TrainingState) -> TrainingState:
        losses = state.losses
        if state.start < self._n_starts:
            if not state.stalled and len(losses) <= START_ITERATIONS:
                return state
            tried = np.concatenate([state.tried, state.radial[None]])
            tried_losses = np.append(state.tried_losses, losses[-1])
            following = state.start + 1
            if following < self._n_starts:
                radial = self._problem.unit_scale(self._make_radial(following))
            else:
                radial = tried[np.argmin(tried_losses)]
            state = replace(state, radial=radial, start=following, tried=tried, tried_losses=tried_losses)
            state = replace(state, damping=FIRST_DAMPING)
        elif not self._is_last(state) and (state.stalled or _slow(losses)):
            state = replace(state, sample=state.sample + 1)
        else:
            return state
        return self._recorded(replace(state, damping=min(state.damping, FIRST_DAMPING), stalled=False))

    def _recorded(self, state: TrainingState) -> TrainingState:
        point = self._solved(state)
        validation = np.nan
        # Coefficients that have not seen all the data are no candidates.
        if self._held_out is not None and self._is_last(state):
            validation = self._held_out.loss(point.potential)
        fitted = sum(len(part) for part in self._problem.parts[: point.n_parts])
        return state.recorded(point.loss, validation, fitted)

    def _solved(self, state: TrainingState) -> Point:
        n_parts = self.samples[state.sample]
        known = self._point
        if known is None or known.n_parts != n_parts or not np.array_equal(known.potential.radial_coeffs, state.radial):
            self._point = known = self._problem.solve(state.radial, n_parts)
        return known

    def _jacobian_parts(self, state: TrainingState) -> list[int]:
        order = np.random.default_rng([self._seed, state.iteration]).permutation(self.samples[state.sample])
        rows = np.cumsum(self._part_rows[order])
        enough = int(np.searchsorted(rows, JACOBIAN_ROWS_PER_COEFFICIENT * self._problem.n_coefficients)) + 1
        return sorted(order[:enough].tolist())


def _slow(losses: Array) -> bool:
    return len(losses) > 1 and losses[-1] > (1 - SAMPLE_GAIN) * losses[-2]


def _samples(part_rows: npt.NDArray[np.int_]) -> tuple[int, ...]:
    """Numbers of parts that are fitted one after the other."""
    totals = np.cumsum(part_rows)
    samples: list[int] = []
    for n_parts, total in enumerate(totals, start=1):
        # A sample of half the data or more would save nothing.
        if total < totals[-1] / 2 and (not samples or total >= SAMPLE_GROWTH * totals[samples[-1] - 1]):
            samples.append(n_parts)
    return (*samples, len(part_rows))
