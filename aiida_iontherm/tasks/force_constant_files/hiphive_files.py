"""Files of hiphive: force constants over a supercell (``.fc``, also written) and potentials (``.fcp``).

Both are tar archives with Python pickles in them. Nothing of these is run, and hiphive itself is not asked: see
`plain_pickle`. The layout is that of hiphive 0.5 to 1.5 for ``.fc`` and 1.0 to 1.5 for ``.fcp``; before, a potential
was one pickle of all of hiphive's objects, which is refused.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_iontherm.tasks.force_constant_files.clusters import ORDER_NAMES, Clusters, fold, joined
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.objects import from_members_anywhere, to_hiphive
from aiida_iontherm.tasks.force_constant_files.plain_pickle import Record, plain_load
from aiida_iontherm.tasks.force_constant_files.repetition import POSITION_TOLERANCE, Repetition, roomy_supercell

_TYPES = {"SortedForceConstants": True, "RawForceConstants": False}
"""Whether hiphive keeps one permutation of each cluster."""

_OF_CELL = ("ase.cell.Cell",)
_OF_ORBIT = ("hiphive.core.orbits.OrientationFamily",)
_OF_POTENTIAL = (
    "hiphive.config.Config",
    "hiphive.core.atoms.Atom",
    "hiphive.core.utilities.BiMap",
    "hiphive.cluster_space_data.ClusterSpaceData",
)


def read_fc(
    path: Path, primitive: Atoms, supercell: Atoms | None = None, tolerance: float = POSITION_TOLERANCE
) -> ForceConstants:
    """Second to fourth order of a ``.fc`` file, over its supercell or one that is given.

    Raises
    ------
    ValueError
        If the file is damaged, is not hiphive's, asks for more than data, or does not belong to the primitive cell.
    """
    parts = _unpacked(path.read_bytes(), path.name)
    where = _supercell(_part(parts, "supercell", path.name), path.name)
    items = plain_load(_part(parts, "fc_dict", path.name), path.name)
    try:
        one_of_each = _TYPES[items["fcs_type"]]
        known = _by_order(items["fc_dict"], len(where))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path.name} does not hold force constants of hiphive, or is damaged: {error}") from error
    constants = from_members_anywhere(known, where, primitive, one_of_each=one_of_each, tolerance=tolerance)
    return constants if supercell is None else constants.in_supercell(supercell)


def read_fcp(
    path: Path,
    primitive: Atoms | None = None,
    supercell: Atoms | None = None,
    tolerance: float = POSITION_TOLERANCE,
) -> ForceConstants:
    """Second to fourth order of a potential, whose clusters have lattice vectors.

    Parameters
    ----------
    path
        The file.
    primitive
        Primitive cell whose lattice vectors and order of atoms are wanted; hiphive's own if not given.
    supercell
        Supercell for the second order; the smallest diagonal one that holds it if not given.
    tolerance
        Largest distance in Angstrom of an atom from its site.

    Raises
    ------
    ValueError
        If the file is damaged, is not hiphive's, asks for more than data, or does not belong to the cells.
    """
    parts = _unpacked(path.read_bytes(), path.name)
    cell = plain_load(_part(parts, "_prim", path.name), path.name, _OF_CELL)
    attributes = plain_load(_part(parts, "attributes", path.name), path.name, _OF_POTENTIAL)
    orbits = _orbits(parts, path.name)
    found: dict[int, list[Clusters]] = {}
    try:
        own = Atoms(
            numbers=np.asarray(cell["numbers"]),
            scaled_positions=np.asarray(cell["basis"]),
            cell=np.asarray(_cell_of(cell["cell"])),
            pbc=True,
        )
        atoms = [
            (int(atom.state["_site"]), [round(x) for x in atom.state["_offset"]])
            for atom in attributes["atom_list"].state["_list"]
        ]
        if not all(0 <= site < len(own) for site, _ in atoms):
            raise ValueError(f"it names sites beyond the {len(own)} of its primitive cell")
        named = attributes["cluster_list"].state["_list"]
        for orbit in orbits:
            for family in orbit["orientation_families"]:
                # The clusters of a family are lattice translations of each other.
                cluster = [atoms[index] for index in named[family.state["cluster_indices"][0]]]
                tensor = np.asarray(family.state["force_constant"], dtype=float)
                found.setdefault(len(cluster), []).append(_all_permutations(cluster, tensor))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(
            f"{path.name} does not hold a force constant potential of hiphive, or is damaged: {error}"
        ) from error
    clusters = {order: joined(lists) for order, lists in found.items() if order in ORDER_NAMES}
    if not clusters:
        raise ValueError(f"{path.name} has none of the orders two, three and four")
    return _placed(clusters, own, own if primitive is None else primitive, supercell, tolerance, path.name)


def orders_in(path: Path) -> set[int]:
    """Orders of the force constants in either file.

    Raises
    ------
    ValueError
        If the file is damaged, is not hiphive's, or asks for more than data.
    """
    parts = _unpacked(path.read_bytes(), path.name)
    try:
        if "_prim" in parts:
            return {int(orbit["order"]) for orbit in _orbits(parts, path.name)}
        return {len(cluster) for cluster in plain_load(_part(parts, "fc_dict", path.name), path.name)["fc_dict"]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is not a file of hiphive, or is damaged: {error}") from error


def write(path: Path, constants: ForceConstants) -> None:
    """``.fc`` with all orders there are, for hiphive to read."""
    to_hiphive(constants).write(str(path))


def _unpacked(data: bytes, name: str) -> dict[str, bytes]:
    """Files in an archive; nothing is written to disk."""
    try:
        # Not compressed, as hiphive writes it: a compressed one could be of any size.
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            files = {member: archive.extractfile(member) for member in archive if member.isfile()}
            contents = {member: b"" if file is None else file.read() for member, file in files.items()}
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{name} is not a file of hiphive, or is damaged: {error}") from error
    if any(len(content) != member.size for member, content in contents.items()):
        raise ValueError(f"{name} is cut short")
    return {member.name: content for member, content in contents.items()}


def _part(parts: dict[str, bytes], part: str, name: str) -> bytes:
    if part not in parts:
        raise ValueError(f"{name} is not a file of hiphive, or is cut short: it holds no {part!r}")
    return parts[part]


def _supercell(text: bytes, name: str) -> Atoms:
    try:
        found = ase.io.read(io.StringIO(text.decode()), format="json")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{name} is not a .fc file of hiphive, or is damaged: {error}") from error
    if not isinstance(found, Atoms):
        raise ValueError(f"{name} is not a .fc file of hiphive: it holds more than one supercell")
    return found


def _by_order(fc_dict: dict[Any, Any], atoms: int) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Supercell indices [m, order] and tensors [m, 3, ...] of each order."""
    found: dict[int, tuple[list[Any], list[Any]]] = {}
    for cluster, tensor in fc_dict.items():
        members, tensors = found.setdefault(len(cluster), ([], []))
        members.append(cluster)
        tensors.append(np.asarray(tensor, dtype=float))
    result = {}
    for order, (members, tensors) in found.items():
        indices = np.array(members)
        if indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= atoms:
            raise ValueError(f"clusters do not name atoms of its supercell of {atoms}")
        if any(tensor.shape != (3,) * order for tensor in tensors):
            raise ValueError(f"force constants of {order} atoms do not have 3^{order} elements")
        result[order] = (indices.astype(np.int64), np.array(tensors))
    return result


def _cell_of(cell: Any) -> Any:
    """Lattice vectors, from ASE's cell or the bare array of older versions."""
    return cell.state["array"] if isinstance(cell, Record) else cell


def _orbits(parts: dict[str, bytes], name: str) -> list[dict[str, Any]]:
    """Attributes of the orbits, each an archive of its own."""
    inner = (_unpacked(content, name) for part, content in parts.items() if part.startswith("orbits_"))
    return [plain_load(_part(orbit, "attributes", name), name, _OF_ORBIT) for orbit in inner]


def _all_permutations(cluster: Sequence[tuple[int, Sequence[int]]], tensor: NDArray[np.float64]) -> Clusters:
    """Different permutations of one cluster of sites and cells, the first atom being moved to the home cell."""
    order = len(cluster)
    if tensor.shape != (3,) * order:
        raise ValueError(f"force constants of {order} atoms do not have 3^{order} elements")
    sites = np.array([site for site, _ in cluster])
    cells = np.array([offset for _, offset in cluster])
    ways = [list(way) for way in permutations(range(order))]
    rows = np.array([np.concatenate([sites[way], (cells[way] - cells[way[0]])[1:].ravel()]) for way in ways])
    _, first = np.unique(rows, axis=0, return_index=True)
    return Clusters(
        rows[first, :order],
        rows[first, order:].reshape(-1, order - 1, 3),
        np.array([tensor.transpose(ways[index]) for index in first]),
    )


def _placed(
    clusters: dict[int, Clusters],
    own: Atoms,
    primitive: Atoms,
    supercell: Atoms | None,
    tolerance: float,
    name: str,
) -> ForceConstants:
    """Clusters of hiphive's primitive cell in another one, the second order in a supercell."""
    try:
        between = Repetition.of(primitive, own, tolerance)
    except ValueError as error:
        raise ValueError(f"{name} is of another crystal than the primitive cell: {error}") from error
    if between.n_cells != 1:
        raise ValueError(f"{name} has {len(own)} atoms in its primitive cell and the one given {len(primitive)}")
    moved = {order: _moved(found, between) for order, found in clusters.items()}
    reach = moved[2].reach(primitive) if 2 in moved else 0.0
    repetition = Repetition.of(primitive, roomy_supercell(primitive, reach) if supercell is None else supercell)
    second = fold(moved[2], repetition) if 2 in moved else None
    return ForceConstants(repetition, second=second, third=moved.get(3), fourth=moved.get(4))


def _moved(clusters: Clusters, between: Repetition) -> Clusters:
    """Clusters by atoms and lattice vectors of the primitive cell that `between` matches theirs with."""
    shifts = between.cells[clusters.atoms]
    cells = clusters.cells @ between.matrix.T + shifts[:, 1:] - shifts[:, :1]
    return Clusters(between.atom_of[clusters.atoms], cells, clusters.tensors)
