"""``iontherm hops``: sites, hops, pathways and the state of the mobile ions of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import UserError, json_option, user_errors

if TYPE_CHECKING:
    from aiida_iontherm.physics.ions import DensityMap, HopAnalysis, JumpSites, PercolationBarriers, VanHove
    from aiida_iontherm.physics.quantity import Quantity
    from aiida_iontherm.tasks.ion_trajectory_files import IonTrajectory

PARTS = 8
"""Parts of the run that give the error bars of the barriers."""

SYMMETRY_TOLERANCES = {"crystal": 0.01, "density": 0.3}
"""Angstrom: positions of a crystal have the digits of its file, those from a density carry noise."""

LARGEST_LABELLED = 3000
"""Atoms beyond which equivalent sites of a density are not looked for: it would take minutes."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--mobile", "symbol", metavar="SYMBOL", help="Mobile ions; not needed where FILE tells them.")
@click.option("-T", "--temperature", type=float, required=True, help="Of the run, K.")
@click.option("--interval-fs", type=float, metavar="FS", help="Time between frames, if the file does not tell it.")
@click.option("--discard", "discard_ps", type=float, default=0.0, metavar="PS", help="Leave out the start of the run.")
@click.option(
    "--sites",
    "structure",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Crystal whose sites to use, occupied or not; default: the maxima of the density.",
)
@click.option("--anions", metavar="SYMBOL", help="Tell hops within tetrahedra of these atoms from hops between them.")
@click.option(
    "--merge", "merge_radius_A", type=float, metavar="A", help="Maxima of the density nearer than this are one."
)
@click.option("--min-occupancy", type=float, metavar="IONS", help="Maxima with fewer ions are none; default 0.02.")
@click.option("--spacing", "spacing_A", type=float, metavar="A", help="Voxels of the density; default 0.3 Angstrom.")
@click.option("--fold", metavar="N,N,N", help="Lay so many unit cells on each other for barriers and the map.")
@click.option("--margin", type=float, help="By how much nearer a site is reached, in distances of sites; default 0.4.")
@click.option("--min-stay", "min_stay_ps", type=float, default=0.0, metavar="PS", help="Shorter visits do not count.")
@click.option("--figures", type=click.Path(file_okay=False, path_type=Path), help="Write figures and their data there.")
@click.option("--cube", type=click.Path(dir_okay=False, path_type=Path), help="Write the density there, 1/Angstrom^3.")
@json_option
@user_errors
def hops(
    file: Path,
    symbol: str | None,
    temperature: float,
    structure: Path | None,
    figures: Path | None,
    cube: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the hops of the mobile ions in FILE, and whether they conduct.

    FILE is the trajectory.npz of the task md, or a trajectory of ASE with all atoms, at constant volume and after
    equilibration.
    """
    from aiida_iontherm.physics.ions import (
        analyse_hops,
        hop_quantities,
        logarithmic_lags,
        percolation_barriers,
        percolation_quantities,
        van_hove,
    )
    from aiida_iontherm.physics.ions.hops import MARGIN
    from aiida_iontherm.tasks.ion_trajectory_files import read_ion_trajectory

    run = read_ion_trajectory(file, symbol, options["interval_fs"], options["discard_ps"])
    remarks: list[str] = []

    def remark(sentence: str) -> None:
        remarks.append(sentence)
        click.echo(f"note: {sentence}", err=True)

    parts = _densities(run, options["spacing_A"], (1, 1, 1))
    density = sum(parts[1:], start=parts[0])
    sites = _sites(run, density, structure, options, remark)
    analysis = analyse_hops(
        run.positions,
        run.interval_fs,
        sites,
        margin=MARGIN if options["margin"] is None else options["margin"],
        min_stay_ps=options["min_stay_ps"],
    )
    if options["fold"]:
        parts = _densities(run, options["spacing_A"], _fold(options["fold"]))
        density = sum(parts[1:], start=parts[0])
    barriers = percolation_barriers(parts, temperature)
    quantities = hop_quantities(analysis, run.symbol, temperature) + percolation_quantities(barriers, run.symbol)
    correlations = van_hove(run.positions, run.interval_fs, logarithmic_lags(len(run.positions)), cell=run.cell)
    if analysis.sites_doubt:
        remark(analysis.sites_doubt)
    written = _draw(figures, run, density, sites, temperature, correlations) if figures else []
    if cube is not None:
        _write_cube(cube, run, density)
        written.append(cube)
    if as_json:
        click.echo(json.dumps(_record(file, run, analysis, quantities, remarks, written), indent=1))
        return
    for line in _lines(run, analysis, barriers, quantities):
        click.echo(line)
    for path in written:
        click.echo(f"Written: {path}")


def _fold(text: str) -> tuple[int, int, int]:
    words = text.replace(",", " ").split()
    if len(words) != 3 or not all(word.isdigit() and int(word) > 0 for word in words):
        raise UserError(f"--fold needs three positive whole numbers, not {text!r}")
    return int(words[0]), int(words[1]), int(words[2])


def _densities(run: IonTrajectory, spacing_A: float | None, repeats: tuple[int, int, int]) -> list[DensityMap]:
    import numpy as np

    from aiida_iontherm.physics.ions import density_map
    from aiida_iontherm.physics.ions.density_map import SPACING_A

    if len(run.positions) < PARTS:
        raise UserError(f"{len(run.positions)} frames are too few for an analysis of hops: run longer")
    spacing = SPACING_A if spacing_A is None else spacing_A
    return [
        density_map(part, run.cell, spacing_A=spacing, repeats=repeats) for part in np.array_split(run.positions, PARTS)
    ]


def _sites(
    run: IonTrajectory,
    density: DensityMap,
    structure: Path | None,
    options: dict[str, Any],
    remark: Callable[[str], None],
) -> JumpSites:
    """Sites with labels and, asked for, tetrahedra."""
    from dataclasses import replace

    import numpy as np
    from ase.data import atomic_numbers

    from aiida_iontherm.physics.ions import equivalent_labels, polyhedra, sites_from_density

    anions = options["anions"]
    given = {name: options[name] for name in ("merge_radius_A", "min_occupancy") if options[name] is not None}
    if structure is not None:
        if given:
            raise UserError("--merge and --min-occupancy are for sites from the density: leave them out with --sites")
        sites, corners = _crystal_sites(run, structure, anions)
    else:
        sites = sites_from_density(density, **given)
        framework, corners = run.framework, None
        if len(sites) + (0 if framework is None else len(framework[1])) <= LARGEST_LABELLED:
            labels = equivalent_labels(sites, framework, symprec=SYMMETRY_TOLERANCES["density"], name=run.symbol)
            if len(set(labels)) > max(len(sites) // 2, 1):
                remark("no symmetry was found between the sites: they are taken for one kind")
            else:
                sites = replace(sites, labels=labels)
        if anions is not None:
            if framework is None:
                raise UserError(f"{anions} is not in the file, which holds no snapshots: give the crystal with --sites")
            chosen = framework[1] == atomic_numbers.get(anions, -1)
            if not chosen.any():
                raise UserError(f"there is no {anions} in {run.formula}")
            corners = framework[0][chosen]
    if corners is not None:
        sites = sites.with_clusters(polyhedra(sites, np.asarray(corners)))
    return sites


def _crystal_sites(run: IonTrajectory, structure: Path, anions: str | None) -> tuple[JumpSites, Any]:
    """Sites of a crystal in the cell of the run, and where the anions are."""
    import ase.io
    import numpy as np

    from aiida_iontherm.physics.ions import equivalent_labels, sites_from_crystal

    try:
        # partly occupied sites of a CIF are one atom each here, full or empty
        crystal = ase.io.read(structure)
    except Exception as error:
        # the readers of ASE raise anything
        raise UserError(f"{structure.name} is not a structure that ASE can read: {error}") from error
    symbols = np.array(crystal.get_chemical_symbols())
    chosen = symbols == run.symbol
    if not chosen.any():
        raise UserError(f"there is no {run.symbol} in {structure.name}")
    unit_cell, fractional = crystal.cell.array, crystal.get_scaled_positions()
    unit = sites_from_crystal(fractional[chosen], unit_cell)
    labels = equivalent_labels(
        unit,
        (fractional[~chosen], crystal.numbers[~chosen]) if not chosen.all() else None,
        symprec=SYMMETRY_TOLERANCES["crystal"],
        name=run.symbol,
    )
    sites = sites_from_crystal(fractional[chosen], unit_cell, cell=run.cell, labels=labels)
    if anions is None:
        return sites, None
    if anions not in symbols:
        raise UserError(f"there is no {anions} in {structure.name}")
    return sites, sites_from_crystal(fractional[symbols == anions], unit_cell, cell=run.cell).fractional


def _draw(
    folder: Path,
    run: IonTrajectory,
    density: DensityMap,
    sites: JumpSites,
    temperature: float,
    correlations: VanHove,
) -> list[Path]:
    """Write free energy and van Hove functions as pictures, with their columns beside them."""
    import csv
    import io

    from aiida_iontherm.report.figures.free_energy import free_energy_maps
    from aiida_iontherm.report.figures.van_hove import van_hove_functions
    from aiida_iontherm.report.style import style
    from aiida_iontherm.report.write import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with style("hops"):
        for name, (figure, columns) in (
            ("free-energy", free_energy_maps(density, temperature, run.symbol, sites)),
            ("van-hove", van_hove_functions(correlations, run.symbol)),
        ):
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=150, facecolor="white", metadata={"Software": None})
            write_atomically(folder / f"{name}.png", picture.getvalue())
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
            write_atomically(folder / f"{name}.csv", text.getvalue().encode())
            written.append(folder / f"{name}.png")
    return written


def _write_cube(path: Path, run: IonTrajectory, density: DensityMap) -> None:
    """Gaussian cube file with the framework, which the viewers of crystals read."""
    import numpy as np
    from ase import Atoms
    from ase.io.cube import write_cube

    from aiida_iontherm.tasks.files import written_whole

    atoms = Atoms(cell=density.cell, pbc=True)
    # a folded density has no framework of its own
    if run.framework is not None and np.allclose(density.cell, run.cell):
        positions, numbers = run.framework
        atoms = Atoms(numbers=numbers, scaled_positions=positions, cell=run.cell, pbc=True)
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        write_cube(stream, atoms, data=density.density, comment=f"{run.symbol} per Angstrom^3")


def _record(
    file: Path,
    run: IonTrajectory,
    analysis: HopAnalysis,
    quantities: Sequence[Quantity],
    remarks: Sequence[str],
    written: Sequence[Path],
) -> dict[str, Any]:
    from dataclasses import asdict

    sites = analysis.stays.sites
    return {
        "file": str(file),
        "mobile": run.symbol,
        "ions": analysis.stays.n_ions,
        "duration_ps": analysis.stays.duration_ps,
        "sites": {
            "fractional": sites.fractional.tolist(),
            "labels": list(sites.labels),
            "clusters": sites.clusters.tolist(),
            "occupancies": None if sites.occupancies is None else sites.occupancies.tolist(),
        },
        "hops": len(analysis.hops),
        "spread": analysis.hops.spread,
        "transit_fraction": analysis.stays.transit_fraction,
        "double_occupancy": analysis.shared,
        "rates": [asdict(rate) for rate in analysis.rates],
        "residences": [asdict(residence) for residence in analysis.residences],
        "correlation": asdict(analysis.correlation),
        "jump_diffusivity_cm2_s": analysis.jumps.tensor.tolist(),
        "verdict": asdict(analysis.verdict),
        "results": [quantity.to_dict() for quantity in quantities],
        "remarks": list(remarks),
        "written": [str(path) for path in written],
    }


def _lines(
    run: IonTrajectory, analysis: HopAnalysis, barriers: PercolationBarriers, quantities: Sequence[Quantity]
) -> list[str]:
    """Summary for people."""
    from collections import Counter

    from aiida_iontherm.report.format import format_number, format_quantity

    stays, sites, c = analysis.stays, analysis.stays.sites, analysis.correlation
    kinds = ", ".join(f"{n} {label}" for label, n in Counter(sites.labels).items())
    by = {(q.name, q.direction): q for q in quantities}
    ion, doubt = run.symbol, analysis.sites_doubt
    rows = [
        (
            "run",
            f"{stays.n_ions} {ion} in {run.formula}, {len(run.positions)} frames, {stays.duration_ps:.4g} ps",
        ),
        (
            "sites",
            f"{len(sites)} ({kinds}), {sites.spacings.min():.2f} Å and more apart; ions {stays.rms_A:.2f} Å from them, "
            f"{stays.transit_fraction:.1%} between, {analysis.shared:.1%} on one with another",
        ),
        ("hops", f"{len(analysis.hops)}, {_text(by['hop_rate_' + ion, None], doubt)} per ion"),
    ]
    for rate in analysis.rates:
        if rate.kind == "all" or (rate.kind == "pair" and len(set(sites.labels)) == 1):
            continue
        length = "" if rate.mean_length_A is None else f", {rate.mean_length_A:.2f} Å"
        suffix = f"_{rate.name.replace(' -> ', '_to_')}" if rate.kind != "axis" else ""
        record = by[f"hop_rate_{ion}{suffix}", rate.name if rate.kind == "axis" else None]
        rows.append(("", f"{rate.name}: {rate.hops}, {_text(record, doubt)}{length}"))
    for residence in analysis.residences:
        name = f"residence_time_{ion}" + ("" if len(analysis.residences) == 1 else f"_{residence.label}")
        text = f"{residence.label}: {_text(by[name, None], doubt)}"
        if residence.tail_residence_ps is not None and (residence.memory_p or 1) < 0.01:
            text += f"; old stays last {residence.tail_residence_ps:.3g} ps: not one exponential"
        rows.append(("stays", text))
    if c.back_jump is not None and c.back_jump_uncertainty is not None:
        rows.append(
            (
                "back jumps",
                f"{format_number(c.back_jump, c.back_jump_uncertainty)} of {c.pairs} successive hops; without memory "
                f"{c.back_jump_uncorrelated:.3g}",
            )
        )
        if c.factor is not None:
            rows.append(("f", f"{format_number(c.factor, c.factor_uncertainty)} from successive hops"))
    if analysis.tracer_factor is not None:
        rows.append(("", f"{_text(by['correlation_factor_' + ion, None], doubt)} as D over jump diffusivity"))
    rows.append(("D of jumps", format_quantity(by[f"D_jump_{ion}", "average"])))
    rows.append(("D", _text(by[f"D_{ion}", "average"], doubt)))
    for name in "abc":
        record = by[f"free_energy_barrier_{ion}", name]
        rows.append(("path" if name == "a" else "", f"along {name}: {_text(record, doubt)}"))
    verdict = analysis.verdict
    state = verdict.state if verdict.decided else f"not decided, likeliest {verdict.state}"
    confined = {True: ", confined", False: ", not confined", None: ""}[verdict.confined]
    rows.append(("verdict", f"{state}{confined}: {verdict.reason}"))
    return [f"  {name:11s} {text}" for name, text in rows]


def _text(quantity: Quantity, doubt: str) -> str:
    """Value with its error bar, and why it is not to be trusted where that is so and was not said above."""
    from aiida_iontherm.report.format import format_quantity

    if quantity.converged:
        return format_quantity(quantity)
    why = "" if quantity.reason == doubt else f": {quantity.reason}"
    return f"{format_quantity(quantity)} (not converged{why})"
