"""Occupation of the vibration that carries an ion over its barrier."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_iontherm.physics.units import H_EV_THZ, KB_EV
from aiida_iontherm.report.figures.caption import Caption
from aiida_iontherm.report.format import format_number
from aiida_iontherm.report.model import OccupationData
from aiida_iontherm.report.style import ACCENT, QUIET, TOTAL, Columns, figure_legend, grid, panels


def _tail(data: OccupationData) -> float:
    """Return P(n >= n_c) = exp(-n_c h nu / k T) of a harmonic vibration."""
    return float(np.exp(-data.n_critical * H_EV_THZ * data.frequency_thz / (KB_EV * data.temperature)))


def occupation(data: OccupationData) -> tuple[Figure, Columns]:
    """Draw the probability of n quanta, with the equilibrium and the critical number.

    Parameters
    ----------
    data
        Probabilities of n quanta of one frequency at one temperature.

    Returns
    -------
    Figure, dict
        One panel with a logarithmic probability axis.
    """
    figure, axes = panels(1, 1, 2.9)
    ax = axes[0, 0]
    n, probability = np.asarray(data.n), np.asarray(data.probability)
    enough = n >= data.n_critical
    ax.bar(n[~enough], probability[~enough], 0.8, color="#C9C9C4")
    ax.bar(n[enough], probability[enough], 0.8, color=ACCENT)
    ax.axvline(data.n0, color=TOTAL, linewidth=1.2, linestyle=(0, (5, 2)))
    ax.axvline(data.n_critical - 0.5, color=ACCENT, linewidth=1.2)
    ax.set(yscale="log", xlabel="number of quanta n", ylabel="probability P(n)")
    ax.set_xlim(-0.8, max(float(n.max()) + 0.8, data.n_critical + 1.0))
    grid(ax)
    figure_legend(
        figure,
        [
            Line2D([], [], color=TOTAL, linewidth=1.2, linestyle=(0, (5, 2)), label=f"mean n₀ = {data.n0:.2f}"),
            Patch(facecolor="#C9C9C4", edgecolor=QUIET, linewidth=0.4, label="too few quanta"),
            Patch(color=ACCENT, label=f"enough: n ≥ {data.n_critical}"),
        ],
    )
    return figure, {"n": n, "probability": probability}


def describe_occupation(data: OccupationData) -> Caption:
    """Say what the occupation figure shows."""
    share = format_number(_tail(data))
    text = (
        f"Probability of finding n quanta in a vibration of {data.frequency_thz:.3g} THz "
        f"({1e3 * H_EV_THZ * data.frequency_thz:.3g} meV) at {data.temperature:g} K, on a logarithmic scale. "
        f"An ion needs n_c = {data.n_critical} quanta to reach the activation energy; on average it has "
        f"n₀ = {data.n0:.2f}. The share of the time with enough is exp(−n_c hν/kT) = {share}."
    )
    alt = f"Bars of the occupation probability falling with n; P(n ≥ {data.n_critical}) = {share}."
    return Caption("Quanta needed for a hop", text, alt)
