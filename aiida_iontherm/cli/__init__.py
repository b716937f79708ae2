"""The command ``iontherm``. Heavy imports stay inside the commands that need them."""

from __future__ import annotations

import click

from aiida_iontherm import __version__
from aiida_iontherm.cli.lazy import LazyGroup

COMMANDS = {
    "barrier": "aiida_iontherm.cli.barrier:barrier",
    "engines": "aiida_iontherm.cli.catalogue:engines",
    "framework": "aiida_iontherm.cli.framework:framework",
    "green-kubo": "aiida_iontherm.cli.green_kubo:green_kubo",
    "harmonic": "aiida_iontherm.cli.harmonic:harmonic",
    "hops": "aiida_iontherm.cli.hops:hops",
    "kappa": "aiida_iontherm.cli.kappa:kappa",
    "linewidths": "aiida_iontherm.cli.linewidths:linewidths",
    "materials": "aiida_iontherm.cli.catalogue:materials",
    "nemd": "aiida_iontherm.cli.nemd:nemd",
    "nemd-profiles": "aiida_iontherm.cli.nemd:nemd_profiles",
    "one-phonon": "aiida_iontherm.cli.one_phonon:one_phonon",
    "protocols": "aiida_iontherm.cli.catalogue:protocols",
    "report": "aiida_iontherm.cli.results:report",
    "results": "aiida_iontherm.cli.results:results",
    "run": "aiida_iontherm.cli.run:run",
    "setup": "aiida_iontherm.cli.setup:setup",
    "structure-factor": "aiida_iontherm.cli.structure_factor:structure_factor",
    "watch": "aiida_iontherm.cli.run:watch",
    "why": "aiida_iontherm.cli.why:why",
}


@click.group(cls=LazyGroup, commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="iontherm")
def main() -> None:
    """From the crystal structure of an ionic conductor to its thermal and ionic transport.

    Start with `iontherm setup`, then `iontherm run CsCu2I3`.
    """
