"""Vibrational density of states by species."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from aiida_iontherm.report.figures.caption import Caption, listing, percent
from aiida_iontherm.report.model import DosData
from aiida_iontherm.report.style import QUIET, SHADE, SPECIES, TOTAL, Columns, figure_legend, grid, panels

_LINES = ("-", (0, (6, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)))


def _total(data: DosData) -> np.ndarray:
    return np.sum([np.asarray(states) for states in data.by_species.values()], axis=0)


def _imaginary_share(data: DosData) -> float:
    """Return the share of states at negative (imaginary) frequencies."""
    frequencies, total = np.asarray(data.frequencies_thz), _total(data)
    below = float(np.trapezoid(np.where(frequencies < 0, total, 0.0), frequencies))
    return below / float(np.trapezoid(total, frequencies))


def dos_by_species(data: DosData) -> tuple[Figure, Columns]:
    """Draw the density of states of each species and their sum.

    Parameters
    ----------
    data
        Densities in states per THz.

    Returns
    -------
    Figure, dict
        One panel; imaginary modes stand at negative frequencies on a shaded ground.
    """
    figure, axes = panels(1, 1, 2.9)
    ax = axes[0, 0]
    frequencies, total = np.asarray(data.frequencies_thz), _total(data)
    columns: Columns = {"frequency_THz": frequencies}
    handles = [ax.fill_between(frequencies, total, color="#ECECE8", linewidth=0, label="all species")]
    ax.plot(frequencies, total, color=TOTAL, linewidth=0.9)
    for index, (species, states) in enumerate(data.by_species.items()):
        colour, line = SPECIES[index % len(SPECIES)], _LINES[index % len(_LINES)]
        handles += ax.plot(frequencies, states, color=colour, linestyle=line, label=species)
        columns[f"{species}_states_per_THz"] = states
    columns["total_states_per_THz"] = total
    if frequencies.min() < 0 and _imaginary_share(data) > 0:
        ax.axvspan(float(frequencies.min()), 0.0, color=SHADE, zorder=0)
        ax.text(0.0, 0.98, "imaginary ", transform=ax.get_xaxis_transform(), ha="right", va="top", color=QUIET)
    ax.set_xlabel("frequency (THz)")
    ax.set_ylabel("density of states (1/THz)")
    ax.margins(x=0)
    ax.set_ylim(bottom=0)
    grid(ax)
    figure_legend(figure, handles)
    return figure, columns


def describe_dos_by_species(data: DosData) -> Caption:
    """Say what the density of states shows."""
    frequencies = np.asarray(data.frequencies_thz)
    peaks = [f"{s} at {frequencies[int(np.argmax(states))]:.2f} THz" for s, states in data.by_species.items()]
    text = (
        f"Vibrational density of states at {data.temperature:g} K in states per THz, by species; grey: their sum. "
        f"Highest peaks: {listing(peaks)}."
    )
    share = _imaginary_share(data)
    # Less than that is the tail which the smearing gives to acoustic modes near zero.
    if share >= 0.005:
        text += f" {percent(share)} of the states are imaginary (drawn at negative frequencies)."
    return Caption(
        "Vibrational density of states", text, f"Density of states by species; highest peaks: {listing(peaks)}."
    )
