"""What the restart layer does with each way a job can end: handlers called on jobs that never ran."""

import pytest
from aiida.orm import Dict, Int
from aiida.plugins import WorkflowFactory

from aiida_iontherm.workchains.base import TaskWorkChain

TASK_CHAINS = ("relax", "reference_set", "train", "dynamics", "select", "force_constants", "lattice_conductivity")


@pytest.fixture
def chain(make_process, structure):
    """A relaxation that has been set up and whose first job has just ended."""
    process = make_process(
        "iontherm.relax",
        structure=structure,
        engine=Dict({"name": "emt", "options": {}}),
        settings=Dict({"relax_cell": True}),
        max_iterations=Int(3),
    )
    process.setup()
    return process


@pytest.fixture
def ended(chain, make_job):
    """End a job of the chain and let the chain look at it; the exit code is ``None`` while the chain goes on."""
    chain.ctx.children = []

    def end(exit_status, message=""):
        node = make_job("iontherm.reference", exit_status=exit_status, exit_message=message)
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
    codes = [ended(310)[1] for _ in range(3)]
    assert codes[:2] == [None, None]
    assert codes[2].status == chain.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED.status
    assert WorkflowFactory("iontherm.relax").spec().inputs["max_iterations"].default().value >= 50


def test_lost_job_is_tried_once_more(chain, ended):
    _, code = ended(300)
    assert code is None
    assert "restart_folder" not in chain.ctx.inputs  # nothing to go on from
    assert chain.should_run_process()
    _, code = ended(300)
    assert code is not None


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
        "handle_interrupted": (310,),
        "handle_lost": (300,),
        "handle_physics": (500,),
        "handle_input": (210,),
        "handle_failure": (320, 330, 340),
    }
    for status in (210, 300, 310, 320, 330, 340, 500):
        node = make_job("iontherm.reference", exit_status=status)
        for name, mine in own.items():
            report = getattr(chain, name)(node)
            assert (report is not None) == (status in mine), (name, status)
