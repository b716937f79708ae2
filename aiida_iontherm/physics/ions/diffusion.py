"""Self-diffusion tensor from unwrapped trajectories: value, error bar, verdict, or an upper bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.ions.einstein import Diffusion, axes_and_average, diffusion_from_msd, verdict
from aiida_iontherm.physics.ions.linear_window import MIN_LAGS
from aiida_iontherm.physics.ions.msd import mean_square_displacement
from aiida_iontherm.physics.quantity import Quantity

Positions = NDArray[np.floating] | Sequence[NDArray[np.floating]]
Drift = ArrayLike | Sequence[ArrayLike] | None
Runs = list[tuple[NDArray[np.floating], NDArray[np.float64]]]


def diffusion(
    positions: Positions,
    timestep_fs: float,
    *,
    drift: Drift = None,
    n_blocks: int = 8,
    hop_length_A: float = 3.0,
) -> Diffusion:
    """Self-diffusion tensor of the given ions from their mean square displacement.

    Einstein relation MSD_ab(t) = 2 D_ab t + const; the constant takes up what cage vibrations add.

    *Reference frame.* The drift of the whole system (its centre of mass, all species) has to be out of the
    positions, or be given as ``drift``; for motion relative to the host lattice give the mean displacement of the
    host atoms. When it is not given nothing is subtracted: the mean of the mobile ions themselves is no drift but
    the collective part of their diffusion, which would be lost.

    *Uncertainty.* The trajectory is cut into contiguous blocks, D is fitted in each over the same window, and the
    standard error is that of the block values. All correlation in time shorter than a block and all correlation
    between ions is thus included, component by component. Window, verdict and bound: `diffusion_from_msd`.

    Parameters
    ----------
    positions
        ``[frames, ions, 3]`` Angstrom, unwrapped, one species; or several such runs of the same ions, which need not be
        of one length (an array ``[runs, frames, ions, 3]`` or a sequence).
    timestep_fs
        Time between two *stored frames* in fs (time step of the dynamics times the stride of storage).
    drift
        ``[frames, 3]`` Angstrom, subtracted from every ion; of each run where there are several.
    n_blocks
        Blocks for the uncertainty, at least 3, those of all runs together. The fit ends at half a block, so that each
        block sees every lag with at least as many origins as lags; fewer blocks allow longer lags but make the error
        bar less certain.
    hop_length_A
        Distance between neighbouring sites: what a hop that was not seen would have moved an ion.

    Raises
    ------
    ValueError
        If the shapes do not fit, an argument is out of range, or there are too few frames.
    """
    runs = separate_runs(positions, drift)
    msd, block_msd = displacement_curves(runs, timestep_fs, n_blocks)
    return diffusion_from_msd(
        msd,
        block_msd,
        timestep_fs,
        n_ions=runs[0][0].shape[1],
        duration_ps=duration(runs, timestep_fs),
        hop_length_A=hop_length_A,
    )


def separate_runs(positions: Positions, drift: Drift) -> Runs:
    """List of runs, the positions [frames, ions, 3] and drift [frames, 3] of each.

    Raises
    ------
    ValueError
        If shapes do not fit, or the runs have different ions.
    """
    one = isinstance(positions, np.ndarray) and positions.ndim == 3
    several = [np.asarray(positions)] if one else [np.asarray(run) for run in positions]
    shifts = [None] * len(several) if drift is None else [drift] if one else list(cast(Sequence[ArrayLike], drift))
    if not several or len(shifts) != len(several):
        raise ValueError(f"there must be runs, and one drift for each: not {len(several)} and {len(shifts)}")
    runs = []
    for run, shift in zip(several, shifts, strict=True):
        if run.ndim != 3 or run.shape[1:] != (several[0].shape[1], 3):
            raise ValueError(f"positions must be [frames, ions, 3] of the same ions in each run, not {run.shape}")
        runs.append((run, np.zeros((len(run), 3)) if shift is None else np.asarray(shift, dtype=float)))
    return runs


def duration(runs: Runs, timestep_fs: float) -> float:
    """Length of all runs together in ps."""
    return sum(len(run) - 1 for run, _ in runs) * timestep_fs * 1e-3


def displacement_curves(
    runs: Runs, timestep_fs: float, n_blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean square displacements [lags, 3, 3] of all runs, and [blocks, lags, 3, 3] of their blocks, to half a block.

    Runs from `separate_runs`; other arguments and errors as in `diffusion`. Every run has as many blocks, at least one.
    """
    if timestep_fs <= 0:
        raise ValueError("timestep_fs (time between stored frames) must be positive")
    if n_blocks < 3:
        raise ValueError(f"an uncertainty needs at least 3 blocks, not {n_blocks}")
    each = math.ceil(n_blocks / len(runs))
    frames = min(len(run) for run, _ in runs)
    max_lag = frames // each // 2
    if max_lag < MIN_LAGS:
        raise ValueError(f"{frames} frames are too few for {each} blocks: store at least {2 * MIN_LAGS * each}")
    blocks = [
        mean_square_displacement(run[block], max_lag, drift=shift[block])
        for run, shift in runs
        for block in contiguous_blocks(len(run), each)
    ]
    curves = [mean_square_displacement(run, max_lag, drift=shift) for run, shift in runs]
    return np.average(curves, axis=0, weights=[len(run) for run, _ in runs]), np.array(blocks)


def contiguous_blocks(frames: int, count: int) -> list[slice]:
    """Blocks of equal length; the remainder is left out at the start, where equilibration is most doubtful."""
    length = frames // count
    return [slice(end - length, end) for end in range(frames, length - 1, -length)][:count]


def diffusion_quantities(result: Diffusion, ion: str, temperature: float | None = None) -> list[Quantity]:
    """Report D along x, y, z and on average: values where diffusion was seen, upper bounds elsewhere.

    Parameters
    ----------
    result
        From `diffusion`.
    ion
        Label, e.g. ``Cu``: the records are called ``D_Cu``.
    temperature
        In K.
    """
    bounds = np.append(result.upper_bound, result.trace_third_upper_bound)
    seen = np.append(result.diffusing_axes, result.diffusing_average)
    window = f"mean square displacement over {result.window_ps[0]:.4g}-{result.window_ps[1]:.4g} ps"
    values, errors = np.zeros(4), np.zeros(4)
    if result.tensor is not None and result.uncertainty is not None:
        values = axes_and_average(result.tensor)
        errors = np.append(np.diag(result.uncertainty), result.trace_third_uncertainty or 0.0)
    records = []
    for i, direction in enumerate(("x", "y", "z", "average")):
        if seen[i]:
            value, error, bound = float(values[i]), float(errors[i]), None
            method = f"slope of the {window}; standard error of blocks"
        else:
            value, error, bound = float(bounds[i]), None, "upper"
            method = f"95 % upper bound from the {window} and from counting hops"
        converged, reason = verdict(value, error or 0.0, bool(seen[i]), result.settled)
        records.append(
            Quantity(
                name=f"D_{ion}",
                value=value,
                unit="cm^2/s",
                method=method,
                converged=converged,
                reason=reason,
                uncertainty=error,
                bound=bound,
                temperature=temperature,
                direction=direction,
            )
        )
    return records
