import numpy as np
import pytest
import yaml
from scipy import integrate

from aiida_iontherm.physics.heat import (
    cahill_limit,
    cahill_limit_high_temperature,
    debye_temperature,
    debye_wavevector,
    diffuson_conductivity,
    diffuson_limit,
    heat_capacity,
)
from aiida_iontherm.physics.units import H_EV_THZ, KB, KB_EV

N = 0.0464
V_L, V_T = 2871.0, 1427.0


def debye_spectrum(velocity: float, points: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Grid of frequencies ``[n, 1]`` and weights nu^2 up to the Debye frequency."""
    top = KB_EV * debye_temperature(velocity, N) / H_EV_THZ
    grid = (np.arange(points) + 0.5) / points * top
    return grid[:, None], grid**2


def cell(shared_data, name: str) -> float:
    entries = yaml.safe_load((shared_data / "structures.yaml").read_text())["entries"]
    entry = next(e for e in entries if e["id"] == name)
    return entry["checks"]["n_atoms_in_cell"] / entry["lattice"]["volume"]


def test_cahill_tends_to_its_high_temperature_limit():
    # corrections of order (Theta/T)^2/24: 1e-6 at 40 000 K
    assert cahill_limit(N, V_L, V_T, 4e4) == pytest.approx(cahill_limit_high_temperature(N, V_L, V_T), rel=1e-5)


@pytest.mark.parametrize("t", [2.0, 50.0, 300.0])
def test_cahill_against_adaptive_quadrature(t):
    total = 0.0
    for v in (V_L, V_T, V_T):
        theta = float(debye_temperature(v, N))
        # 200: beyond it the integrand is below 1e-80
        integral, _ = integrate.quad(
            lambda x: x**3 * np.exp(-x) / np.expm1(-x) ** 2, 0, min(theta / t, 200), points=[5], epsrel=1e-11
        )
        total += v * (t / theta) ** 2 * integral
    expected = (np.pi / 6) ** (1 / 3) * KB * (N * 1e30) ** (2 / 3) * total
    assert cahill_limit(N, V_L, V_T, t) == pytest.approx(expected, rel=1e-9)  # both integrals to 1e-10


def test_cahill_is_the_kinetic_formula_with_half_a_period():
    """kappa = 1/3 sum int C(w) v^2 tau dw with tau = pi/w, branch by branch on its own Debye spectrum."""
    t, total = 100.0, 0.0
    for v in (V_L, V_T, V_T):
        frequencies, weights = debye_spectrum(v)
        omega = 2 * np.pi * 1e12 * frequencies[:, 0]
        x = H_EV_THZ * frequencies[:, 0] / (KB_EV * t)
        capacity = N * 1e30 * KB * weights / weights.sum() * (x / 2 / np.sinh(x / 2)) ** 2
        total += np.sum(capacity * v**2 * np.pi / omega) / 3
    # midpoint rule on 20 000 points: 1e-8; prefactors are exact
    assert cahill_limit(N, V_L, V_T, t) == pytest.approx(total, rel=1e-6)


# v_l, v_t, kappa_Cahill/kappa_Agne of sound_velocity_kappa.csv (DigiMatChem, 10.1039/D5TA08709K)
@pytest.mark.parametrize(
    ("v_l", "v_t", "cahill", "agne"), [(2982.68, 1389.15, 0.428487, 0.269204), (2972.08, 1345.97, 0.389421, 0.244660)]
)
def test_ratio_of_published_limits(v_l, v_t, cahill, agne):
    ratio = cahill_limit_high_temperature(N, v_l, v_t) / diffuson_limit(N, v_l, v_t)
    # they round (pi/6)^(1/3)/2 to 1/2.48, which is 0.06 %
    assert ratio == pytest.approx(cahill / agne, rel=1e-3)


def test_agne_lies_37_percent_below_cahill():
    # abstract of Agne et al. 2018, printed to 1 %
    assert diffuson_limit(N, V_L, V_T) / cahill_limit_high_temperature(N, V_L, V_T) == pytest.approx(0.63, abs=0.005)


def test_cu7ps6(shared_data):
    """Shen et al., Adv. Sci. 2024: about 0.30 W/(m K) from 1750 m/s."""
    value = diffuson_limit(cell(shared_data, "cu7ps6-p213-proto"), 1750.0, 1750.0)
    assert value == pytest.approx(0.29, abs=0.01)  # printed with two digits


def test_diffuson_conductivity_of_a_debye_spectrum():
    frequencies, weights = debye_spectrum(2000.0)
    value = diffuson_conductivity(frequencies, weights, N, 1e6)
    # n^(1/3) k_B/pi times the mean frequency 3/4 of the Debye frequency; x = 1e-4, grid 1e-8
    expected = (N * 1e30) ** (1 / 3) * KB / np.pi * 0.75 * 2000.0 * float(debye_wavevector(N))
    assert value == pytest.approx(expected, rel=1e-6)
    # the same prefactor form as the velocity formula, with 0.93 where real spectra have 0.76
    assert value == pytest.approx(diffuson_limit(N, 2000.0, 2000.0) * 0.9305 / 0.76, rel=1e-3)  # 0.9305: four digits


def test_diffuson_conductivity_is_capacity_times_diffusivity():
    """One Einstein frequency: kappa = C_v/V w/(3 pi n^(2/3))."""
    nu, t = 2.3, 80.0
    frequencies = np.full((4, 9), nu)  # a cell of three atoms
    per_mole = heat_capacity(frequencies, np.ones(4), t)
    avogadro, cell_volume = 6.02214076e23, 3 / (N * 1e30)
    diffusivity = 2 * np.pi * nu * 1e12 / (3 * np.pi * (N * 1e30) ** (2 / 3))
    expected = per_mole / avogadro / cell_volume * diffusivity
    assert diffuson_conductivity(frequencies, np.ones(4), N, t) == pytest.approx(expected, rel=1e-9)  # rounding


def test_diffuson_conductivity_rises_and_levels_off():
    frequencies, weights = debye_spectrum(1500.0, 2000)
    values = diffuson_conductivity(frequencies, weights, N, [5.0, 50.0, 500.0, 5000.0])
    assert np.all(np.diff(values) > 0)
    assert values[3] == pytest.approx(values[2], rel=0.01)  # (Theta/T)^2/20 is 0.5 % at 500 K


@pytest.mark.parametrize(
    "call",
    [
        lambda: cahill_limit(0.0, V_L, V_T, 300.0),
        lambda: cahill_limit(N, V_L, V_T, 0.0),
        lambda: diffuson_limit(N, -1.0, V_T),
        lambda: diffuson_conductivity([[1.0]], [1.0], 0.0, 300.0),
        lambda: diffuson_conductivity([[-1.0]], [1.0], N, 300.0),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()
