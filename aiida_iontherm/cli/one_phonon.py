"""``iontherm one-phonon``: one-phonon S(Q, E) from force constants."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import UserError, json_option, user_errors
from aiida_iontherm.cli.spectra_common import (
    check_output,
    figure_option,
    hkl,
    npz_option,
    numbers,
    path_arrays,
    probe_option,
    read_resolution,
    save_arrays,
    save_figure,
    whole_numbers,
    zone_option,
)

if TYPE_CHECKING:
    import numpy as np
    from phonopy import Phonopy

    from aiida_iontherm.physics.lattice.displacements import Displacements
    from aiida_iontherm.physics.spectra import OnePhonon, QPath, Resolution

ROWS_SHOWN = 12
"""Points of the path in the table for people; --json has all."""

STRONGEST = 3
"""Lines that are named at each point."""


@click.command("one-phonon")
@click.argument("directory", type=click.Path(exists=True, path_type=Path))
@click.option("--path", "path_text", metavar="PATH", help='Corners: "4,0,0 4,1,0", "GXM" or both; | for a jump.')
@click.option("--powder", metavar="QMIN,QMAX", help="Average over directions, |Q| in 1/Angstrom, in place of a path.")
@click.option("--directions", type=click.IntRange(1), default=400, show_default=True, help="Of a powder.")
@click.option("--conventional", is_flag=True, help="Lattice units of the cell in the folder, not of the primitive one.")
@zone_option
@click.option("--spacing", type=float, metavar="1/A", help="Between points; default: 100 points in all.")
@click.option("-T", "--temperature", type=float, required=True, help="In K.")
@probe_option
@click.option("--resolution", default="0.5", show_default=True, metavar="MEV[,SLOPE]", help="Full width, and per |E|.")
@click.option("--energies", metavar="LOW,HIGH", help="In meV; default: all phonons, energy loss of the probe.")
@click.option("--gamma", "gamma_mev", type=float, metavar="MEV", help="Half width of all modes.")
@click.option(
    "--linewidths",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Table of `iontherm linewidths` or phono3py, read as a function of frequency.",
)
@click.option("--mesh", metavar="N,N,N", help="For the Debye-Waller factors; default: 60 Angstrom over the vectors.")
@click.option("--no-debye-waller", is_flag=True, help="Leave the Debye-Waller factors out.")
@click.option("--classical", is_flag=True, help="Occupations of molecular dynamics.")
@click.option("--nac/--no-nac", default=None, help="Insist on the non-analytical term, or leave it out.")
@click.option("--symmetrise/--as-read", default=None, help="Impose symmetry on force constants read from a file.")
@click.option("--supercell", metavar="N,N,N", help="That of the force constants, where the folder does not tell it.")
@npz_option
@figure_option
@json_option
@user_errors
def one_phonon(
    directory: Path,
    path_text: str | None,
    npz: Path | None,
    figure: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compute what neutrons or X-rays see of the phonons of DIRECTORY.

    DIRECTORY is a folder that `iontherm kappa` takes; second order is enough. Intensities are per atom and meV, in
    fm^2 or electrons^2, and comparable with those of `iontherm structure-factor`.
    """
    from aiida_iontherm.physics.spectra.one_phonon import mean_square_displacements
    from aiida_iontherm.tasks.crystal_directory import load_crystal

    check_output(npz, ".npz", "--npz")
    check_output(figure, ".png", "--figure")
    if (path_text is None) == (options["powder"] is None):
        raise UserError("give either a --path or --powder")
    if options["gamma_mev"] is not None and options["linewidths"] is not None:
        raise UserError("give either --gamma or --linewidths")
    if options["powder"] and options["linewidths"] is not None:
        raise UserError("a powder takes one width for all modes: give --gamma in place of --linewidths")
    resolution = read_resolution(options["resolution"])
    mesh = whole_numbers(options["mesh"], "--mesh") if options["mesh"] else None
    remarks: list[str] = []

    def remark(sentence: str) -> None:
        remarks.append(sentence)
        click.echo(f"note: {sentence}", err=True)

    try:
        crystal: Any = load_crystal(
            directory,
            third=False,
            nac=options["nac"],
            symmetrise=options["symmetrise"],
            supercell_matrix=whole_numbers(options["supercell"], "--supercell") if options["supercell"] else None,
            remark=remark,
        )
    except FileNotFoundError as error:
        raise UserError(str(error)) from error
    temperature, classical = options["temperature"], options["classical"]
    thermal = None
    if not options["no_debye_waller"]:
        thermal = mean_square_displacements(crystal, temperature, mesh=mesh, classical=classical)
    energies = _energies(crystal, resolution, options["energies"])
    work = _powder if options["powder"] else _along_path
    record, arrays, picture = work(crystal, path_text, energies, resolution, thermal, options, remark)
    written = []
    if npz is not None:
        save_arrays(npz, arrays)
        written.append(npz)
    if figure is not None:
        from aiida_iontherm.report.figures.structure_factor import ScatteringMap, scattering_map
        from aiida_iontherm.report.style import style

        with style("one-phonon"):
            save_figure(figure, scattering_map(ScatteringMap(**picture))[0])
        written.append(figure)
    if thermal is not None:
        record["U_A2"] = {
            f"{symbol}{number}": float(value)
            for number, (symbol, value) in enumerate(
                zip(crystal.primitive.symbols, thermal.isotropic_A2[0], strict=True), 1
            )
        }
    lines = record.pop("lines")
    if as_json:
        whole = {"directory": str(directory), "probe": options["probe"], "temperature_K": temperature} | record
        click.echo(json.dumps(whole | {"remarks": remarks, "written": [str(file) for file in written]}, indent=1))
        return
    for line in lines:
        click.echo(line)
    for file in written:
        click.echo(f"Written: {file}")


def _energies(crystal: Phonopy, resolution: Resolution, text: str | None) -> np.ndarray:
    """Even grid of a quarter of the resolution."""
    import numpy as np

    from aiida_iontherm.physics.lattice.phonons import Phonons
    from aiida_iontherm.physics.spectra.detailed_balance import MEV_PER_THZ

    if text is None:
        highest = float(Phonons.from_phonopy(crystal, (3, 3, 3)).frequencies_thz.max()) * MEV_PER_THZ
        low, high = 0.0, 1.1 * highest + 2 * resolution.fwhm_mev
    else:
        low, high = numbers(text, 2, "--energies")
        if not low < high:
            raise UserError(f"--energies needs the lower one first, not {text!r}")
    return np.linspace(low, high, int(np.ceil(4 * (high - low) / resolution.fwhm_mev)) + 1)


def _along_path(
    crystal: Phonopy,
    path_text: str | None,
    energies: np.ndarray,
    resolution: Resolution,
    thermal: Displacements | None,
    options: dict[str, Any],
    remark: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, Any]]:
    import numpy as np

    from aiida_iontherm.physics.spectra import even_path, one_phonon, read_corners, scattering_weights

    cell = (crystal.unitcell if options["conventional"] else crystal.primitive).cell
    corners = read_corners(path_text or "", cell, numbers(options["zone"], 3, "--zone"))
    spacing = options["spacing"] or even_path(corners, cell, 1e3).ticks[-1][0] / 100 or 1.0
    path = even_path(corners, cell, spacing)
    weights = scattering_weights(sorted({str(s) for s in crystal.primitive.symbols}), path.norms, options["probe"])
    modes = one_phonon(
        crystal, path.vectors, weights, options["temperature"], thermal=thermal, classical=options["classical"]
    )
    if modes.imaginary:
        remark(f"{modes.imaginary} imaginary modes on the path are left out: they have no one-phonon scattering")
    gamma = _widths(modes, options, remark)
    values = modes.spectrum(energies, resolution, gamma)
    missing = _missing(modes)
    if missing > 1e-3:
        remark(f"modes near zero frequency that are left out have up to {missing:.0%} of the sum rule at some points")
    arrays = path_arrays(path) | {
        "energies_mev": energies,
        "coherent": values,
        "modes_mev": modes.energies_mev,
        "strengths": modes.strengths,
        "first_moments_mev": modes.first_moments,
        "gamma_mev": np.zeros(modes.energies_mev.shape)
        if gamma is None
        else np.broadcast_to(gamma, modes.energies_mev.shape),
    }
    picture = {
        "distances": path.distances,
        "energies_mev": energies,
        "values": values,
        "ticks": path.ticks,
        "parts": path.parts,
        "unit": modes.unit.replace("^2", "²"),
        "title": f"One phonon, {options['probe']}, {options['temperature']:g} K",
        "elastic_mev": 1.5 * resolution.fwhm_mev,
        "modes_mev": modes.energies_mev,
    }
    rows = [
        {
            "hkl": point.tolist(),
            "q_per_A": float(norm),
            "modes": [
                {"energy_mev": float(modes.energies_mev[q, s]), "strength": float(modes.strengths[q, s])}
                for s in np.argsort(modes.strengths[q])[::-1]
                if modes.strengths[q, s] > 1e-9 * modes.strengths[q].max()
            ],
        }
        for q, (point, norm) in enumerate(zip(path.points, path.norms, strict=True))
    ]
    record = {"unit": modes.unit, "imaginary_modes": modes.imaginary, "points": rows}
    return record | {"lines": _lines(path, modes, rows, resolution)}, arrays, picture


def _powder(
    crystal: Phonopy,
    _path_text: str | None,
    energies: np.ndarray,
    resolution: Resolution,
    thermal: Displacements | None,
    options: dict[str, Any],
    _remark: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, Any]]:
    import numpy as np

    from aiida_iontherm.physics.spectra import powder_spectrum
    from aiida_iontherm.physics.spectra.probes import UNITS

    low, high = numbers(options["powder"], 2, "--powder")
    if not 0 < low < high:
        raise UserError("--powder needs two lengths of Q, the smaller and positive one first")
    spacing = options["spacing"] or (high - low) / 60
    norms = np.linspace(low, high, int(np.ceil((high - low) / spacing - 1e-9)) + 1)
    values = powder_spectrum(
        crystal,
        norms,
        energies,
        options["temperature"],
        resolution,
        probe=options["probe"],
        thermal=thermal,
        gamma_mev=options["gamma_mev"],
        directions=options["directions"],
        classical=options["classical"],
    )
    unit = UNITS[options["probe"]]
    best = np.unravel_index(np.argmax(values), values.shape)
    lines = [
        f"{len(norms)} lengths of Q from {low:g} to {high:g} 1/Å, {options['directions']} directions each",
        f"highest: {values[best]:.3g} {unit}/meV at {norms[best[0]]:.2f} 1/Å and {energies[best[1]]:.2f} meV",
    ]
    record = {"unit": unit, "q_per_A": norms.tolist(), "directions": options["directions"], "lines": lines}
    picture = {
        "distances": norms,
        "energies_mev": energies,
        "values": values,
        "ticks": (),
        "parts": (0,),
        "unit": unit.replace("^2", "²"),
        "title": f"One phonon, powder, {options['probe']}, {options['temperature']:g} K",
    }
    return record, {"q_per_A": norms, "energies_mev": energies, "coherent": values}, picture


def _widths(modes: OnePhonon, options: dict[str, Any], remark: Callable[[str], None]) -> Any:
    """Half widths in meV: one, [Q, s], or ``None``."""
    import numpy as np

    from aiida_iontherm.physics.lattice.linewidth_tables import linewidths_by_frequency
    from aiida_iontherm.physics.spectra.detailed_balance import MEV_PER_THZ
    from aiida_iontherm.tasks.linewidth_files import read_linewidths

    if options["linewidths"] is None:
        return options["gamma_mev"]
    table = read_linewidths(options["linewidths"], remark=remark)
    known = np.atleast_1d(table["temperatures"])
    same = np.flatnonzero(np.isclose(known, options["temperature"]))
    if not len(same) or "frequencies_thz" not in table:
        raise UserError(
            f"{options['linewidths'].name} has no linewidths with frequencies at {options['temperature']:g} K"
        )
    gamma = table["gamma_thz"][same[0]]
    smooth = linewidths_by_frequency(
        modes.energies_mev / MEV_PER_THZ, table["frequencies_thz"].ravel(), gamma.reshape(1, -1)
    )
    return smooth.gamma_thz[0] * MEV_PER_THZ


def _missing(modes: OnePhonon) -> float:
    """Largest share of the sum rule that the modes do not have."""
    import numpy as np

    held = np.sum(modes.strengths * modes.energies_mev, axis=1)
    known = modes.first_moments > 0
    return float(np.max(1 - held[known] / modes.first_moments[known], initial=0.0))


def _lines(path: QPath, modes: OnePhonon, rows: list[dict[str, Any]], resolution: Resolution) -> list[str]:
    """Table for people."""
    import numpy as np

    unit = "" if modes.unit == "1" else f" {modes.unit}"
    result = [
        f"{len(path)} points, {modes.energies_mev.shape[1]} modes each, resolution {resolution.fwhm_mev:g} meV",
        f"  {'Q (r.l.u.)':24s} {'|Q| (1/Å)':>9s}   strongest lines (meV: intensity without occupation{unit})",
    ]
    for q in np.unique(np.linspace(0, len(path) - 1, ROWS_SHOWN).round().astype(int)):
        # Degenerate modes share their intensity as the solver happens to choose: their sum has a meaning.
        lines: list[list[float]] = []
        for mode in sorted(rows[q]["modes"], key=lambda row: row["energy_mev"]):
            if lines and mode["energy_mev"] - lines[-1][0] < 1e-3:
                lines[-1][1] += mode["strength"]
            else:
                lines.append([mode["energy_mev"], mode["strength"]])
        strongest = sorted(lines, key=lambda line: -line[1])[:STRONGEST]
        text = ", ".join(f"{energy:.2f}: {strength:.3g}" for energy, strength in strongest) or "none"
        result.append(f"  {hkl(path.points[q]):24s} {path.norms[q]:9.3f}   {text}")
    return result
