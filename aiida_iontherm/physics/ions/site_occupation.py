"""Occupation analysis of a species, a site, or a site along a jump, from phonons on a mesh."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.ions.mode_occupation import ModeOccupation, occupation_of_modes
from aiida_iontherm.physics.lattice.modes import atom_shares, unit_vector
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


def mode_shares(
    phonons: Phonons, atoms: Sequence[int], direction: ArrayLike | None = None, space_group: SpaceGroup | None = None
) -> NDArray[np.float64]:
    """Sum over atoms of |e_i|^2, or of |e_i . p|^2 along a direction, in each mode [q, s].

    With a space group it is the average over the images of atoms and direction. The arguments are those of
    `site_occupation`.
    """
    chosen = list(atoms)
    if direction is None:
        images = np.array([chosen]) if space_group is None else space_group.images[:, chosen]
        return atom_shares(phonons.eigenvectors)[:, images].sum(axis=2).mean(axis=1)
    unit = unit_vector(direction)
    images, directions = (
        (np.array([chosen]), unit[None]) if space_group is None else space_group.equivalent_directions(chosen, unit)
    )
    vectors = phonons.eigenvectors.reshape(len(phonons.weights), -1, 3, phonons.eigenvectors.shape[2])
    shares = np.zeros(phonons.frequencies_thz.shape)
    for image, along in zip(images, directions, strict=True):
        shares += np.sum(np.abs(np.einsum("qias,a->qis", vectors[:, image], along)) ** 2, axis=1)
    return shares / len(images)
