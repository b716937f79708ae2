"""What an energy profile along a path says: barriers, saddle, and whether to trust them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ase.utils.forcecurve import fit_raw
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline

from aiida_iontherm.physics.ions.checks import LARGEST_BARRIER_EV
from aiida_iontherm.physics.quantity import Quantity

DEPTH_EV = 0.005
"""Maxima and minima of the curve that are less high or deep come from the interpolation between images."""

CURVE_POINTS = 20
"""Of the smooth curve, from one image to the next."""


@dataclass(frozen=True, kw_only=True)
class BarrierProfile:
    """Energy along a path of images, relative to the first one.

    Attributes
    ----------
    path_A
        ``[n]`` length of the path up to each image, through the space of all coordinates, Angstrom.
    energies_ev
        ``[n]`` eV.
    slopes_ev_A
        ``[n]`` dE/ds from the forces along the path, eV/Angstrom.
    curve_path_A, curve_ev
        Smooth curve through energies and slopes.
    forward_ev, backward_ev
        Barrier from the first and from the last image, eV: the highest point of the curve above each.
    reaction_ev
        Energy of the last image above the first one, eV.
    saddle
        Where the highest point lies, as a part of the length of the path.
    highest_image
        Index of the highest image.
    interpolation_ev
        How far the highest point of the curve lies above the highest image, eV: what the barrier owes to
        interpolation.
    residual_force_ev_A
        Largest force left on an image, across the path for an elastic band, eV/Angstrom; ``None`` for a path that was
        not relaxed.
    state
        ``barrier``, ``no barrier`` (no point of the path is higher than both ends), or ``intermediate minimum``.
    minima
        Where minima lie between maxima, as parts of the length of the path.
    converged, reason
        Whether the forces are small enough and the path is a single hop over a single saddle.
    """

    path_A: NDArray[np.float64]
    energies_ev: NDArray[np.float64]
    slopes_ev_A: NDArray[np.float64]
    curve_path_A: NDArray[np.float64]
    curve_ev: NDArray[np.float64]
    forward_ev: float
    backward_ev: float
    reaction_ev: float
    saddle: float
    highest_image: int
    interpolation_ev: float
    residual_force_ev_A: float | None
    state: str
    minima: tuple[float, ...]
    converged: bool
    reason: str


def barrier_profile(
    energies: ArrayLike,
    forces: ArrayLike,
    positions: ArrayLike,
    *,
    residual_force: float | None = None,
    fmax: float | None = None,
) -> BarrierProfile:
    """Barrier of a path from its images: cubic curve through energies and slopes, as `ase.utils.forcecurve` draws it.

    Parameters
    ----------
    energies
        ``[n]`` eV, three or more images.
    forces
        ``[n, atoms, 3]`` of the potential, without springs, eV/Angstrom.
    positions
        ``[n, atoms, 3]`` Angstrom, continuous from image to image (not wrapped into the cell).
    residual_force, fmax
        Largest force left by the relaxation of the band and the one asked for, eV/Angstrom. Without them the path was
        not relaxed, and its barrier is an estimate that is mostly too high.

    Raises
    ------
    ValueError
        If there are fewer than three images, numbers that are not finite, or images on top of each other.
    """
    e, f, r = (np.asarray(a, dtype=float) for a in (energies, forces, positions))
    if e.ndim != 1 or len(e) < 3:
        raise ValueError(f"{e.size} images are too few for a barrier: at least one between the ends is needed")
    if r.shape != (len(e), *r.shape[1:2], 3) or f.shape != r.shape:
        raise ValueError(f"{len(e)} energies do not fit positions {r.shape} and forces {f.shape}")
    if not all(np.all(np.isfinite(a)) for a in (e, f, r)):
        raise ValueError("energies, forces or positions of the path hold NaN or infinite numbers")
    steps = np.sqrt(((r[1:] - r[:-1]) ** 2).sum(axis=(1, 2)))
    if steps.min() < 1e-6:
        raise ValueError(f"images {steps.argmin()} and {steps.argmin() + 1} of the path are the same: leave one out")
    fit = fit_raw(e, f, r)
    path, relative = np.array(fit.path), np.array(fit.energies)
    slopes = np.array([(y[2] - y[0]) / (x[2] - x[0]) for x, y in fit.lines])
    curve = CubicHermiteSpline(path, relative, slopes)
    s = np.unique(np.concatenate([np.linspace(a, b, CURVE_POINTS + 1) for a, b in pairwise(path)]))
    turns = curve.derivative().roots(extrapolate=False)
    # a flat stretch has no single root but NaN
    nodes = np.unique(np.concatenate([path, turns[np.isfinite(turns)]]))
    top = nodes[int(np.argmax(curve(nodes)))]
    height = float(curve(top))
    highest = int(np.argmax(relative))
    minima = _minima(nodes, curve(nodes))
    state = "barrier"
    if height - max(0.0, float(relative[-1])) < DEPTH_EV:
        state = "no barrier"
    elif minima:
        state = "intermediate minimum"
    backward = height - float(relative[-1])
    parts = [float(m / path[-1]) for m in minima]
    converged, reason = _verdict(state, parts, (height, backward), residual_force, fmax)
    return BarrierProfile(
        path_A=path,
        energies_ev=relative,
        slopes_ev_A=slopes,
        curve_path_A=s,
        curve_ev=curve(s),
        forward_ev=height,
        backward_ev=backward,
        reaction_ev=float(relative[-1]),
        saddle=float(top / path[-1]),
        highest_image=highest,
        interpolation_ev=height - float(relative[highest]),
        residual_force_ev_A=residual_force,
        state=state,
        minima=tuple(parts),
        converged=converged,
        reason=reason,
    )


def _minima(nodes: NDArray[np.float64], heights: NDArray[np.float64]) -> list[float]:
    """Minima between two maxima, deeper than the noise on both sides."""
    found: list[float] = []
    left = lowest = 0
    for i in range(1, len(nodes)):
        if heights[i] < heights[lowest]:
            lowest = i
        if heights[left] - heights[lowest] > DEPTH_EV and heights[i] - heights[lowest] > DEPTH_EV:
            found.append(float(nodes[lowest]))
            left = lowest = i
        elif heights[i] > heights[left]:
            left = lowest = i
    # a dip next to an end that lies high is the end's own minimum, not one between two maxima
    return [
        m
        for m in found
        if heights[nodes < m].max() > heights[0] + DEPTH_EV and heights[nodes > m].max() > heights[-1] + DEPTH_EV
    ]


def _verdict(
    state: str, minima: list[float], heights: tuple[float, float], residual: float | None, fmax: float | None
) -> tuple[bool, str]:
    if residual is None or fmax is None:
        relaxed, reason = False, "the path was not relaxed: the barrier is an estimate, mostly too high"
    elif residual > fmax:
        relaxed = False
        reason = f"a force of {residual:.2g} eV/Angstrom is left, above {fmax:g}: allow more steps"
    else:
        relaxed, reason = True, f"forces below {fmax:g} eV/Angstrom"
    if max(heights) > LARGEST_BARRIER_EV:
        return False, f"a barrier of {max(heights):.3g} eV is none of a solid: the potential does not know these places"
    if state == "no barrier":
        return relaxed, f"no point of the path is higher than both ends: there is no barrier to cross; {reason}"
    if state == "intermediate minimum":
        where = ", ".join(f"{m:.2f}" for m in minima)
        return (
            False,
            f"the path has a minimum at {where} of its length: split it there into hops of their own; {reason}",
        )
    return relaxed, reason


def barrier_quantities(profile: BarrierProfile, name: str, method: str) -> list[Quantity]:
    """Make the records of the barriers there and back, eV.

    Parameters
    ----------
    profile
        From `barrier_profile`.
    name
        Which hop, e.g. ``Cu1-Cu1_2.63``.
    method
        How the energies were obtained, in words.
    """
    return [
        Quantity(
            name=f"migration_barrier_{name}",
            value=value,
            unit="eV",
            method=method,
            converged=profile.converged,
            reason=profile.reason,
            direction=direction,
            citation="Henkelman, Uberuaga, Jonsson, J. Chem. Phys. 113, 9901 (2000)",
        )
        for direction, value in (("forward", profile.forward_ev), ("backward", profile.backward_ev))
    ]
