"""The compiled sum over pairs of modes against a plain twin in NumPy, and what must not change it."""

import numpy as np
import pytest

from aiida_iontherm import _native
from aiida_iontherm.physics.heat import mode_heat_capacity
from aiida_iontherm.physics.lattice.linewidths import average_degenerate, degenerate_sets
from aiida_iontherm.physics.lattice.pair_sum import PairSum
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.tensors import VOIGT, from_voigt, invariants, symmetrise_tensor
from aiida_iontherm.physics.units import KB

VOLUME, TEMPERATURE = 90.0, 220.0
WEIGHTS = np.array([1.0, 4.0, 3.0])


def modes(bands, seed=0):
    """Frequencies with degenerate pairs, a soft mode and one without linewidth; widths; velocity operators."""
    rng = np.random.default_rng(seed)
    frequencies = np.sort(rng.uniform(0.3, 9.0, (3, bands)), axis=1)
    frequencies[0, 0] = 0.01  # below the cutoff
    frequencies[1, 0] = -0.4
    if bands > 4:
        frequencies[2, 3:5] = frequencies[2, 3]
    gamma = rng.uniform(0.01, 0.6, (3, bands))
    gamma[0, -1] = 0.0
    matrix = rng.normal(size=(2, 3, 3, bands, bands))
    velocity = 500 * (matrix[0] + 1j * matrix[1])
    return frequencies, gamma, velocity + velocity.conj().swapaxes(-1, -2)


def twin(frequencies, gamma, velocity, split="degenerate", capacity=None):
    """Both channels by pair [q, s, s', 3, 3]: the equations of `pair_sum` as they stand."""
    kept = (frequencies > 0.05) & (gamma > 0)
    sets = degenerate_sets(frequencies)
    f = np.where(kept, average_degenerate(frequencies, frequencies), 1.0)
    g = np.where(kept, average_degenerate(frequencies, gamma), 1.0)
    c = KB * mode_heat_capacity(f, TEMPERATURE) if capacity is None else np.full_like(f, capacity)
    mean = (f[:, :, None] + f[:, None]) / 4 * ((c / f)[:, :, None] + (c / f)[:, None])
    widths = g[:, :, None] + g[:, None]
    lines = widths / ((f[:, :, None] - f[:, None]) ** 2 + widths**2)
    products = np.einsum("qast,qbts->qstab", velocity, velocity).real
    scale = WEIGHTS / WEIGHTS.sum() * 1e-12 / (2 * np.pi * VOLUME * 1e-30)
    pairs = (scale[:, None, None] * mean * lines * (kept[:, :, None] & kept[:, None]))[..., None, None] * products
    same = sets[:, :, None] == sets[:, None] if split == "degenerate" else np.eye(f.shape[1], dtype=bool)[None]
    same = np.broadcast_to(same, mean.shape)[..., None, None]
    return np.where(same, pairs, 0.0), np.where(same, 0.0, pairs), c, f


# More and fewer modes than a vector of any instruction set has lanes, and not multiples of it.
@pytest.mark.parametrize("bands", [1, 3, 6, 13, 40])
@pytest.mark.parametrize("split", ["degenerate", "diagonal"])
def test_channels_are_the_equations(bands, split):
    frequencies, gamma, velocity = modes(bands)
    pairs = PairSum(frequencies, WEIGHTS, VOLUME, velocity_operator=velocity, split=split)
    particle, wave, _, _ = twin(frequencies, gamma, velocity, split)
    ours = pairs.channels(gamma, TEMPERATURE)
    # Sums of up to 5000 terms of both signs in another order.
    np.testing.assert_allclose(ours[0], particle.sum((0, 1, 2)), rtol=1e-11, atol=1e-11 * np.abs(particle).sum())
    np.testing.assert_allclose(ours[1], wave.sum((0, 1, 2)), rtol=1e-11, atol=1e-11 * np.abs(particle).sum())


@pytest.mark.parametrize("bands", [6, 40])
def test_modes_share_a_pair_by_their_heat_capacities(bands):
    frequencies, gamma, velocity = modes(bands)
    pairs = PairSum(frequencies, WEIGHTS, VOLUME, velocity_operator=velocity)
    particle, wave, c, _ = twin(frequencies, gamma, velocity)
    share = 2 * c[:, :, None] / (c[:, :, None] + c[:, None])
    expected = particle.sum(2), (wave * share[..., None, None]).sum(2)
    by_mode = pairs.by_mode(gamma, TEMPERATURE)
    for ours, theirs, channel in zip(by_mode, expected, pairs.channels(gamma, TEMPERATURE), strict=True):
        np.testing.assert_allclose(from_voigt(ours), theirs, atol=1e-12 * np.abs(particle).sum())  # order of sums
        np.testing.assert_allclose(from_voigt(ours.sum((0, 1))), channel, atol=1e-12 * np.abs(particle).sum())


def test_density_puts_each_pair_where_its_frequencies_are():
    frequencies, gamma, velocity = modes(13)
    pairs = PairSum(frequencies, WEIGHTS, VOLUME, velocity_operator=velocity)
    edges = np.array([0.0, 1.5, 4.0, 6.0, 9.5])
    density = pairs.wave_density(gamma, TEMPERATURE, edges)
    _, wave, _, f = twin(frequencies, gamma, velocity)
    bins = np.digitize(f, edges) - 1
    expected = np.zeros((4, 4, 3, 3))
    np.add.at(expected, (bins[:, :, None], bins[:, None]), wave)
    widths = np.diff(edges)
    ours = density * np.multiply.outer(widths, widths)[:, :, None, None]
    np.testing.assert_allclose(ours, expected, atol=1e-12 * np.abs(wave).sum())  # order of sums
    np.testing.assert_allclose(ours.sum((0, 1)), pairs.channels(gamma, TEMPERATURE)[1], atol=1e-12 * np.abs(wave).sum())
    # Half of the modes lie outside: their pairs are not counted.
    part = (
        pairs.wave_density(gamma, TEMPERATURE, edges[:3]) * np.multiply.outer(widths[:2], widths[:2])[..., None, None]
    )
    np.testing.assert_allclose(part, ours[:2, :2], atol=1e-12 * np.abs(wave).sum())


def test_classical_statistics_give_each_mode_kb():
    frequencies, gamma, velocity = modes(6)
    ours = PairSum(frequencies, WEIGHTS, VOLUME, velocity_operator=velocity).channels(gamma, TEMPERATURE, "classical")
    particle, wave, _, _ = twin(frequencies, gamma, velocity, capacity=KB)
    np.testing.assert_allclose(ours[0], particle.sum((0, 1, 2)), rtol=1e-11, atol=1e-11 * np.abs(particle).sum())
    np.testing.assert_allclose(ours[1], wave.sum((0, 1, 2)), rtol=1e-11, atol=1e-11 * np.abs(particle).sum())


def test_averaging_over_the_group_first_is_averaging_last(nacl):
    """One combination of the six components is left of a cubic crystal, and it is enough."""
    phonons = Phonons.from_phonopy(nacl, (4, 4, 4))
    gamma = np.random.default_rng(3).uniform(0.05, 0.3, phonons.frequencies_thz.shape)
    plain = PairSum(
        phonons.frequencies_thz, phonons.weights, phonons.volume_A3, velocity_operator=phonons.velocity_operator
    )
    averaged = PairSum.of(phonons)
    for ours, six in zip(averaged.channels(gamma, 300.0), plain.channels(gamma, 300.0), strict=True):
        expected = symmetrise_tensor(six, phonons.rotations)
        np.testing.assert_allclose(ours, expected, atol=1e-12 * expected[0, 0])  # rounding
        np.testing.assert_allclose(ours, ours[0, 0] * np.eye(3), atol=1e-12 * expected[0, 0])


@pytest.mark.parametrize(("fixture", "count"), [("nacl", 1), ("wurtzite", 2)])
def test_number_of_invariants(request, fixture, count):
    rotations = Phonons.from_phonopy(request.getfixturevalue(fixture), (1, 1, 1)).rotations
    combinations, tensors = invariants(rotations)
    assert combinations.shape == tensors.shape == (count, 6)


def test_threads_and_instruction_sets_do_not_matter():
    frequencies, gamma, velocity = modes(40)
    one = PairSum(frequencies, WEIGHTS, VOLUME, velocity_operator=velocity, threads=1)
    two = PairSum(frequencies, WEIGHTS, VOLUME, velocity_operator=velocity, threads=2)
    for first, second in zip(one.channels(gamma, 300.0), two.channels(gamma, 300.0), strict=True):
        np.testing.assert_array_equal(first, second)
    arguments = one._modes(gamma, 300.0, "quantum").arguments
    results = []
    for name in _native.instruction_sets():
        kernel = _native.PairSum(3, 40, np.eye(6), False, 1, name)
        assert kernel.instructions == name
        kernel.set_velocities(0, velocity)
        results.append(kernel.totals(*arguments))
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-10)  # another order of sums with terms of both signs


@pytest.mark.parametrize("bands", [1, 6, 13, 40])
def test_single_precision_keeps_seven_digits(bands):
    frequencies, gamma, velocity = modes(bands)
    double = PairSum(frequencies, WEIGHTS, VOLUME, velocity_operator=velocity)
    single = PairSum(frequencies, WEIGHTS, VOLUME, velocity_operator=velocity, precision="single")
    edges = np.linspace(0, 10, 6)
    particle, wave, _, _ = twin(frequencies, gamma, velocity)
    scale = np.abs(particle).sum() + np.abs(wave).sum()
    for ours, other in (
        (single.channels(gamma, TEMPERATURE), double.channels(gamma, TEMPERATURE)),
        (single.by_mode(gamma, TEMPERATURE), double.by_mode(gamma, TEMPERATURE)),
        (single.wave_density(gamma, TEMPERATURE, edges), double.wave_density(gamma, TEMPERATURE, edges)),
    ):
        # Each term is off by at most 2^-24 = 6e-8 of itself.
        np.testing.assert_allclose(ours, other, rtol=0, atol=6e-8 * scale)
    assert np.any(single.channels(gamma, TEMPERATURE)[0] != double.channels(gamma, TEMPERATURE)[0])


def test_products_serve_as_well_as_velocities():
    frequencies, gamma, velocity = modes(13)
    products = np.stack([np.einsum("qst,qts->qst", velocity[:, a], velocity[:, b]).real for a, b in VOIGT], axis=1)
    first = PairSum(frequencies, WEIGHTS, VOLUME, velocity_operator=velocity).channels(gamma, 300.0)
    second = PairSum(frequencies, WEIGHTS, VOLUME, products=products).channels(gamma, 300.0)
    np.testing.assert_allclose(first, second, rtol=1e-10)  # rounding, terms of both signs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequencies_thz": [[2.0, 1.0]]}, "ascend"),
        ({"weights": [1.0, 2.0]}, "do not match"),
        ({"split": "both"}, "split"),
        ({"precision": "half"}, "precision"),
        ({"velocity_operator": np.zeros((1, 3, 3, 3), complex)}, "need"),
        ({"velocity_operator": np.zeros((2, 3, 2, 2), complex)}, "2 q-points"),
        ({"products": np.zeros((1, 6, 2, 2))}, "either"),
    ],
)
def test_wrong_crystals(change, message):
    right = {"frequencies_thz": [[1.0, 2.0]], "weights": [1.0], "volume_A3": 50.0}
    right["velocity_operator"] = np.ones((1, 3, 2, 2), complex)
    with pytest.raises(ValueError, match=message):
        PairSum(**(right | change))


@pytest.mark.parametrize(
    ("gamma", "temperature", "message"),
    [
        ([[0.1, -0.1]], 300.0, "not below zero"),
        ([[0.1, np.nan]], 300.0, "not below zero"),
        ([[0.1]], 300.0, "shape"),
        ([[0.1, 0.1]], 0.0, "positive"),
    ],
)
def test_wrong_linewidths(gamma, temperature, message):
    pairs = PairSum([[1.0, 2.0]], [1.0], 50.0, velocity_operator=np.ones((1, 3, 2, 2), complex))
    with pytest.raises(ValueError, match=message):
        pairs.channels(gamma, temperature)
