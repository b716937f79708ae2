"""Records of the lattice figures from the arrays of a lattice-conductivity run and its two-channel sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aiida_iontherm.physics.lattice.regimes import lifetimes_ps, wigner_limit_ps
from aiida_iontherm.report.model import DosData, KappaData, LifetimeData, SpectralData

Arrays = Mapping[str, np.ndarray]


def kappa_data(temperatures: np.ndarray, values: np.ndarray, uncertainty: np.ndarray) -> KappaData:
    """Conductivity by channel from temperatures [T] and tensors [3, T, 3, 3] of particle, wave and total."""
    known = bool(np.isfinite(uncertainty[2]).all())
    return KappaData(
        temperatures=temperatures,
        particle=values[0],
        wave=values[1],
        total=values[2],
        uncertainty=uncertainty[2] if known else None,
    )


def spectral_data(temperatures: np.ndarray, frequencies_thz: np.ndarray, spectra: np.ndarray) -> list[SpectralData]:
    """Conductivity per frequency at each temperature from [2, T, n, 3, 3], particle and wave."""
    diagonal = np.diagonal(spectra, axis1=-2, axis2=-1)
    return [
        SpectralData(
            temperature=float(temperature),
            frequencies_thz=frequencies_thz,
            particle=diagonal[0, index],
            wave=diagonal[1, index],
        )
        for index, temperature in enumerate(temperatures)
    ]


def dos_data(phonons: Arrays) -> DosData:
    """Density of states by species from ``phonons.npz``."""
    return DosData(
        temperature=float(phonons["temperatures"][0]),
        frequencies_thz=phonons["dos_frequencies_thz"],
        by_species={
            name.removeprefix("dos_"): values
            for name, values in phonons.items()
            if name.startswith("dos_") and name != "dos_frequencies_thz"
        },
    )


def lifetime_data(phonons: Arrays, index: int = 0) -> LifetimeData | None:
    """Lifetimes at one of the temperatures of ``phonons.npz``; ``None`` where no mode has a linewidth."""
    frequencies, gamma = phonons["frequencies_thz"], phonons["gamma_thz"][index]
    kept = (gamma > 0) & (frequencies > 0.05)
    if not kept.any():
        return None
    weights: Any = np.broadcast_to(phonons["weights"][:, None], frequencies.shape)
    return LifetimeData(
        temperature=float(phonons["temperatures"][index]),
        frequencies_thz=frequencies[kept],
        lifetimes_ps=lifetimes_ps(gamma[kept]),
        wigner_limit_ps=wigner_limit_ps(frequencies),
        weights=weights[kept],
    )
