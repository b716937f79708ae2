"""Van Hove functions and the non-Gaussian parameter."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from aiida_iontherm.physics.ions.van_hove import VanHove
from aiida_iontherm.report.figures.caption import Caption
from aiida_iontherm.report.style import TOTAL, Columns, grid, long_form, panels

_CURVES = 5


def van_hove_functions(data: VanHove, ion: str) -> tuple[Figure, Columns]:
    """Draw how far ions went, who stands where they were, and how far from Gaussian it is.

    Parameters
    ----------
    data
        At some lags, the shortest first.
    ion
        Symbol.

    Returns
    -------
    Figure, dict
        Self part times 4 pi r^2, distinct part over the density at large distance, alpha_2 against the lag; columns
        stacked by lag.
    """
    figure, axes = panels(1, 3 if data.distinct_part is not None else 2, 2.8)
    row = axes[0]
    chosen = np.unique(np.linspace(0, len(data.lags_ps) - 1, min(_CURVES, len(data.lags_ps))).round().astype(int))
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(chosen)))
    parts: list[Columns] = []
    for colour, i in zip(colours, chosen, strict=True):
        label = f"{data.lags_ps[i]:.3g} ps"
        row[0].plot(data.r_A, 4 * np.pi * data.r_A**2 * data.self_part[i], color=colour, label=label)
        if data.distinct_part is not None:
            row[1].plot(data.r_A, data.distinct_part[i], color=colour)
    for i, lag in enumerate(data.lags_ps):
        part = {"lag_ps": np.full(len(data.r_A), lag), "r_A": data.r_A, "self_per_A3": data.self_part[i]}
        if data.distinct_part is not None:
            part["distinct_per_A3"] = data.distinct_part[i]
        part["alpha_2"] = np.full(len(data.r_A), data.non_gaussian[i])
        parts.append(part)
    # the vibration at short lags is narrow and high; hops show below it
    row[0].set_yscale("log")
    row[0].set_ylim(bottom=1e-4)
    row[0].set_ylabel("4πr²G$_s$ (1/Å)")
    row[0].set_title(f"{ion} after a time")
    row[0].legend(loc="upper right", handlelength=1.2)
    row[0].set_xlabel("distance (Å)")
    if data.distinct_part is not None:
        row[1].set_ylabel("G$_d$ (1/Å³)")
        row[1].set_title("others where it was")
        row[1].set_xlabel("distance (Å)")
        row[1].set_ylim(bottom=0)
    row[-1].semilogx(data.lags_ps, data.non_gaussian, color=TOTAL, marker="o")
    row[-1].axhline(0, color="#C8C8C4", linewidth=0.8)
    row[-1].set_xlabel("time lag (ps)")
    row[-1].set_ylabel("α$_2$")
    row[-1].set_title("non-Gaussian parameter")
    for ax in row:
        grid(ax)
    return figure, long_form(parts)


def describe_van_hove(data: VanHove, ion: str) -> Caption:
    """Say what the curves show."""
    peak = int(np.nanargmax(data.non_gaussian)) if np.isfinite(data.non_gaussian).any() else 0
    text = (
        f"Left: distribution of the distances {ion} ions went in a time (self van Hove function times 4πr²). Hops "
        "between sites show as maxima at their distances, beside the vibration at the origin. "
    )
    if data.distinct_part is not None:
        text += "Middle: density of other ions around the place where an ion was; what fills r = 0 took its place. "
    text += "Right: 0 is diffusion or harmonic vibration; a maximum is a time in which some ions hop and others do not."
    where = f"largest non-Gaussian parameter {data.non_gaussian[peak]:.2g} at {data.lags_ps[peak]:.3g} ps"
    return Caption(f"How {ion} moves", text, f"Van Hove functions of {ion}: {where}.")
