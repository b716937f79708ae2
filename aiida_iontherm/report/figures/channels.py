"""Lattice thermal conductivity by channel and direction."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_iontherm.report.figures.caption import Caption, listing, percent
from aiida_iontherm.report.format import format_number
from aiida_iontherm.report.model import KappaData
from aiida_iontherm.report.style import (
    DIRECTIONS,
    LINES,
    MARKERS,
    PARTICLE,
    TOTAL,
    WAVE,
    Columns,
    figure_legend,
    grid,
    panels,
)

_CHANNELS = (("particle", "particle-like", PARTICLE), ("wave", "wave-like", WAVE), ("total", "total", TOTAL))
_UNIT = "W/(m K)"


def _columns(data: KappaData) -> Columns:
    columns: Columns = {"temperature_K": np.asarray(data.temperatures)}
    for channel, _, _ in _CHANNELS:
        for axis, direction in enumerate(DIRECTIONS):
            columns[f"kappa_{channel}_{direction}_W_per_mK"] = getattr(data, channel)[:, axis, axis]
    if data.uncertainty is not None:
        for axis, direction in enumerate(DIRECTIONS):
            columns[f"uncertainty_total_{direction}_W_per_mK"] = data.uncertainty[:, axis, axis]
    return columns


def _bars(data: KappaData) -> Figure:
    """Draw stacked channels with the total above them, for a single temperature."""
    figure, axes = panels(1, 1, 2.9)
    ax = axes[0, 0]
    place = np.arange(3)
    parts = {channel: np.diagonal(getattr(data, channel)[0]) for channel, _, _ in _CHANNELS}
    error = None if data.uncertainty is None else np.diagonal(data.uncertainty[0])
    ax.bar(place, parts["particle"], 0.42, color=PARTICLE)
    ax.bar(place, parts["wave"], 0.42, bottom=parts["particle"], color=WAVE)
    ax.errorbar(place, parts["total"], yerr=error, fmt="D", color=TOTAL, markersize=4, capsize=3, elinewidth=1.2)
    for axis in range(3):
        text = format_number(parts["total"][axis], None if error is None else error[axis])
        ax.annotate(
            text,
            (place[axis] + 0.21, parts["total"][axis]),
            xytext=(5, 0),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=TOTAL,
        )
    ax.set_xticks(place, DIRECTIONS)
    ax.set_xlim(-0.5, 2.75)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(f"κ ({_UNIT})")
    ax.set_xlabel("direction")
    grid(ax)
    figure_legend(
        figure,
        [
            Patch(color=PARTICLE, label="particle-like"),
            Patch(color=WAVE, label="wave-like"),
            Line2D([], [], color=TOTAL, marker="D", linestyle="none", markersize=4, label="total"),
        ],
    )
    return figure


def _curves(data: KappaData) -> Figure:
    """Draw one panel per direction against temperature."""
    figure, axes = panels(1, 3, 2.9, sharey=True)
    for axis, direction in enumerate(DIRECTIONS):
        ax = axes[0, axis]
        for channel, _, colour in _CHANNELS:
            curve = getattr(data, channel)[:, axis, axis]
            ax.plot(data.temperatures, curve, color=colour, linestyle=LINES[direction], marker=MARKERS[direction])
        if data.uncertainty is not None:
            middle, error = data.total[:, axis, axis], data.uncertainty[:, axis, axis]
            ax.fill_between(data.temperatures, middle - error, middle + error, color=TOTAL, alpha=0.13, linewidth=0)
        ax.set_title(f"along {direction}")
        ax.set_xlabel("temperature (K)")
        ax.margins(x=0.07)
        grid(ax)
    axes[0, 0].set_ylabel(f"κ ({_UNIT})")
    # After all panels are drawn: the panels share the axis, and setting one end stops it from growing.
    axes[0, 0].set_ylim(bottom=0)
    figure_legend(figure, [Line2D([], [], color=colour, linewidth=2, label=name) for _, name, colour in _CHANNELS])
    for ax in axes[0, 1:]:
        ax.tick_params(left=False)
        ax.spines["left"].set_visible(False)
    return figure


def kappa_by_channel(data: KappaData) -> tuple[Figure, Columns]:
    """Draw the diagonal components of kappa by channel.

    Parameters
    ----------
    data
        Tensors in W/(m K).

    Returns
    -------
    Figure, dict
        Curves against temperature, or stacked bars where there is only one temperature; columns of the same
        numbers.
    """
    return (_bars(data) if len(data.temperatures) == 1 else _curves(data)), _columns(data)


def describe_kappa_by_channel(data: KappaData) -> Caption:
    """Say what the conductivity figure shows."""
    pick = int(np.argmin(np.abs(np.asarray(data.temperatures) - 300.0)))
    temperature = f"{data.temperatures[pick]:g} K"
    wave, total = np.diagonal(data.wave[pick]), np.diagonal(data.total[pick])
    shares = [
        f"{percent(w / t)} along {direction}" for direction, w, t in zip(DIRECTIONS, wave, total, strict=True) if t > 0
    ]
    text = (
        f"Lattice thermal conductivity in {_UNIT}: particle-like (populations, blue), wave-like (coherences, orange) "
        f"and their total (black)"
    )
    text += " at one temperature." if len(data.temperatures) == 1 else " against temperature, one panel per direction."
    if data.uncertainty is not None:
        mark = "Error bars" if len(data.temperatures) == 1 else "The grey band"
        text += f" {mark}: one standard error of the total."
    if shares:
        text += f" At {temperature} the wave channel carries {listing(shares)}."
    numbers = [f"{direction} {format_number(t)}" for direction, t in zip(DIRECTIONS, total, strict=True)]
    return Caption(
        "Thermal conductivity by channel",
        text,
        f"Plot of thermal conductivity by channel; total at {temperature}: {listing(numbers)} {_UNIT}.",
    )
