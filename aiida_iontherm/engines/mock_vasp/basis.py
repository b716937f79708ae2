"""Numbers that the writers print of the electrons: counts that follow from the inputs, no electronic structure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from aiida_iontherm.engines.mock_vasp.inputs import Inputs

WAVE_VECTOR = 0.262465
"""2 m / hbar^2 in 1/(eV Angstrom^2): a plane wave of energy E has the wave vector sqrt(0.262465 E)."""


def electrons(inputs: Inputs) -> float:
    """Count the valence electrons: NELECT, or the sum over POTCAR."""
    neutral = sum(potcar.valence * count for potcar, count in zip(inputs.potcars, inputs.counts, strict=True))
    return inputs.incar.number("NELECT", neutral)


def bands(inputs: Inputs) -> int:
    """Return the number of bands: NBANDS, or VASP's rule for it."""
    number = electrons(inputs)
    default = int(np.ceil(max(number / 2 + len(inputs.atoms) / 2, 0.6 * number)))
    return inputs.incar.integer("NBANDS", default)


def plane_waves(inputs: Inputs) -> int:
    """Count the plane waves below ENCUT: the sphere of the cutoff over the volume of the reciprocal cell."""
    radius = np.sqrt(WAVE_VECTOR * inputs.settings.encut)
    return round(float(inputs.atoms.cell.volume * radius**3 / (6 * np.pi**2)))


def grid(inputs: Inputs) -> tuple[int, int, int]:
    """Return even numbers of grid points along the lattice vectors, for three times the cutoff as PREC = Normal."""
    radius = np.sqrt(WAVE_VECTOR * inputs.settings.encut)
    x, y, z = (2 * int(np.ceil(3 * radius * length / (4 * np.pi))) for length in inputs.atoms.cell.lengths())
    return x, y, z


def title(inputs: Inputs) -> str:
    """Return SYSTEM, or what VASP calls a run without it."""
    return inputs.incar.text("SYSTEM", "unknown system")
