"""Files of TDEP: ``infile.forceconstant`` and ``infile.forceconstant_thirdorder``, or ``outfile.``.

Pairs and triplets with lattice vectors in fractional coordinates, tensors in eV/Angstrom^order, as documented at
https://tdep-developers.github.io/tdep/program/extract_forceconstants/. The cell is in ``infile.ucposcar`` beside them.

After the pairs, TDEP notes whether the dipole interaction of a polar crystal was taken out of them. If so, what is left
is only their short-range part and is of no use to other programs: such a file is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_iontherm.tasks.force_constant_files.clusters import Clusters, joined
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.text import numbers, read_lines_of_text, whole_numbers

_LATTICE_TOLERANCE = 1e-4  # in fractional coordinates that are whole numbers with 16 decimals
_NOUNS = {2: "neighbours", 3: "triplets"}


def read_tdep(path: Path, primitive: Atoms, order: int) -> Clusters:
    """Pairs or triplets.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, does not belong to the primitive cell, or holds only the short-range part.
    """
    lines = read_lines_of_text(path).splitlines()
    position = 0

    def leading(count: int) -> list[str]:
        nonlocal position
        taken = lines[position : position + count]
        if len(taken) < count:
            raise ValueError(f"{path.name} ends in line {len(lines)} where more must follow: it is cut short")
        position += count
        return taken

    def integer() -> int:
        line = leading(1)[0].split()
        try:
            return int(line[0])
        except (ValueError, IndexError) as error:
            raise ValueError(f"line {position} of {path.name} must begin with a whole number: it is damaged") from error

    atoms = integer()
    if atoms != len(primitive):
        raise ValueError(
            f"{path.name} is for {atoms} atoms and the primitive cell has {len(primitive)}: give the infile.ucposcar "
            "it was made with"
        )
    leading(1)  # the cutoff says nothing that the clusters do not
    parts = []
    for atom in range(atoms):
        count = integer()
        if count < 0:
            raise ValueError(f"line {position} of {path.name} counts {count} {_NOUNS[order]}: it is damaged")
        parts.append(_clusters(leading(count * _LINES[order]), count, atom, order, path.name))
    if order == 2:
        _refuse_short_range(lines[position:], path.name)
    clusters = joined(parts)
    if len(clusters) and not 0 <= clusters.atoms.min() <= clusters.atoms.max() < atoms:
        raise ValueError(f"{path.name} names atoms beyond the {atoms} of its cell: it is damaged")
    return clusters.summed()


def tdep_lines(constants: ForceConstants, order: int) -> Iterator[str]:
    """Lines of a file of second or third order, numbers with 17 digits."""
    clusters = constants.pairs() if order == 2 else constants.triplets()
    primitive = constants.primitive
    yield f"{len(primitive):>11d}               How many atoms per unit cell\n"
    yield f"{clusters.reach(primitive) + 1e-5:21.15f}     Realspace cutoff (A)\n"
    for atom in range(len(primitive)):
        own = clusters.of_first_atom(atom)
        own = own.chosen(np.argsort(_distances(own, primitive), kind="stable"))
        what = "How many neighbours does atom" if order == 2 else "How many triplets are atom"
        yield f"{len(own):>11d}               {what} {atom + 1} {'have' if order == 2 else 'part of'}\n"
        yield from _entries(own, atom)
    if order == 2:
        yield "0   # no Born charges or dielectric tensor\n"


def write_tdep(path: Path, constants: ForceConstants, order: int) -> None:
    """``infile.forceconstant`` or ``infile.forceconstant_thirdorder``.

    Raises
    ------
    ValueError
        If there are no force constants of that order.
    """
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(tdep_lines(constants, order))


_LINES = {2: 1 + 1 + 3, 3: 3 + 3 + 9}
"""Of one pair or triplet: indices, lattice vectors, tensor."""


def _clusters(lines: list[str], count: int, atom: int, order: int, name: str) -> Clusters:
    # A pair names only its second atom; a triplet names all three, each with a lattice vector.
    named = 1 if order == 2 else 3
    per = _LINES[order]
    labels = [
        line.split(maxsplit=1)[0] if line.strip() else "?"
        for start in range(0, count * per, per)
        for line in lines[start : start + named]
    ]
    rest = "\n".join(line for start in range(0, count * per, per) for line in lines[start + named : start + per])
    indices = whole_numbers(numbers(" ".join(labels), name), name).reshape(-1)
    values = numbers(rest, name)
    if len(indices) != named * count or len(values) != 3 * (per - named) * count:
        raise ValueError(f"{name} has lines of other than three numbers among those of atom {atom + 1}: it is damaged")
    table = values.reshape(count, per - named, 3)
    cells = table[:, :named]
    if np.abs(cells - np.rint(cells)).max(initial=0.0) > _LATTICE_TOLERANCE:
        raise ValueError(f"{name} has lattice vectors of atom {atom + 1} that are not whole numbers: it is damaged")
    cells = np.rint(cells).astype(np.int64)
    members = indices.reshape(count, named) - 1
    if order == 2:
        members = np.concatenate([np.full((count, 1), atom), members], axis=1)
    else:
        if np.any(members[:, 0] != atom):
            raise ValueError(f"{name} lists a triplet of another atom among those of atom {atom + 1}: it is damaged")
        cells = cells[:, 1:] - cells[:, :1]
    return Clusters(members, cells, table[:, named:].reshape(count, *(3,) * order))


def _refuse_short_range(rest: list[str], name: str) -> None:
    words = " ".join(rest).split()
    if words and words[0] not in ("0", "F", ".false."):
        raise ValueError(
            f"{name} is of a polar crystal and holds the short-range part only, the dipole interaction being taken "
            "out: extract the force constants without --polar, and give the Born charges here with born="
        )


def _entries(own: Clusters, atom: int) -> Iterator[str]:
    """Pairs or triplets of one atom; one template for all numbers of one."""
    row = " %24.16e %24.16e %24.16e\n"
    count, order = len(own), own.order
    if order == 2:
        template = (
            f"%11d               In the unit cell, what is the index of neighbour %d of atom {atom + 1}\n{4 * row}"
        )
        labels = np.stack([own.atoms[:, 1] + 1, np.arange(1, count + 1)], axis=1)
        cells = own.cells
    else:
        template = "".join(f"%11d                atom {place} in triplet %d\n" for place in (1, 2, 3)) + 12 * row
        labels = np.stack([own.atoms + 1, np.tile(np.arange(1, count + 1)[:, None], 3)], axis=2)
        cells = np.concatenate([np.zeros((count, 1, 3), dtype=np.int64), own.cells], axis=1)
    numbers_of = np.concatenate([cells.reshape(count, -1), own.tensors.reshape(count, -1)], axis=1)
    for label, values in zip(labels.reshape(count, -1).tolist(), numbers_of.tolist(), strict=True):
        yield template % (*label, *values)


def _distances(own: Clusters, primitive: Atoms) -> NDArray[np.float64]:
    """Sum of the distances of the other atoms from the first, an order that begins with the atom itself."""
    places = primitive.positions[own.atoms[:, 1:]] + own.cells @ primitive.cell.array
    return np.linalg.norm(places - primitive.positions[own.atoms[:, :1]], axis=2).sum(axis=1).round(6)
