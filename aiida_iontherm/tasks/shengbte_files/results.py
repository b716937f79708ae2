"""The output files of a run, ``BTE.*`` and the folders ``T300K``, described in the README of ShengBTE.

Files of the scattering rate of each mode have two columns, angular frequency (rad/ps) and rate 1/tau (1/ps), the
irreducible q-points running faster than the bands. A half width in THz is a rate divided by 4 pi (`linewidths`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.lattice.linewidth_tables import to_gamma_thz
from aiida_iontherm.tasks.force_constant_files.text import read_text, whole_numbers
from aiida_iontherm.tasks.shengbte_files.control import read_control

Real = NDArray[np.float64]

QPOINTS, OMEGA = "BTE.qpoints", "BTE.omega"
TOTAL, EFFECTIVE, FOUR_PHONONS, ISOTOPES = "BTE.w", "BTE.w_final", "BTE.w_4ph", "BTE.w_isotopic"
THREE_PHONONS = ("BTE.w_anharmonic", "BTE.w_3ph")
"""In ShengBTE, and in FourPhonon where four phonons are on."""
RTA, CONVERGED, SPECIFIC_HEAT = "BTE.KappaTensorVsT_RTA", "BTE.KappaTensorVsT_CONV", "BTE.cvVsT"

OF_ALL_TEMPERATURES = (
    "BTE.ReciprocalLatticeVectors",
    QPOINTS,
    OMEGA,
    ISOTOPES,
    RTA,
    CONVERGED,
    SPECIFIC_HEAT,
    "BTE.KappaTensorVsT_sg",
    "BTE.P3_total",
    "BTE.P4_total",
    "BTE.gruneisenVsT_total",
)
OF_EACH_TEMPERATURE = (TOTAL, *THREE_PHONONS, FOUR_PHONONS, EFFECTIVE, "BTE.kappa_tensor")

_SAME_FREQUENCY = 1e-6
"""Relative: both files print ten digits of the same number."""


class MissingFile(ValueError):
    """A file of a run is not there."""


class NoFourPhonons(ValueError):
    """Rates of four phonons are not there."""


@dataclass(frozen=True, eq=False)
class Conductivity:
    """The program's own conductivity, particle-like, in W/(m K).

    Attributes
    ----------
    temperatures
        In K [T].
    tensors
        [T, 3, 3].
    iterations
        That it took [T], zero in the relaxation-time approximation.
    """

    temperatures: Real
    tensors: Real
    iterations: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rates:
    """What the modes at the irreducible points of the run have.

    Attributes
    ----------
    qpoints
        Fractional coordinates [k, 3].
    multiplicities
        Points of the mesh each stands for [k].
    frequencies_thz
        Ordinary frequencies [k, s], imaginary ones negative.
    temperatures
        In K [T].
    gamma_thz
        Half widths by all processes of the run, in the relaxation-time approximation [T, k, s].
    parts_thz
        Half widths by process: ``3ph`` and, where there are any, ``4ph`` [T, k, s] and ``isotopes`` [1, k, s].
    effective_thz
        What the iterative solution makes of them (``BTE.w_final``) [T, k, s], or ``None``. These are no widths of
        lines: they can be negative, and are not a number for modes that do not move heat.
    """

    qpoints: Real
    multiplicities: NDArray[np.int64]
    frequencies_thz: Real
    temperatures: Real
    gamma_thz: Real
    parts_thz: dict[str, Real]
    effective_thz: Real | None

    @property
    def with_isotopes(self) -> bool:
        """Whether scattering by isotopes is in the half widths; the program writes its rates in any case."""
        if "isotopes" not in self.parts_thz:
            return False
        phonons = self.parts_thz["3ph"] + self.parts_thz.get("4ph", 0.0)
        return bool(np.sum(self.gamma_thz - phonons) > 0.5 * len(self.temperatures) * self.parts_thz["isotopes"].sum())


def folder_name(temperature: float) -> str:
    """Folder of a temperature in K."""
    return f"T{round(temperature)}K"


def temperatures_in(folder: Path) -> list[float]:
    """Temperatures in K that have a folder with rates, ascending."""
    found = (re.fullmatch(r"T(\d+)K", path.parent.name) for path in folder.glob(f"T*K/{TOTAL}"))
    return sorted(float(match.group(1)) for match in found if match)


def read_rates(folder: Path, temperatures: Sequence[float] | None = None, *, four_phonons: bool = False) -> Rates:
    """Read the scattering rates of a run.

    Parameters
    ----------
    folder
        Where it ran.
    temperatures
        In K; all there are if not given.
    four_phonons
        Whether rates of four phonons have to be there.

    Raises
    ------
    MissingFile
        If the run ended before it wrote something that is needed.
    NoFourPhonons
        If rates of four phonons are missing that have to be there.
    ValueError
        If a file is cut short or damaged, or belongs to another run than the others.
    """
    qpoints, multiplicities = read_qpoints(folder)
    omega = read_frequencies(folder, len(qpoints))
    kelvin = temperatures_in(folder) if temperatures is None else sorted(temperatures)
    if not kelvin:
        raise MissingFile(f"there are no scattering rates in {folder.name}: did the run end before it had any?")
    places = [folder / folder_name(temperature) for temperature in kelvin]

    def each(name: str) -> Real:
        return np.array([_rates(place / name, omega) for place in places])

    three = next((name for name in reversed(THREE_PHONONS) if (places[0] / name).is_file()), THREE_PHONONS[0])
    parts = {"3ph": each(three)}
    if all((place / FOUR_PHONONS).is_file() for place in places):
        parts["4ph"] = each(FOUR_PHONONS)
    elif four_phonons:
        raise NoFourPhonons(f"{FOUR_PHONONS} is missing, with rates of three phonons there")
    if (folder / ISOTOPES).is_file():
        parts["isotopes"] = _rates(folder / ISOTOPES, omega)[None]
    effective = None
    if all((place / EFFECTIVE).is_file() for place in places):
        effective = np.array([_rates(place / EFFECTIVE, omega, finite=False) for place in places])
    gamma = each(TOTAL)
    if gamma.min() < 0:
        raise ValueError(f"{TOTAL} holds a negative scattering rate: the run failed")
    return Rates(
        qpoints=qpoints,
        multiplicities=multiplicities,
        frequencies_thz=omega / (2 * np.pi),
        temperatures=np.array(kelvin, dtype=float),
        gamma_thz=gamma,
        parts_thz=parts,
        effective_thz=effective,
    )


def read_table(folder: Path) -> tuple[dict[str, NDArray[Any]], Rates]:
    """Half widths of a run as a table of linewidths (`tasks.linewidth_files`), and all that was read.

    ``isotopes`` tells whether these are in it.

    Raises
    ------
    ValueError
        As for `read_rates`.
    """
    rates = read_rates(folder)
    table = {
        "gamma_thz": rates.gamma_thz,
        "qpoints": rates.qpoints,
        "temperatures": rates.temperatures,
        "frequencies_thz": rates.frequencies_thz,
        "isotopes": np.array(rates.with_isotopes),
    }
    if (folder / "CONTROL").is_file():
        table["mesh"] = np.array(read_control(folder / "CONTROL").mesh)
    return table, rates


def read_qpoints(folder: Path) -> tuple[Real, NDArray[np.int64]]:
    """Irreducible points in fractional coordinates [k, 3] and the points of the mesh each stands for [k].

    Raises
    ------
    ValueError
        If the file is missing or damaged.
    """
    table = _table(folder / QPOINTS, (6,))
    numbers = whole_numbers(table[:, :3], QPOINTS)
    if not np.array_equal(numbers[:, 0], np.arange(1, len(table) + 1)):
        raise ValueError(f"{QPOINTS} does not number its points from one: it is damaged")
    return table[:, 3:], numbers[:, 2]


def read_frequencies(folder: Path, points: int) -> Real:
    """Angular frequencies in rad/ps [k, s].

    Raises
    ------
    ValueError
        If the file is missing, damaged, or has not that many points.
    """
    table = _table(folder / OMEGA)
    if len(table) != points or table.shape[1] % 3:
        raise ValueError(
            f"{OMEGA} has {table.shape[1]} bands at {len(table)} points, and {QPOINTS} has {points} points: it is cut "
            "short, or of another run"
        )
    return table


def read_conductivity(folder: Path, name: str) -> Conductivity:
    """``BTE.KappaTensorVsT_RTA`` or ``BTE.KappaTensorVsT_CONV``, ascending in temperature.

    Raises
    ------
    ValueError
        If the file is missing or damaged.
    """
    table = _table(folder / name, (10, 11))
    table = table[np.argsort(table[:, 0])]
    iterations = whole_numbers(table[:, 10], name) if table.shape[1] == 11 else np.zeros(len(table), dtype=np.int64)
    return Conductivity(table[:, 0], table[:, 1:10].reshape(-1, 3, 3), iterations)


def read_heat_capacity(folder: Path) -> tuple[Real, Real]:
    """Temperatures in K [T] and heat capacities in J/(m^3 K) [T].

    Raises
    ------
    ValueError
        If the file is missing or damaged.
    """
    table = _table(folder / SPECIFIC_HEAT, (2,))
    table = table[np.argsort(table[:, 0])]
    return table[:, 0], table[:, 1]


def _rates(path: Path, omega: Real, *, finite: bool = True) -> Real:
    """Half widths in THz [k, s] from a file of rates, whose frequencies have to be those of the run."""
    table = _table(path, (2,), finite=finite)
    if len(table) != omega.size:
        raise ValueError(f"{_short(path)} has {len(table)} modes of {omega.size}: it is cut short, or of another run")
    # Points run faster than bands: Fortran's order of [k, s].
    frequencies, rates = (column.reshape(omega.shape, order="F") for column in table.T)
    wrong = np.abs(frequencies - omega) > _SAME_FREQUENCY * np.abs(omega).max()
    if wrong.any():
        q, s = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{_short(path)} has {frequencies[q, s]:.6g} rad/ps for band {s + 1} at point {q + 1}, where {OMEGA} has "
            f"{omega[q, s]:.6g}: it is of another run"
        )
    return to_gamma_thz(rates, "rate", "1/ps")


def _table(path: Path, widths: tuple[int, ...] = (), *, finite: bool = True) -> Real:
    """Numbers of a file [rows, columns], with one of these numbers of columns."""
    if not path.is_file():
        raise MissingFile(f"there is no {_short(path)}: the run ended before it was written, or ran elsewhere")
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    columns = {len(row) for row in rows}
    if len(columns) != 1 or (widths and not columns <= set(widths)):
        raise ValueError(f"{_short(path)} is empty, cut short within a line, or damaged")
    try:
        values = np.array([[_number(word) for word in row] for row in rows])
    except ValueError as error:
        raise ValueError(f"{_short(path)} holds something that is not a number ({error}): it is damaged") from error
    if finite and not np.isfinite(values).all():
        raise ValueError(f"{_short(path)} holds a number that is not finite: the run failed")
    return values


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        # Fortran leaves out the E of exponents of three digits.
        return float(re.sub(r"(?<=\d)([+-]\d{3})$", r"e\1", word))


def _short(path: Path) -> str:
    """Name of a file, with the folder of its temperature."""
    return f"{path.parent.name}/{path.name}" if re.fullmatch(r"T\d+K", path.parent.name) else path.name
