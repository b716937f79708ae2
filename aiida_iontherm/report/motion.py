"""Records of the figures of molecular dynamics from the arrays of ``trajectory.npz`` of the runs at one temperature.

Of several runs those count that fit the first; replicas are runs of their own. Arrays may be read when they are asked
for: what is large is taken from one run after the other.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from aiida_iontherm.physics.ions import (
    density_map,
    find_hops,
    find_stays,
    join_stays,
    logarithmic_lags,
    residence_times,
    sites_from_density,
    van_hove,
)
from aiida_iontherm.physics.ions.van_hove import DISTINCT_PAIRS
from aiida_iontherm.report.model import HopsData, MsdData, VdosData

Arrays = Mapping[str, np.ndarray]

MOST_PLACES = 1_000_000
"""Positions of single ions that are looked through for hops, in all runs: some three seconds."""

LONGEST_INTERVAL_FS = 200.0
"""Frames are not thinned beyond this: ions cross from site to site in less than a picosecond."""

LEAST_FRAMES = 8

VAN_HOVE_LAGS = 6


def species_of(arrays: Arrays) -> list[str]:
    """Symbols of the atoms of a run, sorted."""
    return sorted(chemical_symbols[number] for number in np.unique(arrays["numbers"]))


def msd_data(runs: Sequence[Arrays], temperature: float, mobile: str | None) -> list[MsdData]:
    """Mean square displacements of every species, averaged over the runs, at lags up to half of a run."""
    first = runs[0]
    if not len(first.get("msd_lags_ps", ())):
        return []
    lags = first["msd_lags_ps"]
    # Longer lags have few time origins.
    enough = lags <= 0.5 * first["msd_origins"][0] * lags[0]
    alike = _alike(runs, "numbers", "msd_lags_ps")
    records = []
    for species in species_of(first):
        values = np.stack([run[f"msd_{species}"] for run in alike])
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


def vdos_data(runs: Sequence[Arrays], temperature: float) -> VdosData | None:
    """Vibrational density of states, averaged over the runs, if they were asked for it."""
    first = runs[0]
    if "vdos_frequencies_thz" not in first:
        return None
    alike = _alike(runs, "numbers", "vdos_frequencies_thz")

    def mean(name: str) -> np.ndarray:
        return np.mean([run[f"vdos_{name}"] for run in alike], axis=0)

    present = [species for species in species_of(first) if f"vdos_{species}" in first]
    resolved = [species for species in present if f"vdos_{species}_x" in first]
    return VdosData(
        temperature=temperature,
        frequencies_thz=first["vdos_frequencies_thz"],
        by_species={species: mean(species) for species in present},
        by_direction={species: np.stack([mean(f"{species}_{axis}") for axis in "xyz"], axis=1) for species in resolved},
        by_site={
            species: {site: mean(site) for site in sites}
            for species in present
            if (sites := _numbered_sites(first, species))
        },
    )


def _numbered_sites(arrays: Arrays, species: str) -> list[str]:
    """Sites of a species with densities of states of their own: ``vdos_Cu1`` is that of Cu1."""
    numbered = re.compile(rf"vdos_({species}\d+)")
    return [found[1] for name in sorted(arrays) if (found := numbered.fullmatch(name))]


def hops_data(runs: Sequence[Arrays], temperature: float, ion: str) -> HopsData | None:
    """Density, sites and van Hove functions of the mobile ions in all runs, if any of them was seen to hop.

    Sites are the maxima of the density of all runs. Long runs are thinned, the more the more there are.
    """
    first = runs[0]
    alike = _alike(runs, "numbers", "cell", "frame_interval_fs")
    ions, cell = int(np.sum(first["numbers"] == atomic_numbers[ion])), first["cell"]
    thin = _thinning(first, len(alike), ions)
    interval = thin * float(first["frame_interval_fs"])
    paths = [path for run in alike for path in _paths(run, thin, ions)]
    paths = [path for path in paths if len(path) == len(paths[0])]
    if not paths:
        return None
    try:
        density = reduce(operator.add, (density_map(path, cell) for path in paths))
        sites = sites_from_density(density)
        stays = join_stays([find_stays(path, interval, sites) for path in paths])
    except ValueError:
        # A gas has no sites, a liquid fewer than ions.
        return None
    hops = find_hops(stays)
    if not len(hops):
        return None
    residences = residence_times(stays, hops)
    lags = logarithmic_lags(len(paths[0]), VAN_HOVE_LAGS)
    pairs = DISTINCT_PAIRS // len(paths)
    correlations = (van_hove(path, interval, lags, cell=cell, most_pairs=pairs) for path in paths)
    return HopsData(
        ion=ion,
        temperature=temperature,
        density=density,
        sites=sites,
        correlations=reduce(operator.add, correlations),
        hops=len(hops),
        runs=len(paths),
        duration_ps=stays.duration_ps,
        residence=residences[0] if len(residences) == 1 else None,
    )


def _alike(runs: Sequence[Arrays], *names: str) -> list[Arrays]:
    """Return the runs whose arrays of these names are those of the first."""
    wanted = {name: runs[0][name] for name in names}

    def fits(run: Arrays, name: str) -> bool:
        return name in run and run[name].shape == wanted[name].shape and np.allclose(run[name], wanted[name])

    return [run for run in runs if all(fits(run, name) for name in names)]


def _thinning(arrays: Arrays, runs: int, ions: int) -> int:
    """Return the step from frame to frame with which so many runs like this one are looked through in bounded time."""
    *replicas, frames, _ = arrays["drift"].shape
    thin = math.ceil(runs * math.prod(replicas) * frames * ions / MOST_PLACES)
    return max(1, min(thin, int(LONGEST_INTERVAL_FS / float(arrays["frame_interval_fs"])), frames // LEAST_FRAMES))


def _paths(arrays: Arrays, thin: int, ions: int) -> list[np.ndarray]:
    """Return the thinned positions in each replica, without the drift; none where too few are stored, or of others."""
    positions, drift = arrays["mobile_positions"], arrays["drift"]
    if positions.ndim == 3:
        positions, drift = positions[None], drift[None]
    if positions.shape[1] < LEAST_FRAMES or positions.shape[2] != ions:
        return []
    shifts = drift - drift[:, :1]
    return list(positions[:, ::thin] - shifts[:, ::thin, None].astype(positions.dtype))
