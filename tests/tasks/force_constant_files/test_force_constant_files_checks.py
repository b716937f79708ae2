"""What cannot be the force constants of a crystal is refused, with a question where it may be another unit."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aiida_iontherm.physics.lattice.plausibility import check_stiffness
from aiida_iontherm.tasks.force_constant_files import (
    Clusters,
    ForceConstants,
    Repetition,
    check_force_constants,
    index_asymmetry,
    phonopy_supercell,
    read_force_constants,
    roomy_supercell,
    sum_rule_violation,
    to_phonopy,
    write_force_constants,
)
from aiida_iontherm.tasks.force_constant_files.units import converted

RYDBERG, BOHR = 13.605693122994, 0.529177210903
"""CODATA 2018, eV and Angstrom."""


def only(constants: ForceConstants, order: int) -> ForceConstants:
    names = {2: "second", 3: "third", 4: "fourth"}
    return ForceConstants(constants.repetition, **{names[order]: getattr(constants, names[order])})


def multiplied(constants: ForceConstants, order: int, by: float) -> ForceConstants:
    model = only(constants, order)
    if order == 4:
        return replace(model, fourth=replace(model.fourth, tensors=model.fourth.tensors * by))
    return replace(model, second=model.second * by) if order == 2 else replace(model, third=model.third * by)


def test_a_sound_crystal_passes(constants: ForceConstants) -> None:
    check_force_constants(constants)
    # Springs obey both to rounding.
    assert index_asymmetry(constants.second, constants.repetition) < 1e-14
    assert sum_rule_violation(constants.fourth) < 1e-14


@pytest.mark.parametrize(
    ("order", "unit", "energy"),
    [(2, "Ry/bohr", RYDBERG), (3, "Ry/bohr", RYDBERG), (4, "Ry/bohr", RYDBERG), (2, "mRy/bohr", RYDBERG / 1000)],
)
def test_another_unit_is_asked_for(order: int, unit: str, energy: float, constants: ForceConstants) -> None:
    """The numbers as another program would print them."""
    other = multiplied(constants, order, BOHR**order / energy)
    with pytest.raises(ValueError, match=rf"are they in .*{unit}\^{order}.*\? Say so with unit="):
        check_force_constants(other)
    back = converted(other, unit)
    for name in ("second", "third", "fourth"):
        ours, theirs = getattr(constants, name), getattr(back, name)
        if theirs is not None:
            left, right = (x.tensors if isinstance(x, Clusters) else x for x in (ours, theirs))
            # ASE's Rydberg and Bohr are of CODATA 2014: relative 1e-8 each.
            assert np.allclose(left, right, rtol=1e-7, atol=0)
    check_force_constants(back)


def test_unit_can_be_named(constants: ForceConstants, tmp_path: Path) -> None:
    other = multiplied(constants, 2, BOHR**2 / RYDBERG)
    write_force_constants(tmp_path / "FORCE_CONSTANTS", other)
    cells = (constants.primitive, constants.supercell)
    with pytest.raises(ValueError, match=r"are they in Ry/bohr\^2"):
        read_force_constants(tmp_path / "FORCE_CONSTANTS", *cells)
    back = read_force_constants(tmp_path / "FORCE_CONSTANTS", *cells, unit="Ry/bohr")
    # 15 decimals of numbers 48.6 times smaller, and CODATA.
    assert np.abs(back.second - constants.second).max() < 1e-6
    kept = read_force_constants(tmp_path / "FORCE_CONSTANTS", *cells, unit="eV/Angstrom")
    assert np.abs(kept.second - other.second).max() < 1e-15
    with pytest.raises(ValueError, match="unknown unit 'Ry' of force constants: take one of eV/Angstrom, Ry/bohr"):
        read_force_constants(tmp_path / "FORCE_CONSTANTS", *cells, unit="Ry")


def test_newton_per_metre_is_asked_for(constants: ForceConstants) -> None:
    with pytest.raises(ValueError, match=r"J/m\^2"):
        check_force_constants(multiplied(constants, 2, 16.0217663))


def test_magnitude_is_the_stiffness_of_plausibility(constants: ForceConstants) -> None:
    """The same question as of a phonopy object, at the same magnitudes."""
    for factor, sound in ((1.0, True), (0.03, False), (20.0, False)):
        model = multiplied(constants, 2, factor)
        for check in (check_force_constants, lambda m: check_stiffness(to_phonopy(m))):
            if sound:
                check(model)
            else:
                with pytest.raises(ValueError, match="crystals have 2 to 200"):
                    check(model)


def test_turned_sign_is_asked_for(constants: ForceConstants) -> None:
    with pytest.raises(ValueError, match="is their sign turned"):
        check_force_constants(multiplied(constants, 2, -1.0))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_numbers_that_are_not_finite(order: int, constants: ForceConstants, tmp_path: Path) -> None:
    spoilt = multiplied(constants, order, 1.0)
    array = spoilt.fourth.tensors if order == 4 else (spoilt.second if order == 2 else spoilt.third)
    array.flat[7] = np.nan
    with pytest.raises(ValueError, match="-order force constants hold 1 numbers that are not finite"):
        check_force_constants(spoilt)
    with pytest.raises(ValueError, match="not finite"):
        write_force_constants(tmp_path / "FORCE_CONSTANTS", spoilt)
    assert not list(tmp_path.iterdir())


def test_all_zero(constants: ForceConstants) -> None:
    with pytest.raises(ValueError, match="third-order force constants are all zero"):
        check_force_constants(multiplied(constants, 3, 0.0))


@pytest.mark.parametrize(("order", "share"), [(2, 0.06), (3, 0.25), (4, 0.25)])
def test_broken_sum_rules(order: int, share: float, constants: ForceConstants) -> None:
    """One self-term too large by a share of the largest element: the sum over the last atom is just that."""
    model = multiplied(constants, order, 1.0)
    if order == 4:
        tensors = model.fourth.tensors
        home = np.all(model.fourth.atoms == 0, axis=1) & np.all(model.fourth.cells == 0, axis=(1, 2))
        tensors[np.flatnonzero(home)[0], 0, 0, 0, 1] += share * np.abs(tensors).max()
    else:
        array = model.second if order == 2 else model.third
        array[(0,) * order + (0,) * order] += share * np.abs(array).max()
    with pytest.raises(ValueError, match=r"acoustic sum rule .* is broken by \d+%"):
        check_force_constants(model)
    check_force_constants(model, sum_rules=False)
    assert sum_rule_violation(model.fourth if order == 4 else array) == pytest.approx(share, rel=0.2)


def test_rounding_of_other_programs_passes(constants: ForceConstants) -> None:
    """Six decimals, and noise of some per cent as finite differences leave it."""
    check_force_constants(replace(constants, second=constants.second.round(6), third=constants.third.round(6)))
    noise = np.random.default_rng(3).normal(size=constants.second.shape) * 0.02
    check_force_constants(replace(only(constants, 2), second=constants.second + noise))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("some words\n" * 20, "begins like no file of force constants"),
        ("64\n", "or is cut short within its first lines"),
    ],
)
def test_other_files(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_force_constants(tmp_path / "file")


def test_absent_files_and_unknown_formats(constants: ForceConstants, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*FORCE_CONSTANTS"):
        read_force_constants(tmp_path / "FORCE_CONSTANTS")
    with pytest.raises(ValueError, match="'alamode' is not a format that is read: take one of yaml, phonopy"):
        read_force_constants(tmp_path / "FORCE_CONSTANTS", format="alamode")
    with pytest.raises(ValueError, match=r"model\.xml does not tell its format: call it one of FORCE_CONSTANTS"):
        write_force_constants(tmp_path / "model.xml", constants)
    with pytest.raises(ValueError, match="'alamode' is not a format that is written"):
        write_force_constants(tmp_path / "model.xml", constants, format="alamode")


@pytest.mark.parametrize(
    ("name", "order", "message"),
    [
        ("FORCE_CONSTANTS", 3, "no second-order force constants here to write"),
        ("fc2.hdf5", 3, "no second-order force constants here to write"),
        ("fc3.hdf5", 2, "no third-order force constants here"),
        ("FORCE_CONSTANTS_3RD", 4, "no third-order force constants here"),
        ("FORCE_CONSTANTS_4TH", 2, "no fourth-order force constants here to write"),
        ("infile.forceconstant", 3, "no second-order force constants here"),
        ("BORN", 2, "no Born charges here to write"),
    ],
)
def test_orders_that_are_not_there(
    name: str, order: int, message: str, constants: ForceConstants, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_force_constants(tmp_path / name, only(constants, order))
    assert not list(tmp_path.iterdir())


def test_arrays_of_other_shapes(constants: ForceConstants, clusters: dict[int, Clusters]) -> None:
    with pytest.raises(ValueError, match=r"second-order array is \(3, 23, 3, 3\), needs \(3, 24, 3, 3\)"):
        ForceConstants(constants.repetition, second=constants.second[:, 1:])
    with pytest.raises(ValueError, match="third-order force constants need clusters of 3 atoms"):
        ForceConstants(constants.repetition, third=clusters[4])
    with pytest.raises(ValueError, match="atoms outside the primitive cell of 3 atoms"):
        ForceConstants(constants.repetition, fourth=replace(clusters[4], atoms=clusters[4].atoms + 1))
    with pytest.raises(ValueError, match="need cells"):
        Clusters(clusters[3].atoms, clusters[3].cells[:, :1], clusters[3].tensors)


def test_joining_asks_which_one_is_meant(constants: ForceConstants) -> None:
    with pytest.raises(ValueError, match="both have second-order force constants"):
        only(constants, 2).joined(only(constants, 2))
    whole = only(constants, 4).joined(only(constants, 3)).joined(only(constants, 2))
    check_force_constants(whole)
    assert whole.second is constants.second
    assert whole.third is constants.third
    assert whole.fourth is constants.fourth


def test_joining_orders_of_different_supercells(constants: ForceConstants, clusters: dict[int, Clusters]) -> None:
    cell = constants.primitive
    larger = only(constants, 3).in_supercell(phonopy_supercell(cell, (3, 2, 2)))
    whole = larger.joined(only(constants, 2))
    assert len(whole.supercell) == 24
    # Third order has gone to clusters and back: elements up to 17.
    assert np.abs(whole.third_array() - constants.third).max() < 1e-13


def test_checks_are_cheap(constants: ForceConstants, crystal) -> None:
    """Against what is computed from force constants: a second for 3000 atoms of a supercell is nothing."""
    repetition = Repetition.of(crystal, roomy_supercell(crystal, 18.0))
    larger = only(constants, 2).in_supercell(repetition.supercell)
    began = time.process_time()
    check_force_constants(larger)
    # Measured 0.02 s of CPU; a loaded machine counts no more CPU time.
    assert time.process_time() - began < 1.0


def test_changed_reader_of_every_text(constants: ForceConstants, tmp_path: Path, changed: Callable) -> None:
    """Fortran's exponents are read as numbers everywhere."""
    write_force_constants(tmp_path / "FORCE_CONSTANTS_3RD", constants)
    path = changed(tmp_path / "FORCE_CONSTANTS_3RD", lambda text: text.replace("e+", "D+").replace("e-", "D-"))
    ours, theirs = (read_force_constants(p, constants.primitive) for p in (path, tmp_path / "FORCE_CONSTANTS_3RD"))
    assert np.array_equal(ours.third.tensors, theirs.third.tensors)
