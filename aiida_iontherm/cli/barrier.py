"""``iontherm barrier``: migration barriers and bond valences along the hops of the mobile ion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import UserError, json_option, user_errors
from aiida_iontherm.cli.task_run import run_in_folder

if TYPE_CHECKING:
    from ase import Atoms

MIN_EXTENT_A, MAX_ATOMS = 9.0, 200
"""Of the supercell, where none is given."""


@click.command()
@click.argument("structure")
@click.option("--mobile", metavar="SYMBOL", help="Ion that hops; default: the one that most likely migrates.")
@click.option("--engine", help="Embedded engine, see `iontherm engines`.")
@click.option("--potential", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Potential, .mtp.")
@click.option("--species", help="Elements of the potential in its order, e.g. Cs,Cu,I.")
@click.option("--supercell", metavar="N,N,N", help="Default: 9 Å high where 200 atoms allow it.")
@click.option("--max-distance", type=float, default=5.0, show_default=True, help="Longest hop to look for, Å.")
@click.option("--count", type=int, default=4, show_default=True, help="How many of the hops found, shortest first.")
@click.option("--only", type=int, multiple=True, metavar="N", help="Number of a hop of --list. Several times.")
@click.option("--empty", multiple=True, metavar="X,Y,Z", help="Site without an ion, fractional. Several times.")
@click.option("--from", "start", metavar="X,Y,Z", help="Ion of one given hop, fractional coordinates.")
@click.option("--to", "end", metavar="X,Y,Z", help="Where it goes: the site of another ion, or an empty one.")
@click.option(
    "--path",
    "path_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Given path in a supercell, two ends or more frames, any file of ASE.",
)
@click.option("--rigid", is_flag=True, help="Move the ion along the path with all others fixed, instead of a band.")
@click.option("--direction", multiple=True, metavar="X,Y,Z", help="Scan the well of the ion along it, Cartesian.")
@click.option("--amplitude", type=float, default=0.6, show_default=True, help="Of such a scan, Å to both sides.")
@click.option("--images", type=int, default=5, show_default=True, help="Between the ends of the path.")
@click.option("--fmax", type=float, default=0.05, show_default=True, help="Largest force left, eV/Å.")
@click.option("--climb/--no-climb", default=True, help="Let the highest image climb to the saddle.")
@click.option("--charge", "charges", multiple=True, metavar="X=Q", help="Formal charge, of all elements or none.")
@click.option("--list", "only_list", is_flag=True, help="List the hops and compute nothing.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to work in.")
@json_option
@user_errors
def barrier(structure: str, only_list: bool, output: Path | None, as_json: bool, **options: Any) -> None:
    """Compute the migration barriers of the mobile ion in STRUCTURE, a file or a compound of `iontherm materials`.

    Hops are found between neighbouring sites, one of each kind that symmetry tells apart, or given. Stopped, the
    command goes on where it was when it is given again.
    """
    from aiida_iontherm.materials.loaders import load_structure

    loaded = load_structure(structure)
    for note in loaded.notes:
        click.echo(f"note: {note}", err=True)
    mobile = options["mobile"] or loaded.mobile
    if mobile is None:
        raise UserError(f"no ion of {loaded.name} is known to migrate: name one with --mobile")
    if only_list:
        _list(loaded.atoms, mobile, options, as_json)
        return
    task_input = _task_input(loaded.atoms, mobile, options)
    folder = output or Path.cwd() / f"iontherm-barrier-{loaded.name}"
    _fill(folder, task_input, loaded.atoms, options["potential"], options["path_file"])
    results = run_in_folder("barrier", folder, "barriers.npz")
    for remark in results["remarks"]:
        click.echo(f"note: {remark}", err=True)
    if as_json:
        click.echo(json.dumps({"structure": structure, "folder": str(folder), **results}, indent=1))
        return
    _print(results, folder, loaded.name)
    click.echo(f"Written: {folder}")


def _list(atoms: Atoms, mobile: str, options: dict[str, Any], as_json: bool) -> None:
    from rich import box
    from rich.table import Table

    from aiida_iontherm.physics.ions import distinct_hops

    empty = [_vector(text, "--empty") for text in options["empty"]]
    hops = distinct_hops(atoms, mobile, options["max_distance"], empty_sites=empty)
    if as_json:
        records = [
            {
                "number": number,
                "label": hop.label,
                "distance_A": hop.distance_A,
                "vector_A": hop.vector_A.tolist(),
                "to_vacancy": hop.to_vacancy,
                "multiplicity": hop.multiplicity,
            }
            for number, hop in enumerate(hops, start=1)
        ]
        click.echo(json.dumps(records, indent=1))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("number", "hop", "Å", "vector, Å", "to", "per cell"):
        table.add_column(name, justify="left" if name in ("hop", "to") else "right", no_wrap=True)
    for number, hop in enumerate(hops, start=1):
        vector = " ".join(f"{round(float(x), 2) + 0.0:6.2f}" for x in hop.vector_A)
        end = "vacancy" if hop.to_vacancy else "empty site"
        table.add_row(str(number), hop.label, f"{hop.distance_A:.2f}", vector, end, str(hop.multiplicity))
    _console().print(table)


def _task_input(atoms: Atoms, mobile: str, options: dict[str, Any]) -> dict[str, Any]:
    """Input of the task from the options."""
    from aiida_iontherm.materials.supercells import supercell_matrix

    if (options["engine"] is None) == (options["potential"] is None):
        raise UserError("name either an --engine or a --potential")
    if (options["potential"] is None) != (options["species"] is None):
        raise UserError("--potential and --species belong together: .mtp files carry no element names")
    if (options["start"] is None) != (options["end"] is None):
        raise UserError("--from and --to belong together")
    directions = [_vector(text, "--direction") for text in options["direction"]]
    task_input: dict[str, Any] = {
        "structure": "structure.extxyz",
        "mobile": mobile,
        "method": "scan" if directions or options["rigid"] else "neb",
        "images": options["images"],
        "fmax": options["fmax"],
        "climb": options["climb"],
        "search": {
            "max_distance": options["max_distance"],
            "max_count": options["count"],
            "empty_sites": [_vector(text, "--empty") for text in options["empty"]],
            "only": list(options["only"]) or None,
        },
        "scan": {"directions": directions, "amplitude": options["amplitude"]},
    }
    if options["engine"]:
        task_input["engine"] = options["engine"]
    else:
        task_input["potential"] = "potential.mtp"
        task_input["species"] = [name.strip() for name in options["species"].split(",")]
    if options["path_file"]:
        if options["supercell"]:
            raise UserError("a given path has its supercell: leave out --supercell")
        task_input["path"] = "path.extxyz"
    elif options["supercell"]:
        numbers = _vector(options["supercell"], "--supercell")
        if any(n != int(n) or n < 1 for n in numbers):
            raise UserError(f"--supercell needs three positive whole numbers, not {options['supercell']!r}")
        task_input["supercell"] = [int(n) for n in numbers]
    else:
        task_input["supercell"] = list(supercell_matrix(atoms, MIN_EXTENT_A, max_atoms=MAX_ATOMS))
    if options["start"]:
        task_input["hop"] = {"start": _vector(options["start"], "--from"), "end": _vector(options["end"], "--to")}
    if options["charges"]:
        task_input["charges"] = dict(_charge(text) for text in options["charges"])
    return task_input


def _vector(text: str, option: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise UserError(f"{option} needs three numbers, like 0.5,0,0, not {text!r}")
    return numbers


def _charge(text: str) -> tuple[str, float]:
    symbol, _, number = text.partition("=")
    try:
        return symbol.strip(), float(number)
    except ValueError as error:
        raise UserError(f"--charge needs an element and its charge, like I=-1, not {text!r}") from error


def _fill(
    folder: Path, task_input: dict[str, Any], atoms: Atoms, potential: Path | None, path_file: Path | None
) -> None:
    """Write the files of the task, or find those of the same run that was stopped.

    Raises
    ------
    UserError
        If the folder holds another run: it is not overwritten.
    """
    import shutil

    import ase.io
    import numpy as np

    from aiida_iontherm.tasks.files import read_structures, write_json, write_structures

    folder.mkdir(parents=True, exist_ok=True)
    other = f"{folder} holds a run of another crystal or with other settings: name another folder with --output"
    given = folder / "input.json"
    if given.exists():
        before = read_structures(folder / "structure.extxyz")[0]
        same = len(before) == len(atoms) and np.allclose(before.positions, atoms.positions, atol=1e-6)
        if not same or json.loads(given.read_text(encoding="utf-8")) != json.loads(json.dumps(task_input)):
            raise UserError(other)
    write_structures(folder / "structure.extxyz", [atoms])
    if potential is not None:
        copy = folder / "potential.mtp"
        if copy.exists() and copy.read_bytes() != potential.read_bytes():
            raise UserError(other)
        shutil.copyfile(potential, copy)
    if path_file is not None:
        try:
            frames = ase.io.read(path_file, ":")
        except Exception as error:
            # the readers of ASE raise anything
            raise UserError(f"{path_file.name} is not a path that ASE can read: {error}") from error
        write_structures(folder / "path.extxyz", frames)
    write_json(given, task_input)


def _console() -> Any:
    from rich.console import Console

    return Console(width=None if Console().is_terminal else 110)


def _print(results: dict[str, Any], folder: Path, name: str) -> None:
    """Tables for people."""
    from aiida_iontherm.tasks.files import read_npz

    if "scans" in results:
        _print_scans(results["scans"], name)
        return
    arrays = read_npz(folder / "barriers.npz")
    charged = any("bond_valence" in record for record in results["barriers"])
    method = "rigid displacement" if results["method"] == "scan" else "elastic band"
    title = f"{results['mobile']} in {name}, {results['supercell_atoms']} atoms, {method}"
    columns = ["path", "Å", "per cell", "eV →", "eV ←", "saddle", "verdict"]
    if charged:
        columns[6:6] = ["v.u. →", "v.u. ←", "ΔV"]
    notes: list[str] = []
    rows = []
    for record in results["barriers"]:
        row = [record["label"], f"{record['distance_A']:.2f}", str(record["multiplicity"] or "")]
        if record["forward_ev"] is None:
            row += ["", "", ""]
        else:
            row += [f"{record['forward_ev']:.3f}", f"{record['backward_ev']:.3f}", f"{record['saddle']:.2f}"]
        if charged:
            valence = record.get("bond_valence")
            keys = ("mismatch_forward", "mismatch_backward", "change")
            row += [f"{valence[key]:.3f}" if valence else "" for key in keys]
        rows.append([*row, _verdict(record, notes)])
    _table(title, columns, rows, notes)
    for number, record in enumerate(results["barriers"]):
        if record["forward_ev"] is None:
            continue
        columns, rows = ["image", "s, Å", "E, eV"], []
        valences = arrays.get(f"bond_valence_{number}")
        if valences is not None:
            columns.append("bond valence, v.u.")
        for image, (s, energy) in enumerate(
            zip(arrays[f"path_A_{number}"], arrays[f"energies_ev_{number}"], strict=True)
        ):
            # rounding leaves a minus before a zero
            row = [str(image), f"{s:.2f}", f"{round(float(energy), 3) + 0.0:.3f}"]
            rows.append(row if valences is None else [*row, f"{valences[image]:.3f}"])
        _table(record["label"], columns, rows, [])
    if charged:
        click.echo(
            "v.u.: rise of the bond-valence mismatch |V - q| along the path, in valence units, not an energy;\n"
            "ΔV: largest change of V"
        )


def _print_scans(scans: Sequence[dict[str, Any]], name: str) -> None:
    notes: list[str] = []
    columns = ["ion", "direction", "k, eV/Å²", "THz", "asymmetry", "anharmonicity", "wells", "verdict"]
    rows = []
    for record in scans:
        error = record["frequency_uncertainty_thz"]
        frequency = _number(record["frequency_thz"]) + (f" ± {error:.1g}" if error else "")
        rows.append(
            [
                record["site"],
                record["direction"],
                _number(record["stiffness_ev_A2"]),
                frequency,
                _share(record["asymmetry"]),
                _share(record["anharmonicity"]),
                str(record["wells"]),
                _verdict(record, notes),
            ]
        )
    _table(f"{name}, one ion moved along a line", columns, rows, notes)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{round(value, 3) + 0.0:.3f}"


def _verdict(record: dict[str, Any], notes: list[str]) -> str:
    """Verdict with the number of the note that explains it."""
    if record["reason"] not in notes:
        notes.append(record["reason"])
    word = "converged" if record["converged"] else "not converged"
    return f"{word} ({notes.index(record['reason']) + 1})"


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for column in columns:
        left = column in ("path", "verdict", "ion", "direction")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = _console()
    console.print(table)
    for number, note in enumerate(notes, start=1):
        console.print(f"  ({number}) {note}", highlight=False)
