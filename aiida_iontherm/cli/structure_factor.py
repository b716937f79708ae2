"""``iontherm structure-factor``: S(Q, E) of molecular dynamics along a path."""

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
    fit_lines,
    fit_record,
    hkl,
    misfit,
    npz_option,
    numbers,
    path_arrays,
    probe_option,
    save_arrays,
    save_figure,
    whole_numbers,
    zone_option,
)

if TYPE_CHECKING:
    import numpy as np

    from aiida_iontherm.physics.spectra import DhoFit, QPath, Spectrum, StructureFactor
    from aiida_iontherm.tasks.position_files import PositionRun

LARGEST_MISFIT = 3.0
"""Error bars, themselves known to a quarter only, by which a fit may be off on average."""


@click.command("structure-factor")
@click.argument(
    "trajectories",
    nargs=-1,
    required=True,
    metavar="TRAJECTORY...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--path", "path_text", required=True, metavar="PATH", help='Corners: "4,0,0 4,1,0", "GXM" or both; |.')
@click.option("--cells", metavar="N,N,N", help="Unit cells in the cell of the run, along its vectors.")
@click.option(
    "--unit-cell",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the unit cell, where --cells does not do.",
)
@zone_option
@click.option("--off-path", type=float, metavar="1/A", help="Take points so near the path; default: those on it.")
@probe_option
@click.option("-T", "--temperature", type=float, help="Of the run, K: both sides of E with detailed balance.")
@click.option("--resolution", "fwhm_mev", type=float, metavar="MEV", help="Full width; default: what the run allows.")
@click.option("--max-energy", "max_energy_mev", type=float, metavar="MEV", help="Last energy; default: Nyquist's.")
@click.option("--interval", "interval_fs", type=float, metavar="FS", help="Time between frames, if no file tells it.")
@click.option("--discard", "discard_ps", type=float, default=0.0, metavar="PS", help="Leave out the start of each run.")
@click.option("--species", default="", metavar="A,B,...", help="Symbols of the types 1, 2, ... of a LAMMPS dump.")
@click.option("--incoherent", is_flag=True, help="Incoherent scattering of neutrons, too; holds all positions.")
@click.option("--lines", type=click.IntRange(1), metavar="N", help="Fit so many damped oscillators at each Q.")
@click.option("--fit-range", metavar="LOW,HIGH", help="Energies of the fit, meV; default: all.")
@npz_option
@figure_option
@json_option
@user_errors
def structure_factor(
    trajectories: tuple[Path, ...],
    path_text: str,
    npz: Path | None,
    figure: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compute S(Q, E) from runs in which all atoms were stored.

    Each TRAJECTORY is a run at constant volume after equilibration: extended XYZ, a LAMMPS dump or any other format of
    ASE, or an .npz with positions, cell, numbers and frame_interval_fs. Q is in reciprocal lattice units of the unit
    cell; only points that fit into the cell of the run are taken.
    """
    from aiida_iontherm.physics.spectra import commensurate_path, quantum, read_corners, scattering_weights
    from aiida_iontherm.physics.spectra.q_paths import ON_PATH
    from aiida_iontherm.tasks.position_files import open_positions

    check_output(npz, ".npz", "--npz")
    check_output(figure, ".png", "--figure")
    window = numbers(options["fit_range"], 2, "--fit-range") if options["fit_range"] else None
    if options["incoherent"] and options["probe"] != "neutron":
        raise UserError("incoherent scattering is that of neutrons: leave out --incoherent or --probe")
    species = [word for word in options["species"].split(",") if word]
    runs = [open_positions(file, options["interval_fs"], options["discard_ps"], species) for file in trajectories]
    _check_alike(runs)
    unit_cell = _unit_cell(runs[0], options["cells"], options["unit_cell"])
    corners = read_corners(path_text, unit_cell, numbers(options["zone"], 3, "--zone"))
    tolerance = ON_PATH if options["off_path"] is None else options["off_path"]
    path = commensurate_path(corners, unit_cell, runs[0].cell, tolerance)
    elements = sorted(set(runs[0].symbols))
    # Looked up before anything is computed: a table may be missing.
    weights = scattering_weights(elements, path.norms, options["probe"])
    remarks: list[str] = []

    def remark(sentence: str) -> None:
        remarks.append(sentence)
        click.echo(f"note: {sentence}", err=True)

    result = _computed(runs, path, options, remark)
    classical = result.coherent(weights)
    fits = _fits(classical, result, options["lines"], window) if options["lines"] else {}
    spectrum, own = classical, result.incoherent(weights) if options["incoherent"] else None
    if options["temperature"] is not None:
        spectrum = quantum(classical, options["temperature"])
        own = own and quantum(own, options["temperature"])
    static = result.static_structure_factor(weights)
    written = []
    if npz is not None:
        save_arrays(npz, path_arrays(path) | _arrays(result, spectrum, own, static))
        written.append(npz)
    if figure is not None:
        written += _drawn(figure, path, spectrum, classical, result, fits, options["probe"])
    if as_json:
        record = _record(path, result, classical, static, fits) | {
            "trajectories": [str(file) for file in trajectories],
            "probe": options["probe"],
            "unit": spectrum.unit,
            "temperature_K": options["temperature"],
            "remarks": remarks,
            "written": [str(file) for file in written],
        }
        click.echo(json.dumps(record, indent=1))
        return
    for line in _lines(path, result, classical, static, fits, len(runs)):
        click.echo(line)
    for file in written:
        click.echo(f"Written: {file}")


def _check_alike(runs: list[PositionRun]) -> None:
    import numpy as np

    first = runs[0]
    for run in runs[1:]:
        if sorted(run.symbols) != sorted(first.symbols):
            raise UserError(f"{run.name} has other atoms than {first.name}")
        if np.abs(run.cell - first.cell).max() > 1e-3 * np.abs(first.cell).max():
            raise UserError(f"{run.name} has another cell than {first.name}: runs of one volume are averaged")
        if not np.isclose(run.interval_fs, first.interval_fs, rtol=1e-3):
            raise UserError(f"{run.name} has another time between frames than {first.name}")


def _unit_cell(run: PositionRun, cells: str | None, file: Path | None) -> np.ndarray:
    import ase.io
    import numpy as np

    if (cells is None) == (file is None):
        raise UserError("tell the unit cell: --cells N,N,N of the run, or a file with --unit-cell")
    if cells is not None:
        return run.cell / np.array(whole_numbers(cells, "--cells"))[:, None]
    try:
        return ase.io.read(file).cell.array
    except Exception as error:
        # the readers of ASE raise anything
        raise UserError(f"{file.name if file else ''} is not a structure that ASE can read: {error}") from error


def _computed(
    runs: list[PositionRun], path: QPath, options: dict[str, Any], remark: Callable[[str], None]
) -> StructureFactor:
    import numpy as np

    from aiida_iontherm.physics.spectra import Densities, self_correlation, structure_factor
    from aiida_iontherm.physics.spectra.structure_factor import bytes_needed, default_fwhm

    fwhm = options["fwhm_mev"]
    densities, positions = [], []
    each = bytes_needed(len(set(runs[0].symbols)), len(path), 1000)
    if options["incoherent"]:
        each += 12 * 1000 * len(runs[0].symbols)
    remark(f"{len(path)} wave vectors: about {each / 1e6:.2g} MB of memory for every 1000 frames")
    for run in runs:
        collected = Densities(run.symbols, run.cell, path.vectors)
        kept = []
        for chunk in run.chunks:
            collected.add(chunk)
            if options["incoherent"]:
                kept.append(chunk.astype(np.float32))
        densities.append(collected.values())
        positions.append(kept)
    frames = [values.shape[2] for values in densities]
    if fwhm is None:
        fwhm = default_fwhm(min(frames), runs[0].interval_fs)
    own = None
    if options["incoherent"]:
        own = [
            self_correlation(np.concatenate(kept), run.symbols, run.cell, path.vectors, run.interval_fs, fwhm)
            for run, kept in zip(runs, positions, strict=True)
        ]
    return structure_factor(
        densities,
        collected.species,
        collected.counts,
        runs[0].interval_fs,
        fwhm_mev=fwhm,
        max_energy_mev=options["max_energy_mev"],
        own=own,
    )


def _fits(
    spectrum: Spectrum, result: StructureFactor, lines: int, window: list[float] | None
) -> dict[int, tuple[DhoFit, np.ndarray]]:
    """Fits to the classical spectrum with the energies they used, by number of the wave vector."""
    import numpy as np

    from aiida_iontherm.physics.spectra import Resolution, fit_dho

    energies = spectrum.energies_mev
    low, high = window or (energies[0], energies[-1])
    chosen = np.flatnonzero((energies >= low) & (energies <= high))
    if len(chosen) < 3:
        raise UserError("there are no energies of the spectrum within --fit-range")
    fits = {}
    for q, values in enumerate(spectrum.values):
        if not values[chosen].max() > 0:
            continue
        fits[q] = (
            fit_dho(
                energies[chosen],
                values[chosen],
                Resolution(result.fwhm_mev),
                lines=lines,
                proportional=True,
                correlated_points=result.correlated_points,
            ),
            chosen,
        )
    return fits


def _arrays(
    result: StructureFactor, spectrum: Spectrum, own: Spectrum | None, static: np.ndarray
) -> dict[str, np.ndarray]:
    import numpy as np

    arrays = {
        "energies_mev": spectrum.energies_mev,
        "coherent": spectrum.values,
        "coherent_errors": spectrum.errors,
        "static": static,
        "classical_energies_mev": result.energies_mev,
        "fwhm_mev": np.array(result.fwhm_mev),
    }
    for pair, values, integral in zip(result.pairs, result.partial, result.static, strict=True):
        arrays[f"partial_{'_'.join(pair)}"] = values
        arrays[f"static_{'_'.join(pair)}"] = integral
    if own is not None:
        arrays |= {"incoherent": own.values, "incoherent_errors": own.errors}
    return arrays


def _drawn(
    file: Path,
    path: QPath,
    spectrum: Spectrum,
    classical: Spectrum,
    result: StructureFactor,
    fits: dict[int, tuple[DhoFit, np.ndarray]],
    probe: str,
) -> list[Path]:
    from aiida_iontherm.report.figures.structure_factor import Cut, ScatteringMap, scattering_cuts, scattering_map
    from aiida_iontherm.report.style import style

    written = [file]
    with style("structure-factor"):
        data = ScatteringMap(
            distances=path.distances,
            energies_mev=spectrum.energies_mev,
            values=spectrum.values,
            ticks=path.ticks,
            parts=path.parts,
            unit=spectrum.unit.replace("^2", "²"),
            title=f"Molecular dynamics, {probe}, resolution {result.fwhm_mev:.3g} meV",
            elastic_mev=1.5 * result.fwhm_mev,
        )
        save_figure(file, scattering_map(data)[0])
        if fits:
            cuts = [
                Cut(
                    hkl(path.points[q]),
                    classical.energies_mev[chosen],
                    classical.values[q, chosen],
                    classical.errors[q, chosen],
                    fit.model,
                )
                for q, (fit, chosen) in fits.items()
            ]
            beside = file.with_name(f"{file.stem}-lines.png")
            save_figure(beside, scattering_cuts(cuts)[0])
            written.append(beside)
    return written


def _highest(spectrum: Spectrum, result: StructureFactor, q: int) -> tuple[float, float, float] | None:
    """Energy, value and error of the highest maximum beyond the elastic line."""
    import numpy as np

    values = spectrum.values[q]
    # The flank of the elastic line has no maximum, however far one sees it.
    maxima = np.flatnonzero((values[1:-1] > values[:-2]) & (values[1:-1] >= values[2:])) + 1
    beyond = maxima[spectrum.energies_mev[maxima] > 1.5 * result.fwhm_mev]
    if not len(beyond):
        return None
    best = beyond[np.argmax(values[beyond])]
    return float(spectrum.energies_mev[best]), float(spectrum.values[q, best]), float(spectrum.errors[q, best])


def _record(
    path: QPath,
    result: StructureFactor,
    spectrum: Spectrum,
    static: np.ndarray,
    fits: dict[int, tuple[DhoFit, np.ndarray]],
) -> dict[str, Any]:
    rows = []
    for q, point in enumerate(path.points):
        highest = _highest(spectrum, result, q)
        row = {
            "hkl": point.tolist(),
            "q_per_A": float(path.norms[q]),
            "off_path_per_A": float(path.off_path[q]),
            "static": float(static[q]),
            "highest_inelastic": None
            if highest is None
            else dict(zip(("energy_mev", "value_per_mev", "error_per_mev"), highest, strict=True)),
        }
        if q in fits:
            fit, chosen = fits[q]
            left = misfit(spectrum.values[q, chosen], spectrum.errors[q, chosen], fit)
            row["fit"] = fit_record(fit) | {"misfit": left}
        rows.append(row)
    return {
        "fwhm_mev": result.fwhm_mev,
        "time_ps": result.time_ps,
        "longest_lag_ps": result.longest_lag_ps,
        "blocks": len(result.blocks),
        "pairs": ["-".join(pair) for pair in result.pairs],
        "points": rows,
    }


def _lines(
    path: QPath,
    result: StructureFactor,
    spectrum: Spectrum,
    static: np.ndarray,
    fits: dict[int, tuple[DhoFit, np.ndarray]],
    runs: int,
) -> list[str]:
    """Table for people."""
    unit = "" if spectrum.unit == "1" else f" {spectrum.unit}"
    head = f"{runs} run{'s' if runs > 1 else ''}, {result.time_ps:g} ps: resolution {result.fwhm_mev:.3g} meV, "
    rows = [
        head + f"errors from {len(result.blocks)} blocks",
        f"  {'Q (r.l.u.)':24s} {'|Q| (1/Å)':>9s} {'S(Q)' + unit:>12s}   highest beyond the elastic line",
    ]
    for q, point in enumerate(path.points):
        highest = _highest(spectrum, result, q)
        peak = "-" if highest is None else f"{highest[1]:.3g} ± {highest[2]:.1g}{unit}/meV at {highest[0]:.2f} meV"
        rows.append(f"  {hkl(point):24s} {path.norms[q]:9.3f} {static[q]:12.4g}   {peak}")
        if q in fits:
            fit, chosen = fits[q]
            left = misfit(spectrum.values[q, chosen], spectrum.errors[q, chosen], fit)
            rows += [f"      {line}" for line in fit_lines(fit)]
            if left > LARGEST_MISFIT:
                rows.append(f"      {left:.1f} error bars off on average: these are not the lines in this range")
    return rows
