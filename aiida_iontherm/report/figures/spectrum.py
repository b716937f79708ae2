"""Conductivity resolved by frequency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aiida_iontherm.report.figures.caption import Caption, listing
from aiida_iontherm.report.model import SpectralData
from aiida_iontherm.report.style import (
    DIRECTIONS,
    LINES,
    PARTICLE,
    WAVE,
    Columns,
    figure_legend,
    grid,
    long_form,
    panels,
)

_CHANNELS = (("particle", "particle-like", PARTICLE), ("wave", "wave-like", WAVE))


def spectral_kappa(data: Sequence[SpectralData]) -> tuple[Figure, Columns]:
    """Draw the diagonal components of the spectral conductivity.

    Parameters
    ----------
    data
        One record per temperature, in W/(m K) per THz.

    Returns
    -------
    Figure, dict
        One row of panels per temperature, one panel per direction; columns stacked by temperature.
    """
    figure, axes = panels(len(data), 3, 2.3 if len(data) > 1 else 2.7, sharex=True, sharey="row")
    parts = []
    for row, record in enumerate(data):
        columns: Columns = {
            "temperature_K": np.full(len(record.frequencies_thz), record.temperature),
            "frequency_THz": record.frequencies_thz,
        }
        for axis, direction in enumerate(DIRECTIONS):
            ax = axes[row, axis]
            for channel, _, colour in _CHANNELS:
                density = getattr(record, channel)[:, axis]
                columns[f"kappa_{channel}_{direction}_W_per_mK_THz"] = density
                ax.fill_between(record.frequencies_thz, density, color=colour, alpha=0.16, linewidth=0)
                ax.plot(record.frequencies_thz, density, color=colour, linestyle=LINES[direction])
            ax.set_title(f"{direction}, {record.temperature:g} K")
            ax.margins(x=0.01)
            grid(ax)
            if row == len(data) - 1:
                ax.set_xlabel("frequency (THz)")
        axes[row, 0].set_ylabel("dκ/dν (W/(m K) per THz)")
        # After the row is drawn: its panels share the axis, and setting one end stops it from growing.
        axes[row, 0].set_ylim(bottom=min(0.0, float(record.particle.min()), float(record.wave.min())))
        parts.append(columns)
    figure_legend(figure, [Line2D([], [], color=colour, linewidth=2, label=name) for _, name, colour in _CHANNELS])
    return figure, long_form(parts)


def _median_frequency(frequencies_thz: np.ndarray, density: np.ndarray) -> float | None:
    """Return the frequency below which half of the conductivity lies, or ``None`` where there is none."""
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(frequencies_thz)
    running = np.concatenate([[0.0], np.cumsum(steps)])
    if not running[-1] > 0:
        return None
    return float(np.interp(0.5, running / running[-1], frequencies_thz))


def describe_spectral_kappa(data: Sequence[SpectralData]) -> Caption:
    """Say what the spectral figure shows."""
    first = data[0]
    halves = []
    for channel, name, _ in _CHANNELS:
        half = _median_frequency(np.asarray(first.frequencies_thz), getattr(first, channel).sum(axis=1))
        if half is not None:
            halves.append(f"{half:.2f} THz for the {name} channel")
    temperatures = listing([f"{record.temperature:g} K" for record in data])
    text = (
        f"Thermal conductivity per frequency, in W/(m K) per THz, at {temperatures}: particle-like blue, wave-like "
        "orange, one panel per direction. The area under a curve is the conductivity of the channel."
    )
    if halves:
        text += f" At {first.temperature:g} K half of the direction-averaged heat is carried below {listing(halves)}."
    return Caption("Which frequencies carry heat", text, f"Spectral thermal conductivity by channel at {temperatures}.")
