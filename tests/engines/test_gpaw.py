"""GPAW for real, in the task process, through the chains that every engine goes through."""

import importlib.util
from itertools import pairwise

import numpy as np
import pytest
from aiida.orm import Dict, StructureData
from ase.build import bulk

from aiida_iontherm.engines.dft import DftSettings
from aiida_iontherm.engines.embedded import EngineError, make_calculator
from aiida_iontherm.engines.embedded.gpaw import parameters

DFT = {"functional": "PBE", "cutoff_ev": 250.0, "k_spacing": 0.8, "smearing": "fermi-dirac"}

needs_gpaw = pytest.mark.skipif(
    importlib.util.find_spec("gpaw") is None, reason="GPAW is not installed: pip install 'aiida-iontherm[gpaw]'"
)


def test_translation():
    dft = DftSettings(**DFT | {"functional": "PBEsol", "smearing_ev": 0.1, "energy_tolerance_ev": 1e-5})
    found = parameters(dft)
    assert found["mode"] == {"name": "pw", "ecut": 250.0}
    assert found["xc"] == "PBEsol"
    assert found["kpts"] == {"density": 1.25, "gamma": True}
    assert found["occupations"] == {"name": "fermi-dirac", "width": 0.1}
    assert found["convergence"]["energy"]["tol"] == 1e-5
    assert parameters(DftSettings(k_mesh=(2, 3, 4)))["kpts"] == {"size": [2, 3, 4], "gamma": True}
    assert parameters(DftSettings(k_spacing=None))["kpts"]["size"] == [1, 1, 1]
    with pytest.raises(ValueError, match="GPAW itself has no d3; take none"):
        parameters(DftSettings(dispersion="d3"))


@needs_gpaw
def test_pbesol_without_libxc_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr("aiida_iontherm.engines.embedded.gpaw.import_module", lambda name: object())
    with pytest.raises(EngineError, match=r"compiled without libxc.*libxc-dev.*functional to PBE"):
        make_calculator("gpaw", {"dft": {"functional": "PBEsol"}})


@needs_gpaw
@pytest.mark.slow
def test_sample_and_relax(run_chain, task_code):
    """A displaced cell, three steps of MD, and the way back from a cell that is too large."""
    engine = Dict({"name": "gpaw", "options": {}, "dft": DFT})
    structure = StructureData(ase=bulk("Si", a=5.55))
    settings = {
        "min_extent": 1.0,
        "max_atoms": 2,
        "temperatures": [300.0],
        "volume_scalings": [1.0],
        "frames_per_run": 3,
        "stride": 1,
        "timestep_fs": 2.0,
        "friction_per_ps": 20.0,
        "strain": 0.01,
        "rattled_frames": 1,
        "rattle": 0.05,
        "seed": 3,
    }
    sample = run_chain("iontherm.reference_set", structure=structure, engine=engine, settings=Dict(settings))
    assert sample.is_finished_ok, sample.exit_message
    frames = sample.outputs.configurations.frames()
    assert len(frames) == 4
    assert all(0 < np.abs(b.positions - a.positions).max() < 0.1 for a, b in pairwise(frames[:3]))
    # Of three steps of 2 fs the second is half way: the change of energy is the work of the forces.
    first, _, last = frames[:3]
    work = -np.sum(frames[1].get_forces() * (last.positions - first.positions))
    change = last.get_potential_energy() - first.get_potential_energy()
    # The rule of the midpoint leaves the third order of the step: a tenth of the work and 1 meV of convergence.
    assert change == pytest.approx(work, rel=0.1, abs=1e-3)
    relax = Dict({"relax_cell": True, "force_tolerance": 0.05, "max_steps": 20})
    relaxed = run_chain("iontherm.relax", structure=structure, engine=engine, settings=relax)
    assert relaxed.is_finished_ok, relaxed.exit_message
    constant = (4 * relaxed.outputs.structure.get_cell_volume()) ** (1 / 3)
    # PBE's is 5.47; the coarse mesh of points and the low cutoff move it by at most one per cent.
    assert constant == pytest.approx(5.47, rel=0.01)
