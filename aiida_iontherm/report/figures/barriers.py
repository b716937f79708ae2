"""Energy along paths of migrating ions, and in the wells they sit in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from aiida_iontherm.report.figures.caption import Caption, listing
from aiida_iontherm.report.model import BarrierData, WellData
from aiida_iontherm.report.style import QUIET, SPECIES, TOTAL, Columns, grid, long_form, panels

_PER_ROW = 3


def barrier_profiles(data: Sequence[BarrierData]) -> tuple[Figure, Columns]:
    """Draw the energy along each path.

    Returns
    -------
    Figure, dict
        One panel per path with a common scale of energies: images (filled where the path is converged, else open) and
        the curve through them. Columns: images and curves, stacked.
    """
    figure, axes = _grid_of_panels(len(data))
    parts = []
    for record, ax in zip(data, axes.flat, strict=False):
        ax.plot(record.curve_path_A, record.curve_ev, color=SPECIES[0])
        face = TOTAL if record.converged else "white"
        ax.plot(record.path_A, record.energies_ev, color=TOTAL, marker="o", mfc=face, linestyle="none", zorder=3)
        ax.axhline(0, color="#C8C8C4", linewidth=0.8, zorder=0)
        ax.set_title(record.label)
        ax.set_xlabel("path (Å)")
        grid(ax)
        for kind, x, y in (
            ("image", record.path_A, record.energies_ev),
            ("curve", record.curve_path_A, record.curve_ev),
        ):
            parts.append(
                {
                    "path": np.full(len(x), record.label),
                    "kind": np.full(len(x), kind),
                    "path_A": x,
                    "energy_eV": y,
                }
            )
    return _finished(figure, axes, len(data)), long_form(parts)


def describe_barrier_profiles(data: Sequence[BarrierData]) -> Caption:
    """Say how high the paths go."""
    heights = [f"{record.label} {float(np.max(record.curve_ev)):.3f} eV" for record in data]
    text = (
        "Energy over that of the start against the length of the path in all coordinates, in eV and Å. Points: images "
        "of the elastic band, open where it is not converged; line: interpolation with their forces. Highest "
        f"points: {listing(heights)}."
    )
    return Caption("Energy along the paths", text, f"Energy profiles; highest points: {listing(heights)}.")


def ion_wells(data: Sequence[WellData]) -> tuple[Figure, Columns]:
    """Draw the energy of one moved ion along each line with its polynomial of fourth order.

    Returns
    -------
    Figure, dict
        One panel per line with a common scale: points, polynomial, and its quadratic part (light). Columns stacked.
    """
    figure, axes = _grid_of_panels(len(data))
    parts = []
    for record, ax in zip(data, axes.flat, strict=False):
        x = np.linspace(record.displacements_A.min(), record.displacements_A.max(), 200)
        top = 1.1 * float(record.energies_ev.max())
        polynomial = np.polynomial.Polynomial(record.coefficients)
        harmonic = np.polynomial.Polynomial(record.coefficients[:3])
        quadratic = harmonic(x)
        ax.plot(x, np.where(quadratic <= top, quadratic, np.nan), color=QUIET, linewidth=0.9)
        ax.plot(x, polynomial(x), color=SPECIES[0])
        ax.plot(record.displacements_A, record.energies_ev, color=TOTAL, marker="o", linestyle="none", zorder=3)
        ax.set_title(record.label)
        ax.set_xlabel("displacement (Å)")
        grid(ax)
        count = len(record.displacements_A)
        parts.append(
            {
                "line": np.full(count, record.label),
                "displacement_A": record.displacements_A,
                "energy_eV": record.energies_ev,
                "polynomial_eV": polynomial(record.displacements_A),
            }
        )
    return _finished(figure, axes, len(data)), long_form(parts)


def describe_ion_wells(data: Sequence[WellData]) -> Caption:
    """Say what the wells show."""
    text = (
        "Energy of the crystal with one ion moved along a line and all else at rest, in eV, against the displacement "
        "in Å. Line: polynomial of fourth order; light: its part up to the square, the harmonic well."
    )
    lines = listing([record.label for record in data])
    return Caption("Wells of the ions", text, f"Energy of an ion moved along {lines}.")


def _grid_of_panels(count: int) -> tuple[Figure, np.ndarray]:
    down = -(-count // _PER_ROW)
    return panels(down, min(count, _PER_ROW), 2.8 if down == 1 else 2.3, sharey=True)


def _finished(figure: Figure, axes: np.ndarray, used: int) -> Figure:
    for ax in axes.flat[used:]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("energy (eV)")
    return figure
