"""A stand-in for the executable ``vasp_std``, computing with an embedded engine.

VASP is licensed and absent from most machines. This program takes its place where a chain that talks to VASP is tried
out: it runs in a folder with INCAR, POSCAR, KPOINTS and POTCAR, moves the ions as these ask, and leaves vasprun.xml,
OUTCAR, CONTCAR, OSZICAR and XDATCAR in the formats that aiida-vasp, parsevasp, ASE and pymatgen read. Energies, forces
and stresses are those of the engine, to the printed digits. Nothing electronic is computed: the k-points are real, the
electronic steps are a formality, and there are no eigenvalues and no density of states.

The environment steers it, so that the chain calls it without arguments, as it calls VASP:

``IONTHERM_MOCK_VASP_ENGINE``, ``IONTHERM_MOCK_VASP_OPTIONS``
    Name of an embedded engine, and its options as JSON.
``IONTHERM_MOCK_VASP_STORE``
    Folder in which outputs are kept under a hash of the inputs, and from which they are replayed.
``IONTHERM_MOCK_VASP_FAIL``, ``IONTHERM_MOCK_VASP_STATE``
    Which failure to act, and the file that counts the runs: see `failures`.
"""

from aiida_iontherm.engines.mock_vasp.errors import VaspStop
from aiida_iontherm.engines.mock_vasp.potcar import write_potcars
from aiida_iontherm.engines.mock_vasp.program import run

__all__ = ["VaspStop", "run", "write_potcars"]
