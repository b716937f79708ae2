"""Between the common form and the objects of phonopy, phono3py and hiphive."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from phono3py import Phono3py
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.lattice.cells import to_atoms
from aiida_iontherm.physics.lattice.conversion import phono3py_from_force_constants
from aiida_iontherm.tasks.force_constant_files.clusters import ORDER_NAMES, from_members, members_of, unfold
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.repetition import POSITION_TOLERANCE, Repetition

if TYPE_CHECKING:
    from hiphive import ForceConstants as HiphiveForceConstants

_UNEQUAL = 0.05  # of the largest element, between rows of a full array that a translation makes equal


def compact(array: ArrayLike, repetition: Repetition, rows: ArrayLike | None = None) -> NDArray[np.float64]:
    """Compact array whose rows are our primitive atoms, from a full one or one with other rows.

    Parameters
    ----------
    array
        Second or third order, full [N, N, ...] or compact [n, N, ...].
    repetition
        The cells.
    rows
        Supercell atom of each row of a compact array [n]; ours if not given.

    Raises
    ------
    ValueError
        If the shape is that of another supercell, or rows that a translation makes equal are not.
    """
    values = np.asarray(array, dtype=float)
    order = values.ndim // 2
    n, atoms = len(repetition.primitive), len(repetition.supercell)
    if values.ndim not in (4, 6) or values.shape[1:order] != (atoms,) * (order - 1) or len(values) not in (n, atoms):
        held = " x ".join(str(size) for size in values.shape[:order])
        raise ValueError(
            f"force constants over {held} atoms do not belong to a supercell of {atoms} atoms and a primitive cell of "
            f"{n}: give the cells they were made with"
        )
    if len(values) == atoms:
        if order == 2 and n != atoms:
            _check_translations(values, repetition)
        return np.ascontiguousarray(values[repetition.p2s])
    starts = repetition.p2s if rows is None else np.asarray(rows)
    if rows is not None and sorted(repetition.atom_of[starts]) != list(range(n)):
        raise ValueError(
            "the rows of the force constants are not one atom of each kind of site: they belong to another primitive "
            "cell"
        )
    result = np.empty_like(values)
    for row, start in enumerate(starts):
        atom = repetition.atom_of[start]
        moved = repetition.moved(repetition.p2s[atom], start)
        result[atom] = values[row][np.ix_(*(moved,) * (order - 1))]
    return result


def full(array: NDArray[np.float64], repetition: Repetition) -> NDArray[np.float64]:
    """Full array [N, N, ...] from a compact one."""
    order = array.ndim // 2
    result = np.empty((len(repetition.supercell), *array.shape[1:]))
    for start, atom in enumerate(repetition.atom_of):
        moved = repetition.moved(repetition.p2s[atom], start)
        result[(start, *np.ix_(*(moved,) * (order - 1)))] = array[atom]
    return result


def rows_of_phonopy(repetition: Repetition) -> NDArray[np.int64]:
    """Our primitive atoms in the order in which phonopy finds them in the supercell [n]."""
    return np.argsort(repetition.p2s)


def from_phonopy(phonopy: Phonopy) -> ForceConstants:
    """Second order and charges of a phonopy object.

    Raises
    ------
    ValueError
        If it has no force constants.
    """
    if phonopy.force_constants is None:
        raise ValueError("the phonopy object has no force constants: produce or set them first")
    repetition = Repetition.of(to_atoms(phonopy.primitive), to_atoms(phonopy.supercell))
    second = compact(phonopy.force_constants, repetition, phonopy.primitive.p2s_map)
    return ForceConstants(repetition, second=second, nac=phonopy.nac_params)


def from_phono3py(phono3py: Phono3py) -> ForceConstants:
    """Second and third order and charges of a phono3py object; the second order may have a supercell of its own.

    Raises
    ------
    ValueError
        If it has no force constants.
    """
    if phono3py.fc2 is None and phono3py.fc3 is None:
        raise ValueError("the phono3py object has no force constants: produce or set them first")
    parts = []
    if phono3py.fc2 is not None:
        repetition = Repetition.of(to_atoms(phono3py.phonon_primitive), to_atoms(phono3py.phonon_supercell))
        second = compact(phono3py.fc2, repetition, phono3py.phonon_primitive.p2s_map)
        parts.append(ForceConstants(repetition, second=second, nac=phono3py.nac_params))
    if phono3py.fc3 is not None:
        repetition = Repetition.of(to_atoms(phono3py.primitive), to_atoms(phono3py.supercell))
        third = compact(phono3py.fc3, repetition, phono3py.primitive.p2s_map)
        parts.append(ForceConstants(repetition, third=third, nac=phono3py.nac_params))
    return parts[0] if len(parts) == 1 else parts[0].joined(parts[1])


def to_phonopy(constants: ForceConstants, symprec: float = 1e-5) -> Phonopy:
    """Phonopy object with the second order and the charges; the atoms of the supercell keep their order.

    Raises
    ------
    ValueError
        If there is no second order.
    """
    if constants.second is None:
        raise ValueError("there are no second-order force constants here: read them first")
    cell, primitive_matrix = _as_unit_cell(constants)
    phonopy = Phonopy(cell, np.eye(3, dtype=int), primitive_matrix=primitive_matrix, symprec=symprec)
    order = rows_of_phonopy(constants.repetition)
    phonopy.force_constants = np.ascontiguousarray(constants.second[order])
    if constants.nac is not None:
        phonopy.nac_params = nac_in_order(constants, order)
    return phonopy


def to_phono3py(constants: ForceConstants, symprec: float = 1e-5) -> Phono3py:
    """Phono3py object with second and third order and the charges; the atoms of the supercell keep their order.

    Raises
    ------
    ValueError
        If one of the orders is not there, or the third does not fit into the supercell.
    """
    if constants.second is None:
        raise ValueError("there are no second-order force constants here: read them first")
    cell, primitive_matrix = _as_unit_cell(constants)
    order = rows_of_phonopy(constants.repetition)
    return phono3py_from_force_constants(
        to_atoms(cell),
        np.eye(3, dtype=int),
        constants.second[order],
        constants.third_array()[order],
        primitive_matrix=primitive_matrix,
        nac_params=None if constants.nac is None else nac_in_order(constants, order),
        symprec=symprec,
    )


def nac_in_order(constants: ForceConstants, order: NDArray[np.int64]) -> dict:
    """Charges as phonopy takes them, those of the atoms in another order."""
    nac = dict(constants.nac or {})
    return nac | {"born": np.asarray(nac["born"])[order]}


def from_hiphive(
    hiphive: HiphiveForceConstants, primitive: Atoms, tolerance: float = POSITION_TOLERANCE
) -> ForceConstants:
    """Second to fourth order of hiphive's force constants over a supercell.

    Parameters
    ----------
    hiphive
        hiphive's object, in eV/Angstrom^order.
    primitive
        Primitive cell.
    tolerance
        Largest distance in Angstrom of an atom of the supercell from its site.

    Raises
    ------
    ValueError
        If the cells do not fit, or there is none of these orders.
    """
    from hiphive.force_constants import SortedForceConstants

    known = {}
    for order in hiphive.orders:
        clusters = hiphive.get_fc_dict(order)
        known[order] = (np.array(list(clusters)), np.array(list(clusters.values())))
    # hiphive keeps one permutation of each cluster if it can.
    one_of_each = isinstance(hiphive, SortedForceConstants)
    return from_members_anywhere(known, hiphive.supercell, primitive, one_of_each=one_of_each, tolerance=tolerance)


def from_members_anywhere(
    known: Mapping[int, tuple[NDArray[np.int64], NDArray[np.float64]]],
    supercell: Atoms,
    primitive: Atoms,
    *,
    one_of_each: bool,
    tolerance: float = POSITION_TOLERANCE,
) -> ForceConstants:
    """Second to fourth order from clusters of atoms of a supercell that start anywhere in it.

    Parameters
    ----------
    known
        By order: supercell indices [m, order] and tensors [m, 3, ...] in eV/Angstrom^order.
    supercell, primitive
        The cells.
    one_of_each
        Whether one permutation stands for all of a cluster.
    tolerance
        Largest distance in Angstrom of an atom of the supercell from its site.

    Raises
    ------
    ValueError
        If the cells do not fit, or there is none of these orders.
    """
    repetition = Repetition.of(primitive, supercell, tolerance)
    n, atoms = len(primitive), len(repetition.supercell)
    arrays: dict[int, NDArray[np.float64]] = {}
    fourth = None
    for order, (clusters, values) in known.items():
        if order not in ORDER_NAMES:
            continue
        members, tensors = _permuted(clusters, values, one_of_each, repetition)
        if order == 4:
            fourth = from_members(members, tensors, repetition)
        else:
            arrays[order] = np.zeros((n, *(atoms,) * (order - 1), *(3,) * order))
            arrays[order][tuple(members.T)] = tensors
    if not arrays and fourth is None:
        raise ValueError("hiphive's force constants have none of the orders two, three and four")
    return ForceConstants(repetition, second=arrays.get(2), third=arrays.get(3), fourth=fourth)


def to_hiphive(constants: ForceConstants) -> HiphiveForceConstants:
    """Make hiphive's object with all orders there are, over the supercell."""
    from hiphive import ForceConstants as HiphiveForceConstants

    repetition = constants.repetition
    third = constants.third
    orders = [
        None if constants.second is None else unfold(constants.second, repetition),
        unfold(third, repetition) if isinstance(third, np.ndarray) else third,
        constants.fourth,
    ]
    everywhere: dict[tuple[int, ...], NDArray[np.float64]] = {}
    for clusters in (clusters for clusters in orders if clusters is not None):
        members, tensors = _added_up(members_of(clusters, repetition), clusters.tensors)
        for start, atom in enumerate(repetition.atom_of):
            moved = repetition.moved(repetition.p2s[atom], start)
            chosen = members[:, 0] == atom
            rest = moved[members[chosen][:, 1:]].tolist()
            everywhere |= {(start, *others): tensor for others, tensor in zip(rest, tensors[chosen], strict=True)}
    return HiphiveForceConstants.from_dense_dict(everywhere, repetition.supercell)


def _added_up(
    members: NDArray[np.int64], tensors: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    different, where = np.unique(members, axis=0, return_inverse=True)
    total = np.zeros((len(different), *tensors.shape[1:]))
    np.add.at(total, where.ravel(), tensors)
    return different, total


def _permuted(
    clusters: NDArray[np.int64], values: NDArray[np.float64], one_of_each: bool, repetition: Repetition
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All clusters of an order that start in the home cell: row and supercell indices [m, order], and tensors."""
    order = clusters.shape[1]
    row_of = np.full(len(repetition.supercell), -1)
    row_of[repetition.p2s] = np.arange(len(repetition.p2s))
    wanted = permutations(range(order)) if one_of_each else [tuple(range(order))]
    members, tensors = [], []
    for permutation in wanted:
        permuted = clusters[:, permutation]
        at_home = row_of[permuted[:, 0]] >= 0
        members.append(permuted[at_home])
        tensors.append(values[at_home].transpose(0, *(1 + axis for axis in permutation)))
    every, first = np.unique(np.concatenate(members), axis=0, return_index=True)
    every[:, 0] = row_of[every[:, 0]]
    return every, np.concatenate(tensors)[first]


def _as_unit_cell(constants: ForceConstants) -> tuple[PhonopyAtoms, NDArray[np.float64]]:
    """Take the supercell as phonopy's unit cell, which keeps the order of atoms; with the primitive matrix."""
    supercell = constants.supercell
    cell = PhonopyAtoms(cell=supercell.cell.array, positions=supercell.positions, numbers=supercell.numbers)
    return cell, np.linalg.inv(constants.matrix)


def _check_translations(array: NDArray[np.float64], repetition: Repetition) -> None:
    """Refuse a full second order whose rows do not repeat with the lattice."""
    largest = float(np.abs(array).max())
    last = len(repetition.supercell) - 1  # one translation shows another order of atoms, and costs little
    for start in (last, last // 2):
        moved = repetition.moved(repetition.p2s[repetition.atom_of[start]], start)
        repeated = array[start][moved]
        difference = float(np.abs(repeated - array[repetition.p2s[repetition.atom_of[start]]]).max())
        if difference > _UNEQUAL * largest:
            raise ValueError(
                f"force constants of atoms that a lattice translation makes equal differ by {difference / largest:.0%} "
                "of the largest: they belong to another supercell, or to another order of its atoms"
            )
