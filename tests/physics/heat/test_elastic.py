import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from aiida_iontherm.physics.heat import (
    IsotropicModuli,
    acoustics_of_stiffness,
    acoustics_of_velocities,
    born_stable,
    christoffel_velocities,
    debye_mean_velocity,
    debye_temperature,
    diffuson_limit,
    grueneisen_number,
    isotropic_moduli,
    isotropic_velocities,
    kelvin_moduli,
    mean_sound_velocity,
    poisson_number,
    polycrystal_moduli,
)
from aiida_iontherm.physics.heat.elastic import VOIGT


def cubic(c11: float, c12: float, c44: float) -> np.ndarray:
    c = np.diag([c11 - c12] * 3 + [c44] * 3).astype(float)
    c[:3, :3] += c12
    return c


def rotated(c: np.ndarray, seed: int) -> np.ndarray:
    """The same crystal in other Cartesian axes, by the rank-four tensor."""
    r = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    full = np.einsum("ai,bj,ck,dl,ijkl->abcd", r, r, r, r, c[VOIGT[:, :, None, None], VOIGT])
    pairs = np.array([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)])
    return full[pairs[:, None, 0], pairs[:, None, 1], pairs[None, :, 0], pairs[None, :, 1]]


# H. J. McSkimin, P. Andreatch, J. Appl. Phys. 35, 2161 (1964), 298 K; density and lattice constant of silicon
SILICON, SILICON_DENSITY, SILICON_ATOMS = cubic(165.78, 63.94, 79.62), 2329.0, 8 / 5.431**3
# W. C. Overton, J. Gaffney, Phys. Rev. 98, 969 (1955), extrapolated to 0 K
COPPER, COPPER_DENSITY, COPPER_ATOMS = cubic(176.2, 124.94, 81.77), 9018.0, 4 / 3.6031**3


def test_velocities_and_moduli_are_inverse():
    moduli = isotropic_moduli(5000.0, 2900.0, 4500.0)
    assert isotropic_velocities(moduli, 4500.0) == pytest.approx((5000.0, 2900.0), rel=1e-12)  # rounding
    assert moduli.poisson_number == pytest.approx(float(poisson_number(5000.0, 2900.0)), rel=1e-12)
    # two textbook relations that the properties do not use
    assert moduli.young_gpa == pytest.approx(2 * moduli.shear_gpa * (1 + moduli.poisson_number), rel=1e-12)
    assert moduli.young_gpa == pytest.approx(3 * moduli.bulk_gpa * (1 - 2 * moduli.poisson_number), rel=1e-12)


def test_poisson_number_of_central_forces_and_of_a_fluid():
    assert poisson_number(3000.0, 3000 / np.sqrt(3)) == pytest.approx(0.25, rel=1e-12)  # Cauchy solid, rounding
    assert poisson_number(3000.0, 60.0) == pytest.approx(0.5, abs=1e-3)  # (v_T/v_L)^2/2 = 2e-4


def test_grueneisen_number_is_that_of_the_poisson_number():
    v_l = np.linspace(2500, 4500, 7)
    nu = poisson_number(v_l, 2000.0)
    np.testing.assert_allclose(grueneisen_number(v_l, 2000.0), 1.5 * (1 + nu) / (2 - 3 * nu), rtol=1e-12)


def test_grueneisen_number_of_cu7ps6():
    """Shen et al. print 0.33 and 1.99 from their velocities: both belong to a ratio v_L/v_T near two."""
    ratio = np.linspace(1.9, 2.1, 2001)
    nu, gamma = poisson_number(2000.0 * ratio, 2000.0), grueneisen_number(2000.0 * ratio, 2000.0)
    both = (np.abs(nu - 0.33) < 0.005) & (np.abs(gamma - 1.99) < 0.005)  # printed to two decimals
    assert both.any()
    assert poisson_number(4000.0, 2000.0) == pytest.approx(1 / 3, rel=1e-12)  # rounding
    assert grueneisen_number(4000.0, 2000.0) == pytest.approx(2, rel=1e-12)


def test_isotropic_crystal_has_the_same_velocities_in_all_directions():
    v_l, v_t, density = 4100.0, 2300.0, 6100.0
    lame, mu = density * (v_l**2 - 2 * v_t**2) * 1e-9, density * v_t**2 * 1e-9
    c = cubic(lame + 2 * mu, lame, mu)
    directions = np.random.default_rng(0).normal(size=(50, 3))
    expected = np.broadcast_to([v_t, v_t, v_l], (50, 3))
    np.testing.assert_allclose(christoffel_velocities(c, density, directions), expected, rtol=1e-12)  # rounding
    assert debye_mean_velocity(c, density) == pytest.approx(float(mean_sound_velocity(v_l, v_t)), rel=1e-12)
    averages = polycrystal_moduli(c)
    for moduli in (averages.voigt, averages.reuss, averages.hill):
        assert isotropic_velocities(moduli, density) == pytest.approx((v_l, v_t), rel=1e-12)
    assert averages.anisotropy == pytest.approx(0, abs=1e-12)


def test_cubic_crystal_along_its_axes():
    """Closed forms of rho v^2 along [100], [110], [111]."""
    c11, c12, c44 = 165.78, 63.94, 79.62
    v = christoffel_velocities(SILICON, SILICON_DENSITY, [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    expected = [
        [c44, c44, c11],
        [(c11 - c12) / 2, c44, (c11 + c12 + 2 * c44) / 2],
        [(c11 - c12 + c44) / 3, (c11 - c12 + c44) / 3, (c11 + 2 * c12 + 4 * c44) / 3],
    ]
    np.testing.assert_allclose(SILICON_DENSITY * v**2 * 1e-9, expected, rtol=1e-12)  # rounding


def test_axes_do_not_matter():
    turned = rotated(COPPER, 1)
    np.testing.assert_allclose(kelvin_moduli(turned), kelvin_moduli(COPPER), rtol=1e-12)
    # the quadrature is converged to 1e-8 with either set of axes
    expected = debye_mean_velocity(COPPER, COPPER_DENSITY)
    assert debye_mean_velocity(turned, COPPER_DENSITY) == pytest.approx(expected, rel=3e-8)
    before, after = polycrystal_moduli(COPPER), polycrystal_moduli(turned)
    assert after.hill.shear_gpa == pytest.approx(before.hill.shear_gpa, rel=1e-12)
    assert after.reuss.bulk_gpa == pytest.approx(before.reuss.bulk_gpa, rel=1e-12)


def test_debye_mean_against_a_plain_average():
    n = np.random.default_rng(2).normal(size=(200_000, 3))
    samples = np.sum(christoffel_velocities(COPPER, COPPER_DENSITY, n) ** -3, axis=-1) / 3
    error = samples.std() / np.sqrt(len(samples))
    mean = debye_mean_velocity(COPPER, COPPER_DENSITY) ** -3
    assert abs(mean - samples.mean()) < 4 * error  # Monte Carlo, 1.5e-3 relative at four sigma


@pytest.mark.parametrize(
    ("stiffness", "density", "atoms", "published"),
    [
        # 645 K: low-temperature heat capacity, as tabulated by C. Kittel. Elastic constants of 298 K are 0.8 % softer
        # than at 0 K, which is 0.4 % of the temperature; tables of Theta_D spread by 0.6 %.
        (SILICON, SILICON_DENSITY, SILICON_ATOMS, 645.0),
        # 344 K, likewise; elastic constants extrapolated to 0 K
        (COPPER, COPPER_DENSITY, COPPER_ATOMS, 344.0),
    ],
)
def test_debye_temperature_of_silicon_and_copper(stiffness, density, atoms, published):
    assert acoustics_of_stiffness(stiffness, density, atoms).debye_temperature_K == pytest.approx(published, rel=0.01)


def test_debye_temperature_of_cadmium():
    """Hexagonal. C. W. Garland, J. Silverman, Phys. Rev. 119, 1218 (1960): constants at 0 K and 213 +- 1 K."""
    c11, c33, c44, c12, c13 = 130.8, 57.37, 24.49, 40.48, 41.45
    c = np.zeros((6, 6))
    c[:3, :3] = [[c11, c12, c13], [c12, c11, c13], [c13, c13, c33]]
    c[3:, 3:] = np.diag([c44, c44, (c11 - c12) / 2])
    density = 8830.0  # 8650 at room temperature; enters with the sixth root
    atoms = density / (112.414 * 1.66053907e-27) * 1e-30
    theta = debye_temperature(debye_mean_velocity(c, density), atoms)
    assert theta == pytest.approx(213, abs=1.5)  # their error, and half of the last digit


def test_polycrystal_moduli_against_pymatgen():
    elasticity = pytest.importorskip("pymatgen.analysis.elasticity")
    noise = np.random.default_rng(3).normal(size=(6, 6))
    c = rotated(COPPER, 4) + 2 * (noise + noise.T)  # triclinic
    theirs, ours = elasticity.ElasticTensor.from_voigt(c), polycrystal_moduli(c)
    for name in ("voigt", "reuss"):
        assert getattr(ours, name).bulk_gpa == pytest.approx(getattr(theirs, f"k_{name}"), rel=1e-10)  # rounding
        assert getattr(ours, name).shear_gpa == pytest.approx(getattr(theirs, f"g_{name}"), rel=1e-10)
    assert ours.anisotropy == pytest.approx(theirs.universal_anisotropy, rel=1e-8)  # a difference of near numbers


def test_hill_lies_between_the_bounds_for_an_anisotropic_crystal():
    averages = polycrystal_moduli(COPPER)
    assert averages.reuss.shear_gpa < averages.hill.shear_gpa < averages.voigt.shear_gpa
    assert averages.reuss.bulk_gpa == pytest.approx(averages.voigt.bulk_gpa, rel=1e-12)  # cubic: rounding


def test_born_stability_of_a_cubic_crystal():
    """c11 > c12, c11 + 2 c12 > 0, c44 > 0, and the eigenvalues themselves."""
    values = kelvin_moduli(cubic(100, 60, 30))
    np.testing.assert_allclose(values, [40, 40, 60, 60, 60, 220], rtol=1e-12)
    assert born_stable(cubic(100, 60, 30))
    for unstable in (cubic(100, 101, 30), cubic(100, -51, 30), cubic(100, 60, -1)):
        assert not born_stable(unstable)
        for call in (polycrystal_moduli, lambda c: debye_mean_velocity(c, 5000.0)):
            with pytest.raises(ValueError, match="not Born stable"):
                call(unstable)


def test_acoustics_of_both_sources_agree_for_an_isotropic_solid():
    v_l, v_t, density, atoms = 4100.0, 2300.0, 6100.0, 0.05
    moduli = isotropic_moduli(v_l, v_t, density)
    lame = moduli.bulk_gpa - 2 / 3 * moduli.shear_gpa
    ours = acoustics_of_stiffness(cubic(lame + 2 * moduli.shear_gpa, lame, moduli.shear_gpa), density, atoms)
    other = acoustics_of_velocities(v_l, v_t, atoms)
    for name in other.__dataclass_fields__:
        assert getattr(ours, name) == pytest.approx(getattr(other, name), rel=1e-10)  # rounding
    # k_B Theta = h nu
    assert other.debye_frequency_thz == pytest.approx(other.debye_temperature_K * 0.0208366, rel=1e-6)  # six digits


def test_limits_of_cu7ps6_depend_on_which_mean_is_meant(shared_data):
    """1750 m/s gives the 0.29 W/(m K) of Shen et al. as an arithmetic mean; as a Debye mean it would be 0.34."""
    entries = yaml.safe_load((shared_data / "structures.yaml").read_text())["entries"]
    cell = next(e for e in entries if e["id"] == "cu7ps6-p213-proto")
    atoms = cell["checks"]["n_atoms_in_cell"] / cell["lattice"]["volume"]
    assert diffuson_limit(atoms, 1750.0, 1750.0) == pytest.approx(0.29, abs=0.005)  # two digits
    arithmetic = 1750 * 3 / 4  # v_L = 2 v_T: the printed Poisson number, 1/3
    as_arithmetic = acoustics_of_velocities(2 * arithmetic, arithmetic, atoms)
    assert as_arithmetic.diffuson_limit == pytest.approx(0.29, abs=0.005)
    transverse = 1750 / float(mean_sound_velocity(2000.0, 1000.0)) * 1000
    as_debye = acoustics_of_velocities(2 * transverse, transverse, atoms)
    assert as_debye.mean_m_s == pytest.approx(1750, rel=1e-12)
    assert as_debye.diffuson_limit == pytest.approx(0.34, abs=0.005)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: poisson_number(3.0, 1.7), "in m/s"),
        (lambda: poisson_number(1700.0, 3000.0), "swapped"),
        (lambda: grueneisen_number(np.nan, 1700.0), "in m/s"),
        (lambda: isotropic_moduli(3000.0, 1700.0, 4.5), "g/cm"),
        (lambda: isotropic_velocities(IsotropicModuli(bulk_gpa=50, shear_gpa=0), 4500.0), "positive"),
        (lambda: isotropic_velocities(IsotropicModuli(bulk_gpa=50e9, shear_gpa=20e9), 4500.0), "GPa"),
        (lambda: kelvin_moduli(np.eye(3)), "6x6"),
        (lambda: kelvin_moduli(np.triu(np.ones((6, 6))) + 5 * np.eye(6)), "not symmetric"),
        (lambda: debye_mean_velocity(SILICON * 10, SILICON_DENSITY / 2.5), "GPa"),  # kbar
        (lambda: debye_mean_velocity(SILICON, 2.329), "g/cm"),
        (lambda: christoffel_velocities(SILICON, SILICON_DENSITY, [[0, 0, 0]]), "non-zero"),
        (lambda: christoffel_velocities(SILICON, SILICON_DENSITY, [[1, 0]]), "Cartesian"),
        (lambda: acoustics_of_velocities(8433.0, 5844.0, 49.9), "nm\\^3"),
        (lambda: acoustics_of_stiffness(SILICON, SILICON_DENSITY, 0.005), "all atoms"),
        # one wave along z carries almost nothing: the mean of v^-3 hangs on that direction
        (lambda: debye_mean_velocity(np.diag([100.0, 100, 100, 0.02, 100, 100]), 5000.0), "almost soft"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
