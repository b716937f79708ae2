"""Hops of a mobile ion in a crystal: which ones there are, and the ends and first images of their paths.

A hop to a site that another mobile ion occupies is one into a vacancy: that ion is taken out of the supercell. A hop to
an empty site needs none taken out. The cell stays neutral either way, as an atom is taken out with its electrons: there
is no charge to compensate, and no interaction of charged images to correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import spglib
from ase import Atoms
from ase.geometry import find_mic
from ase.mep import NEB
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from aiida_iontherm.physics.ions.periodic_points import heights, periodic_copies

SYMPREC_A = 0.01
"""Positions of a crystal have the digits of their file."""

SAME_SITE_A = 0.5
"""A position given for a site may be off by as much: half a vibration, far less than two ions are apart."""

PASSING_A = 0.7
"""A straight line that comes nearer to another site leads over it: such a hop is made of shorter ones. Ions and
framework are twice as far apart at the least (O-H bonds apart)."""

LONGEST_HOP_A = 12.0
"""Four times the distance of neighbouring sites: no single jump is longer."""

IDPP_REACH_A = 6.0
"""The first images are bent around the atoms this near to the hop; those further off have no reason to move."""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A hop of one ion in the unit cell, for all those that symmetry makes equal to it.

    Attributes
    ----------
    label
        Kinds of its sites and its length: ``Cu1-Cu2_2.63``, ``Cu1-empty1_1.70``.
    start
        Index of the ion in the unit cell.
    to_vacancy
        Whether the end is the site of another mobile ion, which is taken out; else it is an empty site.
    origin_A, vector_A
        ``[3]`` where the ion sits and where it goes from there, Angstrom.
    distance_A
        Length of the vector.
    multiplicity
        Such hops per unit cell, there and back counted once; ``None`` for a given hop, which nobody counted.
    """

    label: str
    start: int
    to_vacancy: bool
    origin_A: NDArray[np.float64]
    vector_A: NDArray[np.float64]
    distance_A: float
    multiplicity: int | None


def distinct_hops(
    atoms: Atoms,
    mobile: str,
    max_distance_A: float,
    *,
    empty_sites: ArrayLike = (),
    symprec_A: float = SYMPREC_A,
) -> tuple[Hop, ...]:
    """Hops up to a distance that no symmetry of the crystal maps on each other, the shortest first.

    A hop and its reverse are one. Hops whose straight line leads over another atom or site are left out: they are made
    of shorter ones. A hop from an empty site to another needs an ion beyond those of the crystal and is not among them.

    Parameters
    ----------
    atoms
        Unit cell, periodic.
    mobile
        Symbol of the mobile ion.
    max_distance_A
        Longest hop, Angstrom.
    empty_sites
        ``[e, 3]`` fractional coordinates of sites that no ion occupies, such as `sites_from_density` finds; one of each
        kind suffices, symmetry adds the others.
    symprec_A
        Tolerance of the symmetry, Angstrom.

    Raises
    ------
    ValueError
        If there is no mobile ion, an empty site is not empty, no symmetry is found, or no hop is so short; the message
        then names the nearest distance.
    """
    if not 0 < max_distance_A <= LONGEST_HOP_A:
        raise ValueError(
            f"the longest hop must have a positive length of up to {LONGEST_HOP_A:g} Angstrom, not {max_distance_A:g}"
        )
    _mobile_ions(atoms, mobile)
    primitive, members, rotations, translations = _primitive(atoms, symprec_A)
    cell = primitive.cell.array
    ions = _mobile_ions(primitive, mobile)
    occupied = primitive.get_scaled_positions()[ions]
    holes = np.asarray(empty_sites, dtype=float).reshape(-1, 3) if np.size(empty_sites) else np.zeros((0, 3))
    holes = holes @ atoms.cell.array @ np.linalg.inv(cell)
    empty = _all_empty_sites(primitive, holes, rotations, translations, symprec_A)
    sites = np.concatenate([occupied, empty])
    image, shift = _permutations(sites, cell, rotations, translations, symprec_A)
    labels = _labels(image, len(ions), mobile)
    found = _neighbours(sites, len(ions), cell, max_distance_A)
    hops = []
    seen: set[tuple[int, int, int, int, int]] = set()
    for i, j, n in found:
        if (i, j, *n) in seen:
            continue
        orbit = _orbit(i, j, np.array(n), image, shift, rotations)
        reverse = {(b, a, -x, -y, -z) for a, b, x, y, z in orbit} if j < len(ions) else set()
        seen |= orbit | reverse
        vector = (sites[j] + n - sites[i]) @ cell
        if _passed(primitive, sites, sites[i] @ cell, vector):
            continue
        length = float(np.linalg.norm(vector))
        hops.append(
            Hop(
                label=f"{labels[i]}-{labels[j]}_{length:.2f}",
                start=int(members[ions[i]]),
                to_vacancy=j < len(ions),
                origin_A=atoms.positions[members[ions[i]]].copy(),
                vector_A=vector,
                distance_A=length,
                # there and back are one, whether symmetry says so or not
                multiplicity=len({min(h, (h[1], h[0], -h[2], -h[3], -h[4])) for h in orbit})
                * (len(atoms) // len(primitive)),
            )
        )
    if not hops:
        nearest = _nearest_distance(sites, len(ions), cell)
        raise ValueError(
            f"no hop of {mobile} is shorter than {max_distance_A:g} Angstrom: the nearest sites are {nearest:.2f} apart"
        )
    return tuple(_with_unique_labels(hops))


def hop_between(atoms: Atoms, mobile: str, start: ArrayLike, end: ArrayLike) -> Hop:
    """Hop from one place of the crystal to another, by fractional coordinates.

    Parameters
    ----------
    atoms
        Unit cell.
    mobile
        Symbol of the mobile ion.
    start, end
        ``[3]``, in this cell or a neighbouring one (coordinates below 0 and above 1 count as they are). The start is
        the nearest mobile ion; the end is the site of another one, or empty.

    Raises
    ------
    ValueError
        If there is no ion at the start, an atom of another element at the end, or both are one site.
    """
    cell = atoms.cell.array
    ions = _mobile_ions(atoms, mobile)
    places = [np.asarray(place, dtype=float) for place in (start, end)]
    if any(place.shape != (3,) or not np.all(np.isfinite(place)) for place in places):
        raise ValueError("the ends of a hop are three fractional coordinates each")
    first = ion_at(atoms, mobile, places[0])
    last, distance = _nearest_atom(atoms, places[1])
    to_vacancy = bool(last in ions and distance <= SAME_SITE_A)
    if not to_vacancy and distance <= PASSING_A:
        raise ValueError(
            f"the end {_coordinates(places[1])} lies {distance:.2f} Angstrom from {atoms.symbols[last]}, on no site"
        )
    scaled = atoms.get_scaled_positions(wrap=False)
    ends = []
    for atom, place, on_atom in ((first, places[0], True), (last, places[1], to_vacancy)):
        ends.append((scaled[atom] + np.round(place - scaled[atom]) if on_atom else place) @ cell)
    vector = ends[1] - ends[0]
    length = float(np.linalg.norm(vector))
    if length < SAME_SITE_A:
        raise ValueError("start and end of the hop are the same site: give two different ones")
    target = mobile if to_vacancy else "empty"
    return Hop(
        label=f"{mobile}-{target}_{length:.2f}",
        start=int(first),
        to_vacancy=to_vacancy,
        origin_A=ends[0],
        vector_A=vector,
        distance_A=length,
        multiplicity=None,
    )


def ion_at(atoms: Atoms, mobile: str, place: ArrayLike) -> int:
    """Index of the mobile ion at fractional coordinates [3] of the unit cell.

    Raises
    ------
    ValueError
        If there is none within half an Angstrom; the message says where the nearest one is.
    """
    ions = _mobile_ions(atoms, mobile)
    there = np.asarray(place, dtype=float)
    distances = find_mic(atoms.positions[ions] - there @ atoms.cell.array, atoms.cell, pbc=True)[1]
    nearest = int(ions[np.argmin(distances)])
    if distances.min() > SAME_SITE_A:
        raise ValueError(
            f"there is no {mobile} within {SAME_SITE_A} Angstrom of {_coordinates(there)}: the nearest one is at "
            f"{_coordinates(atoms.get_scaled_positions()[nearest])}"
        )
    return nearest


def end_points(atoms: Atoms, supercell: Sequence[int], hop: Hop) -> tuple[Atoms, Atoms, int]:
    """Both ends of a hop in a supercell, not relaxed, and the index of the ion that hops in them.

    The ion is not wrapped at the end, so that the straight line from start to end is the way it goes.

    Raises
    ------
    ValueError
        If the supercell is too small for the hop: half of its smallest height must be longer, else the ion would meet
        the hop of its own image.
    """
    unit = heights(atoms.cell.array)
    needed = np.maximum(np.ceil(2 * hop.distance_A / unit + 1e-6).astype(int), 1)
    if np.any(np.asarray(supercell) < needed):
        raise ValueError(
            f"a supercell of {_times(supercell)} cells is too small for a hop of {hop.distance_A:.2f} Angstrom, which "
            f"would meet its own image: take at least {_times(np.maximum(supercell, needed))}"
        )
    start = atoms.repeat(tuple(int(n) for n in supercell))
    ion, _ = _nearest_atom(start, hop.origin_A @ np.linalg.inv(start.cell.array))
    start.positions[ion] = hop.origin_A
    if hop.to_vacancy:
        goal = (hop.origin_A + hop.vector_A) @ np.linalg.inv(start.cell.array)
        vacancy, distance = _nearest_atom(start, goal)
        if distance > 1e-3 or vacancy == ion:
            raise ValueError(f"the hop {hop.label} does not end on an atom of this crystal")
        del start[vacancy]
        ion -= vacancy < ion
    end = start.copy()
    end.positions[ion] += hop.vector_A
    return start, end, int(ion)


def first_path(start: Atoms, end: Atoms, images: int, ion: int) -> list[Atoms]:
    """Path of so many images between two ends, by the image-dependent pair potential of ASE.

    S. Smidstrup, A. Pedersen, K. Stokbro, H. Jonsson, J. Chem. Phys. 140, 214106 (2014). Atoms near the hop make room
    for the ion; those further away go straight.

    Parameters
    ----------
    start, end
        The same atoms in the same order and the same cell.
    images
        Images between the ends.
    ion
        Index of the ion that hops.

    Returns
    -------
    list of Atoms
        Both ends and the images between them, positions continuous from one to the next.
    """
    moves = find_mic(end.positions - start.positions, start.cell, pbc=True)[0]
    # the ion goes as far as it was sent, which may be more than half a cell
    moves[ion] = end.positions[ion] - start.positions[ion]
    path = []
    for k in range(images + 2):
        image = start.copy()
        image.positions += moves * (k / (images + 1))
        path.append(image)
    line = np.array([image.positions[ion] for image in path])
    near = np.zeros(len(start), dtype=bool)
    for place in line:
        near |= find_mic(start.positions - place, start.cell, pbc=True)[1] < IDPP_REACH_A
    near[ion] = True
    if near.sum() > 1:
        local = [image[near] for image in path]
        NEB(local, method="improvedtangent").interpolate(method="idpp", mic=True)
        inner = find_mic(local[1].positions - path[1].positions[near], start.cell, pbc=True)[0]
        if np.all(np.isfinite(inner)):
            for image, bent in zip(path[1:-1], local[1:-1], strict=True):
                shift = find_mic(bent.positions - image.positions[near], start.cell, pbc=True)[0]
                image.positions[near] += shift
    return path


def path_of_frames(frames: Sequence[Atoms], images: int) -> list[Atoms]:
    """Path of so many images along given frames, equally long apart; two frames are its ends.

    Parameters
    ----------
    frames
        Two or more with the same atoms in the same order and one cell; wrapped or not, no atom may move by more than
        half the cell from frame to frame.
    images
        Images between the ends.

    Raises
    ------
    ValueError
        If the frames do not belong together or nothing moves.
    """
    if len(frames) < 2:
        raise ValueError("a path needs two frames or more: its start and its end")
    first = frames[0]
    for index, frame in enumerate(frames[1:], start=1):
        if len(frame) != len(first) or np.any(frame.numbers != first.numbers):
            raise ValueError(f"frame {index} of the path has other atoms or another order than frame 0")
        if not np.allclose(frame.cell.array, first.cell.array, atol=1e-6):
            raise ValueError(f"frame {index} of the path has another cell than frame 0: a band has one cell")
    moves = np.array([find_mic(b.positions - a.positions, first.cell, pbc=True)[0] for a, b in pairwise(frames)])
    length = np.concatenate([[0.0], np.cumsum(np.sqrt((moves**2).sum(axis=(1, 2))))])
    if length[-1] < 1e-3 or np.abs(moves.sum(axis=0)).max() < 1e-3:
        raise ValueError("start and end of the path are the same: give two different ones")
    kept = np.concatenate([[True], np.diff(length) > 1e-9])
    knots = np.concatenate([np.zeros((1, *moves.shape[1:])), np.cumsum(moves, axis=0)])[kept]
    path = []
    for s in np.linspace(0, length[-1], images + 2):
        k = min(int(np.searchsorted(length[kept], s, side="right")) - 1, kept.sum() - 2)
        a, b = length[kept][k], length[kept][k + 1]
        image = first.copy()
        image.positions += knots[k] + (knots[k + 1] - knots[k]) * (s - a) / (b - a)
        path.append(image)
    return path


def moving_ion(start: Atoms, end: Atoms, mobile: str) -> int:
    """Index of the mobile ion that goes furthest from start to end.

    Raises
    ------
    ValueError
        If there is no mobile ion.
    """
    ions = _mobile_ions(start, mobile)
    return int(ions[np.argmax(np.linalg.norm(end.positions[ions] - start.positions[ions], axis=1))])


def distinct_sites(atoms: Atoms, mobile: str, symprec_A: float = SYMPREC_A) -> dict[str, int]:
    """Label and index of one ion of each kind of site that the mobile ions occupy.

    Raises
    ------
    ValueError
        If there is no mobile ion, or no symmetry is found.
    """
    ions = _mobile_ions(atoms, mobile)
    dataset = _symmetry(atoms, symprec_A)
    kinds = list(dict.fromkeys(int(k) for k in dataset.crystallographic_orbits[ions]))
    if len(kinds) == 1:
        return {mobile: kinds[0]}
    return {f"{mobile}{n}": kind for n, kind in enumerate(kinds, start=1)}


def _mobile_ions(atoms: Atoms, mobile: str) -> NDArray[np.int64]:
    if not (np.all(np.isfinite(atoms.positions)) and np.all(np.isfinite(atoms.cell.array))):
        raise ValueError("positions or cell of the crystal hold NaN or infinite numbers: check the file")
    ions = np.flatnonzero(np.array(atoms.get_chemical_symbols()) == mobile)
    if not len(ions):
        raise ValueError(f"there is no {mobile} in {atoms.get_chemical_formula()}: name an ion that it holds")
    return ions


def _nearest_atom(atoms: Atoms, place: NDArray[np.float64]) -> tuple[int, float]:
    """Index and distance of the atom nearest to fractional coordinates."""
    distances = find_mic(atoms.positions - place @ atoms.cell.array, atoms.cell, pbc=True)[1]
    nearest = int(np.argmin(distances))
    return nearest, float(distances[nearest])


def _symmetry(atoms: Atoms, symprec_A: float) -> spglib.SpglibDataset:
    """Space group of a crystal; spglib says that there is none by an exception or by ``None``, as it was set."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=symprec_A)
    except spglib.SpglibError:
        dataset = None
    if dataset is None:
        raise ValueError("no symmetry is found for this cell: look for atoms on top of each other")
    return dataset


def _primitive(
    atoms: Atoms, symprec_A: float
) -> tuple[Atoms, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Primitive cell on the axes of the input, an atom of the input for each of its atoms, and its symmetry.

    A cell of an odd shape has fewer operations than its crystal: those that map its lattice on itself.
    """
    crystal = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    dataset = _symmetry(atoms, symprec_A)
    members = np.unique(dataset.mapping_to_primitive, return_index=True)[1]
    primitive = Atoms(
        numbers=atoms.numbers[members], positions=atoms.positions[members], cell=dataset.primitive_lattice, pbc=True
    )
    crystal = (primitive.cell.array, primitive.get_scaled_positions(), primitive.numbers)
    symmetry = spglib.get_symmetry(crystal, symprec=symprec_A)
    if symmetry is None:
        raise ValueError("no symmetry is found for this cell: change the symmetry tolerance")
    return primitive, members, symmetry["rotations"].astype(np.int64), symmetry["translations"]


def _all_empty_sites(
    atoms: Atoms,
    places: NDArray[np.float64],
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
    symprec_A: float,
) -> NDArray[np.float64]:
    """Empty sites with all that symmetry makes of them, none twice."""
    for place in places:
        nearest, distance = _nearest_atom(atoms, place)
        if distance < PASSING_A:
            raise ValueError(
                f"the empty site {_coordinates(place)} lies {distance:.2f} Angstrom from {atoms.symbols[nearest]}: it "
                "is not empty"
            )
    kept: list[NDArray[np.float64]] = []
    # a site a little off a symmetry element would make copies of itself: they count as one
    same = max(symprec_A, SAME_SITE_A / 2)
    for place in places:
        images = rotations @ place + translations
        for copy in images - np.floor(images):
            differences = np.array(kept).reshape(-1, 3) - copy
            differences -= np.round(differences)
            if not len(kept) or np.linalg.norm(differences @ atoms.cell.array, axis=1).min() > same:
                kept.append(copy)
    return np.array(kept).reshape(-1, 3)


def _permutations(
    sites: NDArray[np.float64],
    cell: NDArray[np.float64],
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
    symprec_A: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Site [g, s] that each operation maps each site on, and the cell [g, s, 3] in which it comes to lie."""
    image = np.empty((len(rotations), len(sites)), dtype=np.int64)
    shift = np.empty((len(rotations), len(sites), 3), dtype=np.int64)
    for g, (rotation, translation) in enumerate(zip(rotations, translations, strict=True)):
        moved = sites @ rotation.T + translation
        differences = moved[:, None] - sites[None]
        cells = np.round(differences)
        distances = np.linalg.norm((differences - cells) @ cell, axis=2)
        image[g] = distances.argmin(axis=1)
        chosen = np.arange(len(sites))
        if distances[chosen, image[g]].max() > max(symprec_A, SAME_SITE_A):
            raise ValueError("a symmetry of the crystal maps a mobile ion on no other: lower the symmetry tolerance")
        shift[g] = cells[chosen, image[g]].astype(np.int64)
    return image, shift


def _orbit(
    i: int,
    j: int,
    n: NDArray[np.int64],
    image: NDArray[np.int64],
    shift: NDArray[np.int64],
    rotations: NDArray[np.int64],
) -> set[tuple[int, int, int, int, int]]:
    """All pairs (site, site, cell) that symmetry makes of the pair of site i at home and site j in cell n."""
    cells = rotations @ n + shift[:, j] - shift[:, i]
    pairs = np.column_stack([image[:, i], image[:, j], cells]).tolist()
    return {(a, b, x, y, z) for a, b, x, y, z in pairs}


def _neighbours(
    sites: NDArray[np.float64], ions: int, cell: NDArray[np.float64], reach: float
) -> list[tuple[int, int, tuple[int, int, int]]]:
    """Pairs of an ion and a site in any cell within a distance, the nearest first."""
    copies = periodic_copies(sites, cell, reach)
    home = (sites[:ions] - np.floor(sites[:ions])) @ cell
    found = []
    for i, near in enumerate(cKDTree(copies.positions).query_ball_point(home, reach)):
        for k in near:
            distance = float(np.linalg.norm(copies.positions[k] - home[i]))
            if distance > 1e-6:
                # cells are counted for the coordinates as given, both of which may lie outside the cell at the origin
                n = copies.image[k] + np.floor(sites[i]).astype(np.int64)
                found.append((round(distance, 6), i, int(copies.point[k]), tuple(-int(x) for x in n)))
    # of equal hops the one to the cell in front comes first: positive vectors read better
    return [(i, j, (-n[0], -n[1], -n[2])) for _, i, j, n in sorted(found)]


def _nearest_distance(sites: NDArray[np.float64], ions: int, cell: NDArray[np.float64]) -> float:
    reach = float(np.linalg.norm(cell, axis=1).min()) * 1.001
    i, j, n = _neighbours(sites, ions, cell, reach)[0]
    return float(np.linalg.norm((sites[j] + n - sites[i]) @ cell))


def _passed(atoms: Atoms, sites: NDArray[np.float64], origin: NDArray[np.float64], vector: NDArray[np.float64]) -> bool:
    """Whether the straight line leads over an atom or another site."""
    cell = atoms.cell.array
    others = np.concatenate([atoms.get_scaled_positions(), sites])
    length = float(np.linalg.norm(vector))
    # everything near the line, seen from its middle
    copies = periodic_copies(others - (origin + vector / 2) @ np.linalg.inv(cell), cell, length / 2 + PASSING_A)
    near = copies.positions[np.linalg.norm(copies.positions, axis=1) < length / 2 + PASSING_A]
    along = near @ vector / length
    off = np.linalg.norm(near - np.outer(along, vector / length), axis=1)
    # not the ends themselves
    return bool(np.any((off < PASSING_A) & (np.abs(along) < length / 2 - 0.1)))


def _labels(image: NDArray[np.int64], ions: int, mobile: str) -> list[str]:
    """Names of the sites, equal for those that symmetry maps on each other."""
    kinds = image.min(axis=0)
    labels = [""] * image.shape[1]
    for name, part in ((mobile, range(ions)), ("empty", range(ions, image.shape[1]))):
        present = list(dict.fromkeys(int(kinds[s]) for s in part))
        for s in part:
            labels[s] = name if len(present) == 1 else f"{name}{present.index(int(kinds[s])) + 1}"
    return labels


def _with_unique_labels(hops: Sequence[Hop]) -> list[Hop]:
    """Tell hops of one length between the same kinds of site apart by a letter."""
    names = [hop.label for hop in hops]
    unique = []
    for index, hop in enumerate(hops):
        same = [k for k, name in enumerate(names) if name == hop.label]
        suffix = chr(ord("a") + same.index(index)) if len(same) > 1 else ""
        unique.append(replace(hop, label=hop.label + suffix))
    return unique


def _coordinates(place: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{x:.3f}" for x in place) + ")"


def _times(supercell: ArrayLike) -> str:
    return " x ".join(str(int(n)) for n in np.asarray(supercell))
