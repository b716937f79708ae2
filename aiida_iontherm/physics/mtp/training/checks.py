"""What may be wrong with a training set, found before anything expensive is done."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import covalent_radii

from aiida_iontherm.physics.mtp.training.configuration import Configuration, species_counts, species_of
from aiida_iontherm.physics.mtp.training.distances import nearest_neighbours

Array = npt.NDArray[np.float64]
Outliers = Literal["raise", "exclude"]

OUTLIER_DEVIATIONS = 10.0
"""Robust standard deviations of the energy per atom from which on an energy is suspect."""

OUTLIER_ENERGY_PER_ATOM = 0.5
OUTLIER_ENERGY = 100.0
OUTLIER_LARGE_ENERGY_PER_ATOM = 10.0
"""In eV. A suspect energy is wrong if it is off by 0.5 eV/atom, and by 100 eV in all or by 10 eV/atom: melts, surfaces
and free atoms in a set of crystals stay, a slipped digit does not."""

LARGEST_FORCE = 200.0
"""In eV/Angstrom: ten times what atoms in a hot solid feel."""

CLOSEST_APPROACH = 0.5
"""In units of the sum of the covalent radii (ASE): nuclei nearer than this are a mistake of the cell or the units."""

SAME_PLACE = 1e-3
"""Resolution in Angstrom at which two configurations are the same."""


@dataclass(frozen=True)
class CheckedData:
    """Configurations that passed, and what there is to say about them.

    Attributes
    ----------
    kept : list of Configuration
    indices : list of int
        Their positions in the input.
    twins : list of int
        For each kept configuration the position, among the kept ones, of the first that is the same; its own if none.
    excluded : dict of int to str
        Position in the input and reason of each that was left out.
    notes : tuple of str
    """

    kept: list[Configuration]
    indices: list[int]
    twins: list[int]
    excluded: dict[int, str]
    notes: tuple[str, ...]


def check_configurations(configurations: Sequence[Atoms], outliers: Outliers = "raise") -> CheckedData:
    """Read the labels and look for mistakes.

    Parameters
    ----------
    configurations : sequence of ase.Atoms
    outliers : {"raise", "exclude"}
        What to do with configurations that cannot be right: impossible energies, forces or distances.

    Raises
    ------
    ValueError
        If there are no configurations, labels are missing or not finite, or there are outliers and they are not
        excluded; the message names the configuration by its index.
    """
    if outliers not in ("raise", "exclude"):
        raise ValueError(f"outliers are to 'raise' or 'exclude', not {outliers!r}")
    data = []
    for index, atoms in enumerate(configurations):
        if not len(atoms):
            raise ValueError(f"configuration {index} has no atoms: leave it out")
        try:
            data.append(Configuration.from_atoms(atoms))
        except ValueError as error:
            raise ValueError(f"configuration {index}: {error}") from error
    if not data:
        raise ValueError("training needs at least one labelled configuration, got none")
    excluded = impossible_configurations(data)
    if excluded and outliers == "raise":
        named = "; ".join(f"configuration {index} {reason}" for index, reason in list(excluded.items())[:5])
        more = f"; and {len(excluded) - 5} more" if len(excluded) > 5 else ""
        raise ValueError(f"{named}{more}: correct the labels, or pass outliers='exclude' to leave them out")
    indices = [index for index in range(len(data)) if index not in excluded]
    if not indices:
        raise ValueError(f"no configuration is left: configuration 0 {excluded[0]}")
    kept = [data[index] for index in indices]
    twins = find_twins(kept)
    notes = [f"configuration {index} was left out: it {reason}" for index, reason in excluded.items()]
    notes += _notes_on_twins(kept, indices, twins)
    without = sum(entry.stress is None for entry in kept)
    if without:
        notes.append(f"{without} of {len(kept)} configurations have no stress")
    return CheckedData(kept=kept, indices=indices, twins=twins, excluded=excluded, notes=tuple(notes))


def impossible_configurations(data: Sequence[Configuration]) -> dict[int, str]:
    """Find configurations that cannot be right; positions with the reason, to be read after 'configuration 7'."""
    found = {}
    for index, entry in enumerate(data):
        largest = float(np.abs(entry.forces).max())
        near = closest_approach(entry.atoms)
        if largest > LARGEST_FORCE:
            found[index] = f"has a force of {largest:.0f} eV/Angstrom"
        elif near < CLOSEST_APPROACH:
            found[index] = f"has two atoms at {near:.2f} of the sum of their covalent radii"
    sound = [index for index in range(len(data)) if index not in found]
    residuals, suspect = energy_outliers(
        species_counts([data[index] for index in sound], species_of(data)),
        np.array([data[index].energy for index in sound]),
    )
    for position in suspect:
        found[sound[position]] = (
            f"has an energy {residuals[position]:+.3g} eV/atom off what its composition and the other configurations "
            "let expect"
        )
    return dict(sorted(found.items()))


def closest_approach(atoms: Atoms) -> float:
    """Smallest distance in units of the sum of covalent radii, up to 1."""
    radii = covalent_radii[atoms.numbers]
    # Of atoms of different size the nearest need not be the most squeezed, but it is among the few nearest.
    distances, neighbours = nearest_neighbours(atoms, float(2 * radii.max()), 6)
    return float(np.min(distances / (radii[:, None] + radii[neighbours]), initial=1.0))


def energy_outliers(counts: Array, energies: Array) -> tuple[Array, npt.NDArray[np.int_]]:
    """Find energies that a sum over species cannot explain.

    Energies per atom are fitted by one number for each species, with least absolute deviations, which a few wrong ones
    do not move; scale of the residuals is their median absolute deviation.

    Parameters
    ----------
    counts : float array [K, z]
        Atoms of each species.
    energies : float array [K]
        In eV.

    Returns
    -------
    residuals : float array [K]
        In eV/atom.
    suspect : int array
        Positions of the outliers; none among fewer than three configurations, where nobody can tell which is wrong.
    """
    if len(energies) < 3:
        return np.zeros(len(energies)), np.empty(0, dtype=int)
    n_atoms = counts.sum(axis=1)
    fractions, per_atom = counts / n_atoms[:, None], energies / n_atoms
    # Iteratively reweighted least squares for the sum of absolute deviations, begun at the median.
    residuals = per_atom - np.median(per_atom)
    for _ in range(50):
        roots = 1 / np.sqrt(np.maximum(np.abs(residuals), 1e-6))
        species_energies = np.linalg.lstsq(roots[:, None] * fractions, roots * per_atom, rcond=1e-10)[0]
        residuals = per_atom - fractions @ species_energies
    deviation = 1.4826 * np.median(np.abs(residuals - np.median(residuals)))
    off = np.abs(residuals)
    wrong = (off > max(OUTLIER_DEVIATIONS * deviation, OUTLIER_ENERGY_PER_ATOM)) & (
        (off * n_atoms > OUTLIER_ENERGY) | (off > OUTLIER_LARGE_ENERGY_PER_ATOM)
    )
    return residuals, np.flatnonzero(wrong)


def find_twins(data: Sequence[Configuration]) -> list[int]:
    """For each configuration the position of the first one with the same atoms at the same places in the same cell."""
    first: dict[bytes, int] = {}
    return [first.setdefault(_fingerprint(entry.atoms), index) for index, entry in enumerate(data)]


def _fingerprint(atoms: Atoms) -> bytes:
    digest = hashlib.sha256(atoms.numbers.tobytes() + atoms.pbc.tobytes())
    for lengths in (atoms.cell.array, atoms.positions):
        # Adding zero turns -0 into 0.
        digest.update((np.round(lengths / SAME_PLACE) + 0.0).tobytes())
    return digest.digest()


def _notes_on_twins(data: Sequence[Configuration], indices: Sequence[int], twins: Sequence[int]) -> list[str]:
    pairs = [(twin, index) for index, twin in enumerate(twins) if twin != index]
    notes = []
    if pairs:
        named = ", ".join(f"{indices[index]} of {indices[twin]}" for twin, index in pairs[:5])
        notes.append(
            f"{len(pairs)} duplicate configurations ({named}{', ...' if len(pairs) > 5 else ''}): "
            "every copy counts, and all stay on the same side when a part is held out"
        )
    for twin, index in pairs:
        difference = abs(data[twin].energy - data[index].energy) / len(data[index].atoms)
        if difference > 1e-3:
            notes.append(
                f"configurations {indices[twin]} and {indices[index]} are the same but their energies differ by "
                f"{difference:.3g} eV/atom"
            )
    return notes
