"""Learning curves: errors on a fixed test part against the number of configurations or the level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ase import Atoms

from aiida_iontherm.physics.mtp.training.checks import Outliers, check_configurations
from aiida_iontherm.physics.mtp.training.errors import Errors, evaluate_errors
from aiida_iontherm.physics.mtp.training.fit import Training, train
from aiida_iontherm.physics.mtp.training.split import split


@dataclass(frozen=True)
class LearningPoint:
    """One training of a learning curve.

    Attributes
    ----------
    level : int
    n_configurations : int
        Given to the training, with its own held-out part.
    training : Training
    test_errors : Errors
        On the test part, which is the same for all points.
    """

    level: int
    n_configurations: int
    training: Training
    test_errors: Errors


def learning_curve(
    configurations: Sequence[Atoms],
    *,
    sizes: Sequence[int] | None = None,
    levels: Sequence[int] = (16,),
    test_fraction: float = 0.2,
    seed: int = 0,
    outliers: Outliers = "raise",
    on_point: Callable[[LearningPoint], None] | None = None,
    **options: Any,
) -> list[LearningPoint]:
    """Train at each level on each number of configurations, and test on configurations that no training sees.

    Smaller sets are parts of larger ones, so that the points differ by what was added.

    Parameters
    ----------
    configurations : sequence of ase.Atoms
    sizes : sequence of int, optional
        Numbers of configurations to train on; by default all that are not in the test part.
    levels : sequence of int
    test_fraction : float
        Part of the configurations that is kept for the test.
    seed : int
        Chooses the test part; also that of the trainings.
    outliers : {"raise", "exclude"}
        See `train`.
    on_point : callable, optional
        Called with each point when it is done.
    **options
        Other options of `train`.

    Returns
    -------
    list of LearningPoint
        For the first level all sizes, then for the second, ...

    Raises
    ------
    ValueError
        If a test part cannot be taken, or a size is larger than what is left.
    """
    checked = check_configurations(configurations, outliers)
    rest, test = split(checked.kept, checked.twins, test_fraction, seed)
    if not test:
        raise ValueError(
            f"a test part of {test_fraction:g} of {len(checked.kept)} configurations is empty: give more of them, or a "
            "larger test_fraction"
        )
    sizes = [len(rest)] if sizes is None else list(sizes)
    if not all(1 <= size <= len(rest) for size in sizes):
        raise ValueError(f"sizes must lie between 1 and the {len(rest)} configurations outside the test part: {sizes}")
    test_data = [checked.kept[index] for index in test]
    points = []
    for level in levels:
        for size in sizes:
            frames = [checked.kept[index].atoms for index in rest[:size]]
            training = train(frames, level=level, seed=seed, outliers=outliers, active_set=False, **options)
            missing = {symbol for entry in test_data for symbol in entry.atoms.symbols.species()} - set(
                training.potential.species
            )
            if missing:
                raise ValueError(
                    f"the first {size} configurations hold no {', '.join(sorted(missing))}: begin with a larger size"
                )
            point = LearningPoint(level, size, training, evaluate_errors(training.potential, test_data))
            points.append(point)
            if on_point is not None:
                on_point(point)
    return points
