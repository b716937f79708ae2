"""Phonon lifetimes against the limits of the particle and of the phonon picture."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aiida_iontherm.physics.lattice.regimes import OVERDAMPED, PARTICLE_LIKE, WAVE_LIKE, classify, ioffe_regel_ps
from aiida_iontherm.report.figures.caption import Caption, percent
from aiida_iontherm.report.format import format_number
from aiida_iontherm.report.model import LifetimeData
from aiida_iontherm.report.style import (
    PARTICLE,
    RASTER_FROM,
    TOTAL,
    WAVE,
    Columns,
    figure_legend,
    grid,
    panels,
)

_REGIMES = ((PARTICLE_LIKE, PARTICLE, "o"), (WAVE_LIKE, WAVE, "s"), (OVERDAMPED, TOTAL, "x"))


def _visible(data: LifetimeData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequencies, lifetimes and weights of the modes that have both, i.e. without imaginary and rigid modes."""
    frequencies, lifetimes_ps = np.asarray(data.frequencies_thz, float), np.asarray(data.lifetimes_ps, float)
    chosen = (frequencies > 0) & (lifetimes_ps > 0) & np.isfinite(lifetimes_ps)
    weights = np.ones(len(frequencies)) if data.weights is None else np.asarray(data.weights, float)
    return frequencies[chosen], lifetimes_ps[chosen], weights[chosen]


def lifetimes(data: LifetimeData) -> tuple[Figure, Columns]:
    """Draw lifetimes against frequency with the Wigner and Ioffe-Regel limits.

    The limits in time follow Simoncelli et al., Phys. Rev. X 12, 041011 (2022): modes that live longer than
    1/(average band spacing) propagate like particles, shorter ones interfere like waves; below 1/omega a mode
    does not live for one oscillation.

    Parameters
    ----------
    data
        Lifetimes in ps; modes without a positive frequency and a finite lifetime are left out.

    Returns
    -------
    Figure, dict
        One panel with a logarithmic time axis; columns with the limits and the regime of each mode.

    Raises
    ------
    ValueError
        If no mode has a positive frequency and a finite lifetime.
    """
    frequencies, taus, weights = _visible(data)
    if not len(frequencies):
        raise ValueError("no mode has a positive frequency and a finite lifetime: leave the lifetimes out")
    regime = classify(frequencies, taus, data.wigner_limit_ps)
    figure, axes = panels(1, 1, 3.4)
    ax = axes[0, 0]
    handles = []
    many = len(frequencies) >= RASTER_FROM
    for name, colour, marker in _REGIMES:
        chosen = regime == name
        handles.append(Line2D([], [], linestyle="none", marker=marker, color=colour, label=name))
        ax.scatter(
            frequencies[chosen],
            taus[chosen],
            s=4 if many else 10,
            color=colour,
            marker=marker,
            alpha=0.9 if marker == "x" else 0.5,
            linewidths=0.7 if marker == "x" else 0,
            rasterized=many,
        )
    reach = np.linspace(float(frequencies.min()), float(frequencies.max()), 300)
    ax.axhline(data.wigner_limit_ps, color=TOTAL, linestyle=(0, (6, 3)), linewidth=1.2)
    ax.plot(reach, ioffe_regel_ps(reach), color=TOTAL, linewidth=1.2)
    handles.append(Line2D([], [], color=TOTAL, linestyle=(0, (6, 3)), linewidth=1.2, label="Wigner 1/Δω"))
    handles.append(Line2D([], [], color=TOTAL, linewidth=1.2, label="Ioffe–Regel 1/ω"))
    ax.set(yscale="log", xlabel="frequency (THz)", ylabel="lifetime (ps)")
    ax.set_xlim(left=0)
    # 1/omega diverges at the zone centre; the modes decide what is shown.
    low = min(float(taus.min()), float(ioffe_regel_ps(reach).min()))
    high = max(float(taus.max()), data.wigner_limit_ps)
    ax.set_ylim(low / 1.6, high * 1.6)
    grid(ax, "both")
    figure_legend(figure, handles)
    return figure, {
        "frequency_THz": frequencies,
        "lifetime_ps": taus,
        "wigner_limit_ps": np.full(len(taus), data.wigner_limit_ps),
        "ioffe_regel_limit_ps": ioffe_regel_ps(frequencies),
        "regime": regime,
        "weight": weights,
    }


def describe_lifetimes(data: LifetimeData) -> Caption:
    """Say what the lifetime figure shows."""
    frequencies, taus, weights = _visible(data)
    regime = classify(frequencies, taus, data.wigner_limit_ps)
    share = {name: percent(float(np.average(regime == name, weights=weights))) for name, _, _ in _REGIMES}
    text = (
        f"Phonon lifetimes in ps at {data.temperature:g} K against frequency in THz. Above the Wigner limit "
        f"(1/Δω = {format_number(data.wigner_limit_ps)} ps, dashed) a mode propagates like a particle, below it "
        f"interferes like a wave; below the Ioffe–Regel limit 1/ω (solid) it dies before one oscillation. "
        f"{share[PARTICLE_LIKE]} of the modes are particle-like, {share[WAVE_LIKE]} wave-like, "
        f"{share[OVERDAMPED]} overdamped."
    )
    hidden = np.size(data.frequencies_thz) - len(frequencies)
    if hidden:
        text += f" {hidden} modes without a positive frequency and a finite lifetime are not shown."
    alt = f"Lifetimes against frequency: {share[WAVE_LIKE]} of the modes lie in the wave-like regime."
    return Caption("Phonon lifetimes and transport regimes", text, alt)
