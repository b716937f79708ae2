"""The starter compounds and the published values, read from the two YAML files beside this module."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

ROOM_TEMPERATURE_K = 298.0
# Two images of one site closer than this are the same atom; refined coordinates are good to about 0.001 Angstrom.
MERGE_DISTANCE_A = 0.02


class Tier(Enum):
    """How far a structure can be trusted, best first; ``sentence`` is what the user is told."""

    MEASURED = "measured"
    PBESOL_STABLE = "pbesol_stable"
    DFT_OTHER = "dft_other"
    PROTOTYPE = "prototype"
    FROM_MEMORY = "from_memory"

    @property
    def rank(self) -> int:
        """0 for the best tier."""
        return list(Tier).index(self)

    @property
    def sentence(self) -> str:
        """One sentence for the user."""
        return _TIER_SENTENCES[self]


_TIER_SENTENCES = {
    Tier.MEASURED: "Refined from diffraction: use the cell of the temperature you want.",
    Tier.PBESOL_STABLE: "Relaxed with PBEsol at 0 K, with harmonic phonons that are stable.",
    Tier.DFT_OTHER: "A calculated cell whose functional is not known or whose harmonic phonons are unstable: check it.",
    Tier.PROTOTYPE: "Cell and coordinates come from different places and were never relaxed together: relax first.",
    Tier.FROM_MEMORY: "Recalled from the literature and not looked up again: relax first, or bring your own file.",
}


@dataclass(frozen=True)
class Site:
    """One site of the asymmetric unit; ``position`` in fractional coordinates of the conventional cell."""

    label: str
    element: str
    position: tuple[float, float, float]
    occupancy: float


@dataclass(frozen=True, kw_only=True)
class Compound:
    """One entry of the table of compounds.

    Attributes
    ----------
    id, formula, family, phase
        Names of the entry; ``phase`` may be empty.
    mobile
        Elements that migrate, possibly none.
    space_group, hall_number
        Number of the space group, and of its setting as spglib counts them.
    lattice
        (a, b, c, alpha, beta, gamma) of the conventional cell in Angstrom and degrees.
    sites
        The asymmetric unit.
    tier, temperature_K, source, doi, url, note
        Where it comes from and how far to trust it; 0 K stands for a calculated cell.
    default
        Whether the formula alone means this entry, against the rule of `find`.
    """

    id: str
    formula: str
    family: str
    mobile: tuple[str, ...]
    space_group: int
    hall_number: int
    lattice: tuple[float, float, float, float, float, float]
    sites: tuple[Site, ...]
    tier: Tier
    temperature_K: float
    source: str
    phase: str = ""
    doi: str = ""
    url: str = ""
    note: str = ""
    default: bool = False

    @property
    def ordered(self) -> bool:
        """Whether every site is fully occupied by one element."""
        return all(site.occupancy > 0.999 for site in self.sites)

    @property
    def citation(self) -> str:
        """Source with its DOI or address."""
        return f"{self.source}, {self.doi or self.url}" if self.doi or self.url else self.source

    def cell(self) -> np.ndarray:
        """Return the [3, 3] conventional lattice vectors (rows, Angstrom): a along x, b in the xy plane."""
        from ase.geometry import cellpar_to_cell

        return np.asarray(cellpar_to_cell(self.lattice), dtype=float)

    def expanded_sites(self) -> list[tuple[Site, np.ndarray]]:
        """Return each site with the fractional positions [multiplicity, 3] of all its images in the cell."""
        import spglib

        symmetry = spglib.get_symmetry_from_database(self.hall_number)
        if symmetry is None:
            raise ValueError(f"{self.id}: {self.hall_number} is no Hall number (1-530)")
        rotations, translations = symmetry["rotations"], symmetry["translations"]
        cell = self.cell()
        return [(site, _orbit(np.array(site.position), rotations, translations, cell)) for site in self.sites]

    def to_atoms(self) -> Atoms:
        """Return the conventional cell as ``ase.Atoms``.

        Raises
        ------
        ValueError
            If sites are partly occupied: such a compound has no single cell before it is ordered.
        """
        from ase import Atoms

        if not self.ordered:
            partial = ", ".join(f"{s.label} {s.occupancy:.3g}" for s in self.sites if s.occupancy <= 0.999)
            raise ValueError(
                f"{self.id} has partial occupancy ({partial}): let an ordered cell be made with --order"
                " (ordering.ordered_cell in Python)"
            )
        expanded = self.expanded_sites()
        symbols = [site.element for site, positions in expanded for _ in positions]
        return Atoms(
            symbols,
            cell=self.cell(),
            scaled_positions=np.concatenate([positions for _, positions in expanded]),
            pbc=True,
        )

    def to_pymatgen(self) -> Structure:
        """Return the conventional cell as a pymatgen ``Structure``, with its partial occupancies."""
        from pymatgen.core import Lattice, Structure

        occupants: dict[tuple[float, float, float], dict[str, float]] = {}
        for site, positions in self.expanded_sites():
            for position in positions:
                # Species that share a site were given the same coordinates, so rounding finds them.
                key = tuple(np.round(position, 6) % 1.0)
                species = occupants.setdefault(key, {})
                species[site.element] = species.get(site.element, 0.0) + site.occupancy
        return Structure(Lattice(self.cell()), list(occupants.values()), list(occupants))


def _orbit(position: np.ndarray, rotations: np.ndarray, translations: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return all images of a position under the operations, each once, in [0, 1)."""
    images = rotations @ position + translations
    shifts = images - position
    shifts -= np.rint(shifts)
    # Averaging over the operations that keep the site puts 0.3333 on the 1/3 it stands for.
    fixed = np.linalg.norm(shifts @ cell, axis=1) < MERGE_DISTANCE_A
    exact = position + shifts[fixed].mean(axis=0)
    orbit: list[np.ndarray] = []
    for image in (rotations @ exact + translations) % 1.0:
        distances = np.array([other - image for other in orbit]).reshape(-1, 3)
        distances -= np.rint(distances)
        if not np.any(np.linalg.norm(distances @ cell, axis=1) < MERGE_DISTANCE_A):
            orbit.append(image)
    wrapped = np.array(orbit)
    wrapped[wrapped > 1 - 1e-9] = 0.0
    return wrapped


@dataclass(frozen=True, kw_only=True)
class PublishedValue:
    """One published number to compare a result with; joins on ``name`` and ``direction``.

    ``temperature_K`` is a number, a (low, high) range, or ``None`` where none belongs to the value.
    ``confidence`` is high, medium, low, or recalled (known from the cited work, not looked up again).
    """

    compound: str
    name: str
    direction: str | None
    label: str
    temperature_K: float | tuple[float, float] | None
    value: float
    unit: str
    uncertainty: float | None
    method: str
    citation: str
    confidence: str
    note: str = ""


def _read(name: str) -> list[dict[str, Any]]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # CSafeLoader is the compiled form of the safe loader: ten times faster, no object construction.
    return yaml.load(files(__package__).joinpath(name).read_text(encoding="utf-8"), Loader=loader)  # noqa: S506


@cache
def load_table() -> tuple[Compound, ...]:
    """Return all entries of the table of compounds, in the order of the file."""
    return tuple(
        Compound(
            **entry
            | {
                "mobile": tuple(entry["mobile"]),
                "lattice": tuple(float(number) for number in entry["lattice"]),
                "sites": tuple(Site(s[0], s[1], (float(s[2]), float(s[3]), float(s[4])), s[5]) for s in entry["sites"]),
                "tier": Tier(entry["tier"]),
                "temperature_K": float(entry["temperature_K"]),
            }
        )
        for entry in _read("compounds.yaml")
    )


@cache
def _load_published() -> tuple[PublishedValue, ...]:
    values = []
    for entry in _read("published.yaml"):
        temperature = entry["temperature_K"]
        if isinstance(temperature, list):
            entry["temperature_K"] = (float(temperature[0]), float(temperature[1]))
        values.append(PublishedValue(**entry))
    return tuple(values)


def _elements(formula: str) -> frozenset[tuple[str, int]] | None:
    """Return the reduced composition of a plain formula such as CsCu2I3, or ``None`` if it is none."""
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    if not parts or "".join(symbol + number for symbol, number in parts) != formula:
        return None
    counts: dict[str, int] = {}
    for symbol, number in parts:
        counts[symbol] = counts.get(symbol, 0) + int(number or 1)
    divisor = math.gcd(*counts.values()) or 1
    return frozenset((symbol, count // divisor) for symbol, count in counts.items())


def _preference(compound: Compound) -> tuple[bool, bool, int, float]:
    """Sort key of the entries of one formula, best first.

    The entry marked as default; then ordered before partly occupied (it can be computed as it is); then the better
    tier; then the temperature nearest to room temperature.
    """
    return (
        not compound.default,
        not compound.ordered,
        compound.tier.rank,
        abs(compound.temperature_K - ROOM_TEMPERATURE_K),
    )


def entries(formula: str) -> list[Compound]:
    """Return all entries of a formula (order of the elements does not matter), the default one first."""
    wanted = _elements(formula)
    if wanted is None:
        return []
    return sorted((c for c in load_table() if _elements(c.formula) == wanted), key=_preference)


def find(query: str) -> Compound:
    """Return the entry with this id, or the default entry of this formula.

    Parameters
    ----------
    query
        An id of the table (case does not matter) or a formula; ``CsCu2I3`` and ``Cu2CsI3`` are the same.

    Returns
    -------
    Compound
        Where a formula has several entries: the one marked ``default``, else ordered ones first, then the best tier,
        then the one measured nearest to room temperature.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest ones.
    """
    for compound in load_table():
        if compound.id.lower() == query.lower():
            return compound
    matches = entries(query)
    if matches:
        return matches[0]
    raise ValueError(f"no compound {query!r} in the table{_did_you_mean(query)}")


def _did_you_mean(query: str) -> str:
    names = {name.lower(): name for c in load_table() for name in (c.id, c.formula)}
    near = [names[name] for name in difflib.get_close_matches(query.lower(), names, n=4, cutoff=0.5)]
    if near:
        return f"; the nearest are {', '.join(near)}"
    return f"; it holds {', '.join(sorted({c.formula for c in load_table()}))}"


def published(formula: str) -> list[PublishedValue]:
    """Return the published values of a compound; an empty list where the table has none."""
    wanted = _elements(formula)
    return [value for value in _load_published() if wanted is not None and _elements(value.compound) == wanted]
