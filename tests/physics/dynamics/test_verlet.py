"""The compiled loop without a bath: ASE's trajectory, error of second order, reversible, frozen atoms."""

import numpy as np
import pytest
from ase import units
from ase.md.verlet import VelocityVerlet

FS = units.fs


def test_trajectory_of_ase(binding_potential, moving, make_loop, sample):
    """The same equations and forces: what differs is rounding, 1e-16, and how fast it grows in 200 steps."""
    loop = make_loop(binding_potential, moving, 2.0)
    rows = sample(loop, 200, positions=10, velocities=10, thermo=10, snapshots=10)
    atoms = moving.copy()
    atoms.calc = binding_potential.calculator()
    integrator = VelocityVerlet(atoms, 2.0 * FS)
    for k in range(20):
        integrator.run(10)
        np.testing.assert_allclose(rows["positions"][k], atoms.positions, atol=1e-9)
        np.testing.assert_allclose(rows["velocities"][k], atoms.get_velocities(), atol=1e-9)
        np.testing.assert_allclose(rows["centres"][k], atoms.get_center_of_mass(), atol=1e-9)
        # Forces of the stiffest bonds, some 10 eV/Angstrom^2, times the positions' difference.
        np.testing.assert_allclose(rows["snapshot_forces"][k], atoms.get_forces(), atol=1e-8)
        energies = [atoms.get_kinetic_energy(), atoms.get_potential_energy(), atoms.get_total_energy()]
        np.testing.assert_allclose(rows["thermo"][k, :3], energies, atol=1e-8)
        stress = atoms.cell.volume * atoms.get_stress(include_ideal_gas=True)
        np.testing.assert_allclose(rows["thermo"][k, 3:], stress, atol=1e-7)
    np.testing.assert_array_equal(rows["snapshots"], rows["positions"])
    # The atoms did something: the neighbour list was made anew where one of them had crossed half the skin.
    assert np.ptp(rows["positions"], axis=0).max() > 0.1
    assert loop.time_spent["lists"] > 1


def test_energy_error_is_of_second_order(binding_potential, moving, make_loop, sample):
    """Verlet conserves a neighbouring energy: its distance from the true one is bounded, a quarter at half a step."""
    spread = []
    for timestep, steps in ((2.0, 400), (1.0, 800)):
        total = sample(make_loop(binding_potential, moving, timestep), steps, thermo=1)["thermo"][:, 2]
        spread.append(total.std())
    # The corrections are of the fourth order: (timestep times frequency)^2 / 12, a few per cent at 2 fs.
    assert spread[0] / spread[1] == pytest.approx(4.0, rel=0.1)


def test_no_drift_of_energy(binding_potential, moving, make_loop, sample):
    total = sample(make_loop(binding_potential, moving, 2.0), 20000, thermo=10)["thermo"][:, 2]
    quarter = len(total) // 4
    # The error depends on how the modes share the energy, which changes slowly: not all of it averages out in 10 ps.
    assert abs(total[-quarter:].mean() - total[:quarter].mean()) < 0.5 * total.std()


def test_time_can_be_turned_round(binding_potential, moving, make_loop, sample):
    loop = make_loop(binding_potential, moving, 2.0)
    sample(loop, 100)
    loop.set_state(loop.positions, -loop.velocities, 0)
    sample(loop, 100)
    # Rounding again, there and back.
    np.testing.assert_allclose(loop.positions, moving.positions, atol=1e-10)
    np.testing.assert_allclose(loop.velocities, -moving.get_velocities(), atol=1e-10)


def test_frozen_atoms_stay(binding_potential, moving, make_loop, sample):
    for name in ("none", "langevin", "bussi", "nose-hoover"):
        thermostat = {"name": name, "kt": units.kB * 300, "time": 50 * FS, "seed": 1}
        loop = make_loop(binding_potential, moving, 2.0, frozen=(1, 4), thermostat=thermostat)
        assert loop.degrees == 3 * 6
        sample(loop, 50)
        np.testing.assert_array_equal(loop.positions[[1, 4]], moving.positions[[1, 4]])
        np.testing.assert_array_equal(loop.velocities[[1, 4]], 0.0)
        assert np.abs(np.delete(loop.positions - moving.positions, [1, 4], axis=0)).min() > 1e-4


def test_energy_is_conserved_beside_frozen_atoms(binding_potential, moving, make_loop, sample):
    thermo = sample(make_loop(binding_potential, moving, 1.0, frozen=(1, 4)), 400, thermo=1)["thermo"]
    # (timestep times the highest frequency of some 60 / ps)^2 / 8 of the energy exchanged.
    assert thermo[:, 2].std() < 2e-3 * thermo[:, 0].std()


def test_runs_in_pieces_are_one_run(binding_potential, moving, make_loop, sample):
    """Rows are due by the number of the step, not by that of the call."""
    whole, pieces = (make_loop(binding_potential, moving, 2.0) for _ in range(2))
    expected = sample(whole, 60, origin=5, positions=7, thermo=15)
    rows = [sample(pieces, n, origin=5, positions=7, thermo=15) for n in (1, 12, 7, 40)]
    for name, values in expected.items():
        np.testing.assert_array_equal(np.concatenate([row[name] for row in rows]), values)
    assert len(expected["positions"]) == 8  # steps 5, 12, ..., 54


def test_what_is_not_asked_for_is_not_there(binding_potential, moving, make_loop, sample):
    assert all(len(values) == 0 for values in sample(make_loop(binding_potential, moving, 2.0), 3).values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timestep_fs": 0.0}, "timestep must be positive"),
        ({"timestep_fs": 1.0, "frozen": tuple(range(8))}, "no atom can move"),
        ({"timestep_fs": 1.0, "thermostat": {"name": "berendsen", "kt": 1.0, "time": 1.0}}, "no thermostat berendsen"),
        ({"timestep_fs": 1.0, "thermostat": {"name": "bussi", "kt": 0.0, "time": 1.0}}, "positive temperature"),
    ],
)
def test_impossible_loops(binding_potential, moving, make_loop, options, message):
    with pytest.raises(ValueError, match=message):
        make_loop(binding_potential, moving, **options)
