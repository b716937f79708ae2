"""``iontherm framework``: what the framework does to the mobile ions of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import UserError, json_option, user_errors

if TYPE_CHECKING:
    from aiida_iontherm.physics.ions import Coincidence, EnhancementSeries, PolyanionRotation
    from aiida_iontherm.physics.quantity import Quantity
    from aiida_iontherm.physics.spectra import LowFrequency
    from aiida_iontherm.tasks.framework_files import FrameworkRun

FOLDED_THZ = 30.0
"""Vibrations of sulphides and selenides reach 18 THz: velocities stored at a higher rate than this show none of them at
zero frequency. A vibration at a multiple of the rate would appear there."""

HELD = {"frozen": "frozen", "polyanions_frozen": "polyanions-frozen", "rigid": "rigid"}

Remark = Callable[[str], None]
_trajectory = click.Path(exists=True, dir_okay=False, path_type=Path)


def _held_option(name: str, what: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        multiple=True,
        metavar="FILE",
        type=_trajectory,
        help=f"The run with {what}; as often as TRAJECTORY, in the same order. Or several for each, in several "
        "snapshots say, of which the mean is taken: first those of the first TRAJECTORY.",
    )


@click.command()
@click.argument("trajectories", nargs=-1, required=True, metavar="TRAJECTORY...", type=_trajectory)
@click.option("-T", "--temperature", "temperatures", type=float, multiple=True, required=True, help="Of each run, K.")
@click.option("--mobile", metavar="SYMBOL", help="Mobile ions; not needed where the file tells them.")
@click.option("--interval-fs", type=float, metavar="FS", help="Time between frames, if the file does not tell it.")
@click.option("--discard", "discard_ps", type=float, default=0.0, metavar="PS", help="Leave out the start of each run.")
@click.option(
    "--velocities",
    multiple=True,
    metavar="FILE",
    type=_trajectory,
    help="velocities.npz of the run, if TRAJECTORY holds none; as often as TRAJECTORY, in the same order.",
)
@_held_option("--frozen", "the framework frozen")
@_held_option("--polyanions-frozen", "the polyanions frozen")
@_held_option("--rigid", "the polyanions rigid")
@click.option("--centre", metavar="SYMBOL", help="Of the polyanions, with --ligand; default: bonded groups are found.")
@click.option("--ligand", metavar="SYMBOL", help="Of the polyanions.")
@click.option("--bond", "bond_length_A", type=float, metavar="A", help="Longest bond of a centre with a ligand.")
@click.option(
    "--sites",
    "structure",
    type=_trajectory,
    metavar="FILE",
    help="Crystal whose sites to use for hops; default: the maxima of the density.",
)
@click.option(
    "--min-occupancy", type=float, metavar="IONS", help="Maxima of the density with fewer ions are no sites: 0.02."
)
@click.option("--distance", "distance_A", type=float, default=5.0, show_default=True, help="Hops so near a centre, A.")
@click.option("--lag", "lag_ps", type=float, default=1.0, show_default=True, help="Count as at the same time, ps.")
@json_option
@user_errors
def framework(
    trajectories: tuple[Path, ...],
    temperatures: tuple[float, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Find what vibrations and rotations of the framework have to do with the diffusion of ions in it.

    Each TRAJECTORY is a run at constant volume after equilibration: a trajectory of ASE with all atoms and their
    velocities, or the trajectory.npz of the task md with snapshots. Several are runs at several temperatures.
    """
    if len(temperatures) != len(trajectories):
        raise UserError(f"give -T for each of the {len(trajectories)} trajectories, not {len(temperatures)} times")
    if any(temperature <= 0 for temperature in temperatures):
        raise UserError("temperatures must be positive, in K")
    if options["velocities"] and len(options["velocities"]) != len(trajectories):
        raise UserError("--velocities is needed once for each trajectory, or not at all")
    for name in HELD:
        if len(options[name]) % len(trajectories):
            raise UserError(f"--{name.replace('_', '-')} is needed equally often for each trajectory, or not at all")
    remarks: list[str] = []

    def remark(sentence: str) -> None:
        if sentence not in remarks:
            remarks.append(sentence)
            click.echo(f"note: {sentence}", err=True)

    parts = []
    for index, (path, temperature) in enumerate(zip(trajectories, temperatures, strict=True)):
        velocities = options["velocities"][index] if options["velocities"] else None
        parts.append(_analyse(path, temperature, velocities, options, remark))
    series = _enhancements(parts, temperatures, options)
    if as_json:
        record = {
            "runs": [part.record() for part in parts],
            "enhancement": [_enhancement_record(*entry) for entry in series],
            "results": [quantity.to_dict() for part in parts for quantity in part.quantities]
            + [quantity.to_dict() for entry in series for quantity in _enhancement_quantities(*entry)],
            "remarks": remarks,
        }
        click.echo(json.dumps(record, indent=1))
        return
    for part in parts:
        for line in part.lines():
            click.echo(line)
    for entry in series:
        for line in _enhancement_lines(*entry):
            click.echo(line)


@dataclass
class _Part:
    """What came out of one run."""

    path: Path
    run: FrameworkRun
    temperature: float
    diffusivity: Quantity
    groups: dict[str, int] = field(default_factory=dict)
    hops: int | None = None
    rotations: list[PolyanionRotation] = field(default_factory=list)
    coincidences: dict[tuple[str, str], Coincidence] = field(default_factory=dict)
    densities: list[LowFrequency] = field(default_factory=list)
    quantities: list[Quantity] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "file": str(self.path),
            "mobile": self.run.mobile,
            "temperature": self.temperature,
            "duration_ps": self.run.duration_ps,
            "polyanions": self.groups,
            "hops": self.hops,
            "rotations": [_rotation_record(rotation) for rotation in self.rotations],
            "coincidences": [
                {"polyanions": label, "activity": what, **_plain(result)}
                for (label, what), result in self.coincidences.items()
            ],
            "densities": [_plain(density) for density in self.densities],
        }

    def lines(self) -> list[str]:
        """Summary for people."""
        from aiida_iontherm.report.format import format_number, format_quantity

        by = {quantity.name: quantity for quantity in self.quantities}
        run = self.run
        rows = [
            (
                "run",
                f"{run.atoms.get_chemical_formula()}, {self.temperature:g} K, {run.duration_ps:.4g} ps, "
                f"{run.ion_positions.shape[1]} {run.mobile}",
            ),
            ("polyanions", ", ".join(f"{n} {label}" for label, n in self.groups.items()) or "none found"),
        ]
        for rotation in self.rotations:
            label = rotation.label
            rows.append((label, f"{rotation.state}: {rotation.reason}"))
            angle = format_number(rotation.libration_deg, rotation.libration_uncertainty_deg)
            rows.append(("", f"libration {angle} degrees, {rotation.between_fraction:.1%} of the time beyond"))
            if rotation.reorientations:
                rows.append(("", f"reorientations: {_text(by[f'reorientation_rate_{label}'])} per group"))
            for order in (1, 2):
                time = by[f"rotational_time_{order}_{label}"]
                rows.append(("", f"rotational time of C{order}: {_text(time)}"))
            for what in ("turning", "reorientation"):
                result = self.coincidences.get((label, what))
                if result is not None:
                    rows.append((f"{what}s" if what == "reorientation" else what, _coincidence_text(result)))
        rows.append((f"D({run.mobile})", f"{_text(self.diffusivity)} from the mean square displacement"))
        for name, quantity in by.items():
            if name.startswith("D_from_vdos"):
                rows.append(("", f"{format_quantity(quantity)} from g(0): {quantity.reason}"))
        for density in self.densities:
            rows.append((f"VDOS {density.species}", density.reason))
            exponent = (
                ""
                if density.exponent is None
                else f", p = {format_number(density.exponent, density.exponent_uncertainty)}"
            )
            rows.append(
                (
                    "",
                    f"g(0) = {format_number(density.at_zero, density.at_zero_uncertainty)}/THz per atom, linear "
                    f"{format_number(density.linear, density.linear_uncertainty)}/THz²{exponent}; "
                    f"{density.points} points, resolution {density.resolution_thz:.2g} THz",
                )
            )
        return [f"  {name:14s} {text}" for name, text in rows]


def _analyse(path: Path, temperature: float, velocities: Path | None, options: dict[str, Any], remark: Remark) -> _Part:
    from collections import Counter

    from aiida_iontherm.physics.ions import find_polyanions, polyanion_rotation, rotation_quantities
    from aiida_iontherm.tasks.framework_files import read_framework

    run = read_framework(path, options["mobile"], options["interval_fs"], options["discard_ps"], velocities)
    part = _Part(
        path, run, temperature, _diffusivity(path, run.ion_positions, run.ion_interval_fs, run.mobile, temperature)
    )
    part.quantities.append(part.diffusivity)
    groups = find_polyanions(
        run.atoms,
        run.mobile,
        centre=options["centre"],
        ligand=options["ligand"],
        bond_length_A=options["bond_length_A"],
    )
    part.groups = dict(Counter(group.label for group in groups))
    if not groups:
        remark(
            f"no polyanions were found in {run.atoms.get_chemical_formula()}: if there are any, name them with "
            "--centre and --ligand"
        )
    for label in part.groups:
        rotation = polyanion_rotation(
            run.positions,
            run.interval_fs,
            run.atoms.cell.array,
            [group for group in groups if group.label == label],
            run.symbols,
        )
        if rotation.broken:
            remark(f"{len(rotation.broken)} of {part.groups[label]} {label} lost a ligand and were left out")
        part.rotations.append(rotation)
        part.quantities += rotation_quantities(rotation, temperature)
    if part.rotations:
        _coincide(part, options, remark)
    _low_frequencies(part, remark)
    return part


def _diffusivity(path: Path, positions: Any, interval_fs: float, mobile: str, temperature: float) -> Quantity:
    """D on average over directions."""
    from aiida_iontherm.physics.ions import diffusion, diffusion_quantities

    try:
        result = diffusion(positions, interval_fs)
    except ValueError as error:
        # of several runs: which one?
        raise UserError(f"{path}: {error}") from error
    records = diffusion_quantities(result, mobile, temperature)
    return next(record for record in records if record.direction == "average")


def _coincide(part: _Part, options: dict[str, Any], remark: Remark) -> None:
    """Compare turning and reorientations with hops nearby."""
    import numpy as np

    from aiida_iontherm.physics.ions import (
        coincidence_quantity,
        event_activity,
        find_hops,
        find_stays,
        hop_coincidence,
        hop_places,
    )

    run = part.run
    try:
        stays = find_stays(run.ion_positions, run.ion_interval_fs, _sites(run, options))
    except ValueError as error:
        remark(f"no hops to compare rotations with: {error}")
        return
    hops = find_hops(stays)
    part.hops = len(hops)
    cell, places = run.atoms.cell.array, hop_places(stays, hops)
    frames, interval = len(run.positions), run.interval_fs
    times = hops.time_ps - run.start_ps
    inside = (times >= 0) & (times <= (frames - 1) * interval * 1e-3)
    for rotation in part.rotations:
        if rotation.state == "held":
            continue
        centres = np.array([group.centre_A for group in rotation.groups])
        activities = {"turning": (np.array([group.speed_rad_ps**2 for group in rotation.groups]), interval / 2)}
        if rotation.reorientations:
            events = np.array([event_activity(group.event_ps, interval, frames) for group in rotation.groups])
            activities["reorientation"] = (events, 0.0)
        for what, (activity, middle_fs) in activities.items():
            try:
                result = hop_coincidence(
                    # angles turned between two frames belong to the middle of them
                    times[inside] - middle_fs * 1e-3,
                    places[inside],
                    centres,
                    cell,
                    activity,
                    interval,
                    distance_A=options["distance_A"],
                    lag_ps=options["lag_ps"],
                )
            except ValueError as error:
                remark(str(error))
                break
            part.coincidences[rotation.label, what] = result
            name = f"{what}_near_hops_{rotation.label}"
            part.quantities.append(coincidence_quantity(result, name, part.temperature))


def _sites(run: FrameworkRun, options: dict[str, Any]) -> Any:
    import ase.io

    from aiida_iontherm.physics.ions import density_map, sites_from_crystal, sites_from_density

    cell, structure = run.atoms.cell.array, options["structure"]
    if structure is None:
        given = {} if options["min_occupancy"] is None else {"min_occupancy": options["min_occupancy"]}
        return sites_from_density(density_map(run.ion_positions, cell), **given)
    try:
        crystal = ase.io.read(structure)
    except Exception as error:
        # the readers of ASE raise anything
        raise UserError(f"{structure.name} is not a structure that ASE can read: {error}") from error
    chosen = crystal.symbols == run.mobile
    if not chosen.any():
        raise UserError(f"there is no {run.mobile} in {structure.name}")
    return sites_from_crystal(crystal.get_scaled_positions()[chosen], crystal.cell.array, cell=cell)


def _low_frequencies(part: _Part, remark: Remark) -> None:
    """Density of states towards zero frequency, and D from what is left there."""
    from aiida_iontherm.physics.spectra import (
        diffusion_from_zero,
        finest_resolution,
        kinetic_temperature,
        low_frequency_dos,
        low_frequency_quantities,
        zero_frequency_quantity,
    )

    run = part.run
    if run.velocities is None or run.velocity_interval_fs is None:
        remark("there are no velocities: the density of states is left out; store them or give --velocities")
        return
    rate = 1e3 / run.velocity_interval_fs
    if rate < FOLDED_THZ:
        remark(
            f"velocities {run.velocity_interval_fs:g} fs apart show vibrations near {rate:.3g} THz at zero frequency: "
            "store them more often if there are such"
        )
    masses = run.atoms.get_masses()
    arguments = (run.velocities, run.velocity_interval_fs, masses, run.symbols)
    try:
        densities = low_frequency_dos(*arguments)
        finest = low_frequency_dos(
            *arguments, resolution_thz=finest_resolution(len(run.velocities), run.velocity_interval_fs)
        )[run.mobile]
    except ValueError as error:
        remark(f"the density of states is left out: {error}")
        return
    part.densities = [densities[name] for name in (run.mobile, "all")]
    bounded = part.diffusivity.bound is not None
    result = diffusion_from_zero(
        finest,
        float(masses[run.symbols.index(run.mobile)]),
        kinetic_temperature(run.velocities, masses),
        reference=part.diffusivity.value,
        reference_uncertainty=None if bounded else part.diffusivity.uncertainty,
    )
    part.quantities.append(zero_frequency_quantity(result, part.temperature))
    for density in part.densities:
        part.quantities += low_frequency_quantities(density, part.temperature)


def _enhancements(
    parts: Sequence[_Part], temperatures: Sequence[float], options: dict[str, Any]
) -> list[tuple[str, EnhancementSeries, list[Quantity], str]]:
    """Kind, factors, diffusivities held, symbol."""
    from aiida_iontherm.physics.ions import enhancement_series, mean_diffusivity
    from aiida_iontherm.tasks.framework_files import read_ions

    free, mobile = [part.diffusivity for part in parts], parts[0].run.mobile
    series = []
    for option, kind in HELD.items():
        if not options[option]:
            continue
        each, held = len(options[option]) // len(temperatures), []
        for index, temperature in enumerate(temperatures):
            runs = []
            for path in options[option][index * each : (index + 1) * each]:
                interval = options["interval_fs"] if path.suffix != ".npz" else None
                positions, interval_fs = read_ions(path, mobile, interval, options["discard_ps"])
                runs.append(_diffusivity(path, positions, interval_fs, mobile, temperature))
            held.append(mean_diffusivity(runs))
        series.append((kind, enhancement_series(free, held, kind), held, mobile))
    return series


def _enhancement_quantities(
    _kind: str, series: EnhancementSeries, held: Sequence[Quantity], mobile: str
) -> list[Quantity]:
    from dataclasses import replace

    from aiida_iontherm.physics.ions import enhancement_quantities

    named = [replace(quantity, name=f"{quantity.name}_{series.points[0].kind}") for quantity in held]
    return named + enhancement_quantities(series, mobile)


def _enhancement_record(kind: str, series: EnhancementSeries, _held: Sequence[Quantity], mobile: str) -> dict[str, Any]:
    return {"kind": kind, "mobile": mobile, **_plain(series)}


def _enhancement_lines(kind: str, series: EnhancementSeries, held: Sequence[Quantity], mobile: str) -> list[str]:
    from aiida_iontherm.physics.ions.phonon_enhancement import KINDS
    from aiida_iontherm.report.format import format_quantity

    lines = [f"  with {KINDS[kind]}"]
    for point, quantity in zip(series.points, sorted(held, key=lambda d: d.temperature or 0.0), strict=True):
        lines.append(
            f"    {point.temperature:g} K: D({mobile}) {format_quantity(quantity)}; {point.effect}: {point.reason}"
        )
    if len(series.points) > 1:
        lines.append(f"    {series.reason}")
    return lines


def _coincidence_text(result: Coincidence) -> str:
    if result.ratio is None:
        return result.reason
    return (
        f"near {result.hops_near} hops: {result.verdict}, {result.reason} ({result.pairs} pairs within "
        f"{result.distance_A:g} Å, {result.lag_ps:g} ps)"
    )


def _rotation_record(rotation: PolyanionRotation) -> dict[str, Any]:
    record = _plain(rotation)
    record["groups"] = [
        {
            "centre": group.group.centre,
            "libration_deg": group.libration_deg,
            "between_fraction": group.between_fraction,
            "event_ps": group.event_ps.tolist(),
            "event_deg": group.event_deg.tolist(),
        }
        for group in rotation.groups
    ]
    return record


def _plain(result: Any) -> Any:
    """Results as what JSON knows; what is not finite as null."""
    from dataclasses import fields, is_dataclass

    import numpy as np

    if is_dataclass(result):
        return {entry.name: _plain(getattr(result, entry.name)) for entry in fields(result)}
    if isinstance(result, np.ndarray):
        return _plain(result.tolist())
    if isinstance(result, (list, tuple)):
        return [_plain(value) for value in result]
    if isinstance(result, float) and not np.isfinite(result):
        return None
    return result


def _text(quantity: Quantity) -> str:
    """Value with its error bar, and why it is not to be trusted where that is so."""
    from aiida_iontherm.report.format import format_quantity

    return format_quantity(quantity) + ("" if quantity.converged else f" (not converged: {quantity.reason})")
