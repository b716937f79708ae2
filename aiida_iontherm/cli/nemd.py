"""``iontherm nemd`` and ``iontherm nemd-profiles``: thermal conductivity by heat exchange, run or analysed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import UserError, json_option, user_errors

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_iontherm.physics.heat import LengthExtrapolation, Nemd
    from aiida_iontherm.physics.quantity import Quantity
    from aiida_iontherm.tasks.nemd_files import HeatExchangeRun

_DATES = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
"""What is left out of a picture, so that the same data give the same file."""

_plot_option = click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Picture, .png, .svg or .pdf; numbers in .csv."
)
_skip_option = click.option(
    "--skip", type=int, help="Slabs left out beside each reservoir; default: a sixth of a half."
)
_target_option = click.option(
    "--target", type=float, default=0.1, show_default=True, help="Relative standard error that counts as converged."
)


@click.command()
@click.argument("potential", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("structure")
@click.option("--species", required=True, help="Elements of the potential in its order, e.g. Cs,Cu,I.")
@click.option("-T", "--temperature", type=float, required=True, help="K.")
@click.option(
    "--axis", type=click.Choice(("a", "b", "c")), default="a", show_default=True, help="Along which heat flows."
)
@click.option("--cross", required=True, metavar="N,N", help="Cells across the axis, in the order a, b, c.")
@click.option(
    "--length", "lengths", type=int, multiple=True, required=True, metavar="N", help="Cells along the axis. Several."
)
@click.option("--timestep-fs", type=float, default=2.0, show_default=True)
@click.option("--equilibration", "equilibration_ps", type=float, default=20.0, show_default=True, metavar="PS")
@click.option("--production", "production_ps", type=float, default=400.0, show_default=True, metavar="PS")
@click.option("--power", "power_ev_per_ps", type=float, metavar="EV/PS", help="Heat carried per time.")
@click.option("--difference", "temperature_difference", type=float, metavar="K", help="Instead, with --kappa-guess.")
@click.option("--kappa-guess", type=float, metavar="W/MK", help="Conductivity from which the power is computed.")
@click.option("--slabs", type=int, help="Even number; default: whole cells, 12 to 40.")
@_skip_option
@_target_option
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to work in.")
@_plot_option
@json_option
@user_errors
def nemd(
    potential: Path, structure: str, lengths: tuple[int, ...], output: Path | None, as_json: bool, **options: Any
) -> None:
    """Compute the thermal conductivity of STRUCTURE by heat exchange, with the moment tensor potential POTENTIAL.

    The cells of all lengths run one after another, each in a folder of its own; --length counts the cells of the whole
    period, twice the distance of the reservoirs. Three lengths or more are extrapolated. Stopped, the command goes on
    where it was when it is given again.
    """
    from aiida_iontherm.cli.task_run import run_in_folder
    from aiida_iontherm.materials.loaders import load_structure
    from aiida_iontherm.tasks.nemd_files import HeatExchangeRun

    _check_plot(options["plot"])
    loaded = load_structure(structure)
    for note in loaded.notes:
        click.echo(f"note: {note}", err=True)
    output = output or Path.cwd() / f"iontherm-nemd-{loaded.name}"
    folders = []
    for length in sorted(set(lengths)):
        folder = output / f"length-{length}"
        _fill(folder, _task_input(length, options), loaded.atoms, potential)
        folders.append(folder)
    runs = []
    for folder in folders:
        click.echo(f"{folder.name}:", err=True)
        run_in_folder("nemd", folder, "profile.npz")
        runs.append(HeatExchangeRun.read(folder / "profile.npz"))
    _report(_analyse(runs, options), loaded.name, output, options["plot"], as_json)


@click.command("nemd-profiles")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@_skip_option
@_target_option
@_plot_option
@json_option
@user_errors
def nemd_profiles(files: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Compute the thermal conductivity from profiles of heat exchange: FILE is profile.npz of the task nemd.

    Several files are cells of several lengths of one crystal, which are extrapolated.
    """
    from aiida_iontherm.tasks.nemd_files import HeatExchangeRun

    _check_plot(options["plot"])
    runs = [HeatExchangeRun.read(path) for path in files]
    _report(_analyse(runs, options), ", ".join(path.name for path in files), None, options["plot"], as_json)


def _check_plot(plot: Path | None) -> None:
    if plot is not None and plot.suffix not in _DATES:
        raise UserError(f"--plot must end in {', '.join(_DATES)}, not {plot.name!r}")


def _task_input(length: int, options: dict[str, Any]) -> dict[str, Any]:
    from aiida_iontherm.tasks.nemd_files import supercell_of

    try:
        across = tuple(int(word) for word in options["cross"].split(","))
    except ValueError:
        across = ()
    if len(across) != 2 or min(across) < 1 or length < 1:
        raise UserError(
            f"--cross needs two positive whole numbers, like 4,4, and --length one, not {options['cross']!r}"
        )
    names = {
        *("axis", "temperature", "timestep_fs", "equilibration_ps", "production_ps", "power_ev_per_ps"),
        *("temperature_difference", "kappa_guess", "slabs", "skip", "seed"),
    }
    given = {name: value for name, value in options.items() if name in names and value is not None}
    return {
        "structure": "structure.extxyz",
        "potential": "potential.mtp",
        "species": [name.strip() for name in options["species"].split(",")],
        "supercell": list(supercell_of(options["axis"], length, (across[0], across[1]))),
        "target_error": options["target"],
        **given,
    }


def _fill(folder: Path, task_input: dict[str, Any], atoms: Atoms, potential: Path) -> None:
    """Write the files of the task, or find those of the same run.

    Raises
    ------
    UserError
        If the folder holds another run: it is not overwritten.
    """
    import shutil

    import numpy as np

    from aiida_iontherm.tasks.files import read_structures, write_json, write_structures

    folder.mkdir(parents=True, exist_ok=True)
    given, copy = folder / "input.json", folder / "potential.mtp"
    if given.exists():
        before = read_structures(folder / "structure.extxyz")[0]
        same = len(before) == len(atoms) and np.allclose(before.positions, atoms.positions, atol=1e-6)
        same = same and json.loads(given.read_text(encoding="utf-8")) == json.loads(json.dumps(task_input))
        if not same or copy.read_bytes() != potential.read_bytes():
            raise UserError(f"{folder} holds another run: name another folder with --output")
        return
    write_structures(folder / "structure.extxyz", [atoms])
    shutil.copyfile(potential, copy)
    write_json(given, task_input)


@dataclass(frozen=True)
class _Analysis:
    cells: list[Nemd]
    line: LengthExtrapolation | None
    quantities: list[Quantity]
    """One for each cell, then those of the extrapolation."""
    remarks: list[str]


def _analyse(runs: Sequence[HeatExchangeRun], options: dict[str, Any]) -> _Analysis:
    from aiida_iontherm.physics.heat import extrapolate_length, extrapolation_quantities, nemd_quantity
    from aiida_iontherm.tasks.nemd_files import AXES

    if len({(run.axis, run.temperature_k) for run in runs}) > 1:
        raise UserError("the profiles are of different axes or temperatures: analyse them apart")
    direction = AXES[runs[0].axis]
    cells = sorted((run.analyse(options["skip"]) for run in runs), key=lambda cell: cell.length_A)
    quantities = [nemd_quantity(cell, direction, options["target"]) for cell in cells]
    remarks = list(dict.fromkeys(remark for cell in cells for remark in cell.remarks))
    usable = [cell for cell in cells if cell.gradient > 0]
    line = None
    if len({cell.length_A for cell in usable}) > 1:
        columns = zip(*((cell.length_A, cell.kappa, cell.uncertainty) for cell in usable), strict=True)
        line = extrapolate_length(*columns)
        doubts = [f"at {cell.length_A:.4g} Angstrom: {problem}" for cell in cells for problem in cell.problems]
        quantities += extrapolation_quantities(line, runs[0].temperature_k, direction, doubts, options["target"])
    return _Analysis(cells, line, quantities, remarks)


def _report(analysis: _Analysis, title: str, folder: Path | None, plot: Path | None, as_json: bool) -> None:
    for remark in analysis.remarks:
        click.echo(f"note: {remark}", err=True)
    caption = "" if plot is None else _draw(analysis, plot)
    if as_json:
        click.echo(json.dumps(_record(analysis, folder, plot), indent=1))
        return
    from aiida_iontherm.cli.results import print_quantities

    _print_cells(analysis.cells)
    print_quantities(analysis.quantities, title, _words(analysis))
    if folder is not None:
        click.echo(f"Written: {folder}")
    if plot is not None:
        click.echo(f"Figure: {plot}. {caption}")


def _record(analysis: _Analysis, folder: Path | None, plot: Path | None) -> dict[str, Any]:
    from aiida_iontherm.tasks.nemd_files import figures

    line = analysis.line
    fit = None
    if line is not None:
        fit = {
            "intercept_mk_per_w": line.intercept,
            "slope_angstrom_mk_per_w": line.slope,
            "covariance": line.covariance.tolist(),
            "chi2": line.chi2,
            "degrees_of_freedom": line.degrees_of_freedom,
            "p_value": line.p_value,
            "problems": list(line.problems),
        }
    return {
        "cells": [figures(cell) for cell in analysis.cells],
        "extrapolation": fit,
        "results": [quantity.to_dict() for quantity in analysis.quantities],
        "remarks": analysis.remarks,
        "folder": None if folder is None else str(folder),
        "figure": None if plot is None else str(plot),
    }


def _print_cells(cells: Sequence[Nemd]) -> None:
    """Print what each conductivity rests on."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from aiida_iontherm.report.format import format_number

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("L, Å", "left out + used, ps", "ΔT, K", "gradients of the halves, K/Å", "middle/reservoirs", "slabs"):
        table.add_column(name, justify="right", no_wrap=True)
    for cell in cells:
        halves = [
            format_number(value, error)
            for value, error in zip(cell.gradients, cell.gradient_uncertainties, strict=True)
        ]
        table.add_row(
            f"{cell.length_A:.4g}",
            f"{cell.left_out_ps:.4g} + {cell.used_ps:.4g}",
            f"{cell.difference:.3g}",
            ", ".join(halves),
            format_number(cell.middle_flux / cell.flux, cell.middle_flux_uncertainty / cell.flux),
            f"{cell.fitted.shape[1]} (-{cell.skipped})",
        )
    Console(width=None if Console().is_terminal else 110).print(table)


def _words(analysis: _Analysis) -> str:
    lines = [
        "L: distance between the middles of the reservoirs. Middle/reservoirs: heat current measured over that given. "
        "Slabs: fitted in each half, less those left out beside each reservoir."
    ]
    if analysis.line is not None:
        line = analysis.line
        lines.append(
            f"1/κ = {line.intercept:.3g} + {line.slope:.3g} Å/L m K/W, χ² = {line.chi2:.2g} with "
            f"{line.degrees_of_freedom} degrees of freedom"
        )
    return "\n".join(lines)


def _draw(analysis: _Analysis, path: Path) -> str:
    """Write the picture and its numbers, and return its caption."""
    import csv
    import io

    from aiida_iontherm.report.figures.nemd import NemdData, describe_nemd
    from aiida_iontherm.report.figures.nemd import nemd_profiles as draw
    from aiida_iontherm.report.style import style
    from aiida_iontherm.report.write import write_atomically

    picture = io.BytesIO()
    with style("nemd"):
        data = NemdData(cells=analysis.cells, extrapolation=analysis.line)
        figure, columns = draw(data)
        undated = {_DATES[path.suffix]: None}
        figure.savefig(picture, format=path.suffix[1:], dpi=150, facecolor="white", metadata=undated)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, picture.getvalue())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    write_atomically(path.with_suffix(".csv"), text.getvalue().encode())
    return describe_nemd(data).text
