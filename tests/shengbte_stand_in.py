"""A stand-in for ShengBTE and FourPhonon: reads their input files, writes their output files.

Phonons and three-phonon rates are real, from phonopy and phono3py; the layout is that of the README of ShengBTE and the
manual of FourPhonon: points in the order of a full grid whose first axis runs fastest, the first of each star standing
for it, rates with the points running faster than the bands. Rates of four phonons are a model, and the iterative
solution is that of the relaxation-time approximation: neither program is imitated in what it computes, but in how it is
called and answers.

Run in the folder of the input files: ``python shengbte_stand_in.py``.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from aiida_iontherm.tasks.shengbte_files.control import read_control, read_namelists

MODEL_OF_FOUR_PHONONS = 2e-4
"""Rate of four phonons in 1/ps for 1 rad/ps, 1 eV/Angstrom^4 and 300 K; grows as T^2, as classical occupations do."""

ITERATIONS = 4
"""That the iterative solution takes."""

KNOWN = {
    "T", "T_min", "T_max", "T_step", "scalebroad", "maxiter", "eps", "omega_max", "nonanalytic", "autoisotopes",
    "convergence", "isotopes", "onlyharmonic", "four_phonon", "four_phonon_iteration", "nelements", "natoms", "ngrid",
    "lfactor", "lattvec", "elements", "types", "positions", "masses", "gfactors", "scell", "epsilon", "born",
    *(f"num_sample_process_{n}ph{end}" for n in (3, 4) for end in ("", "_phase_space")),
}  # fmt: skip


def run(folder: Path) -> None:
    """Do what CONTROL says."""
    values = read_namelists((folder / "CONTROL").read_text())
    for name in values:
        if name not in {known.lower() for known in KNOWN}:
            sys.exit(f"Fortran runtime error: Cannot match namelist object name {name}")
    flags = {name: value[0] for name, value in values.items() if isinstance(value[0], bool)}
    if "t" in values:
        temperatures = [values["t"][0]]
    else:
        first, last, step = (values[f"t_{end}"][0] for end in ("min", "max", "step"))
        temperatures = list(np.arange(first, last + step / 2, step))
    crystal, strength = read_crystal(folder, flags)
    grid, star, mesh = stars(crystal.phonopy, values["ngrid"])
    irreducible, counts = np.unique(star, return_counts=True)
    solution = crystal.phonopy.run_qpoints(grid / mesh, with_group_velocities=True)
    frequencies, velocities = solution.frequencies, solution.group_velocities
    omega = 2 * np.pi * frequencies[irreducible]
    omega[0, :3] = 0.0
    points = grid[irreducible] / mesh
    write_harmonic(folder, crystal, points, counts, irreducible, grid / mesh, star, omega)
    harmonic = flags["onlyharmonic"]
    rates = {} if harmonic else three_phonon_rates(crystal.phono3py, mesh, points, temperatures)
    isotopes = isotope_rates(crystal.phonopy, mesh, points)
    columns(folder / "BTE.w_isotopic", omega, isotopes)
    table: dict[str, list[list[float]]] = {"cvVsT": [], "KappaTensorVsT_RTA": [], "KappaTensorVsT_CONV": []}
    steps = min(int(values["maxiter"][0]), ITERATIONS)
    for kelvin in temperatures:
        place = folder / f"T{round(kelvin)}K"
        place.mkdir(exist_ok=True)
        heat = heat_capacities(frequencies, kelvin)
        volume = crystal.phonopy.primitive.volume * 1e-30
        table["cvVsT"].append([kelvin, heat.sum() / len(grid) / volume])
        (place / "BTE.cv").write_text(f"   {table['cvVsT'][-1][1]:.8f}     \n")
        if harmonic:
            continue
        four = np.zeros_like(omega)
        if flags.get("four_phonon", False):
            four = MODEL_OF_FOUR_PHONONS * strength * (kelvin / 300) ** 2 * omega
            columns(place / "BTE.w_4ph", omega, four)
        three = rates[kelvin]
        columns(place / ("BTE.w_3ph" if flags.get("four_phonon", False) else "BTE.w_anharmonic"), omega, three)
        total = three + four + (isotopes if flags["isotopes"] else 0.0)
        columns(place / "BTE.w", omega, total)
        modes = total[np.searchsorted(irreducible, star)]
        # 1 THz Angstrom is 100 m/s
        lifetime = np.divide(1e-12, modes, out=np.zeros_like(modes), where=modes > 0)
        tensor = np.einsum("qs,qsa,qsb->ab", heat * lifetime, velocities * 100, velocities * 100) / len(grid) / volume
        rows = [[step, *tensor.ravel()] for step in range(steps + 1 if flags["convergence"] else 1)]
        (place / "BTE.kappa_tensor").write_text("".join(line(row) for row in rows))
        table["KappaTensorVsT_RTA"].append([kelvin, *tensor.ravel()])
        if flags["convergence"]:
            table["KappaTensorVsT_CONV"].append([kelvin, *tensor.ravel(), steps])
            still = np.linalg.norm(velocities[irreducible], axis=2) < 1e-6
            columns(place / "BTE.w_final", omega, np.where(still, np.nan, total))
    for name, lines in table.items():
        if lines:
            text = ""
            for row in lines:
                text += f"{row[0]:7.1f}" + "".join(f"{value:14.5E}" for value in row[1:10])
                text += f"{row[10]:6d}\n" if len(row) == 11 else "\n"
            (folder / f"BTE.{name}").write_text(text)
    print("Info: normal exit")  # noqa: T201


class Crystal:
    """Objects of phonopy and phono3py, with the masses and charges of CONTROL."""

    def __init__(self, phonopy: Any, phono3py: Any) -> None:
        self.phonopy, self.phono3py = phonopy, phono3py


def read_crystal(folder: Path, flags: dict[str, bool]) -> tuple[Crystal, float]:
    """Force constants of all orders; of the fourth, its largest element in eV/Angstrom^4."""
    from dataclasses import replace

    from aiida_iontherm.tasks.force_constant_files import (
        phonopy_supercell,
        read_force_constants,
        to_phono3py,
        to_phonopy,
    )

    control = read_control(folder / "CONTROL")
    supercell = phonopy_supercell(control.primitive, control.supercell)
    second = read_force_constants(folder / "FORCE_CONSTANTS_2ND", control.primitive, supercell)
    third = read_force_constants(folder / "FORCE_CONSTANTS_3RD", control.primitive, supercell)
    constants = replace(second.joined(third), nac=control.nac)
    phonopy, phono3py = to_phonopy(constants), to_phono3py(constants)
    masses = control.primitive.get_masses()
    phonopy.masses, phono3py.masses = masses, masses
    strength = 0.0
    if flags.get("four_phonon", False):
        fourth = read_force_constants(folder / "FORCE_CONSTANTS_4TH", control.primitive)
        strength = fourth.fourth.largest()
    return Crystal(phonopy, phono3py), strength


def stars(phonopy: Any, divisions: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whole-number points of the full grid [n, 3], and for each the first point of its star; point group of the crystal
    and time reversal."""
    mesh = np.array(divisions, dtype=int)
    k, j, i = np.meshgrid(*(np.arange(n) for n in reversed(mesh)), indexing="ij")
    grid = np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1)
    star = np.arange(len(grid))
    rotations = [np.array(r).T for r in phonopy.primitive_symmetry.pointgroup_operations]
    for rotation in [sign * r for r in rotations for sign in (1, -1)]:
        image = np.rint(grid / mesh @ rotation.T * mesh).astype(int) % mesh
        star = np.minimum(star, image[:, 0] + mesh[0] * (image[:, 1] + mesh[1] * image[:, 2]))
    return grid, star, mesh


def three_phonon_rates(phono3py: Any, mesh: Any, points: np.ndarray, temperatures: list[float]) -> dict[float, Any]:
    """Rates in 1/ps [k, s] by temperature."""
    from aiida_iontherm.physics.lattice import ThreePhononScattering, three_phonon_gamma

    scattering = ThreePhononScattering(phono3py, mesh, temperatures)
    gamma = three_phonon_gamma(scattering)[:, same_points(phono3py, points, scattering.qpoints)]
    return {kelvin: 4 * np.pi * widths for kelvin, widths in zip(temperatures, gamma, strict=True)}


def isotope_rates(phonopy: Any, mesh: Any, points: np.ndarray) -> np.ndarray:
    """Rates in 1/ps [k, s]."""
    from aiida_iontherm.physics.lattice import irreducible_mesh, isotope_gamma

    theirs, _ = irreducible_mesh(phonopy, mesh)
    return 4 * np.pi * isotope_gamma(phonopy, mesh)[same_points(phonopy, points, theirs)]


def same_points(crystal: Any, points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the others each point is by symmetry."""
    rotations = [np.array(r).T for r in crystal.primitive_symmetry.pointgroup_operations]
    images = np.concatenate([sign * points @ r.T for r in rotations for sign in (1, -1)])
    apart = images[:, None] - others[None]
    apart = np.abs(apart - np.rint(apart)).max(axis=2).reshape(-1, len(points), len(others)).min(axis=0)
    return apart.argmin(axis=1)


def heat_capacities(frequencies: np.ndarray, kelvin: float) -> np.ndarray:
    """Of modes, in J/K."""
    x = 6.62607015e-34 * 1e12 * np.where(frequencies > 1e-3, frequencies, np.nan) / (1.380649e-23 * kelvin)
    return np.nan_to_num(1.380649e-23 * (x / 2 / np.sinh(x / 2)) ** 2)


def number(value: float) -> str:
    """As Fortran's E20.10 prints it."""
    if not np.isfinite(value):
        return f"{'NaN':>20s}"
    digits, exponent = f"{abs(value):.9E}".split("E")
    power = int(exponent) + 1 if value else 0
    text = f"{'-' if value < 0 else ''}0.{digits.replace('.', '')}"
    return f"{text + (f'E{power:+03d}' if abs(power) < 100 else f'{power:+04d}'):>20s}"


def line(values: Any) -> str:
    return "".join(f"{value:9d}" if isinstance(value, int | np.integer) else number(value) for value in values) + "\n"


def columns(path: Path, omega: np.ndarray, rates: np.ndarray) -> None:
    """Frequency and rate of each mode, points running faster than bands."""
    path.write_text("".join(line(pair) for pair in zip(omega.T.ravel(), rates.T.ravel(), strict=True)))


def write_harmonic(
    folder: Path,
    crystal: Crystal,
    points: np.ndarray,
    counts: np.ndarray,
    irreducible: np.ndarray,
    grid: np.ndarray,
    star: np.ndarray,
    omega: np.ndarray,
) -> None:
    """Points, frequencies and reciprocal lattice."""
    rows = zip(range(1, len(points) + 1), irreducible + 1, counts, points, strict=True)
    (folder / "BTE.qpoints").write_text("".join(line([a, b, c, *q]) for a, b, c, q in rows))
    owner = np.searchsorted(irreducible, star) + 1
    rows = zip(range(1, len(grid) + 1), owner, grid, strict=True)
    (folder / "BTE.qpoints_full").write_text("".join(line([a, b, *q]) for a, b, q in rows))
    (folder / "BTE.omega").write_text("".join(line(row) for row in omega))
    reciprocal = 2 * np.pi * np.linalg.inv(crystal.phonopy.primitive.cell * 0.1).T
    text = "".join(f"{a:20.10f}{b:20.10f}{c:20.10f}   # nm-1,b{i}\n" for i, (a, b, c) in enumerate(reciprocal, 1))
    (folder / "BTE.ReciprocalLatticeVectors").write_text(text)


if __name__ == "__main__":
    run(Path.cwd())
