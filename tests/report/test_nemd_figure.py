"""The picture of heat exchange: what is drawn is what is written beside it."""

from dataclasses import replace

import numpy as np
import pytest

from aiida_iontherm.physics.heat import extrapolate_length, nemd
from aiida_iontherm.physics.units import KB_EV
from aiida_iontherm.report.figures.nemd import NemdData, describe_nemd, nemd_profiles


@pytest.fixture
def cell():
    """Twelve slabs, 300 K, a fall of 2 K per slab."""
    rng = np.random.default_rng(0)
    numbers = np.arange(12)
    temperatures = 306.0 - 2 * np.minimum(numbers, 12 - numbers) + 0.1 * rng.normal(size=(60, 12))
    rows = np.zeros((60, 12, 4))
    rows[..., 0], rows[..., 1] = 50.0, 3 * KB_EV * 50.0 * temperatures
    rows[..., 2:] = rng.normal(size=(60, 12, 2))
    return nemd(rows, np.diag([60.0, 20.0, 20.0]), 0, 0.5, 1.0)


def test_one_cell(cell):
    figure, columns = nemd_profiles(NemdData(cells=[cell]))
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("L = 30 Å", "gradient of both halves")
    np.testing.assert_array_equal(columns["temperature_K"], cell.temperatures)
    assert np.flatnonzero(columns["fitted"]).tolist() == sorted(cell.fitted.ravel())
    # each line goes through the mean of its slabs with their slope
    lines = [line for line in left.lines if len(line.get_xdata()) == 2]
    assert len(lines) == 2
    for line, slabs, gradient, sign in zip(lines, cell.fitted, cell.gradients, (-1, 1), strict=True):
        x, y = line.get_data()
        assert y.mean() == pytest.approx(cell.temperatures[slabs].mean())
        assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(sign * gradient)


def test_several_lengths(cell):
    cells = [replace(cell, length_A=length, kappa=kappa) for length, kappa in ((30, 1.0), (60, 1.3), (120, 1.6))]
    line = extrapolate_length([30, 60, 120], [1.0, 1.3, 1.6], [0.05, 0.05, 0.05])
    data = NemdData(cells=cells, extrapolation=line)
    figure, columns = nemd_profiles(data)
    assert [ax.get_title() for ax in figure.axes] == ["L = 120 Å", "extrapolation"]
    assert sorted(set(columns["length_A"])) == [30, 60, 120]
    caption = describe_nemd(data)
    assert "at 120 Å" in caption.text
    assert "Infinite length" in caption.alt
    assert "Infinite" not in describe_nemd(NemdData(cells=cells)).text


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="at least one cell"):
        NemdData(cells=[])
