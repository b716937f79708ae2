"""The file ``profile.npz`` of the task ``nemd``: what a run with heat exchange leaves to be analysed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiida_iontherm.physics.heat import Nemd, nemd
from aiida_iontherm.tasks.files import read_npz, write_npz

AXES = "abc"
"""Cell vectors by name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatExchangeRun:
    """Profile of a run, and what is needed to make a conductivity of it.

    Attributes
    ----------
    profile
        ``[blocks, slabs, 4]`` as `nemd` takes it.
    cell
        ``[3, 3]`` Angstrom.
    axis
        Number of the cell vector across which the slabs lie.
    power_ev_per_ps
        Carried from slab ``slabs // 2`` to slab 0.
    block_ps
        Time per block.
    temperature_k
        Of the equilibration.
    """

    profile: np.ndarray
    cell: np.ndarray
    axis: int
    power_ev_per_ps: float
    block_ps: float
    temperature_k: float

    def analyse(self, skip: int | None = None) -> Nemd:
        """Compute the conductivity; `skip` slabs are left out beside each reservoir.

        Raises
        ------
        ValueError
            As `nemd`.
        """
        return nemd(self.profile, self.cell, self.axis, self.power_ev_per_ps, self.block_ps, skip=skip)

    def write(self, path: Path) -> None:
        """Write the file."""
        write_npz(
            path,
            {
                "profile": self.profile,
                "cell": self.cell,
                "axis": np.array(self.axis),
                "power_ev_per_ps": np.array(self.power_ev_per_ps),
                "block_ps": np.array(self.block_ps),
                "temperature_k": np.array(self.temperature_k),
            },
        )

    @classmethod
    def read(cls, path: Path) -> HeatExchangeRun:
        """Read the file.

        Raises
        ------
        ValueError
            If it is missing, damaged, or lacks an array.
        """
        arrays = read_npz(path)
        missing = [name for name in cls.__dataclass_fields__ if name not in arrays]
        if missing:
            raise ValueError(f"{path.name} holds no {', '.join(missing)}: it is no profile of the task nemd")
        return cls(
            profile=arrays["profile"],
            cell=arrays["cell"],
            axis=int(arrays["axis"]),
            **{name: float(arrays[name]) for name in ("power_ev_per_ps", "block_ps", "temperature_k")},
        )


def supercell_of(axis: str, cells: int, cross_section: tuple[int, int]) -> tuple[int, int, int]:
    """Supercell of so many cells along the axis, and across it in the order of the other vectors (of a, b, c)."""
    numbers = list(cross_section)
    numbers.insert(AXES.index(axis), cells)
    return numbers[0], numbers[1], numbers[2]


def figures(result: Nemd) -> dict[str, Any]:
    """Numbers of an analysis as JSON holds them; profiles are left to the file."""
    return {
        "kappa": result.kappa,
        "kappa_uncertainty": result.uncertainty,
        "length_angstrom": result.length_A,
        "area_angstrom2": result.area_A2,
        "temperature_k": result.temperature,
        "temperature_difference_k": result.difference,
        "gradient_k_per_angstrom": result.gradient,
        "gradient_uncertainty_k_per_angstrom": result.gradient_uncertainty,
        "gradients_of_halves": result.gradients.tolist(),
        "gradient_uncertainties_of_halves": result.gradient_uncertainties.tolist(),
        "flux_ev_per_ps_angstrom2": result.flux,
        "middle_flux_ev_per_ps_angstrom2": result.middle_flux,
        "middle_flux_uncertainty_ev_per_ps_angstrom2": result.middle_flux_uncertainty,
        "convective_share": result.convective_share,
        "convective_share_uncertainty": result.convective_share_uncertainty,
        "bend": result.bend.tolist(),
        "bend_uncertainty": result.bend_uncertainty.tolist(),
        "fitted_slabs": int(result.fitted.shape[1]),
        "skipped_slabs": result.skipped,
        "relaxation_ps": result.relaxation_ps,
        "left_out_ps": result.left_out_ps,
        "used_ps": result.used_ps,
        "problems": list(result.problems),
        "remarks": list(result.remarks),
    }
