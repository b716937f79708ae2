"""Directions side by side, and results beside published values."""

import pytest

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.report.model import Published
from aiida_iontherm.report.tables import Footnotes, by_direction, comparisons, is_heat


def quantity(**fields):
    common = {
        "name": "kappa_total",
        "value": 0.3,
        "unit": "W/(m K)",
        "method": "two-channel",
        "converged": True,
        "temperature": 300.0,
        "direction": "x",
    }
    return Quantity(**{**common, **fields})


def published(**fields):
    common = {"name": "kappa_total", "value": 0.2, "unit": "W/m/K", "citation": "A", "direction": "xx"}
    return Published(**{**common, "temperature_K": 300.0, **fields})


def test_directions_stand_side_by_side_with_footnotes():
    notes = Footnotes()
    table = by_direction(
        [
            quantity(direction="z"),
            quantity(direction="x", converged=False, reason="imaginary modes"),
            quantity(direction="x", temperature=200.0, converged=False, reason="imaginary modes"),
            quantity(name="D_Cu"),
        ],
        is_heat,
        notes,
    )
    assert table.columns == ("x", "z")
    assert table.unit == "W/(m K)"
    assert [row.temperature for row in table.rows] == ["200 K", "300 K"]
    assert table.rows[0].cells[1] == ()
    assert table.rows[1].cells[0][0].note == table.rows[0].cells[0][0].note == 1
    assert notes.texts == ["imaginary modes"]
    assert table.methods == (("κ total", "two-channel"),)


def test_two_methods_of_one_quantity_are_told_apart():
    table = by_direction([quantity(), quantity(method="Green-Kubo", value=0.28)], is_heat, Footnotes())
    assert [row.method for row in table.rows] == ["two-channel", "Green-Kubo"]
    assert [row.temperature for row in table.rows] == ["300 K", ""]


def test_a_value_and_a_limit_stay_side_by_side():
    bound = quantity(direction="y", bound="upper", method="counting hops")
    table = by_direction([quantity(), bound], is_heat, Footnotes())
    (row,) = table.rows
    assert [cells[0].text for cells in row.cells] == ["0.3", "< 0.30"]
    assert row.method == ""
    assert len(table.methods) == 2


def test_too_many_methods_are_left_to_the_full_list():
    results = [quantity(temperature=float(t), method=f"window {t}") for t in (200, 300, 400, 500, 600)]
    assert by_direction(results, is_heat, Footnotes()).methods == ()


def test_no_table_without_results():
    assert by_direction([quantity(name="D_Cu")], is_heat, Footnotes()) is None


def test_comparison_takes_the_nearest_temperature_and_propagates_errors():
    results = [quantity(temperature=200.0, value=0.5), quantity(temperature=320.0, uncertainty=0.03)]
    (row,) = comparisons(results, [published(uncertainty=0.02)])
    assert row.computed_temperature == "320 K"
    # 0.3/0.2 with relative errors of 10 % each: 1.5 * sqrt(0.02) = 0.21
    assert row.ratio == "1.50 ± 0.21"


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio"),
    [
        ({"temperature": 600.0}, {}, "300 K apart"),
        ({"unit": "eV"}, {}, "units differ"),
        ({"bound": "upper"}, {}, "< 1.5"),
        ({}, {"bound": "upper"}, "> 1.5"),  # below 0.2 is published: we are more than 1.5 times above
        ({"bound": "upper"}, {"bound": "upper"}, "both are limits"),
        ({"value": None, "converged": False, "reason": "no hop"}, {}, "–"),
        ({}, {"temperature_K": None}, "temperature not given"),
        ({"temperature": None}, {}, "1.5"),
        ({"direction": "y"}, {}, "–"),
    ],
)
def test_ratio_only_where_it_means_something(ours, theirs, ratio):
    (row,) = comparisons([quantity(**ours)], [published(**theirs)])
    assert row.ratio == ratio


def test_all_methods_at_the_nearest_temperature_are_compared():
    rows = comparisons([quantity(), quantity(method="Green-Kubo", value=0.28)], [published()])
    assert [row.computed for row in rows] == ["0.3", "0.28"]


@pytest.mark.parametrize(("temperature", "near"), [(250.0, True), (205.0, True), (402.0, True), (500.0, False)])
def test_published_range_is_compared_within_it(temperature, near):
    rows = comparisons([quantity(temperature=temperature)], [published(temperature_K=(200.0, 400.0))])
    assert rows[0].published_temperature == "200–400 K"
    assert ("K apart" in rows[0].ratio) is not near


def test_what_holds_for_a_range_is_compared_with_what_needs_no_temperature():
    (row,) = comparisons([quantity(temperature=None, value=0.6)], [published(temperature_K=(200.0, 400.0), value=0.3)])
    assert row.ratio == "2"
