"""The text that ShengBTE and FourPhonon share: numbered blocks of one cluster each.

After the number of blocks, each has its number, the Cartesian positions in Angstrom of the unit cells of the second to
last atom, the atoms counted from one, and a line for each tensor element: Cartesian axes and value. Blank lines do not
matter. Described in the README of ShengBTE and the manual of FourPhonon.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_iontherm.tasks.force_constant_files.clusters import Clusters
from aiida_iontherm.tasks.force_constant_files.text import numbers, read_lines_of_text, whole_numbers

LATTICE_TOLERANCE = 1e-2
"""In Angstrom, for the position of a cell that may be some lattice vectors away and was printed with few digits."""


def read_blocks(path: Path, primitive: Atoms, order: int) -> Clusters:
    """Clusters of an order from their blocks.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, or does not belong to the primitive cell.
    """
    values = numbers(read_lines_of_text(path), path.name)
    width = 1 + 3 * (order - 1) + order + (order + 1) * 3**order
    count = int(values[0]) if len(values) else 0
    if len(values) != 1 + count * width or count < 1:
        raise ValueError(
            f"{path.name} announces {count} blocks, {1 + count * width} numbers, and holds {len(values)}: it is cut "
            f"short, damaged, or not of order {order}"
        )
    table = values[1:].reshape(count, width)
    wrong = np.flatnonzero(table[:, 0] != np.arange(1, count + 1))
    places, atoms, lines = np.split(table[:, 1:], [3 * (order - 1), 3 * (order - 1) + order], axis=1)
    lines = lines.reshape(count, 3**order, order + 1)
    axes = np.array(list(product((1, 2, 3), repeat=order)))
    wrong = np.concatenate([wrong, np.flatnonzero(np.any(lines[:, :, :-1] != axes, axis=(1, 2)))])
    if len(wrong):
        raise ValueError(f"block {wrong.min() + 1} of {path.name} is out of order: the file is damaged")
    indices = whole_numbers(atoms, path.name)
    if indices.min() < 1 or indices.max() > len(primitive):
        outside = indices.max() if indices.max() > len(primitive) else indices.min()
        raise ValueError(
            f"{path.name} names atom {outside} and the primitive cell has {len(primitive)}: give the cell the file was "
            "made for"
        )
    cells = _cells(places.reshape(count, order - 1, 3), primitive, path.name)
    return Clusters(indices - 1, cells, lines[:, :, -1].reshape(count, *(3,) * order)).summed()


def block_lines(clusters: Clusters, primitive: Atoms) -> Iterator[str]:
    """Write clusters as blocks, values with 17 digits."""
    order = clusters.order
    axes = product((1, 2, 3), repeat=order)
    # One template for all numbers of a block: files of a million lines take seconds.
    template = "\n%5d\n" + (order - 1) * "%.16e %.16e %.16e\n" + order * "%6d" + "\n"
    template += "".join("".join(f"{axis:>2d}" for axis in place) + " %24.16e\n" for place in axes)
    yield f"{len(clusters):>5d}\n"
    places = (clusters.cells @ primitive.cell.array).reshape(len(clusters), -1).tolist()
    elements = clusters.tensors.reshape(len(clusters), -1).tolist()
    members = (clusters.atoms + 1).tolist()
    for number, (place, atoms, tensor) in enumerate(zip(places, members, elements, strict=True), start=1):
        yield template % (number, *place, *atoms, *tensor)


def _cells(places: NDArray[np.float64], primitive: Atoms, name: str) -> NDArray[np.int64]:
    lattice = primitive.cell.array
    multiples = places @ np.linalg.inv(lattice)
    cells = np.rint(multiples)
    miss = np.linalg.norm((multiples - cells) @ lattice, axis=-1)
    if miss.max() > LATTICE_TOLERANCE:
        block = int(np.unravel_index(miss.argmax(), miss.shape)[0])
        raise ValueError(
            f"block {block + 1} of {name} has a cell {miss.max():.2g} Angstrom off the lattice of the primitive cell: "
            "give the cell the file was made for, in the same orientation"
        )
    return cells.astype(np.int64)
