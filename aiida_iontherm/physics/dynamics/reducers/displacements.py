"""Mean square displacements at lags from one frame to the whole run, every frame a time origin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.compiled import _native
from aiida_iontherm.physics.dynamics.reducers.reducer import AnyArray, Array, Reducer

WIDTH = 16
"""Lags of each level: between two powers of two there are eight."""

AT_ONCE = 16
"""Frames of a level compared together with those before: what a fast cache holds of 1000 atoms."""


class DisplacementReducer(Reducer):
    """Mean square displacements of groups of atoms along x, y and z, in levels of doubled stride (multiple tau).

    Level l sees every 2^l-th frame and compares it with the `WIDTH` ones before: the cost is that of two levels, the
    memory that of log2(frames) levels of `WIDTH` + `AT_ONCE` frames. Displacements are those between two frames, not
    between averages, so at the lags there are nothing is approximate; time origins are 2^l frames apart.
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
        self._coordinates = (3 * self._order + np.arange(3)[:, None]).ravel()
        ends = np.cumsum([len(members) for members in self.groups.values()])
        # Of the columns of a frame: x, y and z of all atoms in turn.
        self._ends = (ends + len(self._order) * np.arange(3)[:, None]).ravel().astype(np.int32)
        self._seen = 0
        self._levels: list[_Level] = []

    def add(self, frames: Array) -> None:
        """Take the next frames [n, N, 3]."""
        if self._seen == 0 and len(frames):
            self._start = np.array(frames[0].take(self._coordinates), dtype=float)
        for first in range(0, len(frames), AT_ONCE):
            some = frames[first : first + AT_ONCE]
            # In the order of the groups and axis by axis: what is summed below lies together.
            self._pass_on(np.take(some.reshape(len(some), -1), self._coordinates, axis=1) - self._start)

    def _pass_on(self, moved: Array) -> None:
        """Give each level those of the next frames [n, 3 N] that it sees."""
        number, stride, last = 0, 1, self._seen + len(moved) - 1
        while stride <= max(last, 1):
            if number == len(self._levels):
                self._levels.append(_Level(self._ends))
                if self._seen:
                    self._levels[number].add(np.zeros((1, len(self._start))))  # frame 0: every level sees it
            self._levels[number].add(moved[-self._seen % stride :: stride])
            number, stride = number + 1, 2 * stride
        self._seen += len(moved)

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
            level_sums, level_origins = level.totals()
            first = 0 if number == 0 else WIDTH // 2  # shorter lags are known from the level before, more often
            there = np.flatnonzero(level_origins[first:]) + first
            lags.append((there + 1) * 2.0**number * self.interval_ps)
            origins.append(level_origins[there])
            sums.append(level_sums[there] / level_origins[there, None, None])
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
            arrays |= {f"{number}_{name}": values for name, values in level.state().items()}
        return arrays

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Continue from the `state` of a reducer made in the same way."""
        self._seen = int(arrays["seen"])
        self._levels = []
        if self._seen:
            self._start = arrays["start"]
        for number in range(int(arrays["levels"])):
            level = _Level(self._ends)
            level.restore({name: arrays[f"{number}_{name}"] for name in level.state()})
            self._levels.append(level)


class _Level:
    """One stride: sums of squared displacements and the frames that later ones are compared with.

    Frames wait until there are `AT_ONCE`, so that the sums do not depend on how frames are dealt out.

    Parameters
    ----------
    ends : int array [3 groups]
        Of the columns of a frame that are summed together.
    """

    def __init__(self, ends: npt.NDArray[np.int32]) -> None:
        self._ends = ends
        self._sums = np.zeros((WIDTH, len(ends)))
        self._origins = np.zeros(WIDTH, dtype=np.int64)
        self._before, self._waiting = 0, 0
        # First the WIDTH frames before, the last of them at the end, then those that wait.
        self._window = np.zeros((WIDTH + AT_ONCE, ends[-1]))

    def add(self, frames: Array) -> None:
        """Take the next frames [n, 3 N]."""
        while len(frames):
            some = frames[: AT_ONCE - self._waiting]
            end = WIDTH + self._waiting + len(some)
            self._window[end - len(some) : end] = some
            self._waiting += len(some)
            frames = frames[len(some) :]
            if self._waiting == AT_ONCE:
                self._sums, self._origins = self._summed_up()
                self._before, self._waiting = WIDTH, 0
                self._window[:WIDTH] = self._window[AT_ONCE:]

    def totals(self) -> tuple[Array, npt.NDArray[np.int64]]:
        """Return sums [lag, group, 3] and numbers of origins [lag] of all frames taken, those that wait included."""
        sums, origins = self._summed_up()
        return sums.reshape(WIDTH, 3, -1).swapaxes(1, 2), origins

    def _summed_up(self) -> tuple[Array, npt.NDArray[np.int64]]:
        first, end = WIDTH - self._before, WIDTH + self._waiting
        sums = _native.squared_displacements(self._window[:end], self._ends, WIDTH, first, WIDTH)
        earlier = np.arange(WIDTH, end) - first
        origins = (earlier[:, None] >= np.arange(1, WIDTH + 1)).sum(axis=0)
        return self._sums + sums, self._origins + origins

    def state(self) -> dict[str, AnyArray]:
        """Arrays from which `restore` continues, bit by bit."""
        return {
            "sums": self._sums.copy(),
            "origins": self._origins.copy(),
            "before": self._window[WIDTH - self._before : WIDTH].copy(),
            "waiting": self._window[WIDTH : WIDTH + self._waiting].copy(),
        }

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Continue from a `state`."""
        self._sums, self._origins = arrays["sums"].copy(), arrays["origins"].copy()
        self._before, self._waiting = len(arrays["before"]), len(arrays["waiting"])
        self._window[WIDTH - self._before : WIDTH] = arrays["before"]
        self._window[WIDTH : WIDTH + self._waiting] = arrays["waiting"]
