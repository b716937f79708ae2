"""Figures of a reference set that was labelled in parts."""

from aiida.orm import Dict

from aiida_iontherm.calculations.reference_sets import total_figures


def test_what_is_missing_is_counted_in_the_whole_set(aiida_profile):
    """Positions 1 and 4 of the set: the second of the first part, the first of the last one."""
    whole = {"missing": [], "converged": True}
    parts = {
        "part_0": whole | {"frames": 2, "missing": [1], "converged": False, "missing_because": "60 steps"},
        "part_1": whole | {"frames": 1},
        "part_2": whole | {"frames": 1, "missing": [0], "converged": False, "missing_because": "70 steps"},
    }
    nodes = {name: Dict(figures | {"wall_seconds": 1.5}) for name, figures in parts.items()}
    assert total_figures(**nodes).get_dict() == {
        "frames": 4,
        "missing": [1, 4],
        "converged": False,
        "wall_seconds": 4.5,
        "missing_because": "60 steps",
    }
