"""Refuse force constants that do not belong to their cells, or are in other units than we take them for.

All checks cost next to nothing against what is computed from force constants afterwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.lattice.plausibility import BOND_STIFFNESS_EV
from aiida_iontherm.tasks.force_constant_files.clusters import ORDER_NAMES, Clusters
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.repetition import Repetition
from aiida_iontherm.tasks.force_constant_files.units import UNITS, factor

LARGEST_ASYMMETRY = 0.2
"""Of the largest element, Phi_ij against Phi_ji^T: noise in forces leaves some per cent, a wrong order of atoms one."""

LARGEST_DRIFT = {2: 0.05, 3: 0.2, 4: 0.2}
"""Sums over the last atom, of the largest element. Finite differences and cutoffs leave 0.001 to 0.02 at second order;
at 0.05 the acoustic modes at the zone centre have a fifth of the frequency of an atom on its site. Higher orders are
often cut off without sum rules, and only scatter."""

ANHARMONICITY_EV = {2: BOND_STIFFNESS_EV, 3: (10.0, 3000.0), 4: (50.0, 1e5)}
"""Force constants times distance of neighbours to the power of the order, eV: the mean over atoms and directions of
those of an atom with itself at second order, the largest element above. A Morse bond of exponent a and length d has
3 a d and 7 (a d)^2 times the second order, with a d of 3 to 5. Ry/bohr^order are 48.6, 91.8 and 173 times smaller;
mRy/bohr^order are 21, 11 and 6 times larger, which at third and fourth order stays within what crystals have."""


def check_force_constants(constants: ForceConstants, *, unit: str | None = None, sum_rules: bool = True) -> None:
    """Refuse force constants that cannot be those of their crystal.

    Parameters
    ----------
    constants
        In eV/Angstrom^order.
    unit
        Name it (any of `UNITS`) where it is certain, and magnitudes are not questioned.
    sum_rules
        Whether badly broken acoustic sum rules are refused.

    Raises
    ------
    ValueError
        Saying what is wrong: numbers that are not finite, an unsymmetric second order, an odd magnitude with the
        question which unit was meant, broken sum rules.
    """
    orders = {2: constants.second, 3: constants.third, 4: constants.fourth}
    given = {order: value for order, value in orders.items() if value is not None}
    for order, value in given.items():
        tensors = value.tensors if isinstance(value, Clusters) else value
        if not np.isfinite(tensors).all():
            count = int(np.count_nonzero(~np.isfinite(tensors)))
            raise ValueError(
                f"{ORDER_NAMES[order]}-order force constants hold {count} numbers that are not finite: the run or fit "
                "that made them failed"
            )
        if not np.any(tensors):
            raise ValueError(f"{ORDER_NAMES[order]}-order force constants are all zero: is the file complete?")
    if constants.second is not None:
        asymmetry = index_asymmetry(constants.second, constants.repetition)
        if asymmetry > LARGEST_ASYMMETRY:
            raise ValueError(
                f"force constants of atoms i, j and of j, i differ by {asymmetry:.0%} of the largest: they belong to "
                "another supercell, or to another order of its atoms"
            )
    if unit is None:
        distance = _nearest_neighbour(constants.repetition)
        for order, value in given.items():
            _ask_for_unit(order, _magnitude(value, constants.repetition) * distance**order)
    if sum_rules:
        for order, value in given.items():
            _check_drift(order, value)


def index_asymmetry(second: NDArray[np.float64], repetition: Repetition) -> float:
    """Largest |Phi_ij - Phi_ji^T| over the largest element, of a compact array [n, N, 3, 3]."""
    rows = np.arange(len(repetition.primitive))
    between = repetition.cells[None] - repetition.cells[repetition.p2s][:, None]  # [n, N, 3]
    partners = np.broadcast_to(repetition.atom_of, between.shape[:2])
    back = repetition.index(
        np.broadcast_to(rows[:, None], partners.shape), repetition.cells[repetition.p2s[partners]] - between
    )
    turned = second[partners, back].swapaxes(2, 3)
    return float(np.abs(second - turned).max() / np.abs(second).max())


def sum_rule_violation(value: NDArray[np.float64] | Clusters) -> float:
    """Largest sum over the last atom, zero by the acoustic sum rule, over the largest element."""
    if isinstance(value, Clusters):
        return value.sum_over_last() / value.largest()
    order = value.ndim // 2
    return float(np.abs(value.sum(axis=order - 1)).max() / np.abs(value).max())


def _check_drift(order: int, value: NDArray[np.float64] | Clusters) -> None:
    drift = sum_rule_violation(value)
    if drift > LARGEST_DRIFT[order]:
        raise ValueError(
            f"the acoustic sum rule of the {ORDER_NAMES[order]}-order force constants is broken by {drift:.0%} of the "
            "largest: impose it in the program that made them, or read with sum_rules=False if you know why"
        )


def _magnitude(value: NDArray[np.float64] | Clusters, repetition: Repetition) -> float:
    if isinstance(value, Clusters):
        return value.largest()
    if value.ndim == 4:
        on_site = value[np.arange(len(value)), repetition.p2s]
        return float(np.mean(np.trace(on_site, axis1=1, axis2=2)) / 3)
    return float(np.abs(value).max())


def _ask_for_unit(order: int, energy: float) -> None:
    low, high = ANHARMONICITY_EV[order]
    if low <= energy <= high:
        return
    others = [unit for unit in UNITS if unit != "eV/Angstrom" and low <= energy * factor(unit, order) <= high]
    # N/m and J/m^3 say the same of the unit of the file.
    question = f"are they in {' or '.join(f'{unit}^{order}' for unit in others)}?" if others else "what are they?"
    if energy <= 0:
        question = "is their sign turned, or do they belong to other cells?"
    raise ValueError(
        f"{ORDER_NAMES[order]}-order force constants times the distance of neighbours to the power {order} make "
        f"{energy:.3g} eV where crystals have {low:g} to {high:g}, if the file is in eV/Angstrom^{order}: {question} "
        'Say so with unit="..."'
    )


def _nearest_neighbour(repetition: Repetition) -> float:
    """Shortest distance between two atoms in Angstrom."""
    lattice = repetition.primitive.cell.array
    positions = repetition.primitive.positions
    steps = np.array(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij")).reshape(3, -1).T @ lattice
    between = (positions[None] - positions[:, None]) @ np.linalg.inv(lattice)
    between -= np.rint(between)
    distances = np.linalg.norm((between @ lattice)[:, :, None] + steps, axis=3)
    return float(distances[distances > 1e-3].min())
