"""Spectrum of the heat current with its cepstral filter, and the running Green-Kubo integral."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from aiida_iontherm.physics.heat import CepstralEstimate
from aiida_iontherm.report.figures.caption import listing
from aiida_iontherm.report.style import (
    ACCENT,
    LINES,
    QUIET,
    SHADE,
    TOTAL,
    Columns,
    figure_legend,
    grid,
    long_form,
    panels,
)

_POINTS = 400
"""Averages drawn of a periodogram, and lags drawn of an integral."""

_COLOURS = (TOTAL, ACCENT, "#882255")


@dataclass(frozen=True, kw_only=True, eq=False)
class RunningIntegral:
    """Running integral of one group of axes.

    Attributes
    ----------
    label
        Axes, e.g. ``x`` or ``xyz``.
    lags_ps
        ``[m]``.
    kappa, uncertainty
        ``[m]`` in W/(m K).
    window_ps
        Lags the value was read from.
    """

    label: str
    lags_ps: np.ndarray
    kappa: np.ndarray
    uncertainty: np.ndarray
    window_ps: tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class FluxData:
    """What the figure shows: cepstral estimates and running integrals of the same groups of axes."""

    estimates: Sequence[CepstralEstimate]
    integrals: Sequence[RunningIntegral]

    def __post_init__(self) -> None:
        if not self.estimates or len(self.estimates) != len(self.integrals):
            raise ValueError("FluxData needs one running integral for each cepstral estimate, and at least one")


def flux(data: FluxData) -> tuple[Figure, Columns]:
    """Draw the spectrum in units of the conductivity, and the running integral.

    Parameters
    ----------
    data
        From `cepstral`, `green_kubo` and `onsager_kappa`.

    Returns
    -------
    Figure, dict
        Left: means of the periodogram over neighbouring frequencies (thin), smooth spectrum (thick) and kappa with one
        standard error at zero frequency. Right: running integrals with their standard errors (shaded) and window
        (grey); the cepstral values at the right edge. Columns in long form.
    """
    figure, axes = panels(1, 2, 3.0)
    left, right = axes[0]
    parts = []
    left.set_yscale("log")
    right.set_xscale("log")
    for number, (estimate, integral) in enumerate(zip(data.estimates, data.integrals, strict=True)):
        colour, line = _look(number)
        parts += [_spectrum(left, estimate, colour, line), _integral(right, integral, colour, line)]
        end = float(integral.lags_ps[-1])
        right.errorbar(
            [end * 1.25 * 1.12**number],
            [estimate.value],
            yerr=[estimate.uncertainty],
            fmt="D",
            color=colour,
            markersize=4,
            capsize=2,
            elinewidth=1.1,
        )
    _frame(left, right, data)
    handles = [
        Line2D([], [], color=_look(number)[0], linestyle=_look(number)[1], label=_label(estimate.axes))
        for number, estimate in enumerate(data.estimates)
    ]
    handles.append(Line2D([], [], color=QUIET, marker="D", linestyle="none", markersize=4, label="cepstral κ"))
    figure_legend(figure, [*handles, Patch(facecolor=SHADE, edgecolor=QUIET, linewidth=0.4, label="lags averaged")])
    return figure, long_form(parts)


def _look(number: int) -> tuple[str, Any]:
    return _COLOURS[number % len(_COLOURS)], list(LINES.values())[number % len(LINES)]


def _label(axes: str) -> str:
    return "average" if axes == "xyz" else f"along {axes}" if len(axes) == 1 else f"average of {listing(list(axes))}"


def _spectrum(ax: Axes, estimate: CepstralEstimate, colour: str, line: Any) -> Columns:
    frequencies = estimate.frequencies_thz[1:]
    width = max(len(frequencies) // _POINTS, 1)
    count = len(frequencies) // width
    # logarithms are averaged, as they are in the smooth curve
    means = [
        np.exp(np.log(np.asarray(a))[: count * width].reshape(count, width).mean(axis=1))
        for a in (estimate.kappa_periodogram[1:], estimate.kappa_spectrum[1:])
    ]
    means.insert(0, frequencies[: count * width].reshape(count, width).mean(axis=1))

    ax.plot(means[0], means[1], color=colour, linewidth=0.5, alpha=0.35)
    ax.plot(np.append(0.0, means[0]), np.append(estimate.value, means[2]), color=colour, linestyle=line, linewidth=1.6)
    ax.errorbar([0.0], [estimate.value], yerr=[estimate.uncertainty], fmt="D", color=colour, markersize=4, capsize=2)
    return {
        "curve": np.full(count, "spectrum"),
        "axes": np.full(count, estimate.axes),
        "frequency_THz_or_lag_ps": means[0],
        "kappa_W_per_mK": means[2],
        "uncertainty_W_per_mK": np.full(count, np.nan),
        "periodogram_W_per_mK": means[1],
    }


def _integral(ax: Axes, integral: RunningIntegral, colour: str, line: Any) -> Columns:
    last = len(integral.lags_ps) - 1
    chosen = np.unique(np.round(np.geomspace(1, last, min(_POINTS, last))).astype(int))
    lags, kappa, error = (a[chosen] for a in (integral.lags_ps, integral.kappa, integral.uncertainty))
    ax.axvspan(*integral.window_ps, color=SHADE, linewidth=0, zorder=0)
    ax.fill_between(lags, kappa - error, kappa + error, color=colour, alpha=0.15, linewidth=0)
    ax.plot(lags, kappa, color=colour, linestyle=line)
    return {
        "curve": np.full(len(chosen), "integral"),
        "axes": np.full(len(chosen), integral.label),
        "frequency_THz_or_lag_ps": lags,
        "kappa_W_per_mK": kappa,
        "uncertainty_W_per_mK": error,
        "periodogram_W_per_mK": np.full(len(chosen), np.nan),
    }


def _frame(left: Axes, right: Axes, data: FluxData) -> None:
    smooth = np.concatenate([estimate.kappa_spectrum for estimate in data.estimates])
    # the periodogram scatters down to nothing: the smooth curves say what matters
    left.set_ylim(smooth.min() / 4, smooth.max() * 4)
    left.set_xlim(left=-0.02 * max(estimate.max_frequency_thz for estimate in data.estimates))
    left.set_xlabel("frequency (THz)")
    left.set_ylabel("S(f)/(2 k$_B$T²V) (W/(m K))")
    left.set_title("spectrum of the heat current")
    right.set_xlabel("time lag (ps)")
    right.set_ylabel("κ (W/(m K))")
    right.set_title("running integral")
    low = min(0.0, *(float((i.kappa - i.uncertainty)[1:].min()) for i in data.integrals))
    high = max(float((i.kappa + i.uncertainty).max()) for i in data.integrals)
    # noise at long lags may be many times the value
    top = min(high, 3 * max(estimate.value for estimate in data.estimates))
    right.set_ylim(max(low, -top / 2), 1.05 * max(top, *(e.value + e.uncertainty for e in data.estimates)))
    grid(left)
    grid(right)
