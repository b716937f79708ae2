"""From a structure and an engine to the conductivity: CuAu with EMT, through AiiDA."""

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, StructureData
from ase.calculators.emt import EMT

from aiida_iontherm.physics.lattice import Phonons
from aiida_iontherm.physics.lattice.cells import displaced_supercells, make_phonopy, to_atoms
from aiida_iontherm.workchains.displacement_conductivity import DisplacementConductivityWorkChain

SUPERCELL = (3, 3, 2)


@pytest.fixture(scope="module")
def finished(task_code, cuau_cell):
    inputs = {
        "structure": StructureData(ase=cuau_cell),
        "code": task_code,
        "engine": Dict({"name": "emt", "options": {}}),
        "displacements": Dict({"min_extent": 7.0, "count": 12, "distance": 0.01}),
        # EMT ends at 5.8 Angstrom: what half of this cell cannot hold of it is missing.
        "force_constants": Dict({"cutoffs": [3.6, 3.0], "fit_method": "least-squares", "blocks": 3}),
        "settings": Dict({"temperatures": [300.0], "mesh": [4, 4, 3], "coarse_mesh": [2, 2, 2], "mobile": "Cu"}),
    }
    return run_get_node(DisplacementConductivityWorkChain, **inputs)[1]


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
        "displace_atoms",
        "ReferenceSetWorkChain",
        "ForceConstantsWorkChain",
        "LatticeConductivityWorkChain",
    }


def test_unknown_settings_are_refused(make_process, nodes):
    with pytest.raises(ValueError, match="unknown keys distnace"):
        make_process(
            "iontherm.displacement_conductivity",
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
