"""Rigid groups of atoms in molecular dynamics with the integrators of ASE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixConstraint
from ase.geometry import find_mic
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr

RIGID = 1e-3
"""Smallest singular value of the independent distances, relative to the largest: below it a group is flat or straight,
and distances do not hold it to first order. A regular tetrahedron with its centre has 0.2."""

TOLERANCE = 1e-12
"""Relative, of squared distances: rounding of coordinates, so that thousands of steps add up to no more."""

SAME_IMAGE = 1e-3
"""Relative, of squared distances: those of other images differ by more, those of the right ones by rounding."""

MAX_ITERATIONS = 50
"""Newton's method needs three or four; beyond this the step is too long."""


class _Stack:
    """Groups of one size, with indices of their atoms, held pairs and lengths."""

    def __init__(self, members: NDArray[np.int64], pairs: NDArray[np.int64], lengths: NDArray[np.float64]) -> None:
        self.members, self.lengths = members, lengths
        # +1 and -1 where a pair has its atoms: [groups, pairs, atoms]
        self.signs = np.zeros((*pairs.shape[:2], members.shape[1]))
        np.put_along_axis(self.signs, pairs[..., :1], 1.0, axis=2)
        np.put_along_axis(self.signs, pairs[..., 1:], -1.0, axis=2)
        self._images = np.zeros((*pairs.shape[:2], 3))

    def bonds(self, atoms: Atoms) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Vectors of the held pairs ``[groups, k, 3]``, and what the cell adds to the differences of positions."""
        cell = atoms.cell.complete().array
        plain = self.signs @ atoms.positions[self.members]
        shift = self._images @ cell
        # as long as nobody wraps the atoms the images stay as they were, and looking for them takes most of the time
        squares = np.sum((plain + shift) ** 2, axis=2)
        if np.abs(squares - self.lengths**2).max() > SAME_IMAGE * self.lengths.min() ** 2:
            nearest = find_mic(plain.reshape(-1, 3), atoms.cell, atoms.pbc)[0].reshape(plain.shape)
            self._images = np.rint((nearest - plain) @ np.linalg.inv(cell))
            shift = self._images @ cell
        # always this sum, whichever way the images were found: a run that is continued has the same bits
        return plain + shift, shift


class RigidGroups(FixConstraint):
    """Holds the shape of groups of atoms; they move and turn as rigid bodies.

    Positions after a step r' = r'_0 + M^-1 sum_k lambda_k grad sigma_k(r), with sigma_k = |r_a - r_b|^2 - d_k^2 and the
    gradients before the step, fulfil sigma_k(r') = 0 (SHAKE, J.-P. Ryckaert, G. Ciccotti, H. Berendsen, J. Comput.
    Phys. 23, 327 (1977)); momenta fulfil d sigma_k/dt = 0 (RATTLE, H. Andersen, J. Comput. Phys. 52, 24 (1983)).
    Velocity Verlet stays symplectic and reversible with them. The multipliers of a group are found together, by
    Newton's method, and all groups of a size at once; `ase.constraints.FixBondLengths` goes bond by bond.

    A group of n atoms has n(n - 1)/2 distances, but only 3 n - 6 internal degrees of freedom. That many independent
    distances are held, and the others follow. Make it with `rigid_constraint`.

    Parameters
    ----------
    groups
        Indices of the atoms of each group.
    pairs
        ``[k, 2]`` held pairs of each group, as positions in it.
    lengths
        ``[k]`` their distances, Angstrom.
    """

    def __init__(self, groups: Sequence[ArrayLike], pairs: Sequence[ArrayLike], lengths: Sequence[ArrayLike]) -> None:
        self.groups = [np.asarray(group, dtype=np.int64) for group in groups]
        self.pairs = [np.asarray(pair, dtype=np.int64) for pair in pairs]
        self.lengths = [np.asarray(length, dtype=float) for length in lengths]
        self.constraint_forces: NDArray[np.float64] | None = None
        # groups of one size are solved as one stack
        kinds: dict[tuple[int, int], list[int]] = {}
        for index, (group, pair) in enumerate(zip(self.groups, self.pairs, strict=True)):
            kinds.setdefault((len(group), len(pair)), []).append(index)
        self._stacks = [
            _Stack(
                np.array([self.groups[i] for i in members]),
                np.array([self.pairs[i] for i in members]),
                np.array([self.lengths[i] for i in members]),
            )
            for members in kinds.values()
        ]

    @property
    def removed_degrees(self) -> int:
        """Number of degrees of freedom that are held: 3 n - 6 of each group of n atoms."""
        return sum(len(pair) for pair in self.pairs)

    def get_removed_dof(self, _atoms: Atoms) -> int:
        """Return `removed_degrees`, for the temperature ASE computes."""
        return self.removed_degrees

    def adjust_positions(self, atoms: Atoms, newpositions: NDArray[np.float64]) -> None:
        """Shift new positions so that every held distance is what it was.

        Raises
        ------
        ValueError
            If there is no such shift along the old bonds: the step is too long.
        """
        for stack in self._stacks:
            old, shift = stack.bonds(atoms)
            weights = 1 / atoms.get_masses()[stack.members]
            # M^-1 grad sigma, without the factor 2: [groups, pairs, atoms, 3]
            push = stack.signs[..., None] * old[:, :, None] * weights[:, None, :, None]
            pushed = np.einsum("gkn,glna->gkla", stack.signs, push)
            squares = stack.lengths**2
            moved = newpositions[stack.members]
            for _ in range(MAX_ITERATIONS):
                bonds = stack.signs @ moved + shift
                excess = np.sum(bonds**2, axis=2) - squares
                if np.abs(excess).max() <= TOLERANCE * squares.max():
                    break
                change = 2 * np.einsum("gka,gkla->gkl", bonds, pushed)
                try:
                    steps = np.linalg.solve(change, -excess[..., None])[..., 0]
                except np.linalg.LinAlgError:
                    steps = np.full_like(excess, np.nan)
                moved = moved + np.einsum("gl,glna->gna", steps, push)
            else:
                raise ValueError("rigid groups could not be held in a step of dynamics: use a shorter time step")
            newpositions[stack.members] = moved

    def adjust_momenta(self, atoms: Atoms, momenta: NDArray[np.float64]) -> None:
        """Take out of momenta what would change a held distance."""
        for stack in self._stacks:
            bonds, _ = stack.bonds(atoms)
            weights = 1 / atoms.get_masses()[stack.members]
            gradient = stack.signs[..., None] * bonds[:, :, None]
            flat = gradient.reshape(*bonds.shape[:2], -1)
            push = (gradient * weights[:, None, :, None]).reshape(flat.shape)
            inside = momenta[stack.members].reshape(len(flat), -1, 1)
            multipliers = np.linalg.solve(push @ flat.transpose(0, 2, 1), push @ inside)
            momenta[stack.members] -= (flat.transpose(0, 2, 1) @ multipliers).reshape(len(flat), -1, 3)

    def adjust_forces(self, atoms: Atoms, forces: NDArray[np.float64]) -> None:
        """Take out of forces what would change a held distance; what was taken is in ``constraint_forces``."""
        before = forces.copy()
        self.adjust_momenta(atoms, forces)
        self.constraint_forces = forces - before

    def get_indices(self) -> NDArray[np.int64]:
        """Return the atoms in groups."""
        return np.unique(np.concatenate(self.groups))

    def todict(self) -> dict[str, Any]:
        """Return a dictionary from which the constraint can be made again; ASE's own readers do not know it."""
        return {
            "name": "RigidGroups",
            "kwargs": {
                "groups": [group.tolist() for group in self.groups],
                "pairs": [pair.tolist() for pair in self.pairs],
                "lengths": [length.tolist() for length in self.lengths],
            },
        }


def rigid_constraint(atoms: Atoms, groups: Sequence[ArrayLike]) -> RigidGroups:
    """Make groups of atoms rigid in the shapes they have.

    Use it with ``atoms.set_constraint`` before momenta are set; `RigidGroups.removed_degrees` is what the temperature
    must know of. With `ase.constraints.FixCom` put both in a list: they do not disturb each other.

    Parameters
    ----------
    atoms
        Positions, masses and cell. A group may cross the boundary of the cell; it must be smaller than half of it.
    groups
        Indices of the atoms of each group, three at least, e.g. `Polyanion.molecule`.

    Raises
    ------
    ValueError
        If there are no groups, a group has fewer than three atoms, is flat or straight (a triangle is not flat in this
        sense), or too large for the cell, or an atom is in two groups or in none of the structure.
    """
    members = [np.asarray(group, dtype=np.int64) for group in groups]
    if not members:
        raise ValueError("there are no groups to make rigid: find polyanions first, or leave the constraint out")
    everyone = np.concatenate(members)
    if everyone.min() < 0 or everyone.max() >= len(atoms):
        raise ValueError(f"a group names an atom that is none of the {len(atoms)} of the structure")
    if len(np.unique(everyone)) < len(everyone):
        raise ValueError("an atom is in two rigid groups, or twice in one: join groups that share atoms")
    pairs, lengths = [], []
    for group in members:
        independent, distances = _independent(atoms, group)
        pairs.append(independent)
        lengths.append(distances)
    return RigidGroups(members, pairs, lengths)


def _independent(atoms: Atoms, group: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose as many independent distances as a group has internal degrees of freedom."""
    n = len(group)
    if n < 3:
        raise ValueError(f"a rigid group needs three atoms or more, not {n}: fix a bond length instead")
    positions = atoms.positions[group]
    connected = positions[0] + find_mic(positions - positions[0], atoms.cell, atoms.pbc)[0]
    first, second = np.triu_indices(n, 1)
    bonds = connected[first] - connected[second]
    # the nearest images of two atoms of a group must be those within the group
    if not np.allclose(find_mic(bonds, atoms.cell, atoms.pbc)[0], bonds, atol=1e-6):
        raise ValueError("a rigid group is larger than half of the cell: repeat the cell")
    pairs = np.stack([first, second], axis=1)
    matrix = np.zeros((len(pairs), n, 3))
    rows = np.arange(len(pairs))
    units = bonds / np.linalg.norm(bonds, axis=1, keepdims=True)
    matrix[rows, first], matrix[rows, second] = units, -units
    # columns in the order in which they add most to what is held
    _, triangle, order = qr(matrix.reshape(len(pairs), -1).T, mode="economic", pivoting=True)
    degrees = 3 * n - 6
    diagonal = np.abs(np.diag(triangle))
    if len(diagonal) < degrees or diagonal[degrees - 1] < RIGID * diagonal[0]:
        raise ValueError(
            f"a group of {n} atoms ({', '.join(atoms.symbols[group])}) is flat or straight: distances do not hold it, "
            "freeze it instead"
        )
    chosen = np.sort(order[:degrees])
    return pairs[chosen], np.linalg.norm(bonds[chosen], axis=1)
