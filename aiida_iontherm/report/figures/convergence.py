"""Force constants against the number of snapshots they are fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_iontherm.report.figures.caption import Caption, listing
from aiida_iontherm.report.model import ConvergenceData
from aiida_iontherm.report.style import QUIET, SHADE, SPECIES, Columns, figure_legend, grid, long_form, panels

_MARKERS = "os^DvP"


def convergence(data: Sequence[ConvergenceData]) -> tuple[Figure, Columns]:
    """Draw the error of unseen forces and the change of the frequencies against the number of snapshots.

    Parameters
    ----------
    data
        One record per temperature, in eV/Angstrom and THz.

    Returns
    -------
    Figure, dict
        Two panels, a line per temperature; what counts as no change is shaded; columns stacked.
    """
    figure, axes = panels(1, 2, 2.6)
    error, change = axes[0]
    change.axhspan(0, data[0].tolerance_thz, color=SHADE, linewidth=0)
    handles, parts = [], []
    for number, record in enumerate(data):
        colour, marker = SPECIES[number % len(SPECIES)], _MARKERS[number % len(_MARKERS)]
        look = {"color": colour, "marker": marker, "clip_on": False, "zorder": 3}
        error.plot(record.snapshots, 1e3 * record.force_error_ev_per_angstrom, **look)
        # The last fit is what the others are compared with.
        change.plot(record.snapshots[:-1], record.frequency_change_thz[:-1], **look)
        handles.append(Line2D([], [], color=colour, marker=marker, label=f"{record.temperature:g} K"))
        parts.append(
            {
                "temperature_K": np.full(len(record.snapshots), record.temperature),
                "snapshots": record.snapshots,
                "force_error_eV_per_A": record.force_error_ev_per_angstrom,
                "frequency_change_THz": record.frequency_change_thz,
            }
        )
    handles.append(Patch(facecolor=SHADE, edgecolor=QUIET, linewidth=0.4, label="counts as no change"))
    error.set(ylabel="force error (meV/Å)")
    change.set(ylabel="frequency change (THz)")
    longest = max(float(np.max(record.snapshots)) for record in data)
    for ax in (error, change):
        ax.set(xlabel="snapshots", xlim=(0, 1.03 * longest))
        ax.set_ylim(bottom=0)
        grid(ax)
    figure_legend(figure, handles)
    return figure, long_form(parts)


def describe_convergence(data: Sequence[ConvergenceData]) -> Caption:
    """Say what the convergence figure shows."""
    verdicts = [
        f"{record.temperature:g} K {'converged' if record.converged else 'not converged'} "
        f"({record.frequency_change_thz[-2]:.3f} THz)"
        for record in data
    ]
    text = (
        "Left: error of forces the fit of the force constants has not seen, against the number of snapshots it was "
        "given. Right: root mean square difference of its frequencies from those of the fit to all snapshots. "
        f"At half of them: {listing(verdicts)}. The error that remains with many snapshots is anharmonicity beyond "
        "third order."
    )
    return Caption("Are there snapshots enough?", text, f"Convergence of the force constants: {listing(verdicts)}.")
