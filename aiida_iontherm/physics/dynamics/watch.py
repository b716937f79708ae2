"""Watch a run leave the region its potential knows: grades on the way, candidates to learn from, and when to stop.

Which frames are worth labelling and when a run cannot be trusted any longer are decided by two thresholds on the
extrapolation grade, as in E. V. Podryabinkin and A. V. Shapeev, Comput. Mater. Sci. 140, 171 (2017). Where grades
come from is not known here: a function gives one number for each atom, or one for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

Array = npt.NDArray[np.float64]
Grader = Callable[[Atoms], Array]


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """When to look and what to make of it.

    Attributes
    ----------
    stride : int
        Steps between two gradings.
    select : float
        A frame with an atom above this grade is kept as a candidate; 3 in Li et al., doi 10.1002/adma.202513381.
    stop : float
        Above this one the run is over; 10 there.
    spacing : int
        Steps within which two frames count as one: the higher grade is kept.
    max_candidates : int
        Beyond this number `spacing` is doubled, so that those kept still cover the whole run.
    """

    stride: int
    select: float = 3.0
    stop: float = 10.0
    spacing: int = 50
    max_candidates: int = 50

    def __post_init__(self) -> None:
        for name in ("stride", "spacing", "max_candidates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 1 < self.select < self.stop:
            raise ValueError(
                f"the thresholds must obey 1 < select < stop, not {self.select:g} and {self.stop:g}: grades up to 1 "
                "are those of the training set itself"
            )


@dataclass(frozen=True)
class Candidate:
    """A frame to learn from.

    Attributes
    ----------
    step : int
        Since the start of the run, equilibration included.
    temperature : float
        Kinetic, in K.
    grade : float
        Largest one of any atom.
    positions : float array [N, 3]
        In Angstrom.
    """

    step: int
    temperature: float
    grade: float
    positions: Array


class ExtrapolationWatch:
    """Grades frames of one run, keeps some, and says when to stop.

    Parameters
    ----------
    grader : callable
        From atoms to grades [N] or [1].
    settings : WatchSettings
    """

    def __init__(self, grader: Grader, settings: WatchSettings) -> None:
        self.settings = settings
        self._grader = grader
        self._spacing = settings.spacing
        self._series: list[tuple[float, float, float]] = []
        self._candidates: dict[int, Candidate] = {}

    def look(self, atoms: Atoms, step: int, temperature: float) -> float:
        """Grade a frame and keep it if it is worth it.

        Parameters
        ----------
        atoms : ase.Atoms
        step : int
            Since the start of the run.
        temperature : float
            In K.

        Returns
        -------
        float
            The largest grade; above `WatchSettings.stop` the run should end.
        """
        found = self._grader(atoms)
        largest = float(found.max())
        self._series.append((float(step), largest, float(found.mean())))
        if largest > self.settings.select and np.isfinite(largest):
            self._keep(Candidate(step, temperature, largest, atoms.positions.copy()))
        return largest

    def _keep(self, candidate: Candidate) -> None:
        slots = self._candidates
        slot = candidate.step // self._spacing
        if slot not in slots or slots[slot].grade < candidate.grade:
            slots[slot] = candidate
        while len(slots) > self.settings.max_candidates:
            self._spacing *= 2
            merged: dict[int, Candidate] = {}
            for kept in slots.values():
                slot = kept.step // self._spacing
                if slot not in merged or merged[slot].grade < kept.grade:
                    merged[slot] = kept
            slots = self._candidates = merged

    @property
    def candidates(self) -> list[Candidate]:
        """Frames above the threshold of selection, in order of time."""
        return [self._candidates[slot] for slot in sorted(self._candidates)]

    @property
    def series(self) -> Array:
        """Step, largest and mean grade of each frame looked at [n, 3]."""
        return np.array(self._series).reshape(-1, 3)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain data and arrays from which `restore` continues."""
        kept: Sequence[Candidate] = self.candidates
        return {"spacing": self._spacing}, {
            "grades": self.series,
            "candidates": np.array([(c.step, c.temperature, c.grade) for c in kept]).reshape(-1, 3),
            "candidate_positions": np.array([c.positions for c in kept]),
        }

    def restore(self, meta: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Continue from the `state` of a watch with the same settings."""
        self._spacing = int(meta["spacing"])
        self._series = [tuple(row) for row in arrays["grades"].tolist()]
        self._candidates = {
            int(step) // self._spacing: Candidate(int(step), temperature, grade, positions)
            for (step, temperature, grade), positions in zip(
                arrays["candidates"].tolist(), arrays["candidate_positions"], strict=True
            )
        }
