"""Who moves in a mode: participation ratios, projected densities of states, mean frequencies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.phonons import Phonons


def participation_ratio(eigenvectors: ArrayLike) -> NDArray[np.float64]:
    """Share of the atoms of the cell that take part in each mode [q, s], from 1/n (one atom) to 1 (all alike).

    p = (sum_i |e_i|^2)^2 / (n sum_i |e_i|^4) with e_i the three components on atom i: Bell and Dean, Discuss. Faraday
    Soc. 50, 55 (1970), as used by Bernges et al., Adv. Energy Mater. 12, 2200717 (2022).

    Parameters
    ----------
    eigenvectors
        Eigenvectors of the dynamical matrix [q, 3n, s].
    """
    weight = _atom_weights(eigenvectors)
    return weight.sum(axis=1) ** 2 / (weight.shape[1] * np.sum(weight**2, axis=1))


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
    weight = _atom_weights(phonons.eigenvectors)
    symbols = np.array(phonons.symbols)
    species = list(dict.fromkeys(phonons.symbols))
    shares = np.stack([weight[:, symbols == symbol].sum(axis=1) for symbol in species], axis=1)
    return dict(zip(species, _smeared(phonons, shares, grid_thz, sigma_thz), strict=True))


def direction_projected_dos(
    phonons: Phonons, atoms: Sequence[int], direction: ArrayLike, grid_thz: ArrayLike, sigma_thz: float
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
    """
    share = _direction_weights(phonons, atoms, direction)[:, None]
    return _smeared(phonons, share, grid_thz, sigma_thz)[0]


def average_frequency(grid_thz: ArrayLike, dos: ArrayLike) -> float:
    """Mean frequency of a density of states in THz: integral of f g(f) over integral of g(f), f > 0 only."""
    grid = np.asarray(grid_thz, dtype=float)
    density = np.where(grid > 0, np.asarray(dos, dtype=float), 0.0)
    norm = np.trapezoid(density, grid)
    if not norm > 0:
        raise ValueError("the density of states is empty above zero frequency: no mean frequency")
    return float(np.trapezoid(grid * density, grid) / norm)


def average_mobile_frequency(phonons: Phonons, symbol: str, direction: ArrayLike | None = None) -> float:
    """Mean frequency in THz of the vibrations of one species, weighted by its share of each mode.

    The same as `average_frequency` of its projected density of states without smearing. Imaginary modes and the
    zero modes at Gamma have no frequency to average and are left out.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    symbol
        The mobile species.
    direction
        Cartesian vector of a jump to project on, or ``None`` for all directions.
    """
    atoms = [i for i, name in enumerate(phonons.symbols) if name == symbol]
    if not atoms:
        raise ValueError(f"no {symbol} among the atoms {sorted(set(phonons.symbols))}")
    if direction is None:
        share = _atom_weights(phonons.eigenvectors)[:, atoms].sum(axis=1)
    else:
        share = _direction_weights(phonons, atoms, direction)
    # Acoustic frequencies at Gamma are zero but for rounding, which the square root turns into 1e-4 THz or so.
    share = np.where(phonons.frequencies_thz > 1e-3, share, 0.0) * phonons.weights[:, None]
    if not share.sum() > 0:
        raise ValueError(f"all modes of {symbol} are imaginary: no mean frequency")
    return float(np.sum(share * phonons.frequencies_thz) / share.sum())


def _atom_weights(eigenvectors: ArrayLike) -> NDArray[np.float64]:
    """|e_i|^2 of each atom [q, n, s]."""
    vectors = np.asarray(eigenvectors)
    if vectors.ndim != 3 or vectors.shape[1] % 3:
        raise ValueError(f"eigenvectors have shape {vectors.shape}, need [q, 3n, s]")
    squares = vectors.real**2 + vectors.imag**2
    return squares.reshape(len(vectors), -1, 3, vectors.shape[2]).sum(axis=2)


def _direction_weights(phonons: Phonons, atoms: Sequence[int], direction: ArrayLike) -> NDArray[np.float64]:
    """Sum over atoms of |e_i . p|^2 [q, s]."""
    vector = np.asarray(direction, dtype=float)
    length = np.linalg.norm(vector)
    if vector.shape != (3,) or not length > 0:
        raise ValueError("the direction must be a Cartesian vector of three components, not zero")
    vectors = phonons.eigenvectors
    components = vectors.reshape(len(vectors), -1, 3, vectors.shape[2])[:, list(atoms)]
    return np.sum(np.abs(np.einsum("qias,a->qis", components, vector / length)) ** 2, axis=1)


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
