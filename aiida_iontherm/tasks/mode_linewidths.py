"""Linewidths of a crystal's phonons from runs of molecular dynamics, as a table that ``lattice-conductivity`` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy

from aiida_iontherm.physics.spectra import (
    LineKind,
    ModeLinewidths,
    SupercellSites,
    find_sites,
    largest_mesh,
    mode_linewidths,
)
from aiida_iontherm.physics.units import AMU, KB
from aiida_iontherm.tasks.files import write_npz, written_whole
from aiida_iontherm.tasks.velocity_files import VelocityRun, difference_power

LARGEST_TEMPERATURE_FACTOR = 1.5
"""Between the kinetic temperature and the one that was said: beyond, units are mixed up or the run is another."""

NOTABLE_TEMPERATURE_DIFFERENCE = 0.05
NOTABLE_STRAIN = 1e-3
NOTABLE_SHIFT = 0.05
NOTABLE_EQUIPARTITION = 2.0


@dataclass(frozen=True)
class LinewidthTable:
    """Linewidths at the points of a supercell.

    Attributes
    ----------
    lines
        The modes.
    sites
        The supercell.
    temperature
        In K, as it was said.
    mesh
        Largest mesh that the table serves.
    """

    lines: ModeLinewidths
    sites: SupercellSites
    temperature: float
    mesh: tuple[int, int, int]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of the file: those of a table of linewidths, and beside them how far each number can be trusted."""
        lines = self.lines
        return {
            "gamma_thz": lines.gamma_thz[None],
            "qpoints": lines.qpoints,
            "temperatures": np.array([self.temperature]),
            "frequencies_thz": lines.frequencies_thz,
            "mesh": np.array(self.mesh),
            "weights": lines.weights,
            "gamma_errors_thz": lines.gamma_errors_thz[None],
            "line_frequencies_thz": lines.line_frequencies_thz[None],
            "line_frequency_errors_thz": lines.line_frequency_errors_thz[None],
            "kinds": lines.kinds[None],
            "mode_temperatures_K": lines.temperatures_K[None],
            "mode_temperature_errors_K": lines.temperature_errors_K[None],
            "line_shares": lines.line_shares[None],
            "run_time_ps": np.array(lines.run_time_ps),
            "supercell": self.sites.matrix,
        }

    def write(self, path: Path) -> None:
        """Write ``.npz``, ``.hdf5`` or ``.h5``.

        Raises
        ------
        ValueError
            If the name ends otherwise.
        """
        if path.suffix == ".npz":
            write_npz(path, self.arrays())
        elif path.suffix in (".hdf5", ".h5"):
            import h5py

            with written_whole(path) as temporary, h5py.File(temporary, "w") as file:
                for name, values in self.arrays().items():
                    file[name] = values
        else:
            raise ValueError(f"a table of linewidths is .hdf5 or .npz, not {path.suffix or path.name}")

    def summary(self) -> dict[str, Any]:
        """Numbers that tell what the table is worth."""
        lines = self.lines
        known = lines.gamma_errors_thz > 0
        vibrations = lines.kinds != LineKind.TRANSLATION
        shifts = (lines.line_frequencies_thz - lines.frequencies_thz)[vibrations]
        return {
            "temperature_K": self.temperature,
            "kinetic_temperature_K": lines.temperature_K,
            "equipartition_chi2": lines.equipartition,
            "run_time_ps": lines.run_time_ps,
            "resolution_thz": lines.resolution_thz,
            "mesh": list(self.mesh),
            "points": int(lines.weights.sum()),
            "irreducible_points": len(lines.qpoints),
            "modes": int(np.count_nonzero(vibrations)),
            "resolved": lines.fraction(LineKind.RESOLVED),
            "unresolved": lines.fraction(LineKind.UNRESOLVED),
            "overdamped": lines.fraction(LineKind.OVERDAMPED),
            "not_one_line": lines.fraction(LineKind.NOT_ONE_LINE),
            "median_gamma_thz": float(np.median(lines.gamma_thz[known])),
            "median_relative_error": float(np.median(lines.gamma_errors_thz[known] / lines.gamma_thz[known])),
            "median_shift_thz": float(np.median(shifts)),
            "largest_shift_thz": float(shifts[np.argmax(np.abs(shifts))]),
            "strain": self.sites.strain,
        }


def linewidth_table(
    phonopy: Phonopy,
    runs: Sequence[VelocityRun],
    temperature: float,
    *,
    remark: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LinewidthTable:
    """Linewidths from runs of one supercell at one temperature.

    Parameters
    ----------
    phonopy
        The crystal with its force constants.
    runs
        At least one; all of one supercell, with the same order of atoms and time between frames.
    temperature
        In K.
    remark
        Called with one sentence for each thing that may be minded.
    progress
        Called with the number of stars of wave vectors done and that of all.

    Raises
    ------
    ValueError
        If the runs do not fit the crystal, each other or the temperature, are too short, or resolve no line at all.
    """
    say = remark or (lambda _sentence: None)
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, not {temperature:g} K")
    if not runs:
        raise ValueError("give at least one trajectory")
    _require_alike(runs)
    _check_temperature(runs, temperature, say)
    primitive, first = phonopy.primitive, runs[0]
    sites = find_sites(
        primitive.cell,
        primitive.scaled_positions,
        primitive.symbols,
        first.cell,
        np.concatenate([run.stretches for run in runs]),
        first.symbols,
    )
    if sites.strain > NOTABLE_STRAIN:
        say(f"the supercell is strained by {sites.strain:.2%} against the crystal of the force constants")
    shortest, longest = (pick(len(run.velocities) for run in runs) for pick in (min, max))
    if longest > shortest:
        say(f"runs differ in length: the last {shortest * first.interval_fs * 1e-3:g} ps of each are used")
    if first.from_positions:
        say("there are no velocities: differences of positions are taken")
    lines = mode_linewidths(
        phonopy,
        sites,
        [run.velocities for run in runs],
        first.interval_fs,
        filtered=partial(difference_power, interval_fs=first.interval_fs) if first.from_positions else None,
        progress=progress,
    )
    table = LinewidthTable(lines, sites, temperature, largest_mesh(sites.matrix))
    _mind(table, say)
    return table


def _require_alike(runs: Sequence[VelocityRun]) -> None:
    first = runs[0]
    for number, run in enumerate(runs[1:], start=2):
        if run.symbols != first.symbols or not np.allclose(run.cell, first.cell, rtol=1e-4, atol=1e-3):
            raise ValueError(f"trajectory {number} is of another supercell than the first: give each its own command")
        if not np.isclose(run.interval_fs, first.interval_fs, rtol=1e-6) or run.from_positions != first.from_positions:
            raise ValueError(
                f"trajectory {number} has another time between frames than the first, or only one has velocities"
            )


def _check_temperature(runs: Sequence[VelocityRun], temperature: float, say: Callable[[str], None]) -> None:
    """Compare with the kinetic temperature; its square root is the scale of the velocities."""
    from ase.data import atomic_masses, atomic_numbers

    masses = np.array([atomic_masses[atomic_numbers[symbol]] for symbol in runs[0].symbols])
    squares = [np.einsum("fia,fia,i->", run.velocities, run.velocities, masses, dtype=float) for run in runs]
    frames = sum(len(run.velocities) for run in runs)
    freedom = max(1, 3 * len(masses) - 3)
    kinetic = float(sum(squares)) / (frames * freedom) * AMU * 1e4 / KB
    if not 1 / LARGEST_TEMPERATURE_FACTOR < kinetic / temperature < LARGEST_TEMPERATURE_FACTOR:
        ratio = np.sqrt(kinetic / temperature) if kinetic > 0 else 0.0
        units = [name for name, factor in _SPEED_UNITS.items() if 0.8 < ratio * factor < 1.25]
        question = "is the time between frames right?"
        if units and not runs[0].from_positions:
            question = f"are they in {units[0]}, where Angstrom/ps was expected?"
        raise ValueError(f"the velocities are those of {kinetic:.3g} K, not {temperature:g} K: {question}")
    if abs(kinetic / temperature - 1) > NOTABLE_TEMPERATURE_DIFFERENCE:
        say(f"the kinetic temperature is {kinetic:.0f} K, not {temperature:g} K")


_SPEED_UNITS = {
    "Angstrom/fs": 1e3,
    "ASE's units": 98.2269,
    "m/s": 1e-2,
    "nm/ps": 10.0,
    "bohr per atomic unit of time": 21876.9,
}
"""What one of each is in Angstrom/ps."""


def _mind(table: LinewidthTable, say: Callable[[str], None]) -> None:
    lines = table.lines
    if not np.any(lines.gamma_errors_thz > 0):
        raise ValueError(
            f"no line is resolved by a run of {lines.run_time_ps:g} ps: all are narrower than "
            f"{lines.resolution_thz:.2g} THz; run longer, or take the linewidths of three-phonon scattering"
        )
    unresolved = lines.fraction(LineKind.UNRESOLVED)
    if unresolved > 0:
        say(
            f"{unresolved:.1%} of the modes have lines that a run of {lines.run_time_ps:g} ps does not resolve; the "
            "table holds upper bounds for them, so that they carry too little in a conductivity from it"
        )
    other = lines.fraction(LineKind.NOT_ONE_LINE)
    if other > 0:
        say(f"{other:.1%} of the modes do not show the one line of a damped oscillator: their linewidths are nominal")
    if lines.equipartition > NOTABLE_EQUIPARTITION:
        say(
            f"modes do not share the energy as in equilibrium (reduced chi-squared {lines.equipartition:.1f}): "
            "equilibrate longer, or average over several runs"
        )
    vibrations = lines.kinds != LineKind.TRANSLATION
    shifts = np.abs(lines.line_frequencies_thz / np.where(vibrations, lines.frequencies_thz, 1) - 1)[vibrations]
    if np.median(shifts) > NOTABLE_SHIFT:
        say(
            f"lines are {np.median(shifts):.0%} (median) away from the harmonic frequencies: effective force constants "
            "at this temperature describe the modes better"
        )
