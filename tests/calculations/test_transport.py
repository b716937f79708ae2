"""Calcfunctions on several runs: independent runs are put together, and what they doubt is not converged."""

import io

import numpy as np
import pytest
from aiida.orm import Dict

from aiida_iontherm.calculations.transport import analyse_diffusion, analyse_heat_flux
from aiida_iontherm.data import CurrentsData, TrajectoryData
from aiida_iontherm.physics.heat import cepstral, onsager_kappa
from aiida_iontherm.physics.ions import diffusion

pytestmark = pytest.mark.usefixtures("aiida_profile")


def node_of(node_class, **arrays):
    stream = io.BytesIO()
    np.savez(stream, **{name: np.zeros(1) for name in node_class.REQUIRED} | arrays)
    stream.seek(0)
    return node_class(stream, filename="file.npz")


def walk(seed, frames=600, ions=6):
    return np.cumsum(np.random.default_rng(seed).normal(scale=0.3, size=(frames, ions, 3)), axis=0)


def trajectory(positions):
    drift = np.zeros((*positions.shape[:-2], 3))
    return node_of(
        TrajectoryData, mobile_positions=positions, drift=drift, frame_interval_fs=np.array(10.0), cell=8.0 * np.eye(3)
    )


def test_runs_and_replicas_are_put_together():
    """Two runs, one run, and a run of two replicas: three ways to hand over the same walks."""
    walks = [walk(0), walk(1)]
    settings = Dict({"ion": "X", "temperature": 300.0})
    apart = analyse_diffusion(settings, a=trajectory(walks[0]), b=trajectory(walks[1]))["result"].quantities
    stacked = analyse_diffusion(settings, a=trajectory(np.stack(walks)))["result"].quantities
    pure = diffusion(walks, 10.0)
    for records in (apart, stacked):
        average = next(q for q in records if q.direction == "average")
        # sums in another order
        assert average.value == pytest.approx(pure.trace_third, rel=1e-12)
        assert average.uncertainty == pytest.approx(pure.trace_third_uncertainty, rel=1e-9)
    # 0.09 Angstrom^2 in 2 x 10 fs; four standard errors, the seeds are fixed.
    assert abs(pure.trace_third - 4.5e-4) < 4 * pure.trace_third_uncertainty


def flux(seed, frames=20_000):
    """Heat and mass currents with a memory of ten samples, a part of the heat being carried by the ions."""
    rng = np.random.default_rng(seed)
    currents = np.zeros((2, frames, 3))
    kicks = rng.normal(size=(2, frames, 3))
    for step in range(1, frames):
        currents[:, step] = 0.9 * currents[:, step - 1] + kicks[:, step]
    heat, mass = currents[0] + 2.0 * currents[1], currents[1]
    where = {"timestep_fs": np.array(2.0), "temperature": np.array(310.0), "volume": np.array(1000.0)}
    return {"virial": 0.25 * heat, "convective": 0.75 * heat, "mass_Cu": mass, **where}


def test_conductivity_of_several_runs():
    """That of the pure functions, of all runs together, at the temperature the runs had."""
    runs = [flux(0), flux(1), flux(2)]
    nodes = {f"run_{k}": node_of(CurrentsData, **run) for k, run in enumerate(runs)}
    settings = {"temperature": 300.0, "mobile": "Cu", "axes": "xyz", "target_error": 0.2}
    records = analyse_heat_flux(Dict(settings), **nodes)["result"].quantities
    found = {(q.name, q.direction): q for q in records}
    series = [
        np.stack([run["virial"] + run["convective"] for run in runs]),
        np.stack([run["mass_Cu"] for run in runs]),
    ]
    estimate = cepstral(series, 2.0, 310.0, 1000.0, axes="xyz")
    assert found["kappa_cepstral", "average"].value == pytest.approx(estimate.value, rel=1e-12)
    reduced = onsager_kappa(series, 2.0, 310.0, 1000.0, axes="xyz")
    assert found["kappa_onsager", "average"].value == pytest.approx(reduced.value, rel=1e-12)
    # Without the ions' part the heat current has a fifth of the power.
    ratio = found["kappa_onsager", "average"].value / found["kappa_green_kubo", "average"].value
    assert 0.1 < ratio < 0.4
    parts = [found[f"kappa_{name}", "average"].value for name in ("virial", "convective", "virial_x_convective")]
    assert sum(parts) == pytest.approx(found["kappa_green_kubo", "average"].value, rel=1e-9)
    assert records[0].temperature == 300.0


def test_doubts_of_the_runs_are_those_of_the_result():
    warned = {"warnings": ["the crystal melts"]}
    records = analyse_diffusion(Dict({"ion": "X", "temperature": 300.0, **warned}), a=trajectory(walk(3)))["result"]
    assert all(not q.converged and q.reason.endswith("the crystal melts") for q in records.quantities)
    settings = {"temperature": 300.0, "target_error": 0.9, **warned}
    records = analyse_heat_flux(Dict(settings), a=node_of(CurrentsData, **flux(4)))["result"]
    assert all(not q.converged and q.reason.endswith("the crystal melts") for q in records.quantities)
