"""Avoided crossings along a path: where two branches come close, repel, and exchange their characters.

Two branches that couple follow [[f_1(q), c], [c, f_2(q)]] near the crossing of f_1 and f_2: the gap has a minimum of
2 c there, and the lower branch leaves with the eigenvector the upper one came with. Between acoustic branches and low
optical ones this is the signature of rattlers (Christensen et al., Nat. Mater. 7, 811 (2008)) and of the Cu modes of
Cu7PS6 (Shen et al., where it is read off the dispersion by eye).

The search:

1. Bands are joined to branches by the overlap of eigenvectors at neighbouring points, so that branches of other
   symmetry may pass in between. Where two branches swap order from one point to the next, or eigenvectors change much,
   points are put in between, until the gap is seen to close or to stay open.
2. For each pair of branches, each local minimum of the gap is one candidate.
3. It is an avoided crossing if the two branches change into each other. With O_ab the overlap of branch a on one side
   with b on the other: O_ab and O_ba are both above a quarter, and O_ab O_ba > O_aa O_bb, between the two points near
   the minimum that show it best. Branches that only come close keep their characters (O_ab = 0); two that exchange
   them with a third one, one after the other, do not get those of each other (O_ba = 0). Where optical branches are
   dense, others take part, and the overlaps stay below one.

One guest as heavy as the rest of its cell, or heavier, is not found: the acoustic branches are its own motion from
Gamma on, and do not change their character where the gap is smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from scipy.optimize import linear_sum_assignment, minimize_scalar

Solver = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.complex128]]]
"""Takes a q-point [3], returns frequencies [s], ascending, in THz and eigenvectors [d, s]."""

_FINEST = 2.0**-10
"""Of a step of the path: where branches that swap order are not followed any further."""

_LEAST_EXCHANGE = 0.25
"""Overlap below which a third branch has more part in what happens than the two."""


@dataclass(frozen=True)
class AvoidedCrossing:
    """One avoided crossing of two branches.

    Attributes
    ----------
    qpoint
        Where the gap is smallest, fractional coordinates [3].
    bands
        Numbers of the lower and the upper band from zero, counted by frequency at `qpoint`. Of degenerate bands those
        next to the gap; bands of other symmetry may lie between the two.
    frequency_thz
        Middle of the gap.
    gap_thz
        The smallest gap; the coupling of the two branches is half of it.
    exchange
        Overlap of each branch on one side with the other branch on the other side, the smaller of the two, from 0 to 1:
        near one for two branches alone, less where others take part.
    shoulders
        The points between which the characters are exchanged [2, 3], in the direction of the path.
    acoustic_shares
        Share of a rigid translation of the cell in the branch that comes in as the lower one and in the one that
        comes in as the upper one (at the first shoulder); ``None`` where the masses are not known.
    """

    qpoint: NDArray[np.float64]
    bands: tuple[int, int]
    frequency_thz: float
    gap_thz: float
    exchange: float
    shoulders: NDArray[np.float64]
    acoustic_shares: tuple[float, float] | None = None


def acoustic_optical_crossings(
    phonopy: Phonopy,
    paths: Sequence[ArrayLike],
    *,
    highest_thz: float | None = None,
    degeneracy_thz: float = 1e-3,
) -> list[AvoidedCrossing]:
    """Avoided crossings between an acoustic and an optical branch of a crystal.

    A branch counts as acoustic where at least half of its eigenvector is a rigid translation of the cell
    (`acoustic_share`). Near the edge of the zone no branch may be.

    Parameters
    ----------
    phonopy
        Object with force constants.
    paths
        Straight lines of q-points [Q, 3], fractional coordinates, fine enough to show the shape of the bands (some 50
        points from Gamma to the edge of the zone).
    highest_thz
        Look at bands up to this frequency only; ``None``: all.
    degeneracy_thz
        As in `avoided_crossings`.

    Returns
    -------
    list
        Sorted by path, then by position on it, then by frequency.
    """
    dynamical_matrix = phonopy.dynamical_matrix
    if dynamical_matrix is None:
        raise ValueError("the phonopy object has no force constants: produce or set them first")
    factor = phonopy.unit_conversion_factor

    def solve(q: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
        dynamical_matrix.run(q)
        values, vectors = np.linalg.eigh(np.asarray(dynamical_matrix.dynamical_matrix))
        return np.sign(values) * np.sqrt(np.abs(values)) * factor, vectors

    masses = np.array(phonopy.primitive.masses)
    found = [
        crossing
        for path in paths
        for crossing in avoided_crossings(
            solve, path, highest_thz=highest_thz, degeneracy_thz=degeneracy_thz, masses=masses
        )
    ]
    return [
        crossing
        for crossing in found
        if crossing.acoustic_shares and min(crossing.acoustic_shares) < 0.5 <= max(crossing.acoustic_shares)
    ]


def avoided_crossings(
    solve: Solver,
    path: ArrayLike,
    *,
    highest_thz: float | None = None,
    degeneracy_thz: float = 1e-3,
    masses: ArrayLike | None = None,
) -> list[AvoidedCrossing]:
    """All avoided crossings on one straight line of q-points.

    Parameters
    ----------
    solve
        Gives frequencies and eigenvectors at a point. Eigenvectors must be smooth along the path but for their phase
        (phonopy's dynamical matrix, with the positions of the atoms in the phase factors, is).
    path
        Fractional coordinates [Q, 3], at least three points.
    highest_thz
        Leave out gaps above this frequency.
    degeneracy_thz
        Smaller gaps count as closed, and modes closer than this as one degenerate set.
    masses
        Masses of the atoms [n], to tell acoustic branches; ``None`` for a model.

    Returns
    -------
    list
        Sorted by position on the path, then by frequency.
    """
    points = np.asarray(path, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 3:
        raise ValueError(f"the path has shape {points.shape}, need three or more q-points [Q, 3]")
    highest = np.inf if highest_thz is None else highest_thz
    nodes = _branches(solve, points, highest, degeneracy_thz)
    frequencies = np.array([node.frequencies for node in nodes])
    low = np.flatnonzero(frequencies.min(axis=0) <= highest)
    found: list[tuple[float, AvoidedCrossing]] = []
    for first, second in combinations(low.tolist(), 2):
        gap = np.abs(frequencies[:, first] - frequencies[:, second])
        for place in _minima(gap):
            node = nodes[place]
            pair = (first, second) if node.frequencies[first] < node.frequencies[second] else (second, first)
            sets = [node.degenerate(branch, degeneracy_thz) for branch in pair]
            # Of degenerate pairs one stands for all.
            if gap[place] <= degeneracy_thz or pair != (sets[0].min(), sets[1].min()):
                continue
            left, right, exchange = _exchange(nodes, gap, place, sets, degeneracy_thz)
            if not exchange:
                continue
            position, bands, edges = _narrowest(solve, points, nodes[place - 1 : place + 2], sets)
            if edges[1] - edges[0] <= degeneracy_thz or edges.mean() > highest:
                continue
            shares = None
            if masses is not None:
                lower, upper = acoustic_share(left.vectors, masses)[list(pair)]
                shares = (float(lower), float(upper))
            crossing = AvoidedCrossing(
                qpoint=_at(points, position),
                bands=bands,
                frequency_thz=float(edges.mean()),
                gap_thz=float(edges[1] - edges[0]),
                exchange=exchange,
                shoulders=np.array([_at(points, left.position), _at(points, right.position)]),
                acoustic_shares=shares,
            )
            found.append((position, crossing))
    return [crossing for _, crossing in sorted(found, key=lambda item: (item[0], item[1].frequency_thz))]


def acoustic_share(eigenvectors: ArrayLike, masses: ArrayLike) -> NDArray[np.float64]:
    """Share of a rigid translation of the cell in each mode [..., s], from 0 to 1.

    sum over axes a of |sum_i sqrt(m_i/M) e_i^a|^2 with M the mass of the cell: one for the acoustic modes at Gamma,
    zero for the optical ones there. Eigenvectors in the smooth phase convention, as everywhere here.

    Parameters
    ----------
    eigenvectors
        Eigenvectors of the dynamical matrix [..., 3n, s].
    masses
        Masses of the atoms [n].
    """
    vectors, amu = np.asarray(eigenvectors), np.asarray(masses, dtype=float)
    if vectors.ndim < 2 or vectors.shape[-2] != 3 * len(amu):
        raise ValueError(f"eigenvectors have shape {vectors.shape}, need [..., {3 * len(amu)}, s] for these masses")
    components = vectors.reshape(*vectors.shape[:-2], len(amu), 3, vectors.shape[-1])
    rigid = np.einsum("i,...ias->...as", np.sqrt(amu / amu.sum()), components)
    return np.sum(np.abs(rigid) ** 2, axis=-2)


@dataclass(frozen=True)
class _Node:
    """Solution at one point of the path, in the order of the branches."""

    position: float
    frequencies: NDArray[np.float64]
    vectors: NDArray[np.complex128]

    def degenerate(self, branch: int, tolerance_thz: float) -> NDArray[np.int64]:
        """Branches at the frequency of one of them, itself included."""
        return np.flatnonzero(np.abs(self.frequencies - self.frequencies[branch]) < tolerance_thz)

    def separate(self, branches: NDArray[np.int64], tolerance_thz: float) -> bool:
        """Whether these branches are degenerate with no other one, so that their eigenvectors are their own."""
        others = np.delete(self.frequencies, branches)
        return not np.any(np.abs(others[:, None] - self.frequencies[branches]) < tolerance_thz)

    def ordered(self, order: NDArray[np.int64]) -> _Node:
        return _Node(self.position, self.frequencies[order], self.vectors[:, order])


def _branches(solve: Solver, points: NDArray[np.float64], highest: float, tolerance_thz: float) -> list[_Node]:
    """Follow the branches along the path, with points in between where it takes them to tell who is who."""

    def node(position: float) -> _Node:
        return _Node(position, *solve(_at(points, position)))

    nodes = [node(0.0)]
    for end in range(1, len(points)):
        ahead = [node(float(end))]
        while ahead:
            last, following = nodes[-1], ahead[-1]
            _, order = linear_sum_assignment(-(np.abs(last.vectors.conj().T @ following.vectors) ** 2))
            joined = following.ordered(order)
            if following.position - last.position > _FINEST and not _clear(last, joined, highest, tolerance_thz):
                ahead.append(node((last.position + following.position) / 2))
            else:
                nodes.append(joined)
                ahead.pop()
    return nodes


def _clear(left: _Node, right: _Node, highest: float, tolerance_thz: float) -> bool:
    """Whether neighbouring points show the same branches: similar eigenvectors, and no two that swap order unseen."""
    low = np.flatnonzero(np.minimum(left.frequencies, right.frequencies) <= highest)
    before, after = (node.frequencies[low][:, None] - node.frequencies for node in (left, right))
    if np.any((before * after < 0) & (np.minimum(np.abs(before), np.abs(after)) > tolerance_thz)):
        return False
    # All overlaps at once; a branch has changed little if the degenerate sets around it hold each other.
    squares = np.abs(left.vectors.conj().T @ right.vectors) ** 2
    for branch in low.tolist():
        here, there = left.degenerate(branch, tolerance_thz), right.degenerate(branch, tolerance_thz)
        if squares[np.ix_(here, there)].sum() / min(len(here), len(there)) <= 0.5:
            return False
    return True


def _minima(gap: NDArray[np.float64]) -> NDArray[np.int64]:
    """Inner points where the gap is smallest; of equal neighbours the first."""
    return np.flatnonzero((gap[1:-1] < gap[:-2]) & (gap[1:-1] <= gap[2:])) + 1


def _exchange(
    nodes: Sequence[_Node],
    gap: NDArray[np.float64],
    place: int,
    sets: Sequence[NDArray[np.int64]],
    tolerance_thz: float,
) -> tuple[_Node, _Node, float]:
    """Points on either side of a minimum that show best how two sets exchange characters; zero where they do not."""
    together = np.concatenate(list(sets))
    sides = []
    for step in (-1, 1):
        # Points where a third branch meets the two (all the acoustic ones at Gamma) have no eigenvectors of their own.
        sides.append([nodes[i] for i in _rise(gap, place, step) if nodes[i].separate(together, tolerance_thz)])
    if not all(sides):
        return nodes[place], nodes[place], 0.0
    (a, b), (a_there, b_there) = (
        [np.array([node.vectors[:, branches] for node in side]) for branches in sets] for side in sides
    )
    swapped = np.minimum(_overlaps(a, b_there), _overlaps(b, a_there))
    kept = _overlaps(a, a_there) * _overlaps(b, b_there)
    exchange = np.where(_overlaps(a, b_there) * _overlaps(b, a_there) > kept, swapped, 0.0)
    left, right = np.unravel_index(np.argmax(exchange), exchange.shape)
    most = float(exchange[left, right])
    return sides[0][left], sides[1][right], most if most > _LEAST_EXCHANGE else 0.0


def _overlaps(here: NDArray[np.complex128], there: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Overlap of spaces [l, d, m] with spaces [r, d, n], from 0 to 1 where the larger holds the smaller [l, r]."""
    products = np.tensordot(here.conj(), there, axes=(1, 1))
    return np.sum(products.real**2 + products.imag**2, axis=(1, 3)) / min(here.shape[2], there.shape[2])


def _rise(gap: NDArray[np.float64], place: int, step: int) -> list[int]:
    """Points on one side of a minimum as far as the gap grows, up to four times the minimum."""
    points = [place]
    while 0 <= points[-1] + step < len(gap) and gap[points[-1] + step] >= gap[points[-1]]:
        points.append(points[-1] + step)
        if gap[points[-1]] >= 4 * gap[place]:
            break
    return points[1:]


def _narrowest(
    solve: Solver, points: NDArray[np.float64], around: Sequence[_Node], sets: Sequence[NDArray[np.int64]]
) -> tuple[float, tuple[int, int], NDArray[np.float64]]:
    """Where the gap between two sets of branches is smallest: position, bands next to the gap, their frequencies."""
    spanned = around[1].vectors[:, np.concatenate(list(sets))]
    below, both = len(sets[0]), spanned.shape[1]

    def next_to_gap(position: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        frequencies, vectors = solve(_at(points, position))
        # The two mix with each other but with nobody else: they are the bands that stay in the space they span.
        weight = np.sum(np.abs(spanned.conj().T @ vectors) ** 2, axis=0)
        bands = np.sort(np.argsort(weight)[-both:])[below - 1 : below + 1]
        return bands, frequencies[bands]

    start, width = around[0].position, around[2].position - around[0].position
    best = minimize_scalar(
        lambda share: np.ptp(next_to_gap(start + share * width)[1]),
        bounds=(0.0, 1.0),
        method="bounded",
        options={"xatol": 1e-5},
    )
    position = float(start + best.x * width)
    bands, edges = next_to_gap(position)
    return position, (int(bands[0]), int(bands[1])), edges


def _at(points: NDArray[np.float64], position: float) -> NDArray[np.float64]:
    """Point of the path at a position counted in steps."""
    before = min(int(position), len(points) - 2)
    return points[before] + (position - before) * (points[before + 1] - points[before])
