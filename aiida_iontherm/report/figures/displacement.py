"""Mean-square displacement of the mobile ions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_iontherm.report.figures.caption import Caption, listing
from aiida_iontherm.report.model import MsdData
from aiida_iontherm.report.style import (
    ACCENT,
    DIRECTIONS,
    LINES,
    MARKERS,
    QUIET,
    TOTAL,
    Columns,
    figure_legend,
    grid,
    long_form,
    panels,
)

_PER_ROW = 3
_SHADES = {"x": TOTAL, "y": ACCENT, "z": "#882255"}


def msd(data: Sequence[MsdData]) -> tuple[Figure, Columns]:
    """Draw the diagonal components of the mean-square displacement.

    Parameters
    ----------
    data
        One record per species and temperature, in Angstrom^2 and ps.

    Returns
    -------
    Figure, dict
        One panel per record, each with its own vertical scale; the fit window is shaded; columns stacked.
    """
    across = min(len(data), _PER_ROW)
    down = -(-len(data) // _PER_ROW)
    figure, axes = panels(down, across, 2.7 if down == 1 else 2.3)
    parts = []
    for record, ax in zip(data, axes.flat, strict=False):
        lags = np.asarray(record.lags_ps)
        columns: Columns = {
            "ion": np.full(len(lags), record.ion),
            "temperature_K": np.full(len(lags), record.temperature),
            "lag_ps": lags,
        }
        if record.window_ps is not None:
            ax.axvspan(*record.window_ps, color="#EFEFEA", linewidth=0)
        for axis, direction in enumerate(DIRECTIONS):
            columns[f"msd_{direction}_A2"] = record.msd[:, axis]
            ax.plot(
                lags,
                record.msd[:, axis],
                color=_SHADES[direction],
                linestyle=LINES[direction],
                marker=MARKERS[direction],
                markevery=max(len(lags) // 6, 1),
            )
        ax.set_title(f"{record.ion}, {record.temperature:g} K")
        ax.set_xlabel("time lag (ps)")
        ax.set_ylim(bottom=0)
        ax.margins(x=0)
        grid(ax)
        parts.append(columns)
    for ax in axes.flat[len(data) :]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("MSD (Å²)")
    handles: list[Any] = [
        Line2D([], [], color=_SHADES[name], linestyle=LINES[name], marker=MARKERS[name], label=name)
        for name in DIRECTIONS
    ]
    if any(record.window_ps is not None for record in data):
        handles.append(Patch(facecolor="#EFEFEA", edgecolor=QUIET, linewidth=0.4, label="fit window of D"))
    figure_legend(figure, handles)
    return figure, long_form(parts)


def describe_msd(data: Sequence[MsdData]) -> Caption:
    """Say what the displacement figure shows."""
    ends = [
        f"{record.ion} {record.msd[-1].sum():.2g} Å² after {record.lags_ps[-1]:.3g} ps at {record.temperature:g} K"
        for record in data
    ]
    text = (
        f"Mean-square displacement in Å² along each direction against the time lag in ps"
        f"{'; vertical scales differ' if len(data) > 1 else ''}. "
        "A flat curve is an ion rattling in its cage, a rising straight line is diffusion, with slope 2D."
    )
    if any(record.window_ps is not None for record in data):
        text += " Shaded: the lags from which D was fitted."
    text += f" Sum over the directions at the longest lag: {listing(ends)}."
    return Caption("How far the ions move", text, f"Mean-square displacements: {listing(ends)}.")
