"""From labelled configurations to a potential."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from ase import Atoms

from aiida_iontherm.physics.mtp.potential import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_of
from aiida_iontherm.physics.mtp.training.checks import Outliers, check_configurations
from aiida_iontherm.physics.mtp.training.configuration import Configuration, species_of
from aiida_iontherm.physics.mtp.training.errors import Errors, evaluate_errors
from aiida_iontherm.physics.mtp.training.gauge import normalised
from aiida_iontherm.physics.mtp.training.least_squares import DEFAULT_RIDGE
from aiida_iontherm.physics.mtp.training.loss import PAPER_WEIGHTS, Part, Weights, check_weights
from aiida_iontherm.physics.mtp.training.projection import ProjectedLoss
from aiida_iontherm.physics.mtp.training.ranges import choose_cutoff, choose_min_distance
from aiida_iontherm.physics.mtp.training.search import Search, StopRules
from aiida_iontherm.physics.mtp.training.split import split
from aiida_iontherm.physics.mtp.training.state import TrainingState

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """Outcome of `train`.

    Attributes
    ----------
    potential : MomentTensorPotential
    errors : Errors
        On the configurations that were fitted.
    validation_errors : Errors or None
        On those that were held out.
    history : float array [rows, 5]
        See `TrainingState`.
    converged : bool
    reason : str
        Why the training ended.
    fitted, held_out : tuple of int
        Which of the given configurations were fitted and which held out, in the order of the errors' parity data.
    excluded : dict of int to str
        Which were left out, and why.
    notes : tuple of str
        What there is to say about the data and the choices made from them.
    """

    potential: MomentTensorPotential
    errors: Errors
    validation_errors: Errors | None
    history: Array
    converged: bool
    reason: str
    fitted: tuple[int, ...]
    held_out: tuple[int, ...]
    excluded: dict[int, str]
    notes: tuple[str, ...]


def train(
    configurations: Sequence[Atoms],
    *,
    level: int = 16,
    cutoff: float | Literal["auto"] = 5.0,
    weights: Weights = PAPER_WEIGHTS,
    seed: int = 0,
    radial_size: int = 8,
    min_distance: float | None = None,
    validation_fraction: float = 0.1,
    max_iterations: int = 150,
    tolerance: float = 1e-2,
    patience: int = 10,
    n_starts: int = 2,
    ridge: float = DEFAULT_RIDGE,
    outliers: Outliers = "raise",
    start: MomentTensorPotential | None = None,
    state: TrainingState | None = None,
    on_step: Callable[[TrainingState], bool] | None = None,
    active_set: bool = True,
    threads: int | None = None,
) -> Training:
    """Train a potential on labelled configurations.

    Parameters
    ----------
    configurations : sequence of ase.Atoms
        Carrying energy, forces and, where there are any, stresses; ``atoms.info`` may hold a ``weight`` and a
        ``group`` (or ``config_type``).
    level, radial_size
        See `MomentTensorPotential.new`.
    cutoff : float or "auto"
        In Angstrom; "auto" takes it from the radial distribution (`ranges.choose_cutoff`).
    weights : (float, float, float)
        w_E, w_F, w_S of the loss (`loss`).
    seed : int
        Of the radial coefficients to start from, the held-out part and the order of the samples. The same seed gives
        the same potential, on any number of threads.
    min_distance : float, optional
        In Angstrom; by default 95 % of the shortest distance in the data.
    validation_fraction : float
        Part held out; the parameters that do best on it are kept. 0 keeps the last ones.
    max_iterations : int
        Limit of iterations.
    tolerance : float
        Stop when ten iterations lower the loss by less than this fraction.
    patience : int
        Stop when so many iterations do not lower the loss of the held-out part.
    n_starts : int
        Radial coefficients to start from that are tried; the best ones go on.
    ridge : float
        Regularisation of the linear coefficients (`least_squares.solve_ridge`).
    outliers : {"raise", "exclude"}
        What to do with configurations that cannot be right (`checks`).
    start : MomentTensorPotential, optional
        Radial coefficients to start from, e.g. of the previous generation; must fit level, species and cutoff.
    state : TrainingState, optional
        Continue from here: same configurations and options as before, except limits.
    on_step : callable, optional
        Called after each iteration with the state; return False to stop (the potential so far is returned).
    active_set : bool
        Attach the active set of the configurations to the potential, so that it can grade others. It takes a second
        per thousand atoms at level 16, six at level 22.
    threads : int, optional
        See `kernel.available_threads`.

    Raises
    ------
    ValueError
        If there are no configurations, labels are missing or impossible, or options do not fit.
    """
    check_weights(weights)
    if n_starts < 1 or patience < 1 or max_iterations < 0:
        raise ValueError(
            f"n_starts ({n_starts}) and patience ({patience}) must be 1 or more, max_iterations ({max_iterations}) 0 "
            "or more"
        )
    checked = check_configurations(configurations, outliers)
    data, notes = checked.kept, list(checked.notes)
    species = species_of(data)
    if cutoff == "auto":
        cutoff, reason = (start.cutoff, "") if start is not None else choose_cutoff(data)
        notes += [reason] if reason else []
    if start is not None:
        _check_start(start, level, species, cutoff)
        min_distance = start.min_distance
    elif min_distance is None:
        min_distance, reason = choose_min_distance(data)
        notes.append(reason)
    _check_neighbours(min_distance, cutoff)

    def blank(seed_of_start: int) -> MomentTensorPotential:
        return MomentTensorPotential.new(
            level=level,
            species=species,
            cutoff=cutoff,
            min_distance=min_distance,
            radial_size=radial_size,
            seed=seed_of_start,
        )

    def make_radial(number: int) -> Array:
        if start is not None:
            return start.radial_coeffs
        return blank(_seed_of_start(seed, number)).radial_coeffs

    template = start or blank(seed)
    fitted, held_out = split(data, checked.twins, validation_fraction, seed)
    problem = ProjectedLoss(template, [data[index] for index in fitted], weights, ridge, threads)
    notes += _notes_on_amount(data, fitted, held_out, problem)
    search = Search(
        problem,
        Part(template, [data[index] for index in held_out], weights, threads) if held_out else None,
        make_radial,
        n_starts=n_starts,
        from_scratch=start is None,
        rules=StopRules(max_iterations=max_iterations, tolerance=tolerance, patience=patience),
        seed=seed,
    )
    if state is None:
        state = search.begin()
    while (end := search.end(state)) is None:
        state = search.step(state)
        if on_step is not None and not on_step(state):
            end = "stopped from outside", False
            break
    potential = normalised(search.finish(state).potential)
    if active_set:
        potential = potential.replace(active_set=active_set_of(potential, [entry.atoms for entry in data]))

    def errors_on(part: Sequence[int]) -> Errors:
        return evaluate_errors(potential, [data[index] for index in part], threads)

    return Training(
        potential=potential,
        errors=errors_on(fitted),
        validation_errors=errors_on(held_out) if held_out else None,
        history=state.history,
        converged=end[1],
        reason=end[0],
        fitted=tuple(checked.indices[index] for index in fitted),
        held_out=tuple(checked.indices[index] for index in held_out),
        excluded=checked.excluded,
        notes=tuple(notes),
    )


def _seed_of_start(seed: int, number: int) -> int:
    return seed if number == 0 else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _check_neighbours(min_distance: float, cutoff: float) -> None:
    if cutoff <= min_distance:
        raise ValueError(
            f"the cutoff of {cutoff:g} Angstrom does not reach beyond the minimum distance of {min_distance:g}: "
            "no atom would have a neighbour, take a larger one"
        )


def _check_start(start: MomentTensorPotential, level: int, species: tuple[str, ...], cutoff: float) -> None:
    from aiida_iontherm.physics.mtp.basis import basis_tables

    if (
        start.species != species
        or start.cutoff != cutoff
        or len(start.tables.scalars) != len(basis_tables(level).scalars)
    ):
        raise ValueError(
            f"the starting potential ({'-'.join(start.species)}, cutoff {start.cutoff}, "
            f"{len(start.tables.scalars)} scalars) does not fit this training: leave it out or keep its settings"
        )


def _notes_on_amount(
    data: Sequence[Configuration], fitted: Sequence[int], held_out: Sequence[int], problem: ProjectedLoss
) -> list[str]:
    notes = [f"configurations fitted: {len(fitted)}, held out: {len(held_out)}"]
    # Three forces of a cell follow from the others, as they add up to zero.
    numbers = sum(
        1 + max(3 * len(data[index].atoms) - 3, 0) + (6 if data[index].stress is not None else 0) for index in fitted
    )
    if numbers < problem.n_linear + problem.n_radial:
        notes.append(
            f"{numbers} numbers are to fix {problem.n_linear + problem.n_radial} coefficients: "
            "take a lower level or label more configurations"
        )
    return notes
