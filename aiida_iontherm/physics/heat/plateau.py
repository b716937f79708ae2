"""Where a running integral has become flat, and what that rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.heat.correlation_integrals import CorrelationIntegrals
from aiida_iontherm.physics.statistics import jackknife

FLATNESS = 0.05
"""Relative change from one octave of lags to the next, beyond its noise, that is still called flat."""

_PER_OCTAVE = 3

Reduce = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From integrals ``[..., c, c]`` to the number whose plateau is looked for, ``[...]``."""


@dataclass(frozen=True)
class Plateau:
    """A window of lags in which a running integral is flat.

    Attributes
    ----------
    first, last
        Indices of its first and last lag; last is twice first.
    value
        Of the reduced mean integrals over the window.
    uncertainty
        One standard error: that of the blocks (jackknife) and, where the octave before differs by more than its noise,
        that difference.
    change
        From the octave before to this window.
    settled
        Whether they agree, in this and the two windows tried before.
    """

    first: int
    last: int
    value: float
    uncertainty: float
    change: float
    settled: bool


def window_mean(integrals: NDArray[np.float64], first: int, last: int) -> NDArray[np.float64]:
    """Mean over the lags first ... last, along the third axis from the end."""
    return integrals[..., first : last + 1, :, :].mean(axis=-3)


def find_plateau(integrals: CorrelationIntegrals, reduce: Reduce, also: Sequence[Reduce] = ()) -> Plateau:
    """Find the first lags after which the integral no longer changes.

    At the smallest t (three candidates an octave) for which the mean over [t, 2t] equals that over [2t, 4t] within
    `FLATNESS` and two standard errors of the difference; three candidates in a row must agree. The value is read off
    the last octave that was found to be flat, [2t, 4t] of the third candidate: an integral that levels off is still low
    where it first looks flat. Means over lags are taken before the reduction, as only they are linear in the data.

    Parameters
    ----------
    integrals
        Of the run and of its blocks.
    reduce
        What is to be flat, e.g. the trace or a Schur complement.
    also
        What has to be flat over the same lags: a quotient of integrals that still oscillate may be so by accident.
    """
    last = len(integrals.lags_ps) - 1
    octaves = np.log2(last / 4)
    candidates = np.unique(np.round(np.geomspace(1, last // 4, 1 + int(_PER_OCTAVE * octaves))).astype(int))
    one_out = integrals.leave_one_out
    found = [_at(integrals.total, one_out, int(first), reduce) for first in candidates]
    flat = [
        plateau.settled and all(_at(integrals.total, one_out, int(first), other).settled for other in also)
        for first, plateau in zip(candidates, found, strict=True)
    ]
    for i in range(len(found) - 2):
        if all(flat[i : i + 3]):
            return found[i + 2]
    end = found[-1]
    return Plateau(end.first, end.last, end.value, end.uncertainty, end.change, settled=False)


def _at(total: NDArray[np.float64], one_out: NDArray[np.float64], first: int, reduce: Reduce) -> Plateau:
    near, far = (first, 2 * first), (2 * first, 4 * first)
    value = float(reduce(window_mean(total, *far)))
    change = value - float(reduce(window_mean(total, *near)))
    values = reduce(window_mean(one_out, *far))
    error = float(jackknife(values))
    noise = float(jackknife(values - reduce(window_mean(one_out, *near))))
    settled = abs(change) <= FLATNESS * abs(value) + 2 * noise
    excess = max(change**2 - noise**2, 0.0)
    return Plateau(*far, value, float(np.sqrt(error**2 + excess)), change, settled)
