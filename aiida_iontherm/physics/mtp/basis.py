"""How to compute the basis scalars of a level: tables of elementary moments and of their products.

Evaluation of a scalar splits its moments into two halves of at most two (`contractions`): the tensor of each half, with
the indices bound to the other half left open, is computed once for all scalars that need it, and the scalar is a sum of
products of components of two such tensors. Tensors are symmetric within the open indices of each moment, so a component
is named by powers (a, b, c) of x, y, z per moment. Where several splits give the same scalar, the one is taken that
needs the fewest terms not needed elsewhere; a few passes over all scalars settle the choice.

This matters for speed: a half is the product of two elementary moments, so all deeper products are scalars, which the
kernel folds into one quadratic form. At level 22 it leaves 40 % of the products that contracting one moment after the
other needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product as cartesian_product
from math import factorial

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.contractions import Graph, Moment, connected_contractions, scalar_products

Powers = tuple[int, int, int]
"""Powers of x, y and z: one component of a symmetric tensor."""

Elementary = tuple[int, Powers]
"""mu and powers of a component of a moment tensor."""

Half = tuple[int, tuple[Moment, Powers], tuple[Moment, Powers]]
"""Component of two moments contracted over a number of indices, with the powers left open on each."""

Operand = Elementary | Half | int
"""What a term of a scalar multiplies; a number is a connected scalar of three moments."""

Expansion = dict[tuple[Operand, Operand], int]
"""A sum of products."""

# What a term costs the kernel per group of atoms, in loads and arithmetic, relative to each other: three passes
# (forward, and the adjoint of either factor) for a term of a half, two shorter ones for one of the quadratic form.
_HALF_TERM, _HALF, _PAIR_TERM = 3.0, 2.0, 1.4
_PASSES = 3


@dataclass(frozen=True, eq=False)
class BasisTables:
    """Recipe to compute all basis scalars of a neighbourhood, in the layout of MLIP's ``.mtp`` files.

    Attributes
    ----------
    basic : int array [b, 4]
        mu and the powers of x, y, z of each elementary moment component m[0:b].
    times : int array [t, 4]
        Rows (i, j, c, k): m[k] += c m[i] m[j], in order.
    scalars : int array [s]
        Positions of the basis scalars in m.
    n_moments : int
        Length of m.
    n_radial : int
        Number of radial functions, largest mu + 1.
    """

    basic: npt.NDArray[np.int32]
    times: npt.NDArray[np.int32]
    scalars: npt.NDArray[np.int32]
    n_moments: int
    n_radial: int


@lru_cache(maxsize=16)
def basis_tables(level: int) -> BasisTables:
    """Build the tables of a level.

    Parameters
    ----------
    level : int
        Even number >= 2. Odd levels add nothing a user would ask for: MLIP's potentials are even ones.

    Raises
    ------
    ValueError
        If the level is odd or below 2.
    """
    if level < 2 or level % 2:
        raise ValueError(f"an MTP level is an even number from 2 on, not {level}")
    connected = connected_contractions(level)
    products = sorted(scalar_products(connected, level), key=lambda product: (len(product), product))
    triples = {index: min(_expansions(*graph), key=len) for index, graph in enumerate(connected) if len(graph[0]) == 3}
    chosen = _choose([_options(product, connected) for product in products], triples)
    return _tables(connected, chosen, triples)


def _options(product: tuple[int, ...], connected: list[Graph]) -> list[Expansion]:
    """All ways to write a product of connected scalars as a sum over two halves; none for a moment of rank 0."""
    graphs = [connected[index] for index in product]
    moments, matrix = _united(graphs)
    if len(moments) == 1:
        return [{}]
    options = _expansions(moments, matrix)
    if sorted(len(graph[0]) for graph in graphs) == [1, 3]:
        lone, triple = sorted(product, key=lambda index: len(connected[index][0]))
        options.append({((connected[lone][0][0][0], (0, 0, 0)), triple): 1})
    return options


def _united(graphs: list[Graph]) -> Graph:
    """Disconnected graph of several connected ones."""
    moments = tuple(moment for graph in graphs for moment in graph[0])
    matrix = [[0] * len(moments) for _ in moments]
    first = 0
    for graph in graphs:
        for i, row in enumerate(graph[1]):
            matrix[first + i][first : first + len(row)] = row
        first += len(graph[0])
    return moments, tuple(tuple(row) for row in matrix)


_SPLITS: dict[int, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {
    2: [((0,), (1,))],
    3: [((0, 1), (2,)), ((0, 2), (1,)), ((1, 2), (0,))],
    4: [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))],
}


def _expansions(moments: tuple[Moment, ...], matrix: tuple[tuple[int, ...], ...]) -> list[Expansion]:
    """Write a contraction as a sum of products, for each way to split its moments into halves."""
    return [_expansion(moments, matrix, left, right) for left, right in _SPLITS[len(moments)]]


def _expansion(
    moments: tuple[Moment, ...], matrix: tuple[tuple[int, ...], ...], left: tuple[int, ...], right: tuple[int, ...]
) -> Expansion:
    bonds = [(i, j) for i in left for j in right if matrix[i][j]]
    terms: Expansion = {}
    for bound in cartesian_product(*[_weighted_powers(matrix[i][j]) for i, j in bonds]):
        weight = 1
        open_powers: list[Powers] = [(0, 0, 0)] * len(moments)
        for (i, j), (powers, count) in zip(bonds, bound, strict=True):
            weight *= count
            open_powers[i] = _add(open_powers[i], powers)
            open_powers[j] = _add(open_powers[j], powers)
        pair = (_operand(moments, matrix, left, open_powers), _operand(moments, matrix, right, open_powers))
        # A half of one moment has two entries, one of two has three: tuples of unequal kinds compare by their length.
        if (len(pair[1]), pair[1]) < (len(pair[0]), pair[0]):
            pair = (pair[1], pair[0])
        terms[pair] = terms.get(pair, 0) + weight
    return terms


def _operand(
    moments: tuple[Moment, ...], matrix: tuple[tuple[int, ...], ...], half: tuple[int, ...], open_powers: list[Powers]
) -> Elementary | Half:
    i = half[0]
    if len(half) == 1:
        return moments[i][0], open_powers[i]
    j = half[1]
    first, second = (moments[i], open_powers[i]), (moments[j], open_powers[j])
    return (matrix[i][j], first, second) if first <= second else (matrix[i][j], second, first)


def _choose(options: list[list[Expansion]], triples: dict[int, Expansion]) -> list[Expansion]:
    """Pick for each scalar the expansion that adds least to what the others need already."""
    used: Counter[Operand] = Counter()
    paired: Counter[tuple[Operand, Operand]] = Counter()
    halves = [[_halves(option) for option in alternatives] for alternatives in options]

    def cost(scalar: int, option: int) -> float:
        new = sum(_HALF_TERM * _n_terms(half, triples) + _HALF for half in halves[scalar][option] if not used[half])
        return new + _PAIR_TERM * sum(1 for pair in options[scalar][option] if not paired[pair])

    def count(scalar: int, option: int, sign: int) -> None:
        for half in halves[scalar][option]:
            used[half] += sign
        for pair in options[scalar][option]:
            paired[pair] += sign

    choice = [-1] * len(options)
    for _ in range(_PASSES):
        for scalar, alternatives in enumerate(options):
            if choice[scalar] >= 0:
                if len(alternatives) == 1:
                    continue
                count(scalar, choice[scalar], -1)
            choice[scalar] = min(range(len(alternatives)), key=lambda option: cost(scalar, option))
            count(scalar, choice[scalar], 1)
    return [alternatives[option] for alternatives, option in zip(options, choice, strict=True)]


def _halves(expansion: Expansion) -> list[Half | int]:
    return sorted({x for pair in expansion for x in pair if isinstance(x, int) or len(x) == 3}, key=_operand_order)


def _n_terms(half: Half | int, triples: dict[int, Expansion]) -> int:
    return len(triples[half]) if isinstance(half, int) else (half[0] + 1) * (half[0] + 2) // 2


def _operand_order(half: Half | int) -> tuple[object, ...]:
    """Halves of the same two moments together, for the sake of caches; then the scalars of three moments."""
    if isinstance(half, int):
        return True, half
    edges, first, second = half
    return False, first[0], second[0], edges, first[1], second[1]


def _tables(connected: list[Graph], chosen: list[Expansion], triples: dict[int, Expansion]) -> BasisTables:
    """Give numbers to elementary moments, halves and scalars, in this order, and write down the terms of each."""
    number: dict[Operand, int] = {}
    basic: list[tuple[int, int, int, int]] = []
    # The file format wants the elementary components in front, and whole tensors.
    for mu, nu in sorted({moment for moments, _ in connected for moment in moments}):
        for powers in _powers(nu):
            number[mu, powers] = len(basic)
            basic.append((mu, *powers))
    halves = {half for expansion in chosen for half in _halves(expansion)}
    halves |= {half for index in halves if isinstance(index, int) for half in _halves(triples[index])}
    times: list[tuple[int, int, int, int]] = []
    n_moments = len(basic)

    def add(terms: Iterable[tuple[tuple[Operand, Operand], int]]) -> int:
        nonlocal n_moments
        numbered = sorted((*sorted((number[i], number[j])), weight) for (i, j), weight in terms)
        times.extend((i, j, weight, n_moments) for i, j, weight in numbered)
        n_moments += 1
        return n_moments - 1

    for half in sorted(halves, key=_operand_order):
        number[half] = add(triples[half].items() if isinstance(half, int) else _half_terms(half))
    whole = {frozenset(triples[index].items()): number[index] for index in halves if isinstance(index, int)}
    scalars, lone = [], iter([graph for graph in connected if len(graph[0]) == 1])
    for expansion in chosen:
        if not expansion:  # a moment of rank 0 is a scalar by itself; they come in the order of the connected ones
            scalars.append(number[next(lone)[0][0][0], (0, 0, 0)])
        else:
            known = whole.get(frozenset(expansion.items()))
            scalars.append(add(expansion.items()) if known is None else known)
    return BasisTables(
        basic=np.array(basic, dtype=np.int32).reshape(-1, 4),
        times=np.array(times, dtype=np.int32).reshape(-1, 4),
        scalars=np.array(scalars, dtype=np.int32),
        n_moments=n_moments,
        n_radial=max(row[0] for row in basic) + 1,
    )


def _half_terms(half: Half) -> Iterator[tuple[tuple[Operand, Operand], int]]:
    """Two moments contracted over `half[0]` indices, component by component."""
    edges, ((mu, _), open_powers), ((other_mu, _), other_powers) = half
    terms: Counter[tuple[Operand, Operand]] = Counter()
    for bound, weight in _weighted_powers(edges):
        pair = sorted([(mu, _add(open_powers, bound)), (other_mu, _add(other_powers, bound))])
        terms[pair[0], pair[1]] += weight
    yield from terms.items()


@lru_cache(maxsize=64)
def _powers(rank: int) -> list[Powers]:
    return [(a, b, rank - a - b) for a in range(rank, -1, -1) for b in range(rank - a, -1, -1)]


@lru_cache(maxsize=64)
def _weighted_powers(rank: int) -> list[tuple[Powers, int]]:
    """Powers with the number of index tuples that each stands for."""
    return [(p, factorial(rank) // (factorial(p[0]) * factorial(p[1]) * factorial(p[2]))) for p in _powers(rank)]


def _add(left: Powers, right: Powers) -> Powers:
    return (left[0] + right[0], left[1] + right[1], left[2] + right[2])
