"""PostgreSQL and RabbitMQ for real: `iontherm setup` makes a profile on them and the daemon runs a job there."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

POSTGRES = os.environ.get("IONTHERM_TEST_POSTGRES")
RABBITMQ = os.environ.get("IONTHERM_TEST_RABBITMQ")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (POSTGRES and RABBITMQ),
        reason="no PostgreSQL and RabbitMQ for tests: .ci/services starts them and says where they are",
    ),
]

LABEL_ONE_CELL = """
import sys
from aiida import load_profile, orm
from aiida.engine import submit
from ase.build import bulk
from aiida_iontherm.calculations.reference import ReferenceCalculation
from aiida_iontherm.data import ConfigurationsData

load_profile("served")
node = submit(
    ReferenceCalculation,
    code=orm.load_code("iontherm-task@localhost"),
    configurations=ConfigurationsData.from_frames([bulk("Cu")]),
    parameters=orm.Dict({"engine": "emt", "mode": "label"}),
)
print(node.pk)
"""

READ_RESULT = """
import json, sys
from aiida import load_profile, orm

load_profile("served")
node = orm.load_node(int(sys.argv[1]))
print(json.dumps({"state": node.process_state.value, "exit": node.exit_status}))
"""


@pytest.fixture
def command(tmp_path):
    """Run a program of this environment with a configuration of its own; return what it prints."""
    environment = os.environ | {
        "AIIDA_PATH": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
    }

    def run(*arguments: str) -> str:
        finished = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    return run


def test_setup_on_postgresql_and_rabbitmq_runs_a_job_through_the_daemon(command):
    said = command("iontherm", "setup", "--profile", "served", "--postgres", POSTGRES, "--rabbitmq")
    assert "core.psql_dos" in said
    assert "core.rabbitmq" in said
    assert "is complete" in command("iontherm", "setup", "--profile", "served")
    command("verdi", "-p", "served", "daemon", "start")
    try:
        pk = command(sys.executable, "-c", LABEL_ONE_CELL).split()[-1]
        deadline = time.monotonic() + 90
        outcome = {}
        while outcome.get("state") not in ("finished", "excepted", "killed") and time.monotonic() < deadline:
            time.sleep(2)
            outcome = json.loads(command(sys.executable, "-c", READ_RESULT, pk))
        assert outcome == {"state": "finished", "exit": 0}
    finally:
        command("verdi", "-p", "served", "daemon", "stop")
