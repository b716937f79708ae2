"""Bond-valence sum of a mobile ion: how well a place in a crystal suits its charge.

The valence of a bond of length d between the ion and a counter-ion, and their sum (M. O'Keeffe and N. E. Brese, J. Am.
Chem. Soc. 113, 3226 (1991), doi 10.1021/ja00009a002):

    v = exp[(R - d) / b],   V = sum of v,
    R = r_i + r_j - r_i r_j (sqrt(c_i) - sqrt(c_j))^2 / (c_i r_i + c_j r_j)

with r and c of the elements from pymatgen's table of that paper. The mismatch |V - q| to the charge q of the ion is
small where ions sit and large in the bottlenecks between. It is a number in valence units, not an energy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from aiida_iontherm.physics.ions.charge_transport import FORMAL_CHARGES
from aiida_iontherm.physics.ions.periodic_points import checked_cell, periodic_copies

SOFTNESS_A = 0.37
"""b of the paper, for all pairs. pymatgen's own sums take 0.31 Angstrom with the same R."""

CUTOFF_A = 6.0
"""Bonds end here: at b = 0.37 Angstrom and R = 2.5 Angstrom one of this length counts 8e-5."""

SWITCH_A = 1.0
"""Over this length before the cutoff bonds fade out smoothly, so that the landscape has no steps."""

CLOSEST_A = 0.1
"""A point nearer to a counter-ion lies on it."""


@dataclass(frozen=True, kw_only=True)
class BondParameters:
    """What the valence sum of one ion needs.

    Attributes
    ----------
    ion
        Its symbol.
    charge
        Its formal charge, in e.
    lengths_A
        R by symbol of the counter-ion: the length of a bond of one valence unit, Angstrom.
    softness_A
        b, Angstrom.
    """

    ion: str
    charge: float
    lengths_A: Mapping[str, float]
    softness_A: float


@dataclass(frozen=True, kw_only=True)
class BondValenceProfile:
    """Bond valence along a path, in valence units throughout.

    Attributes
    ----------
    valences
        ``[n]`` sum V at each point.
    mismatch
        ``[n]`` |V - q|.
    charge
        q.
    forward, backward
        Largest mismatch on the path above that of its first and of its last point: the local barrier as far as bond
        valences tell. No energy.
    change
        Largest |V - V(start)|: how much the surroundings change for the ion. It does not suffer from radii that are
        off by some per cent, which may hide the bottleneck in the mismatch.
    highest
        Index of the point with the largest mismatch.
    """

    valences: NDArray[np.float64]
    mismatch: NDArray[np.float64]
    charge: float
    forward: float
    backward: float
    change: float
    highest: int


def formal_charges(symbols: Sequence[str], given: Mapping[str, float] | None = None) -> dict[str, float]:
    """Formal charge of each element of a compound: as given, else pymatgen's most likely ones that balance.

    Parameters
    ----------
    symbols
        Of all atoms of the cell.
    given
        Charges by element, in e; then those of all elements.

    Raises
    ------
    ValueError
        If one is missing, or none balance.
    """
    elements = list(dict.fromkeys(symbols))
    remedy = "give the charges yourself, e.g. Cu=1, I=-1"
    if given:
        missing = [element for element in elements if element not in given]
        if missing:
            raise ValueError(f"no charge is given for {', '.join(missing)}: give those of all elements")
        return {element: float(given[element]) for element in elements}
    known = {element: float(FORMAL_CHARGES[element]) for element in elements if element in FORMAL_CHARGES}
    if len(known) == len(elements) and sum(known[symbol] for symbol in symbols) == 0:
        return known
    from pymatgen.core import Composition

    composition = Composition({element: list(symbols).count(element) for element in elements}).reduced_composition
    guesses = composition.oxi_state_guesses()
    if not guesses or not any(guesses[0].values()):
        raise ValueError(f"there are no formal charges that balance in {composition.reduced_formula}: {remedy}")
    return {element: float(guesses[0][element]) for element in elements}


def bond_parameters(ion: str, charges: Mapping[str, float], softness_A: float = SOFTNESS_A) -> BondParameters:
    """Bond lengths R of an ion to the ions of opposite charge, from pymatgen's table.

    Parameters
    ----------
    ion
        Symbol of the mobile ion.
    charges
        Formal charge by element, in e, the ion included; see `formal_charges`.
    softness_A
        b, Angstrom.

    Raises
    ------
    ValueError
        If the ion has no charge or no counter-ion, or the table does not know a pair.
    """
    if not charges.get(ion):
        raise ValueError(f"{ion} has no formal charge here: bond valences are for ions, give its charge")
    if not softness_A > 0:
        raise ValueError(f"the softness b of a bond must be a positive length, not {softness_A} Angstrom")
    partners = [element for element, charge in charges.items() if charge * charges[ion] < 0]
    if not partners:
        raise ValueError(f"there is no ion of opposite charge to bind {ion}: check the charges")
    from pymatgen.analysis.bond_valence import BV_PARAMS, ELECTRONEG

    table = {element.symbol: (values["r"], values["c"]) for element, values in BV_PARAMS.items()}
    anions = {element.symbol for element in ELECTRONEG}
    lengths = {}
    for partner in partners:
        # the radii were fitted to pairs with an electronegative partner, and mean nothing for others
        if ion not in table or partner not in table or not {ion, partner} & anions:
            raise ValueError(f"there are no bond-valence parameters for {ion}-{partner} (O'Keeffe and Brese 1991)")
        (r1, c1), (r2, c2) = table[ion], table[partner]
        lengths[partner] = r1 + r2 - r1 * r2 * (c1**0.5 - c2**0.5) ** 2 / (c1 * r1 + c2 * r2)
    return BondParameters(ion=ion, charge=float(charges[ion]), lengths_A=lengths, softness_A=softness_A)


def bond_valence_sums(
    points: ArrayLike,
    positions: ArrayLike,
    symbols: Sequence[str],
    cell: ArrayLike,
    parameters: BondParameters,
    cutoff_A: float = CUTOFF_A,
) -> NDArray[np.float64]:
    """Sum of the valences of all bonds that the ion would have at each point ``[n]``, in valence units.

    All periodic copies of the counter-ions within the cutoff count, so the cell may be as small as it likes. A path, a
    line or a grid of points gives the landscape.

    Parameters
    ----------
    points
        ``[n, 3]`` Cartesian, Angstrom; anywhere, in the cell or not.
    positions, symbols
        ``[m, 3]`` Angstrom and ``[m]`` of the atoms of the crystal; those that are no counter-ions do not count.
    cell
        ``[3, 3]`` vectors as rows, Angstrom.
    parameters
        From `bond_parameters`.
    cutoff_A
        Longest bond, Angstrom; over the last Angstrom bonds fade out.

    Raises
    ------
    ValueError
        If there is no counter-ion, a point lies on one, or the cutoff is too short.
    """
    vectors = checked_cell(cell)
    places = np.atleast_2d(np.asarray(points, dtype=float))
    atoms = np.asarray(positions, dtype=float)
    if not cutoff_A > SWITCH_A + max(parameters.lengths_A.values()):
        raise ValueError(f"a cutoff of {cutoff_A:g} Angstrom leaves out bonds of {parameters.ion}: take {CUTOFF_A:g}")
    partner = np.array([parameters.lengths_A.get(symbol, np.nan) for symbol in symbols])
    chosen = np.flatnonzero(np.isfinite(partner))
    if not len(chosen):
        raise ValueError(f"the crystal holds no {' or '.join(parameters.lengths_A)} to bind {parameters.ion}")
    inverse = np.linalg.inv(vectors)
    copies = periodic_copies(atoms[chosen] @ inverse, vectors, cutoff_A)
    fractional = places @ inverse
    home = (fractional - np.floor(fractional)) @ vectors
    length = partner[chosen][copies.point]
    sums = np.zeros(len(home))
    for i, near in enumerate(cKDTree(copies.positions).query_ball_point(home, cutoff_A)):
        distances = np.linalg.norm(copies.positions[near] - home[i], axis=1)
        if len(near) and distances.min() < CLOSEST_A:
            symbol = symbols[chosen[copies.point[near[int(distances.argmin())]]]]
            raise ValueError(f"point {i} of the path lies on an atom of {symbol}: check the path")
        fade = np.clip((cutoff_A - distances) / SWITCH_A, 0, 1)
        valences = np.exp((length[near] - distances) / parameters.softness_A)
        sums[i] = np.sum(valences * fade**3 * (10 + fade * (6 * fade - 15)))
    return sums


def bond_valence_profile(valences: ArrayLike, charge: float) -> BondValenceProfile:
    """Mismatch and local barrier along a path.

    Parameters
    ----------
    valences
        ``[n]`` from `bond_valence_sums` along the path.
    charge
        Formal charge of the ion, in e; its sign does not matter.

    Raises
    ------
    ValueError
        With fewer than three points, or sums that are no numbers.
    """
    sums = np.asarray(valences, dtype=float)
    if sums.ndim != 1 or len(sums) < 3 or not np.all(np.isfinite(sums)):
        raise ValueError("a profile needs the valence sums of three points or more, all of them finite")
    mismatch = np.abs(sums - abs(charge))
    highest = int(np.argmax(mismatch))
    return BondValenceProfile(
        valences=sums,
        mismatch=mismatch,
        charge=abs(float(charge)),
        forward=float(mismatch[highest] - mismatch[0]),
        backward=float(mismatch[highest] - mismatch[-1]),
        change=float(np.abs(sums - sums[0]).max()),
        highest=highest,
    )
