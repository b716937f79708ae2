"""Thermal conductivity of solid Lennard-Jones argon three ways: Green-Kubo, heat exchange (NEMD), phono3py.

All three use the same moment tensor potential: pairs alone (level 2), fitted to the Lennard-Jones potential with
epsilon = 1.67e-21 J and sigma = 3.40 Angstrom, taken smoothly to zero between 7.5 and 8.5 Angstrom (2.5 sigma). All use
the same lattice constant, that of zero pressure in dynamics at 20 K, whatever the temperature. And all are classical:
the conductivity of phono3py is its limit of high temperatures, kappa(T) T for T to infinity, over the temperature of
the others. (Its force constants are those of the lattice at rest, so that linewidths of classical modes by three-phonon
processes are proportional to T.) The lower the temperature, the less is left to processes of four phonons.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _timing import print_load, print_machine, print_table
from ase import Atoms
from ase.build import bulk
from numpy.polynomial import chebyshev
from phono3py import Phono3py
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.dynamics import CompiledDynamics, MdSettings
from aiida_iontherm.physics.heat import LengthExtrapolation, cepstral, extrapolate_length, green_kubo
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.tasks.contract import run_task
from aiida_iontherm.tasks.files import read_npz, write_json, write_npz, write_structures
from aiida_iontherm.tasks.registry import TASKS

Array = npt.NDArray[np.float64]

EPSILON_EV = 1.67e-21 / 1.602176634e-19
SIGMA = 3.40  # Angstrom
CUTOFF, SWITCH_FROM = 8.5, 7.5  # Angstrom
MIN_DISTANCE = 2.9  # Angstrom: 0.9 eV above the minimum, which no pair of cold argon reaches
CHEBYSHEV = 16
LATTICE_CONSTANT = 5.314  # Angstrom, mean of 60 ps at zero pressure and 20 K
TIMESTEP_FS = 10.0  # a fiftieth of the shortest period
SKIN = 0.6  # Angstrom: beyond the amplitudes of cold argon
HOT = 2000.0  # K: 22 times that of the highest frequency, where n + 1/2 is kT/h nu to 2e-4
PARTS = ("green-kubo", "nemd", "phono3py")


def lennard_jones(r: Array) -> Array:
    """Energy of a pair in eV."""
    attraction = (SIGMA / r) ** 6
    s = np.clip((r - SWITCH_FROM) / (CUTOFF - SWITCH_FROM), 0, 1)
    return 4 * EPSILON_EV * (attraction**2 - attraction) * (1 - s**3 * (10 - 15 * s + 6 * s**2))


def pair_potential() -> tuple[MomentTensorPotential, float]:
    """Return the potential, and by how much a pair beyond 3.3 Angstrom is off at most, in eV."""
    blank = MomentTensorPotential.new(
        level=2, species=["Ar"], cutoff=CUTOFF, min_distance=MIN_DISTANCE, radial_size=CHEBYSHEV
    )
    r = np.linspace(MIN_DISTANCE, CUTOFF, 4000)
    basis = chebyshev.chebvander((2 * r - MIN_DISTANCE - CUTOFF) / (CUTOFF - MIN_DISTANCE), CHEBYSHEV - 1)
    basis *= (CUTOFF - r[:, None]) ** 2
    half = 0.5 * lennard_jones(r)  # each of the two atoms has half of it
    weight = 1 / np.where(r > 3.2, 5e-5, np.abs(half) + 5e-5)  # the wall may be off by more
    coefficients = np.linalg.lstsq(basis * weight[:, None], half * weight, rcond=None)[0]
    off = 2 * np.abs(basis @ coefficients - half)[r > 3.3].max()
    radial = coefficients[None, None, None] / blank.scaling
    return blank.replace(radial_coeffs=radial, moment_coeffs=np.ones(1)), float(off)


def argon() -> Atoms:
    return bulk("Ar", "fcc", a=LATTICE_CONSTANT, cubic=True)


def equilibrium_currents(
    potential: MomentTensorPotential, temperature: float, cells: int, ps: float, seed: int, folder: Path
) -> Path:
    """Heat current of a cube at constant energy, every 50 fs; made once in a folder."""
    path = folder / f"current_{temperature:g}K_{cells}_{ps:g}_{seed}.npz"
    if path.exists():
        return path
    crystal = argon() * (cells, cells, cells)
    settings = MdSettings(
        temperature_k=temperature,
        timestep_fs=TIMESTEP_FS,
        equilibration_steps=3000,
        production_steps=round(ps * 1000 / TIMESTEP_FS),
        position_stride=0,
        snapshot_stride=0,
        current_stride=5,
        seed=seed,
    )
    dynamics = CompiledDynamics(crystal, potential, settings, np.empty(0, dtype=np.int64), skin=SKIN)
    while not dynamics.finished:
        dynamics.run_block()
    stored = dynamics.observables()
    arrays = {
        "heat": stored["heat_virial"].sum(axis=1),
        "convective": stored["heat_convective"].sum(axis=1),
        "temperature": np.array(stored["thermo"][settings.equilibration_blocks :, 1].mean()),
        "volume": np.array(crystal.cell.volume),
        "seconds": np.array(dynamics.time_spent["all"]),
    }
    write_npz(path, arrays)
    return path


def by_green_kubo(
    potential: MomentTensorPotential, temperature: float, sizes: dict[int, int], ps: float, folder: Path
) -> list[list[str]]:
    """Conductivity of cubes of some cells, each with some independent runs."""
    rows = []
    for cells, runs in sizes.items():
        made = [equilibrium_currents(potential, temperature, cells, ps, seed, folder) for seed in range(1, runs + 1)]
        files = [read_npz(path) for path in made]
        currents = np.stack([file["heat"] + file["convective"] for file in files])
        where = (5 * TIMESTEP_FS, float(np.mean([file["temperature"] for file in files])), float(files[0]["volume"]))
        spectral = cepstral([currents], *where, axes="xyz")
        integral = green_kubo(currents, *where)
        seconds = sum(float(file["seconds"]) for file in files)
        for name, value, error, problems in (
            ("cepstral", spectral.value, spectral.uncertainty, spectral.problems),
            ("running integral", integral.value, integral.uncertainty, integral.problems),
        ):
            rows.append(
                [
                    f"Green-Kubo, {name}",
                    f"{4 * cells**3} atoms, {runs} x {ps:g} ps",
                    _with_error(value, error),
                    f"{where[1]:.2f}",
                    f"{seconds:.0f}",
                    "; ".join(problems),
                ]
            )
    return rows


def by_heat_exchange(
    potential: MomentTensorPotential, temperature: float, lengths: dict[int, float], across: int, folder: Path
) -> tuple[list[list[str]], LengthExtrapolation]:
    """Run the task nemd at each length (cells of the whole period: ps); finished ones in the folder are read."""
    rows, found = [], []
    for cells, ps in lengths.items():
        place = folder / f"nemd_{temperature:g}K_{cells}_{across}_{ps:g}"
        place.mkdir(exist_ok=True)
        output = place / "output.json"
        if not output.exists() or json.loads(output.read_text(encoding="utf-8"))["exit_code"]:
            write_structures(place / "structure.extxyz", [argon()])
            potential.write(place / "potential.mtp")
            task_input = {
                "species": ["Ar"],
                "supercell": [cells, across, across],
                "temperature": temperature,
                "timestep_fs": TIMESTEP_FS,
                "equilibration_ps": 20.0,
                "production_ps": ps,
                "temperature_difference": temperature / 4,
                "kappa_guess": 12.0 / temperature,
                "profile_interval_fs": 50.0,
                "seed": cells,
            }
            write_json(place / "input.json", task_input)
            run_task("nemd", TASKS["nemd"][0], place)
        record = json.loads(output.read_text(encoding="utf-8"))
        if record["exit_code"]:
            raise SystemExit(record["message"])
        results = record["results"]
        found.append([results[key] for key in ("length_angstrom", "kappa", "kappa_uncertainty")])
        middle = results["middle_flux_ev_per_ps_angstrom2"] / results["flux_ev_per_ps_angstrom2"]
        error = results["middle_flux_uncertainty_ev_per_ps_angstrom2"] / results["flux_ev_per_ps_angstrom2"]
        rows.append(
            [
                f"{results['length_angstrom']:.1f}",
                str(results["atoms"]),
                f"{results['left_out_ps']:.0f} + {results['used_ps']:.0f}",
                f"{results['temperature_difference_k']:.1f}",
                _with_error(results["kappa"], results["kappa_uncertainty"]),
                _with_error(middle, error),
                f"{record['seconds']:.0f}",
                "; ".join(results["problems"]),
            ]
        )
    lengths_A, kappas, errors = np.array(found).T
    return rows, extrapolate_length(lengths_A, kappas, errors)


def by_phono3py(potential: MomentTensorPotential, temperature: float, meshes: tuple[int, ...]) -> list[list[str]]:
    """Three-phonon conductivity in the relaxation-time approximation and by the full solution."""
    start = time.process_time()
    cell = argon()
    crystal = Phono3py(
        PhonopyAtoms(cell.get_chemical_symbols(), cell=cell.cell.array, scaled_positions=cell.get_scaled_positions()),
        supercell_matrix=np.diag([3, 3, 3]),
        phonon_supercell_matrix=np.diag([4, 4, 4]),
        primitive_matrix="F",
        log_level=0,
    )
    crystal.generate_displacements(distance=0.03)
    crystal.generate_fc2_displacements(distance=0.03)
    crystal.forces = _forces(potential, crystal.supercells_with_displacements)
    crystal.phonon_forces = _forces(potential, crystal.phonon_supercells_with_displacements)
    crystal.produce_fc3(is_compact_fc=True)
    crystal.symmetrize_fc3()
    crystal.produce_fc2(is_compact_fc=True)
    crystal.symmetrize_fc2()
    rows = []
    for mesh in meshes:
        crystal.mesh_numbers = [mesh] * 3
        crystal.init_phph_interaction()
        for full in (False, True):
            crystal.run_thermal_conductivity(is_LBTE=full, temperatures=[temperature, HOT], log_level=0)
            kappa = np.asarray(crystal.thermal_conductivity.kappa).reshape(2, 6)[:, 0]
            rows.append(
                [
                    f"phono3py, {'full solution' if full else 'relaxation times'}",
                    f"{mesh} x {mesh} x {mesh}",
                    f"{kappa[1] * HOT / temperature:.3f}",
                    f"{kappa[0]:.3f}",
                    f"{time.process_time() - start:.0f}",
                ]
            )
    return rows


def _forces(potential: MomentTensorPotential, cells: list[PhonopyAtoms]) -> Array:
    calculator = potential.calculator()
    frames = [Atoms(c.symbols, cell=c.cell, positions=c.positions, pbc=True) for c in cells]
    return np.array([calculator.get_forces(frame) for frame in frames])


def _with_error(value: float, error: float) -> str:
    return f"{value:.3f} ± {error:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a minute or two, with large error bars")
    parser.add_argument("--temperature", type=float, default=20.0, help="in K")
    parser.add_argument("--gk-ps", type=float, help="length of each run of Green-Kubo, default 300")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, help="keep the runs there, and go on with those that are")
    arguments = parser.parse_args()
    if arguments.quick:
        sizes, gk_ps = {4: 2}, 200.0
        lengths, across, meshes = {16: 120.0, 20: 120.0, 24: 150.0}, 3, (7,)
    else:
        sizes, gk_ps = {4: 12, 6: 2}, 300.0
        lengths, across, meshes = {24: 200.0, 32: 250.0, 48: 300.0, 64: 300.0}, 4, (7, 9, 11)

    print_machine()
    potential, off = pair_potential()
    temperature = arguments.temperature
    print(f"{temperature:g} K, {LATTICE_CONSTANT:g} Å; beyond 3.3 Å pairs are off by {off * 1e6:.1f} µeV at most")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if "phono3py" in arguments.parts:
            print_table(
                "Three phonons, W/(m K)",
                ["method", "mesh", "classical", "quantum", "CPU s so far"],
                by_phono3py(potential, temperature, meshes),
            )
        if "green-kubo" in arguments.parts:
            print_table(
                "Green-Kubo, W/(m K)",
                ["method", "size", "kappa", "T, K", "s", "problems"],
                by_green_kubo(potential, temperature, sizes, arguments.gk_ps or gk_ps, folder),
            )
        if "nemd" in arguments.parts:
            rows, line = by_heat_exchange(potential, temperature, lengths, across, folder)
            print_table(
                "Heat exchange, W/(m K)",
                ["L, Å", "atoms", "ps, left out + used", "ΔT, K", "kappa", "middle / reservoirs", "s", "problems"],
                rows,
            )
            print(
                f"1/kappa against 1/L: kappa = {_with_error(line.kappa, line.uncertainty)} W/(m K), mean free path "
                f"{line.mean_free_path_A:.0f} ± {line.mean_free_path_uncertainty_A:.0f} Å, chi2 {line.chi2:.1f} of "
                f"{line.degrees_of_freedom}" + "".join(f"; {problem}" for problem in line.problems)
            )
    print_load()


if __name__ == "__main__":
    main()
