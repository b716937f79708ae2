"""Units that force constants come in: energy / length^order."""

from __future__ import annotations

from dataclasses import replace

from ase import units

from aiida_iontherm.tasks.force_constant_files.clusters import Clusters
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants

UNITS = {
    "eV/Angstrom": (1.0, 1.0),
    "Ry/bohr": (units.Rydberg, units.Bohr),
    "mRy/bohr": (units.Rydberg / 1000, units.Bohr),
    "Hartree/bohr": (units.Hartree, units.Bohr),
    "J/m": (units.J, units.m),
}
"""Energy in eV and length in Angstrom of each unit; the power of the length is the order. N/m is J/m at order two."""


def factor(unit: str, order: int) -> float:
    """Find what force constants of an order in `unit` are multiplied with to be in eV/Angstrom^order.

    Raises
    ------
    ValueError
        If the unit is not one of `UNITS`.
    """
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r} of force constants: take one of {', '.join(UNITS)}")
    energy, length = UNITS[unit]
    return energy / length**order


def converted(constants: ForceConstants, unit: str) -> ForceConstants:
    """Turn force constants whose numbers are in `unit` into eV/Angstrom^order.

    Raises
    ------
    ValueError
        If the unit is not one of `UNITS`.
    """
    second, third, fourth = constants.second, constants.third, constants.fourth
    if second is not None:
        second = second * factor(unit, 2)
    if isinstance(third, Clusters):
        third = replace(third, tensors=third.tensors * factor(unit, 3))
    elif third is not None:
        third = third * factor(unit, 3)
    if fourth is not None:
        fourth = replace(fourth, tensors=fourth.tensors * factor(unit, 4))
    return replace(constants, second=second, third=third, fourth=fourth)
