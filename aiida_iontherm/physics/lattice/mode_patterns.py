"""How displacements are distributed over modes: the share of an atom, and its alignment with a direction.

Histograms over all modes of the mesh: a density of states says how much an atom moves at a frequency, these say
whether it is a few modes that move it alone or many that move it along with others, and which way it goes (the
"eigenvector distribution" of Bernges et al., Adv. Energy Mater. 12, 2200717 (2022), Fig. 3f).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.modes import atom_shares, unit_vector
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.sites import SpaceGroup


def share_distribution(
    phonons: Phonons, atoms: Sequence[int], edges_thz: ArrayLike, share_edges: ArrayLike
) -> NDArray[np.float64]:
    """Count the modes by frequency and by the share some atoms have in their energy [frequency bin, share bin].

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    atoms
        Atoms whose |e_i|^2 are added: a species, or the whole set of a site (`sites.equivalent_sites`).
    edges_thz, share_edges
        Edges of the bins, ascending. Where they span all frequencies and shares from 0 to 1, the histogram adds up to
        the 3n modes of the primitive cell.
    """
    share = atom_shares(phonons.eigenvectors)[:, list(atoms)].sum(axis=1)
    # A share of one may be one ulp more, and must not fall out of the last bin.
    edges = np.asarray(share_edges, dtype=float)
    weights = np.broadcast_to((phonons.weights / phonons.weights.sum())[:, None], share.shape)
    histogram, _, _ = np.histogram2d(
        phonons.frequencies_thz.ravel(),
        np.clip(share, 0.0, 1.0).ravel(),
        bins=[np.asarray(edges_thz, dtype=float), edges],
        weights=weights.ravel(),
    )
    return histogram


def alignment_distribution(
    phonons: Phonons,
    atoms: Sequence[int],
    direction: ArrayLike,
    edges: ArrayLike,
    space_group: SpaceGroup | None = None,
    frequencies_thz: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """Density of |e_i . p|^2 / |e_i|^2 over the modes [bins], each counted by its |e_i|^2; it integrates to one.

    The mean of the distribution is 1/3 where an atom moves alike in all directions; it is larger along the long axis
    of its displacement ellipsoid.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    atoms
        Indices of atoms of the primitive cell.
    direction
        Cartesian vector p, a jump for instance; its length does not matter.
    edges
        Edges of the bins, ascending, from 0 (perpendicular) to 1 (along p).
    space_group
        Needed where `phonons` holds irreducible points only; ``None`` for a full mesh.
    frequencies_thz
        Lowest and highest frequency of the modes to count, or ``None`` for all.

    Raises
    ------
    ValueError
        If no mode of these atoms lies in the range.
    """
    unit, bins = unit_vector(direction), np.asarray(edges, dtype=float)
    images, directions = (
        (np.array([list(atoms)]), unit[None]) if space_group is None else space_group.equivalent_directions(atoms, unit)
    )
    low, high = frequencies_thz or (-np.inf, np.inf)
    counted = (phonons.frequencies_thz >= low) & (phonons.frequencies_thz <= high)
    vectors = phonons.eigenvectors
    components = vectors.reshape(len(vectors), -1, 3, vectors.shape[2])
    amounts = atom_shares(vectors) * (counted * phonons.weights[:, None])[:, None]
    histogram = np.zeros(len(bins) - 1)
    for image, vector in zip(images, directions, strict=True):
        moving = components[:, image]
        along = np.abs(np.einsum("qias,a->qis", moving, vector)) ** 2
        lengths = np.sum(moving.real**2 + moving.imag**2, axis=2)
        cosines = np.divide(along, lengths, out=np.zeros_like(along), where=lengths > 0)
        histogram += np.histogram(np.clip(cosines, 0.0, 1.0), bins, weights=amounts[:, image])[0]
    if not histogram.sum() > 0:
        raise ValueError("no mode of these atoms lies in the range of frequencies: widen it or check the atoms")
    return histogram / histogram.sum() / np.diff(bins)
