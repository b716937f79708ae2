"""One ordered cell for a partly occupied structure: the arrangement of lowest Ewald energy.

The electrostatic energy of point charges q on fixed sites is q^T M q with a matrix M that depends on the sites alone
(P. P. Ewald, Ann. Phys. 369, 253 (1921)). M is computed once; annealing then swaps occupants of equivalent sites at
a cost of one row of M per trial. Enumerating all arrangements is hopeless beyond some twenty sites.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aiida_iontherm.materials.supercells import perpendicular_heights, primitive_basis

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

SYMPREC = 1e-3
# Occupancies this close to the refined ones are taken as reproduced; refinements are rarely better than 0.05.
OCCUPANCY_TOLERANCE = 0.05
# Ions closer than this share of the sum of their covalent radii are alternatives, not neighbours: Li on two halves of
# a split site (1.9 Angstrom apart), Ag on adjacent tetrahedra of alpha-AgI (1.8); real bonds lie above 0.9.
EXCLUSION = 0.77
OVERLAP_PENALTY_EV = 100.0
RESTARTS = 12
SWEEPS = 600
MAX_ROUNDINGS = 200_000


@dataclass(frozen=True, kw_only=True)
class OrderedCell:
    """An ordered cell and how it came about.

    Attributes
    ----------
    atoms
        The cell, on the Cartesian axes of the input.
    energy_eV
        Ewald energy of the point charges per cell; meaningful only against other arrangements of the same sites.
    charges
        Charge of each element, in units of e.
    occupancy_error
        Largest difference between an occupancy of the input and the one of this cell.
    notes
        Sentences for the user: cell, rounded occupancies, how often the lowest energy was found.
    """

    atoms: Atoms
    energy_eV: float
    charges: dict[str, float]
    occupancy_error: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Sites:
    """Sites of a candidate cell: ``kinds`` says which occupation a site has, ``orbits`` which are equivalent."""

    cell: np.ndarray
    positions: np.ndarray
    kinds: np.ndarray
    orbits: np.ndarray

    def repeated(self, repetitions: tuple[int, ...]) -> _Sites:
        """Return the sites of a diagonal supercell, one number of repetitions per lattice vector."""
        n = np.array(repetitions)
        shifts = np.array(list(itertools.product(*(range(k) for k in repetitions))))
        positions = ((self.positions[None, :, :] + shifts[:, None, :]) / n).reshape(-1, 3)
        return _Sites(
            self.cell * n[:, None], positions, np.tile(self.kinds, len(shifts)), np.tile(self.orbits, len(shifts))
        )


def ordered_cell(
    structure: Structure, *, max_atoms: int = 60, seed: int = 0, charges: Mapping[str, float] | None = None
) -> OrderedCell:
    """Choose one ordered cell for a partly occupied structure by its Ewald energy.

    The primitive cell is taken if whole atoms reproduce its occupancies to 0.05 and leave it neutral; otherwise the
    given cell and its diagonal repetitions are tried up to ``max_atoms``, and the smallest that does it, or failing
    that the closest one, is used. Numbers of atoms per orbit are rounded under charge neutrality.

    Parameters
    ----------
    structure
        pymatgen structure with partial occupancies.
    max_atoms
        Largest cell allowed.
    seed
        Seed of the annealing.
    charges
        Charge of each element, e.g. ``{"Li": 1, "S": -2}``; guessed from the oxidation states of the structure or
        of its composition where not given.

    Returns
    -------
    OrderedCell
        Ordered cell with notes.

    Raises
    ------
    ValueError
        If the charges cannot be guessed or do not balance, no cell up to ``max_atoms`` is neutral, or atoms cannot
        be placed without overlap.
    """
    occupations = _occupations(structure)
    charges = _charges(structure, charges)
    labels: list[tuple[tuple[str, float], ...]] = sorted(set(occupations))
    kinds = np.array([labels.index(occupation) + 1 for occupation in occupations])
    table = np.zeros((len(labels) + 1, len(charges)))
    elements = sorted(charges)
    for row, occupation in enumerate(labels, start=1):
        for element, share in occupation:
            table[row, elements.index(element)] = share
    charge_list = np.array([charges[element] for element in elements])

    sites, counts, error = _smallest_cell(structure, kinds, table, charge_list, max_atoms)
    occupants, energy, hits = _anneal(sites, table, counts, charge_list, elements, np.random.default_rng(seed))

    atoms = _atoms(sites, occupants, elements)
    notes = [
        f"ordered cell of {len(atoms)} atoms by lowest Ewald energy with charges "
        + ", ".join(f"{element} {charges[element]:+g}" for element in elements)
        + f"; the lowest energy was found in {hits} of {RESTARTS} annealing runs (seed {seed})"
        + (", so a slightly lower one may exist" if hits == 1 else "")
    ]
    notes += _rounding_notes(sites, table, counts, elements)
    return OrderedCell(atoms=atoms, energy_eV=energy, charges=dict(charges), occupancy_error=error, notes=tuple(notes))


def _occupations(structure: Structure) -> list[tuple[tuple[str, float], ...]]:
    """Return (element, share) pairs of each site, sorted and rounded so that equal sites compare equal."""
    occupations = []
    for site in structure:
        shares: dict[str, float] = {}
        for species, share in site.species.items():
            shares[species.symbol] = shares.get(species.symbol, 0.0) + share
        occupations.append(tuple(sorted((element, round(share, 5)) for element, share in shares.items())))
    return occupations


def _charges(structure: Structure, given: Mapping[str, float] | None) -> dict[str, float]:
    """Return the charge of each element: given, from the structure's own oxidation states, or guessed."""
    amounts = {str(e): float(n) for e, n in structure.composition.element_composition.items()}
    remedy = "give the charges yourself, e.g. charges={'Li': 1, 'S': -2}"
    if given is not None:
        missing = sorted(set(amounts) - set(given))
        if missing:
            raise ValueError(f"no charge given for {', '.join(missing)}: {remedy}")
        return {element: float(given[element]) for element in amounts}
    stated: dict[str, set[float]] = {element: set() for element in amounts}
    for species in structure.composition:
        stated[species.symbol].add(getattr(species, "oxi_state", None) or 0.0)
    if all(len(states) == 1 and 0.0 not in states for states in stated.values()):
        return {element: states.pop() for element, states in stated.items()}

    from pymatgen.core import Composition

    # Occupancies such as 0.3906 give 24.02 atoms a cell; the guess needs the whole numbers they stand for.
    multiple = next(
        (k for k in range(1, 25) if all(abs(n * k - round(n * k)) < 0.01 * n * k for n in amounts.values())), 24
    )
    whole = Composition({element: max(1, round(n * multiple)) for element, n in amounts.items()})
    guesses = whole.reduced_composition.oxi_state_guesses()
    if not guesses:
        raise ValueError(f"cannot guess charges that balance in {whole.reduced_formula}: {remedy}")
    guess = {element: float(charge) for element, charge in guesses[0].items()}
    if not any(guess.values()):
        raise ValueError(f"{whole.reduced_formula} is not an ionic compound with known charges: {remedy}")
    return guess


def _orbits(cell: np.ndarray, positions: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return for each site the index of the crystallographic orbit it belongs to."""
    import spglib

    dataset = spglib.get_symmetry_dataset((cell, positions, kinds), symprec=SYMPREC)
    if dataset is None:
        raise ValueError("spglib cannot analyse the partly occupied structure: look for sites on top of each other")
    return np.asarray(dataset.crystallographic_orbits)


def _smallest_cell(
    structure: Structure, kinds: np.ndarray, table: np.ndarray, charges: np.ndarray, max_atoms: int
) -> tuple[_Sites, np.ndarray, float]:
    """Return the sites, the whole numbers [orbit, element] and the occupancy error of the cell to use."""
    cell, positions = np.array(structure.lattice.matrix), np.array(structure.frac_coords)
    given = _Sites(cell, positions, kinds, _orbits(cell, positions, kinds))
    basis = primitive_basis(cell, positions, kinds, SYMPREC)
    primitive = _Sites(*basis, _orbits(*basis))

    def size(sites: _Sites) -> float:
        return float(table[sites.kinds].sum())

    reach = max(1, int((max_atoms + 0.5) / size(given)))
    repetitions = [n for n in itertools.product(range(1, reach + 1), repeat=3) if np.prod(n) <= reach]
    # Of two cells of one size the rounder comes first.
    repetitions.sort(key=lambda n: (np.prod(n), -perpendicular_heights(cell * np.array(n)[:, None]).min()))
    best: tuple[_Sites, np.ndarray, float] | None = None
    for candidate in itertools.chain([primitive], (given.repeated(n) for n in repetitions)):
        if size(candidate) > max_atoms + 0.5:
            continue
        rounded = _round_occupations(candidate, table, charges)
        if rounded is None:
            continue
        counts, error = rounded
        if best is None or error < best[2] - 1e-9:
            best = (candidate, counts, error)
        if error <= OCCUPANCY_TOLERANCE:
            break
    if best is None:
        raise ValueError(
            f"no charge-neutral cell of whole atoms with up to {max_atoms} atoms"
            f" (the primitive cell holds {size(primitive):.3g}): allow more atoms, or check the charges"
        )
    return best


def _ideal_counts(sites: _Sites, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the fractional numbers [orbit, element] and the multiplicity [orbit] of each orbit."""
    _, first, multiplicities = np.unique(sites.orbits, return_index=True, return_counts=True)
    return table[sites.kinds[first]] * multiplicities[:, None], multiplicities


def _round_occupations(sites: _Sites, table: np.ndarray, charges: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Return whole numbers [orbit, element] that leave the cell neutral, nearest to the occupancies, or ``None``."""
    ideal, multiplicities = _ideal_counts(sites, table)
    full = ideal.sum(axis=1) > 0.995 * multiplicities
    base = np.rint(ideal)
    fractional = np.argwhere(np.abs(ideal - base) > 1e-3)
    for spread in (0, 1):
        options = []
        for orbit, element in fractional:
            low = int(np.floor(ideal[orbit, element])) - spread
            span = range(max(0, low), min(int(multiplicities[orbit]), low + 1 + 2 * spread) + 1)
            options.append(list(span))
        if np.prod([len(option) for option in options], dtype=float) > MAX_ROUNDINGS:
            return None
        best, best_misfit = None, np.inf
        for choice in itertools.product(*options):
            counts = base.copy()
            counts[tuple(fractional.T)] = choice
            sums = counts.sum(axis=1)
            if np.any(sums > multiplicities) or np.any(sums[full] != multiplicities[full]):
                continue
            if abs((counts @ charges).sum()) > 0.01:
                continue
            misfit = float((((counts - ideal) ** 2).sum(axis=1) / multiplicities).sum())
            if misfit < best_misfit - 1e-12:
                best, best_misfit = counts, misfit
        if best is not None:
            error = float(np.abs((best - ideal) / multiplicities[:, None]).max())
            return best.astype(int), error
    return None


def _rounding_notes(sites: _Sites, table: np.ndarray, counts: np.ndarray, elements: list[str]) -> list[str]:
    """Return one sentence per orbit whose occupancy had to be changed."""
    ideal, multiplicities = _ideal_counts(sites, table)
    notes = []
    for orbit, element in np.argwhere(np.abs(counts - ideal) > 0.01 * multiplicities[:, None]):
        places, wanted, taken = multiplicities[orbit], ideal[orbit, element], counts[orbit, element]
        notes.append(
            f"{elements[element]} on an orbit of {places}: occupancy {wanted / places:.3f} taken as {taken}/{places}"
        )
    return notes


def _ewald_matrix(cell: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return M [n, n] in eV with energy q^T M q for neutral charges q on these sites."""
    from pymatgen.analysis.ewald import EwaldSummation
    from pymatgen.core import Structure

    # Unit charges on every site make the pair terms the geometry alone.
    unit = Structure(cell, ["H+"] * len(positions), positions)
    return np.asarray(EwaldSummation(unit).total_energy_matrix)


def _exclusions(sites: _Sites, table: np.ndarray, elements: list[str]) -> np.ndarray:
    """Return [n, n] booleans: pairs of sites too close to be occupied together, of which at least one has a choice."""
    from ase.data import atomic_numbers, covalent_radii
    from ase.geometry import get_distances

    radii = np.array([covalent_radii[atomic_numbers[element]] for element in elements])
    site_radii = np.where(table > 0, radii, 0.0).max(axis=1)[sites.kinds]
    vacant = table.sum(axis=1)[sites.kinds] < 0.995
    distances = get_distances(sites.positions @ sites.cell, cell=sites.cell, pbc=True)[1]
    close = distances < EXCLUSION * (site_radii[:, None] + site_radii[None, :])
    np.fill_diagonal(close, False)
    return close & (vacant[:, None] | vacant[None, :])


def _anneal(
    sites: _Sites,
    table: np.ndarray,
    counts: np.ndarray,
    charges: np.ndarray,
    elements: list[str],
    rng: np.random.Generator,
) -> tuple[np.ndarray, float, int]:
    """Return the occupant of each site (index of the element, -1 vacant), the energy, and how many runs found it."""
    matrix = _ewald_matrix(sites.cell, sites.positions)
    excluded = _exclusions(sites, table, elements)
    names = np.unique(sites.orbits)
    members = [np.flatnonzero(sites.orbits == name) for name in names]
    # The penalty is quadratic in the occupation as the energy is in the charges; half, as each pair counts twice.
    penalty = 0.5 * OVERLAP_PENALTY_EV * excluded
    charge_of = np.append(charges, 0.0)

    best: tuple[float, np.ndarray] | None = None
    energies = []
    for _ in range(RESTARTS):
        occupants = np.full(len(sites.positions), -1)
        for orbit, where in enumerate(members):
            filling = np.repeat(np.arange(len(elements)), counts[orbit])
            occupants[rng.permutation(where)[: len(filling)]] = filling
        mixed = [where for where in members if len(set(occupants[where])) > 1]
        state = _State(matrix, penalty, occupants, charge_of)
        if mixed:
            _run(state, mixed, rng)
        energies.append(state.energy)
        if best is None or state.energy < best[0]:
            best = (state.energy, state.occupants.copy())
        if not mixed:
            energies *= RESTARTS
            break
    assert best is not None  # noqa: S101  RESTARTS is positive
    energy, occupants = best
    filled = (occupants >= 0).astype(float)
    if filled @ excluded @ filled > 0:
        raise ValueError(
            "no arrangement found without overlapping atoms: the occupancies ask for more atoms than their split sites"
            " can hold in this cell; allow a larger cell"
        )
    hits = int(np.sum(np.array(energies) < energy + 1e-3))
    return occupants, energy, hits


class _State:
    """An arrangement with its energy and the fields that make a swap cheap."""

    def __init__(self, matrix: np.ndarray, penalty: np.ndarray, occupants: np.ndarray, charge_of: np.ndarray) -> None:
        self.matrix, self.penalty, self.charge_of = matrix, penalty, charge_of
        self.occupants = occupants
        self.charge = charge_of[occupants]
        self.filled = (occupants >= 0).astype(float)
        self.potential = matrix @ self.charge
        self.crowding = penalty @ self.filled

    @property
    def energy(self) -> float:
        return float(self.charge @ self.potential + self.filled @ self.crowding)

    def cost(self, i: np.ndarray | int, j: np.ndarray | int) -> np.ndarray:
        """Return the energy of exchanging the occupants of sites i and j (arrays for many pairs)."""
        m, p = self.matrix, self.penalty
        dq = self.charge[j] - self.charge[i]
        df = self.filled[j] - self.filled[i]
        return (
            2 * dq * (self.potential[i] - self.potential[j])
            + dq**2 * (m[i, i] + m[j, j] - 2 * m[i, j])
            + 2 * df * (self.crowding[i] - self.crowding[j])
            - 2 * df**2 * p[i, j]
        )

    def swap(self, i: int, j: int) -> None:
        """Exchange the occupants of sites i and j."""
        dq, df = self.charge[j] - self.charge[i], self.filled[j] - self.filled[i]
        self.potential += dq * (self.matrix[i] - self.matrix[j])
        self.crowding += df * (self.penalty[i] - self.penalty[j])
        for array in (self.occupants, self.charge, self.filled):
            array[i], array[j] = array[j], array[i]


def _run(state: _State, mixed: list[np.ndarray], rng: np.random.Generator) -> None:
    """Anneal one arrangement by swaps within orbits, then follow the best swap downhill to a minimum."""
    pairs = np.concatenate([np.array(list(itertools.combinations(where, 2))) for where in mixed])
    first, second = pairs.T
    scale = np.abs(state.cost(first, second))
    scale = scale[(scale > 1e-6) & (scale < OVERLAP_PENALTY_EV)]
    if len(scale):
        steps = SWEEPS * sum(len(where) for where in mixed)
        # From a third of a typical swap, where all arrangements are reached, to where only downhill swaps are left;
        # measured on the Li6PS5X cells, whose 52 atoms then reach one energy in most runs.
        start = np.median(scale) / 3
        temperatures = np.geomspace(start, min(0.05, start / 10), steps)
        chosen = rng.integers(len(pairs), size=steps)
        thresholds = -np.log(rng.random(steps)) * temperatures
        for pair, threshold in zip(chosen, thresholds, strict=True):
            i, j = int(first[pair]), int(second[pair])
            if state.occupants[i] != state.occupants[j] and state.cost(i, j) < threshold:
                state.swap(i, j)
    while True:
        costs = state.cost(first, second)
        lowest = int(np.argmin(costs))
        if costs[lowest] > -1e-6:
            return
        state.swap(int(first[lowest]), int(second[lowest]))


def _atoms(sites: _Sites, occupants: np.ndarray, elements: list[str]) -> Atoms:
    """Return the occupied sites, grouped by element."""
    from ase import Atoms

    order = [i for i in np.argsort(occupants, kind="stable") if occupants[i] >= 0]
    symbols = [elements[occupants[i]] for i in order]
    return Atoms(symbols, cell=sites.cell, scaled_positions=sites.positions[order] % 1.0, pbc=True)
