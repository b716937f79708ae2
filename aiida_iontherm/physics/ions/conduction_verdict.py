"""Superionic, incipient or non-conducting: what a run says about the state of a compound, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aiida_iontherm.physics.ions.einstein import MIN_HOPS, Diffusion, axes_and_average
from aiida_iontherm.physics.ions.hop_statistics import HopCorrelation, JumpDiffusivity
from aiida_iontherm.physics.statistics import ONE_SIDED

State = Literal["superionic", "incipient", "non-conducting"]

SUPERIONIC_D = 1e-6
"""cm^2/s. Li et al. (10.1002/adma.202513381) set incipient conductors against superionic ones with 1e-5 (AgCrSe2 at
600 K, an argyrodite at 500 K); their incipient CsCu2I3 has 2.8e-7 along its best axis at 600 K in our convention. The
limit is about the geometric mean. By Nernst and Einstein it is 3 S/m for 1e22 ions per cm^3 at 600 K."""

NEGLIGIBLE_D = 1e-9
"""cm^2/s, of uncorrelated hops. The same paper calls diffusivities below it negligible; with hops of 3 Angstrom it is
one hop per ion in 150 ns."""

CONFINED_FACTOR = 1 / 3
"""D over jump diffusivity below which hops are confined: the smallest correlation factor of vacancies in a common
lattice is that of the honeycomb, 1/3 (those in three dimensions: 0.50 diamond to 0.78 fcc). Less means that ions come
back whatever the number of vacancies."""

HOPS_IN_WINDOW = 5
"""Hops an ion must make on average within the longest lag of D, for the memory of hops to have faded where D is read
off; with fewer, D may still be that of ions which will come back."""


@dataclass(frozen=True, kw_only=True)
class ConductionVerdict:
    """State of the mobile ions at one temperature.

    Attributes
    ----------
    state
        The state, or the likeliest where ``decided`` is false.
    decided
        Whether the run tells it from the others with 95 % confidence.
    confined
        Whether ions hop but come back: D below `CONFINED_FACTOR` of the jump diffusivity. ``None`` where this cannot be
        told.
    reason
        Why, one sentence.
    """

    state: State
    decided: bool
    confined: bool | None
    reason: str


def conduction_verdict(
    diffusion: Diffusion, jumps: JumpDiffusivity, n_hops: int, correlation: HopCorrelation, hops_in_window: float
) -> ConductionVerdict:
    """State of the mobile ions from diffusivity, hops and confinement.

    *Incipient* ionic conductors are at the threshold of conduction: ions have "substantial local mobility yet
    experience suppressed long-range diffusion due to structural confinement" (Li et al., Adv. Mater. 2025,
    10.1002/adma.202513381, after S. Mukherjee et al., Adv. Mater. 35, 2306088 (2023)). In numbers:

    - superionic: D along an axis or on average above `SUPERIONIC_D`;
    - non-conducting: jump diffusivity below `NEGLIGIBLE_D` and no diffusion seen;
    - incipient: hops are seen (at least three, jump diffusivity above `NEGLIGIBLE_D`), and D is below `SUPERIONIC_D`.

    D counts as above the border when its fit is settled and, where ions hop fewer than `HOPS_IN_WINDOW` times within
    its longest lag, when the jump diffusivity times the correlation factor of successive hops is above it, too.

    The papers give no numbers for the borders; these are the constants of this module, with their reasons.

    Parameters
    ----------
    diffusion
        From `diffusion`.
    jumps
        From `jump_diffusivity`.
    n_hops
        Hops in the whole run.
    correlation
        From `hop_correlation`.
    hops_in_window
        Mean number of hops of an ion within the longest lag of the fit of D.
    """
    upper = np.append(diffusion.upper_bound, diffusion.trace_third_upper_bound)
    lower = np.zeros(4)
    if diffusion.tensor is not None and diffusion.uncertainty is not None:
        seen = np.append(diffusion.diffusing_axes, diffusion.diffusing_average)
        errors = np.append(np.diag(diffusion.uncertainty), diffusion.trace_third_uncertainty or 0.0)
        lower = np.where(seen, axes_and_average(diffusion.tensor) - ONE_SIDED * errors, 0.0)
    confined = _confined(diffusion, jumps, n_hops)
    if lower.max() > SUPERIONIC_D:
        doubt = _passing(diffusion, jumps, correlation, hops_in_window)
        if doubt:
            return ConductionVerdict(state="superionic", decided=False, confined=confined, reason=doubt)
        return ConductionVerdict(
            state="superionic",
            decided=True,
            confined=confined,
            reason=f"D is above {SUPERIONIC_D:g} cm^2/s along {_axis(lower)} with 95 % confidence",
        )
    if n_hops < MIN_HOPS:
        if jumps.upper_bound < NEGLIGIBLE_D and not diffusion.diffusing:
            return ConductionVerdict(
                state="non-conducting",
                decided=True,
                confined=None,
                reason=f"{n_hops} hops in the run: even uncorrelated they allow at most {jumps.upper_bound:.1e} cm^2/s",
            )
        longer = jumps.upper_bound / NEGLIGIBLE_D
        return ConductionVerdict(
            state="non-conducting",
            decided=False,
            confined=None,
            reason=f"{n_hops} hops in the run still allow {jumps.upper_bound:.1e} cm^2/s: an incipient conductor would "
            f"be excluded by a run {longer:.2g} times as long, or with as many more ions",
        )
    back = "" if correlation.back_jump is None else f", {correlation.back_jump:.0%} of them undo the one before"
    if upper.max() >= SUPERIONIC_D:
        return ConductionVerdict(
            state="superionic" if _best(diffusion) > SUPERIONIC_D else "incipient",
            decided=False,
            confined=confined,
            reason=f"D may be as large as {upper.max():.1e} cm^2/s, not surely above {SUPERIONIC_D:g}: run longer",
        )
    decided = jumps.trace_third - ONE_SIDED * jumps.trace_third_uncertainty > NEGLIGIBLE_D
    if jumps.trace_third < NEGLIGIBLE_D:
        return ConductionVerdict(
            state="non-conducting",
            decided=jumps.upper_bound < NEGLIGIBLE_D,
            confined=confined,
            reason=f"{n_hops} hops are {jumps.trace_third:.1e} cm^2/s if uncorrelated, the border is {NEGLIGIBLE_D:g}",
        )
    return ConductionVerdict(
        state="incipient",
        decided=decided,
        confined=confined,
        reason=f"{n_hops} hops were seen{back}, but D is below {upper.max():.1e} cm^2/s",
    )


def _passing(diffusion: Diffusion, jumps: JumpDiffusivity, correlation: HopCorrelation, hops_in_window: float) -> str:
    """Why a large D may not last, or nothing."""
    if not diffusion.settled:
        return "D falls with the lag and is not settled at the longest one: run longer"
    if hops_in_window >= HOPS_IN_WINDOW:
        return ""
    seen = f"ions hop {hops_in_window:.2g} times within the longest lag"
    if correlation.factor is None or correlation.factor_uncertainty is None:
        return f"{seen}, and none is known to hop on: run longer"
    lasting = float(np.diag(jumps.tensor).max()) * (correlation.factor - ONE_SIDED * correlation.factor_uncertainty)
    if lasting > SUPERIONIC_D:
        return ""
    return f"{seen}, and successive hops undo each other: D may come down to {max(lasting, 0):.1e} cm^2/s, run longer"


def _confined(diffusion: Diffusion, jumps: JumpDiffusivity, n_hops: int) -> bool | None:
    if n_hops < MIN_HOPS:
        return None
    limit = CONFINED_FACTOR * jumps.trace_third
    if diffusion.trace_third_upper_bound < limit:
        return True
    value, error = diffusion.trace_third, diffusion.trace_third_uncertainty
    if diffusion.diffusing_average and value is not None and error is not None and value - ONE_SIDED * error > limit:
        return False
    return None


def _axis(lower: np.ndarray) -> str:
    return ("x", "y", "z", "the average")[int(np.argmax(lower))]


def _best(diffusion: Diffusion) -> float:
    return 0.0 if diffusion.tensor is None else float(axes_and_average(diffusion.tensor).max())
