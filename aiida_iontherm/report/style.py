"""How the figures look: palette, line styles, panels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PARTICLE = "#0072B2"
WAVE = "#DB6A00"
TOTAL = "#1A1A1A"
INK = "#333333"
QUIET = "#8A8A8A"
SHADE = "#F0F0EE"
ACCENT = "#117733"
FAILED = "#B00020"
# Muted colours that stay apart for colour-blind readers and from the blue and orange of the channels.
SPECIES = ("#117733", "#AA4499", "#44AA99", "#999933", "#882255", "#332288", "#6B6B6B")

DIRECTIONS = ("x", "y", "z")
LINES: dict[str, Any] = {"x": "-", "y": (0, (5, 2)), "z": (0, (1.2, 1.6))}
MARKERS = {"x": "o", "y": "s", "z": "^"}

WIDTH_IN = 7.6
"""Width of every figure in inches: the text column of the page."""

RASTER_FROM = 3000
"""Clouds of more points than this are drawn as pixels inside the vector figures, to keep the page small."""

Columns = dict[str, Any]
"""Columns of a figure's CSV file: title -> values, all of one length."""

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


@contextmanager
def style(salt: str = "") -> Iterator[None]:
    """Apply the look for the time of drawing or saving one figure; `salt` keeps SVG ids the same from run to run."""
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": salt or "iontherm"}):
        yield


def panels(rows: int, columns: int, height_in: float, **subplots: Any) -> tuple[Figure, np.ndarray]:
    """Return a figure of the page's width with [rows, columns] axes of `height_in` inches each."""
    figure = Figure(figsize=(WIDTH_IN, height_in * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **subplots)


def figure_legend(figure: Figure, handles: list[Any], columns: int | None = None) -> None:
    """Put one legend above all panels."""
    figure.legend(handles=handles, loc="outside upper left", ncols=columns or len(handles), handlelength=2.4)


def grid(axes: Axes, axis: Literal["both", "x", "y"] = "y") -> None:
    """Draw faint grid lines."""
    axes.grid(visible=True, axis=axis, color="#E4E4E0", linewidth=0.6)


def long_form(parts: list[Columns]) -> Columns:
    """Stack tables of the same columns below each other."""
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
