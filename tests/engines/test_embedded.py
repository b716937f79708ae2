"""Embedded engines by name, and that they say nothing while they work."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixCom

from aiida_iontherm.engines.embedded import (
    EngineError,
    available_engines,
    check_elements,
    make_calculator,
)
from aiida_iontherm.engines.embedded.registry import missing_packages


def test_the_shipped_engines_are_registered():
    assert {"chgnet", "emt", "lj", "mace", "tblite"} <= set(available_engines())


def test_unknown_engine_names_the_nearest():
    with pytest.raises(EngineError, match=r"no embedded engine chgnt; did you mean chgnet\?"):
        make_calculator("chgnt")
    with pytest.raises(EngineError, match="there are chgnet, emt"):
        check_elements("vasp", ["Cu"])


def test_elements_are_checked_before_anything_is_computed():
    check_elements("emt", ["Cu", "Ag"])
    with pytest.raises(EngineError, match=r"emt does not know Cs, I: choose another"):
        check_elements("emt", ["Cs", "Cu", "I"])
    # The compounds that the house is built for.
    check_elements("chgnet", ["Ag", "Cu", "Cs", "I", "Ge", "Sn", "Si", "Se", "S", "P", "Li", "Cl", "Br"])


def test_options_reach_the_engine_and_wrong_ones_are_refused():
    pair = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 4.0]])
    pair.calc = make_calculator("lj", {"epsilon": 0.5, "sigma": 3.4, "cutoff": 20.0})
    ratio = (3.4 / 4.0) ** 6
    # Far inside the smoothing, which begins at 16 Angstrom.
    assert pair.get_potential_energy() == pytest.approx(4 * 0.5 * (ratio**2 - ratio), rel=1e-12)
    with pytest.raises(EngineError, match="does not take these options"):
        make_calculator("lj", {"sgima": 3.4})


def test_missing_packages_are_found_without_an_import(monkeypatch):
    assert missing_packages("emt") == []
    monkeypatch.setattr("aiida_iontherm.engines.embedded.emt.PACKAGES", ("numpy", "no_such_package"))
    assert missing_packages("emt") == ["no_such_package"]


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mace.calculators", None)
    with pytest.raises(EngineError, match="mace needs a package that is not installed"):
        make_calculator("mace", {"model": "absent.model"})


@pytest.mark.slow
def test_chgnet_is_silent_and_consistent(capfd):
    """Forces and stress are slopes of the energy, and neither import nor calls write to the terminal."""
    pytest.importorskip("chgnet", reason="the extra chgnet is not installed")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        calculator = make_calculator("chgnet")
        atoms = bulk("CuI", "zincblende", a=6.05)
        atoms.rattle(0.05, seed=1)
        atoms.set_constraint(FixCom())
        atoms.calc = calculator
        forces, stress = atoms.get_forces(apply_constraint=False), atoms.get_stress(voigt=False)
    assert [str(warning.message) for warning in seen] == []
    assert capfd.readouterr() == ("", "")
    h = 0.01
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.set_constraint()
        moved.positions[0, 2] += sign * h
        moved.calc = calculator
        energies.append(moved.get_potential_energy())
    # Single precision leaves 1e-6 eV in energies of 5 eV, 1e-4 in their slope.
    assert forces[0, 2] == pytest.approx(-(energies[0] - energies[1]) / (2 * h), abs=3e-3)
    h = 0.002
    energies = []
    for sign in (1, -1):
        strained = atoms.copy()
        strained.set_constraint()
        strained.set_cell(atoms.cell.array * (1 + sign * h), scale_atoms=True)
        strained.calc = calculator
        energies.append(strained.get_potential_energy())
    slope = (energies[0] - energies[1]) / (2 * h) / atoms.get_volume()
    # 1e-6 eV over a strain of 0.004 and 55 Angstrom^3: some 1e-5.
    assert np.trace(stress) == pytest.approx(slope, abs=5e-5)
