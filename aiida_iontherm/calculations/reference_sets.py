"""The calcfunctions around single points and short MD runs: cells to compute, and the frames that came back.

They serve every engine that is a program of its own, one structure a job. How the outputs of a program become labelled
frames is told by its engine (``frames``, found by its entry point); here it is checked that they belong to the cells
that were sent, and put into one set in the order in which they were asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict, Node, StructureData
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import find_mic

from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.materials.distortion import start_cells

RUN = "run_"
FRAME = "frame_"
RATTLED = "rattled_"
"""What the names of jobs begin with: MD runs, given configurations, rattled cells."""

SAME_PLACE = 1e-3
"""Angstrom. Codes print positions with eight decimals or more; another structure differs by far more."""


def by_species(atoms: Atoms) -> np.ndarray:
    """Return the order of sites that puts like atoms together, first met first: one block for each potential."""
    symbols = atoms.get_chemical_symbols()
    first = {symbol: place for place, symbol in reversed(list(enumerate(symbols)))}
    return np.argsort([first[symbol] for symbol in symbols], kind="stable")


def labelled(atoms: Atoms, energy: float, forces: np.ndarray, stress: np.ndarray | None) -> Atoms:
    """Return a copy with energy (eV), forces [n, 3] (eV/Angstrom) and stress [6] (eV/Angstrom^3, ASE's sign, Voigt)."""
    copy = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    results = {"energy": float(energy), "forces": np.array(forces)}
    if stress is not None:
        results["stress"] = np.array(stress)
    copy.calc = SinglePointCalculator(copy, **results)
    return copy


def reordered(frame: Atoms, order: Sequence[int] | np.ndarray) -> Atoms:
    """Return a labelled frame with its sites in another order."""
    results = frame.calc.results
    return labelled(frame[order], results["energy"], results["forces"][order], results.get("stress"))


def on_cell(frame: Atoms, cell: Atoms) -> Atoms:
    """Return a labelled frame with the very positions of the cell it was computed for.

    Codes print fewer digits, and wrap atoms into the cell.

    Raises
    ------
    ValueError
        If it was computed for another structure.
    """
    if frame.get_chemical_symbols() != cell.get_chemical_symbols():
        raise ValueError(
            f"these results are of {frame.get_chemical_formula()} and were asked for {cell.get_chemical_formula()}: "
            "they belong to another structure; clear the folder of the job and run it again"
        )
    if not np.allclose(frame.cell.array, cell.cell.array, atol=SAME_PLACE):
        raise ValueError("these results are of another cell than was sent: they belong to another structure")
    apart = float(find_mic(frame.positions - cell.positions, cell.cell)[1].max())
    if apart > SAME_PLACE:
        raise ValueError(
            f"an atom of these results lies {apart:.2g} Angstrom from where it was sent: they belong to another "
            "structure; clear the folder of the job and run it again"
        )
    results = frame.calc.results
    return labelled(cell, results["energy"], results["forces"], results.get("stress"))


@calcfunction
def single_cells(configurations: ConfigurationsData) -> dict[str, StructureData]:
    """Make one structure of each configuration, like atoms together."""
    return {
        f"{FRAME}{index:04d}": StructureData(ase=atoms[by_species(atoms)])
        for index, atoms in enumerate(configurations.frames())
    }


@calcfunction
def sorted_cell(structure: StructureData) -> StructureData:
    """Put like atoms together."""
    atoms = structure.get_ase()
    return StructureData(ase=atoms[by_species(atoms)])


@calcfunction
def cells_to_sample(structure: StructureData, settings: Dict) -> dict[str, StructureData]:
    """Make the first cells of short MD runs, and rattled ones; `settings` as the task ``reference`` takes them."""
    runs, rattled = start_cells(
        structure.get_ase(),
        tuple(settings["supercell"]),
        runs=len(settings["temperatures"]),
        **{key: settings[key] for key in ("rattled_frames", "volume_scalings", "strain", "rattle", "seed")},
    )
    cells = {f"{RUN}{index:02d}": atoms for index, atoms in enumerate(runs)}
    cells |= {f"{RATTLED}{index:04d}": atoms for index, atoms in enumerate(rattled)}
    return {name: StructureData(ase=atoms[by_species(atoms)]) for name, atoms in cells.items()}


@calcfunction
def parts_of(configurations: ConfigurationsData, settings: Dict) -> dict[str, ConfigurationsData]:
    """Split a set into parts of `size` configurations."""
    frames, size = configurations.frames(), settings["size"]
    return {
        f"part_{start // size:03d}": ConfigurationsData.from_frames(frames[start : start + size])
        for start in range(0, len(frames), size)
    }


@calcfunction
def total_figures(**parts: Dict) -> Dict:
    """Add up the figures of the parts of a set; what a part has `missing` is counted in the whole set."""
    figures = [parts[name].get_dict() for name in sorted(parts)]
    missing: list[int] = []
    first = 0
    for part in figures:
        left_out = part.get("missing") or []
        missing += [first + index for index in left_out]
        first += part["frames"] + len(left_out)
    total = {
        "frames": sum(part["frames"] for part in figures),
        "missing": missing,
        "converged": all(part["converged"] for part in figures),
        "wall_seconds": sum(part["wall_seconds"] for part in figures),
    }
    reasons = [part["missing_because"] for part in figures if "missing_because" in part]
    return Dict(total | ({"missing_because": reasons[0]} if reasons else {}))


@calcfunction
def gather_frames(settings: Dict, configurations: ConfigurationsData | None = None, **outputs: Node) -> dict[str, Any]:
    """Join what jobs of one structure each have computed.

    `settings` name the ``engine``; of MD runs every ``stride``-th step is kept, ``frames_per_run`` of them. `outputs`
    are named ``<output>_of_<job>_p<part>``, and ``cell_of_...`` is what the job was sent. With `configurations`, the
    result has their order, sites included.
    """
    read = _reader(settings["engine"])
    wanted = None if configurations is None else configurations.frames()
    kept: list[Atoms] = []
    left = dict.fromkeys((name[: len(RUN) + 2] for name in _jobs(outputs)), settings.get("frames_per_run", 0))
    found = set()
    # MD runs first, as the embedded engine has them.
    for name, nodes in sorted(_jobs(outputs).items(), key=lambda job: (not job[0].startswith(RUN), job[0])):
        cell = nodes.pop("cell").get_ase()
        frames = read(nodes)
        if not frames:
            continue
        if name.startswith(RUN):
            on_cell(frames[0], cell)
            run = name[: len(RUN) + 2]
            steps = frames[settings["stride"] :: settings["stride"]][: left[run]]
            left[run] -= len(steps)
            kept += steps
            continue
        frame = on_cell(frames[-1], cell)
        if wanted is not None:
            index = int(name.removeprefix(FRAME).split("_")[0])
            found.add(index)
            original = wanted[index]
            frame = on_cell(reordered(frame, np.argsort(by_species(original))), original)
        kept.append(frame)
    if not kept:
        raise ValueError("no job has left a frame with converged energy and forces")
    missing = [] if wanted is None else sorted(set(range(len(wanted))) - found)
    figures = {"engine": settings["engine"], "frames": len(kept), "missing": missing, "converged": not missing}
    return {
        "configurations": ConfigurationsData.from_frames(kept, filename="labelled.extxyz"),
        "output_parameters": Dict(figures),
    }


@calcfunction
def gather_relaxed(settings: Dict, structure: StructureData, **outputs: Node) -> dict[str, Any]:
    """Make the relaxed cell, with the sites in the order of `structure`, from the last frame of a relaxation."""
    original = structure.get_ase()
    frame = _reader(settings["engine"])(outputs)[-1]
    if sorted(frame.get_chemical_symbols()) != sorted(original.get_chemical_symbols()):
        raise ValueError(
            f"the relaxed cell is {frame.get_chemical_formula()}, {original.get_chemical_formula()} was sent: it "
            "belongs to another structure"
        )
    frame = reordered(frame, np.argsort(by_species(original)))
    # Atoms that a code has wrapped into the cell go back to the images they had.
    shift = np.round(original.get_scaled_positions(wrap=False) - frame.get_scaled_positions(wrap=False))
    frame.positions += shift @ frame.cell.array
    forces = frame.calc.results["forces"]
    return {
        "structure": StructureData(ase=frame),
        "configurations": ConfigurationsData.from_frames(
            [labelled(frame, frame.calc.results["energy"], forces, frame.calc.results.get("stress"))]
        ),
        "output_parameters": Dict(
            {
                "engine": settings["engine"],
                "converged": True,
                "energy_ev": float(frame.calc.results["energy"]),
                "max_force_ev_per_angstrom": float(np.abs(forces).max()),
                "volume_change": float(frame.cell.volume / original.cell.volume - 1.0),
                "frames": 1,
            }
        ),
    }


def _jobs(outputs: dict[str, Node]) -> dict[str, dict[str, Node]]:
    """Sort outputs by the job they are of."""
    jobs: dict[str, dict[str, Node]] = {}
    for key, node in outputs.items():
        output, job = key.split("_of_", 1)
        jobs.setdefault(job, {})[output] = node
    return jobs


def _reader(engine: str) -> Any:
    points = {point.name: point for point in entry_points(group="iontherm.engines")}
    return points[engine].load().frames
