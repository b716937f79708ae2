"""Potential wells of single ions, for the task ``barrier``: one ion is moved while all others stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_masses, atomic_numbers

from aiida_iontherm.physics.ions.ion_scan import QuarticWell, quartic_well, scan_quantities
from aiida_iontherm.physics.ions.migration_paths import distinct_sites, ion_at
from aiida_iontherm.tasks.barrier_input import Input
from aiida_iontherm.tasks.contract import PhysicsError, Task
from aiida_iontherm.tasks.files import write_npz


def scan_lines(cell: Atoms, task_input: Input) -> Iterator[tuple[str, str, Atoms, int, np.ndarray]]:
    """Site, direction, supercell, ion and unit vector of each line to scan.

    Raises
    ------
    ValueError
        If a direction has no length, or there is no ion at a given site.
    """
    supercell = cell.repeat(task_input.supercell)
    sites = distinct_sites(cell, task_input.mobile, task_input.search.symprec)
    if task_input.scan.sites:
        sites = {}
        for number, place in enumerate(task_input.scan.sites, start=1):
            sites[f"{task_input.mobile}_at_{number}"] = ion_at(cell, task_input.mobile, place)
    for label, index in sites.items():
        for direction in task_input.scan.directions:
            vector = np.array(direction, dtype=float)
            length = float(np.linalg.norm(vector))
            if not length > 0 or not np.isfinite(length):
                raise ValueError(f"the direction {direction} of the scan has no length")
            # in a repeated cell the atoms of the first copy come first
            yield label, "[" + " ".join(f"{x:g}" for x in direction) + "]", supercell, index, vector / length


def run_scan(
    task: Task, task_input: Input, lines: list[tuple[str, str, Atoms, int, np.ndarray]], calculator: Calculator
) -> dict[str, Any]:
    """Move the ion of each line, point by point, and fit its well; writes ``barriers.npz``."""
    scan = task_input.scan
    displacements = np.linspace(-scan.amplitude, scan.amplitude, scan.points)
    energies = np.full((len(lines), scan.points), np.nan)
    saved = task.checkpoint()
    done = 0
    if saved is not None:
        done, energies = saved[0]["done"], saved[1]["energies"]
    for count in range(done, energies.size):
        line, point = divmod(count, scan.points)
        _, _, supercell, ion, direction = lines[line]
        atoms = supercell.copy()
        atoms.positions[ion] += displacements[point] * direction
        calculator.reset()
        atoms.calc = calculator
        energies[line, point] = atoms.get_potential_energy()
        if not np.isfinite(energies[line, point]):
            raise PhysicsError("the energy of a displaced ion is no number: scan a shorter range")
        task.progress("scan", count + 1, energies.size, energy=energies[line, point] - energies[line, 0])
        if count + 1 < energies.size:
            task.step(lambda reached=count + 1: ({"done": reached}, {"energies": energies}))
    mass = float(atomic_masses[atomic_numbers[task_input.mobile]])
    source = "moment tensor potential" if task_input.potential is not None else f"engine {task_input.engine}"
    wells = [quartic_well(displacements, row, mass) for row in energies]
    records, quantities = [], []
    for (label, direction, *_), well in zip(lines, wells, strict=True):
        records.append({"site": label, "direction": direction} | _plain(well))
        method = f"rigid displacement of the ion, {source}"
        quantities += [q.to_dict() for q in scan_quantities(well, label, direction, method)]
    write_npz(
        task.folder / "barriers.npz",
        {
            "displacements_A": displacements,
            "scan_energies_ev": energies,
            "coefficients": np.array([well.coefficients for well in wells]),
            "covariances": np.array([well.covariance for well in wells]),
        },
    )
    return {
        "method": "scan",
        "mobile": task_input.mobile,
        "supercell_atoms": len(lines[0][2]),
        "scans": records,
        "quantities": quantities,
    }


def _plain(well: QuarticWell) -> dict[str, Any]:
    """Figures of a well that JSON can hold."""
    figures = {key: value for key, value in asdict(well).items() if not isinstance(value, np.ndarray)}
    if not np.isfinite(well.stiffness_uncertainty_ev_A2):
        figures["stiffness_uncertainty_ev_A2"] = None
    return figures | {"coefficients": well.coefficients.tolist()}
