"""Profiles of the temperature under heat exchange, and the extrapolation to infinite length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_iontherm.physics.heat import LengthExtrapolation, Nemd
from aiida_iontherm.report.figures.caption import Caption, listing
from aiida_iontherm.report.format import format_number
from aiida_iontherm.report.style import (
    ACCENT,
    QUIET,
    SHADE,
    SPECIES,
    TOTAL,
    Columns,
    figure_legend,
    grid,
    long_form,
    panels,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class NemdData:
    """What the figure shows: cells of several lengths, and the extrapolation where there are two or more."""

    cells: Sequence[Nemd]
    extrapolation: LengthExtrapolation | None = None

    def __post_init__(self) -> None:
        if not self.cells:
            raise ValueError("NemdData needs at least one cell")


def nemd_profiles(data: NemdData) -> tuple[Figure, Columns]:
    """Draw temperatures with the fitted lines, and 1/kappa against 1/L or, for one cell, the gradient in time.

    Returns
    -------
    Figure, dict
        Left: temperature of each slab of the longest cell with its error bar, lines through the fitted slabs (filled;
        open ones are left out), reservoirs shaded. Right: 1/kappa against 1/L with the line and its error, or the
        gradient of each block with its mean, the start that was left out shaded. Columns: temperatures of all cells,
        in long form.
    """
    figure, axes = panels(1, 2, 3.0)
    left, right = axes[0]
    longest = max(data.cells, key=lambda cell: cell.length_A)
    _temperatures(left, longest)
    handles = [
        Line2D([], [], color=SPECIES[0], marker="o", linestyle="none", label="fitted slabs"),
        Line2D([], [], color=SPECIES[0], marker="o", mfc="white", linestyle="none", label="left out"),
        Line2D([], [], color=TOTAL, label="lines"),
    ]
    if data.extrapolation is None:
        _gradient(right, longest)
        handles.append(Patch(facecolor=SHADE, edgecolor=QUIET, linewidth=0.4, label="reservoirs, start"))
    else:
        _line(right, data.extrapolation)
        handles.append(Patch(facecolor=SHADE, edgecolor=QUIET, linewidth=0.4, label="reservoirs"))
    figure_legend(figure, handles)
    return figure, long_form([_columns(cell) for cell in data.cells])


def _temperatures(ax: Axes, cell: Nemd) -> None:
    x, t, error = cell.positions_A, cell.temperatures, cell.temperature_uncertainties
    half = float(x[1] - x[0]) / 2
    for reservoir in (0, len(x) // 2):
        ax.axvspan(x[reservoir] - half, x[reservoir] + half, color=SHADE, linewidth=0, zorder=0)
    fitted = np.zeros(len(x), dtype=bool)
    fitted[cell.fitted] = True
    for chosen, face in ((fitted, SPECIES[0]), (~fitted, "white")):
        ax.errorbar(x[chosen], t[chosen], yerr=error[chosen], fmt="o", color=SPECIES[0], mfc=face, ms=4, elinewidth=0.9)
    for slabs, gradient in zip(cell.fitted, cell.gradients, strict=True):
        ends = np.array([x[slabs[0]], x[slabs[-1]]])
        middle = x[slabs].mean()
        fall = np.sign(ends[1] - ends[0]) * gradient
        ax.plot(ends, t[slabs].mean() - fall * (ends - middle), color=TOTAL, zorder=3)
    ax.set_xlim(0, x[-1] + half)
    ax.set_xlabel("position along the normal of the slabs (Å)")
    ax.set_ylabel("temperature (K)")
    ax.set_title(f"L = {cell.length_A:.4g} Å")
    grid(ax)


def _gradient(ax: Axes, cell: Nemd) -> None:
    series = cell.gradient_series
    times = (np.arange(len(series)) + 0.5) * cell.block_ps
    ax.axvspan(0, cell.left_out_ps, color=SHADE, linewidth=0, zorder=0)
    ax.plot(times, series, color=QUIET, linewidth=0.6)
    ax.plot([cell.left_out_ps, times[-1]], [cell.gradient] * 2, color=TOTAL)
    ax.set_xlim(0, times[-1])
    ax.set_xlabel("time with heat exchange (ps)")
    ax.set_ylabel("gradient (K/Å)")
    ax.set_title("gradient of both halves")
    grid(ax)


def _line(ax: Axes, fit: LengthExtrapolation) -> None:
    x = np.linspace(0, 1.08 / fit.lengths_A[0], 100)
    y, error = fit.line(x)
    ax.fill_between(x, y - error, y + error, color=ACCENT, alpha=0.15, linewidth=0)
    ax.plot(x, y, color=ACCENT)
    ax.errorbar(
        1 / fit.lengths_A,
        1 / fit.kappas,
        yerr=fit.uncertainties / fit.kappas**2,
        fmt="o",
        color=TOTAL,
        ms=4,
        elinewidth=0.9,
        capsize=2,
    )
    if np.isfinite(fit.kappa):
        ax.errorbar([0], [fit.intercept], yerr=[np.sqrt(fit.covariance[0, 0])], fmt="D", color=ACCENT, ms=5, capsize=2)
    ax.set_xlim(-0.03 * x[-1], x[-1])
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel("1/L (1/Å)")
    ax.set_ylabel("1/κ (m K/W)")
    ax.set_title("extrapolation")
    grid(ax)


def _columns(cell: Nemd) -> Columns:
    count = len(cell.positions_A)
    fitted = np.zeros(count, dtype=bool)
    fitted[cell.fitted] = True
    return {
        "length_A": np.full(count, cell.length_A),
        "position_A": cell.positions_A,
        "temperature_K": cell.temperatures,
        "uncertainty_K": cell.temperature_uncertainties,
        "fitted": fitted.astype(int),
    }


def describe_nemd(data: NemdData) -> Caption:
    """Say what the figure of the heat exchange shows."""
    longest = max(data.cells, key=lambda cell: cell.length_A)
    values = listing([f"{format_number(cell.kappa, cell.uncertainty)} at {cell.length_A:.4g} Å" for cell in data.cells])
    fit = data.extrapolation
    right, end = "Right: gradient in time, its start left out. ", f"κ in W/(m K): {values}."
    if fit is not None:
        right = "Right: 1/κ against 1/L with the line through it and its standard error. "
        if np.isfinite(fit.kappa):
            end += f" Infinite length: {format_number(fit.kappa, fit.uncertainty)}."
    text = (
        f"Left: temperature of the slabs of the longest cell, reservoirs {longest.length_A:.4g} Å apart, with lines "
        f"through those clear of the reservoirs. {right}{end}"
    )
    return Caption("Heat exchange", text, f"Temperature profile and extrapolation of heat exchange: {end}")
