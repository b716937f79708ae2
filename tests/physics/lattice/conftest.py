"""Real crystals for the lattice tests: force sets of the Kyoto phonon database and of phono3py's silicon example."""

from pathlib import Path

import numpy as np
import phono3py
import phonopy
import pytest


def load_phonondb(folder: Path, nac: bool) -> phonopy.Phonopy:
    return phonopy.load(
        unitcell_filename=folder / "POSCAR-unitcell",
        supercell_matrix=np.diag([2, 2, 2]),
        primitive_matrix="F",
        force_sets_filename=folder / "FORCE_SETS",
        born_filename=folder / "BORN" if nac else None,
        is_nac=nac,
        log_level=0,
    )


@pytest.fixture(scope="session")
def nacl(shared_data: Path) -> phonopy.Phonopy:
    """Rock salt with the non-analytical term."""
    return load_phonondb(shared_data / "phonondb" / "mp-22862", nac=True)


@pytest.fixture(scope="session")
def cucl(shared_data: Path) -> phonopy.Phonopy:
    """Zinc blende without the non-analytical term."""
    return load_phonondb(shared_data / "phonondb" / "mp-22914", nac=False)


@pytest.fixture(scope="session")
def silicon(shared_data: Path) -> phono3py.Phono3py:
    folder = shared_data / "force_sets" / "Si-PBE"
    return phono3py.load(
        folder / "phono3py_disp.yaml", forces_fc3_filename=folder / "FORCES_FC3", is_nac=False, log_level=0
    )
