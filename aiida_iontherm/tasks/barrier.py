"""Task ``barrier``: migration barriers by nudged elastic bands, and the potential well of one ion from a scan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.physics.ions.barrier import BarrierProfile, barrier_profile, barrier_quantities
from aiida_iontherm.physics.ions.bond_valence import (
    BondParameters,
    bond_parameters,
    bond_valence_profile,
    bond_valence_sums,
    formal_charges,
)
from aiida_iontherm.physics.ions.elastic_band import (
    BandSettings,
    CollapsedPathError,
    ElasticBand,
    UnstablePathError,
)
from aiida_iontherm.physics.ions.migration_paths import (
    Hop,
    distinct_hops,
    end_points,
    hop_between,
    moving_ion,
    path_of_frames,
)
from aiida_iontherm.physics.ions.periodic_points import heights
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.tasks.barrier_input import Input
from aiida_iontherm.tasks.barrier_scan import run_scan, scan_lines
from aiida_iontherm.tasks.contract import InputError, PhysicsError, Task
from aiida_iontherm.tasks.files import read_structures, write_npz, write_structures

__all__ = ["Input", "run"]

MIN_EXTENT_A = 8.0
"""In a lower supercell the ion, or the vacancy, feels its own images some cells on: said, not refused."""


@dataclass(frozen=True)
class _Path:
    """One path to compute: both ends in the supercell, the ion, and what it is called."""

    label: str
    start: Atoms
    end: Atoms
    ion: int
    distance_A: float
    given: tuple[Atoms, ...] | None = None
    hop: Hop | None = None


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Compute the barrier of each path; writes ``barriers.npz`` with the profiles and ``paths.extxyz`` with the images.

    A hop into a vacancy takes the atom there out of the supercell, which stays neutral. Ends are relaxed in the fixed
    cell. A path whose ends turn out to be one minimum, or that the potential does not hold together, has no barrier but
    a reason.

    The method scan moves one ion only: along directions, to fit a polynomial of fourth order to its well; or along the
    paths, for an estimate of the barrier that is mostly too high.

    Interrupted and continued, it gives the same numbers but for rounding.
    """
    try:
        cell = read_structures(task.folder / task_input.structure)[0]
        calculator = _calculator(task, task_input, cell)
        if task_input.method == "scan" and task_input.scan.directions:
            lines = list(scan_lines(cell, task_input))
        else:
            paths = _paths(task, task_input, cell)
            # of the whole crystal: a supercell that lacks an ion is not neutral by formal charges
            bonds, remarks = _bonds(task_input, cell)
    except ValueError as error:
        raise InputError(str(error)) from error
    if task_input.method == "scan" and task_input.scan.directions:
        return run_scan(task, task_input, lines, calculator) | {"remarks": _size_remarks(task_input, cell)}
    finished, arrays, frames = _relax(task, task_input, paths, calculator)
    if bonds is not None:
        remarks += _bond_valences(bonds, paths, finished, arrays)
    write_npz(task.folder / "barriers.npz", arrays)
    if not frames:
        reasons = "; ".join(f"{record['label']}: {record['reason']}" for record in finished)
        raise PhysicsError(f"no path has a barrier: {reasons}")
    write_structures(task.folder / "paths.extxyz", frames)
    return {
        "method": task_input.method,
        "mobile": task_input.mobile,
        "supercell_atoms": len(paths[0].start),
        "barriers": finished,
        "quantities": [q for record in finished for q in record.pop("quantities")],
        "remarks": remarks + _size_remarks(task_input, cell),
    }


def _calculator(task: Task, task_input: Input, cell: Atoms) -> Calculator:
    if task_input.potential is not None:
        potential = MomentTensorPotential.read(task.folder / task_input.potential, task_input.species)
        potential.check_species(cell.get_chemical_symbols())
        return potential.calculator()
    from aiida_iontherm.engines.embedded import check_elements, make_calculator

    check_elements(str(task_input.engine), cell.get_chemical_symbols())
    return make_calculator(str(task_input.engine), task_input.engine_options)


def _paths(task: Task, task_input: Input, cell: Atoms) -> list[_Path]:
    mobile = task_input.mobile
    if task_input.path is not None:
        frames = read_structures(task.folder / task_input.path)
        two_ends = len(frames) == 2
        strange = sorted(set(frames[0].get_chemical_symbols()) - set(cell.get_chemical_symbols()))
        if strange:
            raise ValueError(f"the path holds {', '.join(strange)}, which the structure does not: give its crystal")
        frames = path_of_frames(frames, task_input.images)
        ion = moving_ion(frames[0], frames[-1], mobile)
        distance = float(np.linalg.norm(frames[-1].positions[ion] - frames[0].positions[ion]))
        given = None if two_ends else tuple(frames)
        return [_Path(f"{mobile}_{distance:.2f}", frames[0], frames[-1], ion, distance, given)]
    if task_input.hop is not None:
        hops = [hop_between(cell, mobile, task_input.hop.start, task_input.hop.end)]
    else:
        search = task_input.search
        found = distinct_hops(
            cell, mobile, search.max_distance, empty_sites=search.empty_sites, symprec_A=search.symprec
        )
        hops = list(found[: search.max_count])
        if search.only is not None:
            beyond = [n for n in search.only if n > len(found)]
            if beyond:
                names = ", ".join(f"{n} {hop.label}" for n, hop in enumerate(found, start=1))
                raise ValueError(f"there is no hop {beyond[0]}: there are {names}")
            hops = [found[n - 1] for n in search.only]
    return [_Path(hop.label, *end_points(cell, task_input.supercell, hop), hop.distance_A, None, hop) for hop in hops]


def _size_remarks(task_input: Input, cell: Atoms) -> list[str]:
    if task_input.path is not None:
        return []
    lowest = float((heights(cell.cell.array) * np.array(task_input.supercell)).min())
    if lowest >= MIN_EXTENT_A:
        return []
    return [
        f"the supercell is {lowest:.1f} Angstrom high: the ion feels its images, compare with a larger one "
        f"({MIN_EXTENT_A:g} Angstrom and more)"
    ]


def _relax(
    task: Task, task_input: Input, paths: list[_Path], calculator: Calculator
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray], list[Atoms]]:
    """Relax band after band; records, profiles and images of those that are done."""
    records: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    saved = task.checkpoint()
    inside: tuple[dict[str, Any], dict[str, np.ndarray]] | None = None
    if saved is not None:
        meta, stored = saved
        records = meta["records"]
        arrays = {name[5:]: values for name, values in stored.items() if name.startswith("done_")}
        if meta["band"] is not None:
            inside = meta["band"], {name[5:]: a for name, a in stored.items() if name.startswith("band_")}
    settings = BandSettings(
        images=task_input.images, fmax=task_input.fmax, climb=task_input.climb, max_steps=task_input.max_steps
    )
    kept = {f"done_{name}": values for name, values in arrays.items()}
    while len(records) < len(paths):
        number = len(records)
        path = paths[number]
        # a neighbour list kept from before and one built after a restart differ in the last bits of their sums
        calculator.reset()
        try:
            if task_input.method == "neb":
                band = ElasticBand(path.start, path.end, path.ion, calculator, settings, path.given)
                if inside is not None:
                    band.restore(*inside)
                    inside = None
                _finish(task, band, path, records, kept, len(paths))
                images, steps = band.profile(), band.total_steps
                profile = barrier_profile(*images, residual_force=band.residual_force, fmax=task_input.fmax)
            else:
                images, steps = _rigid(path, calculator, task_input.images), 0
                profile = barrier_profile(*images)
        except (CollapsedPathError, UnstablePathError) as error:
            records.append(_failed(path, str(error)))
        else:
            records.append(_record(path, profile, task_input, steps))
            arrays |= _profile_arrays(number, profile, *images)
            kept = {f"done_{name}": values for name, values in arrays.items()}
        barrier = records[-1]["forward_ev"]
        task.progress("paths", number + 1, len(paths), **({} if barrier is None else {"barrier_ev": barrier}))
        if len(records) < len(paths):
            task.step(lambda arrays=kept: ({"records": records, "band": None}, arrays))
    return records, arrays, _frames(paths, records, arrays)


def _finish(
    task: Task,
    band: ElasticBand,
    path: _Path,
    records: list[dict[str, Any]],
    kept: dict[str, np.ndarray],
    total: int,
) -> None:
    def state() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        meta, arrays = band.state()
        return {"records": records, "band": meta}, kept | {f"band_{name}": a for name, a in arrays.items()}

    while not band.finished:
        stage, steps = band.what, band.steps
        band.step()
        task.progress(
            f"path {len(records) + 1} of {total}, {path.label}: {stage}",
            steps,
            band.settings.max_steps,
            max_force=band.residual,
            highest_ev=band.highest_ev,
        )
        if not band.finished:
            task.step(state)


def _rigid(path: _Path, calculator: Calculator, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, forces and positions with the ion moved along the straight line or the given path, all others fixed."""
    line = np.linspace(path.start.positions[path.ion], path.end.positions[path.ion], images + 2)
    if path.given is not None:
        line = np.array([image.positions[path.ion] for image in path.given])
    energies, forces, positions = [], [], []
    for place in line:
        atoms = path.start.copy()
        atoms.positions[path.ion] = place
        atoms.calc = calculator
        energies.append(float(atoms.get_potential_energy()))
        # only the ion moves: the forces on the others do no work
        forces.append(np.where(np.arange(len(atoms))[:, None] == path.ion, atoms.get_forces(), 0.0))
        positions.append(atoms.positions)
        if not np.isfinite(energies[-1]):
            raise UnstablePathError("the energy of a point of the path is no number")
    return np.array(energies), np.array(forces), np.array(positions)


def _failed(path: _Path, reason: str) -> dict[str, Any]:
    return _described(path) | {
        "forward_ev": None,
        "backward_ev": None,
        "reaction_ev": None,
        "state": "failed",
        "converged": False,
        "reason": reason,
        "quantities": [],
    }


def _record(path: _Path, profile: BarrierProfile, task_input: Input, steps: int) -> dict[str, Any]:
    source = "moment tensor potential" if task_input.potential is not None else f"engine {task_input.engine}"
    method = "rigid displacement of the ion" if task_input.method == "scan" else "nudged elastic band"
    if task_input.method == "neb" and task_input.climb:
        method += " with climbing image"
    figures = {
        key: value
        for key, value in asdict(profile).items()
        if not isinstance(value, np.ndarray) and key not in ("minima", "curve_ev")
    }
    return (
        _described(path)
        | figures
        | {
            "minima": list(profile.minima),
            "steps": steps,
            "quantities": [q.to_dict() for q in barrier_quantities(profile, path.label, f"{method}, {source}")],
        }
    )


def _described(path: _Path) -> dict[str, Any]:
    vector = path.end.positions[path.ion] - path.start.positions[path.ion]
    kind = "given path"
    if path.hop is not None:
        kind = "into a vacancy" if path.hop.to_vacancy else "to an empty site"
    return {
        "label": path.label,
        "kind": kind,
        "distance_A": path.distance_A,
        "vector_A": [float(x) for x in vector],
        "multiplicity": None if path.hop is None else path.hop.multiplicity,
        "ion": path.ion,
    }


def _profile_arrays(
    number: int, profile: BarrierProfile, energies: np.ndarray, forces: np.ndarray, positions: np.ndarray
) -> dict[str, np.ndarray]:
    return {
        f"path_A_{number}": profile.path_A,
        f"energies_ev_{number}": profile.energies_ev,
        f"slopes_ev_A_{number}": profile.slopes_ev_A,
        f"curve_path_A_{number}": profile.curve_path_A,
        f"curve_ev_{number}": profile.curve_ev,
        f"total_energies_ev_{number}": energies,
        f"forces_ev_A_{number}": forces,
        f"positions_A_{number}": positions,
    }


def _frames(paths: list[_Path], records: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> list[Atoms]:
    """All images of all paths with their energies and forces."""
    frames = []
    for number, (path, record) in enumerate(zip(paths, records, strict=True)):
        if record["forward_ev"] is None:
            continue
        for image, positions in enumerate(arrays[f"positions_A_{number}"]):
            atoms = Atoms(numbers=path.start.numbers, positions=positions, cell=path.start.cell, pbc=True)
            atoms.info = {"path": path.label, "image": image, "ion": path.ion}
            atoms.calc = SinglePointCalculator(
                atoms,
                energy=float(arrays[f"total_energies_ev_{number}"][image]),
                forces=arrays[f"forces_ev_A_{number}"][image],
            )
            frames.append(atoms)
    return frames


def _bonds(task_input: Input, atoms: Atoms) -> tuple[BondParameters | None, list[str]]:
    """Parameters of the bond valences; a remark says why where there are none and no charges were given."""
    try:
        charges = formal_charges(atoms.get_chemical_symbols(), task_input.charges)
        return bond_parameters(task_input.mobile, charges), []
    except ValueError as error:
        if task_input.charges is not None:
            raise
        return None, [f"no bond valences: {error}"]


def _bond_valences(
    bonds: BondParameters, paths: list[_Path], records: list[dict[str, Any]], arrays: dict[str, np.ndarray]
) -> list[str]:
    """Add bond valences along the finished paths; a remark says why where there are none."""
    remarks = []
    for number, (path, record) in enumerate(zip(paths, records, strict=True)):
        if record["forward_ev"] is None:
            continue
        names = path.start.get_chemical_symbols()
        try:
            sums = [
                float(bond_valence_sums(image[path.ion], image, names, path.start.cell.array, bonds)[0])
                for image in arrays[f"positions_A_{number}"]
            ]
        except ValueError as error:
            remarks.append(f"no bond valences along {path.label}: {error}")
            continue
        profile = bond_valence_profile(sums, bonds.charge)
        arrays[f"bond_valence_{number}"] = profile.valences
        record["bond_valence"] = {
            "start": float(profile.valences[0]),
            "end": float(profile.valences[-1]),
            "mismatch_forward": profile.forward,
            "mismatch_backward": profile.backward,
            "change": profile.change,
            "highest_image": profile.highest,
        }
    return remarks
