import numpy as np
import pytest
from phonopy import Phonopy

from aiida_iontherm.physics.lattice import Phonons, irreducible_mesh, phonopy_from_phono3py
from aiida_iontherm.physics.lattice.isotopes import isotope_gamma, mass_variance, natural_mass_variance


def test_mass_variance_of_silicon_and_of_a_solid_solution():
    # Tamura's g of natural silicon as phono3py's documentation and Tamura quote it.
    assert natural_mass_variance("Si") == pytest.approx(2.01e-4, rel=5e-3)
    # Two masses m(1 +- d), half each: g = d^2.
    assert mass_variance([0.9, 1.1], [0.5, 0.5]) == pytest.approx(0.01, rel=1e-12)
    assert mass_variance([28.0], [1.0]) == 0


def test_linewidths_are_those_of_phono3pys_own_run(silicon):
    silicon.mesh_numbers = [3, 3, 3]
    silicon.init_phph_interaction(average_degenerate_weights=True)
    silicon.run_thermal_conductivity(temperatures=[300], is_isotope=True)
    theirs = silicon.thermal_conductivity
    phonopy = phonopy_from_phono3py(silicon)
    np.testing.assert_allclose(irreducible_mesh(phonopy, (3, 3, 3))[0], theirs.qpoints, atol=1e-14)
    ours = isotope_gamma(phonopy, (3, 3, 3))
    assert ours.max() > 1e-4
    # The acoustic modes at Gamma, whose tiny frequencies phono3py keeps by default: f^2 times a weight.
    np.testing.assert_allclose(ours, theirs.gamma_isotope[0], rtol=1e-9, atol=1e-9)


def test_cubic_sites_give_tamuras_formula_with_the_density_of_states(silicon):
    """On sites of cubic symmetry gamma = pi/12 f^2 g D(f), D: states per atom and THz, here from phonopy."""
    phonopy = phonopy_from_phono3py(silicon)
    mesh = (8, 8, 8)
    gamma = isotope_gamma(phonopy, mesh)
    qpoints, weights = irreducible_mesh(phonopy, mesh)
    frequencies = Phonons.from_phonopy(phonopy, qpoints=qpoints, weights=weights).frequencies_thz
    phonopy.run_mesh(mesh, is_gamma_center=True)
    phonopy.run_total_dos(freq_min=0.0, freq_max=16.0, freq_pitch=0.02)
    dos = phonopy.total_dos
    per_atom = np.interp(frequencies, dos.frequency_points, dos.dos) / 2
    expected = np.pi / 12 * frequencies**2 * natural_mass_variance("Si") * per_atom
    # The tetrahedra are cut along one diagonal, which breaks the cubic symmetry: 0.2 % in the median.
    smooth = (frequencies > 3) & (frequencies < 12)
    assert np.median(np.abs(gamma[smooth] / expected[smooth] - 1)) < 0.01
    # Over all modes the sharp peaks of the density of states count, here cut by interpolation: 2 %.
    assert weights @ gamma.sum(axis=1) == pytest.approx(weights @ expected.sum(axis=1), rel=0.03)


def test_a_pure_crystal_does_not_scatter_and_disorder_scatters_in_proportion(cucl: Phonopy):
    natural = isotope_gamma(cucl, (3, 3, 3))
    pure = isotope_gamma(cucl, (3, 3, 3), {"Cu": 0.0, "Cl": 0.0})
    assert not pure.any()
    doubled = {symbol: 2 * natural_mass_variance(symbol) for symbol in ("Cu", "Cl")}
    # Linear in g.
    np.testing.assert_allclose(isotope_gamma(cucl, (3, 3, 3), doubled), 2 * natural, rtol=1e-9, atol=1e-15)
    parts = isotope_gamma(cucl, (3, 3, 3), {"Cu": 0.0}) + isotope_gamma(cucl, (3, 3, 3), {"Cl": 0.0})
    np.testing.assert_allclose(parts, natural, rtol=1e-9, atol=1e-15)
    assert natural[0, :3].max() == 0  # acoustic at Gamma


def test_bad_input_is_refused(cucl: Phonopy):
    with pytest.raises(ValueError, match=r"for \['Ag'\]"):
        isotope_gamma(cucl, (2, 2, 2), {"Ag": 1e-4})
    with pytest.raises(ValueError, match="not be negative"):
        isotope_gamma(cucl, (2, 2, 2), {"Cu": -1e-4})
    with pytest.raises(ValueError, match="three positive integers"):
        isotope_gamma(cucl, (2, 2))
    with pytest.raises(ValueError, match="no natural isotopes of Tc"):
        natural_mass_variance("Tc")
    with pytest.raises(ValueError, match=r"sum to 0\.8"):
        mass_variance([1.0, 2.0], [0.4, 0.4])
    with pytest.raises(ValueError, match="no force constants"):
        isotope_gamma(Phonopy(cucl.unitcell, np.eye(3), primitive_matrix="F"), (2, 2, 2))
