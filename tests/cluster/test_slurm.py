"""Jobs through a real Slurm and the daemon: to their end, told to stop, through a crash of Slurm, and refused."""

import time
from pathlib import Path

import numpy as np
import pytest
import slurm_profile

pytestmark = pytest.mark.slow

MD = {
    "supercell": [4, 4, 4],
    "mobile": "Ar",
    "temperature": 20.0,
    "timestep_fs": 8.0,
    "equilibration_ps": 4.0,
    "production_ps": 480.0,  # about ten seconds for the 256 atoms: time for a crash meanwhile
    "position_interval_fs": 400.0,
    "snapshots": 10,
    "seed": 3,
}


@pytest.fixture(scope="module")
def runs(slurm):
    """What the tests below look at, submitted together, as most of the time is spent waiting."""
    return {
        "stopped": slurm(slurm_profile.submit_dynamics, MD, {"max_wallclock_seconds": 600, "queue_name": "main"}),
        "whole": slurm(slurm_profile.submit_dynamics, MD, {}),
        "refused": slurm(slurm_profile.submit_label, {"queue_name": "closed"}),
        "label": slurm(slurm_profile.submit_label, {"queue_name": "main", "max_memory_kb": 500_000}),
    }


@pytest.fixture(scope="module")
def stopped(slurm, runs):
    """A chain whose first job was told to stop in the middle: what Slurm does at the wall time.

    SIGTERM goes to all processes of the job, and SIGKILL some seconds later.
    """
    job = slurm.wait(runs["stopped"], lambda state: state["jobs"] and state["jobs"][0]["number"])["jobs"][0]
    progress = Path(job["folder"]) / "progress.jsonl"
    deadline = time.monotonic() + 60
    while not has_steps(progress) and time.monotonic() < deadline:
        time.sleep(0.1)
    slurm.command("scancel", job["number"])
    return runs["stopped"]


def has_steps(progress: Path) -> bool:
    """Whether a task has begun its work and not only its start."""
    return progress.is_file() and len(progress.read_text().splitlines()) > 2


def test_slurm_crashes_while_a_job_runs(slurm, stopped, runs):
    """Controller and node daemon are killed and started again: the job stays, and its end is seen."""
    job = slurm.running_job(runs["whole"])
    slurm.restart()
    assert slurm.queue("--states=RUNNING", f"--jobs={job}") != ""
    state = slurm.end(runs["whole"])
    assert state["exit"] == 0, state["log"]
    assert [(job["number"], job["exit"]) for job in state["jobs"]] == [(job, 0)]


def test_a_job_that_is_told_to_stop_goes_on_in_another(slurm, stopped, runs):
    """From its checkpoint: in the end both have the same trajectory, to the last bit."""
    state = slurm.end(stopped)
    assert state["exit"] == 0, state["log"]
    assert [job["exit"] for job in state["jobs"]] == [310, 0]
    slurm.end(runs["whole"])
    one, other = slurm(slurm_profile.trajectory, stopped), slurm(slurm_profile.trajectory, runs["whole"])
    assert one.keys() == other.keys()
    for name, values in other.items():
        np.testing.assert_array_equal(one[name], values, err_msg=name)


def test_a_job_ends_well(slurm, runs):
    state = slurm.end(runs["label"])
    assert state["exit"] == 0, state["log"]
    assert int(state["jobs"][0]["number"]) > 0  # one that Slurm gave


def test_what_slurm_refuses_waits_for_the_user(slurm, runs):
    """AiiDA tries five times and then pauses the job; `verdi process play` goes on once the reason is gone."""
    state = slurm.wait(runs["refused"], lambda state: state["paused"])
    assert not state["terminated"]
    assert "submit_calculation failed 5 times consecutively" in state["status"]
    assert state["log"].count("invalid partition specified: closed") >= 5
    slurm.command("scontrol", "create", "PartitionName=closed", "Nodes=ALL")
    try:
        slurm(slurm_profile.play, runs["refused"])
        assert slurm.end(runs["refused"])["exit"] == 0
    finally:
        slurm.command("scontrol", "delete", "PartitionName=closed")


def test_from_the_structure_to_the_conductivity(slurm, tiny, cuau):
    """The whole chain, each of its jobs in the queue, two where they do not wait for each other."""
    potential = tiny["potential"] | {"max_rounds": 0}
    pk = slurm(slurm_profile.submit_material, cuau, tiny | {"temperatures": [300], "potential": potential})
    state = slurm.end(pk, seconds=300)
    assert state["exit"] == 0, state["log"]
    jobs = slurm(slurm_profile.jobs_below, pk)
    assert [task for task, _ in jobs] == [
        "reference",  # relax
        "reference",  # label
        "train",
        "md",
        "force-constants",
        "lattice-conductivity",
    ]
    assert len({number for _, number in jobs}) == len(jobs)  # each one that Slurm gave
    assert {"kappa_total", "D_Cu"} <= slurm(slurm_profile.quantities, pk)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--partition=closed", "invalid partition specified: closed"),
        ("--mem=8000", "Requested node configuration is not available"),
        ("--partition=short --time=00:10:00", "Requested time limit is invalid"),
        ("--ntasks=3", "More processors requested than permitted"),
    ],
)
def test_slurm_says_beforehand_what_it_would_refuse(slurm, option, words, tmp_path):
    """The remedy in the documentation: ask without submitting."""
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\ntrue\n")
    done = slurm.command("sbatch", "--test-only", *option.split(), str(script), check=False)
    assert done.returncode != 0
    assert words in done.stderr
