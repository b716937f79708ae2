"""Per-atom virials and the heat current J = sum_i E_i v_i + sum_j virials_j v_j, against what defines them."""

import numpy as np
import pytest
from ase import units
from scipy.integrate import solve_ivp

from aiida_iontherm.physics.mtp.kernel import Kernel


@pytest.mark.parametrize("level", [2, 8, 14])
def test_virials_are_their_definition(random_potential, cluster, level):
    """virials[j, a, b] = sum_i (r_i - r_j)_a dU_i/dr_j,b with the derivative taken by finite differences."""
    potential = random_potential(level)
    h = 1e-4
    expected = np.zeros((len(cluster), 3, 3))
    for j, b in np.ndindex(len(cluster), 3):
        moved = [cluster.copy(), cluster.copy()]
        moved[0].positions[j, b] += h
        moved[1].positions[j, b] -= h
        slopes = (potential.evaluate(moved[0]).energies - potential.evaluate(moved[1]).energies) / (2 * h)
        expected[j, :, b] = slopes @ (cluster.positions - cluster.positions[j])
    virials = potential.evaluate(cluster).virials
    # Central differences err by h^2/6 times a third derivative of some hundred times the force.
    np.testing.assert_allclose(virials, expected, atol=1e-6 * np.abs(virials).max())
    if level > 2:
        # The test would be empty if a symmetric half-and-half virial of pairs passed as well.
        assert np.abs(virials - virials.swapaxes(1, 2)).max() > 0.01 * np.abs(virials).max()


@pytest.mark.parametrize("level", [2, 8, 14])
def test_sum_of_virials_is_the_stress(random_potential, each_system, level):
    """sum_j virials = -V stress: both are sum_ij of r_ij times dU_i/dr_j, once with the sign of each convention."""
    atoms = each_system(["Cu", "I"])
    result = random_potential(level).evaluate(atoms)
    total = result.virials.sum(axis=0)
    # Sums of a hundred terms: rounding. The sum is symmetric because the energy does not change under rotations.
    rounding = 1e-13 * np.abs(result.virials).sum()
    np.testing.assert_allclose(total, total.T, rtol=0, atol=rounding)
    if atoms.cell.rank == 3:
        np.testing.assert_allclose(total, -atoms.cell.volume * result.stress, rtol=0, atol=rounding)
        alone = Kernel(random_potential(level)).evaluate(atoms)
        np.testing.assert_allclose(total, -atoms.cell.volume * alone.stress, rtol=0, atol=rounding)
    else:
        assert result.stress is None


def nve_trajectory(potential, atoms, velocities, timestep, n_steps):
    """Positions and velocities [step, atom, 3] of an isolated cluster.

    An integrator of eighth order that goes on until its own error is 1e-13: what Verlet's shadow of the energy would
    leave in the heat current (1e-6 at 0.1 fs) is not there.
    """
    shape, masses = atoms.positions.shape, atoms.get_masses()[:, None]
    moving, kernel = atoms.copy(), Kernel(potential)

    def slope(_, state):
        moving.positions = state[: atoms.positions.size].reshape(shape)
        return np.concatenate([state[atoms.positions.size :], (kernel.evaluate(moving).forces / masses).ravel()])

    states = [np.concatenate([atoms.positions.ravel(), velocities.ravel()])]
    for _ in range(n_steps):
        # One interval after the other: at its end the solution is a step, not an interpolation of lower order.
        states.append(solve_ivp(slope, (0, timestep), states[-1], "DOP853", rtol=1e-13, atol=1e-14).y[:, -1])
    return np.array(states).reshape(n_steps + 1, 2, *shape).swapaxes(0, 1)


def central_difference(values, spacing, timestep):
    """First derivative to eighth order; the outermost 4 * spacing values have none."""
    weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    inner = np.arange(4 * spacing, len(values) - 4 * spacing)
    differences = {k: values[inner + k * spacing] - values[inner - k * spacing] for k in weights}
    return sum(weights[k] * differences[k] for k in weights) / (spacing * timestep)


@pytest.mark.parametrize("level", [8, 14])
def test_heat_current_is_the_flow_of_energy(random_potential, cluster, level):
    """J = d/dt sum_i r_i E_i at every step of a trajectory of a free cluster (DESIGN: numbers that must be right)."""
    potential = random_potential(level)
    masses = cluster.get_masses()
    start = np.random.default_rng(10).normal(scale=0.02, size=cluster.positions.shape)
    timestep = 0.05 * units.fs
    trajectory = nve_trajectory(potential, cluster, start, timestep, 40)
    kernel, atoms = Kernel(potential), cluster.copy()
    moments, currents, transposed, totals = [], [], [], []
    for positions, velocities in zip(*trajectory, strict=True):
        atoms.positions = positions
        result = kernel.evaluate(atoms, virials=True)
        energies = result.energies + 0.5 * masses * np.sum(velocities**2, axis=1)
        convection = energies @ velocities
        moments.append(energies @ positions)
        currents.append(convection + np.einsum("jab,jb->a", result.virials, velocities))
        transposed.append(convection + np.einsum("jba,jb->a", result.virials, velocities))
        totals.append(energies.sum())
    # Energy is conserved to what the integrator leaves.
    assert np.ptp(totals) < 1e-10 * np.abs(currents).max()
    flow = central_difference(np.array(moments), 1, timestep)
    scale = np.abs(flow).max()
    # What the difference itself errs by: at twice the spacing it is 2^8 times as large, and still lost in rounding.
    coarse = central_difference(np.array(moments), 2, timestep)
    np.testing.assert_allclose(coarse, flow[4:-4], rtol=0, atol=1e-10 * scale)
    # Rounding of the moments over the timestep. Measured: 3e-12.
    np.testing.assert_allclose(currents[4:-4], flow, rtol=0, atol=1e-10 * scale)
    # The order of the indices matters, by far more than the tolerance.
    assert np.abs(np.array(transposed)[4:-4] - flow).max() > 1e-3 * scale
