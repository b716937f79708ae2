"""Real crystals for the lattice tests: force sets of the Kyoto phonon database and of phono3py's silicon example."""

from pathlib import Path

import numpy as np
import phono3py
import phonopy
import pytest

from aiida_iontherm.physics.lattice import Phonons


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


@pytest.fixture(scope="session")
def wurtzite(shared_data: Path) -> phonopy.Phonopy:
    """AgI with two formula units, a screw axis and one free coordinate; two atoms of each species are equivalent."""
    folder = shared_data / "phonondb" / "mp-22894"
    return phonopy.load(
        unitcell_filename=folder / "POSCAR-unitcell",
        supercell_matrix=np.diag([4, 4, 2]),
        primitive_matrix="P",
        force_sets_filename=folder / "FORCE_SETS",
        is_nac=False,
        log_level=0,
    )


@pytest.fixture(scope="session")
def wurtzite_everywhere(wurtzite: phonopy.Phonopy) -> Phonons:
    """AgI at all points of a mesh, for what has to come out the same from the irreducible ones."""
    axes = [np.arange(n) / n for n in (4, 4, 3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return Phonons.from_phonopy(wurtzite, qpoints=points)


@pytest.fixture(scope="session")
def wurtzite_irreducible(wurtzite: phonopy.Phonopy) -> Phonons:
    return Phonons.from_phonopy(wurtzite, (4, 4, 3))
