"""Running Green-Kubo integral with its plateau."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.report.figures.caption import Caption, listing
from aiida_iontherm.report.format import direction_text, format_number
from aiida_iontherm.report.model import GreenKuboData
from aiida_iontherm.report.style import (
    ACCENT,
    DIRECTIONS,
    QUIET,
    SHADE,
    TOTAL,
    WAVE,
    Columns,
    figure_legend,
    grid,
    panels,
)

_POINTS = 400
_COLOURS = {"kappa_green_kubo": TOTAL, "kappa_cepstral": ACCENT, "kappa_onsager": WAVE}
_WORDS = {"kappa_green_kubo": "plateau", "kappa_cepstral": "cepstral", "kappa_onsager": "zero ion flux"}


def running_integral(data: GreenKuboData) -> tuple[Figure, Columns]:
    """Draw the running integral along x, y and z and the values read from it.

    Returns
    -------
    Figure, dict
        One panel per direction: integral with one standard error, window of the plateau shaded, and estimates with
        error bars at the right edge. Columns: lag, and kappa with its error per direction.
    """
    figure, axes = panels(1, 3, 2.9, sharey=True)
    last = len(data.lags_ps) - 1
    chosen = np.unique(np.round(np.geomspace(1, last, min(_POINTS, last))).astype(int))
    lags = data.lags_ps[chosen]
    low, high = [0.0], [0.0]
    names: list[str] = []
    for axis, (direction, ax) in enumerate(zip(DIRECTIONS, axes[0], strict=True)):
        kappa, error = data.kappa[chosen, axis], data.uncertainty[chosen, axis]
        ax.axvspan(*data.window_ps, color=SHADE, linewidth=0, zorder=0)
        ax.fill_between(lags, kappa - error, kappa + error, color=TOTAL, alpha=0.15, linewidth=0)
        ax.plot(lags, kappa, color=TOTAL)
        settled = lags <= data.window_ps[1]
        low.append(float(kappa[settled].min(initial=0.0)))
        high.append(float(kappa[settled].max(initial=0.0)))
        own = _estimates(data, direction)
        for number, quantity in enumerate(own):
            names.append(quantity.name)
            where = data.window_ps[1] * 1.25 * 1.35**number
            value, spread = float(quantity.value or 0.0), quantity.uncertainty or 0.0
            ax.errorbar([where], [value], yerr=[spread], fmt="D", color=_colour(quantity.name), ms=4, capsize=2)
            low.append(value - spread)
            high.append(value + spread)
        ax.set_xscale("log")
        ax.set_xlim(float(lags[0]), data.window_ps[1] * 1.25 * 1.35 ** max(len(own), 1))
        ax.set_xlabel("time lag (ps)")
        ax.set_title(f"along {direction}")
        grid(ax)
    # Noise at lags beyond the window may be many times the value.
    span = max(high) - min(low)
    axes[0, 0].set_ylim(min(low) - 0.05 * span, max(high) + 0.1 * span)
    axes[0, 0].set_ylabel("κ (W/(m K))")
    handles: list[Any] = [Line2D([], [], color=TOTAL, label="running integral")]
    handles += [
        Line2D([], [], color=_colour(name), marker="D", linestyle="none", markersize=4, label=_word(name))
        for name in dict.fromkeys(names)
    ]
    handles.append(Patch(facecolor=SHADE, edgecolor=QUIET, linewidth=0.4, label="lags averaged"))
    figure_legend(figure, handles)
    columns: Columns = {"lag_ps": lags}
    for axis, direction in enumerate(DIRECTIONS):
        columns[f"kappa_{direction}_W_per_mK"] = data.kappa[chosen, axis]
        columns[f"uncertainty_{direction}_W_per_mK"] = data.uncertainty[chosen, axis]
    return figure, columns


def _estimates(data: GreenKuboData, direction: str) -> list[Quantity]:
    """Estimates along a direction; where there is only the average over equivalent ones, that."""
    along = {
        q.name: q
        for q in data.others
        # Equivalent directions share an estimate, xy; of a tensor that would be another component.
        if direction_text(q.direction) == direction
        or (q.name != "kappa_green_kubo" and q.direction in ("xy", "xz", "yz") and direction in q.direction)
    }
    average = {q.name: q for q in data.others if direction_text(q.direction) == "average"}
    return [quantity for quantity in (average | along).values() if quantity.value is not None]


def _colour(name: str) -> str:
    return _COLOURS.get(name, "#882255")


def _word(name: str) -> str:
    return _WORDS.get(name, name.removeprefix("kappa_").replace("_", " "))


def describe_running_integral(data: GreenKuboData) -> Caption:
    """Say what the running integral shows."""
    first, last = data.window_ps
    values = [
        f"{_word(q.name)} {format_number(q.value, q.uncertainty)}"
        for q in data.others
        if q.value is not None and direction_text(q.direction) == "average"
    ]
    text = (
        f"Running Green–Kubo integral of the bare heat current at {data.temperature:g} K against the time lag, with "
        f"one standard error. Shaded: {first:.3g} to {last:.3g} ps, over which the plateau is averaged; beyond, the "
        "noise grows. Diamonds at the right: estimates with one standard error."
    )
    if values:
        text += f" Averages over the directions in W/(m K): {listing(values)}."
    return Caption("Running Green–Kubo integral", text, f"Running integral of the heat current; {listing(values)}.")
