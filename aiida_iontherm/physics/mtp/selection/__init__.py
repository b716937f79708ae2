"""Active learning by D-optimality: which configurations a potential has to know before it can be trusted.

`active_set` holds the most different rows of a training set and grades others against them, `maxvol` finds them,
`rows` says what the rows of a configuration are, `candidates` chooses what to label next, `archive` turns an active
set into plain arrays and back.
"""

from aiida_iontherm.physics.mtp.selection.active_set import ActiveSet, grades, select_active_set, update
from aiida_iontherm.physics.mtp.selection.archive import active_set_from_arrays, active_set_to_arrays
from aiida_iontherm.physics.mtp.selection.candidates import Selection, grade_choice, select_configurations
from aiida_iontherm.physics.mtp.selection.rows import (
    active_set_of,
    configuration_rows,
    fingerprint,
    gradient_rows,
    make_grader,
)

__all__ = [
    "ActiveSet",
    "Selection",
    "active_set_from_arrays",
    "active_set_of",
    "active_set_to_arrays",
    "configuration_rows",
    "fingerprint",
    "grade_choice",
    "grades",
    "gradient_rows",
    "make_grader",
    "select_active_set",
    "select_configurations",
    "update",
]
