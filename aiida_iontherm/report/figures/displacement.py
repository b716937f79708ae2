"""Mean-square displacement of every species."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_iontherm.report.figures.caption import Caption, listing
from aiida_iontherm.report.model import MsdData
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

_PER_ROW = 3
_WINDOW = "#E6E6E0"


def msd(data: Sequence[MsdData]) -> tuple[Figure, Columns]:
    """Draw the diagonal components of the mean-square displacement, doubly logarithmic.

    Parameters
    ----------
    data
        One record per species and temperature, in Angstrom^2 and ps.

    Returns
    -------
    Figure, dict
        One panel per temperature. Of mobile ions all directions; of the framework, the mean over directions. The fit
        window is shaded, a short line has the slope of diffusion; columns stacked.
    """
    temperatures = sorted({record.temperature for record in data})
    across = min(len(temperatures), _PER_ROW)
    down = -(-len(temperatures) // _PER_ROW)
    figure, axes = panels(down, across, 3.0 if down == 1 else 2.5, sharey=True)
    colours = _colours(data)
    for temperature, ax in zip(temperatures, axes.flat, strict=False):
        _panel(ax, [record for record in data if record.temperature == temperature], colours)
        ax.set_title(f"{temperature:g} K")
    for ax in axes.flat[len(temperatures) :]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("MSD per direction (Å²)")
    handles: list[Any] = []
    for ion in dict.fromkeys(record.ion for record in data):
        if any(record.mobile for record in data if record.ion == ion):
            handles += [
                Line2D([], [], color=colours[ion], linestyle=LINES[name], label=f"{ion} {name}") for name in DIRECTIONS
            ]
        else:
            handles.append(Line2D([], [], color=colours[ion], linewidth=1.1, label=ion))
    handles.append(Line2D([], [], color=QUIET, linewidth=0.8, label="slope 1"))
    if any(record.window_ps is not None for record in data):
        handles.append(Patch(facecolor=_WINDOW, edgecolor=QUIET, linewidth=0.4, label="fit window of D"))
    figure_legend(figure, handles, columns=min(len(handles), 8))
    return figure, long_form([_columns(record) for record in data])


def _colours(data: Sequence[MsdData]) -> dict[str, str]:
    """Black for the mobile ions, which matter most."""
    colours: dict[str, str] = {}
    for record in data:
        if record.ion not in colours:
            framework = sum(colour != TOTAL for colour in colours.values())
            colours[record.ion] = TOTAL if record.mobile else SPECIES[framework % len(SPECIES)]
    return colours


def _panel(ax: Axes, records: Sequence[MsdData], colours: dict[str, str]) -> None:
    top: tuple[float, float] | None = None
    for record in records:
        # Logarithms leave out lag 0, and atoms that are held.
        shown = np.asarray(record.lags_ps) > 0
        lags, values = np.asarray(record.lags_ps)[shown], np.where(record.msd > 0, record.msd, np.nan)[shown]
        if not len(lags):
            continue
        if record.window_ps is not None:
            ax.axvspan(*record.window_ps, color=_WINDOW, linewidth=0, zorder=0)
        if record.mobile:
            for axis, direction in enumerate(DIRECTIONS):
                ax.plot(lags, values[:, axis], color=colours[record.ion], linestyle=LINES[direction])
        else:
            ax.plot(lags, values.mean(axis=1), color=colours[record.ion], linewidth=1.1)
        highest = float(np.nanmax(values[-1])) if np.isfinite(values[-1]).any() else 0.0
        if highest > 0 and (top is None or highest > top[1]):
            top = (float(lags[-1]), highest)
    ax.set_xscale("log")
    ax.set_yscale("log")
    if top is not None:
        # Over the last half decade, clear above the highest curve.
        end = np.array([top[0] / 10**0.5, top[0]])
        ax.plot(end, 2.2 * top[1] * end / top[0], color=QUIET, linewidth=0.8)
    ax.set_xlabel("time lag (ps)")
    ax.margins(x=0)
    ax.set_facecolor("none")
    grid(ax)


def _columns(record: MsdData) -> Columns:
    lags = np.asarray(record.lags_ps)
    return {
        "species": np.full(len(lags), record.ion),
        "temperature_K": np.full(len(lags), record.temperature),
        "lag_ps": lags,
        **{f"msd_{direction}_A2": record.msd[:, axis] for axis, direction in enumerate(DIRECTIONS)},
    }


def describe_msd(data: Sequence[MsdData]) -> Caption:
    """Say what the displacement figure shows."""
    ends = [
        f"{record.ion} {record.msd[-1].sum():.2g} Å² after {record.lags_ps[-1]:.3g} ps at {record.temperature:g} K"
        for record in data
        if record.mobile or not any(other.mobile for other in data)
    ]
    text = (
        "Mean-square displacement in Å² along one direction against the time lag in ps, both on logarithmic scales. "
        "A flat curve is an atom rattling in its cage, a line that rises like the short grey one is diffusion, with "
        "MSD = 2Dt."
    )
    if any(not record.mobile for record in data):
        text += " The framework (mean over the directions) must stay flat: where it rises, the crystal melts."
    if any(record.window_ps is not None for record in data):
        text += " Shaded: the lags from which D was fitted."
    text += f" Sum over the directions at the longest lag: {listing(ends)}."
    return Caption("How far the ions move", text, f"Mean-square displacements: {listing(ends)}.")
