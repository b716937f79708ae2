"""Records of the figures of molecular dynamics from the arrays of ``trajectory.npz``."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from aiida_iontherm.physics.ions import (
    density_map,
    find_hops,
    find_stays,
    logarithmic_lags,
    residence_times,
    sites_from_density,
    van_hove,
)
from aiida_iontherm.report.model import HopsData, MsdData, VdosData

Arrays = Mapping[str, np.ndarray]

MOST_PLACES = 1_000_000
"""Positions of single ions that are looked through for hops: some three seconds."""

LONGEST_INTERVAL_FS = 200.0
"""Frames are not thinned beyond this: ions cross from site to site in less than a picosecond."""

LEAST_FRAMES = 8

VAN_HOVE_LAGS = 6


def species_of(arrays: Arrays) -> list[str]:
    """Symbols of the atoms of a run, sorted."""
    return sorted(chemical_symbols[number] for number in np.unique(arrays["numbers"]))


def msd_data(arrays: Arrays, temperature: float, mobile: str | None) -> list[MsdData]:
    """Mean square displacements of every species, at lags up to half of the run; those of replicas are averaged."""
    if not len(arrays.get("msd_lags_ps", ())):
        return []
    lags = arrays["msd_lags_ps"]
    # Longer lags have few time origins.
    enough = lags <= 0.5 * arrays["msd_origins"][0] * lags[0]
    records = []
    for species in species_of(arrays):
        values = arrays[f"msd_{species}"]
        records.append(
            MsdData(
                ion=species,
                temperature=temperature,
                lags_ps=lags[enough],
                msd=values.reshape(-1, *values.shape[-2:]).mean(axis=0)[enough],
                mobile=species == mobile,
            )
        )
    return records


def vdos_data(arrays: Arrays, temperature: float) -> VdosData | None:
    """Vibrational density of states, if the run was asked for it."""
    if "vdos_frequencies_thz" not in arrays:
        return None
    present = [species for species in species_of(arrays) if f"vdos_{species}" in arrays]
    resolved = [species for species in present if f"vdos_{species}_x" in arrays]
    return VdosData(
        temperature=temperature,
        frequencies_thz=arrays["vdos_frequencies_thz"],
        by_species={species: arrays[f"vdos_{species}"] for species in present},
        by_direction={
            species: np.stack([arrays[f"vdos_{species}_{axis}"] for axis in "xyz"], axis=1) for species in resolved
        },
    )


def hops_data(arrays: Arrays, temperature: float, ion: str) -> HopsData | None:
    """Density, sites and van Hove functions of the mobile ions, if any of them was seen to hop; of the first replica.

    Sites are the maxima of the density. Long runs are thinned.
    """
    positions, drift = arrays["mobile_positions"], arrays["drift"]
    if positions.ndim == 4:
        positions, drift = positions[0], drift[0]
    ions = int(np.sum(arrays["numbers"] == atomic_numbers[ion]))
    if len(positions) < LEAST_FRAMES or positions.shape[1] != ions:
        return None
    interval = float(arrays["frame_interval_fs"])
    thin = math.ceil(len(positions) * ions / MOST_PLACES)
    thin = max(1, min(thin, int(LONGEST_INTERVAL_FS / interval), len(positions) // LEAST_FRAMES))
    moved = positions[::thin] - (drift - drift[0])[::thin, None].astype(positions.dtype)
    cell, interval = arrays["cell"], thin * interval
    try:
        density = density_map(moved, cell)
        sites = sites_from_density(density)
    except ValueError:
        # A gas has no sites.
        return None
    stays = find_stays(moved, interval, sites)
    hops = find_hops(stays)
    if not len(hops):
        return None
    residences = residence_times(stays, hops)
    return HopsData(
        ion=ion,
        temperature=temperature,
        density=density,
        sites=sites,
        correlations=van_hove(moved, interval, logarithmic_lags(len(moved), VAN_HOVE_LAGS), cell=cell),
        hops=len(hops),
        residence=residences[0] if len(residences) == 1 else None,
    )
