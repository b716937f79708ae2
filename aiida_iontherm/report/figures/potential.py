"""Potential against reference."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aiida_iontherm.report.figures.caption import Caption
from aiida_iontherm.report.format import format_number
from aiida_iontherm.report.model import ParityData
from aiida_iontherm.report.style import ACCENT, QUIET, RASTER_FROM, TOTAL, Columns, figure_legend, grid, panels

_TRAIN, _TEST = QUIET, ACCENT
_MEV = 1e3


def _rmse(predicted: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - reference) ** 2)))


def _errors(predicted: np.ndarray, reference: np.ndarray, test: np.ndarray, unit: str) -> str:
    """Return the root-mean-square errors of training and test configurations as lines of text."""
    lines = []
    for name, chosen in (("training", ~test), ("test", test)):
        if chosen.any():
            lines.append(f"{name} {format_number(_rmse(predicted[chosen], reference[chosen]))} {unit}")
    return "\n".join(lines)


def _cloud(ax: Axes, predicted: np.ndarray, reference: np.ndarray, test: np.ndarray) -> None:
    """Draw predicted against reference with the diagonal."""
    for chosen, colour, marker, size in ((~test, _TRAIN, "o", 9.0), (test, _TEST, "D", 11.0)):
        ax.scatter(
            reference[chosen],
            predicted[chosen],
            s=size if len(reference) < RASTER_FROM else size / 3,
            color=colour,
            marker=marker,
            alpha=0.55,
            linewidths=0,
            rasterized=len(reference) >= RASTER_FROM,
        )
    low = float(min(reference.min(), predicted.min()))
    high = float(max(reference.max(), predicted.max()))
    pad = 0.04 * (high - low or 1.0)
    ends = (low - pad, high + pad)
    ax.plot(ends, ends, color=TOTAL, linewidth=0.8, zorder=1)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    grid(ax, "both")


def parity(data: ParityData) -> tuple[Figure, Columns]:
    """Draw predicted against reference energies and forces.

    Parameters
    ----------
    data
        Energies in eV per atom, force components in eV/Angstrom.

    Returns
    -------
    Figure, dict
        Two square panels with the root-mean-square errors; columns in long form (``quantity`` says which).
    """
    figure, axes = panels(1, 2, 3.7)
    test_energies, test_forces = np.asarray(data.test_energies, bool), np.asarray(data.test_forces, bool)
    energies, forces = np.asarray(data.reference_energies), np.asarray(data.reference_forces)
    predicted_energies, predicted_forces = np.asarray(data.predicted_energies), np.asarray(data.predicted_forces)

    # Energies per atom differ in the third digit: shown from the mean, or the ticks could not be read.
    zero = energies.mean()
    _cloud(axes[0, 0], _MEV * (predicted_energies - zero), _MEV * (energies - zero), test_energies)
    _cloud(axes[0, 1], predicted_forces, forces, test_forces)
    notes = (
        _errors(_MEV * predicted_energies, _MEV * energies, test_energies, "meV/atom"),
        _errors(predicted_forces, forces, test_forces, "eV/Å"),
    )
    titles = (("Energy", "meV/atom from mean"), ("Force components", "eV/Å"))
    for ax, (title, unit), note in zip(axes[0], titles, notes, strict=True):
        ax.set(title=title, xlabel=f"reference ({unit})", ylabel=f"potential ({unit})")
        ax.text(0.04, 0.96, f"rms error\n{note}", transform=ax.transAxes, va="top", fontsize=8.5, linespacing=1.4)
    handles = [
        Line2D([], [], linestyle="none", marker=marker, color=colour, label=name)
        for name, colour, marker, shown in (
            ("training", _TRAIN, "o", not test_energies.all() or not test_forces.all()),
            ("test (not trained on)", _TEST, "D", test_energies.any() or test_forces.any()),
        )
        if shown
    ]
    figure_legend(figure, handles)
    return figure, {
        "quantity": np.array(["energy_eV_per_atom"] * len(energies) + ["force_eV_per_A"] * len(forces)),
        "set": np.where(np.concatenate([test_energies, test_forces]), "test", "training"),
        "reference": np.concatenate([energies, forces]),
        "predicted": np.concatenate([predicted_energies, predicted_forces]),
    }


def describe_parity(data: ParityData) -> Caption:
    """Say what the parity plot shows."""
    test = np.asarray(data.test_energies, bool)
    text = (
        f"Energies (meV per atom, from the mean reference energy) and force components (eV/Å) of the potential "
        f"against the reference, for {int((~test).sum())} training and {int(test.sum())} test configurations; "
        "the line marks agreement. "
    )
    if not test.any():
        text += "No configuration was kept back, so the errors say how well the potential fits, not how it predicts."
    else:
        text += "Test configurations were not seen in training: their error is the one to expect in use."
    energy_error = _rmse(_MEV * np.asarray(data.predicted_energies), _MEV * np.asarray(data.reference_energies))
    force_error = _rmse(np.asarray(data.predicted_forces), np.asarray(data.reference_forces))
    alt = (
        f"Parity plots; rms error over all points {format_number(energy_error)} meV/atom in energy and "
        f"{format_number(force_error)} eV/Å in force."
    )
    return Caption("How well the potential follows its reference", text, alt)
