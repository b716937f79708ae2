"""The driver on argon and metals: conserved energy, right temperature, exact continuation, lost runs."""

import warnings

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from aiida_iontherm.physics.dynamics import MdSettings, MolecularDynamics, UnstableRunError
from aiida_iontherm.physics.mtp import MomentTensorPotential


def argon(repeat: int = 2) -> Atoms:
    return bulk("Ar", "fcc", a=5.3, cubic=True) * (repeat, repeat, repeat)


def lennard_jones() -> LennardJones:
    return LennardJones(epsilon=0.0104, sigma=3.4, rc=7.0, ro=5.6, smooth=True)


def harmonic_potential() -> MomentTensorPotential:
    """A level-2 potential that binds a cubic crystal of Cu and I: repulsive pairs held at a fixed volume."""
    blank = MomentTensorPotential.new(level=2, species=["Cu", "I"], cutoff=4.5, min_distance=1.5, radial_size=2, seed=1)
    return blank.replace(moment_coeffs=np.array([2.0]))


def alloy() -> Atoms:
    return bulk("CuI", "rocksalt", a=5.4, cubic=True)


def run(dynamics: MolecularDynamics, blocks: int | None = None) -> MolecularDynamics:
    while not dynamics.finished and blocks != 0:
        dynamics.run_block()
        blocks = None if blocks is None else blocks - 1
    return dynamics


def settings(**changes) -> MdSettings:
    defaults = {
        "temperature_k": 40.0,
        "timestep_fs": 4.0,
        "equilibration_steps": 40,
        "production_steps": 60,
        "position_stride": 5,
        "snapshot_stride": 10,
        "velocity_stride": 4,
        "block_steps": 20,
        "seed": 3,
    }
    return MdSettings(**(defaults | changes))


MOBILE = np.arange(4)


def test_total_energy_is_conserved():
    """Verlet's energy error is bounded and falls with the square of the timestep."""
    spread = []
    for timestep, steps in ((8.0, 100), (4.0, 200)):
        plan = settings(
            timestep_fs=timestep, equilibration_steps=0, production_steps=steps, block_steps=10, velocity_stride=0
        )
        thermo = run(MolecularDynamics(argon(), lennard_jones(), plan, MOBILE)).observables()["thermo"]
        kinetic = thermo[:, 3] - thermo[:, 2]
        # The exchange of kinetic and potential energy is what the error is compared with.
        spread.append(thermo[:, 3].std() / kinetic.std())
    assert spread[1] < 2e-3
    # A factor of 4 in theory; the two samples of phases differ.
    assert spread[0] / spread[1] == pytest.approx(4.0, rel=0.5)


def test_mtp_run_conserves_energy():
    plan = settings(
        temperature_k=300.0, timestep_fs=1.0, equilibration_steps=0, production_steps=200, velocity_stride=0
    )
    dynamics = run(MolecularDynamics(alloy(), harmonic_potential().calculator(), plan, MOBILE))
    thermo = dynamics.observables()["thermo"]
    # (timestep times the highest frequency of some 30 / ps)^2 / 8 of the exchanged energy.
    assert thermo[:, 3].std() < 2e-3 * (thermo[:, 3] - thermo[:, 2]).std()


@pytest.mark.slow
def test_thermostat_holds_the_mean_temperature():
    """Harmonic enough and long against the friction: the mean kinetic temperature is the target."""
    plan = settings(
        temperature_k=300.0,
        timestep_fs=4.0,
        equilibration_steps=500,
        production_steps=6000,
        friction_per_ps=10.0,
        ensemble="nvt",
        position_stride=0,
        snapshot_stride=0,
        velocity_stride=0,
        block_steps=10,
    )
    dynamics = run(MolecularDynamics(alloy(), harmonic_potential().calculator(), plan, MOBILE))
    thermo = dynamics.observables()["thermo"][50:]
    blocks = thermo[:, 1].reshape(10, -1).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(len(blocks))
    # 21 degrees of freedom fluctuate by 31 %; blocks of 2.4 ps are 24 friction times.
    assert error < 0.03 * 300
    # Four standard errors and the bias of the integrator, (timestep times frequency)^2 / 12, some 0.2 %.
    assert blocks.mean() == pytest.approx(300.0, abs=4 * error + 2.0)


def test_thermostat_leaves_the_centre_of_mass_at_rest():
    """Unequal masses: neither positions nor momenta of the whole cell may be pushed by the random forces."""
    plan = settings(temperature_k=300.0, timestep_fs=1.0, ensemble="nvt")
    dynamics = MolecularDynamics(alloy(), harmonic_potential().calculator(), plan, MOBILE)
    start = dynamics.atoms.get_center_of_mass()
    run(dynamics)
    # Rounding of a hundred steps.
    np.testing.assert_allclose(dynamics.atoms.get_center_of_mass(), start, atol=1e-11)
    np.testing.assert_allclose(dynamics.atoms.get_momenta().sum(axis=0), 0, atol=1e-11)


def test_stored_forces_are_the_calculators():
    """The constraint that holds the centre of mass must not show in forces that force constants are fitted to."""
    plan = settings(temperature_k=300.0, timestep_fs=1.0, ensemble="nvt")
    potential = harmonic_potential()
    dynamics = run(MolecularDynamics(alloy(), potential.calculator(), plan, MOBILE))
    stored = dynamics.observables()
    for positions, forces in zip(stored["snapshots"], stored["snapshot_forces"], strict=True):
        atoms = alloy()
        atoms.positions = positions
        # Another order of neighbours in the sums.
        np.testing.assert_allclose(forces, potential.evaluate(atoms).forces, atol=1e-12)


def test_nothing_is_said_on_the_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(MolecularDynamics(argon(1), CALCULATORS["lj"](), settings(ensemble="nvt"), MOBILE))


def test_shapes_and_times_of_what_is_stored():
    plan = settings()
    dynamics = MolecularDynamics(argon(1), lennard_jones(), plan, MOBILE[:2])
    assert dynamics.temperature == 0.0
    assert {name: len(array) for name, array in dynamics.observables().items()} == dict.fromkeys(
        ("thermo", "mobile_positions", "drift", "snapshots", "snapshot_forces", "velocities"), 0
    )
    stored = run(dynamics).observables()
    assert stored["mobile_positions"].shape == (12, 2, 3)
    assert stored["drift"].shape == (12, 3)
    assert stored["snapshots"].shape == stored["snapshot_forces"].shape == (6, 4, 3)
    assert stored["velocities"].shape == (15, 4, 3)
    # Five blocks of 20 steps of 4 fs; the first two equilibrate.
    np.testing.assert_allclose(stored["thermo"][:, 0], 0.08 * np.arange(1, 6))
    assert dynamics.temperature == stored["thermo"][-1, 1]
    np.testing.assert_allclose(stored["snapshots"][-1], dynamics.atoms.positions, atol=0)
    # float32 in Angstrom/ps; ASE's velocities are in Angstrom per its own unit of time.
    np.testing.assert_allclose(stored["velocities"][-1], dynamics.atoms.get_velocities() * 1000 * units.fs, rtol=1e-6)


def test_nve_keeps_the_mean_energy_of_the_equilibration():
    """The second half of the equilibration sets the energy of the production."""
    plan = settings(equilibration_steps=160, production_steps=40, timestep_fs=4.0)
    stored = run(MolecularDynamics(argon(), lennard_jones(), plan, MOBILE)).observables()["thermo"]
    wanted = stored[4:8, 3].mean()
    # Verlet's error as above.
    np.testing.assert_allclose(stored[8:, 3], wanted, atol=2e-3 * abs(stored[8:, 3] - stored[8:, 2]).max())


def test_strides_longer_than_a_block():
    """Snapshots every three blocks, counted from the start of the production, also after a restart in between."""
    plan = settings(production_steps=140, snapshot_stride=60, velocity_stride=40)
    stored = run(MolecularDynamics(argon(1), lennard_jones(), plan, MOBILE)).observables()
    assert len(stored["snapshots"]) == 2
    assert len(stored["velocities"]) == 3
    # Positions are stored every 5 steps: the snapshots are the frames 12 and 24 of them, to the last bit of float32.
    np.testing.assert_array_equal(
        stored["snapshots"][:, MOBILE].astype(np.float32), stored["mobile_positions"][[11, 23]]
    )
    first = run(MolecularDynamics(argon(1), lennard_jones(), plan, MOBILE), 4)
    second = MolecularDynamics(argon(1), lennard_jones(), plan, MOBILE)
    second.restore(*first.state())
    np.testing.assert_array_equal(run(second).observables()["snapshots"], stored["snapshots"])


CALCULATORS = {
    "lj": lennard_jones,
    "emt": EMT,
    "mtp": lambda: harmonic_potential().calculator(),
}
CRYSTALS = {
    "lj": lambda: argon(1),
    "emt": lambda: bulk("Cu", "fcc", a=3.6, cubic=True) * (2, 1, 1),
    "mtp": alloy,
}


@pytest.mark.parametrize("name", CALCULATORS)
@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_continued_run_is_the_uninterrupted_one(name, ensemble):
    """Bit by bit, from within the equilibration, its end, and the production; calculators with a memory included."""
    plan = settings(temperature_k=150.0, timestep_fs=2.0, equilibration_steps=80, ensemble=ensemble)
    straight = run(MolecularDynamics(CRYSTALS[name](), CALCULATORS[name](), plan, MOBILE))
    assert plan.blocks == 7
    for blocks in (2, 4, 6):
        first = run(MolecularDynamics(CRYSTALS[name](), CALCULATORS[name](), plan, MOBILE), blocks)
        meta, arrays = first.state()
        run(first, 1)  # what is done after the state was taken must not leak into it
        second = MolecularDynamics(CRYSTALS[name](), CALCULATORS[name](), plan, MOBILE)
        second.restore(meta, arrays)
        run(second)
        for key, values in straight.observables().items():
            np.testing.assert_array_equal(second.observables()[key], values, err_msg=f"{key} from block {blocks}")
        np.testing.assert_array_equal(second.atoms.positions, straight.atoms.positions)
        np.testing.assert_array_equal(second.atoms.get_momenta(), straight.atoms.get_momenta())


def test_same_seed_same_run_other_seed_another():
    def last(seed):
        return run(MolecularDynamics(argon(1), lennard_jones(), settings(seed=seed), MOBILE)).atoms.positions

    np.testing.assert_array_equal(last(1), last(1))
    assert not np.array_equal(last(1), last(2))


def test_too_long_a_timestep_is_noticed():
    plan = settings(timestep_fs=400.0, equilibration_steps=0)
    with pytest.raises(UnstableRunError, match=r"instead of 40 K"):
        run(MolecularDynamics(argon(), lennard_jones(), plan, MOBILE))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow in ASE's neighbour search on the way
@pytest.mark.parametrize("scale", [1e3, 1e12, 1e200, -1e6])
def test_absurd_potentials_are_noticed(scale):
    """Forces from merely wrong to beyond floating point end in the same message, not in a neighbour list of NaN."""
    potential = harmonic_potential()
    potential = potential.replace(moment_coeffs=scale * potential.moment_coeffs)
    atoms = alloy()
    atoms.rattle(0.1, seed=5)
    with pytest.raises(UnstableRunError, match=r"instead of 40 K"):
        run(MolecularDynamics(atoms, potential.calculator(), settings(timestep_fs=2.0), MOBILE))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature_k": 0.0}, "temperature_k must be positive"),
        ({"timestep_fs": -1.0}, "timestep_fs must be positive"),
        ({"friction_per_ps": 0.0}, "friction_per_ps must be positive"),
        ({"production_steps": 0}, "production_steps must be positive"),
        ({"equilibration_steps": -1}, "equilibration_steps must not be negative"),
        ({"ensemble": "nph"}, "ensemble must be nve or nvt or npt"),
        ({"snapshot_stride": 7}, "snapshot_stride = 7 must divide"),
        ({"position_stride": -5}, "position_stride = -5 must divide"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        settings(**change)


def test_lengths_are_rounded_up_to_whole_blocks():
    plan = settings(equilibration_steps=21, production_steps=41)
    assert (plan.equilibration_blocks, plan.blocks) == (2, 5)


def test_a_single_atom_is_refused():
    with pytest.raises(ValueError, match="at least 2 atoms"):
        MolecularDynamics(bulk("Ar", "fcc", a=5.3), lennard_jones(), settings(), MOBILE[:1])
