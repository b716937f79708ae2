"""The rates of a run on the modes of our phonons, as the table that the task ``lattice-conductivity`` takes."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy

from aiida_iontherm.physics.lattice.linewidth_tables import linewidths_on_mesh, reciprocal_operations
from aiida_iontherm.physics.lattice.linewidths import average_degenerate
from aiida_iontherm.physics.lattice.phonons import cartesian_rotations, irreducible_mesh
from aiida_iontherm.tasks.shengbte_files.results import Rates
from aiida_iontherm.tasks.shengbte_files.settings import Mesh


class OtherCrystal(ValueError):
    """The results are not of this crystal, or not on this mesh."""


def linewidth_arrays(
    rates: Rates, phonopy: Phonopy, mesh: Mesh, tolerance_thz: float = 0.05
) -> dict[str, NDArray[Any]]:
    """Half widths on the irreducible points of our mesh, mode by mode.

    Points are found by the symmetry of the crystal, modes by the order of their frequencies. Values of degenerate modes
    are replaced by their mean: what the program gives each of them depends on the eigenvectors it happened to choose.

    Between the points of the supercell, frequencies of a polar crystal depend on how the non-analytical term is
    interpolated. Those of the run may be by the way of Gonze and Lee or that of Wang et al., whichever is ours.

    Parameters
    ----------
    rates
        Of the run.
    phonopy
        The crystal the run was for.
    mesh
        Divisions it was for.
    tolerance_thz
        Largest difference between frequencies of the run and those from the force constants.

    Returns
    -------
    ``gamma_thz`` [T, q, s], ``qpoints`` [q, 3], ``weights`` [q], ``temperatures`` [T], ``frequencies_thz`` [q, s] of
    our phonons, ``mesh`` [3]; ``gamma_3ph_thz`` and, where there are any, ``gamma_4ph_thz`` [T, q, s] and
    ``gamma_isotopes_thz`` [q, s]; ``gamma_effective_thz`` [T, q, s] of the iterative solution; and the frequencies of
    the run, ``frequencies_of_the_run_thz`` [q, s].

    Raises
    ------
    OtherCrystal
        If mesh, number of bands or frequencies are not those of the crystal.
    """
    points, weights = irreducible_mesh(phonopy, mesh)
    if rates.multiplicities.sum() != np.prod(mesh):
        raise OtherCrystal(
            f"the points of the run stand for {rates.multiplicities.sum()} of a mesh, and "
            f"{' x '.join(map(str, mesh))} has {np.prod(mesh)}: give the mesh of the run"
        )
    bands = 3 * len(phonopy.primitive)
    if rates.frequencies_thz.shape[1] != bands:
        raise OtherCrystal(
            f"the run has {rates.frequencies_thz.shape[1]} bands, and {len(phonopy.primitive)} atoms have {bands}: it "
            "is of another crystal, or another primitive cell"
        )
    ours = phonopy.run_qpoints(points).frequencies
    mode = _modes(rates, phonopy, points, ours, tolerance_thz)

    def here(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values.reshape(*values.shape[:-2], -1)[..., mode]

    arrays = {
        "gamma_thz": average_degenerate(ours, here(rates.gamma_thz)),
        "qpoints": points,
        "weights": weights,
        "temperatures": rates.temperatures,
        "frequencies_thz": ours,
        "mesh": np.array(mesh),
        "frequencies_of_the_run_thz": here(rates.frequencies_thz),
    }
    for name, values in rates.parts_thz.items():
        averaged = average_degenerate(ours, here(values))
        arrays[f"gamma_{name}_thz"] = averaged[0] if name == "isotopes" else averaged
    if rates.effective_thz is not None:
        arrays["gamma_effective_thz"] = here(rates.effective_thz)
    return arrays


def _modes(
    rates: Rates,
    phonopy: Phonopy,
    points: NDArray[np.float64],
    ours: NDArray[np.float64],
    tolerance_thz: float,
) -> NDArray[np.int64]:
    """Which mode of the run each of ours is [q, s], counted over points and bands: one search for all quantities."""
    operations = reciprocal_operations(phonopy.primitive.cell, cartesian_rotations(phonopy))
    numbers = np.arange(rates.frequencies_thz.size, dtype=float).reshape(1, *rates.frequencies_thz.shape)

    def search(frequencies: NDArray[np.float64]) -> NDArray[np.int64]:
        found = linewidths_on_mesh(
            points,
            frequencies,
            operations,
            rates.qpoints,
            numbers,
            rates.frequencies_thz,
            tolerance_thz=tolerance_thz,
        )
        return found[0].astype(np.int64)

    try:
        return search(ours)
    except ValueError as error:
        nac = phonopy.nac_params
        if nac is not None and nac.get("method") != "wang":
            other = phonopy.copy()
            other.force_constants = phonopy.force_constants
            other.nac_params = {**nac, "method": "wang"}
            with contextlib.suppress(ValueError):
                return search(other.run_qpoints(points).frequencies)
        raise OtherCrystal(str(error)) from error
