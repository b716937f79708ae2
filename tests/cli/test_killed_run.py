"""A run that is killed in the middle loses only the step it was in."""

import json

import ase.io
import pytest
import yaml

pytestmark = pytest.mark.slow

JOBS = """
import json
from aiida import load_profile
load_profile("iontherm")
from aiida.orm import CalcJobNode, QueryBuilder
jobs = QueryBuilder().append(CalcJobNode).all(flat=True)
print(json.dumps([
    (job.pk, job.process_label, bool(job.is_finished_ok), bool(job.base.caching.is_created_from_cache))
    for job in sorted(jobs, key=lambda job: job.pk)
]))
"""


def test_killed_in_the_middle(shell, cuau, tiny):
    tiny["temperatures"] = [300]
    tiny["potential"]["max_rounds"] = 0
    tiny["goal"] = "diffusivity"
    ase.io.write(shell.folder / "cuau.extxyz", cuau)
    (shell.folder / "tiny.yaml").write_text(yaml.safe_dump(tiny))
    assert shell.run("iontherm", "setup")[0] == 0
    command = ("iontherm", "run", "cuau.extxyz", "--overrides", "tiny.yaml", "--report", "report")

    process = shell.start(*command)
    for line in process.stdout:
        if "start diffusion" in line:
            break
    process.kill()
    process.communicate()
    before = json.loads(shell.python(JOBS))
    done = [label for _, label, finished, _ in before if finished]
    assert done == ["ReferenceCalculation", "ReferenceCalculation", "TrainCalculation"]

    # The job that was running lives on and ends by itself: its folder is not that of the second run.
    status, output, errors = shell.run(*command)
    assert status == 0, errors
    assert output.count("from the cache") == 3, output
    after = [job for job in json.loads(shell.python(JOBS)) if job[0] > before[-1][0]]
    assert [(label, cached) for _, label, _, cached in after] == [
        ("ReferenceCalculation", True),
        ("ReferenceCalculation", True),
        ("TrainCalculation", True),
        ("MdCalculation", False),
    ]
    assert (shell.folder / "report" / "report.html").is_file()
