"""One way of writing a number."""

import pytest

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.report.format import format_number, format_quantity, label, results_table, unit_text, verdict


def quantity(**fields):
    common = {"name": "kappa_total", "value": 0.163, "unit": "W/(m K)", "method": "two-channel", "converged": True}
    return Quantity(**{**common, **fields})


@pytest.mark.parametrize(
    ("value", "uncertainty", "text"),
    [
        (0.1634, 0.0118, "0.163 ± 0.012"),
        (0.1634, None, "0.163"),
        (0.05, None, "0.05"),  # no zeros that nobody gave
        (51.0, None, "51"),
        (9.3e-8, 1.24e-8, "(9.3 ± 1.2)e-8"),
        (9.31e-8, None, "9.31e-8"),
        (9.3e-8, None, "9.3e-8"),
        (2.1e-9, 1.1e-8, "(0.2 ± 1.1)e-8"),  # an error bar above the value sets the power
        (0.5, 0.0996, "0.50 ± 0.10"),  # 0.0996 rounds up into the next decade
        (1234.0, 123.0, "1230 ± 120"),
        (-0.004, 0.12, "0.00 ± 0.12"),  # no minus in front of zero
        (123456.0, 1200.0, "(1.235 ± 0.012)e5"),
        (0.0, None, "0"),
        (0.163, 0.0, "0.163 ± 0"),
        (9.999e-4, None, "1e-3"),
        (-1.6, None, "-1.6"),
    ],
)
def test_value_and_error_bar(value, uncertainty, text):
    assert format_number(value, uncertainty) == text


@pytest.mark.parametrize(
    ("value", "bound", "text"),
    [
        (1.2e-6, "upper", "< 1.2e-6"),
        (1.2e-6, "lower", "> 1.2e-6"),
        (1.21e-6, "upper", "< 1.3e-6"),  # a limit is never written tighter than found
        (1.29e-6, "lower", "> 1.2e-6"),
        (0.4e-6 * 3, "upper", "< 1.2e-6"),  # 1.2000000000000002e-6: rounding noise is not a tighter limit
        (9.91e-6, "upper", "< 1.0e-5"),
        (0.0, "upper", "< 0"),
        (37.2, "upper", "< 38"),
    ],
)
def test_bounds_are_rounded_to_the_weaker_side(value, bound, text):
    assert format_number(value, None, bound) == text


def test_quantity_carries_its_unit():
    assert format_quantity(quantity(uncertainty=0.012)) == "0.163 ± 0.012 W/(m K)"
    assert format_quantity(quantity(name="mobile_fraction", unit="1", value=0.14)) == "0.14"
    assert format_quantity(quantity(bound="upper", value=1.2e-6, unit="cm^2/s")) == "< 1.2e-6 cm^2/s"
    assert format_quantity(quantity(value=None, converged=False, reason="no hop")) == "not determined"


def test_verdicts():
    assert verdict(quantity()) == "converged"
    assert verdict(quantity(bound="upper")) == "limit"
    assert verdict(quantity(converged=False, reason="drift")) == "not converged"
    assert verdict(quantity(value=None, converged=False, reason="no hop")) == "no value"


def test_results_table_is_text_in_the_order_given():
    rows = results_table([quantity(temperature=300.0, direction="xx", uuid="ab"), quantity(name="D_Cu")])
    assert [row.name for row in rows] == ["κ total", "D(Cu)"]
    assert (rows[0].temperature, rows[0].direction, rows[0].verdict, rows[0].uuid) == ("300 K", "x", "converged", "ab")
    assert (rows[1].temperature, rows[1].direction, rows[1].uuid) == ("", "", "")


def test_words_and_units():
    assert label("sigma_Li") == "σ(Li)"
    assert label("kappa_green_kubo") == "κ Green–Kubo"
    assert label("activation_energy") == "activation energy"
    assert unit_text("cm2/s") == unit_text("cm^2/s") == "cm²/s"
    assert unit_text("W/m/K") == "W/(m K)"
    assert unit_text("1") == ""
