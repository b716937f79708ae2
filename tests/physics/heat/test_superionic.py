"""Heat in a crystal through which ions move: what depends on where energies are counted from, and what does not."""

import numpy as np
import pytest
from ase.build import bulk

from aiida_iontherm.physics.dynamics import CompiledDynamics, MdSettings
from aiida_iontherm.physics.dynamics.reducers import DisplacementReducer, RelativeTo
from aiida_iontherm.physics.heat import cepstral, green_kubo, onsager_kappa
from aiida_iontherm.physics.ions.melting import framework_diffuses
from aiida_iontherm.physics.mtp import MomentTensorPotential

TIMESTEP_FS = 4.0


def run(species_energies):
    """Large ions on a face-centred lattice that repel each other, and small ones in its holes that do so little."""
    blank = MomentTensorPotential.new(level=2, species=["Cu", "I"], cutoff=4.8, min_distance=1.5, radial_size=2)
    radial = np.zeros_like(blank.radial_coeffs)
    radial[..., 0, 0] = [[0.05, 0.1], [0.1, 4.0]]
    potential = blank.replace(
        radial_coeffs=radial, moment_coeffs=np.array([1.0]), species_coeffs=np.asarray(species_energies, dtype=float)
    )
    crystal = bulk("CuI", "zincblende", a=6.0, cubic=True) * (2, 2, 2)
    symbols = np.array(crystal.get_chemical_symbols())
    settings = MdSettings(
        temperature_k=700.0,
        timestep_fs=TIMESTEP_FS,
        equilibration_steps=2000,
        production_steps=20_000,
        position_stride=10,
        snapshot_stride=0,
        current_stride=1,
        block_steps=500,
        seed=1,
    )
    groups = {name: np.flatnonzero(symbols == name) for name in ("Cu", "I")}
    displacements = DisplacementReducer(groups, TIMESTEP_FS / 100)
    reducers = {"displacements": RelativeTo(displacements, groups["I"], crystal.get_masses())}
    dynamics = CompiledDynamics(crystal, potential, settings, groups["Cu"], reducers=reducers)
    while not dynamics.finished:
        dynamics.run_block()
    return dynamics


@pytest.fixture(scope="module")
def both():
    """The same run twice: the second time every copper ion counts 1 eV more."""
    return run([0.0, 0.0]), run([1.0, 0.0])


def currents(dynamics):
    stored = dynamics.observables()
    heat = (stored["heat_virial"] + stored["heat_convective"]).sum(axis=1)
    return heat, stored["mass_currents"][:, 0]


@pytest.fixture(scope="module")
def where(both):
    thermo = both[0].observables()["thermo"][4:, 1]
    return TIMESTEP_FS, float(thermo.mean()), both[0].atoms.cell.volume


@pytest.mark.slow
def test_it_is_a_superionic_crystal(both):
    reduced = both[0].reduced()
    lags, copper, iodine = (reduced[name] for name in ("msd_lags_ps", "msd_Cu", "msd_I"))
    # Copper has left its site (2.1 Angstrom from the next hole) several times, iodine never.
    assert copper.sum(axis=1)[lags > 20].max() > 20
    assert framework_diffuses(lags, copper.sum(axis=1), 2.6)
    assert not framework_diffuses(lags, iodine.sum(axis=1), 2.6)


@pytest.mark.slow
def test_what_a_shift_of_energies_does_to_the_current(both):
    """1 eV with each copper ion adds as much of the current of their number, until rounding has grown."""
    (heat, ions), (moved, again) = ((values[:250] for values in currents(dynamics)) for dynamics in both)
    np.testing.assert_allclose(again, ions, atol=1e-6 * np.abs(ions).max())
    np.testing.assert_allclose(moved - heat, ions / 63.546, atol=1e-6 * np.abs(heat).max())


@pytest.mark.slow
def test_only_the_bare_conductivity_depends_on_the_zero_of_energy(both, where):
    heat, ions = currents(both[0])
    moved = heat + ions / 63.546
    for estimate in (cepstral, onsager_kappa):
        before, after = (estimate([flux, ions], *where, axes="xyz").value for flux in (heat, moved))
        assert after == pytest.approx(before, rel=1e-8)  # rounding
    before, after = (green_kubo(flux, *where).value for flux in (heat, moved))
    assert abs(after / before - 1) > 0.02
