"""Self-diffusion tensor from unwrapped trajectories: value, error bar, verdict, or an upper bound."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.ions.einstein import Diffusion, axes_and_average, diffusion_from_msd, verdict
from aiida_iontherm.physics.ions.linear_window import MIN_LAGS
from aiida_iontherm.physics.ions.msd import mean_square_displacement
from aiida_iontherm.physics.quantity import Quantity


def diffusion(
    positions: NDArray[np.floating],
    timestep_fs: float,
    *,
    drift: ArrayLike | None = None,
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
        ``[frames, ions, 3]`` Angstrom, unwrapped, one species.
    timestep_fs
        Time between two *stored frames* in fs (time step of the dynamics times the stride of storage).
    drift
        ``[frames, 3]`` Angstrom, subtracted from every ion.
    n_blocks
        Blocks for the uncertainty, at least 3. The fit ends at half a block, so that each block sees every lag with
        at least as many origins as lags; fewer blocks allow longer lags but make the error bar less certain.
    hop_length_A
        Distance between neighbouring sites: what a hop that was not seen would have moved an ion.

    Raises
    ------
    ValueError
        If the shapes do not fit, an argument is out of range, or there are too few frames.
    """
    msd, block_msd = displacement_curves(positions, timestep_fs, drift, n_blocks)
    return diffusion_from_msd(
        msd,
        block_msd,
        timestep_fs,
        n_ions=positions.shape[1],
        duration_ps=(len(positions) - 1) * timestep_fs * 1e-3,
        hop_length_A=hop_length_A,
    )


def displacement_curves(
    positions: NDArray[np.floating], timestep_fs: float, drift: ArrayLike | None, n_blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean square displacements [lags, 3, 3] of all the run, and [blocks, lags, 3, 3] of its blocks, to half a block.

    Arguments and errors as in `diffusion`.
    """
    if timestep_fs <= 0:
        raise ValueError("timestep_fs (time between stored frames) must be positive")
    if n_blocks < 3:
        raise ValueError(f"an uncertainty needs at least 3 blocks, not {n_blocks}")
    frames = len(positions)
    max_lag = frames // n_blocks // 2
    if max_lag < MIN_LAGS:
        raise ValueError(f"{frames} frames are too few for {n_blocks} blocks: store at least {2 * MIN_LAGS * n_blocks}")
    shift = np.zeros((frames, 3)) if drift is None else np.asarray(drift, dtype=float)
    blocks = [
        mean_square_displacement(positions[block], max_lag, drift=shift[block])
        for block in contiguous_blocks(frames, n_blocks)
    ]
    return mean_square_displacement(positions, max_lag, drift=shift), np.array(blocks)


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
