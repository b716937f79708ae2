"""`iontherm why` knows what to say about every exit code and about what real schedulers and shells print."""

import inspect
from importlib.metadata import entry_points

import pytest

from aiida_iontherm.cli.remedies import CLUES, ESPRESSO, REMEDIES, SCHEDULER, VASP, clue, remedy


def own_codes():
    """Every exit code of this package's processes, those of AiiDA's own classes left out."""
    from aiida.engine import BaseRestartWorkChain, CalcJob

    inherited = {code.status for base in (CalcJob, BaseRestartWorkChain) for code in base.spec().exit_codes.values()}
    for group in ("aiida.calculations", "aiida.workflows"):
        for point in entry_points(group=group):
            if point.value.startswith("aiida_iontherm"):
                process = point.load()
                if inspect.isclass(process):
                    for code in process.spec().exit_codes.values():
                        if code.status not in inherited:
                            yield process.__name__, code.status


def test_every_exit_code_has_a_remedy():
    missing = {(name, status) for name, status in own_codes() if remedy(name, status, "") is None}
    # 400 hands down to the child that failed, which `why` goes to.
    assert {status for _, status in missing} <= {400}, missing


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("sbatch: error: invalid partition specified: nowhere", "does not know the queue"),
        ("sbatch: error: Memory specification can not be satisfied", "No node has what was asked for"),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available", "No node has"),
        ("/bin/bash: line 1: sbatch: command not found", "another scheduler"),
        ("OSError: [Errno 122] Disk quota exceeded: '/scratch/me/aiida/1a/2b'", "your quota there is full"),
        ("write error: No space left on device", "your quota there is full"),
        ("me@cluster: Permission denied (publickey,password).", "`ssh HOST` must work"),
        ("ssh: Could not resolve hostname cluster: Name or service not known", "`ssh HOST` must work"),
        ("/scratch/_aiidasubmit.sh: line 9: pw.x: command not found", "not where the profile says"),
        ("'/opt/vasp_std': error while loading shared libraries: libmkl.so", "misses a library"),
        ("slurmstepd: error: Detected 1 oom-kill event(s)", "more memory"),
    ],
)
def test_what_real_programs_print_is_understood(words, meaning):
    assert meaning in clue(words)


def test_words_within_words_are_no_clue():
    message = "the timestep of 2 fs is too long; add training data at this temperature, or shorten the timestep"
    assert clue(message) is None
    assert "flew apart" in remedy("MdCalculation", 510, f"{message}; disk quota exceeded")


def test_codes_of_programs_are_told_apart():
    assert "mixing" in remedy("VaspCalculation", 701, "")
    assert "gentler mixing" in remedy("PwBaseWorkChain", 410, "")
    assert "resources" in remedy("ReferenceWorkChain", 410, "")
    assert remedy("VaspWorkChain", 310, "") is None  # ours means something else by 310
    assert remedy("SomeoneElsesWorkChain", 12345, "") is None


def test_tables_say_what_to_do():
    for table in (REMEDIES, SCHEDULER, VASP, ESPRESSO):
        assert all(len(text) > 40 for text in table.values())
    assert all(len(c.meaning) > 40 for c in CLUES)
