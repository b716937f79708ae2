"""Barriers of profiles whose shape is known, and ASE's own barrier of the same images."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.mep import NEBTools

from aiida_iontherm.physics.ions import barrier_profile, barrier_quantities


def images(energy, slope, x):
    """One atom on a line with the energies and forces of a function; a second atom that stands still."""
    x = np.asarray(x, dtype=float)
    positions = np.zeros((len(x), 2, 3))
    positions[:, 0, 0] = x
    positions[:, 1, 1] = 3.0
    forces = np.zeros_like(positions)
    forces[:, 0, 0] = -slope(x)
    return energy(x), forces, positions


def cosine(height, tilt=0.0, length=3.0):
    """Hill from 0 to `length`, its end `tilt` higher than its start."""
    k = 2 * np.pi / length

    def energy(x):
        return height / 2 * (1 - np.cos(k * x)) + tilt * x / length

    def slope(x):
        return height / 2 * k * np.sin(k * x) + tilt / length

    return energy, slope


@pytest.mark.parametrize("n", [5, 6, 9])
def test_height_of_a_cosine(n):
    """An even number of images has none on the saddle: the curve finds it."""
    profile = barrier_profile(*images(*cosine(0.4), np.linspace(0, 3, n)), residual_force=0.01, fmax=0.02)
    # a cubic through values and slopes errs by E'''' h^4/384 at most
    error = 0.2 * (2 * np.pi / 3) ** 4 * (3 / (n - 1)) ** 4 / 384
    assert profile.forward_ev == pytest.approx(0.4, abs=error)
    assert profile.backward_ev == pytest.approx(profile.forward_ev, abs=1e-12)
    assert profile.saddle == pytest.approx(0.5, abs=0.02)
    assert (profile.state, profile.converged, profile.minima) == ("barrier", True, ())
    assert profile.interpolation_ev == pytest.approx(0.4 - profile.energies_ev.max(), abs=error)
    assert profile.path_A[-1] == pytest.approx(3.0)


def test_barriers_there_and_back_of_a_tilted_cosine():
    energy, slope = cosine(0.5, tilt=0.2)
    profile = barrier_profile(*images(energy, slope, np.linspace(0, 3, 13)), residual_force=0.0, fmax=0.05)
    fine = energy(np.linspace(0, 3, 100001))
    # E'''' h^4/384 with h = 0.25 Angstrom: 5e-5 eV
    assert profile.forward_ev == pytest.approx(fine.max(), abs=6e-5)
    assert profile.backward_ev == pytest.approx(fine.max() - fine[-1], abs=6e-5)
    assert profile.reaction_ev == pytest.approx(0.2, abs=1e-12)
    assert profile.forward_ev - profile.backward_ev == pytest.approx(profile.reaction_ev)


def test_as_ase_has_it():
    energies, forces, positions = images(*cosine(0.3, 0.1), np.array([0, 0.5, 0.9, 1.7, 2.2, 3.0]))
    frames = []
    for e, f, r in zip(energies, forces, positions, strict=True):
        atoms = Atoms("LiH", positions=r, cell=[20, 20, 20], pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=e, forces=f)
        frames.append(atoms)
    theirs, difference = NEBTools(frames).get_barrier()
    profile = barrier_profile(energies, forces, positions)
    # ASE takes the highest of twenty points per image, which lie 0.04 Angstrom apart: half of that off at most
    assert profile.forward_ev == pytest.approx(theirs, abs=0.5 * 0.7 * 0.02**2)
    assert profile.forward_ev >= theirs
    assert profile.reaction_ev == pytest.approx(difference)


def test_a_path_that_only_climbs_has_no_barrier():
    x = np.linspace(0, 2, 7)
    profile = barrier_profile(*images(lambda x: 0.1 * x**2, lambda x: 0.2 * x, x), residual_force=0.01, fmax=0.05)
    assert profile.state == "no barrier"
    assert "no barrier to cross" in profile.reason
    assert profile.backward_ev == pytest.approx(0.0, abs=1e-12)
    down = barrier_profile(*images(lambda x: -0.1 * x, lambda x: 0 * x - 0.1, x), residual_force=0.01, fmax=0.05)
    assert (down.state, down.forward_ev) == ("no barrier", pytest.approx(0.0, abs=1e-12))


def test_a_minimum_on_the_way_splits_the_path():
    profile = barrier_profile(*images(*cosine(0.3, length=1.5), np.linspace(0, 3, 13)), residual_force=0.01, fmax=0.05)
    assert profile.state == "intermediate minimum"
    assert not profile.converged
    assert profile.minima == pytest.approx((0.5,), abs=1e-3)
    assert "split it there" in profile.reason
    assert profile.forward_ev == pytest.approx(0.3, abs=1e-3)  # E'''' h^4/384: 5e-4


def test_ripples_of_the_interpolation_are_no_minima():
    """Three millielectronvolts deep at most, on the flat top and beside a high end."""
    energy, slope = cosine(0.3)

    def rippled(x):
        return energy(x) + 0.0015 * np.sin(80 * x)

    def rippled_slope(x):
        return slope(x) + 0.12 * np.cos(80 * x)

    profile = barrier_profile(*images(rippled, rippled_slope, np.linspace(0, 3, 301)), residual_force=0.0, fmax=0.05)
    assert profile.state == "barrier"
    top = rippled(np.linspace(1.2, 1.8, 600))
    assert np.sum((np.diff(top)[:-1] < 0) & (np.diff(top)[1:] > 0)) > 0  # there are dips on the top
    # from a start that was not its minimum the path first goes down
    dip = barrier_profile(
        *images(lambda x: 0.2 * np.sin(2 * x - 0.3), lambda x: 0.4 * np.cos(2 * x - 0.3), np.linspace(0, 2.4, 13)),
        residual_force=0.0,
        fmax=0.05,
    )
    assert dip.minima == ()


def test_verdicts():
    hill = images(*cosine(0.4), np.linspace(0, 3, 7))
    rough = barrier_profile(*hill, residual_force=0.2, fmax=0.05)
    assert not rough.converged
    assert "0.2 eV/Angstrom is left" in rough.reason
    absurd = barrier_profile(*images(*cosine(50.0), np.linspace(0, 3, 7)), residual_force=0.01, fmax=0.05)
    assert not absurd.converged
    assert "none of a solid" in absurd.reason
    rigid = barrier_profile(*hill)
    assert not rigid.converged
    assert "not relaxed" in rigid.reason
    there, back = barrier_quantities(barrier_profile(*hill, residual_force=0.01, fmax=0.05), "Cu-Cu_3.00", "band")
    assert (there.name, there.unit, there.direction) == ("migration_barrier_Cu-Cu_3.00", "eV", "forward")
    assert there.value == pytest.approx(back.value)
    assert there.converged


def test_bad_input():
    energies, forces, positions = images(*cosine(0.4), [0, 1, 2, 3])
    with pytest.raises(ValueError, match="too few"):
        barrier_profile(energies[:2], forces[:2], positions[:2])
    with pytest.raises(ValueError, match="do not fit"):
        barrier_profile(energies, forces[:3], positions)
    with pytest.raises(ValueError, match="NaN"):
        barrier_profile(np.array([0, np.nan, 1, 0]), forces, positions)
    with pytest.raises(ValueError, match="1 and 2 of the path are the same"):
        barrier_profile(energies, forces, positions[[0, 1, 1, 3]])
