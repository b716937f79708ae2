"""Groups of atoms by which the task ``md`` tells displacements and vibrations apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_iontherm.physics.lattice.cells import make_phonopy
from aiida_iontherm.physics.lattice.sites import site_names

MOST_SITES = 8
"""Of a species: a cell without symmetry has one for each atom, which nobody looks at."""


def groups_of_atoms(names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return the indices of the atoms of each name, names in alphabetical order."""
    return {str(name): np.flatnonzero(np.array(names) == name) for name in np.unique(names)}


def vibrating_sites(cell: Atoms, copies: int) -> list[str]:
    """Name of the crystallographic site of each atom of a supercell in phonopy's order.

    Parameters
    ----------
    cell
        Unit cell.
    copies
        Of each of its atoms in the supercell.

    Returns
    -------
    list of str
        ``Cu1``, ``Cu2`` ... where copper ions are on two to `MOST_SITES` inequivalent sites, else ``Cu``.
    """
    symbols = cell.get_chemical_symbols()
    sites = site_names(make_phonopy(cell, (1, 1, 1)))
    number = {
        symbol: len({site for site, own in zip(sites, symbols, strict=True) if own == symbol}) for symbol in symbols
    }
    names = [site if number[symbol] <= MOST_SITES else symbol for site, symbol in zip(sites, symbols, strict=True)]
    return [name for name in names for _ in range(copies)]


def by_species(
    groups: Mapping[str, NDArray[np.int64]], symbols: Sequence[str], values: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Sum up what belongs to sites over the sites of each species."""
    totals: dict[str, NDArray[np.float64]] = {}
    for name, members in groups.items():
        symbol = symbols[members[0]]
        totals[symbol] = totals[symbol] + values[name] if symbol in totals else values[name]
    return totals
