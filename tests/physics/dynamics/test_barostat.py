"""Cells that change: distributions of volume and shape against the ensemble's theory, books of energy, refusals."""

import numpy as np
import pytest
from ase import units
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from scipy import linalg, stats

FS = units.fs
TEMPERATURE_K = 300.0
KT = units.kB * TEMPERATURE_K
KINDS = ("isotropic", "orthorhombic", "triclinic")
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def bath(kt=KT):
    return {"name": "langevin", "kt": kt, "time": 50 * FS, "seed": 5}


def set_barostat(loop, kind, pressure, *, kt=KT, time_fs=100.0, bulk_modulus=1.0, stride=5, seed=3):
    loop.set_barostat(kind, pressure, kt, time_fs * FS, bulk_modulus, stride, seed)


def test_volume_of_an_ideal_gas(no_forces, moving, make_loop, sample):
    """Density V^(N-1) exp(-P V/kT), the centre of mass at rest: a gamma distribution."""
    gas = moving * (2, 2, 2)
    gas.set_cell(12.0 * np.eye(3))
    pressure = len(gas) * KT / 12.0**3
    loop = make_loop(no_forces, gas, 2.0, thermostat=bath())
    # The modulus of a gas is its pressure.
    set_barostat(loop, "isotropic", pressure, time_fs=400.0, bulk_modulus=pressure)
    sample(loop, 2000)
    cells = sample(loop, 160_000, thermo=400)["cells"]
    volumes = np.linalg.det(cells)
    # Rescaling is of first order: t/tau = 0.025 widens the distribution by 1 %, which 400 samples (fixed seeds, two
    # relaxation times apart) do not tell from none. A mean volume 1 % off, a fifth of the width, has p < 0.01.
    assert stats.kstest(volumes, stats.gamma(len(gas), scale=KT / pressure).cdf).pvalue > 0.02
    cubes = np.cbrt(volumes)[:, None, None] * np.eye(3)
    np.testing.assert_allclose(cells, cubes, atol=1e-9)  # rounding of 32 000 products


def strain_of(cells, reference):
    """Logarithmic strain [n, 6] without the rotation: half the logarithm of F^T F."""
    strains = []
    for cell in cells:
        deformation = np.linalg.solve(reference, cell).T
        values, vectors = np.linalg.eigh(deformation.T @ deformation)
        logarithm = 0.5 * (vectors * np.log(values)) @ vectors.T
        strains.append([logarithm[a, b] for a, b in VOIGT])
    return np.array(strains)


def compliance(potential, crystal, pressure, freedoms):
    """Block of the strains in the inverse Hessian of the enthalpy, all atoms relaxing, by finite differences."""
    n = len(crystal)
    directions = [*np.eye(6)[list(freedoms)]]

    def gradient(coordinates):
        strain, shifts = np.zeros((3, 3)), coordinates[len(directions) :].reshape(n, 3)
        for amplitude, direction in zip(coordinates, directions, strict=False):
            for (a, b), part in zip(VOIGT, direction, strict=True):
                strain[a, b] += amplitude * part
                strain[b, a] += amplitude * part * (a != b)
        matrix = linalg.expm(strain)
        atoms = crystal.copy()
        atoms.set_cell(crystal.cell.array @ matrix)
        atoms.positions = (crystal.positions + shifts) @ matrix
        found = potential.evaluate(atoms)
        # With one strain at a time as small as here, derivatives by it are those by a strain on top of it.
        tension = atoms.cell.volume * (found.stress + pressure * np.eye(3))
        doubled = [tension[ab] * (1 + (ab[0] != ab[1])) for ab in VOIGT]
        stress = [np.dot(doubled, direction) for direction in directions]
        return np.concatenate([stress, (-found.forces @ matrix).ravel()])

    size, step = len(directions) + 3 * n, 1e-4
    hessian = np.array([gradient(step * row) - gradient(-step * row) for row in np.eye(size)]) / (2 * step)
    # The crystal moving as a whole costs nothing: its inverse is that of the other directions.
    inverse = np.linalg.pinv(0.5 * (hessian + hessian.T), rcond=1e-7)
    return inverse[: len(directions), : len(directions)]


@pytest.mark.parametrize(("kind", "freedoms"), [("orthorhombic", (0, 1, 2)), ("triclinic", range(6))])
def test_fluctuating_shape_of_a_cold_crystal(binding_potential, crystal, make_loop, sample, kind, freedoms):
    """Covariance of the strains is kT times the compliance; the mean is that of the static crystal."""
    kt = units.kB * 20
    pressure = -np.trace(binding_potential.evaluate(crystal).stress) / 3
    crystal.calc = binding_potential.calculator()
    crystal.rattle(0.01, seed=2)
    BFGS(FrechetCellFilter(crystal, scalar_pressure=pressure), logfile=None).run(fmax=1e-6, steps=500)
    loop = make_loop(binding_potential, crystal, 2.0, thermostat=bath(kt))
    set_barostat(loop, kind, pressure, kt=kt, time_fs=200.0, bulk_modulus=1.0)
    sample(loop, 5000)
    strains = strain_of(sample(loop, 200_000, thermo=100)["cells"], crystal.cell.array)[:, list(freedoms)]
    expected = kt * compliance(binding_potential, crystal, pressure, freedoms)
    found = np.cov(strains.T)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    # 2000 samples of 0.2 ps, one relaxation time apart, are about 600: a standard error of 6 % of a variance, for the
    # largest of 21 numbers three of them. First order in t/tau = 0.05 and anharmonic terms are some per cent.
    assert np.abs((found - expected) / scale).max() < 0.18
    # In units of the spread: four standard errors, and thermal expansion.
    assert np.abs(strains.mean(axis=0) / strains.std(axis=0)).max() < 0.25


@pytest.mark.parametrize("kind", KINDS)
def test_books_of_energy(binding_potential, moving, make_loop, sample, kind):
    """Energy of the atoms less what bath and barostat gave is conserved, thousands of times better than the former."""
    pressure = -np.trace(binding_potential.evaluate(moving).stress) / 3
    spread = []
    for timestep, steps in ((2.0, 1000), (1.0, 2000)):
        loop = make_loop(binding_potential, moving, timestep, thermostat=bath())
        set_barostat(loop, kind, pressure)
        thermo = sample(loop, steps, thermo=1)["thermo"]
        assert thermo[:, 2].std() < 0.03 * (thermo[:, 0] + thermo[:, 1]).std()
        spread.append(thermo[:, 2].std())
    # Of second order, as Verlet's error; with noise it walks at random, other numbers in the two runs.
    assert 1.5 < spread[0] / spread[1] < 12


def test_centre_of_mass_and_scaled_momenta(binding_potential, moving, make_loop, sample):
    loop = make_loop(binding_potential, moving, 2.0, thermostat=bath())
    set_barostat(loop, "triclinic", 0.0)
    rows = sample(loop, 200, velocities=20)
    np.testing.assert_allclose(moving.get_masses() @ rows["velocities"], 0, atol=1e-11)  # rounding


def test_seed_decides_the_cell(binding_potential, moving, make_loop, sample):
    def last(seed):
        loop = make_loop(binding_potential, moving, 2.0, thermostat=bath())
        set_barostat(loop, "triclinic", 0.0, seed=seed)
        sample(loop, 20)
        return loop.cell

    np.testing.assert_array_equal(last(1), last(1))
    assert np.abs(last(1) - last(2)).max() > 1e-4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "cubic"}, "isotropic, orthorhombic or triclinic"),
        ({"time_fs": 0.0}, "positive temperature, time"),
        ({"stride": 0}, "stride"),
    ],
)
def test_wrong_settings(binding_potential, moving, make_loop, change, words):
    loop = make_loop(binding_potential, moving, 2.0)
    with pytest.raises(ValueError, match=words):
        set_barostat(loop, **({"kind": "isotropic", "pressure": 0.0} | change))


def test_cell_that_would_collapse(binding_potential, moving, make_loop, sample):
    loop = make_loop(binding_potential, moving, 2.0)
    set_barostat(loop, "isotropic", 1e3)
    with pytest.raises(ValueError, match="longer time or a larger bulk modulus"):
        sample(loop, 20)


def test_frozen_atoms_and_missing_periods_are_refused(binding_potential, moving, make_loop):
    with pytest.raises(ValueError, match="frozen atoms"):
        set_barostat(make_loop(binding_potential, moving, 2.0, frozen=(0,)), "isotropic", 0.0)
    moving.pbc = (True, True, False)
    with pytest.raises(ValueError, match="three periods"):
        set_barostat(make_loop(binding_potential, moving, 2.0), "isotropic", 0.0)
