"""Vibrational density of states of trajectories, by species, direction and site."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aiida_iontherm.report.figures.caption import Caption, listing
from aiida_iontherm.report.model import VdosData
from aiida_iontherm.report.style import (
    DIRECTIONS,
    LINES,
    QUIET,
    SPECIES,
    TOTAL,
    Columns,
    figure_legend,
    grid,
    long_form,
    panels,
)

_MOST_ROWS = 6
_REST = 1e-3
"""Share of the states above the highest frequency that is drawn."""


def vdos(data: Sequence[VdosData]) -> tuple[Figure, Columns]:
    """Draw the density of states of each species at each temperature.

    Parameters
    ----------
    data
        One record per temperature, with the same species and sites.

    Returns
    -------
    Figure, dict
        A row of panels per temperature, the lowest first and not more than fit, a column per species. Thick: all
        directions; light: along x, y and z, three times as large, so that they lie on the thick line where the
        vibration is isotropic. Thin, with their names: sites, where there are several. Columns of all, stacked.
    """
    species = list(data[0].by_species)
    chosen = np.unique(np.linspace(0, len(data) - 1, min(_MOST_ROWS, len(data))).round().astype(int))
    figure, axes = panels(len(chosen), len(species), 2.6 if len(chosen) == 1 else 1.8, sharex=True, sharey="col")
    top = max(_highest(record) for record in data)
    for row, record in zip(axes, [data[i] for i in chosen], strict=True):
        for number, (name, ax) in enumerate(zip(species, row, strict=True)):
            colour = SPECIES[number % len(SPECIES)]
            for axis, direction in enumerate(DIRECTIONS if name in record.by_direction else ()):
                ax.plot(
                    record.frequencies_thz,
                    3 * record.by_direction[name][:, axis],
                    color=colour,
                    linestyle=LINES[direction],
                    linewidth=0.8,
                    alpha=0.6,
                )
            for site, states in record.by_site.get(name, {}).items():
                peak = int(np.argmax(states))
                ax.plot(record.frequencies_thz, states, color=colour, linewidth=0.7)
                ax.annotate(
                    site,
                    (record.frequencies_thz[peak], states[peak]),
                    xytext=(0, 1),
                    textcoords="offset points",
                    ha="center",
                    fontsize="x-small",
                    color=colour,
                )
            ax.plot(record.frequencies_thz, record.by_species[name], color=colour)
            ax.set_title(f"{name}, {record.temperature:g} K")
            grid(ax)
    for ax in axes.flat:
        ax.set_xlim(0, top)
        ax.set_ylim(bottom=0)
    for ax in axes[-1]:
        ax.set_xlabel("frequency (THz)")
    for ax in axes[:, 0]:
        ax.set_ylabel("states (1/THz)")
    handles = [Line2D([], [], color=TOTAL, label="all directions")]
    if any(record.by_direction for record in data):
        handles += [
            Line2D([], [], color=QUIET, linestyle=LINES[name], linewidth=0.8, label=f"3 × {name}")
            for name in DIRECTIONS
        ]
    if any(record.by_site for record in data):
        handles.append(Line2D([], [], color=TOTAL, linewidth=0.7, label="site"))
    figure_legend(figure, handles)
    return figure, long_form([_columns(record, species) for record in data])


def _highest(record: VdosData) -> float:
    total = np.cumsum(np.abs(np.sum([np.asarray(states) for states in record.by_species.values()], axis=0)))
    return float(record.frequencies_thz[np.searchsorted(total, (1 - _REST) * total[-1])])


def _columns(record: VdosData, species: Sequence[str]) -> Columns:
    count = len(record.frequencies_thz)
    columns: Columns = {"temperature_K": np.full(count, record.temperature), "frequency_THz": record.frequencies_thz}
    for name in species:
        columns[f"{name}_states_per_THz"] = record.by_species[name]
        for axis, direction in enumerate(DIRECTIONS):
            known = record.by_direction.get(name)
            columns[f"{name}_{direction}_states_per_THz"] = np.full(count, np.nan) if known is None else known[:, axis]
        for site, states in record.by_site.get(name, {}).items():
            columns[f"{site}_states_per_THz"] = states
    return columns


def describe_vdos(data: Sequence[VdosData]) -> Caption:
    """Say what the densities of states show."""
    first = data[0]
    peaks = [
        f"{name} at {first.frequencies_thz[int(np.argmax(states))]:.2f} THz"
        for name, states in first.by_species.items()
    ]
    text = (
        "Vibrational density of states in states per THz from the velocities of the trajectory, by species. Unlike "
        "that of the phonons it holds all anharmonicity, and hops: what is left at zero frequency is diffusion. "
    )
    if any(record.by_direction for record in data):
        text += "Light: along one direction, times three. "
    if any(record.by_site for record in data):
        text += (
            "Thin: all atoms of one crystallographic site; those of ions that hop are named after where they began. "
        )
    text += f"Highest peaks at {first.temperature:g} K: {listing(peaks)}."
    return Caption(
        "Vibrations in the trajectory", text, f"Density of states of the trajectory; highest peaks: {listing(peaks)}."
    )
