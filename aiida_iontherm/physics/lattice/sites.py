"""Sites of the primitive cell: sets of equivalent atoms, and how the space group moves atoms and directions.

Points of an irreducible mesh stand for their whole star, on which the same mode moves other atoms in other
directions. Whatever looks at single atoms or directions has to be averaged over the space group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from spglib import SpglibDataset


@dataclass(frozen=True)
class Site:
    """Atoms of the primitive cell that the space group maps on each other.

    Attributes
    ----------
    label
        Symbol, a running number where the species has more than one site, and the Wyckoff position: ``Cu2 12b``.
    symbol
        Chemical symbol.
    atoms
        Indices in the primitive cell.
    """

    label: str
    symbol: str
    atoms: tuple[int, ...]

    @property
    def name(self) -> str:
        """The label without the Wyckoff position: ``Cu2``, or ``Cu`` where the species has but one site."""
        return self.label.split()[0]


@dataclass(frozen=True)
class SpaceGroup:
    """Operations of the space group of a primitive cell, without the translations of the lattice.

    Attributes
    ----------
    rotations
        Cartesian matrices [g, 3, 3].
    images
        ``images[g, i]`` is the atom on which operation g puts atom i [g, n].
    """

    rotations: NDArray[np.float64]
    images: NDArray[np.int64]

    @classmethod
    def from_phonopy(cls, phonopy: Phonopy) -> SpaceGroup:
        """Operations phonopy found for its primitive cell."""
        symmetry, columns = phonopy.primitive_symmetry, np.array(phonopy.primitive.cell).T
        operations = symmetry.symmetry_operations
        fractional = np.array(phonopy.primitive.scaled_positions)
        images = []
        for rotation, translation in zip(operations["rotations"], operations["translations"], strict=True):
            difference = (fractional @ rotation.T + translation)[:, None] - fractional[None]
            difference -= np.rint(difference)
            distance = np.linalg.norm(difference @ columns.T, axis=2)
            images.append(np.argmin(distance, axis=1))
        matrices = columns @ np.array(operations["rotations"], dtype=float) @ np.linalg.inv(columns)
        return cls(matrices, np.array(images))

    def average_atom_tensors(self, tensors: ArrayLike) -> NDArray[np.float64]:
        """Symmetrise one tensor per atom: (1/g) sum of R t_i R^T, put on the image of atom i.

        Parameters
        ----------
        tensors
            [..., n, 3, 3].

        Returns
        -------
        The same shape. Equivalent atoms have the same tensor up to the operation that relates them, and each has the
        symmetry of its site.
        """
        values = np.asarray(tensors, dtype=float)
        if values.shape[-3:] != (self.images.shape[1], 3, 3):
            raise ValueError(f"tensors have shape {values.shape}, need [..., {self.images.shape[1]}, 3, 3]")
        total = np.zeros_like(values)
        for rotation, image in zip(self.rotations, self.images, strict=True):
            total[..., image, :, :] += rotation @ values @ rotation.T
        return total / len(self.rotations)

    def equivalent_directions(
        self, atoms: Sequence[int], direction: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Images of directions at atoms: the same jump, seen from all equivalent sites.

        Parameters
        ----------
        atoms
            Indices [k].
        direction
            Cartesian vector of all of them.

        Returns
        -------
        Atoms [g, k] and Cartesian directions [g, 3].
        """
        return self.images[:, list(atoms)], self.rotations @ np.asarray(direction, dtype=float)


def equivalent_sites(phonopy: Phonopy) -> list[Site]:
    """Find the sets of equivalent atoms of the primitive cell, in the order of their first atoms.

    Raises
    ------
    ValueError
        If phonopy was told to use no symmetry, or that of a magnetic structure.
    """
    symmetry, symbols = phonopy.primitive_symmetry, list(phonopy.primitive.symbols)
    dataset = symmetry.dataset
    if not isinstance(dataset, SpglibDataset):
        raise ValueError(
            "the phonopy object was made without symmetry or with magnetic moments: its sites are not known"
        )
    equivalent = np.array(dataset.equivalent_atoms)
    # Wyckoff multiplicities count atoms of the conventional cell.
    copies = len(dataset.std_types) / len(symbols)
    firsts = list(dict.fromkeys(equivalent.tolist()))
    number_of_sites = Counter(symbols[first] for first in firsts)
    seen: Counter[str] = Counter()
    sites = []
    for first in firsts:
        symbol, atoms = symbols[first], np.flatnonzero(equivalent == first)
        seen[symbol] += 1
        name = f"{symbol}{seen[symbol]}" if number_of_sites[symbol] > 1 else symbol
        label = f"{name} {round(len(atoms) * copies)}{dataset.wyckoffs[first]}"
        sites.append(Site(label, symbol, tuple(int(atom) for atom in atoms)))
    return sites


def site_names(phonopy: Phonopy) -> list[str]:
    """Name of the site of each atom of the supercell, see `Site.name`.

    Raises
    ------
    ValueError
        As `equivalent_sites`.
    """
    of_primitive = {atom: site.name for site in equivalent_sites(phonopy) for atom in site.atoms}
    primitive = phonopy.primitive
    return [of_primitive[primitive.p2p_map[parent]] for parent in primitive.s2p_map]
