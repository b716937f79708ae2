"""How much faster lithium is in Li6PS5Cl for the vibrations of its framework: CHGNet, a potential of it, dynamics.

With the tasks of the package, each in a folder of its own; finished ones are read, not run again:

1. potential: CHGNet's dynamics and rattled cells of the ordered and of the exchanged crystal (52 atoms), then rounds of
   exploration of the cell of production (104 atoms, S and Cl exchanged as refined), selection and labels by CHGNet;
2. runs of 416 atoms at each temperature: free, the framework frozen in the relaxed crystal and in snapshots of the
   free run, the polyanions frozen in the relaxed crystal, the polyanions rigid;
3. test of the potential: CHGNet's forces in snapshots of the free runs.

`iontherm framework` compares the runs; the commands are printed at the end.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from _timing import print_load, print_machine, print_table
from ase import Atoms

from aiida_iontherm.materials.loaders import load_structure
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.tasks.contract import run_task
from aiida_iontherm.tasks.files import read_structures, write_json, write_structures
from aiida_iontherm.tasks.registry import TASKS

LEVEL, CUTOFF = 14, 5.0  # Angstrom
SAMPLED_K = [300.0, 600.0, 900.0, 1200.0]
VOLUMES = [0.97, 1.0, 1.03]  # of the relaxed cell; the dynamics is at 1
EXPLORED_K = [500.0, 800.0, 1100.0]
EXPLORED_PS = (1.0, 5.0, 20.0)  # one round each
GRADE_BREAK = 1000.0  # young potentials extrapolate everywhere, and learn most where they do
LABELS_PER_ROUND = 60
TIMESTEP_FS = 2.0  # thirty steps per period of the fastest vibration, P-S at 17 THz
EQUILIBRATION_PS = 10.0
SNAPSHOTS = 3  # of the free run, in which the framework is frozen
TEST_FRAMES = 5
INTERVAL_FS = 40.0  # between stored positions of all atoms: a tenth of the period of a libration


def main() -> None:
    """Run what is not there yet and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for all runs; an earlier one is gone on with")
    parser.add_argument("-T", "--temperature", type=float, nargs="+", default=[600.0, 400.0, 300.0])
    parser.add_argument("--ps", type=float, default=100.0, help="of each run; half of it in snapshots and rigid")
    options = parser.parse_args()
    print_machine()
    print_load()
    figures = potential(options.folder)
    print_potential(figures)
    for temperature in options.temperature:
        dynamics(options.folder, temperature, options.ps, figures["species"])
    print_test(options.folder, options.temperature, figures["species"])
    print_commands(options.folder, options.temperature)


def do(folder: Path, name: str, **settings: Any) -> dict[str, Any]:
    """Run a task in a folder, unless it has been, and return its results."""
    folder.mkdir(parents=True, exist_ok=True)
    output, given = folder / "output.json", folder / "input.json"
    if given.exists() and json.loads(given.read_text()) != settings:
        raise SystemExit(f"{folder} holds another run of {name}: remove it or take another folder")
    if not output.exists() or json.loads(output.read_text())["exit_code"]:
        write_json(given, settings)
        if run_task(name, TASKS[name][0], folder):
            raise SystemExit(f"{name} failed in {folder}")
        print(f"{folder.name}: {json.loads(output.read_text())['seconds']:.0f} s", flush=True)
    return json.loads(output.read_text())["results"]


def potential(folder: Path) -> dict[str, Any]:
    """Train with rounds of active learning; return the figures of the last training."""
    crystals = {
        "ordered": load_structure("li6ps5cl-f43m-ordered-proto").atoms,
        "exchanged": load_structure("li6ps5cl-f43m-neutron", order=True, max_atoms=60).atoms,
        "production": load_structure("li6ps5cl-f43m-neutron", order=True, max_atoms=120).atoms,
    }
    labelled = []
    for name, crystal in crystals.items():
        place = folder / f"relax-{name}"
        place.mkdir(parents=True, exist_ok=True)
        if not (place / "structures.extxyz").exists():
            crystal.rattle(0.03, seed=0)  # off the saddle points that symmetry would keep it on
            write_structures(place / "structures.extxyz", [crystal])
        relax = {"force_tolerance": 0.03, "max_steps": 150, "keep_symmetry": False}
        print(do(place, "reference", engine="chgnet", mode="relax", relax=relax))
        labelled += read_structures(place / "labelled.extxyz")
        if name == "production":
            continue
        sample = {
            "temperatures": SAMPLED_K,
            "volume_scalings": VOLUMES,
            "frames_per_run": 12,
            "stride": 10,
            "timestep_fs": TIMESTEP_FS,
            "rattled_frames": 18,
        }
        start = f"../relax-{name}/labelled.extxyz"
        do(folder / f"sample-{name}", "reference", engine="chgnet", mode="sample", structures=start, sample=sample)
        labelled += read_structures(folder / f"sample-{name}" / "labelled.extxyz")
    figures = {}
    for generation, ps in enumerate((*EXPLORED_PS, 0.0)):
        place = folder / f"train-{generation}"
        place.mkdir(exist_ok=True)
        if not (place / "labelled.extxyz").exists():
            write_structures(place / "labelled.extxyz", labelled)
        figures = do(place, "train", level=LEVEL, cutoff=CUTOFF, max_iterations=25)
        print({name: round(figures[name]["force_rmse_ev_per_angstrom"], 4) for name in ("train", "validation")})
        if not ps:
            break
        labelled += explored(folder, generation, ps, figures["species"])
    return figures


def explored(folder: Path, generation: int, ps: float, species: list[str]) -> list[Atoms]:
    """Explore at all temperatures; return what was selected, labelled."""
    trained = {"potential": f"../train-{generation}/potential.mtp", "species": species}
    graded = {**trained, "active_set": f"../train-{generation}/active_set.npz"}
    candidates = {}
    for number, temperature in enumerate(EXPLORED_K):
        run = f"explore-{generation}-{temperature:g}K"
        found = do(
            folder / run,
            "md",
            structure="../relax-production/labelled.extxyz",
            temperature=temperature,
            timestep_fs=TIMESTEP_FS,
            equilibration_ps=0.0,
            production_ps=ps,
            ensemble="nvt",
            displacements=False,
            snapshots=5,
            grade_interval=5,
            grade_break=GRADE_BREAK,
            seed=100 * generation + number,
            **graded,
        )
        print(run, found["production_ps"], found.get("broke_at_ps"), found.get("max_grade"))
        if (folder / run / "candidates.extxyz").exists():
            candidates[run] = f"../{run}/candidates.extxyz"
    if not candidates:
        return []
    place = folder / f"select-{generation}"
    found = do(place, "select", candidates=candidates, max_selected=LABELS_PER_ROUND, **graded)
    print(found)
    if not found["selected"]:
        return []
    start = f"../select-{generation}/selected.extxyz"
    do(folder / f"label-{generation}", "reference", engine="chgnet", mode="label", structures=start)
    return read_structures(folder / f"label-{generation}" / "labelled.extxyz")


def dynamics(folder: Path, temperature: float, ps: float, species: list[str]) -> None:
    """Run the crystal of 416 atoms free and held in four ways."""
    common = {
        "potential": f"../train-{len(EXPLORED_PS)}/potential.mtp",
        "species": species,
        "temperature": temperature,
        "timestep_fs": TIMESTEP_FS,
        "equilibration_ps": EQUILIBRATION_PS,
        "mobile": "Li",
        "displacements": False,
    }
    crystal = {"structure": "../relax-production/labelled.extxyz", "supercell": [2, 2, 1]}
    bath = {"ensemble": "nvt", "thermostat": "bussi"}  # changes the kinetic energy of all together, seldom and little
    every = {"position_interval_fs": INTERVAL_FS, "snapshots": round(ps * 1000 / INTERVAL_FS)}
    free = folder / f"free-{temperature:g}K"
    do(free, "md", **common, **crystal, **bath, **every, production_ps=ps, store_velocities=True, seed=1)
    held = {**common, "snapshots": 0}
    for name, what in (("frozen", "frozen"), ("polyanions-frozen", "frozen-polyanions")):
        place = folder / f"{name}-{temperature:g}K"
        do(place, "md", **held, **crystal, **bath, framework=what, production_ps=ps, seed=2)
    for number, frame in enumerate(spread(free, SNAPSHOTS)):
        place = folder / f"frozen-{temperature:g}K-snapshot{number}"
        place.mkdir(exist_ok=True)
        write_structures(place / "structure.extxyz", [frame])
        do(place, "md", **held, **bath, framework="frozen", production_ps=ps / 2, seed=4 + number)
    # ASE's integrators, which know no such bath
    place = folder / f"rigid-{temperature:g}K"
    do(place, "md", **held, **crystal, framework="rigid-polyanions", production_ps=ps / 2, seed=3)


def spread(run: Path, count: int) -> list[Atoms]:
    """Frames of a run, the last one and others at equal intervals before it."""
    with np.load(run / "trajectory.npz") as arrays:
        numbers, cell, stored = arrays["numbers"], arrays["cell"], arrays["snapshots"]
    chosen = stored[len(stored) // count - 1 :: len(stored) // count][:count]
    return [Atoms(numbers, positions=positions, cell=cell, pbc=True) for positions in chosen]


def print_potential(figures: dict[str, Any]) -> None:
    """Sizes and errors of the last training."""
    rows = [
        [
            part,
            f"{1000 * figures[part]['energy_rmse_ev_per_atom']:.1f}",
            f"{1000 * figures[part]['force_rmse_ev_per_angstrom']:.0f}",
            f"{1000 * figures[part]['force_rms_ev_per_angstrom']:.0f}",
        ]
        for part in ("train", "validation")
    ]
    title = f"potential of level {LEVEL}, {figures['configurations']} configurations: {figures['reason']}"
    print_table(title, ["part", "energy, meV/atom", "force, meV/A", "of, meV/A"], rows)


def print_test(folder: Path, temperatures: list[float], species: list[str]) -> None:
    """Errors on snapshots of the free runs, which no training saw."""
    trained = MomentTensorPotential.read(folder / f"train-{len(EXPLORED_PS)}" / "potential.mtp", species)
    rows = []
    for temperature in temperatures:
        place = folder / f"test-{temperature:g}K"
        place.mkdir(exist_ok=True)
        write_structures(place / "structures.extxyz", spread(folder / f"free-{temperature:g}K", TEST_FRAMES))
        do(place, "reference", engine="chgnet", mode="label")
        errors, forces = [], []
        for frame in read_structures(place / "labelled.extxyz"):
            own = frame.copy()
            own.calc = trained.calculator()
            errors.append(own.get_forces() - frame.get_forces())
            forces.append(frame.get_forces())
        of_lithium = np.array(errors)[:, frame.symbols == "Li"]
        rms = [1000 * float(np.sqrt(np.mean(np.square(part)))) for part in (errors, of_lithium, forces)]
        rows.append([f"{temperature:g}", *(f"{value:.0f}" for value in rms)])
    print_table("snapshots of the free runs, 416 atoms", ["T, K", "force error, meV/A", "of Li", "force, meV/A"], rows)


def print_commands(folder: Path, temperatures: list[float]) -> None:
    """Say what to type: all runs of the relaxed crystal, and the framework frozen in snapshots."""
    runs = [f"{temperature:g}K" for temperature in temperatures]
    free = " ".join(f"free-{run}/trajectory.npz -T {run[:-1]}" for run in runs)
    held = [
        f"--{name} {name}-{run}/trajectory.npz" for name in ("frozen", "polyanions-frozen", "rigid") for run in runs
    ]
    velocities = [f"--velocities free-{run}/velocities.npz" for run in runs]
    print(f"cd {folder}\niontherm framework {free} {' '.join(velocities + held)}")
    snapshots = [f"--frozen frozen-{run}-snapshot{n}/trajectory.npz" for run in runs for n in range(SNAPSHOTS)]
    print(f"iontherm framework {free} {' '.join(snapshots)}")


if __name__ == "__main__":
    main()
