"""``iontherm kappa``: two-channel conductivity of a folder of force constants."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import UserError, json_option, user_errors
from aiida_iontherm.cli.task_run import run_in_folder

if TYPE_CHECKING:
    import numpy as np

    from aiida_iontherm.physics.lattice.estimate import ConductivityEstimate
    from aiida_iontherm.physics.quantity import Quantity

MESH_LENGTH, COARSE_MESH_LENGTH = 60.0, 40.0
"""In Angstrom, where nothing is said: a start, whose error is told."""

# Arrays of one kind that differ less come from the same crystal read twice.
_SAME = 1e-12


@click.command()
@click.argument("directory", type=click.Path(exists=True, path_type=Path))
@click.option("-T", "--temperature", "temperatures", multiple=True, type=float, help="K; default 300. Several times.")
@click.option("--mesh", metavar="N,N,N|LENGTH", help="Divisions, or a density as phonopy's length in Angstrom.")
@click.option("--coarse-mesh", metavar="N,N,N|LENGTH", help="Mesh to compare with for the error bar; `none` for none.")
@click.option(
    "--linewidths",
    "table",
    type=click.Path(exists=True, path_type=Path),
    help="Table, .hdf5 or .npz; or the folder of a run of ShengBTE or FourPhonon.",
)
@click.option("--quantity", default="hwhm", show_default=True, help="What the table holds: hwhm, fwhm, rate, lifetime.")
@click.option("--unit", default="THz", show_default=True, help="Its unit, e.g. THz, meV, 1/ps, ps.")
@click.option("--by-frequency", is_flag=True, help="Read a smooth curve off the table, for another mesh.")
@click.option("--unchecked", is_flag=True, help="Do not ask back where a table looks odd.")
@click.option("--model", metavar="C1,C2,A", help="1/tau = C1 w^2 T exp(-C2/T) + A w, with C1 in s/K and C2 in K.")
@click.option("--isotopes", is_flag=True, help="Add scattering by natural isotopes.")
@click.option("--boundary", "boundary_um", type=float, metavar="UM", help="Add boundaries so many micrometres apart.")
@click.option("--nac/--no-nac", default=None, help="Insist on the non-analytical term, or leave it out.")
@click.option("--symmetrise/--as-read", default=None, help="Impose symmetry on force constants read from a file.")
@click.option("--supercell", metavar="N,N,N", help="Supercell, where the folder does not tell it.")
@click.option("--classical", is_flag=True, help="Heat capacity k_B of every mode, as in molecular dynamics.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to work in.")
@json_option
@user_errors
def kappa(directory: Path, output: Path | None, as_json: bool, **options: Any) -> None:
    """Compute the lattice thermal conductivity, particle-like and wave-like, from force constants in DIRECTORY.

    DIRECTORY is a folder of phonopy or phono3py, one with ShengBTE's CONTROL, or one with a POSCAR and the force
    constants of ShengBTE, q2r.x, TDEP or hiphive. Linewidths come from its third order, or from a table or a model.

    Stopped, the command goes on where it was when it is given again.
    """
    folder = output or Path.cwd() / f"iontherm-kappa-{_name(directory)}"
    remarks: list[str] = []

    def remark(sentence: str) -> None:
        remarks.append(sentence)
        click.echo(f"note: {sentence}", err=True)

    statistics = "classical" if options.pop("classical") else "quantum"
    task_input, crystal, table = _prepare(directory, options, remark)
    _fill(folder, task_input, crystal, table)
    results = run_in_folder("lattice-conductivity", folder, "phonons.npz")
    _, quantities = _report(folder, directory, results, task_input, statistics, remarks)
    if as_json:
        records = [quantity.to_dict() for quantity in quantities]
        click.echo(json.dumps({"directory": str(directory), "folder": str(folder), "results": records}, indent=1))
        return
    from aiida_iontherm.cli.results import print_quantities

    mesh = " x ".join(str(n) for n in results["mesh"])
    print_quantities(quantities, _name(directory), f"mesh {mesh}, {results['linewidths']}")
    click.echo(f"Report: {folder / 'report.html'}")


def _name(directory: Path) -> str:
    """Name of the folder, or of the yaml file in it."""
    where = directory.resolve()
    return where.name if where.is_dir() else where.name.partition(".")[0]


def _prepare(
    directory: Path, options: dict[str, Any], remark: Any
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """Input of the task, the crystal, and the table of linewidths where there is one."""
    from aiida_iontherm.tasks.crystal import crystal_arrays
    from aiida_iontherm.tasks.crystal_directory import find_third_order, load_crystal
    from aiida_iontherm.tasks.linewidth_files import read_linewidths

    if options["table"] and options["model"]:
        raise UserError("linewidths come from a table or from a model, not from both")
    given = bool(options["table"] or options["model"])
    third = not given and find_third_order(directory)
    if not given and not third:
        tables = sorted(path.name for path in directory.glob("kappa-*.hdf5")) if directory.is_dir() else []
        hint = f" (there is {tables[0]})" if tables else ""
        raise UserError(
            f"{_name(directory)} holds no third-order force constants: give linewidths with --linewidths FILE{hint} or "
            "--model C1,C2,A"
        )
    table = None
    if options["table"]:
        table = read_linewidths(options["table"], options["quantity"], options["unit"], remark)
        if options["isotopes"] and table.get("isotopes"):
            raise UserError("isotopes are in these linewidths already: leave out --isotopes")
    temperatures = sorted(set(options["temperatures"])) or [300.0]
    try:
        crystal = load_crystal(
            directory,
            third=third,
            nac=options["nac"],
            symmetrise=options["symmetrise"],
            supercell_matrix=_divisions(options["supercell"], "--supercell") if options["supercell"] else None,
            remark=remark,
        )
    except FileNotFoundError as error:
        raise UserError(str(error)) from error
    linewidths: dict[str, Any] = {"source": "three-phonon"}
    if table is not None:
        linewidths = {"source": "table", "by_frequency": options["by_frequency"], "check": not options["unchecked"]}
        if options["table"].is_dir():
            linewidths["origin"] = f"linewidths of ShengBTE in {_name(options['table'])} (RTA)"
    elif options["model"]:
        c1, c2, a = _numbers(options["model"], "--model", 3)
        linewidths = {"source": "model", "model": {"c1": c1, "c2": c2, "a": a}}
    linewidths |= {"isotopes": options["isotopes"], "boundary_um": options["boundary_um"]}
    on_the_mesh_of_the_table = table is not None and not options["by_frequency"]
    mesh = _mesh(options["mesh"], "--mesh", None if on_the_mesh_of_the_table and "mesh" in table else MESH_LENGTH)
    coarse = _mesh(options["coarse_mesh"], "--coarse-mesh", None if on_the_mesh_of_the_table else COARSE_MESH_LENGTH)
    task_input = {"temperatures": temperatures, "mesh": mesh, "coarse_mesh": coarse, "linewidths": linewidths}
    return task_input, crystal_arrays(crystal), table


def _numbers(text: str, option: str, count: int) -> list[float]:
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise UserError(f"{option} needs {count} numbers, like {','.join('2' * count)}, not {text!r}")
    return numbers


def _mesh(text: str | None, option: str, default: float | None) -> list[int] | float | None:
    if text is None:
        return default
    if text == "none":
        return None
    words = text.replace(",", " ").split()
    if len(words) == 1:
        return _numbers(text, option, 1)[0]
    return _divisions(text, option)


def _divisions(text: str, option: str) -> list[int]:
    numbers = _numbers(text, option, 3)
    if any(n != int(n) or n < 1 for n in numbers):
        raise UserError(f"{option} needs positive whole divisions, not {text!r}")
    return [int(n) for n in numbers]


def _fill(
    folder: Path, task_input: dict[str, Any], crystal: dict[str, np.ndarray], table: dict[str, np.ndarray] | None
) -> None:
    """Write the files of the task, or find those of the same run that was stopped.

    Raises
    ------
    UserError
        If the folder holds a run of another crystal or with other settings: it is not overwritten.
    """
    from aiida_iontherm.tasks.files import read_npz, write_json, write_npz

    folder.mkdir(parents=True, exist_ok=True)
    other = f"{folder} holds a run of another crystal or with other settings: name another folder with --output"
    for name, arrays in (("force_constants.npz", crystal), ("linewidths.npz", table)):
        path = folder / name
        if arrays is None:
            continue
        if not path.exists():
            write_npz(path, arrays, compressed=True)
        elif not _same(read_npz(path), arrays):
            raise UserError(other)
    path = folder / "input.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != json.loads(json.dumps(task_input)):
        raise UserError(other)
    write_json(path, task_input)


def _same(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    import numpy as np

    def close(a: np.ndarray, b: np.ndarray) -> bool:
        if a.dtype.kind in "US" or b.dtype.kind in "US":
            return bool(np.array_equal(a, b))
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=_SAME, atol=_SAME))

    return one.keys() == two.keys() and all(close(np.asarray(one[name]), np.asarray(two[name])) for name in one)


def _warnings(remarks: list[str], source: str) -> list[str]:
    """Sentences for the report on what to mind."""
    minded = {
        "three-phonon": "Only three-phonon scattering; linewidths in the relaxation-time approximation.",
        "table": "The linewidths are given ones: the verdicts do not cover them.",
        "model": "The linewidths are those of a model: the verdicts do not cover it.",
    }
    return [minded[source], *(f"{remark[:1].upper()}{remark[1:].rstrip('.')}." for remark in remarks)]


def _report(
    folder: Path,
    directory: Path,
    results: dict[str, Any],
    task_input: dict[str, Any],
    statistics: Any,
    remarks: list[str],
) -> tuple[ConductivityEstimate, list[Quantity]]:
    """Sum the channels and write the report and its data."""
    from ase.formula import Formula
    from ase.symbols import Symbols

    from aiida_iontherm.cli.gather import versions
    from aiida_iontherm.materials.table import published
    from aiida_iontherm.physics.lattice.estimate import (
        carrier_quantities,
        conductivity_quantities,
        estimate_conductivity,
    )
    from aiida_iontherm.report.lattice import dos_data, kappa_data, lifetime_data, spectral_data
    from aiida_iontherm.report.model import ReportInput
    from aiida_iontherm.report.write import write_report
    from aiida_iontherm.tasks.files import read_npz

    phonons = read_npz(folder / "phonons.npz")
    estimate = estimate_conductivity(phonons, statistics=statistics)
    method = f"two-channel sum, force constants of {_name(directory)}, {results['linewidths']}"
    if statistics == "classical":
        method += ", classical heat capacities"
    quantities = conductivity_quantities(estimate, None, method) + carrier_quantities(estimate, None, method)
    numbers = read_npz(folder / "force_constants.npz")["numbers"]
    formula = Formula(str(Symbols(numbers))).reduce()[0].format("hill")
    write_report(
        ReportInput(
            title=f"Lattice thermal conductivity of {formula}",
            formula=formula,
            structure_source=f"force constants in {_name(directory)}",
            structure_trust="as trustworthy as the calculation they come from",
            protocol="kappa",
            protocol_note=f"harmonic force constants as they are, {results['linewidths']}",
            created=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            package_versions=versions(),
            settings=task_input | {"statistics": statistics},
            warnings=_warnings(remarks, task_input["linewidths"]["source"]),
            quantities=quantities,
            published=published(formula),
            kappa=kappa_data(estimate.temperatures, estimate.values, estimate.uncertainty),
            spectral=spectral_data(estimate.temperatures, estimate.frequencies_thz, estimate.spectra),
            dos=dos_data(phonons),
            lifetimes=lifetime_data(phonons),
        ),
        folder,
    )
    return estimate, quantities
