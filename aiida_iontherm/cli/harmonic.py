"""``iontherm harmonic``: a campaign of harmonic analyses over folders of phonopy or phono3py."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from aiida_iontherm import __version__
from aiida_iontherm.cli.common import UserError, json_option, user_errors

TABLE_WIDTH = 132
"""Without a terminal."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@click.command()
@click.argument("directories", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.option(
    "--mesh", metavar="N,N,N|LENGTH", help="Divisions, or a density as phonopy's length; default 40 Angstrom."
)
@click.option("-T", "--temperature", type=float, default=300.0, show_default=True, help="K.")
@click.option("--nac/--no-nac", default=None, help="Insist on the non-analytical term, or leave it out.")
@click.option("--crossings", is_flag=True, help="Look for avoided crossings, too: minutes for large cells.")
@click.option("--symprec", type=float, default=1e-5, show_default=True, help="Tolerance of symmetry, Angstrom.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Folders at a time.")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("iontherm-harmonic"),
    show_default=True,
    help="Folder of the results; what is done there is not done again.",
)
@click.option("--csv", "table_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the table there.")
@click.option(
    "--dos", "pictures", type=click.Path(file_okay=False, path_type=Path), help="Write densities of states there."
)
@json_option
@user_errors
def harmonic(
    directories: tuple[Path, ...],
    out: Path,
    jobs: int,
    table_file: Path | None,
    pictures: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Analyse the harmonic crystal in each DIR, a folder of phonopy or phono3py.

    Stability, sound velocities, Debye temperature, lower limits of the conductivity, heat capacity, and who moves at
    which frequency. Stopped, the command goes on where it was when it is given again.
    """
    options = {name: value for name, value in settings.items() if name != "mesh"}
    mesh = _mesh(settings["mesh"])
    runs = [
        _Run(name, directory, out / name, options | ({} if mesh is None else {"mesh": mesh}))
        for name, directory in zip(_names(directories), directories, strict=True)
    ]
    records = _run_all(runs, jobs)
    done = [(run, records[run.name]["results"]) for run in runs if records[run.name]["exit_code"] == 0]
    failed = [(run, records[run.name]["message"]) for run in runs if records[run.name]["exit_code"] != 0]
    if table_file is not None:
        _write_csv(table_file, done)
    if pictures is not None:
        for run, _ in done:
            _draw(run, pictures)
    if as_json:
        report = {
            "results": [run.names | results for run, results in done],
            "failed": [run.names | {"reason": why} for run, why in failed],
        }
        click.echo(json.dumps(report, indent=1))
    elif done:
        _print_table(done)
    if failed:
        for run, why in failed:
            click.echo(f"failed: {run.directory}: {why}", err=True)
        raise UserError(f"{len(failed)} of {len(runs)} folders failed, see above; the others are in {out}")


@dataclass(frozen=True)
class _Run:
    """One folder to analyse and where its results go."""

    name: str
    directory: Path
    folder: Path
    options: dict[str, Any]

    @property
    def names(self) -> dict[str, str]:
        return {"name": self.name, "directory": str(self.directory)}

    @property
    def task_input(self) -> dict[str, Any]:
        return {"directory": str(self.directory.resolve()), **self.options}

    def record(self) -> dict[str, Any] | None:
        """Return what an earlier run of the same input left, unless the data are newer."""
        try:
            if json.loads((self.folder / "input.json").read_text(encoding="utf-8")) != self.task_input:
                return None
            record = json.loads((self.folder / "output.json").read_text(encoding="utf-8"))
            written = (self.folder / "output.json").stat().st_mtime
        except (OSError, ValueError):
            return None
        if record.get("exit_code") != 0 or record.get("version") != __version__:
            return None
        if not (self.folder / "dos.npz").is_file():
            return None
        files = self.directory.iterdir() if self.directory.is_dir() else [self.directory]
        return None if any(file.stat().st_mtime > written for file in files) else record

    def compute(self) -> dict[str, Any]:
        """Run the task in a process of its own: what kills it does not kill the campaign."""
        from aiida_iontherm.tasks.files import write_json

        self.folder.mkdir(parents=True, exist_ok=True)
        output = self.folder / "output.json"
        output.unlink(missing_ok=True)
        write_json(self.folder / "input.json", self.task_input)
        process = subprocess.run(
            [sys.executable, "-m", "aiida_iontherm.tasks.harmonic"],
            cwd=self.folder,
            env=os.environ | ONE_THREAD,
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            return json.loads(output.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            last = (process.stderr.strip().splitlines() or ["no message"])[-1]
            return {
                "exit_code": process.returncode or 1,
                "message": f"its process ended with code {process.returncode} (killed for want of memory?): {last}",
            }


def _names(directories: Sequence[Path]) -> list[str]:
    """One name for each folder: its own, with a few letters more where two have the same.

    Raises
    ------
    ValueError
        If a folder is given twice.
    """
    resolved = [directory.resolve() for directory in directories]
    twice = [str(path) for path, count in Counter(resolved).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice")
    own = [path.name if path.is_dir() else path.name.partition(".")[0] for path in resolved]
    several = Counter(own)
    return [
        f"{name}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}" if several[name] > 1 else name
        for name, path in zip(own, resolved, strict=True)
    ]


def _mesh(text: str | None) -> list[int] | float | None:
    if text is None:
        return None
    words = text.replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) == 3:
        right = all(number.is_integer() and number > 0 for number in numbers)
    else:
        right = len(numbers) == 1 and math.isfinite(numbers[0]) and numbers[0] > 0
    if not right:
        raise UserError(f"--mesh needs three positive whole divisions or one positive length, not {text!r}")
    return numbers[0] if len(numbers) == 1 else [int(number) for number in numbers]


def _run_all(runs: Sequence[_Run], jobs: int) -> dict[str, dict[str, Any]]:
    """Return the records of all runs by name, with one line on stderr for each that ends."""
    records: dict[str, dict[str, Any]] = {}
    for run in runs:
        record = run.record()
        if record is not None:
            records[run.name] = record
    if records:
        click.echo(f"{len(records)} of {len(runs)} were done before", err=True)
    waiting = [run for run in runs if run.name not in records]
    # Threads only wait for processes.
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(run.compute): run for run in waiting}
        try:
            for future in as_completed(futures):
                run = futures[future]
                records[run.name] = record = future.result()
                how = record["results"]["summary"]["verdict"] if record["exit_code"] == 0 else "failed"
                seconds = f", {record['seconds']:.0f} s" if "seconds" in record else ""
                click.echo(f"[{len(records)}/{len(runs)}] {run.name}: {how.partition(';')[0]}{seconds}", err=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return records


COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("n_atoms", "atoms", "d"),
    ("lowest_thz", "f min\nTHz", ".2f"),
    ("highest_thz", "f max\nTHz", ".2f"),
    ("imaginary_weight", "imag.", ".1%"),
    ("longitudinal_m_s", "v_L\nm/s", ".0f"),
    ("transverse_m_s", "v_T\nm/s", ".0f"),
    ("debye_temperature_K", "Θ_D\nK", ".0f"),
    ("cahill_limit", "Cahill\nW/(m K)", ".3f"),
    ("diffuson_limit", "Agne\nW/(m K)", ".3f"),
    ("diffuson_conductivity", "diffusons\nW/(m K)", ".3f"),
    ("heat_capacity", "C_V/atom\nJ/(mol K)", ".2f"),
    ("average_frequency_thz", "<f>\nTHz", ".2f"),
)
"""Attribute of the summary, head of its column, format."""


def _print_table(done: Sequence[tuple[_Run, dict[str, Any]]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("folder", no_wrap=True)
    table.add_column("crystal", no_wrap=True)
    for _, head, _ in COLUMNS:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    unpolar = False
    for run, results in done:
        summary = results["summary"]
        missing_nac = any("no Born charges" in remark for remark in results["remarks"])
        unpolar |= missing_nac
        cells = [_cell(summary[name], how) for name, _, how in COLUMNS]
        verdict = summary["verdict"].partition(":")[0] + ("*" if missing_nac else "")
        table.add_row(run.name, summary["formula"], *cells, verdict)
    console = Console(width=None if Console().is_terminal else TABLE_WIDTH)
    console.print(table)
    if unpolar:
        console.print("  * without Born charges: longitudinal optical modes are not split off", highlight=False)
    missing: dict[str, list[str]] = {}
    for run, results in done:
        summary = results["summary"]
        if summary["trusted"] and summary["longitudinal_m_s"] is None:
            missing.setdefault(summary["reasons"]["longitudinal_m_s"], []).append(run.name)
    for reason, names in missing.items():
        console.print(f"  - {', '.join(names)}: {reason}", highlight=False)


def _cell(value: float | None, how: str) -> str:
    """Print a number; rounding leaves no minus before a zero."""
    return "-" if value is None else format(value, how if how == "d" else f"z{how}")


def _write_csv(path: Path, done: Sequence[tuple[_Run, dict[str, Any]]]) -> None:
    """One line per folder, one column per number; empty where there is none."""
    from aiida_iontherm.report.write import write_atomically

    names = [
        name
        for name, value in (done[0][1]["summary"].items() if done else ())
        if not isinstance(value, (dict, list)) and name not in ("crossings", "species_frequencies_thz")
    ]
    species = sorted({s for _, r in done for s in r["summary"]["species_frequencies_thz"] or {}})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["name", "directory", "mesh", *names, *(f"average_frequency_{s}_thz" for s in species), "sites", "remarks"]
    )
    for run, results in done:
        summary = results["summary"]
        means = summary["species_frequencies_thz"] or {}
        sites = "; ".join(
            f"{site['label']} <f>={site['average_frequency_thz']:.3f} THz"
            + ("" if site["u_iso_A2"] is None else f" U={site['u_iso_A2']:.4f} A^2")
            for site in summary["sites"]
            if site["average_frequency_thz"] is not None
        )
        writer.writerow(
            [
                run.name,
                run.directory,
                "x".join(map(str, results["mesh"])),
                *(summary[name] for name in names),
                *(means.get(s) for s in species),
                sites,
                "; ".join(results["remarks"]),
            ]
        )
    write_atomically(path, text.getvalue().encode())


def _draw(run: _Run, pictures: Path) -> None:
    """Picture of the density of states by species, and its numbers with those of the sites."""
    from aiida_iontherm.report.figures.density_of_states import dos_by_species
    from aiida_iontherm.report.model import DosData
    from aiida_iontherm.report.style import style
    from aiida_iontherm.report.write import write_atomically
    from aiida_iontherm.tasks.files import read_npz

    arrays = read_npz(run.folder / "dos.npz")
    species = {name.removeprefix("species_"): a for name, a in arrays.items() if name.startswith("species_")}
    sites = {name.removeprefix("site_"): a for name, a in arrays.items() if name.startswith("site_")}
    frequencies = arrays["frequencies_thz"]
    pictures.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    with style(run.name):
        figure, columns = dos_by_species(DosData(temperature=0.0, frequencies_thz=frequencies, by_species=species))
        figure.savefig(picture, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    write_atomically(pictures / f"{run.name}.png", picture.getvalue())
    columns |= {f"{label}_states_per_THz": states for label, states in sites.items()}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    write_atomically(pictures / f"{run.name}.csv", text.getvalue().encode())
