"""Energy resolution of an instrument: Gaussians whose width is constant or linear in the energy transfer.

    (R * S)(E) = integral of G(E - E'; w(E')) S(E') dE',     w(E') = fwhm + slope |E'|,

with G of unit area and full width w at half maximum. Broadening moves intensity and keeps its sum; a Gaussian line
comes out with the sum of the variances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
"""Full width at half maximum of a Gaussian of unit variance, 2.355."""

POINTS_PER_FWHM = 2.0
"""A spectrum on a coarser grid cannot be broadened: sums over such a grid are off by more than 1e-3."""


@dataclass(frozen=True)
class Resolution:
    """Gaussian resolution.

    Attributes
    ----------
    fwhm_mev
        Full width at half maximum at the elastic line.
    slope
        Increase of the full width with the energy transfer, without unit; may be negative, as for time-of-flight
        spectrometers on the side of energy loss.

    Raises
    ------
    ValueError
        If the width at the elastic line is not positive and finite.
    """

    fwhm_mev: float
    slope: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fwhm_mev) and self.fwhm_mev > 0 and np.isfinite(self.slope)):
            raise ValueError(f"a resolution needs a positive full width, not {self.fwhm_mev} meV + {self.slope} |E|")

    def sigma_mev(self, energies_mev: ArrayLike) -> NDArray[np.float64]:
        """Give the standard deviation at these energy transfers, same shape.

        Raises
        ------
        ValueError
            If a width is not positive, with a negative slope.
        """
        energies = np.abs(np.asarray(energies_mev, dtype=float))
        widths = self.fwhm_mev + self.slope * energies
        if np.any(widths <= 0):
            raise ValueError(
                f"a full width of {self.fwhm_mev:g} meV {self.slope:+g} |E| is not positive at "
                f"{energies[widths <= 0].min():g} meV"
            )
        return widths / FWHM_PER_SIGMA

    def kernel(self, at_mev: ArrayLike, sources_mev: ArrayLike) -> NDArray[np.float64]:
        """G(E_i - E'_j; w(E'_j)) in 1/meV [i, j]."""
        sources = np.asarray(sources_mev, dtype=float)
        sigma = self.sigma_mev(sources)
        apart = (np.asarray(at_mev, dtype=float)[:, None] - sources) / sigma
        return np.exp(-0.5 * apart**2) / (np.sqrt(2 * np.pi) * sigma)


def convolve(energies_mev: ArrayLike, values: ArrayLike, resolution: Resolution) -> NDArray[np.float64]:
    """Broaden spectra, with their sums over the grid kept.

    Parameters
    ----------
    energies_mev
        Even grid, ascending [E].
    values
        [..., E]. What the broadening would carry beyond the ends of the grid stays within.
    resolution
        The instrument's.

    Returns
    -------
    The same shape.

    Raises
    ------
    ValueError
        If the grid is uneven or too coarse for the resolution, shapes do not fit, or a value is not finite.
    """
    energies, spectra = np.asarray(energies_mev, dtype=float), np.asarray(values, dtype=float)
    if energies.ndim != 1 or len(energies) < 2 or spectra.shape[-1:] != energies.shape:
        raise ValueError(f"values {spectra.shape} do not fit {energies.shape} energies: need [..., E] and [E]")
    if not (np.isfinite(spectra).all() and np.isfinite(energies).all()):
        raise ValueError("the spectrum holds NaN or infinite values: leave those points out")
    steps = np.diff(energies)
    step = float(steps.mean())
    if step <= 0 or np.abs(steps - step).max() > 1e-6 * step:
        raise ValueError("a spectrum must be on an even, ascending grid of energies to be broadened")
    finest = float(resolution.sigma_mev(energies).min()) * FWHM_PER_SIGMA
    if step * POINTS_PER_FWHM > finest * (1 + 1e-9):
        raise ValueError(
            f"a grid of {step:.3g} meV is too coarse for a resolution of {finest:.3g} meV: "
            f"take {finest / POINTS_PER_FWHM:.3g} meV"
        )
    kernel = resolution.kernel(energies, energies)
    return spectra @ (kernel / kernel.sum(axis=0)).T
