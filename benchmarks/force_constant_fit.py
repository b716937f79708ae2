"""Fit of force constants: ours, hiphive with its own sum rules, and symfc, on the same displacements and forces.

The forces are those of random force constants within the cutoffs, noise-free: every code that can represent them must
give them back. The last columns hold the largest difference from what was planted, against the largest element. How
realistic the numbers are does not matter for the time. Each code runs in a process of its own, so that its peak memory
is known, and is stopped after the time allowed.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _timing import print_load, print_machine, print_table, verdict
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from aiida_iontherm.physics.lattice.cells import build_supercell, make_phonopy, to_atoms
from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.force_constants import fit_in_basis

SYMPREC = 1e-4
GOAL_MINUTES, GOAL_GIGABYTES = 30.0, 4.0


@dataclass(frozen=True)
class Case:
    """A crystal, its supercell, cutoffs in Angstrom, snapshots, and the codes that try."""

    crystal: str
    repeat: int
    cutoffs: tuple[float, ...]
    snapshots: int
    codes: tuple[str, ...]

    def name(self) -> str:
        """As in the table."""
        cutoffs = "/".join(f"{cutoff:g}" for cutoff in self.cutoffs)
        return f"{self.crystal} {self.repeat}x{self.repeat}x{self.repeat}, {cutoffs} A, {self.snapshots} snapshots"


SIZES = {
    "small": (
        Case("NaCl", 4, (7.0, 4.5), 20, ("ours", "hiphive", "symfc")),
        Case("NaCl", 4, (7.0, 4.5, 3.0), 20, ("ours", "hiphive")),
        Case("CsCu2I3", 2, (5.5, 4.5), 40, ("ours", "hiphive", "symfc")),
    ),
    "middle": (
        Case("CsCu2I3", 3, (8.0, 6.0), 50, ("ours", "symfc", "hiphive")),
        Case("CsCu2I3", 2, (5.5, 4.5, 4.0), 60, ("ours", "hiphive")),
    ),
    "large": (Case("CsCu2I3", 3, (8.0, 6.0, 5.2), 200, ("ours", "hiphive")),),
}


def cells(case: Case) -> tuple[Atoms, Atoms]:
    """Primitive cell and its supercell."""
    if case.crystal == "NaCl":
        unitcell = bulk("NaCl", "rocksalt", a=5.6)
    else:  # measured at 100 K: Li et al., 10.1002/adma.202513381
        sites = [(0.5, 0.62208, 0.25), (0.2173, 0.62105, 0.75), (0.5, 0.82961, 0.75), (0.3532, 0.5, 0.0)]
        lengths = [10.479, 13.039, 6.0625, 90, 90, 90]
        unitcell = crystal(["I", "I", "Cs", "Cu"], sites, spacegroup=63, cellpar=lengths)
    primitive = to_atoms(make_phonopy(unitcell, (1, 1, 1)).primitive)
    return primitive, build_supercell(primitive, (case.repeat,) * 3)


def write_data(case: Case, folder: Path) -> None:
    """Random displacements and the forces of random force constants, which fall off with the order."""
    primitive, supercell = cells(case)
    rng = np.random.default_rng(0)
    basis = ForceConstantBasis(primitive, supercell, case.cutoffs, SYMPREC)
    displacements = 0.1 * rng.normal(size=(case.snapshots, len(supercell), 3))
    parameters = rng.normal(size=basis.n_parameters)
    np.savez(folder / "data.npz", displacements=displacements, forces=basis.forces(parameters, displacements))
    planted = dict(zip(("fc2", "fc3"), basis.arrays(parameters), strict=True))
    fourth = basis.fourth_order(parameters)
    if fourth is not None:
        planted |= {"clusters": fourth.clusters, "fc4": fourth.tensors}
    np.savez(folder / "planted.npz", **planted)


def ours(case: Case, displacements: np.ndarray, forces: np.ndarray, clusters: np.ndarray | None) -> dict[str, object]:
    """Basis, normal equations of four blocks, cross-validation of the ridge, five fits."""
    primitive, supercell = cells(case)
    start = time.perf_counter()
    basis = ForceConstantBasis(primitive, supercell, case.cutoffs, SYMPREC)
    space = time.perf_counter() - start
    fit = fit_in_basis(basis, displacements, forces, expansion="taylor")
    found = {"space": space, "parameters": fit.basis.n_parameters, "fc2": fit.fc2, "fc3": fit.fc3}
    return found if fit.fc4 is None else found | {"fc4": fit.fc4.tensors}


def hiphive(
    case: Case, displacements: np.ndarray, forces: np.ndarray, clusters: np.ndarray | None
) -> dict[str, object]:
    """Cluster space with sum rules, design matrix, one least-squares fit to all of it."""
    from hiphive import ClusterSpace, ForceConstantPotential, StructureContainer
    from trainstation import Optimizer

    logging.getLogger("hiphive").setLevel(logging.WARNING)
    primitive, supercell = cells(case)
    start = time.perf_counter()
    space = ClusterSpace(primitive, list(case.cutoffs), symprec=SYMPREC)
    seconds = time.perf_counter() - start
    container = StructureContainer(space)
    for moved, pulled in zip(displacements, forces, strict=True):
        structure = supercell.copy()
        structure.new_array("displacements", moved)
        structure.new_array("forces", pulled)
        container.add_structure(structure)
    optimizer = Optimizer(container.get_fit_data(), fit_method="least-squares", train_size=1.0)
    optimizer.train()
    found = ForceConstantPotential(space, optimizer.parameters).get_force_constants(supercell)
    home = home_atoms(case)
    return {
        "space": seconds,
        "parameters": space.n_dofs,
        "fc2": found.get_fc_array(2)[home],
        "fc3": found.get_fc_array(3)[home] if len(supercell) < 150 else None,  # its full array: 9 GB for 324 atoms
        "fc4": None if clusters is None else np.array([found[tuple(members)] for members in clusters.tolist()]),
    }


def symfc(case: Case, displacements: np.ndarray, forces: np.ndarray, clusters: np.ndarray | None) -> dict[str, object]:
    """Basis sets of orders two and three, cut off in third order alone, and its solver."""
    from symfc import Symfc
    from symfc.utils.utils import SymfcAtoms

    _, supercell = cells(case)
    cell = SymfcAtoms(
        numbers=supercell.numbers, cell=supercell.cell.array, scaled_positions=supercell.get_scaled_positions()
    )
    start = time.perf_counter()
    solver = Symfc(cell, cutoff={3: case.cutoffs[1]})
    solver.displacements, solver.forces = displacements, forces
    solver.compute_basis_set(max_order=3)
    seconds = time.perf_counter() - start
    solver.solve(max_order=3, is_compact_fc=True)
    sizes = [basis.basis_set.shape[1] for basis in solver.basis_set.values()]
    found = {"space": seconds, "parameters": int(sum(sizes))}
    if np.array_equal(solver.p2s_map, home_atoms(case)):
        found |= {"fc2": solver.force_constants[2], "fc3": solver.force_constants[3]}
    return found


CODES: dict[str, Callable[[Case, np.ndarray, np.ndarray, np.ndarray | None], dict[str, object]]] = {
    "ours": ours,
    "hiphive": hiphive,
    "symfc": symfc,
}


def home_atoms(case: Case) -> np.ndarray:
    """Supercell indices of the primitive cell's atoms."""
    return np.asarray(make_phonopy(cells(case)[0], (case.repeat,) * 3).primitive.p2s_map)


def work(case: Case, code: str, folder: Path) -> None:
    """Run one code in this process and write what it found and used."""
    data = np.load(folder / "data.npz")
    with np.load(folder / "planted.npz") as planted:
        clusters = planted["clusters"] if "clusters" in planted.files else None
    displacements, forces = data["displacements"], data["forces"]
    start, cpu = time.perf_counter(), time.process_time()
    found = CODES[code](case, displacements, forces, clusters)
    figures = {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "gigabytes": peak_gigabytes(),
        "space": found["space"],
        "parameters": found["parameters"],
    }
    np.savez(folder / f"{code}.npz", **{key: found[key] for key in ("fc2", "fc3", "fc4") if found.get(key) is not None})
    (folder / f"{code}.json").write_text(json.dumps(figures))


def peak_gigabytes() -> float:
    """Peak memory of this process; what the system counts for it otherwise may hold that of its parent."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def row(case: Case, code: str, folder: Path, size: str, number: int, limit: float) -> list[str]:
    """One line of the table."""
    command = [sys.executable, __file__, "--worker", size, str(number), code, str(folder)]
    try:
        subprocess.run(command, check=True, timeout=limit, stdout=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return [case.name(), code, f"not finished in {limit:g}", *[""] * 7]
    except subprocess.CalledProcessError as error:
        return [case.name(), code, f"failed ({error.returncode})", *[""] * 7]
    figures = json.loads((folder / f"{code}.json").read_text())
    return [
        case.name(),
        code,
        *(f"{figures[key]:.1f}" for key in ("seconds", "cpu", "space")),
        f"{figures['gigabytes']:.2f}",
        str(figures["parameters"]),
        *(difference(folder, code, key) for key in ("fc2", "fc3", "fc4")),
    ]


def difference(folder: Path, code: str, key: str) -> str:
    """Largest difference from what was planted, against the largest element."""
    planted, found = np.load(folder / "planted.npz"), np.load(folder / f"{code}.npz")
    if key not in planted.files or key not in found.files:
        return ""
    truth = planted[key]
    return f"{np.abs(found[key] - truth).max() / np.abs(truth).max():.0e}"


def main() -> None:
    """Print the table of one size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--codes", nargs="+", choices=CODES, help="Default: all that can do the case.")
    parser.add_argument("--limit", type=float, default=600.0, help="Seconds after which a code is stopped.")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        size, number, code, folder = options.worker
        work(SIZES[size][int(number)], code, Path(folder))
        return
    print_machine()
    rows = []
    for number, case in enumerate(SIZES[options.size]):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_data(case, folder)
            for code in case.codes:
                if options.codes is None or code in options.codes:
                    rows.append(row(case, code, folder, options.size, number, options.limit))
                    print(" | ".join(rows[-1]), flush=True)
    header = ["case", "code", "s", "CPU s", "of it basis s", "GB", "parameters", "fc2", "fc3", "fc4"]
    print_table("Fit of force constants", header, rows)
    if options.size == "large" and rows[0][1] == "ours" and rows[0][3]:
        print("minutes: " + verdict(float(rows[0][2]) / 60, GOAL_MINUTES, at_least=False))
        print("GB: " + verdict(float(rows[0][5]), GOAL_GIGABYTES, at_least=False))
    print_load()


if __name__ == "__main__":
    main()
