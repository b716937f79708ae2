from fractions import Fraction

import numpy as np
import pytest
import yaml
from scipy import constants, integrate

from aiida_iontherm.physics.heat import (
    debye_temperature,
    debye_velocity,
    heat_capacity,
    mean_sound_velocity,
    mode_heat_capacity,
)
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV


def test_dulong_petit():
    frequencies = np.random.default_rng(0).uniform(0.5, 8, (10, 6))
    # C = 1 - x^2/12: x = 1.9e-4 at 8 THz and 2e6 K
    assert heat_capacity(frequencies, np.ones(10), 2e6) == pytest.approx(6 * constants.R, rel=1e-8)


def test_is_the_derivative_of_the_bose_energy():
    t, nu, step = 137.0, np.array([0.3, 2.0, 9.0]), 0.01

    def energy(temperature):
        return H_EV_THZ * nu / np.expm1(H_EV_THZ * nu / (KB_EV * temperature))

    derivative = (energy(t + step) - energy(t - step)) / (2 * step) / KB_EV
    # central differences with a relative step of 7e-5: error of that squared times the third derivative
    np.testing.assert_allclose(mode_heat_capacity(nu, t), derivative, rtol=1e-6)


def test_debye_t3_law():
    """A fine Debye spectrum at low temperature: C = 12 pi^4/5 N k_B (T/Theta)^3."""
    top = 3.0
    grid = (np.arange(200_000) + 0.5) / 200_000 * top
    theta = H_EV_THZ * top / KB_EV
    t = theta / 50
    exact = 12 * np.pi**4 / 5 * constants.R * (t / theta) ** 3
    value = heat_capacity(np.repeat(grid[:, None], 3, axis=1), grid**2, t, cutoff_thz=0.0)
    # beyond the T^3 law only exp(-50); the grid is fine to 1e-8 and the weights carry a cutoff of 1e-15
    assert value == pytest.approx(exact, rel=1e-6)


def test_no_overflow_of_frozen_modes():
    with np.errstate(over="raise", invalid="raise"):
        assert mode_heat_capacity(30.0, 0.5) == 0.0


def test_against_phonopy(shared_data):
    import phonopy

    folder = shared_data / "phonondb" / "mp-22862"  # NaCl: stable with and without the non-analytical correction
    lines = dict(line.split("=", 1) for line in (folder / "phonopy.conf").read_text().splitlines() if "=" in line)
    conf = {key.strip(): value.strip() for key, value in lines.items()}
    matrix = np.array(conf["DIM"].split(), dtype=int)
    primitive = conf.get("PRIMITIVE_AXIS", conf.get("PRIMITIVE_AXES", "1 0 0 0 1 0 0 0 1"))
    axes = [float(Fraction(x)) for x in primitive.split()]
    phonon = phonopy.load(
        unitcell_filename=str(next(folder.glob("POSCAR*"))),
        supercell_matrix=np.diag(matrix) if matrix.size == 3 else matrix.reshape(3, 3),
        primitive_matrix=np.reshape(axes, (3, 3)),
        force_sets_filename=str(folder / "FORCE_SETS"),
        is_nac=False,
        log_level=0,
    )
    phonon.run_mesh([6, 6, 6], is_gamma_center=True)
    mesh = phonon.get_mesh_dict()
    assert mesh["frequencies"].min() > -0.01
    phonon.run_thermal_properties(t_min=50, t_max=450, t_step=200, cutoff_frequency=0.01)
    reference = phonon.get_thermal_properties_dict()
    ours = heat_capacity(mesh["frequencies"], mesh["weights"], reference["temperatures"])
    # the same sum; the constants of the two codes differ in the seventh digit
    np.testing.assert_allclose(ours, reference["heat_capacity"], rtol=1e-5)


def test_imaginary_modes_are_refused():
    with pytest.raises(ValueError, match="imaginary"):
        heat_capacity([[1.0, -0.5]], [1.0], 300.0)


@pytest.mark.parametrize(
    ("frequencies", "weights", "t"), [([1.0], [1.0], 300.0), ([[1.0]], [1.0, 1.0], 300.0), ([[1.0]], [1.0], 0.0)]
)
def test_bad_input(frequencies, weights, t):
    with pytest.raises(ValueError):
        heat_capacity(frequencies, weights, t)


def test_debye_temperature_and_velocity_of_cu7ps6(shared_data):
    """155 K and 1312 m/s of Shen et al., Adv. Sci. 2024, belong together at the density of the P2_13 cell."""
    entries = yaml.safe_load((shared_data / "structures.yaml").read_text())["entries"]
    cell = next(e for e in entries if e["id"] == "cu7ps6-p213-proto")
    density = cell["checks"]["n_atoms_in_cell"] / cell["lattice"]["volume"]
    # the Debye temperature is printed to 1 K, the cell is known to about 0.3 %
    assert debye_temperature(1312.0, density) == pytest.approx(155, abs=1)
    assert debye_velocity(155.0, density) == pytest.approx(1312, rel=0.01)
    assert debye_velocity(debye_temperature(1750.0, density), density) == pytest.approx(1750, rel=1e-12)


def test_debye_sphere_holds_one_state_per_atom():
    """Number of states of three branches below the Debye frequency: 3 n."""
    n, v = 0.05, 2000.0
    top = KB_EV * debye_temperature(v, n) / H_EV_THZ * 1e12  # Hz
    states, _ = integrate.quad(lambda nu: 3 * 4 * np.pi * nu**2 / v**3, 0, top)
    assert states == pytest.approx(3 * n * 1e30, rel=1e-8)  # constants to ten digits


# Ag8SiS6 and Ag8GeSe6: v_l, v_t, mean as tabulated (DFT elasticity, DigiMatChem, 10.1039/D5TA08709K)
@pytest.mark.parametrize(("v_l", "v_t", "v_m"), [(2982.682, 1389.148, 1564.270), (2972.078, 1345.967, 1517.609)])
def test_mean_velocity(v_l, v_t, v_m):
    assert mean_sound_velocity(v_l, v_t) == pytest.approx(v_m, abs=0.002)  # inputs rounded to 0.0005
