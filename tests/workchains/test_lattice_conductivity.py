"""From a structure and an engine to the conductivity: CuAu with EMT, through AiiDA."""

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, SinglefileData, Str, StructureData
from ase.calculators.emt import EMT

from aiida_iontherm.physics.lattice import Phonons
from aiida_iontherm.physics.lattice.cells import displaced_supercells, make_phonopy, to_atoms
from aiida_iontherm.workchains.lattice_conductivity import LatticeConductivityWorkChain

SUPERCELL = (3, 3, 2)


@pytest.fixture(scope="module")
def finished(task_code, cuau_cell):
    inputs = {
        "structure": StructureData(ase=cuau_cell),
        "code": task_code,
        "engine": Dict({"name": "emt", "options": {}}),
        "displacements": Dict({"min_extent": 7.0, "count": 12, "distance": 0.01}),
        # EMT ends at 5.8 Angstrom: what half of this cell cannot hold of it is missing.
        "fitting": Dict({"cutoffs": [3.6, 3.0], "fit_method": "least-squares", "blocks": 3}),
        "settings": Dict({"temperatures": [300.0], "mesh": [4, 4, 3], "coarse_mesh": [2, 2, 2], "mobile": "Cu"}),
    }
    return run_get_node(LatticeConductivityWorkChain, **inputs)[1]


@pytest.mark.slow
def test_frequencies_are_those_of_finite_displacements(finished, cuau_cell):
    assert finished.is_finished_ok, finished.exit_message
    phonopy = make_phonopy(cuau_cell, SUPERCELL)
    phonopy.generate_displacements(distance=0.01)
    forces = []
    for cell in phonopy.supercells_with_displacements:
        atoms = to_atoms(cell)
        atoms.calc = EMT()
        forces.append(atoms.get_forces())
    phonopy.forces = forces
    phonopy.produce_force_constants()
    arrays = finished.outputs.phonons.arrays()
    theirs = Phonons.from_phonopy(phonopy, qpoints=arrays["qpoints"], weights=arrays["weights"])
    # Interactions beyond 3.6 Angstrom are left out of the fit: a few per cent of frequencies up to 6 THz.
    np.testing.assert_allclose(arrays["frequencies_thz"], theirs.frequencies_thz, atol=0.3)
    assert finished.outputs.fit["r2_test"] > 0.99


@pytest.mark.slow
def test_result_says_where_it_comes_from(finished):
    quantities = finished.outputs.result.quantities
    assert all("force constants from displaced supercells" in q.method for q in quantities)
    total = {q.direction: q.value for q in quantities if q.name == "kappa_total"}
    # tetragonal; velocity products are stored in single precision
    assert total["x"] == pytest.approx(total["y"], rel=1e-6)
    assert total["x"] > 0
    labels = {node.process_label for node in finished.called}
    assert labels == {
        "DisplacedForceConstantsWorkChain",
        "LatticeConductivityCalculation",
        "two_channel_conductivity",
    }


@pytest.mark.slow
def test_force_constants_with_a_table_of_linewidths(finished, task_code, tmp_path):
    """The same linewidths, given as a table, give the same conductivity."""
    arrays = finished.outputs.phonons.arrays()
    path = tmp_path / "linewidths.npz"
    table = {"qpoints": arrays["qpoints"], "temperatures": arrays["temperatures"], "mesh": arrays["mesh"]}
    np.savez(path, gamma_thz=arrays["gamma_thz"], **table)
    settings = {"temperatures": [300.0], "linewidths": {"source": "table", "check": False}, "mobile": "Cu"}
    inputs = {
        "code": task_code,
        "force_constants": finished.outputs.force_constants,
        "linewidths": SinglefileData(path),
        "origin": Str("force constants of another run"),
        "settings": Dict(settings),
    }
    _, node = run_get_node(LatticeConductivityWorkChain, **inputs)
    assert node.is_finished_ok, node.exit_message
    assert "structure" not in node.outputs
    quantities = node.outputs.result.quantities
    assert all("force constants of another run, linewidths given" in q.method for q in quantities)
    ours, theirs = (
        {(q.name, q.direction): q.value for q in record if q.name.startswith("kappa")}
        for record in (quantities, finished.outputs.result.quantities)
    )
    # the same numbers, through files in double precision
    assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.slow
def test_result_tells_what_carries_the_heat(finished):
    values = {q.name: q.value for q in finished.outputs.result.quantities if q.direction in (None, "average")}
    shares = [values[f"{name}_modes"] for name in ("particle_like", "wave_like", "overdamped")]
    # all but the three acoustic modes at the zone centre, of two atoms at 4 x 4 x 3 points
    assert sum(shares) == pytest.approx(1 - 3 / (6 * 48))
    assert 0 < values["average_diffuson_frequency"] < 7
    # the species' parts add up to the whole
    assert values["kappa_of_Cu"] + values["kappa_of_Au"] == pytest.approx(values["kappa_total"], rel=1e-6)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "give `force_constants`, or `structure` and `engine`"),
        (["structure"], "give `force_constants`, or `structure` and `engine`"),
        (["force_constants_node", "structure"], "leave out structure"),
        (["structure", "engine", "fit"], "belong to given `force_constants`"),
    ],
)
def test_conductivity_wants_one_source(names, message, make_process, nodes):
    known = nodes | {"fit": Dict({"r2_test": 0.9})}
    with pytest.raises(ValueError, match=message):
        make_process(
            "iontherm.lattice_conductivity",
            settings=Dict({}),
            **{name.removesuffix("_node"): known[name] for name in names},
        )


def test_unknown_settings_are_refused(make_process, nodes):
    with pytest.raises(ValueError, match="unknown keys distnace"):
        make_process(
            "iontherm.lattice_conductivity",
            structure=nodes["structure"],
            engine=nodes["engine"],
            displacements=Dict({"distnace": 0.03}),
            settings=Dict({}),
        )


@pytest.mark.parametrize("names", [[], ["trajectory", "configurations"]])
def test_force_constants_want_one_source(names, make_process, nodes):
    with pytest.raises(ValueError, match="either `trajectory` or `configurations`"):
        make_process(
            "iontherm.force_constants",
            structure=nodes["structure"],
            settings=Dict({}),
            **{name: nodes[name] for name in names},
        )


def test_all_atoms_move_by_the_same_length(cuau_cell):
    ideal = make_phonopy(cuau_cell, SUPERCELL).supercell.positions
    one, two = (displaced_supercells(cuau_cell, SUPERCELL, 3, 0.02, seed) for seed in (1, 2))
    moved = np.array([atoms.positions - ideal for atoms in one])
    np.testing.assert_allclose(np.linalg.norm(moved, axis=2), 0.02, rtol=1e-9)  # rounding
    again = displaced_supercells(cuau_cell, SUPERCELL, 3, 0.02, 1)
    np.testing.assert_array_equal(one[2].positions, again[2].positions)
    assert not np.allclose(one[0].positions, two[0].positions)
    with pytest.raises(ValueError, match="positive displacement"):
        displaced_supercells(cuau_cell, SUPERCELL, 3, 0.0)
