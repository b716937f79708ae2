"""Who moves in a mode: participation ratios, projected densities of states, mean frequencies.

A direction or a single atom of a set of equivalent ones has a meaning at every point of the mesh, but not at the
irreducible points alone: there, give the space group, and equivalent directions at equivalent atoms are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.sites import Site, SpaceGroup


def participation_ratio(eigenvectors: ArrayLike, masses: ArrayLike | None = None) -> NDArray[np.float64]:
    """Share of the atoms of the cell that take part in each mode [q, s], from 1/n (one atom) to 1 (all alike).

    p = (sum_i |e_i|^2)^2 / (n sum_i |e_i|^4) with e_i the three components on atom i: Bell and Dean, Discuss. Faraday
    Soc. 50, 55 (1970), as used by Bernges et al., Adv. Energy Mater. 12, 2200717 (2022). |e_i|^2 is the share of the
    energy of the mode.

    Parameters
    ----------
    eigenvectors
        Eigenvectors of the dynamical matrix [q, 3n, s].
    masses
        Masses of the atoms [n]. With them, squared displacements |e_i|^2 / m_i stand in place of |e_i|^2 (Hafner and
        Krajci, J. Phys. Condens. Matter 5, 2489 (1993)): then it is the rigid translation that has the ratio 1,
        whatever the masses.
    """
    weight = atom_shares(eigenvectors)
    if masses is not None:
        amu = np.asarray(masses, dtype=float)
        if amu.shape != weight.shape[1:2] or not np.all(amu > 0):
            raise ValueError(f"need one positive mass for each of {weight.shape[1]} atoms, not {amu.shape}")
        weight = weight / amu[:, None]
    return weight.sum(axis=1) ** 2 / (weight.shape[1] * np.sum(weight**2, axis=1))


def atom_shares(eigenvectors: ArrayLike) -> NDArray[np.float64]:
    """Share of each atom in the energy of each mode: |e_i|^2 [q, n, s]; the atoms of a mode add up to one."""
    vectors = np.asarray(eigenvectors)
    if vectors.ndim != 3 or vectors.shape[1] % 3:
        raise ValueError(f"eigenvectors have shape {vectors.shape}, need [q, 3n, s]")
    squares = vectors.real**2 + vectors.imag**2
    return squares.reshape(len(vectors), -1, 3, vectors.shape[2]).sum(axis=2)


def mode_shares(
    phonons: Phonons,
    atoms: Sequence[int],
    direction: ArrayLike | None = None,
    space_group: SpaceGroup | None = None,
) -> NDArray[np.float64]:
    """Sum over some atoms of |e_i|^2, or of |e_i . p|^2 along a direction, in each mode [q, s].

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    atoms
        Indices of atoms of the primitive cell.
    direction
        Cartesian vector p; its length does not matter. ``None``: all directions.
    space_group
        Take the average over the images of atoms and direction: needed with a direction, or with a part of a set of
        equivalent atoms, where `phonons` holds irreducible points only; ``None`` for a full mesh.

    Raises
    ------
    ValueError
        For a direction of zero length.
    """
    chosen = np.array(atoms, dtype=np.int64)
    if direction is None:
        images = chosen[None] if space_group is None else space_group.images[:, chosen]
        counts = np.bincount(images.ravel(), minlength=len(phonons.symbols)) / len(images)
        return np.einsum("qns,n->qs", atom_shares(phonons.eigenvectors), counts)
    unit = unit_vector(direction)
    if space_group is None:
        images, directions = chosen[None], unit[None]
    else:
        images, directions = space_group.equivalent_directions(atoms, unit)
    # The sum over operations as one real tensor per atom, Re sum |e.p|^2 = e* P e, so that large groups cost nothing.
    projectors = np.zeros((len(phonons.symbols), 3, 3))
    for image, vector in zip(images, directions, strict=True):
        projectors[image] += np.outer(vector, vector) / len(images)
    vectors = phonons.eigenvectors
    moving = np.flatnonzero(projectors.any(axis=(1, 2)))
    components = vectors.reshape(len(vectors), -1, 3, vectors.shape[2])[:, moving]
    return np.einsum("qias,iab,qibs->qs", components.conj(), projectors[moving], components, optimize=True).real


def projected_dos(phonons: Phonons, grid_thz: ArrayLike, sigma_thz: float) -> dict[str, NDArray[np.float64]]:
    """Phonon density of states of each species in states per THz and primitive cell.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    grid_thz
        Frequencies to evaluate at [g].
    sigma_thz
        Standard deviation of the Gaussian each mode is smeared with.

    Returns
    -------
    dict
        Symbol to density [g]. Over a grid that holds all frequencies (imaginary ones as negative) and resolves the
        Gaussians, the sum of the species integrates to 3n.
    """
    weight = atom_shares(phonons.eigenvectors)
    symbols = np.array(phonons.symbols)
    species = list(dict.fromkeys(phonons.symbols))
    shares = np.stack([weight[:, symbols == symbol].sum(axis=1) for symbol in species], axis=1)
    return dict(zip(species, _smeared(phonons, shares, grid_thz, sigma_thz), strict=True))


def site_projected_dos(
    phonons: Phonons, sites: Sequence[Site], grid_thz: ArrayLike, sigma_thz: float
) -> dict[str, NDArray[np.float64]]:
    """Phonon density of states of each site in states per THz and primitive cell.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    sites
        Sets of equivalent atoms (`sites.equivalent_sites`); such a whole set needs no average over the space group.
    grid_thz, sigma_thz
        As in `projected_dos`.

    Returns
    -------
    dict
        Label of the site to the density [g] of all its atoms together; it integrates to 3 per atom.
    """
    weight = atom_shares(phonons.eigenvectors)
    shares = np.stack([weight[:, list(site.atoms)].sum(axis=1) for site in sites], axis=1)
    return dict(zip((site.label for site in sites), _smeared(phonons, shares, grid_thz, sigma_thz), strict=True))


def direction_projected_dos(
    phonons: Phonons,
    atoms: Sequence[int],
    direction: ArrayLike,
    grid_thz: ArrayLike,
    sigma_thz: float,
    space_group: SpaceGroup | None = None,
) -> NDArray[np.float64]:
    """Density of states of some atoms along a direction [g], states per THz; integrates to the number of atoms.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    atoms
        Indices of atoms of the primitive cell, those of a mobile species for instance.
    direction
        Cartesian vector p, a jump between sites for instance; its length does not matter. The weight of a mode is
        the sum of |e_i . p|^2 over the atoms.
    grid_thz, sigma_thz
        As in `projected_dos`.
    space_group
        Needed where `phonons` holds irreducible points only; ``None`` for a full mesh.
    """
    share = mode_shares(phonons, atoms, direction, space_group)[:, None]
    return _smeared(phonons, share, grid_thz, sigma_thz)[0]


def average_frequency(grid_thz: ArrayLike, dos: ArrayLike) -> float:
    """Mean frequency of a density of states in THz: integral of f g(f) over integral of g(f), f > 0 only."""
    grid = np.asarray(grid_thz, dtype=float)
    density = np.where(grid > 0, np.asarray(dos, dtype=float), 0.0)
    norm = np.trapezoid(density, grid)
    if not norm > 0:
        raise ValueError("the density of states is empty above zero frequency: no mean frequency")
    return float(np.trapezoid(grid * density, grid) / norm)


def average_mobile_frequency(
    phonons: Phonons, symbol: str, direction: ArrayLike | None = None, space_group: SpaceGroup | None = None
) -> float:
    """Mean frequency in THz of the vibrations of one species: `average_atom_frequency` of all its atoms.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    symbol
        The mobile species.
    direction, space_group
        As in `average_atom_frequency`.
    """
    atoms = [i for i, name in enumerate(phonons.symbols) if name == symbol]
    if not atoms:
        raise ValueError(f"no {symbol} among the atoms {sorted(set(phonons.symbols))}")
    return average_atom_frequency(phonons, atoms, direction, space_group)


def average_atom_frequency(
    phonons: Phonons,
    atoms: Sequence[int],
    direction: ArrayLike | None = None,
    space_group: SpaceGroup | None = None,
) -> float:
    """Mean frequency in THz of the vibrations of some atoms, weighted by their share of each mode.

    The same as `average_frequency` of their projected density of states without smearing. Imaginary modes and the
    zero modes at Gamma have no frequency to average and are left out. Bernges et al. (2022) compare the species, one
    of its sites, and that site along a jump: 2.0, 1.7 and 1.4 THz for Ag in Ag8GeSe6.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    atoms
        Indices of atoms of the primitive cell: a species, or the atoms of a site.
    direction
        Cartesian vector of a jump to project on, or ``None`` for all directions.
    space_group
        Needed with a direction, or with a part of a set of equivalent atoms, where `phonons` holds irreducible
        points only; ``None`` for a full mesh.

    Raises
    ------
    ValueError
        If none of the modes of these atoms has a positive frequency.
    """
    share = mode_shares(phonons, atoms, direction, space_group)
    # Acoustic frequencies at Gamma are zero but for rounding, which the square root turns into 1e-4 THz or so.
    share = np.where(phonons.frequencies_thz > 1e-3, share, 0.0) * phonons.weights[:, None]
    if not share.sum() > 0:
        names = sorted({phonons.symbols[atom] for atom in atoms})
        raise ValueError(f"all modes of {', '.join(names) or 'no atoms'} are imaginary: no mean frequency")
    return float(np.sum(share * phonons.frequencies_thz) / share.sum())


def unit_vector(direction: ArrayLike) -> NDArray[np.float64]:
    """Cartesian vector of length one along a direction."""
    vector = np.asarray(direction, dtype=float)
    length = np.linalg.norm(vector)
    if vector.shape != (3,) or not length > 0:
        raise ValueError("the direction must be a Cartesian vector of three components, not zero")
    return vector / length


def _smeared(
    phonons: Phonons, shares: NDArray[np.float64], grid_thz: ArrayLike, sigma_thz: float
) -> NDArray[np.float64]:
    """Gaussian-smeared densities [k, g] of shares [q, k, s]."""
    grid = np.asarray(grid_thz, dtype=float)
    if not sigma_thz > 0:
        raise ValueError(f"the smearing must be positive, not {sigma_thz} THz")
    weights = phonons.weights / phonons.weights.sum()
    density = np.zeros((shares.shape[1], len(grid)))
    for frequencies, share, weight in zip(phonons.frequencies_thz, shares, weights, strict=True):
        gaussians = np.exp(-((grid[None, :] - frequencies[:, None]) ** 2) / (2 * sigma_thz**2))
        density += weight * share @ gaussians
    return density / (sigma_thz * np.sqrt(2 * np.pi))
