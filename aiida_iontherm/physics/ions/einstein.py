"""Diffusivity, error bar and verdict from a mean square displacement (Einstein relation)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.distributions import chi2_quantile, student_quantile
from aiida_iontherm.physics.ions.linear_window import MIN_LAGS, linear_window_start, slope
from aiida_iontherm.physics.units import ANGSTROM2_PER_PS_TO_CM2_PER_S

CONVERGED_RELATIVE_ERROR = 0.25
"""Largest relative standard error of a diffusivity that is reported as converged."""

SIGNIFICANCE = 0.995
"""One-sided confidence that a slope is positive: strict, because three axes and their average are asked at once."""

CONFIDENCE = 0.95
"""One-sided confidence of the upper bounds."""

MIN_HOPS = 3
"""Fewer hops than this in a whole run are not called diffusion: so many could have been missed with 5 % chance."""


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """Self-diffusion of one species.

    Attributes
    ----------
    tensor
        ``[3, 3]`` cm^2/s, symmetric, D_ab = (slope of MSD_ab)/2; ``None`` when no diffusion was seen.
    uncertainty
        ``[3, 3]`` one standard error of each component; ``None`` when no diffusion was seen.
    trace_third, trace_third_uncertainty
        Average over directions, cm^2/s; ``None`` when no diffusion was seen.
    upper_bound
        ``[3]`` cm^2/s, 95 % one-sided upper bound along x, y, z. Always given; it is the result where
        ``diffusing_axes`` is false.
    trace_third_upper_bound
        The same for the average.
    diffusing_axes, diffusing_average
        ``[3]`` whether diffusion was seen along x, y, z; whether in the average, which has the best statistics.
    window_ps
        First and last lag of the fit.
    lags_ps
        ``[lags]`` up to the last lag of the fit.
    msd
        ``[lags, 3, 3]`` Angstrom^2.
    settled
        Whether the fit may be trusted: the MSD is linear over the window (see `linear_window_start`) or, where no
        diffusion was seen, stays below the square of the hop length to the last lag (ions in their cages; vibrations
        may still show, and only raise the bound).
    converged
        ``settled``, and with diffusion the relative standard error of the average is at most
        `CONVERGED_RELATIVE_ERROR`.
    reason
        Why, in one sentence.
    """

    tensor: NDArray[np.float64] | None
    uncertainty: NDArray[np.float64] | None
    trace_third: float | None
    trace_third_uncertainty: float | None
    upper_bound: NDArray[np.float64]
    trace_third_upper_bound: float
    diffusing_axes: NDArray[np.bool_]
    diffusing_average: bool
    window_ps: tuple[float, float]
    lags_ps: NDArray[np.float64]
    msd: NDArray[np.float64]
    settled: bool
    converged: bool
    reason: str

    @property
    def diffusing(self) -> bool:
        """Whether diffusion was seen along any axis or on average."""
        return self.diffusing_average or bool(self.diffusing_axes.any())

    @property
    def per_axis_sixth(self) -> NDArray[np.float64] | None:
        """``[3]`` cm^2/s in the convention MSD_axis = 6 D t, one third of ours.

        Li et al. (CsCu2I3, Adv. Mater. 2025, 10.1002/adma.202513381) print their diffusivities per axis that way;
        along one axis the Einstein relation is MSD_axis = 2 D t.
        """
        return None if self.tensor is None else np.diag(self.tensor) / 3


def diffusion_from_msd(
    msd: NDArray[np.float64],
    block_msd: NDArray[np.float64],
    timestep_fs: float,
    *,
    n_ions: int,
    duration_ps: float,
    hop_length_A: float = 3.0,
) -> Diffusion:
    """Fit, error bar and verdict from a mean square displacement that was reduced on the fly.

    The fit runs from the end of the cage region (`linear_window_start`) to the last lag given. Along an axis, or on
    average, diffusion counts as seen when the slope

    - is positive with 99.5 % confidence (Student's t of the block values),
    - stands for at least three hops of ``hop_length_A`` among all ions in the whole run, and
    - lifts the MSD over the window by at least three times the scatter about the line (vibrations).

    The 95 % upper bound is the larger of slope + t_95 standard errors and the limit of counting hops,
    D < mu_95(k) a^2/(2 d N t): N ions, t the length of the run, a the hop length, k = D 2 d N t/a^2 the hops the
    slope stands for, mu_95(k) the largest Poisson mean compatible with k (3.0 for none, the "rule of three");
    d = 1 along an axis, where in the worst case all hops point, d = 3 on average. Ions that move together count as
    independent here; the blocks know better only where something moved.

    Parameters
    ----------
    msd
        ``[lags, 3, 3]`` Angstrom^2 from lag zero on, all time origins of the run.
    block_msd
        ``[blocks, lags, 3, 3]`` the same of each of at least 3 contiguous blocks of equal length.
    timestep_fs
        Lag spacing in fs.
    n_ions
        Number of ions averaged over.
    duration_ps
        Length of the whole run.
    hop_length_A
        See `diffusion`.

    Raises
    ------
    ValueError
        If the shapes do not fit or there are too few lags.
    """
    n_blocks = len(block_msd)
    if hop_length_A <= 0:
        raise ValueError(f"hop_length_A must be positive, not {hop_length_A}")
    if msd.shape[1:] != (3, 3) or block_msd.shape[1:] != msd.shape or n_blocks < 3 or len(msd) <= MIN_LAGS:
        raise ValueError(
            f"msd must be [lags > {MIN_LAGS}, 3, 3] and block_msd [blocks >= 3, lags, 3, 3], "
            f"not {msd.shape} and {block_msd.shape}"
        )
    lags_ps = np.arange(len(msd), dtype=np.float64) * (timestep_fs * 1e-3)
    trace = np.trace(msd, axis1=1, axis2=2)
    first, linear = linear_window_start(lags_ps, trace, np.trace(block_msd, axis1=2, axis2=3))
    tensor, block_tensors = slope(lags_ps, msd, first) / 2, slope(lags_ps, block_msd, first, axis=1) / 2

    # four components from here on: x, y, z and the average
    values = axes_and_average(tensor)
    errors = _standard_error(axes_and_average(block_tensors))
    one_hop = hop_length_A**2 / (2 * np.array([1, 1, 1, 3]) * n_ions * duration_ps)
    hops = np.maximum(values, 0) / one_hop
    curves, times = axes_and_average(msd[first:]) / 2, lags_ps[first:]
    scatter = np.std(curves - values * times[:, None], axis=0)
    seen = (
        (values > student_quantile(SIGNIFICANCE, n_blocks - 1) * errors)
        & (hops >= MIN_HOPS)
        & (values * (times[-1] - times[0]) > 3 * scatter)
    )
    # half the chi2 quantile with 2(k+1) degrees of freedom is the largest Poisson mean compatible with k counts
    poisson = one_hop * chi2_quantile(CONFIDENCE, 2 * (hops + 1)) / 2
    bounds = np.maximum(values + student_quantile(CONFIDENCE, n_blocks - 1) * errors, poisson)

    scale = ANGSTROM2_PER_PS_TO_CM2_PER_S
    diffusing = bool(seen.any())
    settled = linear or (not diffusing and bool(trace[-1] < hop_length_A**2))
    converged, reason = verdict(values[3] * scale, errors[3] * scale, diffusing, settled)
    return Diffusion(
        tensor=tensor * scale if diffusing else None,
        uncertainty=_standard_error(block_tensors) * scale if diffusing else None,
        trace_third=float(values[3] * scale) if diffusing else None,
        trace_third_uncertainty=float(errors[3] * scale) if diffusing else None,
        upper_bound=bounds[:3] * scale,
        trace_third_upper_bound=float(bounds[3] * scale),
        diffusing_axes=seen[:3],
        diffusing_average=bool(seen[3]),
        window_ps=(float(lags_ps[first]), float(lags_ps[-1])),
        lags_ps=lags_ps,
        msd=msd,
        settled=settled,
        converged=converged,
        reason=reason,
    )


def axes_and_average(tensors: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[..., 3, 3]`` to ``[..., 4]``: the diagonal and a third of the trace."""
    diagonal = np.diagonal(tensors, axis1=-2, axis2=-1)
    return np.concatenate([diagonal, diagonal.mean(axis=-1, keepdims=True)], axis=-1)


def _standard_error(block_values: NDArray[np.float64]) -> NDArray[np.float64]:
    return block_values.std(axis=0, ddof=1) / np.sqrt(len(block_values))


def verdict(value: float, error: float, seen: bool, settled: bool) -> tuple[bool, str]:
    """Whether D in cm^2/s (or its bound, where no diffusion was seen) is converged, and why."""
    if not settled:
        return False, "the mean square displacement is still curved at the longest lags: run longer"
    if not seen:
        return True, "no diffusion seen within the run, single hops aside: the upper bound is the result"
    if error > CONVERGED_RELATIVE_ERROR * value:
        return False, (
            f"D = {value:.2g} cm^2/s with a standard error of {error:.2g}, more than {CONVERGED_RELATIVE_ERROR:.0%}: "
            "run longer or use more ions"
        )
    return True, f"linear mean square displacement, standard error {error / value:.0%} of the value"
