"""What `iontherm structure-factor` and `iontherm one-phonon` share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import UserError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from aiida_iontherm.physics.spectra import DhoFit, QPath, Resolution

PROBES = ("neutron", "xray", "density")

probe_option = click.option(
    "--probe",
    type=click.Choice(PROBES),
    default="neutron",
    show_default=True,
    help="Weights of the atoms: scattering lengths, form factors, or 1.",
)
zone_option = click.option("--zone", default="0,0,0", metavar="H,K,L", help="Added to the labels of --path.")
npz_option = click.option("--npz", type=click.Path(dir_okay=False, path_type=Path), help="Write the arrays there.")
figure_option = click.option(
    "--figure", type=click.Path(dir_okay=False, path_type=Path), help="Write the map there, .png."
)


def numbers(text: str, count: int, option: str) -> list[float]:
    """Read so many numbers separated by commas."""
    try:
        values = [float(word) for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise UserError(f"{option} needs {count} numbers, not {text!r}") from error
    if len(values) != count:
        raise UserError(f"{option} needs {count} numbers, not {text!r}")
    return values


def whole_numbers(text: str, option: str) -> tuple[int, int, int]:
    """Read three positive whole numbers separated by commas."""
    words = text.replace(",", " ").split()
    if len(words) != 3 or not all(word.isdigit() and int(word) > 0 for word in words):
        raise UserError(f"{option} needs three positive whole numbers, not {text!r}")
    return int(words[0]), int(words[1]), int(words[2])


def check_output(path: Path | None, ending: str, option: str) -> None:
    """Refuse an output of another kind before anything is computed."""
    if path is not None and path.suffix != ending:
        raise UserError(f"{option} must end in {ending}, not {path.name!r}")


def read_resolution(text: str) -> Resolution:
    """``FWHM`` or ``FWHM,SLOPE``."""
    from aiida_iontherm.physics.spectra import Resolution

    return Resolution(*numbers(text, text.count(",") + 1 if text.count(",") < 2 else 2, "--resolution"))


def save_figure(path: Path, figure: Figure) -> None:
    """Write a picture whole or not at all."""
    import io

    from aiida_iontherm.report.write import write_atomically

    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, picture.getvalue())


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays whole or not at all."""
    from aiida_iontherm.tasks.files import write_npz

    path.parent.mkdir(parents=True, exist_ok=True)
    write_npz(path, arrays, compressed=True)


def path_arrays(path: QPath) -> dict[str, np.ndarray]:
    """Columns of a path for an archive."""
    import numpy as np

    return {
        "points_hkl": path.points,
        "vectors_per_A": path.vectors,
        "distances_per_A": path.distances,
        "parts": np.array(path.parts),
        "tick_distances_per_A": np.array([at for at, _ in path.ticks]),
        "tick_labels": np.array([label for _, label in path.ticks]),
    }


def hkl(point: Sequence[float]) -> str:
    """Reciprocal lattice units as people write them."""
    return "(" + " ".join(f"{value + 0.0:.4g}" for value in point) + ")"


def misfit(values: np.ndarray, errors: np.ndarray, fit: DhoFit) -> float:
    """Root mean square of what a fit leaves over, in error bars of the values: about 1 if these are the lines."""
    import numpy as np

    known = errors > 0
    return float(np.sqrt(np.mean(((values - fit.model)[known] / errors[known]) ** 2)))


def fit_record(fit: DhoFit) -> dict[str, Any]:
    """Return a fit for programs."""
    return {
        "lines": [
            {
                "energy_mev": line.energy_mev,
                "energy_error_mev": line.energy_error_mev,
                "gamma_mev": line.gamma_mev,
                "gamma_error_mev": line.gamma_error_mev,
                "gamma_thz": line.gamma_thz,
                "gamma_over_energy": line.ratio,
                "gamma_over_energy_error": line.ratio_error,
                "amplitude": line.amplitude,
                "amplitude_error": line.amplitude_error,
                "damping": str(line.damping),
                "at_bound": line.at_bound,
            }
            for line in fit.lines
        ],
        "elastic": fit.elastic,
        "background": fit.background,
        "reduced_chi2": fit.reduced_chi2,
    }


def fit_lines(fit: DhoFit) -> list[str]:
    """Return a fit for people, one row for each line."""
    rows = []
    for line in fit.lines:
        doubt = ", at the end of what can be told" if line.at_bound else ""
        rows.append(
            f"E0 {line.energy_mev:.3f} ± {line.energy_error_mev:.2g} meV, γ {line.gamma_mev:.3f} ± "
            f"{line.gamma_error_mev:.2g} meV, γ/E0 {line.ratio:.2f} ± {line.ratio_error:.1g}: {line.damping}{doubt}"
        )
    return rows
