"""What the harmonic crystal says, in one record: stability, sound, limits, heat capacity, who moves where.

No number comes without a verdict. Where imaginary modes or broken sum rules make one worthless it is ``None``, and the
record says why. Imaginary optical modes spoil the sound velocities as well, of which how atoms give way inside a
strained cell is a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from ase.formula import Formula
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

from aiida_iontherm.physics.heat.capacity import debye_temperature, debye_wavevector, heat_capacity
from aiida_iontherm.physics.heat.limits import cahill_limit, diffuson_conductivity, diffuson_limit
from aiida_iontherm.physics.lattice.crossings import AvoidedCrossing, acoustic_optical_crossings, acoustic_share
from aiida_iontherm.physics.lattice.displacements import displacements
from aiida_iontherm.physics.lattice.dynamical_matrix import DynamicalMatrices
from aiida_iontherm.physics.lattice.long_waves import SoundVelocities, sound_velocities
from aiida_iontherm.physics.lattice.modes import average_atom_frequency, participation_ratio
from aiida_iontherm.physics.lattice.phonons import Phonons, imaginary_weight
from aiida_iontherm.physics.lattice.sites import equivalent_sites
from aiida_iontherm.physics.units import AMU, KB

NOISE_THZ = 0.1
"""Modes between 0 and minus this value count as numerical noise of the acoustic branches."""

LOCALISED = 0.2
"""A mode with a smaller participation ratio moves less than a fifth of the atoms."""

LOW_OPTICAL = 6
"""How many of the lowest optical modes at Gamma are kept."""

CROSSING_POINTS = 31
"""Points from Gamma to the zone boundary on which avoided crossings are looked for."""


@dataclass(frozen=True, kw_only=True)
class SiteSummary:
    """One set of equivalent atoms.

    Attributes
    ----------
    label, symbol
        As in `sites.Site`.
    n_atoms
        In the primitive cell.
    average_frequency_thz
        Mean frequency of its vibrations.
    u_iso_A2
        Equivalent isotropic mean square displacement on the mesh. Reasons why these are missing are those of the
        summary, under ``average_frequencies`` and ``u_iso``.
    """

    label: str
    symbol: str
    n_atoms: int
    average_frequency_thz: float | None
    u_iso_A2: float | None


@dataclass(frozen=True, kw_only=True)
class HarmonicSummary:
    """Harmonic properties of one crystal; what is ``None`` has its reason in `reasons` under the same name.

    Attributes
    ----------
    n_atoms
        Atoms of the primitive cell.
    number_density_per_A3
        Atoms per Angstrom^3.
    nac
        Whether the non-analytical term is included.
    mesh_points
        Points of the full mesh.
    temperature
        Of heat capacity, limits and displacements, K.
    lowest_thz, highest_thz
        Range of frequencies on the mesh, imaginary ones negative. The verdict looks at more (`stability`).
    imaginary_weight
        Share of the modes of the mesh below minus `NOISE_THZ`.
    trusted, verdict
        Whether thermal properties of these force constants have a meaning, and why.
    longitudinal_m_s, transverse_m_s, debye_m_s
        Sound velocities averaged over directions (`long_waves.SoundVelocities`).
    debye_temperature_K
        From the Debye mean and all atoms.
    cahill_limit, diffuson_limit
        Lower limits at `temperature` (Cahill) and at high temperature (Agne) from the sound velocities, W/(m K).
    diffuson_conductivity
        The diffuson limit at `temperature` from all frequencies, W/(m K).
    heat_capacity
        J/(K mol) per mole of atoms; 3R = 24.94 is the limit.
    average_frequency_thz
        Of all modes.
    species_frequencies_thz
        Mean frequency of the vibrations of each species.
    sites
        Sets of equivalent atoms.
    u_iso_missing_A2
        What the mesh leaves out of every U_iso around Gamma, from the sound velocities: an estimate of its error.
    mean_participation_ratio
        Mean over all modes.
    localised_share
        Share of the modes with a participation ratio below `LOCALISED`.
    low_optical_thz
        Lowest optical frequencies at Gamma, without direction (no splitting of longitudinal ones).
    crossings
        Avoided crossings of acoustic with optical branches along the reciprocal axes.
    reasons
        Why a number is missing.
    """

    formula: str
    n_atoms: int
    number_density_per_A3: float
    nac: bool
    mesh_points: int
    temperature: float
    lowest_thz: float
    highest_thz: float
    imaginary_weight: float
    trusted: bool
    verdict: str
    longitudinal_m_s: float | None
    transverse_m_s: float | None
    debye_m_s: float | None
    debye_temperature_K: float | None
    cahill_limit: float | None
    diffuson_limit: float | None
    diffuson_conductivity: float | None
    heat_capacity: float | None
    average_frequency_thz: float | None
    species_frequencies_thz: Mapping[str, float] | None
    sites: tuple[SiteSummary, ...]
    u_iso_missing_A2: float | None
    mean_participation_ratio: float | None
    localised_share: float | None
    low_optical_thz: tuple[float, ...]
    crossings: tuple[AvoidedCrossing, ...] | None
    reasons: Mapping[str, str]

    def __post_init__(self) -> None:
        silent = [f.name for f in fields(self) if getattr(self, f.name) is None and not self.reasons.get(f.name)]
        if silent:
            raise ValueError(f"{', '.join(silent)} are missing without a reason")

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary that JSON can hold."""
        record = asdict(self)
        if self.crossings is not None:
            record["crossings"] = [
                {
                    "qpoint": crossing.qpoint.tolist(),
                    "bands": list(crossing.bands),
                    "frequency_thz": crossing.frequency_thz,
                    "gap_thz": crossing.gap_thz,
                    "exchange": crossing.exchange,
                }
                for crossing in self.crossings
            ]
        return record


def harmonic_summary(
    phonopy: Phonopy, phonons: Phonons, *, temperature: float = 300.0, crossings: bool = False
) -> HarmonicSummary:
    """Collect what the harmonic crystal says.

    Parameters
    ----------
    phonopy
        Object with force constants in Angstrom and eV.
    phonons
        Its solution on a Gamma-centred mesh (irreducible points).
    temperature
        In K, of heat capacity, limits and displacements.
    crossings
        Look for avoided crossings as well: this takes longer than everything else in large cells.

    Raises
    ------
    ValueError
        If the temperature is not positive, or Gamma is not among the points.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, not {temperature} K")
    gamma = np.flatnonzero(np.all(phonons.qpoints == 0, axis=1))
    if not len(gamma):
        raise ValueError("Gamma is not among the points: take a Gamma-centred mesh")
    trusted, verdict = stability(phonopy, phonons)
    reasons: dict[str, str] = {}
    density = len(phonons.symbols) / phonons.volume_A3
    waves, unsound = _sound_or_reason(phonopy) if trusted else (None, verdict)
    if waves is None:
        reasons |= dict.fromkeys(_SOUND, unsound)
    thermal = _thermal(phonons, density, temperature, waves, reasons) if trusted else dict.fromkeys(_THERMAL)
    if not trusted:
        reasons |= dict.fromkeys((*_THERMAL, "average_frequencies", "u_iso"), verdict)
    found: tuple[AvoidedCrossing, ...] | None = None
    if not crossings:
        reasons["crossings"] = "avoided crossings were not looked for"
    elif not trusted:
        reasons["crossings"] = verdict
    else:
        # The third band bounds the acoustic branches from above.
        highest = float(phonons.frequencies_thz[:, 2].max())
        found = tuple(acoustic_optical_crossings(phonopy, _paths(phonopy, phonons), highest_thz=highest))
    return HarmonicSummary(
        formula=_formula(phonons.symbols),
        n_atoms=len(phonons.symbols),
        number_density_per_A3=density,
        nac=phonopy.nac_params is not None,
        mesh_points=round(float(phonons.weights.sum())),
        temperature=temperature,
        lowest_thz=float(phonons.frequencies_thz.min()),
        highest_thz=float(phonons.frequencies_thz.max()),
        imaginary_weight=imaginary_weight(phonons.frequencies_thz, phonons.weights, NOISE_THZ),
        trusted=trusted,
        verdict=verdict,
        **_sound(waves, density, temperature),
        **thermal,
        sites=_sites(phonopy, phonons, temperature, trusted, reasons),
        low_optical_thz=_low_optical(phonons, int(gamma[0])),
        crossings=found,
        reasons=reasons,
    )


def stability(phonopy: Phonopy, phonons: Phonons) -> tuple[bool, str]:
    """Whether the modes are those of a stable crystal, and one sentence why.

    Besides the mesh this looks at the wave vectors commensurate with the supercell, where force constants are exact. A
    mesh, one with odd divisions above all, may pass by the edge of the zone, where many crystals become unstable first.
    """
    points = round(float(phonons.weights.sum()))
    lowest = float(phonons.frequencies_thz.min())
    exact = commensurate_frequencies(phonopy)
    if lowest >= -NOISE_THZ and exact.min() >= -NOISE_THZ:
        lowest = min(lowest, float(exact.min()))
        noise = "" if lowest > -_ZERO_THZ else f"; {lowest:.2g} THz counts as noise of the acoustic branches"
        return True, f"stable: no imaginary mode on {points} points nor on the {len(exact)} of the supercell{noise}"
    remedy = "take force constants at temperature, or a structure of lower symmetry"
    share = imaginary_weight(phonons.frequencies_thz, phonons.weights, NOISE_THZ)
    if not share:
        return False, f"unstable: the supercell has a mode at {exact.min():.2f} THz that the mesh passes by; {remedy}"
    if exact.min() >= -NOISE_THZ:
        remedy = (
            "none of the points that the supercell resolves is: a larger supercell may show that the crystal is stable"
        )
    return False, (
        f"unstable: {share:.2%} of the modes are imaginary, down to {min(lowest, float(exact.min())):.2f} THz; {remedy}"
    )


def commensurate_frequencies(phonopy: Phonopy) -> NDArray[np.float64]:
    """Frequencies in THz at the wave vectors that fit into the supercell [Q, s]; imaginary ones negative."""
    primitive = phonopy.primitive
    # Supercell vectors in terms of the primitive ones, as rows.
    multiples = np.rint(np.array(phonopy.supercell.cell) @ np.linalg.inv(np.array(primitive.cell))).astype(np.int64)
    matrices, _ = DynamicalMatrices(phonopy).at(get_commensurate_points(multiples.T))
    squares = np.linalg.eigvalsh(matrices)
    return np.sign(squares) * np.sqrt(np.abs(squares)) * phonopy.unit_conversion_factor


_SOUND = ("longitudinal_m_s", "transverse_m_s", "debye_m_s", "debye_temperature_K", "cahill_limit", "diffuson_limit")

_THERMAL = (
    "diffuson_conductivity",
    "heat_capacity",
    "average_frequency_thz",
    "species_frequencies_thz",
    "u_iso_missing_A2",
    "mean_participation_ratio",
    "localised_share",
)

_ZERO_THZ = 0.01  # what `displacements` and `heat_capacity` take for zero


def _sound_or_reason(phonopy: Phonopy) -> tuple[SoundVelocities | None, str]:
    try:
        return sound_velocities(phonopy), ""
    except ValueError as error:
        return None, str(error)


def _sound(waves: SoundVelocities | None, density: float, temperature: float) -> dict[str, Any]:
    """Velocities and what follows from them."""
    if waves is None:
        return dict.fromkeys(_SOUND)
    v_l, v_t = waves.longitudinal_m_s, waves.transverse_m_s
    return {
        "longitudinal_m_s": v_l,
        "transverse_m_s": v_t,
        "debye_m_s": waves.debye_m_s,
        "debye_temperature_K": float(debye_temperature(waves.debye_m_s, density)),
        "cahill_limit": float(cahill_limit(density, v_l, v_t, [temperature])[0]),
        "diffuson_limit": diffuson_limit(density, v_l, v_t),
    }


def _thermal(
    phonons: Phonons, density: float, temperature: float, waves: SoundVelocities | None, reasons: dict[str, str]
) -> dict[str, Any]:
    """Averages over the modes of a stable crystal."""
    n_atoms = len(phonons.symbols)
    frequencies, weights = _without_noise(phonons).frequencies_thz, phonons.weights
    ratio = participation_ratio(phonons.eigenvectors)
    shares = np.broadcast_to(weights[:, None] / (weights.sum() * 3 * n_atoms), ratio.shape)
    localised: float | None = float(np.sum(shares[ratio < LOCALISED]))
    if n_atoms * LOCALISED <= 1:
        localised = None
        reasons["localised_share"] = (
            f"no mode of a cell of {n_atoms} atoms has a participation ratio below {LOCALISED:g}"
        )
    missing = None
    if waves is None:
        reasons["u_iso_missing_A2"] = reasons["debye_m_s"]
    else:
        missing = missing_displacement(phonons, waves.debye_m_s, temperature)
    atoms = {
        symbol: [i for i, name in enumerate(phonons.symbols) if name == symbol]
        for symbol in dict.fromkeys(phonons.symbols)
    }
    return {
        "diffuson_conductivity": float(diffuson_conductivity(frequencies, weights, density, [temperature])[0]),
        "heat_capacity": float(heat_capacity(frequencies, weights, [temperature])[0]) / n_atoms,
        "average_frequency_thz": average_atom_frequency(phonons, range(n_atoms)),
        "species_frequencies_thz": {symbol: average_atom_frequency(phonons, which) for symbol, which in atoms.items()},
        "u_iso_missing_A2": missing,
        "mean_participation_ratio": float(np.sum(shares * ratio)),
        "localised_share": localised,
    }


def missing_displacement(phonons: Phonons, debye_m_s: float, temperature: float) -> float:
    """U_iso in Angstrom^2 of the acoustic modes in the volume around Gamma that a mesh of N points leaves out.

    All atoms move alike in them: 3 k T/(M N k^2 v^2) with the mass M of the cell, the Debye mean v, and the radius k of
    a sphere of the volume of one of the N parts of the Brillouin zone. The classical limit, for these modes are low.

    Parameters
    ----------
    phonons
        Harmonic solution on a Gamma-centred mesh.
    debye_m_s
        Debye mean of the sound velocities, m/s.
    temperature
        In K.
    """
    points = float(phonons.weights.sum())
    radius = float(debye_wavevector(1 / (phonons.volume_A3 * points)))
    mass = float(phonons.masses.sum()) * AMU
    return 3 * KB * temperature / (mass * points * (radius * debye_m_s) ** 2) * 1e20


def _without_noise(phonons: Phonons) -> Phonons:
    """Put imaginary modes that count as noise to zero, where averages leave them out."""
    frequencies = phonons.frequencies_thz
    return replace(phonons, frequencies_thz=np.where((frequencies < 0) & (frequencies >= -NOISE_THZ), 0.0, frequencies))


def _sites(
    phonopy: Phonopy, phonons: Phonons, temperature: float, trusted: bool, reasons: dict[str, str]
) -> tuple[SiteSummary, ...]:
    squares: NDArray[np.float64] | None = None
    if trusted:
        away = phonons.frequencies_thz[np.any(phonons.qpoints != 0, axis=1)]
        if away.size and away.min() < _ZERO_THZ:
            reasons["u_iso"] = f"modes of {away.min():.2g} THz away from Gamma would make up most of it"
        else:
            squares = displacements(_without_noise(phonons), [temperature]).isotropic_A2[0]
    return tuple(
        SiteSummary(
            label=site.label,
            symbol=site.symbol,
            n_atoms=len(site.atoms),
            average_frequency_thz=average_atom_frequency(phonons, site.atoms) if trusted else None,
            # The mean over a whole set of equivalent atoms needs no average over the space group.
            u_iso_A2=None if squares is None else float(squares[list(site.atoms)].mean()),
        )
        for site in equivalent_sites(phonopy)
    )


def _low_optical(phonons: Phonons, gamma: int) -> tuple[float, ...]:
    """Lowest frequencies at Gamma but for the three modes that are translations most."""
    shares = acoustic_share(phonons.eigenvectors[gamma], phonons.masses)
    optical = np.delete(phonons.frequencies_thz[gamma], np.argsort(shares)[-3:])
    return tuple(float(f) for f in np.sort(optical)[:LOW_OPTICAL])


def _paths(phonopy: Phonopy, phonons: Phonons) -> list[NDArray[np.float64]]:
    """Straight lines from Gamma to half of each reciprocal vector, one of each set of equivalent ones."""
    reciprocal = np.linalg.inv(np.array(phonopy.primitive.cell)).T
    kept: list[int] = []
    for axis in range(3):
        images = phonons.rotations @ reciprocal[axis]
        known = (np.abs(np.abs(images @ reciprocal[k]) - np.sum(reciprocal[k] ** 2)).min() for k in kept)
        lengths = (np.linalg.norm(reciprocal[k]) - np.linalg.norm(reciprocal[axis]) for k in kept)
        if not any(abs(d) < 1e-6 and n < 1e-6 for n, d in zip(known, lengths, strict=True)):
            kept.append(axis)
    return [np.linspace(0, 0.5, CROSSING_POINTS)[:, None] * np.eye(3)[axis] for axis in kept]


def _formula(symbols: list[str]) -> str:
    """Reduced formula, metals first."""
    return str(Formula("".join(symbols)).reduce()[0].format("metal"))
