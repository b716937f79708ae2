"""What a potential is worth that another program has trained: the same figures as those of our own training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aiida_iontherm.physics.mtp.potential import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_of
from aiida_iontherm.physics.mtp.training.checks import CheckedData, Outliers, check_configurations
from aiida_iontherm.physics.mtp.training.configuration import Configuration
from aiida_iontherm.physics.mtp.training.errors import evaluate_errors
from aiida_iontherm.physics.mtp.training.fit import Training
from aiida_iontherm.physics.mtp.training.split import split


@dataclass(frozen=True)
class Parts:
    """Labelled configurations, and which of them are to be fitted.

    Attributes
    ----------
    checked : CheckedData
    fitted, held_out : list of int
        Positions among ``checked.kept``, ascending.
    """

    checked: CheckedData
    fitted: list[int]
    held_out: list[int]

    def to_fit(self) -> list[Configuration]:
        """Return the configurations to fit."""
        return [self.checked.kept[index] for index in self.fitted]


def part_configurations(
    configurations: Sequence[Atoms], *, validation_fraction: float = 0.1, seed: int = 0, outliers: Outliers = "raise"
) -> Parts:
    """Hold out what `train` would hold out with the same arguments.

    Parameters
    ----------
    configurations, validation_fraction, seed, outliers
        See `train`.

    Raises
    ------
    ValueError
        As `train`.
    """
    checked = check_configurations(configurations, outliers)
    fitted, held_out = split(checked.kept, checked.twins, validation_fraction, seed)
    return Parts(checked=checked, fitted=sorted(fitted), held_out=held_out)


def assess(
    potential: MomentTensorPotential,
    parts: Parts,
    *,
    iterations: int,
    loss: float | None,
    converged: bool,
    reason: str,
    threads: int | None = None,
) -> Training:
    """Compare a potential with the configurations it was trained on and with those held out; attach its active set.

    Parameters
    ----------
    potential : MomentTensorPotential
        As read from the file that is kept.
    parts : Parts
        As they were given to the program that trained it.
    iterations : int
    loss : float or None
        In the program's own definition.
    converged : bool
    reason : str
        What the program says of its training.
    threads : int, optional
        See `kernel.available_threads`.

    Raises
    ------
    ValueError
        If the potential does not know a species of the configurations.
    """
    data = parts.checked.kept
    for entry in data:
        potential.check_species(list(entry.atoms.symbols))
    with_set = potential.replace(active_set=active_set_of(potential, [entry.atoms for entry in data]))
    notes = [
        *parts.checked.notes,
        f"configurations fitted: {len(parts.fitted)}, held out: {len(parts.held_out)}",
        "trained by another program: its loss and its weighting of configurations are its own",
    ]
    return Training(
        potential=with_set,
        errors=evaluate_errors(potential, parts.to_fit(), threads),
        validation_errors=(
            evaluate_errors(potential, [data[index] for index in parts.held_out], threads) if parts.held_out else None
        ),
        history=np.array([[iterations, np.nan if loss is None else loss, np.nan, len(parts.fitted), 0.0]]),
        converged=converged,
        reason=reason,
        fitted=tuple(parts.checked.indices[index] for index in parts.fitted),
        held_out=tuple(parts.checked.indices[index] for index in parts.held_out),
        excluded=parts.checked.excluded,
        notes=tuple(notes),
    )
