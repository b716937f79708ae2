"""An active set as plain arrays, for a ``.npz`` file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.selection.active_set import ActiveSet, restore
from aiida_iontherm.physics.mtp.selection.rows import check_belongs

if TYPE_CHECKING:
    from aiida_iontherm.physics.mtp.potential import MomentTensorPotential

_NAMES = ("rows", "origins", "scale", "mode", "potential")


def active_set_to_arrays(active_set: ActiveSet) -> dict[str, npt.NDArray[Any]]:
    """Arrays from which `active_set_from_arrays` makes the same set; the inverse follows from the rows."""
    return {
        "rows": active_set.rows,
        "origins": active_set.origins,
        "scale": active_set.scale,
        "mode": np.array(active_set.mode),
        "potential": np.array(active_set.potential),
    }


def active_set_from_arrays(
    arrays: Mapping[str, npt.NDArray[Any]], potential: MomentTensorPotential | None = None
) -> ActiveSet:
    """Make an active set of the arrays of `active_set_to_arrays`.

    Parameters
    ----------
    arrays : mapping of arrays
    potential : MomentTensorPotential, optional
        The potential the set must belong to.

    Raises
    ------
    ValueError
        If arrays are missing, have shapes that do not fit or numbers that are not finite, the members are linearly
        dependent, or the set is another potential's.
    """
    missing = [name for name in _NAMES if name not in arrays]
    if missing:
        raise ValueError(f"this is no active set, it lacks {', '.join(missing)}: train the potential again to make one")
    active_set = restore(
        rows=np.asarray(arrays["rows"], dtype=float),
        origins=np.asarray(arrays["origins"], dtype=np.int64),
        scale=np.asarray(arrays["scale"], dtype=float),
        mode=str(arrays["mode"]),
        potential=str(arrays["potential"]),
    )
    if potential is not None:
        check_belongs(active_set, potential)
    return active_set
