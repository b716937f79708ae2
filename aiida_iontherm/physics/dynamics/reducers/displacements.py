"""Mean square displacements at lags from one frame to the whole run, every frame a time origin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.dynamics.reducers.reducer import AnyArray, Array, Reducer

WIDTH = 16
"""Lags of each level: between two powers of two there are eight."""

AT_ONCE = 2 * WIDTH
"""Frames compared together: of the products of all pairs half are wanted."""


class DisplacementReducer(Reducer):
    """Mean square displacements of groups of atoms along x, y and z, in levels of doubled stride (multiple tau).

    Level l sees every 2^l-th frame and compares it with the `WIDTH` ones before: cost and memory are those of two
    levels and of log2(frames) levels of `WIDTH` frames. Displacements are those between two frames, not between
    averages, so at the lags there are nothing is approximate; time origins are 2^l frames apart.
    D. Frenkel and B. Smit, Understanding Molecular Simulation, algorithm 9; J. Ramirez et al., J. Chem. Phys. 133,
    154103 (2010).

    Parameters
    ----------
    groups : mapping of str to int array
        Indices of the atoms of each group.
    interval_ps : float
        Between two frames.
    """

    source = "mobile_positions"

    def __init__(self, groups: Mapping[str, npt.NDArray[np.integer[Any]]], interval_ps: float) -> None:
        self.groups = {name: np.asarray(members) for name, members in groups.items()}
        self.interval_ps = interval_ps
        self._order = np.concatenate(list(self.groups.values()))
        ends = np.cumsum([len(members) for members in self.groups.values()])
        self._slices = [slice(end - len(members), end) for end, members in zip(ends, self.groups.values(), strict=True)]
        self._seen = 0
        self._levels: list[_Level] = []

    def add(self, frames: Array) -> None:
        """Take the next frames [n, N, 3]."""
        # [n, 3, atoms in the order of the groups]: what is multiplied below lies together.
        passed, number = np.take(frames.transpose(0, 2, 1), self._order, axis=2).astype(float, copy=False), 0
        counts = np.arange(self._seen, self._seen + len(passed))
        if self._seen == 0:
            self._start = passed[:1]
        self._seen += len(passed)
        while len(passed):
            if number == len(self._levels):
                # Frame 0 is the first of every level; a level is there once it has a second one.
                self._levels.append(_Level(len(self.groups), self._start[: min(number, 1)]))
            for first in range(0, len(passed), AT_ONCE):
                self._levels[number].add(passed[first : first + AT_ONCE], self._slices)
            onward = (counts % 2 == 0) & (counts > 0)
            passed, counts, number = passed[onward], counts[onward] // 2, number + 1

    def results(self) -> dict[str, AnyArray]:
        """Return arrays by the names they are stored under.

        Returns
        -------
        dict of arrays
            ``msd_lags_ps`` [n]; ``msd_origins`` [n], number of time origins; for each group ``msd_GROUP`` [n, 3] in
            Angstrom^2 per atom along x, y and z.
        """
        lags, origins, sums = [], [], []
        for number, level in enumerate(self._levels):
            first = 0 if number == 0 else WIDTH // 2  # shorter lags are known from the level before, more often
            there = np.flatnonzero(level.origins[first:]) + first
            lags.append((there + 1) * 2.0**number * self.interval_ps)
            origins.append(level.origins[there])
            sums.append(level.sums[there] / level.origins[there, None, None])
        means = np.concatenate(sums) if sums else np.empty((0, len(self.groups), 3))
        arrays: dict[str, AnyArray] = {
            "msd_lags_ps": np.concatenate(lags) if lags else np.empty(0),
            "msd_origins": np.concatenate(origins) if origins else np.empty(0, dtype=np.int64),
        }
        for index, (name, members) in enumerate(self.groups.items()):
            arrays[f"msd_{name}"] = means[:, index] / len(members)
        return arrays

    def state(self) -> dict[str, AnyArray]:
        """Arrays from which `restore` continues, bit by bit."""
        arrays: dict[str, AnyArray] = {"seen": np.array(self._seen), "levels": np.array(len(self._levels))}
        if self._seen:
            arrays["start"] = self._start
        for number, level in enumerate(self._levels):
            arrays |= {
                f"{number}_sums": level.sums.copy(),
                f"{number}_origins": level.origins.copy(),
                f"{number}_recent": level.recent,
            }
        return arrays

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Continue from the `state` of a reducer made in the same way."""
        self._seen = int(arrays["seen"])
        self._levels = []
        if self._seen:
            self._start = arrays["start"]
        for number in range(int(arrays["levels"])):
            level = _Level(len(self.groups), arrays[f"{number}_recent"])
            level.sums, level.origins = arrays[f"{number}_sums"].copy(), arrays[f"{number}_origins"].copy()
            self._levels.append(level)


class _Level:
    """One stride: sums of squared displacements [lag, group, 3] and the frames that later ones are compared with."""

    def __init__(self, groups: int, recent: Array) -> None:
        self.sums = np.zeros((WIDTH, groups, 3))
        self.origins = np.zeros(WIDTH, dtype=np.int64)
        self.recent = recent

    def add(self, frames: Array, groups: list[slice]) -> None:
        """Compare some frames [n, 3, N] with those before and with one another."""
        before, count = len(self.recent), len(self.recent) + len(frames)
        together = np.concatenate([self.recent, frames])
        self.recent = together[-WIDTH:]
        # Squares of differences from scalar products of all pairs, a matrix product. Near an origin, so that
        # few digits cancel: atoms move some Angstrom within the frames at hand.
        moved = together - together[0]
        lags = np.arange(count)[before:, None] - np.arange(count)
        wanted = (lags >= 1) & (lags <= WIDTH)
        at = lags[wanted] - 1
        for index, members in enumerate(groups):
            for axis in range(3):
                rows = moved[:, axis, members]
                norms = np.einsum("ka,ka->k", rows, rows)
                squares = norms[before:, None] + norms - 2 * rows[before:] @ rows.T
                self.sums[:, index, axis] += np.bincount(at, squares[wanted], minlength=WIDTH)
        self.origins += np.bincount(at, minlength=WIDTH)
