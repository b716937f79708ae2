"""``iontherm linewidths``: linewidths of phonons from molecular dynamics."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import UserError, json_option, user_errors

if TYPE_CHECKING:
    from aiida_iontherm.tasks.mode_linewidths import LinewidthTable


@click.command()
@click.argument("directory", type=click.Path(exists=True, path_type=Path))
@click.argument(
    "trajectories",
    nargs=-1,
    required=True,
    metavar="TRAJECTORY...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("-T", "--temperature", type=float, required=True, help="Of the runs, K.")
@click.option("--interval", "interval_fs", type=float, metavar="FS", help="Time between frames, if no file tells it.")
@click.option("--discard", "discard_ps", type=float, default=0.0, metavar="PS", help="Leave out the start of each run.")
@click.option("--nac/--no-nac", default=None, help="Insist on the non-analytical term, or leave it out.")
@click.option("--symmetrise/--as-read", default=None, help="Impose symmetry on force constants read from a file.")
@click.option("--supercell", metavar="N,N,N", help="That of the force constants, where the folder does not tell it.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("linewidths.hdf5"),
    show_default=True,
    help="Table to write, .hdf5 or .npz.",
)
@json_option
@user_errors
def linewidths(
    directory: Path,
    trajectories: tuple[Path, ...],
    temperature: float,
    interval_fs: float | None,
    discard_ps: float,
    output: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure the linewidths of the phonons of DIRECTORY in molecular dynamics.

    DIRECTORY is a folder that `iontherm kappa` takes. Each TRAJECTORY is a run of a supercell at constant volume after
    its equilibration, best without a thermostat: the velocities.npz of the task md, or any format of ASE. Atoms may
    stand in any order. The table is for `iontherm kappa DIRECTORY --linewidths TABLE`.
    """
    from aiida_iontherm.tasks.crystal_directory import load_crystal
    from aiida_iontherm.tasks.mode_linewidths import linewidth_table
    from aiida_iontherm.tasks.velocity_files import read_velocities

    if output.suffix not in (".hdf5", ".h5", ".npz"):
        raise UserError(f"--output must end in .hdf5 or .npz, not {output.name!r}")
    remarks: list[str] = []

    def remark(sentence: str) -> None:
        remarks.append(sentence)
        click.echo(f"note: {sentence}", err=True)

    try:
        crystal = load_crystal(
            directory,
            third=False,
            nac=options["nac"],
            symmetrise=options["symmetrise"],
            supercell_matrix=_divisions(options["supercell"]) if options["supercell"] else None,
            remark=remark,
        )
    except FileNotFoundError as error:
        raise UserError(str(error)) from error
    runs = [read_velocities(path, interval_fs, discard_ps) for path in trajectories]
    table = linewidth_table(crystal, runs, temperature, remark=remark, progress=_progress)
    output.parent.mkdir(parents=True, exist_ok=True)
    table.write(output)
    if as_json:
        record = {"directory": str(directory), "table": str(output), "results": table.summary(), "remarks": remarks}
        click.echo(json.dumps(record, indent=1))
        return
    for line in _lines(table, len(runs)):
        click.echo(line)
    click.echo(f"Table: {output}")


def _divisions(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    if len(words) != 3 or not all(word.isdigit() and int(word) > 0 for word in words):
        raise UserError(f"--supercell needs three positive whole divisions, not {text!r}")
    return [int(word) for word in words]


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[Kwave vectors {done}/{total}" if done < total else "\r\x1b[K", nl=False, err=True)


def _lines(table: LinewidthTable, runs: int) -> list[str]:
    """Summary for people."""
    s = table.summary()
    gamma, resolution = s["median_gamma_thz"], s["resolution_thz"]
    kinds = [
        f"{s['resolved']:.1%} resolved",
        f"{s['unresolved']:.1%} unresolved (upper bounds)",
        f"{s['overdamped']:.1%} overdamped",
        f"{s['not_one_line']:.1%} not one line",
    ]
    rows = [
        ("runs", f"{runs} of {s['run_time_ps']:g} ps, resolution {resolution:.2g} THz"),
        (
            "wave vectors",
            f"{s['irreducible_points']} irreducible of {s['points']}, mesh {' x '.join(map(str, s['mesh']))}",
        ),
        ("modes", f"{s['modes']}: {', '.join(kinds)}"),
        (
            "median γ",
            f"{gamma:.3g} THz, {gamma / resolution:.3g} x the resolution, known to {s['median_relative_error']:.0%}",
        ),
        (
            "frequencies",
            f"{s['median_shift_thz']:+.2g} THz (median) from the harmonic ones, at most {s['largest_shift_thz']:+.2g}",
        ),
        (
            "energy",
            f"{s['kinetic_temperature_K']:.1f} K in the vibrations, said were {s['temperature_K']:g} K; shared among "
            f"modes with reduced chi-squared {s['equipartition_chi2']:.2f}",
        ),
    ]
    return [f"  {name:13s} {text}" for name, text in rows]
