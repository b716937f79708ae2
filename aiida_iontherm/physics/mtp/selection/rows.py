"""From a potential and atoms to the rows that grades are made of: d(energy)/d(parameters).

The parameters are the species coefficients, the linear coefficients of the basis scalars and all radial coefficients,
in this order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.kernel import Kernel
from aiida_iontherm.physics.mtp.selection.active_set import (
    SWAP_THRESHOLD,
    ActiveSet,
    Block,
    Mode,
    grades,
    select_from_blocks,
)

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_iontherm.physics.mtp.potential import MomentTensorPotential

Array = npt.NDArray[np.float64]

KEPT_BYTES = 5e8
"""Rows of a training set up to this size are kept between passes, those of a larger one computed again."""


def gradient_rows(potential: MomentTensorPotential, atoms: Atoms) -> Array:
    """Compute the derivatives of the energy of each atom with respect to all parameters.

    Parameters
    ----------
    potential : MomentTensorPotential
    atoms : ase.Atoms

    Returns
    -------
    float array [N, P]
        P = species + scalars + radial coefficients.

    Raises
    ------
    ValueError
        If the potential does not know a species.
    """
    n = len(atoms)
    species, moments, radial = _kernel(potential).parameter_gradients(atoms)
    return np.concatenate([species, moments, radial.reshape(n, -1)], axis=1)


@lru_cache(maxsize=4)
def _kernel(potential: MomentTensorPotential) -> Kernel:
    # Without a skin: grades of a run that goes on from a checkpoint are then those of an uninterrupted one.
    return Kernel(potential, skin=0.0)


def configuration_rows(potential: MomentTensorPotential, atoms: Atoms, mode: Mode) -> Array:
    """Rows of one configuration: one for each atom, or their sum.

    Parameters
    ----------
    potential : MomentTensorPotential
    atoms : ase.Atoms
    mode : {"neighbourhood", "configuration"}

    Returns
    -------
    float array [N, P] or [1, P]

    Raises
    ------
    ValueError
        If the potential does not know a species, or the mode is neither.
    """
    rows = gradient_rows(potential, atoms)
    if mode == "neighbourhood":
        return rows
    if mode == "configuration":
        return np.asarray(rows.sum(axis=0, keepdims=True))
    raise ValueError(f"the mode is neighbourhood or configuration, not {mode}")


def active_set_of(
    potential: MomentTensorPotential,
    configurations: Sequence[Atoms],
    *,
    mode: Mode = "neighbourhood",
    threshold: float = SWAP_THRESHOLD,
) -> ActiveSet:
    """Active set of a training set.

    Parameters
    ----------
    potential : MomentTensorPotential
        Trained on the configurations; as read from its file, if the set is to be matched with that file later.
    configurations : sequence of ase.Atoms
    mode : {"neighbourhood", "configuration"}
        A neighbourhood that is new shows at once in the first, while the second, a sum over atoms, may average it
        away; grades of the second grow with the number of atoms.
    threshold : float
        See `select_active_set`.

    Raises
    ------
    ValueError
        If there are no configurations, the potential does not know a species, or rows are not finite.
    """
    if not configurations:
        raise ValueError("an active set needs at least one configuration")

    def compute() -> Iterator[Block]:
        for index, atoms in enumerate(configurations):
            rows = configuration_rows(potential, atoms, mode)
            where = np.arange(len(rows)) if mode == "neighbourhood" else np.array([-1])
            yield rows, np.column_stack([np.full(len(rows), index), where]).astype(np.int64)

    n_parameters = potential.species_coeffs.size + potential.moment_coeffs.size + potential.radial_coeffs.size
    rows_in_all = sum(len(atoms) for atoms in configurations) if mode == "neighbourhood" else len(configurations)
    kept = list(compute()) if 8 * rows_in_all * n_parameters < KEPT_BYTES else None
    return select_from_blocks(
        lambda: compute() if kept is None else kept,
        n_parameters,
        mode=mode,
        threshold=threshold,
        potential=fingerprint(potential),
    )


def make_grader(potential: MomentTensorPotential, active_set: ActiveSet) -> Callable[[Atoms], Array]:
    """Return a function from atoms to their grades, for use during a run.

    Parameters
    ----------
    potential : MomentTensorPotential
    active_set : ActiveSet
        Of this potential; its mode decides whether there is a grade for each atom or one for all of them.

    Returns
    -------
    callable
        ``grader(atoms)`` is a float array [N] or [1]. Where atoms are so close that derivatives overflow, grades are
        infinite: a run shall break there, not crash.

    Raises
    ------
    ValueError
        If the active set is another potential's.
    """
    check_belongs(active_set, potential)

    def grader(atoms: Atoms) -> Array:
        rows = configuration_rows(potential, atoms, active_set.mode)
        finite = np.isfinite(rows).all(axis=1)
        found = np.full(len(rows), np.inf)
        found[finite] = grades(active_set, rows[finite])
        return found

    return grader


def check_belongs(active_set: ActiveSet, potential: MomentTensorPotential) -> None:
    """Raise ``ValueError`` if an active set was made with another potential."""
    if active_set.potential != fingerprint(potential):
        raise ValueError(
            "the active set belongs to another potential than the one given: take both from the same training"
        )


@lru_cache(maxsize=8)
def fingerprint(potential: MomentTensorPotential) -> str:
    """Hexadecimal digest of all that rows depend on: species, basis tables, radial range and coefficients.

    A file rounds coefficients: take it of the potential as read from the file that is kept.
    """
    digest = hashlib.sha256(" ".join(potential.species).encode())
    tables = potential.tables
    for table in (tables.basic, tables.times, tables.scalars):
        digest.update(np.asarray(table, dtype="<i4").tobytes())
    for values in (
        [potential.min_distance, potential.cutoff, potential.scaling],
        potential.radial_coeffs,
        potential.species_coeffs,
        potential.moment_coeffs,
    ):
        digest.update(np.asarray(values, dtype="<f8").tobytes())
    return digest.hexdigest()
