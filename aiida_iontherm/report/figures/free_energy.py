"""Free energy of the mobile ions, seen along the axes of the cell."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from aiida_iontherm.physics.ions.density_map import DensityMap
from aiida_iontherm.physics.ions.jump_sites import JumpSites
from aiida_iontherm.report.figures.caption import Caption
from aiida_iontherm.report.style import QUIET, WIDTH_IN, Columns, long_form

_VIEWS = ((0, 1), (0, 2), (1, 2))
_AXES = "abc"


def free_energy_maps(
    density: DensityMap, temperature: float, ion: str, sites: JumpSites | None = None
) -> tuple[Figure, Columns]:
    """Draw the lowest free energy along the line of sight, on the three faces of the cell.

    Parameters
    ----------
    density
        Of the mobile ions.
    temperature
        K.
    ion
        Symbol.
    sites
        Drawn as small rings.

    Returns
    -------
    Figure, dict
        Three panels with one scale in eV, white where no ion was seen; columns stacked: face, fractional coordinates,
        free energy (infinite where no ion was seen).
    """
    energy = density.free_energy(temperature)
    finite = energy[np.isfinite(energy)]
    top = float(finite.max()) or 1.0
    figure = Figure(figsize=(WIDTH_IN, 3.0), layout="constrained")
    # the panels keep the shape of the faces
    widths = [float(np.linalg.norm(density.cell[across])) for across, _ in _VIEWS]
    axes = figure.subplots(1, 3, squeeze=False, width_ratios=widths)[0]
    parts: list[Columns] = []
    image = None
    for ax, (across, up) in zip(axes, _VIEWS, strict=True):
        hidden = 3 - across - up
        face = energy.min(axis=hidden)
        corners = _face(density.cell, across, up)
        u, v = (np.linspace(0, 1, n + 1) for n in face.shape)
        grid = u[:, None, None] * corners[0] + v[None, :, None] * corners[1]
        shown = np.ma.masked_invalid(face)
        image = ax.pcolormesh(
            grid[..., 0], grid[..., 1], shown, cmap="viridis_r", vmin=0, vmax=top, shading="flat", rasterized=True
        )
        if sites is not None:
            # in the cell of the density, which may be a part of that of the sites
            places = (sites.fractional @ sites.cell @ np.linalg.inv(density.cell))[:, [across, up]] % 1 @ corners
            ax.plot(
                places[:, 0], places[:, 1], linestyle="none", marker="o", markersize=4, mfc="none", mec=QUIET, mew=0.7
            )
        frame = np.array([[0, 0], corners[0], corners[0] + corners[1], corners[1], [0, 0]])
        ax.plot(frame[:, 0], frame[:, 1], color=QUIET, linewidth=0.7)
        ax.set_aspect("equal")
        ax.set_title(f"seen along {_AXES[hidden]}")
        ax.set_xlabel(f"along {_AXES[across]} (Å)")
        ax.set_ylabel(f"towards {_AXES[up]} (Å)")
        first, second = np.meshgrid((u[1:] + u[:-1]) / 2, (v[1:] + v[:-1]) / 2, indexing="ij")
        parts.append(
            {
                "face": np.full(face.size, f"{_AXES[across]}{_AXES[up]}"),
                "first_fraction": first.ravel(),
                "second_fraction": second.ravel(),
                "free_energy_eV": face.ravel(),
            }
        )
    if image is not None:
        bar = figure.colorbar(image, ax=list(axes), shrink=0.8, pad=0.01)
        bar.set_label(f"free energy of {ion} (eV)")
    return figure, long_form(parts)


def describe_free_energy(density: DensityMap, temperature: float, ion: str) -> Caption:
    """Say what the maps show."""
    energy = density.free_energy(temperature)
    highest = float(energy[np.isfinite(energy)].max())
    text = (
        f"Lowest free energy −k_BT ln(ρ/ρ_max) of {ion} at {temperature:g} K along each line of sight through the "
        "cell, in eV. Light: where ions stay. White: where none was seen in the run. Rings: sites. A path "
        "through the cell is one in three dimensions only if the percolation barrier says so."
    )
    return Caption(f"Where {ion} goes", text, f"Maps of the free energy of {ion} from 0 to {highest:.2g} eV.")


def _face(cell: np.ndarray, across: int, up: int) -> np.ndarray:
    """Return two cell vectors in their own plane, the first along x [2, 2]."""
    first, second = cell[across], cell[up]
    length = np.linalg.norm(first)
    along = float(second @ first / length)
    return np.array([[length, 0.0], [along, float(np.sqrt(max(second @ second - along**2, 0.0)))]])
