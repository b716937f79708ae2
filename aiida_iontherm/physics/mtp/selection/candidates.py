"""Which of many candidates to label: few, and such that none of the others is an extrapolation any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.selection.active_set import SWAP_THRESHOLD, ActiveSet, grades, update

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Selection:
    """Candidates to label.

    Attributes
    ----------
    indices : tuple of int
        In ascending order.
    before : float array [n]
        Largest grade of each candidate against the active set given.
    after : float array [n]
        The same against `active_set`.
    active_set : ActiveSet
        The set given, with rows of the candidates chosen; their configurations are numbered on from the last of it.
    complete : bool
        False if the limit on the number kept some candidate above the threshold.
    """

    indices: tuple[int, ...]
    before: Array
    after: Array
    active_set: ActiveSet
    complete: bool


def select_configurations(
    candidates: Sequence[npt.ArrayLike],
    active_set: ActiveSet,
    *,
    threshold_select: float = 3.0,
    limit: int | None = None,
) -> Selection:
    """Choose candidates so that with their rows in the active set no candidate has a grade above the threshold.

    The smallest such choice is a covering problem that only trying all of them would solve. Here the candidate with
    the highest grade is taken with all its rows, the others are graded again, and so on until none is above the
    threshold. Then those are dropped that were chosen early and have lost all their rows to later ones: the active set
    does without them, so the guarantee does too. Among equals the first one is taken.

    Parameters
    ----------
    candidates : sequence of float arrays [n_i, P]
        Rows of each candidate, `rows.configuration_rows`.
    active_set : ActiveSet
        Of the training set, in the same mode.
    threshold_select : float
        Grade above which a configuration is wanted; 3 in Li et al., Adv. Mater. (2025), doi 10.1002/adma.202513381.
    limit : int, optional
        Largest number to choose.

    Raises
    ------
    ValueError
        If the threshold is not above 1, where training configurations themselves would be wanted again, or rows of a
        candidate are not finite or not of this potential.
    """
    if not threshold_select > 1 + SWAP_THRESHOLD:
        raise ValueError(f"the threshold of selection must be above {1 + SWAP_THRESHOLD}, not {threshold_select}")
    matrices = [np.asarray(rows, dtype=float) for rows in candidates]
    before = np.array([_grade(active_set, rows, index) for index, rows in enumerate(matrices)])
    known = int(active_set.origins[:, 0].max(initial=-1)) + 1
    current, chosen = active_set, list[int]()
    now = before.copy()
    while now.size and now.max() > threshold_select and (limit is None or len(chosen) < limit):
        best = int(now.argmax())
        rows = matrices[best]
        origins = np.column_stack([np.full(len(rows), known + best), np.arange(len(rows))])
        current = update(current, rows, origins)
        chosen.append(best)
        # The grades of the others fall as a rule, so most of the time those still above the threshold will do.
        for index in np.flatnonzero(now > threshold_select).tolist():
            now[index] = _grade(current, matrices[index], index)
        if now.max() <= threshold_select:
            now = np.array([_grade(current, rows, index) for index, rows in enumerate(matrices)])
    kept = {origin - known for origin in current.configurations if origin >= known}
    after = np.array([_grade(current, rows, index) for index, rows in enumerate(matrices)])
    return Selection(
        indices=tuple(sorted(kept)),
        before=before,
        after=after,
        active_set=current,
        complete=bool(after.max(initial=0.0) <= threshold_select),
    )


def grade_choice(
    candidates: Sequence[npt.ArrayLike],
    active_set: ActiveSet,
    chosen: Sequence[int],
    *,
    threshold_select: float = 3.0,
    limit: int | None = None,
) -> Selection:
    """Grade candidates before and after some of them are known that were chosen elsewhere.

    Parameters
    ----------
    candidates, active_set, threshold_select
        As in `select_configurations`.
    chosen : sequence of int
        Positions of the candidates that were chosen.
    limit : int, optional
        Only so many of them are taken, those of the highest grades first.

    Raises
    ------
    ValueError
        If a position is none of the candidates', or rows of a candidate are not finite or not of this potential.
    """
    matrices = [np.asarray(rows, dtype=float) for rows in candidates]
    if any(not 0 <= index < len(matrices) for index in chosen):
        raise ValueError(f"the choice names a candidate beyond the {len(matrices)} there are: {list(chosen)}")
    before = np.array([_grade(active_set, rows, index) for index, rows in enumerate(matrices)])
    kept = sorted(set(chosen), key=lambda index: (-before[index], index))[:limit]
    known = int(active_set.origins[:, 0].max(initial=-1)) + 1
    current = active_set
    for index in kept:
        rows = matrices[index]
        origins = np.column_stack([np.full(len(rows), known + index), np.arange(len(rows))])
        current = update(current, rows, origins)
    after = np.array([_grade(current, rows, index) for index, rows in enumerate(matrices)])
    return Selection(
        indices=tuple(sorted(kept)),
        before=before,
        after=after,
        active_set=current,
        complete=bool(after.max(initial=0.0) <= threshold_select),
    )


def _grade(active_set: ActiveSet, rows: Array, index: int) -> float:
    try:
        return float(grades(active_set, rows).max(initial=0.0))
    except ValueError as error:
        raise ValueError(f"candidate {index}: {error}") from error
