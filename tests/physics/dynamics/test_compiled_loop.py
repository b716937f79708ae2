"""Runs in blocks on the compiled loop: exact continuation, the same record as with ASE, lost and watched runs."""

import numpy as np
import pytest
from ase import units

from aiida_iontherm.physics.dynamics import (
    CompiledDynamics,
    ExtrapolationWatch,
    HeatExchangeSettings,
    MdSettings,
    MolecularDynamics,
    UnstableRunError,
    WatchSettings,
)
from aiida_iontherm.physics.dynamics.reducers import Reducer, RelativeTo

MOBILE = np.array([0, 2, 4])


def settings(**changes) -> MdSettings:
    defaults = {
        "temperature_k": 300.0,
        "timestep_fs": 2.0,
        "equilibration_steps": 80,
        "production_steps": 60,
        "position_stride": 5,
        "snapshot_stride": 10,
        "velocity_stride": 4,
        "thermo_stride": 10,
        "current_stride": 2,
        "block_steps": 20,
        "seed": 3,
    }
    return MdSettings(**(defaults | changes))


def run(dynamics, blocks=None):
    while not dynamics.finished and blocks != 0:
        dynamics.run_block()
        blocks = None if blocks is None else blocks - 1
    return dynamics


ENSEMBLES = {
    "nve": {"ensemble": "nve"},
    "langevin": {"ensemble": "nvt", "thermostat": "langevin"},
    "bussi": {"ensemble": "nvt", "thermostat": "bussi"},
    "nose-hoover": {"ensemble": "nvt", "thermostat": "nose-hoover"},
    "npt": {"ensemble": "npt", "thermostat": "bussi", "barostat": "triclinic", "pressure_gpa": 200.0},
    "heat exchange": {"heat_exchange": HeatExchangeSettings(axis=0, slabs=4, power_ev_per_ps=0.01, profile_stride=5)},
}


@pytest.fixture
def crystal(crystal):
    """Its planes in the middle of the slabs, two atoms in each."""
    crystal.translate([0.955, 0.0, 0.0])
    return crystal


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ENSEMBLES)
def test_continued_run_is_the_uninterrupted_one(binding_potential, crystal, name, threads):
    """Bit by bit, from within the equilibration, its end, and the production."""
    plan = settings(**ENSEMBLES[name])

    def fresh():
        return CompiledDynamics(crystal, binding_potential, plan, MOBILE, threads=threads)

    straight = run(fresh())
    for blocks in (2, 4, 6):
        first = run(fresh(), blocks)
        meta, arrays = first.state()
        run(first, 1)  # what is done after the state was taken must not leak into it
        second = fresh()
        second.restore(meta, arrays)
        run(second)
        for key, values in straight.observables().items():
            np.testing.assert_array_equal(second.observables()[key], values, err_msg=f"{key} from block {blocks}")
        np.testing.assert_array_equal(second.atoms.positions, straight.atoms.positions)
        np.testing.assert_array_equal(second.atoms.cell.array, straight.atoms.cell.array)
        np.testing.assert_array_equal(second.atoms.get_momenta(), straight.atoms.get_momenta())


def test_cell_at_constant_pressure(binding_potential, crystal):
    """The stored cells are those the atoms had, and stresses are of the volume of the moment."""
    plan = settings(**ENSEMBLES["npt"] | {"snapshot_stride": 10})
    dynamics = run(CompiledDynamics(crystal, binding_potential, plan, MOBILE))
    stored = dynamics.observables()
    np.testing.assert_array_equal(stored["cells"][-1], dynamics.atoms.cell.array)
    assert np.ptp(stored["cells"], axis=0).max() > 1e-3
    atoms = dynamics.atoms
    atoms.set_cell(stored["cells"][2])
    atoms.positions = stored["snapshots"][2]
    pressure = -np.trace(binding_potential.evaluate(atoms).stress) / 3
    kinetic = 2 * units.kB * stored["thermo_series"][2, 0] * 21 / 2 / (3 * atoms.cell.volume)
    assert -stored["thermo_series"][2, 4:7].mean() == pytest.approx(pressure + kinetic, rel=1e-9)  # other sums


class FramesInCells(Reducer):
    """Keeps what it is given."""

    source = "mobile_positions"

    def __init__(self):
        self.frames, self.cells = [], []

    def add(self, frames):
        self.frames.extend(frames)

    def add_in_cells(self, frames, cells):
        self.add(frames)
        self.cells.extend(cells)

    def results(self):
        return {}

    def state(self):
        return {}

    def restore(self, arrays):
        pass


def test_reducers_have_the_cells_of_their_frames(binding_potential, crystal):
    """Positions in these cells have the energies of the run; against the framework they are in the same cells."""
    plan = settings(**ENSEMBLES["npt"])
    plain, relative = FramesInCells(), FramesInCells()
    reducers = {"plain": plain, "relative": RelativeTo(relative, np.arange(8), crystal.get_masses())}
    stored = run(CompiledDynamics(crystal, binding_potential, plan, MOBILE, reducers=reducers)).observables()
    assert len(plain.frames) == len(plain.cells) == 12
    # positions every five steps, cells every ten
    np.testing.assert_array_equal(plain.cells[1::2], stored["cells"])
    np.testing.assert_array_equal(relative.cells, plain.cells)
    atoms = crystal.copy()
    for frame, cell, energy in zip(plain.frames[1::2], plain.cells[1::2], stored["thermo_series"][:, 1], strict=True):
        atoms.set_cell(cell)
        atoms.positions = frame
        assert binding_potential.evaluate(atoms).energy == pytest.approx(energy, rel=1e-12)  # other sums


def test_reducers_have_no_cells_where_these_stay(binding_potential, crystal):
    plain = FramesInCells()
    run(CompiledDynamics(crystal, binding_potential, settings(ensemble="nvt"), MOBILE, reducers={"plain": plain}))
    assert len(plain.frames) == 12
    assert not plain.cells


def test_frozen_atoms_at_constant_pressure_are_refused(binding_potential, crystal):
    with pytest.raises(ValueError, match="frozen atoms have no place"):
        CompiledDynamics(crystal, binding_potential, settings(**ENSEMBLES["npt"]), MOBILE, frozen=np.array([1]))


def test_profile_must_fit_the_watch(binding_potential, crystal):
    watch = ExtrapolationWatch(lambda atoms: np.ones(len(atoms)), WatchSettings(stride=4))
    with pytest.raises(ValueError, match="must divide the stride of the watch"):
        CompiledDynamics(crystal, binding_potential, settings(**ENSEMBLES["heat exchange"]), MOBILE, watch)


def test_threads_share_the_random_numbers(binding_potential, crystal):
    """Only the order of sums differs: rounding, amplified over 140 steps of a small cell."""
    one, two = (
        run(CompiledDynamics(crystal, binding_potential, settings(ensemble="nvt"), MOBILE, threads=threads))
        for threads in (1, 2)
    )
    np.testing.assert_allclose(one.atoms.positions, two.atoms.positions, atol=1e-9)


def test_record_of_a_run_with_ase(binding_potential, crystal):
    """Both begin with the same velocities; without a bath they stay together to what rounding grows to in 100 steps."""
    plan = settings(equilibration_steps=0, production_steps=100)
    ours = run(CompiledDynamics(crystal, binding_potential, plan, MOBILE)).observables()
    ase_plan = settings(equilibration_steps=0, production_steps=100, thermo_stride=0, current_stride=0)
    theirs = run(MolecularDynamics(crystal, binding_potential.calculator(), ase_plan, MOBILE)).observables()
    assert set(ours) - set(theirs) == {"thermo_series", "cells", "heat_virial", "heat_convective", "mass_currents"}
    for name, values in theirs.items():
        assert ours[name].dtype == values.dtype, name
        # float32 positions of some 5 Angstrom, velocities of some 10 Angstrom/ps; temperatures of some 600 K.
        atol = 1e-6 if values.dtype == np.float32 else 1e-7
        np.testing.assert_allclose(ours[name], values, atol=atol, rtol=1e-6, err_msg=name)


def test_shapes_and_units_of_what_is_stored(binding_potential, crystal):
    dynamics = run(
        CompiledDynamics(crystal, binding_potential, settings(ensemble="nvt"), MOBILE, velocity_atoms=np.array([1, 6]))
    )
    stored = dynamics.observables()
    assert dynamics.current_species == ("Cu", "I")
    assert {name: values.shape for name, values in stored.items()} == {
        "thermo": (7, 5),
        "mobile_positions": (12, 3, 3),
        "drift": (12, 3),
        "snapshots": (6, 8, 3),
        "snapshot_forces": (6, 8, 3),
        "velocities": (15, 2, 3),
        "thermo_series": (6, 10),
        "cells": (6, 3, 3),
        "heat_virial": (30, 2, 3),
        "heat_convective": (30, 2, 3),
        "mass_currents": (30, 2, 3),
    }
    # Every second row of the series is the end of a block of the production.
    blocks, series = stored["thermo"][4:], stored["thermo_series"][1::2]
    np.testing.assert_allclose(blocks[:, 1:4], series[:, :3], rtol=1e-12)  # two ways to sum
    np.testing.assert_allclose(blocks[:, 4], -series[:, 4:7].mean(axis=1), rtol=1e-10)
    atoms = dynamics.atoms
    velocities = atoms.get_velocities() * 1000 * units.fs
    np.testing.assert_allclose(stored["velocities"][-1], velocities[[1, 6]], rtol=1e-6)  # float32
    evaluation = binding_potential.evaluate(atoms)
    copper = atoms.numbers == 29
    # Another order of sums.
    np.testing.assert_allclose(
        stored["heat_virial"][-1, 0], np.einsum("jab,jb->a", evaluation.virials[copper], velocities[copper]), rtol=1e-9
    )
    masses = atoms.get_masses()
    np.testing.assert_allclose(stored["mass_currents"][-1, 0], masses[copper] @ velocities[copper], rtol=1e-9)
    energies = evaluation.energies + 0.5 * masses * np.sum(atoms.get_velocities() ** 2, axis=1)
    np.testing.assert_allclose(stored["heat_convective"][-1, 1], energies[~copper] @ velocities[~copper], rtol=1e-9)


def test_drift_is_that_of_the_framework(binding_potential, crystal):
    """Centre of mass of the atoms that are not mobile, at the frames that are stored."""
    plan = settings(position_stride=10)
    stored = run(CompiledDynamics(crystal, binding_potential, plan, MOBILE)).observables()
    framework = np.setdiff1d(np.arange(8), MOBILE)
    masses = crystal.get_masses()[framework]
    expected = np.average(stored["snapshots"][:, framework], axis=1, weights=masses)
    np.testing.assert_allclose(stored["drift"], expected, atol=1e-12)  # rounding
    assert np.ptp(expected, axis=0).max() > 1e-3
    everyone = run(CompiledDynamics(crystal, binding_potential, plan, np.arange(8))).observables()
    np.testing.assert_allclose(everyone["drift"], np.tile(crystal.get_center_of_mass(), (6, 1)), atol=1e-11)


def test_species_that_are_not_there_have_no_current(binding_potential, crystal):
    crystal.symbols[:] = "I"
    dynamics = run(CompiledDynamics(crystal, binding_potential, settings(), MOBILE))
    assert dynamics.current_species == ("I",)
    assert dynamics.observables()["mass_currents"].shape == (30, 1, 3)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_conserved_energy_of_the_production(binding_potential, crystal, name):
    """From block to block too: the memory of the bath goes on."""
    plan = settings(production_steps=200, **ENSEMBLES[name])
    series = run(CompiledDynamics(crystal, binding_potential, plan, MOBILE)).observables()["thermo_series"]
    # (timestep times the highest frequency of some 40 / ps)^2 of the kinetic energy of some 0.5 eV.
    assert np.ptp(series[:, 3]) < 3e-3
    if name == "nve":
        np.testing.assert_array_equal(series[:, 3], series[:, 2])
    elif name != "heat exchange":  # which takes what it gives
        assert np.ptp(series[:, 2]) > 0.05


def test_frozen_atoms(binding_potential, crystal):
    frozen = np.array([1, 3])
    dynamics = run(CompiledDynamics(crystal, binding_potential, settings(ensemble="nvt"), MOBILE, frozen=frozen))
    np.testing.assert_array_equal(dynamics.atoms.positions[frozen], crystal.positions[frozen])
    np.testing.assert_array_equal(dynamics.atoms.get_momenta()[frozen], 0.0)
    kinetic = dynamics.atoms.get_kinetic_energy()
    assert dynamics.temperature == pytest.approx(2 * kinetic / (18 * units.kB), rel=1e-12)


def test_a_run_without_a_cell_has_no_pressure(binding_potential, crystal):
    crystal.set_pbc(False)
    crystal.cell[:] = 0.0
    crystal.positions *= 1.2  # to the end of the repulsion
    plan = settings(equilibration_steps=0, production_steps=20, timestep_fs=1.0)
    stored = run(CompiledDynamics(crystal, binding_potential, plan, MOBILE)).observables()
    assert np.isnan(stored["thermo"][:, 4]).all()
    assert np.isfinite(stored["thermo"][:, :4]).all()


@pytest.mark.filterwarnings("ignore:two atoms are")
@pytest.mark.parametrize("scale", [1e3, 1e12, 1e200, -1e6])
def test_absurd_potentials_are_noticed(binding_potential, crystal, scale):
    """Forces from merely wrong to beyond floating point end in one message; a watched run keeps what came before."""
    absurd = binding_potential.replace(moment_coeffs=scale * binding_potential.moment_coeffs)
    crystal.rattle(0.1, seed=5)
    with pytest.raises(UnstableRunError, match=r"instead of 300 K"):
        run(CompiledDynamics(crystal, absurd, settings(), MOBILE))
    watch = ExtrapolationWatch(lambda atoms: np.ones(len(atoms)), WatchSettings(stride=10))
    watched = run(CompiledDynamics(crystal, absurd, settings(), MOBILE, watch))
    assert watched.broken is not None
    assert "instead of 300 K" in watched.broken.reason
    assert np.isfinite(watched.atoms.positions).all()


def test_watched_run_is_the_same_and_stops_where_told(binding_potential, crystal):
    grades = iter([0.5] * 9 + [20.0])
    watch = ExtrapolationWatch(lambda atoms: np.full(len(atoms), next(grades)), WatchSettings(stride=10))
    watched = run(CompiledDynamics(crystal, binding_potential, settings(), MOBILE, watch))
    assert watched.broken is not None
    assert watched.broken.step == 100
    plain = run(CompiledDynamics(crystal, binding_potential, settings(), MOBILE), 5)
    np.testing.assert_array_equal(watched.atoms.positions, plain.atoms.positions)
    np.testing.assert_array_equal(watched.observables()["heat_virial"], plain.observables()["heat_virial"])


def test_frames_after_the_last_look_are_dropped(binding_potential, crystal):
    """A watched run that explodes within the production ends at its last graded frame, in all series."""
    watch = ExtrapolationWatch(lambda atoms: np.ones(len(atoms)), WatchSettings(stride=20))
    dynamics = run(CompiledDynamics(crystal, binding_potential, settings(), MOBILE, watch), 5)
    hot = 40 * dynamics.atoms.get_momenta()
    dynamics.atoms.set_momenta(hot)
    run(dynamics)
    assert dynamics.broken is not None
    assert dynamics.broken.step == 100
    assert len(dynamics.observables()["heat_virial"]) == 10


def test_close_atoms_are_told(binding_potential, crystal):
    wide = binding_potential.replace(min_distance=2.69)
    plan = settings(equilibration_steps=0)
    with pytest.warns(UserWarning, match="closer than the 2.690"):
        run(CompiledDynamics(crystal, wide, plan, MOBILE))


def test_atoms_at_one_place_are_refused(binding_potential, crystal):
    crystal.positions[1] = crystal.positions[0]
    with pytest.raises(ValueError, match="at the same place"):
        run(CompiledDynamics(crystal, binding_potential, settings(), MOBILE))


def test_unknown_species_are_refused(binding_potential, crystal):
    crystal.symbols[0] = "Xe"
    with pytest.raises(ValueError, match="Xe"):
        CompiledDynamics(crystal, binding_potential, settings(), MOBILE)


@pytest.mark.parametrize("change", [{"thermostat": "bussi"}, {"thermo_stride": 10}, {"current_stride": 10}])
def test_what_only_the_compiled_loop_knows(binding_potential, crystal, change):
    plan = settings(**({"thermo_stride": 0, "current_stride": 0} | change))
    with pytest.raises(ValueError, match="need a moment tensor potential"):
        MolecularDynamics(crystal, binding_potential.calculator(), plan, MOBILE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thermostat": "berendsen"}, "thermostat must be langevin or bussi or nose-hoover, not berendsen"),
        ({"relaxation_ps": 0.0}, "relaxation_ps must be positive"),
        ({"current_stride": 7}, "current_stride = 7 must divide"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        settings(**change)
