"""What to do about each way a process can end or hang: by exit code, by program, and by what stands in a log."""

from __future__ import annotations

import re
from dataclasses import dataclass

REMEDIES = {
    210: "Correct the setting the message names and run again; steps that are done come from the cache.",
    300: "The job vanished. Look for an out-of-memory killer or a full disk, then run again.",
    310: "The time limit was reached. Give more wall time, or run again: it goes on from the checkpoint.",
    311: "The program is missing or cannot start: see the message and the standard error above.",
    312: "The job ran out of memory on fewer ranks as well: set resources.TASK.memory or take nodes with more.",
    314: "The wall time ran out before there was a potential to go on from: set resources.mlip.walltime to more.",
    313: "ShengBTE keeps no checkpoint: set resources.shengbte.walltime to more, or follow the message.",
    320: "Free disk space (`verdi node delete`, `verdi storage maintain`, the scratch folder), then run again.",
    330: "This is a bug or a broken installation: keep the log above when you report it.",
    340: "The job wrote an incomplete file. Check the disk and run again.",
    341: "The results belong to another crystal or mesh: clear the folder of the job, then run again.",
    342: "The code has no four-phonon scattering: give that of FourPhonon, or set four_phonon to false.",
    410: "The message says what the job wants: more memory, more wall time, other nodes. Set it under resources.",
    420: "The files of another run or a cut-off file lay in the folder: clear it, then run again.",
    500: "The physics failed. Follow the message: more data, a lower temperature, another engine or structure.",
    501: "Give the relaxation more steps or rounds, or ask for less; the cell it reached is an output of the chain.",
    502: "The phase is not stable with this engine, or the start cell was not symmetric: follow the message.",
    510: "The dynamics flew apart, with half the timestep too: the potential is not reliable there. Train it "
    "with data at "
    "this temperature, or go lower.",
    700: "The results that are there are valid. The message says why the others are missing.",
    710: "The results are there, but an iteration was not converged: more iterations, or take what it has with "
    "its verdict.",
}
"""Of this package's own processes."""

SCHEDULER = {
    110: "The scheduler killed the job for its memory: set resources.TASK.memory to more (`default` holds for all).",
    120: "The scheduler killed the job at its wall time: set resources.TASK.walltime to more, or run again: "
    "tasks go on "
    "from their checkpoint.",
    131: "The account is not allowed to run there: set resources.default.account, or --option account=NAME.",
    140: "A node of the cluster failed. Run again; if it happens to the same node, tell those who run it.",
    150: "A monitor ended the job, the message says why; resources.TASK.stalled_after sets how long it may be silent.",
}
"""Of AiiDA for any job."""

VASP = {
    301: "A job of VASP broke in AiiDA: the log of the deepest process says where. CONTCAR or the standard "
    "output missing "
    "means that VASP never started: try the executable by hand on the computer.",
    351: "VASP left no vasprun.xml or OUTCAR: it never started or was killed at once. See the standard error above.",
    352: "VASP left no vasprun.xml or OUTCAR: it never started or was killed at once. See the standard error above.",
    700: "VASP did not finish: more wall time (resources.vasp.walltime), or memory, or another number of ranks.",
    701: "The electrons did not converge: other mixing or ALGO (engine.options.incar), more steps "
    "(engine.dft.max_scf_steps), or a structure with atoms too close.",
    702: "The relaxation ran out of steps: raise relax.max_steps.",
    703: "VASP stopped with an error of its own; its manual explains the message.",
    401: "All restarts of aiida-vasp were used up: look at the last job, the cause is there.",
    402: "VASP failed twice in a way that aiida-vasp does not handle: look at the last job, the cause is there.",
    501: "aiida-vasp gave up: the message says what VASP said.",
    503: "The electrons did not converge in spite of all changes of the mixing: check the structure, then the "
    "smearing.",
    504: "The relaxation ran out of steps: raise relax.max_steps.",
    600: "The relaxation did not settle within its rounds: start from a better cell, or loosen relax.force_tolerance.",
    601: "After the relaxation the forces are larger than asked for: a larger cutoff makes the cells of the "
    "rounds agree.",
    1002: "VASP died before its first step: POTCAR, KPOINTS or memory. See the standard output of the job.",
    1004: "VASP died within its first step: nothing can be read. See the standard output of the job.",
}
"""Of aiida-vasp 5."""

ESPRESSO = {
    305: "pw.x died at once: see its output; wrong pseudopotential files and too few bands say so there.",
    310: "pw.x failed in a way no handler of aiida-quantumespresso mends: see its output.",
    312: "pw.x was cut off: memory or wall time (resources.espresso), or the node.",
    400: "pw.x ran out of wall time again and again: set resources.espresso.walltime to more.",
    410: "The electrons did not converge, with gentler mixing too: another smearing, more steps "
    "(engine.dft.max_scf_steps), or a structure with atoms too close.",
    500: "The relaxation ran out of steps: raise relax.max_steps.",
    401: "All restarts of aiida-quantumespresso were used up: look at the last job, the cause is there.",
    402: "pw.x failed twice in a way that aiida-quantumespresso does not handle: look at the last job.",
}
"""Of aiida-quantumespresso 5."""

MLIP = {
    312: "mlp ran out of memory: set resources.mlip.memory to more.",
    330: "mlp stopped by itself. Where it does not know a command or an option, potential.mlip.generation is that of "
    "another MLIP, or potential.mlip.options names what it has not.",
    341: "mlp answered for another potential or set: take from potential.mlip.options what changes them.",
}
"""Of MLIP, where it is run by this package's own processes."""

PROGRAMS = {"Vasp": VASP, "Pw": ESPRESSO, "Mlip": MLIP}
"""By how the names of the processes begin."""

FOREIGN = ("Vasp", "Pw")
"""Those whose processes are not this package's: its own exit codes mean nothing there."""


UNDERSTOOD = (210, 500, 501, 502, 510, 700, 710)


@dataclass(frozen=True)
class Clue:
    """Words in a log, and what they mean."""

    pattern: str
    meaning: str


CLUES = (
    Clue(
        r"no space left on device|disk quota exceeded|quota exceeded",
        "The disk or your quota there is full: free space in the work directory of the computer (`verdi calcjob "
        "cleanworkdir`), then go on.",
    ),
    Clue(
        r"permission denied \(|host key verification failed|could not resolve hostname|connection (refused"
        r"|timed out|reset)"
        r"|no route to host|broken pipe|paramiko|ssh.*error|asyncssh|connection lost",
        "The connection to the computer fails: `ssh HOST` must work without a question, then `verdi computer "
        "test NAME`; "
        "afterwards go on.",
    ),
    Clue(
        r"invalid partition|invalid qos|invalid account|invalid feature|invalid generic resource",
        "The scheduler does not know the queue, account or quality of service: `sinfo -s` lists queues; set "
        "resources.default.queue and account, and run again (a job cannot be changed any more).",
    ),
    Clue(
        r"memory specification can not be satisfied|requested node configuration is not available"
        r"|more processors requested "
        r"than permitted|requested time limit is invalid|exceeds .*limit",
        "No node has what was asked for: less memory, fewer cores or a shorter wall time under resources, and "
        "run again.",
    ),
    Clue(
        r"sbatch: command not found|qsub: (command )?not found|squeue: command not found|bsub: command not found",
        "The computer has another scheduler than it was set up with: `verdi computer show NAME`, then set it up "
        "anew with "
        "the right one (core.slurm, core.pbspro, core.sge, core.lsf, core.direct).",
    ),
    Clue(
        r"stdout.*not empty|error in the parsing of|unexpected output|spurious|there is something written",
        "Something prints on the standard output when a shell opens on the computer, such as a greeting or a "
        "`module load` "
        "in ~/.bashrc: make it silent for shells that are not interactive, then go on.",
    ),
    Clue(
        r"(?:iontherm-task|lmp|mlp|pw\.x|vasp\w*|shengbte): (?:command )?not found"
        r"|no such file or directory: .*(?:iontherm-task|"
        r"lmp|mlp|pw\.x|vasp)|execve\(\).*no such file",
        "The code is not where the profile says: `verdi code show CODE`, and look for the file on the computer; a code "
        "cannot be changed, make a new one.",
    ),
    Clue(
        r"error while loading shared libraries|symbol lookup error|cannot open shared object",
        "The program misses a library: load its modules in the prepend text of the code (`verdi code show CODE`).",
    ),
    Clue(
        r"module: command not found|lmod has detected|unable to locate a modulefile",
        "A module that the code loads is not there: correct the prepend text of the code or of the computer.",
    ),
    Clue(
        r"out of memory|oom-kill|exceeded .*memory limit|bad_alloc|cannot allocate memory",
        "The job needs more memory: set resources.TASK.memory.",
    ),
    Clue(
        r"no potcar found|potcar family|potential family",
        "A POTCAR is missing: `aiida-vasp potcar listfamilies`, and engine.options.potential_family and "
        "potential_mapping.",
    ),
    Clue(
        r"\bmpi_init\b|\borted?\b|\bpmix\b|\bhydra_",
        "MPI does not start: the computer's mpirun command must belong to the MPI that the program was built with.",
    ),
)


def remedy(process_label: str, exit_status: int | None, log: str) -> str | None:
    """Return what to do about a process that failed; the log speaks first, then the program, then AiiDA."""
    status = exit_status or 0
    found = clue(log)
    # Where one of our own tasks has understood what happened, its exit code knows more than words in its log.
    if found is not None and (status not in UNDERSTOOD or _foreign(process_label)):
        return found
    for prefix, table in PROGRAMS.items():
        if process_label.startswith(prefix) and status in table:
            return table[status]
    return SCHEDULER.get(status) or (REMEDIES.get(status) if not _foreign(process_label) else None)


def clue(log: str) -> str | None:
    """Return what the words of a log mean, if they are known."""
    return next((c.meaning for c in CLUES if re.search(c.pattern, log, flags=re.IGNORECASE)), None)


def _foreign(process_label: str) -> bool:
    return any(process_label.startswith(prefix) for prefix in FOREIGN)
