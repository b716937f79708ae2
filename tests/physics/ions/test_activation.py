import numpy as np
import pytest

from aiida_iontherm.physics.ions import activation_energy_bound
from aiida_iontherm.physics.ions.activation import HOP_LENGTH_A, activation_energy
from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.units import KB_EV

T = np.linspace(450, 900, 8)


def record(t, value, uncertainty=None, bound=None, converged=True):
    return Quantity(
        name="D_Cu",
        value=value,
        unit="cm^2/s",
        method="planted",
        converged=converged,
        reason="" if converged else "too short",
        uncertainty=uncertainty,
        bound=bound,
        temperature=t,
        direction="average",
    )


def records(energies):
    d = 1e-3 * np.exp(-np.asarray(energies) / (KB_EV * T))
    return [record(float(t), float(v), 0.1 * float(v)) for t, v in zip(T, d, strict=True)]


def test_planted_energy():
    energy = activation_energy(records(0.3 + 0 * T), 2.0)
    assert energy.value == pytest.approx(0.3, rel=1e-9)  # exact points
    assert energy.converged and energy.bound is None


def test_a_bend_that_chi2_forgives_is_not_converged():
    # ln D off the line of 0.3 eV by up to 0.37 at the ends: chi2 has a chance of 1.5 %, the bend one of 7e-5
    beta = 1 / (KB_EV * T)
    x = (beta - beta.mean()) / np.ptp(beta)
    bent = [
        record(float(t), float(v), 0.1 * float(v))
        for t, v in zip(T, 1e-3 * np.exp(-0.3 * beta - 1.5 * x**2), strict=True)
    ]
    energy = activation_energy(bent, 2.0)
    assert not energy.converged and "bends" in energy.reason


def test_doubtful_points_come_first():
    points = records(0.3 + 0 * T)
    points[0] = record(450.0, points[0].value, points[0].uncertainty, converged=False)
    energy = activation_energy(points, 2.0)
    assert not energy.converged and energy.reason == "D is not converged at 450 K"


def test_bounds_alone_give_a_bound():
    energy = activation_energy([record(300.0, 1e-8, bound="upper"), record(400.0, 1e-7, bound="upper")], 2.0)
    best = max(activation_energy_bound(d, t, 2.0, HOP_LENGTH_A) for d, t in ((1e-8, 300.0), (1e-7, 400.0)))
    assert energy.bound == "lower" and energy.value == pytest.approx(best, rel=1e-12)  # the same formula
    with pytest.raises(ValueError, match="no direction-averaged"):
        activation_energy([], 2.0)
