"""Tables of other programs computed our way: the same scalars in the same order, or the tables as they are."""

from dataclasses import replace

import numpy as np
import pytest
from ase.data import atomic_numbers

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp import kernel as kernel_module
from aiida_iontherm.physics.mtp.basis import BasisTables, basis_tables
from aiida_iontherm.physics.mtp.files import read_mtp_file
from aiida_iontherm.physics.mtp.kernel import Kernel
from aiida_iontherm.physics.mtp.recognition import MAX_LEVEL, faster_tables


@pytest.fixture
def mlips_tables(shared_data):
    def read(level: int) -> BasisTables:
        return read_mtp_file(shared_data / "mtp" / "fitting" / "crystals" / "cubic" / f"{level:02d}" / "pot.mtp").tables

    return read


def neighbourhood(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(8, 3))


@pytest.mark.parametrize("level", range(2, 24, 2))
def test_same_scalars_in_the_same_order(mlips_tables, scalars, level):
    given = mlips_tables(level)
    faster = faster_tables(given)
    for seed in range(3):
        mine, its = scalars(faster, neighbourhood(seed)), scalars(given, neighbourhood(seed))
        # Rounding, magnified by the cancellation within a scalar; neighbours in the order differ by 1e-3 and more.
        np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-13 * np.abs(its).max())
    # Up to level 12 theirs are as shallow as ours.
    assert (faster is given) is (level <= 12)


@pytest.mark.parametrize("level", [2, 8, 16])
def test_our_own_tables_need_none(level):
    assert faster_tables(basis_tables(level)) is basis_tables(level)


@pytest.mark.parametrize("name", ["cubic/06", "cubic/12", "cubic/16", "cubic/20", "multi/10", "noncubic/10"])
def test_energies_are_the_same_without(shared_data, monkeypatch, system, name):
    path = shared_data / "mtp" / "fitting" / "crystals" / name / "pot.mtp"
    species = ["Cs", "Cu", "I"][: read_mtp_file(path).species_count]
    potential = MomentTensorPotential.read(path, species)
    atoms = system("triclinic", species)
    mine, gradients = potential.evaluate(atoms), Kernel(potential).parameter_gradients(atoms)
    monkeypatch.setattr(kernel_module, "faster_tables", lambda tables: tables)
    plain = replace(potential, tables=replace(potential.tables))  # tables of its own, not compiled yet
    expected = plain.evaluate(atoms)
    for field in ("energies", "forces", "stress", "virials"):
        its = getattr(expected, field)
        # Rounding of two orders of operations.
        np.testing.assert_allclose(getattr(mine, field), its, rtol=0, atol=1e-12 * np.abs(its).max())
    for own, its in zip(gradients, Kernel(plain).parameter_gradients(atoms), strict=True):
        np.testing.assert_allclose(own, its, rtol=0, atol=1e-12 * np.abs(its).max())


def test_shuffled_scalars_are_found(mlips_tables, scalars):
    given = mlips_tables(16)
    order = np.random.default_rng(1).permutation(len(given.scalars))
    shuffled = replace(given, scalars=given.scalars[order])
    faster = faster_tables(shuffled)
    assert faster is not shuffled
    vectors = neighbourhood(2)
    expected = scalars(given, vectors)[order]
    # As above.
    np.testing.assert_allclose(scalars(faster, vectors), expected, rtol=1e-9, atol=1e-13 * np.abs(expected).max())


def test_foreign_tables_stay_as_they_are(mlips_tables):
    given = mlips_tables(16)
    times = given.times.copy()
    times[len(times) // 2, 2] += 1
    foreign = {
        "another factor": replace(given, times=times),
        "a scalar less": replace(given, scalars=given.scalars[:-1]),
        "a scalar twice": replace(given, scalars=np.concatenate([given.scalars[:-1], given.scalars[:1]])),
        "another power": replace(given, basic=np.where(given.basic == given.basic.max(), 0, given.basic)),
    }
    for name, tables in foreign.items():
        assert faster_tables(tables) is tables, name


def test_levels_beyond_the_largest_stay_as_they_are(mlips_tables):
    """Making our tables would take longer than it saves."""
    given = mlips_tables(26)
    assert MAX_LEVEL == 24
    assert faster_tables(given) is given


def test_further_radial_functions_are_kept(shared_data, system):
    """A file may have more radial functions than its basis uses, as published ones do."""
    path = shared_data / "mtp" / "fitting" / "crystals" / "cubic" / "16" / "pot.mtp"
    potential = MomentTensorPotential.read(path, ["Cu"])
    wide = np.concatenate([potential.radial_coeffs, np.ones_like(potential.radial_coeffs[:, :, :2])], axis=2)
    longer = replace(
        potential, tables=replace(potential.tables, n_radial=potential.tables.n_radial + 2), radial_coeffs=wide
    )
    atoms = system("cluster", ["Cu"])
    assert atoms.numbers[0] == atomic_numbers["Cu"]
    np.testing.assert_array_equal(longer.evaluate(atoms).forces, potential.evaluate(atoms).forces)
    radial = Kernel(longer).parameter_gradients(atoms)[2]
    assert radial.shape[1:] == wide.shape
    assert not radial[:, :, :, -2:].any()
