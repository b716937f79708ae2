"""Maps of S(Q, E) along a path, and cuts with fitted lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from aiida_iontherm.report.style import QUIET, TOTAL, WAVE, Columns, grid, long_form, panels

DECADES = 3.0
"""Of intensity that are shown."""

_BRIGHTER = 0.1
"""Share of the points whose lines may be brighter than the scale: beside a Bragg peak they grow without end."""

_CUTS_SHOWN = 9


@dataclass(frozen=True)
class ScatteringMap:
    """What a map is drawn from.

    Attributes
    ----------
    distances
        Along the path, or |Q|, in 1/Angstrom [Q].
    energies_mev
        [E].
    values
        S(Q, E) [Q, E].
    ticks
        Distances and labels of corners; empty for a powder.
    parts
        First points of the parts of the path.
    unit
        Of the values, without ``/meV``.
    title
        Of the picture.
    elastic_mev
        Energies nearer to zero do not count for the brightest line.
    modes_mev
        Energies of phonons to draw on top [Q, s], or ``None``.
    """

    distances: np.ndarray
    energies_mev: np.ndarray
    values: np.ndarray
    ticks: Sequence[tuple[float, str]]
    parts: Sequence[int]
    unit: str
    title: str
    elastic_mev: float = 0.0
    modes_mev: np.ndarray | None = None


@dataclass(frozen=True)
class Cut:
    """S(E) at one Q with its fit: label, energies, values, their errors (or ``None``), the fitted curve [E]."""

    label: str
    energies_mev: np.ndarray
    values: np.ndarray
    errors: np.ndarray | None
    model: np.ndarray


def scattering_map(data: ScatteringMap) -> tuple[Figure, Columns]:
    """Draw S(Q, E) in colours of a logarithmic scale.

    Returns
    -------
    Figure, dict
        The map, and its columns: distance, energy, value.
    """
    figure, axes = panels(1, 1, 3.8)
    ax = axes[0, 0]
    inelastic = np.abs(data.energies_mev) > data.elastic_mev
    top = _brightest(data.values[:, inelastic]) or _brightest(data.values) or 1.0
    norm = LogNorm(top * 10**-DECADES, top, clip=True)
    bounds = [*data.parts, len(data.distances)]
    mesh = None
    for first, last in pairwise(bounds):
        edges = _edges(data.distances[first:last])
        # Negative values, of noise, have no logarithm: they are below the scale.
        values = np.maximum(data.values[first:last].T, top * 1e-12)
        mesh = ax.pcolormesh(
            edges, _edges(data.energies_mev), values, norm=norm, cmap="viridis", rasterized=True, shading="flat"
        )
        if data.modes_mev is not None:
            ax.plot(data.distances[first:last], data.modes_mev[first:last], color="white", lw=0.4, alpha=0.6)
    if mesh is not None:
        figure.colorbar(
            mesh, ax=ax, label=f"S ({data.unit}/meV per atom)" if data.unit != "1" else "S (1/meV per atom)"
        )
    ax.set_ylabel("energy transfer (meV)")
    ax.set_ylim(data.energies_mev[0], data.energies_mev[-1])
    ax.set_title(data.title)
    if data.ticks:
        ax.set_xticks([at for at, _ in data.ticks], [label for _, label in data.ticks])
        for at, _ in data.ticks[1:-1]:
            ax.axvline(at, color="white", lw=0.5, alpha=0.6)
        ax.set_xlabel("scattering vector (reciprocal lattice units)")
    else:
        ax.set_xlabel("|Q| (1/Å)")
    grown = np.repeat(data.distances, len(data.energies_mev))
    columns = {
        "distance_per_A": grown,
        "energy_mev": np.tile(data.energies_mev, len(data.distances)),
        "value": data.values.ravel(),
    }
    return figure, columns


def scattering_cuts(cuts: Sequence[Cut]) -> tuple[Figure, Columns]:
    """Draw cuts with their fits, the first nine at most.

    Returns
    -------
    Figure, dict
        One panel for each, and the columns of all cuts stacked.
    """
    shown = list(cuts)[:_CUTS_SHOWN]
    across = min(3, len(shown))
    rows = -(-len(shown) // across)
    figure, axes = panels(rows, across, 2.3)
    for ax in axes.ravel()[len(shown) :]:
        ax.set_visible(False)
    for ax, cut in zip(axes.ravel(), shown, strict=False):
        if cut.errors is not None:
            low, high = cut.values - cut.errors, cut.values + cut.errors
            ax.fill_between(cut.energies_mev, low, high, color=QUIET, alpha=0.4, lw=0)
        ax.plot(cut.energies_mev, cut.values, color=TOTAL, lw=1.0, label="S(Q, E)")
        ax.plot(cut.energies_mev, cut.model, color=WAVE, lw=1.2, label="fit")
        # The fit is cut short of the elastic line by whoever makes the cut: the highest value is that of a phonon.
        ax.set_ylim(0, 1.25 * float(np.max(cut.model)) or None)
        ax.set_title(cut.label)
        ax.set_xlabel("energy transfer (meV)")
        grid(ax)
    axes[0, 0].legend(loc="upper right", handlelength=1.2)
    parts = [
        {
            "Q": np.repeat(cut.label, len(cut.energies_mev)),
            "energy_mev": cut.energies_mev,
            "value": cut.values,
            "error": np.full(len(cut.values), np.nan) if cut.errors is None else cut.errors,
            "fit": cut.model,
        }
        for cut in cuts
    ]
    return figure, long_form(parts)


def _brightest(values: np.ndarray) -> float:
    """Top of the scale for S [Q, E]."""
    return float(np.quantile(values.max(axis=1, initial=0.0), 1 - _BRIGHTER))


def _edges(centres: np.ndarray) -> np.ndarray:
    """Borders half way between points; a single point is 0.1 wide."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.05, centres[0] + 0.05])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])
