"""Mean square displacements at lags from one frame to the whole run, every frame a time origin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.dynamics.reducers.reducer import AnyArray, Array, Reducer

WIDTH = 16
"""Lags of each level: between two powers of two there are eight."""

AT_ONCE = 48
"""Frames of a level compared together, with those before and one another: 64 of 1000 atoms along x fit into a cache."""

# Of each new frame and the lags from the longest to one.
_LATER = np.arange(WIDTH, WIDTH + AT_ONCE)[:, None]
_EARLIER = _LATER - np.arange(WIDTH, 0, -1)


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
        self._coordinates = 3 * self._order + np.arange(3)[:, None]
        ends = np.cumsum([len(members) for members in self.groups.values()])
        self._slices = [slice(end - len(members), end) for end, members in zip(ends, self.groups.values(), strict=True)]
        self._seen = 0
        self._levels: list[_Level] = []

    def add(self, frames: Array) -> None:
        """Take the next frames [n, N, 3]."""
        if self._seen == 0 and len(frames):
            self._start = np.array(frames[0][self._order].T, dtype=float)
        for first in range(0, len(frames), AT_ONCE):
            some = frames[first : first + AT_ONCE]
            # In the order of the groups and axis by axis: what is multiplied below lies together.
            self._pass_on(np.take(some.reshape(len(some), -1), self._coordinates, axis=1) - self._start)

    def _pass_on(self, moved: Array) -> None:
        """Give each level those of the next frames [n, 3, N] that it sees."""
        number, stride, last = 0, 1, self._seen + len(moved) - 1
        while stride <= max(last, 1):
            if number == len(self._levels):
                self._levels.append(_Level(self._slices, len(self._order)))
                if self._seen:
                    self._levels[number].add(np.zeros((1, *self._start.shape)))  # frame 0: every level sees it
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
            level = _Level(self._slices, len(self._order))
            level.restore({name: arrays[f"{number}_{name}"] for name in level.state()})
            self._levels.append(level)


class _Level:
    """One stride: sums of squared displacements [lag, group, 3] and the frames that later ones are compared with.

    Frames wait until there are `AT_ONCE`: small matrices would take longer to multiply, and so the sums do not depend
    on how frames are dealt out.
    """

    def __init__(self, groups: list[slice], atoms: int) -> None:
        self._groups = groups
        self._sums = np.zeros((WIDTH, len(groups), 3))
        self._origins = np.zeros(WIDTH, dtype=np.int64)
        self._before, self._waiting = 0, 0
        # First the WIDTH frames before, the last of them at the end, then those that wait.
        self._window = np.zeros((3, WIDTH + AT_ONCE, atoms))

    def add(self, frames: Array) -> None:
        """Take the next frames [n, 3, N]."""
        while len(frames):
            some = frames[: AT_ONCE - self._waiting]
            end = WIDTH + self._waiting + len(some)
            self._window[:, end - len(some) : end] = some.transpose(1, 0, 2)
            self._waiting += len(some)
            frames = frames[len(some) :]
            if self._waiting == AT_ONCE:
                self._sums, self._origins = self.totals()
                self._before, self._waiting = WIDTH, 0
                self._window[:, :WIDTH] = self._window[:, AT_ONCE:]

    def totals(self) -> tuple[Array, npt.NDArray[np.int64]]:
        """Return sums [lag, group, 3] and numbers of origins [lag] of all frames taken, those that wait included."""
        later, earlier = _LATER[: self._waiting], _EARLIER[: self._waiting]
        there = earlier >= WIDTH - self._before
        sums = self._sums.copy()
        for index, members in enumerate(self._groups):
            # Squares of differences from scalar products of all pairs: products of matrices, of which NumPy makes one
            # half. In double precision, as most digits cancel; positions are relative to frame 0, which leaves them
            # enough as long as atoms move less than some hundred Angstrom.
            rows = self._window[:, : WIDTH + self._waiting, members]
            products = rows @ rows.transpose(0, 2, 1)
            norms = products.diagonal(axis1=1, axis2=2)
            squares = norms[:, later] + norms[:, earlier] - 2 * products[:, later, earlier]
            sums[:, index] += np.einsum("akl,kl->la", squares, there)[::-1]
        return sums, self._origins + there.sum(axis=0)[::-1]

    def state(self) -> dict[str, AnyArray]:
        """Arrays from which `restore` continues, bit by bit."""
        return {
            "sums": self._sums.copy(),
            "origins": self._origins.copy(),
            "before": self._window[:, WIDTH - self._before : WIDTH].copy(),
            "waiting": self._window[:, WIDTH : WIDTH + self._waiting].copy(),
        }

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Continue from a `state`."""
        self._sums, self._origins = arrays["sums"].copy(), arrays["origins"].copy()
        self._before, self._waiting = arrays["before"].shape[1], arrays["waiting"].shape[1]
        self._window[:, WIDTH - self._before : WIDTH] = arrays["before"]
        self._window[:, WIDTH : WIDTH + self._waiting] = arrays["waiting"]
