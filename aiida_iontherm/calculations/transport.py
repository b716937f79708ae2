"""Calcfunctions on molecular dynamics: ions and heat that move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_iontherm.calculations.functions import array_data
from aiida_iontherm.data import CurrentsData, ResultData, TrajectoryData
from aiida_iontherm.physics.heat import (
    cepstral,
    cepstral_quantities,
    green_kubo,
    green_kubo_quantities,
    onsager_kappa,
    onsager_quantities,
)
from aiida_iontherm.physics.ions import (
    FORMAL_CHARGES,
    charge_transport,
    charge_transport_quantities,
    diffusion,
    diffusion_quantities,
)
from aiida_iontherm.physics.quantity import Quantity


@calcfunction
def analyse_diffusion(settings: Dict, **trajectories: TrajectoryData) -> dict[str, Any]:
    """Diffusivity and conductivity of the mobile ions with error bars, or bounds; the mean square displacement.

    Several trajectories are independent runs of the same cell at one temperature; `settings` may hold their warnings.
    """
    runs = [node.arrays() for _, node in sorted(trajectories.items())]
    ion, temperature = settings["ion"], settings["temperature"]
    motion = {
        "positions": [part.astype(float) for run in runs for part in _replicas(run["mobile_positions"], 3)],
        "timestep_fs": float(runs[0]["frame_interval_fs"]),
        "drift": [part - part[0] for run in runs for part in _replicas(run["drift"], 2)],
    }
    charge = FORMAL_CHARGES.get(ion)
    if charge is None:
        result, charged = diffusion(**motion), []
    else:
        volume = abs(float(np.linalg.det(runs[0]["cell"])))
        transport = charge_transport(**motion, charge=charge, volume_A3=volume, temperature=temperature)
        result, charged = transport.tracer, charge_transport_quantities(transport, ion, temperature)
    window = [np.nan, np.nan] if result.window_ps is None else result.window_ps
    warnings = settings.get("warnings", [])
    return {
        "result": ResultData(doubted(diffusion_quantities(result, ion, temperature) + charged, warnings)),
        "msd": array_data(lags_ps=result.lags_ps, msd=result.msd, window_ps=window),
    }


def _replicas(values: np.ndarray, dimensions: int) -> list[np.ndarray]:
    """Split an array that has one axis more if there are several runs in it."""
    return [values] if values.ndim == dimensions else list(values)


@calcfunction
def analyse_heat_flux(settings: Dict, **currents: CurrentsData) -> dict[str, Any]:
    """Conductivity from the heat currents of independent runs: cepstral, by running integrals, with its parts.

    With a mobile ion named, at zero flux of its mass current, beside the bare value.
    """
    runs = [node.arrays() for _, node in sorted(currents.items())]
    temperature, target = settings["temperature"], settings["target_error"]
    # What the thermometer of the runs says is what the formula wants.
    measured = float(np.mean([run["temperature"] for run in runs]))
    where = (float(runs[0]["timestep_fs"]), measured, float(runs[0]["volume"]))

    def joined(name: str) -> np.ndarray:
        return np.stack([part for run in runs for part in _replicas(run[name], 2)])

    parts = {name: joined(name) for name in ("virial", "convective")}
    mobile = settings.get("mobile")
    others = [] if mobile is None else [joined(f"mass_{mobile}")]
    series = [parts["virial"] + parts["convective"], *others]
    groups = settings.get("axes", "x,y,z").split(",")
    estimates = [cepstral(series, *where, axes=group) for group in groups]
    records = cepstral_quantities(estimates, temperature, target)
    if others:
        reduced = [onsager_kappa(series, *where, axes=group) for group in groups]
        records += onsager_quantities(reduced, temperature, target)
    bare = green_kubo(parts, *where)
    records += green_kubo_quantities(bare, temperature, target)
    curves = {"lags_ps": bare.lags_ps, "kappa": bare.running, "uncertainty": bare.running_uncertainty}
    return {
        "result": ResultData(doubted(records, settings.get("warnings", []))),
        "integrals": array_data(**curves, window_ps=list(bare.window_ps)),
    }


def doubted(quantities: list[Quantity], warnings: Sequence[str]) -> list[Quantity]:
    """Mark what comes from runs with warnings as not converged."""
    if not warnings:
        return quantities
    return [
        replace(quantity, converged=False, reason="; ".join([*filter(None, [quantity.reason]), *warnings]))
        for quantity in quantities
    ]
