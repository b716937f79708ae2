"""What a job asks of the scheduler, in plain words and in AiiDA's."""

import pytest
from pydantic import ValidationError

from aiida_iontherm.calculations.resources import Resources, kilobytes, options_for, scheduler_options, seconds


@pytest.mark.parametrize(
    ("text", "amount"), [("16 GB", 16 * 1024**2), ("500MB", 500 * 1024), ("1.5 GiB", 1572864), ("2 tb", 2 * 1024**3)]
)
def test_memory(text, amount):
    assert kilobytes(text) == amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12:00:00", 43200), ("1-02:00:00", 93600), ("90 min", 5400), ("2 h", 7200), ("1.5 d", 129600), (43200, 43200)],
)
def test_wall_time(text, amount):
    assert seconds(text) == amount


@pytest.mark.parametrize("wrong", [{"memory": "much"}, {"memory": "0 GB"}, {"walltime": "soon"}, {"walltime": "0 s"}])
def test_nonsense_is_refused_with_an_example(wrong):
    with pytest.raises(ValidationError, match=r"write|longer than nothing"):
        Resources(**wrong)


def test_cores_are_threads_of_a_task_and_ranks_of_a_program():
    four = Resources(cpus=4)
    assert scheduler_options(four, ranks=False)["resources"]["num_cores_per_mpiproc"] == 4
    assert scheduler_options(four, ranks=True) == {"resources": {"num_machines": 1, "num_mpiprocs_per_machine": 4}}
    spread = Resources(cpus=64, nodes=2)
    assert scheduler_options(spread, ranks=True)["resources"] == {"num_machines": 2, "num_mpiprocs_per_machine": 32}
    with pytest.raises(ValueError, match="take a multiple"):
        scheduler_options(Resources(cpus=5, nodes=2), ranks=True)
    with pytest.raises(ValueError, match="a task runs on one node"):
        scheduler_options(spread, ranks=False)


def test_the_nearer_word_counts():
    options = {"account": "a", "tasks": {"default": {"queue": "all", "cpus": 2}, "vasp": {"cpus": 16}}}
    assert options_for(options, "vasp", ranks=True) == {
        "account": "a",
        "queue_name": "all",
        "resources": {"num_machines": 1, "num_mpiprocs_per_machine": 16},
    }
    assert options_for(options, "train")["resources"]["num_cores_per_mpiproc"] == 2
    assert options_for({}, "md") == {}
