"""Random numbers of the compiled loop: known answers of the generator, and Box and Muller's formula."""

import numpy as np
import pytest

from aiida_iontherm import _native

# kat_vectors of Random123, which the authors of the generator publish with it.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox(counter, key, answer):
    assert list(_native.philox(words(counter), words(key))) == words(answer)


def test_normal_numbers():
    """From the words of seed, step and atom, all their bits included; our logarithm and sine against NumPy's."""
    low = 2**32 - 1
    cases = [(seed, step, atom) for seed in (0, 5, 2**63 + 11) for step in (1, 2**40 + 3) for atom in range(500)]
    for seed, step, atom in cases:
        block = _native.philox([atom, step & low, step >> 32, 0], [seed & low, seed >> 32])
        u = (np.array(block) + 0.5) / 2**32
        radius, angle = np.sqrt(-2 * np.log(u[:2])), 2 * np.pi * u[2:]
        expected = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        # A few units in the last place of numbers up to 6.
        np.testing.assert_allclose(_native.normal_numbers(seed, step, atom), expected, atol=1e-14)
