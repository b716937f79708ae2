"""What the restart layer does with each way a job can end: handlers called on jobs that never ran."""

import json

import pytest
from aiida.orm import Dict, Int
from aiida.plugins import WorkflowFactory

from aiida_iontherm.workchains.base import TaskWorkChain

TASK_CHAINS = ("reference", "train", "dynamics", "select", "force_constants", "lattice_conductivity")


OPTIONS = {
    "tasks": {"md": {"memory": "2 GB", "stalled_after": "30 min"}},
    "handlers": {"handle_lost": True, "handle_unstable": True},
}


@pytest.fixture
def set_up(make_process, nodes):
    """An MD run that has been set up and whose first job has just ended."""

    def make(options=OPTIONS, **settings):
        process = make_process(
            "iontherm.dynamics",
            structure=nodes["structure"],
            potential=nodes["potential_node"],
            settings=Dict({"temperature": 300.0, "timestep_fs": 2.0, "production_ps": 1.0} | settings),
            options=Dict(options),
            max_iterations=Int(5),
        )
        process.setup()
        process.ctx.children = []
        return process

    return make


@pytest.fixture
def chain(set_up):
    return set_up()


@pytest.fixture
def ended(chain, make_job):
    """End a job of the chain and let the chain look at it; the exit code is ``None`` while the chain goes on."""

    def end(exit_status, message="", progress=None):
        files = {} if progress is None else {"progress.jsonl": json.dumps(progress).encode()}
        node = make_job("iontherm.md", exit_status=exit_status, exit_message=message, files=files)
        chain.ctx.children.append(node)
        chain.ctx.iteration = len(chain.ctx.children)
        code = chain.inspect_process()
        return node, code if code and code.status else None

    return end


@pytest.mark.parametrize("name", TASK_CHAINS)
def test_all_task_chains_share_the_handlers(name):
    chain = WorkflowFactory(f"iontherm.{name}")
    assert issubclass(chain, TaskWorkChain)
    handlers = {handler.__name__: handler for handler in chain.get_process_handlers()}
    assert set(handlers) >= {"handle_interrupted", "handle_lost", "handle_physics", "handle_input", "handle_failure"}
    assert all(handler.enabled for handler in handlers.values())
    assert all(handler.__doc__ for handler in handlers.values())


def test_finished_job_ends_the_loop(chain, ended):
    _, code = ended(0)
    assert code is None
    assert chain.ctx.is_finished
    assert not chain.should_run_process()


def test_interrupted_job_goes_on_from_its_checkpoint(chain, ended):
    node, code = ended(310)
    assert code is None
    assert chain.ctx.inputs["restart_folder"].uuid == node.outputs.remote_folder.uuid
    assert chain.should_run_process()
    # Again and again, each time from the last folder.
    node, code = ended(310)
    assert code is None
    assert chain.ctx.inputs["restart_folder"].uuid == node.outputs.remote_folder.uuid


def test_endless_interruptions_end(chain, ended):
    """A long run under a short wall time is continued many times, but not for ever."""
    codes = [ended(310)[1] for _ in range(5)]
    assert codes[:4] == [None] * 4
    assert codes[4].status == chain.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED.status
    assert WorkflowFactory("iontherm.dynamics").spec().inputs["max_iterations"].default().value >= 50


def test_interruptions_without_progress_end(ended):
    """A step that takes longer than the wall time would be begun for ever."""
    assert ended(310, progress={"what": "MD 300 K", "done": 3})[1] is None
    assert ended(120, progress={"what": "MD 300 K", "done": 5})[1] is None
    _, code = ended(310, progress={"what": "MD 300 K", "done": 5})
    assert code.status == 410
    assert "MD 300 K 5: set resources.md.walltime" in code.message


def test_lost_job_is_tried_once_more(chain, ended):
    node, code = ended(300)
    assert code is None
    # Where it has left a checkpoint it goes on from there, else the link leads nowhere and it begins afresh.
    assert chain.ctx.inputs["restart_folder"].uuid == node.outputs.remote_folder.uuid
    assert chain.should_run_process()
    _, code = ended(300)
    assert code is not None


def test_memory_is_doubled_twice(chain, ended):
    options = chain.ctx.inputs["metadata"]["options"]
    assert options["max_memory_kb"] == 2 * 1024**2
    asked = []
    for _ in range(2):
        assert ended(110)[1] is None
        asked.append(options["max_memory_kb"] // 1024**2)
    assert asked == [4, 8]
    _, code = ended(110)
    assert code.status == 410
    assert "8.0 GB were not enough" in code.message
    assert "set resources.md.memory" in code.message


def test_memory_that_was_never_asked_for_cannot_be_doubled(set_up, make_job):
    chain = set_up(options={})
    report = chain.handle_out_of_memory(make_job("iontherm.md", exit_status=110))
    assert report.exit_code.status == 410
    assert "no amount was asked for" in report.exit_code.message


def test_failing_nodes_are_left_three_times(chain, ended):
    for status in (140, 150, 140):
        node, code = ended(status, "node failure")
        assert code is None
        assert chain.ctx.inputs["restart_folder"].uuid == node.outputs.remote_folder.uuid
    _, code = ended(140, "node failure")
    assert (code.status, "3 nodes in a row failed: node failure" in code.message) == (410, True)


def test_unstable_dynamics_begin_again_with_half_the_timestep(chain, ended):
    ended(310)
    _, code = ended(510, "flew apart")
    assert code is None
    assert chain.ctx.inputs["parameters"]["timestep_fs"] == 1.0
    assert "restart_folder" not in chain.ctx.inputs  # its checkpoint is of the other timestep
    _, code = ended(510, "flew apart again")
    assert (code.status, code.message) == (500, "flew apart again")


def test_a_handler_can_be_switched_off(set_up, make_job):
    chain = set_up(options={"handlers": {"handle_unstable": False, "handle_lost": True}})
    names = {handler.__name__: enabled for _, handler, enabled in _handlers(chain)}
    assert not names["handle_unstable"]
    assert names["handle_lost"]


def _handlers(chain):
    for handler in chain.get_process_handlers():
        enabled = chain.ctx.handler_overrides.get(handler.__name__, {}).get("enabled", handler.enabled)
        yield handler.__name__, handler, enabled


def test_a_job_that_may_hang_is_watched(chain, set_up):
    monitor = chain.ctx.inputs["monitors"]["stalled"].get_dict()
    assert monitor["entry_point"] == "iontherm.stalled"
    assert monitor["kwargs"] == {"minutes": 30.0}
    assert "monitors" not in set_up(options={}).ctx.inputs


@pytest.mark.parametrize("status", [500, 210])
def test_hopeless_job_is_not_repeated(status, chain, ended):
    message = "the cell went from 30 to 300 Angstrom^3"
    _, code = ended(status, message)
    assert code.status == status
    assert code.message == message


@pytest.mark.parametrize("status", [320, 330, 340])
def test_trouble_that_would_come_again_stops_the_chain(status, ended):
    _, code = ended(status, "no space left on the disk")
    assert (code.status, code.message) == (410, "no space left on the disk")


def test_each_handler_minds_its_own_business(chain, make_job):
    own = {
        "handle_out_of_memory": (110,),
        "handle_node_failure": (140, 150),
        "handle_interrupted": (310, 120),
        "handle_lost": (300,),
        "handle_unstable": (510,),
        "handle_physics": (500,),
        "handle_input": (210,),
        "handle_failure": (320, 330, 340),
    }
    for status in (110, 120, 140, 150, 210, 300, 310, 320, 330, 340, 500, 510):
        node = make_job("iontherm.md", exit_status=status)
        for name, mine in own.items():
            report = getattr(chain, name)(node)
            assert (report is not None) == (status in mine), (name, status)
