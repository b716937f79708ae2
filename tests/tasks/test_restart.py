"""Tasks in processes of their own, killed on the way and started again, against ones left alone: equal bit by bit."""

import signal

import pytest
from ase.build import bulk

from aiida_iontherm.tasks.contract import EXIT_INTERRUPTED, EXIT_OK

ARGON_MD = {
    "engine": "lj",
    "mobile": "Ar",
    "temperature": 30.0,
    "timestep_fs": 8.0,
    "equilibration_ps": 2.4,
    "production_ps": 6.0,
    "position_interval_fs": 80.0,
    "snapshots": 15,
    "vdos": True,
    "vdos_resolution_thz": 0.5,
    "seed": 11,
}

TRAIN = {
    "level": 6,
    "cutoff": 4.0,
    "radial_size": 6,
    "validation_fraction": 0.2,
    "max_iterations": 80,
    "tolerance": 1e-12,
    "seed": 12,
}


def kill_and_go_on(folder, task: str, lines: list[int]) -> None:
    """SIGTERM after so many steps of each start; then to the end."""
    for count in lines:
        code, errors = folder.stop_after(task, count, signal.SIGTERM)
        # Exit code 0 here would mean that the run was over before the signal: the test then needs a longer run.
        assert code == EXIT_INTERRUPTED, errors
        assert folder.output["status"] == "interrupted"
        assert "Traceback" not in errors
        assert not list(folder.path.glob("*.part"))
    code, errors = folder.finish(task)
    assert code == EXIT_OK, errors
    assert errors == ""


@pytest.mark.slow
def test_md(make_folder, same_arrays):
    """Killed in the equilibration and in the production, then without warning."""
    argon = bulk("Ar", "fcc", a=5.4, cubic=True)
    whole, parts = (make_folder(name).give(ARGON_MD, structure=argon) for name in ("whole", "parts"))
    assert whole.run("md") == EXIT_OK
    code, errors = parts.stop_after("md", 2, signal.SIGTERM)
    assert code == EXIT_INTERRUPTED, errors
    code, _ = parts.stop_after("md", 2, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (parts.path / "output.json").exists()
    kill_and_go_on(parts, "md", [10])
    same_arrays(parts.arrays("trajectory.npz"), whole.arrays("trajectory.npz"))
    assert (parts.path / "snapshots.extxyz").read_bytes() == (whole.path / "snapshots.extxyz").read_bytes()
    assert parts.output["results"] == whole.output["results"]


@pytest.mark.slow
def test_training(make_folder, same_arrays, labelled_alloys):
    whole, parts = (make_folder(name).give(TRAIN, labelled=labelled_alloys) for name in ("whole", "parts"))
    assert whole.run("train") == EXIT_OK
    kill_and_go_on(parts, "train", [2, 30])
    same_arrays(parts.arrays("parity.npz"), whole.arrays("parity.npz"))
    assert (parts.path / "potential.mtp").read_bytes() == (whole.path / "potential.mtp").read_bytes()
    assert parts.output["results"] == whole.output["results"]


@pytest.mark.slow
def test_lattice_conductivity(make_folder, same_arrays, argon_force_constants):
    """Killed on the fine mesh and among the coarse ones."""
    task_input = {"temperatures": [10.0, 20.0], "mesh": [8, 8, 8], "coarse_mesh": [6, 6, 6], "mobile": "Ar"}
    whole, parts = (make_folder(name).give(task_input) for name in ("whole", "parts"))
    for folder in (whole, parts):
        (folder.path / "force_constants.npz").symlink_to(argon_force_constants.path / "force_constants.npz")
    assert whole.run("lattice-conductivity") == EXIT_OK
    fine = whole.output["results"]["irreducible_points"]
    kill_and_go_on(parts, "lattice-conductivity", [10, fine])
    assert len(parts.progress) == len(whole.progress)  # no point was computed twice
    same_arrays(parts.arrays("phonons.npz"), whole.arrays("phonons.npz"))
    assert parts.output["results"] == whole.output["results"]


@pytest.mark.slow
def test_reference_sampling(make_folder, alloy):
    settings = {
        "temperatures": [300, 600],
        "volume_scalings": [0.98, 1.02],
        "frames_per_run": 20,
        "stride": 15,
        "timestep_fs": 4.0,
    }
    task_input = {"engine": "emt", "mode": "sample", "sample": settings}
    whole, parts = (make_folder(name).give(task_input, structures=alloy) for name in ("whole", "parts"))
    assert whole.run("reference") == EXIT_OK
    kill_and_go_on(parts, "reference", [4, 20])
    assert (parts.path / "labelled.extxyz").read_bytes() == (whole.path / "labelled.extxyz").read_bytes()


@pytest.mark.slow
def test_force_constants(make_folder, same_arrays, argon_md, argon_force_constants):
    """Nothing is kept of a fit that was stopped, and nothing is lost but time."""
    parts = make_folder("parts")
    (parts.path / "input.json").write_text((argon_force_constants.path / "input.json").read_text())
    for source in (argon_force_constants.path / "structure.extxyz", argon_md.path / "trajectory.npz"):
        (parts.path / source.name).symlink_to(source)
    kill_and_go_on(parts, "force-constants", [1])
    same_arrays(parts.arrays("force_constants.npz"), argon_force_constants.arrays("force_constants.npz"))
