"""``iontherm green-kubo``: thermal conductivity from tables of the heat current."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import UserError, json_option, user_errors

if TYPE_CHECKING:
    import numpy as np

    from aiida_iontherm.physics.heat import CepstralEstimate, GreenKubo, OnsagerKappa
    from aiida_iontherm.physics.quantity import Quantity
    from aiida_iontherm.tasks.flux_files import FluxTable

UNITS = ("metal", "real", "eVA/ps", "eVA/fs", "ase", "atomic", "si")

_DATES = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
"""What is left out of a picture, so that the same data give the same file."""


@click.command("green-kubo")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--timestep-fs", type=float, help="Time between two rows, fs; a .npz may hold timestep_fs.")
@click.option("-T", "--temperature", type=float, help="K; default: mean of the column Temp, or that in the .npz.")
@click.option("--volume", type=float, help="Angstrom^3; default: mean of the column Volume, or that in the .npz.")
@click.option("--heat", metavar="COLUMNS", help="Heat current: c_flux, or Jx,Jy,Jz, or 2,3,4; default: if it is plain.")
@click.option("--current", "others", multiple=True, metavar="COLUMNS", help="Mass, number or charge current. Several.")
@click.option("--virial", metavar="COLUMNS", help="Virial part of the heat current.")
@click.option("--convective", metavar="COLUMNS", help="Convective part of the heat current.")
@click.option("--units", type=click.Choice(UNITS), default="metal", show_default=True, help="Of the heat current.")
@click.option("--per-volume", is_flag=True, help="The heat current is given per volume (in Angstrom^3; for si, m^3).")
@click.option("--axes", default="x,y,z", show_default=True, help="Axes by themselves; xyz or xy,z for equivalent ones.")
@click.option("--discard-ps", type=float, default=0.0, metavar="PS", help="Leave out the start of each run.")
@click.option("--max-frequency", "max_frequency_thz", type=float, metavar="THZ", help="Where the spectrum shall end.")
@click.option("--cutoff-factor", type=float, default=2.0, show_default=True, help="1: that of Akaike's criterion.")
@click.option("--target", type=float, default=0.1, show_default=True, help="Relative standard error to reach.")
@click.option(
    "-o",
    "--figure",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("green-kubo.png"),
    show_default=True,
    help="Picture, .png, .svg or .pdf; its numbers go to .csv beside it.",
)
@json_option
@user_errors
def green_kubo(files: tuple[Path, ...], figure: Path, as_json: bool, **options: Any) -> None:
    """Compute the thermal conductivity from the heat current in FILE, by cepstral analysis and by the running integral.

    FILE is a log of LAMMPS or other text in columns, .npy [n, 3], or .npz with named arrays. Several files are
    independent runs of the same system, which are combined. With --current the conductivity at zero flux of these
    currents is computed: needed where ions diffuse.
    """
    if figure.suffix not in _DATES:
        raise UserError(f"--figure must end in {', '.join(_DATES)}, not {figure.name!r}")
    run = _read(files, options)
    for remark in run.remarks:
        click.echo(f"note: {remark}", err=True)
    results = _analyse(run, options)
    quantities = _quantities(results, run, options["target"])
    _draw(results, figure)
    if as_json:
        record = {
            "files": [str(path) for path in files],
            "samples": run.samples,
            "duration_ps": results.estimates[0].duration_ps,
            "temperature_K": run.temperature,
            "volume_A3": run.volume,
            "results": [quantity.to_dict() for quantity in quantities],
            "cepstral": [_details(estimate) for estimate in results.estimates],
            "remarks": run.remarks,
            "figure": str(figure),
        }
        click.echo(json.dumps(record, indent=1))
        return
    from aiida_iontherm.cli.results import print_quantities

    print_quantities(quantities, ", ".join(path.name for path in files), "\n".join(_lines(results, run)))
    click.echo(f"Figure: {figure}")


@dataclass(frozen=True)
class _Run:
    """Currents of all files with what is needed to make a conductivity of them."""

    heat: np.ndarray
    others: list[np.ndarray]
    parts: dict[str, np.ndarray]
    timestep_fs: float
    temperature: float
    volume: float
    remarks: list[str]

    @property
    def samples(self) -> int:
        return self.heat.shape[0] * self.heat.shape[1]


@dataclass(frozen=True)
class _Results:
    estimates: list[CepstralEstimate]
    reduced: list[OnsagerKappa]
    bare: GreenKubo


def _read(files: tuple[Path, ...], options: dict[str, Any]) -> _Run:
    from aiida_iontherm.tasks.flux_files import read_flux_table

    tables = [read_flux_table(path) for path in files]
    remarks = [remark for table in tables for remark in table.remarks]
    timestep_fs = _number(options["timestep_fs"], tables, ("timestep_fs",), "--timestep-fs", remarks)
    _check_time(tables[0], timestep_fs, remarks)
    if options["discard_ps"] < 0:
        raise UserError("--discard-ps must not be negative")
    tables = [table.after(round(options["discard_ps"] * 1e3 / timestep_fs)) for table in tables]
    temperature = _number(options["temperature"], tables, ("temperature", "Temp", "temp"), "--temperature", remarks)
    volume = _number(options["volume"], tables, ("volume", "Volume"), "--volume", remarks)
    factor = _unit(options["units"], options["per_volume"], volume)
    names = {part: options[part] for part in ("virial", "convective") if options[part]}
    parts = {part: factor * _joined(tables, name) for part, name in names.items()}
    if options["heat"] or len(parts) < 2:
        name = options["heat"] or tables[0].heat_name()
        used = [name]
        if not options["heat"]:
            remarks.append(f"the heat current is taken from {name}")
        heat = factor * _joined(tables, name)
        parts = _completed(parts, heat)
    else:
        heat, used = parts["virial"] + parts["convective"], []
    others = [_joined(tables, name) for name in options["others"]]
    unused = tables[0].other_currents([*used, *options["others"], *names.values()])
    if unused and not others:
        remarks.append(
            f"{tables[0].path.name} also holds {', '.join(unused)}: where ions diffuse, give their currents (--current)"
        )
    return _Run(heat, others, parts, timestep_fs, temperature, volume, remarks)


def _completed(parts: dict[str, np.ndarray], heat: np.ndarray) -> dict[str, np.ndarray]:
    """Both parts from one and the whole; none from none."""
    import numpy as np

    if len(parts) == 2:
        off = float(np.abs(parts["virial"] + parts["convective"] - heat).max() / np.abs(heat).max())
        # tables are printed with five digits or more
        if off > 1e-3:
            raise UserError(f"virial and convective part do not add up to the heat current: they are {off:.0%} off")
        return parts
    if "convective" in parts:
        return {"virial": heat - parts["convective"], "convective": parts["convective"]}
    if "virial" in parts:
        return {"virial": parts["virial"], "convective": heat - parts["virial"]}
    return {}


def _number(
    given: float | None, tables: list[FluxTable], names: tuple[str, ...], option: str, remarks: list[str]
) -> float:
    """Return what was given, or the mean over what the files say."""
    value = given
    if value is None:
        found = [number for number in (table.mean_of(*names) for table in tables) if number is not None]
        if len(found) < len(tables):
            raise UserError(f"{option} is needed: the files do not tell it")
        value = float(f"{sum(found) / len(found):.5g}")
        remarks.append(f"{option} {value:g} is read from the files")
    if not value > 0:
        raise UserError(f"{option} must be positive, not {value:g}")
    return value


def _check_time(table: FluxTable, timestep_fs: float, remarks: list[str]) -> None:
    """Compare with a column of times, which may be in fs, ps or others."""
    import numpy as np

    times = table.series.get("Time")
    if times is None or len(times) < 2:
        return
    interval = float(np.median(np.diff(times)))
    if not any(np.isclose(interval * unit, timestep_fs, rtol=1e-2) for unit in (1.0, 1e3)):
        remarks.append(
            f"the column Time of {table.path.name} goes in steps of {interval:g}, which are {timestep_fs:g} fs "
            "neither as ps nor as fs: is --timestep-fs the time between two rows?"
        )


def _unit(units: str, per_volume: bool, volume: float) -> float:
    from aiida_iontherm.physics.units import HEAT_CURRENT_UNITS

    factor = HEAT_CURRENT_UNITS[units]
    if not per_volume:
        return factor
    return factor * volume * (1e-30 if units == "si" else 1.0)


def _joined(tables: list[FluxTable], name: str) -> np.ndarray:
    """Stack the runs of all files ``[replicas, n, 3]``, cut to the shortest."""
    import numpy as np

    runs = []
    for table in tables:
        array = table.vector(name)
        runs += list(array) if array.ndim == 3 else [array]
    shortest = min(len(run) for run in runs)
    return np.stack([run[len(run) - shortest :] for run in runs])


def _groups(text: str) -> list[str]:
    groups = [group.strip() for group in text.split(",")]
    letters = "".join(groups)
    if not all(groups) or not set(letters) <= set("xyz") or len(set(letters)) < len(letters):
        raise UserError(f"--axes is made of x, y and z, each once, like x,y,z or xy,z or xyz, not {text!r}")
    return groups


def _analyse(run: _Run, options: dict[str, Any]) -> _Results:
    from aiida_iontherm.physics.heat import cepstral, onsager_kappa
    from aiida_iontherm.physics.heat import green_kubo as integral

    where = (run.timestep_fs, run.temperature, run.volume)
    currents = [run.heat, *run.others]
    groups = _groups(options["axes"])
    settings = {name: options[name] for name in ("max_frequency_thz", "cutoff_factor")}
    return _Results(
        estimates=[cepstral(currents, *where, axes=group, **settings) for group in groups],
        reduced=[onsager_kappa(currents, *where, axes=group) for group in groups],
        bare=integral(run.parts or run.heat, *where),
    )


def _quantities(results: _Results, run: _Run, target: float) -> list[Quantity]:
    from aiida_iontherm.physics.heat import cepstral_quantities, green_kubo_quantities, onsager_quantities

    records = cepstral_quantities(results.estimates, run.temperature, target)
    if run.others:
        records += onsager_quantities(results.reduced, run.temperature, target)
    return records + green_kubo_quantities(results.bare, run.temperature, target)


def _details(estimate: CepstralEstimate) -> dict[str, Any]:
    names = (
        "axes",
        "value",
        "uncertainty",
        "cutoff",
        "best_cutoff",
        "akaike_value",
        "akaike_uncertainty",
        "max_frequency_thz",
        "samples",
        "degrees_of_freedom",
        "others",
    )
    return {name: getattr(estimate, name) for name in names} | {"problems": list(estimate.problems)}


def _lines(results: _Results, run: _Run) -> list[str]:
    """How each estimate was made, for people."""
    first, runs = results.estimates[0], run.heat.shape[0]
    how_many = f"{runs} runs" if runs > 1 else "1 run"
    lines = [f"{how_many}, {first.duration_ps:g} ps in all, {run.temperature:g} K, {run.volume:g} Å³"]
    lines += [
        f"cepstral {e.axes}: up to {e.max_frequency_thz:.3g} THz, {e.cutoff} coefficients; with P* = {e.best_cutoff}, "
        f"as in the papers, {e.akaike_value:.3g} ± {e.akaike_uncertainty:.1g} W/(m K)"
        for e in results.estimates
    ]
    if run.others:
        lines.append(
            "κ cepstral and κ onsager are at zero flux of the currents given. κ Green–Kubo is bare, and depends on "
            "where the energies of the species are counted from."
        )
    return lines


def _draw(results: _Results, path: Path) -> None:
    import csv
    import io

    from aiida_iontherm.report.figures.flux import FluxData, RunningIntegral, flux
    from aiida_iontherm.report.style import style
    from aiida_iontherm.report.write import write_atomically

    integrals = [
        RunningIntegral(
            label=r.axes, lags_ps=r.lags_ps, kappa=r.running, uncertainty=r.running_uncertainty, window_ps=r.window_ps
        )
        for r in results.reduced
    ]
    picture = io.BytesIO()
    with style("green-kubo"):
        figure, columns = flux(FluxData(estimates=results.estimates, integrals=integrals))
        undated = {_DATES[path.suffix]: None}
        figure.savefig(picture, format=path.suffix[1:], dpi=150, facecolor="white", metadata=undated)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, picture.getvalue())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    write_atomically(path.with_suffix(".csv"), text.getvalue().encode())
