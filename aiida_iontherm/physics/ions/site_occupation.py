"""Occupation analysis of a species, a site, or a site along a jump, from phonons on a mesh."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from aiida_iontherm.physics.ions.mode_occupation import ModeOccupation, occupation_of_modes
from aiida_iontherm.physics.lattice.modes import mode_shares
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.sites import SpaceGroup


def site_occupation(
    phonons: Phonons,
    atoms: Sequence[int],
    barrier_ev: float,
    temperature: float,
    *,
    direction: ArrayLike | None = None,
    space_group: SpaceGroup | None = None,
    barrier_uncertainty_ev: float | None = None,
    label: str = "",
) -> ModeOccupation:
    """Occupation analysis of the modes that move some atoms.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    atoms
        Indices of atoms of the primitive cell: a species, or the atoms of a site (`lattice.sites.equivalent_sites`).
    barrier_ev, barrier_uncertainty_ev
        Barrier of this jump and one standard error, eV.
    temperature
        K.
    direction
        Cartesian vector p of the jump, weight |e_i . p|^2; its length does not matter. ``None``: weight |e_i|^2.
    space_group
        Needed with a direction, or with a part of a set of equivalent atoms, where `phonons` holds irreducible points
        only; ``None`` for a full mesh.
    label
        Name of site and jump for the result.

    Raises
    ------
    ValueError
        As `occupation_of_modes`; also for a direction of zero length or an atom that does not exist.
    """
    chosen = list(atoms)
    if not chosen or min(chosen) < 0 or max(chosen) >= len(phonons.symbols):
        raise ValueError(f"atoms {chosen} are not among the {len(phonons.symbols)} of the primitive cell, from 0 on")
    shares = mode_shares(phonons, chosen, direction, space_group)
    names = ", ".join(dict.fromkeys(phonons.symbols[atom] for atom in chosen))
    return occupation_of_modes(
        phonons.frequencies_thz,
        shares,
        phonons.weights,
        barrier_ev,
        temperature,
        barrier_uncertainty_ev=barrier_uncertainty_ev,
        label=label or names,
    )
