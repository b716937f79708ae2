"""Thermal conductivity of solid Lennard-Jones argon three ways: Green-Kubo, heat exchange (NEMD), phono3py.

All three use the same moment tensor potential: pairs alone (level 2), fitted to the Lennard-Jones potential with
epsilon = 1.67e-21 J and sigma = 3.40 Angstrom, taken smoothly to zero between 7.5 and 8.5 Angstrom (2.5 sigma). All use
the same lattice constant, that of zero pressure in dynamics at 20 K, whatever the temperature. And all are classical:
the conductivity of phono3py is its limit of high temperatures, kappa(T) T for T to infinity, over the temperature of
the others. (Its force constants are those of the lattice at rest, so that linewidths of classical modes by three-phonon
processes are proportional to T.) Its full solution is the one to compare with dynamics, which knows no relaxation
times.

The lower the temperature, the less is left to processes of four phonons. With ``--limit`` several temperatures are
joined: what three phonons leave of the conductivity goes as 1/T and the next order as T beside it,

    1/(kappa T) = a + b T,

so that 1/a of dynamics stands against kappa T of phono3py. With ``effective`` among the parts, phono3py is also given
force constants that the project fits to dynamics at the temperature, and beside them, made in the same way, those of
the lattice at rest.
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
from aiida_iontherm.physics.lattice.cells import make_phonopy, to_atoms
from aiida_iontherm.physics.lattice.conversion import phono3py_from_force_constants
from aiida_iontherm.physics.lattice.force_constants import fit_force_constants, reference_displacements
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.statistics import weighted_line
from aiida_iontherm.tasks.contract import run_task
from aiida_iontherm.tasks.files import read_npz, write_json, write_npz, write_structures
from aiida_iontherm.tasks.registry import TASKS

Array = npt.NDArray[np.float64]
Point = tuple[float, float, float]
"""Temperature in K, kappa and its standard error in W/(m K)."""

EPSILON_EV = 1.67e-21 / 1.602176634e-19
SIGMA = 3.40  # Angstrom
CUTOFF, SWITCH_FROM = 8.5, 7.5  # Angstrom
MIN_DISTANCE = 2.9  # Angstrom: 0.9 eV above the minimum, which no pair of cold argon reaches
CHEBYSHEV = 16
LATTICE_CONSTANT = 5.314  # Angstrom, mean of 60 ps at zero pressure and 20 K
TIMESTEP_FS = 20.0  # a 27th of the shortest period
CURRENT_STRIDE = 5  # steps; the current of modes of 1.85 THz has nothing beyond 3.7 THz
EQUILIBRATION_PS = 60.0
SKIN = 0.6  # Angstrom: beyond the amplitudes of cold argon
HOT = 2000.0  # K: 22 times that of the highest frequency, where n + 1/2 is kT/h nu to 2e-4
LENGTHS = [(24, 200.0), (32, 250.0), (48, 300.0), (64, 300.0)]  # cells of the whole period, and ps
QUICK_LENGTHS = [(16, 120.0), (20, 120.0), (24, 150.0)]
AT_REST = 0.05  # K: here anharmonic forces of third order are a thousandth of the harmonic ones, of fourth 1e-6
PARTS = ("green-kubo", "nemd", "phono3py", "effective")


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
    """Heat current of a cube at constant energy, every 100 fs; made once in a folder."""
    path = folder / f"current_{temperature:g}K_{cells}_{ps:g}_{seed}.npz"
    if path.exists():
        return path
    crystal = argon() * (cells, cells, cells)
    settings = MdSettings(
        temperature_k=temperature,
        timestep_fs=TIMESTEP_FS,
        equilibration_steps=round(EQUILIBRATION_PS * 1000 / TIMESTEP_FS),
        production_steps=round(ps * 1000 / TIMESTEP_FS),
        position_stride=0,
        snapshot_stride=0,
        current_stride=CURRENT_STRIDE,
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
) -> tuple[list[list[str]], list[Point]]:
    """Conductivity of cubes of some cells, each with some independent runs; points are the cepstral ones."""
    rows, points = [], []
    for cells, runs in sizes.items():
        made = [equilibrium_currents(potential, temperature, cells, ps, seed, folder) for seed in range(1, runs + 1)]
        files = [read_npz(path) for path in made]
        currents = np.stack([file["heat"] + file["convective"] for file in files])
        kelvin = float(np.mean([file["temperature"] for file in files]))
        where = (CURRENT_STRIDE * TIMESTEP_FS, kelvin, float(files[0]["volume"]))
        spectral = cepstral([currents], *where, axes="xyz")
        integral = green_kubo(currents, *where)
        points.append((kelvin, spectral.value, spectral.uncertainty))
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
                    f"{kelvin:.2f}",
                    f"{seconds:.0f}",
                    "; ".join(problems),
                ]
            )
    return rows, points


def by_heat_exchange(
    potential: MomentTensorPotential, temperature: float, lengths: dict[int, float], across: int, folder: Path
) -> tuple[list[list[str]], LengthExtrapolation]:
    """Run the task nemd at each length (cells of the whole period: ps); finished ones in the folder are read."""
    rows, found = [], []
    for cells, ps in lengths.items():
        length = cells * LATTICE_CONSTANT / 2
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
                # the power that makes this difference or less: steps of temperature at the reservoirs are as those
                # of 5200 Å K / T more of the crystal
                "temperature_difference": 0.45 * temperature,
                "kappa_guess": 24 / temperature * length / (length + 5200 / temperature),
                "profile_interval_fs": 60.0,
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


def at_rest(potential: MomentTensorPotential) -> Phono3py:
    """Force constants of the lattice at rest, from displacements."""
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
    return crystal


def fitted(potential: MomentTensorPotential, temperature: float) -> Phono3py:
    """Effective force constants of the second and third order, from 160 snapshots of 108 atoms 2 ps apart."""
    phonopy = make_phonopy(argon(), (3, 3, 3))
    supercell = to_atoms(phonopy.supercell)
    settings = MdSettings(
        temperature_k=temperature,
        timestep_fs=TIMESTEP_FS,
        equilibration_steps=round(EQUILIBRATION_PS * 1000 / TIMESTEP_FS),
        production_steps=16000,
        position_stride=0,
        snapshot_stride=100,
        seed=7,
    )
    dynamics = CompiledDynamics(supercell, potential, settings, np.empty(0, dtype=np.int64), skin=SKIN)
    while not dynamics.finished:
        dynamics.run_block()
    stored = dynamics.observables()
    fit = fit_force_constants(
        to_atoms(phonopy.primitive),
        supercell,
        reference_displacements(stored["snapshots"], supercell.positions, supercell.cell.array),
        stored["snapshot_forces"],
        (7.9, 6.7),  # four shells of neighbours, and three
        fit_method="least-squares",
    )
    return phono3py_from_force_constants(argon(), np.diag([3, 3, 3]), fit.fc2, fit.fc3)


def three_phonons(crystal: Phono3py, mesh: int) -> Array:
    """Classical kappa T in W/m by relaxation times and by the full solution [2]."""
    crystal.mesh_numbers = [mesh] * 3
    crystal.init_phph_interaction()
    crystal.run_thermal_conductivity(is_LBTE=True, temperatures=[HOT], log_level=0)
    solved = crystal.thermal_conductivity
    return HOT * np.array([np.ravel(kappa)[0] for kappa in (solved.kappa_RTA, solved.kappa)])


def by_phono3py(
    crystal: Phono3py, name: str, temperature: float, meshes: list[int]
) -> tuple[list[list[str]], tuple[float, float]]:
    """Conductivity on some meshes, and the full solution's kappa T without end of the last three and its error.

    It falls with the mesh n nearly as 1/n^2 (tetrahedra) there; the error is what the line leaves to the finest mesh.
    """
    rows, products = [], []
    start = time.process_time()
    for mesh in meshes:
        products.append(three_phonons(crystal, mesh))
        rows += [
            [
                f"{name}, {method}",
                f"{mesh} x {mesh} x {mesh}",
                f"{products[-1][i]:.2f}",
                f"{products[-1][i] / temperature:.3f}",
                f"{time.process_time() - start:.0f}",
            ]
            for i, method in enumerate(("relaxation times", "full solution"))
        ]
    if len(meshes) < 2:
        return rows, (float(products[-1][1]), float("nan"))
    finest = products[-1]
    limit = np.polynomial.polynomial.polyfit(1 / np.array(meshes[-3:], float) ** 2, np.array(products[-3:]), 1)[0]
    rows += [
        [f"{name}, {method}", "to 1/n^2 = 0", f"{limit[i]:.2f}", f"{limit[i] / temperature:.3f}", ""]
        for i, method in enumerate(("relaxation times", "full solution"))
    ]
    return rows, (float(limit[1]), float(abs(finest[1] - limit[1])))


def print_limit(points: list[Point], lattice: tuple[float, float] | None) -> None:
    """Extrapolate 1/(kappa T) of dynamics to T = 0."""
    kelvin, kappa, error = np.array(points).T
    line = weighted_line(kelvin, 1 / (kappa * kelvin), error / (kappa**2 * kelvin))
    product = 1 / line.intercept
    spread = float(np.sqrt(line.covariance[0, 0])) * product**2
    print(
        f"1/(kappa T) = a + b T: 1/a = {product:.1f} ± {spread:.1f} W/m, chi2 {line.chi2:.1f} of "
        f"{line.degrees_of_freedom}, b T/(a + b T) at {kelvin.max():.0f} K "
        f"{line.slope * kelvin.max() / (line.intercept + line.slope * kelvin.max()):+.2f}"
    )
    if lattice is not None and np.isfinite(lattice[1]):
        difference = line.intercept - 1 / lattice[0]
        sigma = float(np.hypot(np.sqrt(line.covariance[0, 0]), lattice[1] / lattice[0] ** 2))
        print(
            f"phono3py, full solution: kappa T = {lattice[0]:.1f} ± {lattice[1]:.1f} W/m; a of dynamics is off by "
            f"{difference / sigma:+.1f} standard errors"
        )


def _forces(potential: MomentTensorPotential, cells: list[PhonopyAtoms]) -> Array:
    calculator = potential.calculator()
    frames = [Atoms(c.symbols, cell=c.cell, positions=c.positions, pbc=True) for c in cells]
    return np.array([calculator.get_forces(frame) for frame in frames])


def _with_error(value: float, error: float) -> str:
    return f"{value:.3f} ± {error:.3f}"


def _pair(text: str) -> tuple[int, float]:
    first, second = text.split(":")
    return int(first), float(second)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a minute or two, with large error bars")
    parser.add_argument("-T", "--temperature", type=float, nargs="+", default=[20.0], help="in K")
    parser.add_argument("--sizes", type=_pair, nargs="+", metavar="CELLS:RUNS", help="of Green-Kubo, cubes")
    parser.add_argument("--gk-ps", type=float, help="length of each of its runs, default 18750 ps over T in K")
    parser.add_argument("--lengths", type=_pair, nargs="+", metavar="CELLS:PS", help="of heat exchange, whole period")
    parser.add_argument("--across", type=int, default=4, help="cells across the heat flow")
    parser.add_argument("--meshes", type=int, nargs="+", help="of phono3py, ascending")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS[:3]))
    parser.add_argument("--limit", action="store_true", help="1/(kappa T) of Green-Kubo against T, to T = 0")
    parser.add_argument("--folder", type=Path, help="keep the runs there, and go on with those that are")
    arguments = parser.parse_args()
    quick = arguments.quick
    sizes = {cells: int(n) for cells, n in arguments.sizes or ([(4, 2)] if quick else [(4, 4), (6, 2)])}
    lengths = dict(arguments.lengths or (QUICK_LENGTHS if quick else LENGTHS))
    meshes = arguments.meshes or ([7] if quick else [9, 11, 13, 15])
    if arguments.limit and len(set(arguments.temperature)) < 2:
        parser.error("--limit needs two temperatures or more")

    print_machine()
    potential, off = pair_potential()
    print(f"{LATTICE_CONSTANT:g} Å; beyond 3.3 Å pairs are off by {off * 1e6:.1f} µeV at most")
    points: list[Point] = []
    lattice = None
    columns = ["method", "mesh", "kappa T, W/m", "kappa", "CPU s so far"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if "phono3py" in arguments.parts:
            rows, lattice = by_phono3py(at_rest(potential), "at rest", arguments.temperature[0], meshes)
            print_table(f"Three phonons, {arguments.temperature[0]:g} K, W/(m K)", columns, rows)
        for temperature in arguments.temperature:
            if "effective" in arguments.parts:
                rows = []
                for name, kelvin in (("fitted at rest", AT_REST), (f"fitted at {temperature:g} K", temperature)):
                    rows += by_phono3py(fitted(potential, kelvin), name, temperature, meshes[:1])[0]
                print_table(f"Three phonons, fitted force constants, {temperature:g} K, W/(m K)", columns, rows)
            if "green-kubo" in arguments.parts:
                ps = arguments.gk_ps or (4000 if quick else 18750) / temperature
                rows, found = by_green_kubo(potential, temperature, sizes, ps, folder)
                points += found
                print_table(
                    f"Green-Kubo, {temperature:g} K, W/(m K)",
                    ["method", "size", "kappa", "T, K", "s", "problems"],
                    rows,
                )
            if "nemd" in arguments.parts:
                rows, line = by_heat_exchange(potential, temperature, lengths, arguments.across, folder)
                print_table(
                    f"Heat exchange, {temperature:g} K, W/(m K)",
                    ["L, Å", "atoms", "ps, left out + used", "ΔT, K", "kappa", "middle / reservoirs", "s", "problems"],
                    rows,
                )
                print(
                    f"1/kappa against 1/L: kappa = {_with_error(line.kappa, line.uncertainty)} W/(m K), mean free path "
                    f"{line.mean_free_path_A:.0f} ± {line.mean_free_path_uncertainty_A:.0f} Å, chi2 {line.chi2:.1f} of "
                    f"{line.degrees_of_freedom}" + "".join(f"; {problem}" for problem in line.problems)
                )
        if arguments.limit and points:
            print_limit(points, lattice)
    print_load()


if __name__ == "__main__":
    main()
