"""A relaxation that needs more than one round, one that never comes to rest, one that loses its symmetry."""

import numpy as np
import pytest
from aiida.orm import Dict, StructureData
from ase import Atoms
from ase.build import bulk

from aiida_iontherm.materials.space_group import space_group

EMT = {"name": "emt", "options": {}}


@pytest.fixture
def relax(run_process, task_code):
    from aiida_iontherm.workchains.relax import RelaxWorkChain

    def run(atoms, **settings):
        builder = RelaxWorkChain.get_builder()
        builder.code = task_code
        builder.structure = StructureData(ase=atoms)
        builder.engine = Dict(EMT)
        builder.settings = Dict({"relax_cell": False, "force_tolerance": 0.01, "max_steps": 300} | settings)
        return run_process(builder)

    return run


@pytest.fixture
def rattled():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.15, seed=4)
    return atoms


@pytest.mark.slow
def test_goes_on_where_it_ran_out_of_steps(relax, rattled):
    once = relax(rattled)
    steps = once.outputs.output_parameters["steps"]
    assert once.is_finished_ok
    assert steps > 3
    again = relax(rattled, max_steps=steps - 2, rounds=4)
    assert again.is_finished_ok, again.exit_message
    assert len(again.called) > 1
    assert again.outputs.output_parameters["max_force_ev_per_angstrom"] <= 0.01
    never = relax(rattled, max_steps=1, rounds=1)
    assert never.exit_status == 501
    assert "Raise relax.max_steps or relax.rounds" in never.exit_message
    assert "structure" in never.outputs  # what was reached is kept


def test_a_lost_symmetry_is_told_or_stops(make_process, relaxed_to):
    cubic = bulk("Cu", cubic=True)
    lower = cubic.copy()
    lower.set_cell(cubic.cell.array @ np.diag([1, 1, 1.05]), scale_atoms=True)
    for word, status in (("tell", None), ("stop", 502)):
        code = relaxed_to(cubic, lower, word).finish()
        assert (code.status if code else None) == status
    assert "from Fm-3m (225) to I4/mmm (139)" in code.message
    assert relaxed_to(lower, cubic, "stop").finish() is None  # a higher one is welcome


@pytest.fixture
def relaxed_to(make_process):
    """A chain whose relaxation has just ended with a certain cell."""

    def make(before, after, word):
        settings = {"relax_cell": True, "force_tolerance": 0.01, "max_steps": 10, "symmetry_lost": word}
        process = make_process(
            "iontherm.relax", structure=StructureData(ase=before), engine=Dict(EMT), settings=Dict(settings)
        )
        process.setup()
        process.ctx.at_rest = True
        process.ctx.structure = StructureData(ase=after).store()
        process.out = lambda name, node: None
        process.ctx.configurations = process.ctx.figures = None
        return process

    return make


def test_space_groups():
    assert str(space_group(bulk("Si", cubic=True))) == "Fd-3m (227)"
    # The same phase in another cell has the same group.
    assert space_group(bulk("Si").repeat((2, 1, 1))) == space_group(bulk("Si")) == space_group(bulk("Si", cubic=True))
    # Copper and gold on a face-centred lattice: the rotations stay, half of the translations go.
    ordered = bulk("Cu", cubic=True)
    ordered.symbols[0] = "Au"
    assert space_group(ordered).order == space_group(bulk("Cu")).order == 48
    assert space_group(ordered).is_lower_than(space_group(bulk("Cu")))
    with pytest.raises(ValueError, match="do atoms lie on each other"):
        space_group(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 0]], cell=[3, 3, 3], pbc=True))
