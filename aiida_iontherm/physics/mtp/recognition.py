"""Tables of another program, computed the way of our own.

A potential file brings its own recipe for its basis scalars. They are the standard ones of a level, in an order of
their own; the recipe of `basis_tables` needs fewer operations for the same scalars.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.basis import BasisTables, basis_tables

MAX_LEVEL = 24
"""Above, making our own tables takes longer (a minute at level 28) than most runs would gain."""

# Rounding of sums of thousands of products of numbers around one; different scalars of random moments differ by far
# more.
_TOLERANCE = 1e-9


def faster_tables(tables: BasisTables) -> BasisTables:
    """Tables with the same scalars in the same order at less cost, or the given ones where none are known.

    Two scalars are taken as the same polynomial if they agree on two sets of random elementary moments.
    """
    if _is_shallow(tables):
        return tables
    ours = _same_size(tables)
    if ours is tables:
        return tables
    if ours is None or not {tuple(row) for row in tables.basic.tolist()} >= {tuple(row) for row in ours.basic.tolist()}:
        return tables
    theirs, known = _samples(tables), _samples(ours)
    order, known_order = np.argsort(theirs[0]), np.argsort(known[0])
    if not np.allclose(theirs[:, order], known[:, known_order], rtol=_TOLERANCE, atol=_TOLERANCE):
        return tables
    scalars = np.empty_like(ours.scalars)
    scalars[order] = ours.scalars[known_order]
    return dataclasses.replace(ours, scalars=scalars)


def _is_shallow(tables: BasisTables) -> bool:
    """Whether products that are not scalars multiply elementary moments only: then there is little to gain."""
    n_basic = len(tables.basic)
    inner = ~np.isin(tables.times[:, 3], tables.scalars)
    return bool(np.all(tables.times[inner][:, :2] < n_basic))


def _same_size(tables: BasisTables) -> BasisTables | None:
    """Our tables of the level with the same highest rank and the same number of scalars."""
    highest = int(tables.basic[:, 1:].sum(axis=1).max())
    # The highest rank nu is that of M_0,nu contracted with itself, 2 (2 + nu) <= level; levels 2 and 4 both have
    # rank 0.
    for level in (2 * highest + 4, 2 * highest + 2):
        if 2 <= level <= MAX_LEVEL and len(basis_tables(level).scalars) == len(tables.scalars):
            return basis_tables(level)
    return None


def _samples(tables: BasisTables) -> npt.NDArray[np.float64]:
    """Scalars for two sets of elementary moments that depend on their names alone."""
    moments = np.zeros((2, tables.n_moments))
    for index, (mu, a, b, c) in enumerate(tables.basic.tolist()):
        moments[:, index] = np.random.default_rng((mu, a, b, c)).uniform(0.5, 1.5, 2)
    for i, j, factor, k in tables.times.tolist():
        moments[:, k] += factor * moments[:, i] * moments[:, j]
    return moments[:, tables.scalars]
