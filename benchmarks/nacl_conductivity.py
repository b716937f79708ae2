"""A potential trained on VASP forces of NaCl: its errors, and the thermal conductivity from it and from the forces.

The data belong to A. Togo and A. Seko, J. Chem. Phys. 160, 211001 (2024): 100 supercells of 64 atoms for the third
order and two of 512 for the second, with random displacements of 0.03 Angstrom. Their authors get 8.3 W/(m K) at
300 K. A fifth of the 64-atom cells is kept for the test, and no training sees the large ones.

NaCl is ionic: its dipoles reach further than the potential and than the cells it was trained on. So the conductivity is
computed twice, with the second order from the large cells, as the authors do, and with both orders from the small ones.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import phono3py
from _timing import print_load, print_machine, print_table
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from phono3py import Phono3py
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.training import PAPER_WEIGHTS, Configuration, evaluate_errors, train

Array = npt.NDArray[np.float64]

ARCHIVE = Path("data") / "force_sets" / "NaCl-rd" / "phono3py_params_NaCl.yaml.xz"
PUBLISHED = 8.3  # W/(m K), README of the data
TEMPERATURE = 300.0
DISPLACEMENT = 0.03  # Angstrom, the length in the data
N_TEST = 20
WEIGHTS = {"papers": PAPER_WEIGHTS, "forces": (0.01, 1.0, 0.0)}


def load(archive: Path, *, force_constants: bool) -> Phono3py:
    """Read cells, displacements, forces and NAC parameters, and have symfc fit force constants if wanted."""
    options = {"fc_calculator": "symfc"} if force_constants else {"produce_fc": False}
    return phono3py.load(archive, log_level=0, **options)


def labelled_cells(crystal: Phono3py) -> list[Atoms]:
    """Displaced supercells with their VASP energies and forces; there are no stresses."""
    sets, cell, frames = crystal.dataset, crystal.supercell, []
    for shifts, energy, forces in zip(sets["displacements"], sets["supercell_energies"], sets["forces"], strict=True):
        atoms = Atoms(cell.symbols, cell=cell.cell, positions=cell.positions + shifts, pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=float(energy), forces=forces)
        frames.append(atoms)
    return frames


def split(frames: Sequence[Atoms], seed: int) -> tuple[list[Atoms], list[Atoms]]:
    """Draw the test cells."""
    order = np.random.default_rng(seed).permutation(len(frames))
    return [frames[i] for i in order[N_TEST:]], [frames[i] for i in order[:N_TEST]]


def forces_of(potential: MomentTensorPotential, cells: Sequence[PhonopyAtoms | None]) -> Array:
    """Evaluate forces [cells, N, 3]; a cell that phono3py leaves out for the distance of its pair has zeros."""
    calculator = potential.calculator()
    n_atoms = next(len(cell) for cell in cells if cell is not None)
    forces = np.zeros((len(cells), n_atoms, 3))
    for row, cell in zip(forces, cells, strict=True):
        if cell is not None:
            atoms = Atoms(cell.symbols, cell=cell.cell, positions=cell.positions, pbc=True)
            row[:] = calculator.get_forces(atoms)
    return forces


def same_displacements(archive: Path, potential: MomentTensorPotential) -> Phono3py:
    """Put the potential's forces in the place of VASP's and fit as before: what differs is the potential alone."""
    crystal = load(archive, force_constants=False)
    crystal.forces = forces_of(potential, crystal.supercells_with_displacements)
    crystal.phonon_forces = forces_of(potential, crystal.phonon_supercells_with_displacements)
    crystal.produce_fc3(fc_calculator="symfc")
    crystal.produce_fc2(fc_calculator="symfc")
    return crystal


def small_cells(archive: Path, potential: MomentTensorPotential | None) -> Phono3py:
    """Fit both orders to the 64-atom cells alone, with the forces of VASP or of a potential."""
    data = load(archive, force_constants=False)
    crystal = Phono3py(
        data.unitcell,
        supercell_matrix=data.supercell_matrix,
        primitive_matrix=data.primitive_matrix,
        log_level=0,
    )
    crystal.nac_params = data.nac_params
    forces = data.forces if potential is None else forces_of(potential, data.supercells_with_displacements)
    crystal.dataset = {"displacements": data.displacements, "forces": forces}
    crystal.produce_fc3(fc_calculator="symfc")
    crystal.produce_fc2(fc_calculator="symfc")
    return crystal


def finite_displacements(archive: Path, potential: MomentTensorPotential) -> Phono3py:
    """Displace one and two atoms at a time, as a study would that has the potential only."""
    crystal = load(archive, force_constants=False)
    crystal.generate_displacements(distance=DISPLACEMENT)
    crystal.generate_fc2_displacements(distance=DISPLACEMENT)
    crystal.forces = forces_of(potential, crystal.supercells_with_displacements)
    crystal.phonon_forces = forces_of(potential, crystal.phonon_supercells_with_displacements)
    crystal.produce_fc3()
    crystal.produce_fc2()
    return crystal


def conductivity(crystal: Phono3py, mesh: float) -> tuple[float, str]:
    """Solve the transport equation in the relaxation-time approximation: kappa_xx in W/(m K), and the grid."""
    crystal.mesh_numbers = mesh
    crystal.init_phph_interaction()
    crystal.run_thermal_conductivity(temperatures=[TEMPERATURE], is_isotope=False, log_level=0)
    grid = " x ".join(str(n) for n in crystal.mesh_numbers)
    return float(np.ravel(crystal.thermal_conductivity.kappa)[0]), grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, help="phono3py_params_NaCl.yaml.xz (default: in $IONTHERM_SHARED)")
    parser.add_argument("--level", type=int, default=16)
    parser.add_argument("--cutoff", type=float, default=6.0, help="in Angstrom")
    parser.add_argument("--mesh", type=float, default=50.0, help="phono3py's measure of the grid")
    parser.add_argument("--weights", nargs="+", choices=WEIGHTS, default=list(WEIGHTS))
    parser.add_argument("--seed", type=int, default=0, help="of the split and the training")
    arguments = parser.parse_args()
    archive = arguments.archive or _default_archive()

    print_machine()
    train_part, test_part = split(labelled_cells(load(archive, force_constants=False)), arguments.seed)
    test = [Configuration.from_atoms(atoms) for atoms in test_part]
    errors_table, kappa_table = [], []

    reference, grid = conductivity(load(archive, force_constants=True), arguments.mesh)
    small, _ = conductivity(small_cells(archive, None), arguments.mesh)
    kappa_table.append(["VASP", "random, symfc", "512", f"{reference:.2f}", ""])
    kappa_table.append(["VASP", "random, symfc", "64", f"{small:.2f}", ""])
    print(f"kappa from VASP: {reference:.2f}, from the small cells alone {small:.2f}", flush=True)
    for name in arguments.weights:
        start = time.process_time()
        training = train(
            train_part,
            level=arguments.level,
            cutoff=arguments.cutoff,
            weights=WEIGHTS[name],
            seed=arguments.seed,
            threads=1,
        )
        seconds = time.process_time() - start
        errors = evaluate_errors(training.potential, test, threads=1)
        rms = float(np.sqrt(np.mean(errors.forces[:, 0] ** 2)))
        spread = float(np.std(errors.energies[:, 0]))
        errors_table.append(
            [
                f"{name} {WEIGHTS[name][0]:g}, {WEIGHTS[name][1]:g}",
                f"{errors.force_rmse:.2e}",
                f"{errors.force_rmse / rms:.2%}",
                f"{errors.energy_rmse * 1e3:.1e}",
                f"{errors.energy_rmse / spread:.1%}",
                f"{seconds:.0f}",
                training.reason,
            ]
        )
        print(" ".join(errors_table[-1]), flush=True)
        for text, size, make, true in (
            ("random, symfc", "64", small_cells, small),
            ("random, symfc", "512", same_displacements, reference),
            ("single and pairs", "512", finite_displacements, reference),
        ):
            value, _ = conductivity(make(archive, training.potential), arguments.mesh)
            kappa_table.append([f"potential, {name}", text, size, f"{value:.2f}", f"{value / true - 1:+.1%}"])
            print(" ".join(kappa_table[-1]), flush=True)

    print_table(
        f"NaCl, level {arguments.level}, {arguments.cutoff:g} Å: errors on {N_TEST} cells, trained on "
        f"{len(train_part)}; energies in meV/atom, forces in eV/Å",
        ["weights of energies, forces", "forces", "of rms force", "energies", "of spread", "CPU s", "end"],
        errors_table,
    )
    print_table(
        f"Lattice thermal conductivity at {TEMPERATURE:g} K in W/(m K), {grid} grid; published: {PUBLISHED:g}",
        ["forces of", "displacements, fit", "second order from", "kappa", "against VASP"],
        kappa_table,
    )
    print_load()


def _default_archive() -> Path:
    root = Path(os.environ.get("IONTHERM_SHARED", Path(__file__).parents[2] / "shared"))
    if not (root / ARCHIVE).is_file():
        raise SystemExit(f"{ARCHIVE} not found: give it by --archive, or set IONTHERM_SHARED to the folder it is in")
    return root / ARCHIVE


if __name__ == "__main__":
    main()
