"""Several runs of the same kind: how many more until an error is small enough, and what they doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aiida.orm import ProcessNode

from aiida_iontherm.physics.quantity import Quantity

MOST_AT_ONCE = 8
"""Runs added in a round: the estimate of what is missing is itself uncertain."""


def runs_to_add(quantities: Sequence[Quantity], target: float, done: int, affordable: int) -> int:
    """Independent runs to add so that the relative standard error of a mean reaches a target; 0 if none shall be.

    The error falls with the square root of the number of runs.

    Parameters
    ----------
    quantities
        The worst of which counts; bounds, without a value or an uncertainty, do not.
    target
        Relative standard error; 0 asks for nothing.
    done
        Runs made so far.
    affordable
        Runs that may be made in all.
    """
    errors = [
        abs(quantity.uncertainty / quantity.value)
        for quantity in quantities
        if quantity.value and quantity.uncertainty is not None
    ]
    if not target or not errors or max(errors) <= target:
        return 0
    needed = math.ceil(done * (max(errors) / target) ** 2)
    return max(0, min(needed - done, affordable - done, MOST_AT_ONCE))


def warnings_of(runs: Sequence[ProcessNode]) -> list[str]:
    """Return what the dynamics itself doubts, each text once."""
    return list(dict.fromkeys(text for node in runs for text in node.outputs.output_parameters.get("warnings", [])))
