"""Runs until the error is small enough or the budget spent: conductivity from heat currents, and diffusivity."""

import numpy as np
import pytest
from aiida.orm import Dict, StructureData
from ase.build import bulk

from aiida_iontherm.data import PotentialData
from aiida_iontherm.physics.heat import cepstral
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.workchains.diffusion import DiffusionWorkChain
from aiida_iontherm.workchains.green_kubo import DEFAULTS, GreenKuboWorkChain
from aiida_iontherm.workchains.more_runs import MOST_AT_ONCE, runs_to_add


@pytest.fixture(scope="module")
def salt(aiida_profile):
    return StructureData(ase=bulk("CuI", "rocksalt", a=5.4, cubic=True))


@pytest.fixture(scope="module")
def soft_potential(aiida_profile, tmp_path_factory):
    """Ions that repel each other a little: at 3000 K a gas, in which everything moves."""
    path = tmp_path_factory.mktemp("soft") / "p.mtp"
    blank = MomentTensorPotential.new(level=2, species=["Cu", "I"], cutoff=4.5, min_distance=1.5, radial_size=2, seed=1)
    blank.replace(moment_coeffs=np.array([0.01])).write(path)
    return PotentialData(path, species=["Cu", "I"])


SHORT = {
    "min_extent": 5.0,
    "max_atoms": 8,
    "timestep_fs": 2.0,
    "equilibration_ps": 0.4,
    "production_ps": 8.0,
    "seed": 3,
}


@pytest.mark.slow
def test_conductivity_from_more_runs(run_process, task_code, salt, soft_potential):
    """Two runs do not reach one per cent, the budget allows for a third; the result is that of all three."""
    settings = SHORT | {
        "temperature": 3000.0,
        "mobile": "Cu",
        "current_interval_fs": 4.0,
        "runs": 2,
        "target_error": 0.01,
        "max_production_ps": 26.0,
        "axes": "xyz",
    }
    node = run_process(
        GreenKuboWorkChain, code=task_code, structure=salt, potential=soft_potential, settings=Dict(settings)
    )
    assert node.is_finished_ok, node.exit_message
    assert set(node.outputs.currents) == {"run_0", "run_1", "run_2"}
    runs = [node.outputs.currents[f"run_{k}"].arrays() for k in range(3)]
    # Another seed, another run.
    assert np.abs(runs[0]["virial"] - runs[1]["virial"]).max() > 0
    series = [
        np.stack([run["virial"] + run["convective"] for run in runs]),
        np.stack([run["mass_Cu"] for run in runs]),
    ]
    temperature = np.mean([run["temperature"] for run in runs])
    expected = cepstral(series, 4.0, temperature, float(runs[0]["volume"]), axes="xyz")
    found = {(q.name, q.direction): q for q in node.outputs.result.quantities}
    assert found["kappa_cepstral", "average"].value == pytest.approx(expected.value, rel=1e-9)
    # Iodine moves too here, which the runs say.
    assert "I leave their sites" in found["kappa_cepstral", "average"].reason
    assert {"lags_ps", "kappa"} <= set(node.outputs.integrals.get_arraynames())


@pytest.mark.slow
def test_diffusivity_from_more_runs(run_process, task_code, salt, soft_potential):
    settings = SHORT | {
        "temperatures": [3000.0],
        "mobile": "Cu",
        "position_interval_fs": 20.0,
        "snapshots": 8,
        "ensemble": "nve",
        "friction_per_ps": 5.0,
        "vdos": False,
        "target_error": 0.01,
        "max_production_ps": 24.0,
    }
    node = run_process(
        DiffusionWorkChain, code=task_code, structure=salt, potential=soft_potential, settings=Dict(settings)
    )
    assert node.is_finished_ok, node.exit_message
    labels = [child.process_label for child in node.called]
    assert labels.count("DynamicsWorkChain") == 3
    # After the first run, and after the two that were added at once.
    assert labels.count("analyse_diffusion") == 2
    assert len(node.outputs.trajectories.T3000.arrays()["snapshots"]) >= 8
    average = next(q for q in node.outputs.result.quantities if q.name == "D_Cu" and q.direction == "average")
    assert average.value > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temprature": 300.0}, "unknown keys temprature"),
        ({"temperature": -1.0}, "positive"),
        ({"temperature": None}, "must be given"),
        ({"runs": 0}, "must be positive"),
        ({"max_production_ps": 100.0}, "less than the first runs take"),
        ({"target_error": 1.5}, "relative standard error"),
    ],
)
def test_wrong_settings(task_code, salt, soft_potential, change, words):
    builder = GreenKuboWorkChain.get_builder()
    with pytest.raises(ValueError, match=words):
        builder.settings = Dict({"temperature": 300.0} | change)
    assert DEFAULTS["temperature"] is None


def record(value, error):
    return Quantity(name="D", value=value, unit="", method="", converged=True, uncertainty=error)


@pytest.mark.parametrize(
    ("quantities", "target", "done", "affordable", "more"),
    [
        ([record(1.0, 0.2)], 0.1, 2, 100, 6),  # half the error: four times the runs
        ([record(1.0, 0.05)], 0.1, 2, 100, 0),  # good enough
        ([record(1.0, 0.05), record(1.0, 0.2)], 0.1, 2, 100, 6),  # the worst one counts
        ([record(1.0, 0.2)], 0.1, 2, 5, 3),  # as many as can be paid for
        ([record(1.0, 0.2)], 0.1, 7, 5, 0),
        ([record(1.0, 0.9)], 0.1, 4, 1000, MOST_AT_ONCE),
        ([record(0.0, None)], 0.1, 1, 100, 0),  # a bound
        ([record(1.0, 0.5)], 0.0, 1, 100, 0),  # nothing asked for
        ([], 0.1, 1, 100, 0),
    ],
)
def test_runs_to_add(quantities, target, done, affordable, more):
    assert runs_to_add(quantities, target, done, affordable) == more
