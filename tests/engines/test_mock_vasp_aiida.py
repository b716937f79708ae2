"""The work chains of aiida-vasp with the program that stands in for VASP: what they give is what EMT gives."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.emt import EMT as Emt

from aiida_iontherm.engines.mock_vasp import write_potcars

pytestmark = pytest.mark.slow

PRINTED = 6e-9  # eight digits in vasprun.xml
KILOBAR = 0.1 * units.GPa


@pytest.fixture(scope="module")
def family(aiida_profile, tmp_path_factory):
    """Synthetic POTCARs, uploaded as one would upload VASP's."""
    pytest.importorskip("aiida_vasp")
    from aiida_vasp.data.potcar import PotcarData

    folder = tmp_path_factory.mktemp("potcars") / "mock"
    write_potcars(folder, ["Cu", "Cu_pv", "Ag_pv", "Au"])
    found = PotcarData.upload_potcar_family(str(folder), "mock", "synthetic", stop_if_existing=False)
    assert found[:2] == (4, 4)
    return "mock"


@pytest.fixture
def launch(family, make_code, run_process):
    """Run a work chain of aiida-vasp."""
    import sys
    from pathlib import Path

    from aiida.orm import Dict, Float, StructureData
    from aiida.plugins import WorkflowFactory

    program = Path(sys.executable).with_name("iontherm-mock-vasp")
    code = make_code("mock-vasp", program, "vasp.vasp", "export IONTHERM_MOCK_VASP_ENGINE=emt")

    def launch(atoms: Atoms, incar: dict, relax: dict | None = None):
        inputs = {
            "code": code,
            "parameters": Dict({"incar": {"encut": 300, "ediff": 1e-6} | incar}),
            "kpoints_spacing": Float(0.1),
            "potential_family": family,
            "potential_mapping": {"Cu": "Cu_pv", "Au": "Au"},
            "settings": Dict(
                {
                    "parser_settings": {
                        "include_node": ["trajectory", "structure"],
                        "energy_type": ["energy_free", "energy_extrapolated"],
                    },
                    "no_default_monitors": True,
                }
            ),
            "calc": {"metadata": {"options": {"resources": {"num_machines": 1}, "withmpi": False}}},
        }
        structure = StructureData(ase=atoms)
        if relax is None:
            node = run_process(WorkflowFactory("vasp.vasp"), structure=structure, **inputs)
        else:
            node = run_process(WorkflowFactory("vasp.relax"), structure=structure, vasp=inputs, relax_settings=relax)
        assert node.is_finished_ok, node.exit_message
        return node.outputs

    return launch


def by_emt(cell, fractions, symbols):
    atoms = Atoms(symbols, cell=cell, scaled_positions=fractions, pbc=True)
    atoms.calc = Emt()
    return atoms


def test_potcars_come_back_from_the_family(family, cuau):
    from aiida.orm import StructureData
    from aiida_vasp.data.potcar import PotcarData

    mapping = {"Cu": "Cu_pv", "Au": "Au"}
    found = PotcarData.get_potcars_from_structure(StructureData(ase=cuau), family, mapping=mapping)
    assert {kind: node.symbol for kind, node in found.items()} == mapping
    assert found["Cu"].element == "Cu"
    assert b"not for computing" in found["Cu"].find_file_node().get_content()


def test_single_point(launch, cuau):
    cuau.positions[1] += [0.05, 0.02, -0.08]
    outputs = launch(cuau, {})
    own = by_emt(cuau.cell, cuau.get_scaled_positions(), "CuAu")
    misc = outputs.misc.get_dict()
    # POSCAR has ten digits.
    assert misc["total_energies"]["energy_free"] == pytest.approx(own.get_potential_energy(), abs=2 * PRINTED)
    assert np.abs(np.array(misc["forces"]) - own.get_forces()).max() < 2 * PRINTED
    stress = -np.array(misc["stress"]) * KILOBAR
    assert np.abs(stress - own.get_stress(voigt=False)).max() < 2 * PRINTED
    status = misc["run_status"]
    assert status["finished"]
    assert status["electronic_converged"]
    assert misc["version"] == "6.3.0"
    assert misc["notifications"] == []


def test_relaxation(launch, cuau):
    cuau.positions[1] += [0.05, 0.02, -0.08]
    relax = {"positions": True, "shape": False, "volume": False, "force_cutoff": 0.005, "steps": 30}
    outputs = launch(cuau, {}, relax)
    found = outputs.relax.structure.get_ase()
    own = by_emt(found.cell, found.get_scaled_positions(), "CuAu")
    assert np.linalg.norm(own.get_forces(), axis=1).max() < 0.005
    assert np.abs(np.array(outputs.misc["forces"]) - own.get_forces()).max() < 1e-6  # positions have eight digits
    assert outputs.trajectory.get_array("energy_free")[-1] < outputs.trajectory.get_array("energy_free")[0]


def test_dynamics(launch, cuau):
    atoms = cuau.repeat((2, 2, 1))
    atoms = atoms[np.argsort(-atoms.numbers, kind="stable")]
    incar = {"ibrion": 0, "nsw": 5, "potim": 2.0, "tebeg": 300, "isif": 2, "isym": 0}
    outputs = launch(atoms, incar | {"mdalgo": 3, "langevin_gamma": [10, 10], "random_seed": [7, 0, 0]})
    trajectory = outputs.trajectory
    symbols = trajectory.base.attributes.get("symbols")
    assert symbols == atoms.get_chemical_symbols()
    frames = [trajectory.get_array(name) for name in ("cells", "positions", "forces", "stress", "energy_free")]
    assert [len(frame) for frame in frames] == [5] * 5
    for cell, fractions, forces, stress, energy in zip(*frames, strict=True):
        own = by_emt(cell, fractions, symbols)
        assert np.abs(forces - own.get_forces()).max() < 1e-6
        assert np.abs(-stress * KILOBAR - own.get_stress(voigt=False)).max() < 1e-7
        assert energy == pytest.approx(own.get_potential_energy(), abs=1e-6)
    assert np.ptp(frames[1], axis=0).max() > 1e-4
