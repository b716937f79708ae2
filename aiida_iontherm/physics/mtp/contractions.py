"""Which contractions of moment tensors make up the basis of a given level.

A moment tensor of a neighbourhood is M_{mu,nu} = sum_j f_mu(r_j) r_j x ... x r_j (nu times), Eq. 3 of Novikov et al.,
Mach. Learn.: Sci. Technol. 2, 025002 (2021). Its level is 2 + 4 mu + nu, that of a contraction to a scalar is the
sum over its moments. A basis of level L holds the scalars of level <= L (A. V. Shapeev, Multiscale Model. Simul. 14,
1153 (2016), Sec. 3) that contract at most four moments: the sets in the potential files that are in use stop there
(their level 10 has M_00^4 but not M_00^5), and the same set makes our files theirs.

A connected contraction is a multigraph: a vertex for each moment, an edge for each contracted index, vertex i of
degree nu_i. Scalars are products of connected contractions.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, permutations

MAX_MOMENTS = 4
"""Largest number of moments in one basis scalar (five-body terms and below)."""

Moment = tuple[int, int]
"""(mu, nu) of a moment tensor."""

Graph = tuple[tuple[Moment, ...], tuple[tuple[int, ...], ...]]
"""Moments and the symmetric matrix of numbers of contracted indices between them."""


def moment_level(mu: int, nu: int) -> int:
    """Level of a moment tensor, 2 + 4 mu + nu."""
    return 2 + 4 * mu + nu


def connected_contractions(level: int) -> list[Graph]:
    """All connected contractions to a scalar up to a level, each once, ordered by level."""
    graphs = []
    for moments in _multisets(level):
        seen = set()
        for matrix in _symmetric_matrices(tuple(nu for _, nu in moments)):
            if _is_connected(matrix):
                canonical = _canonical(moments, matrix)
                if canonical not in seen:
                    seen.add(canonical)
                    graphs.append((moments, canonical))
    return sorted(graphs, key=lambda graph: (graph_level(graph), len(graph[0]), graph))


def scalar_products(graphs: list[Graph], level: int) -> Iterator[tuple[int, ...]]:
    """Products of connected scalars, as sorted index tuples, within the level and the number of moments."""
    levels = [graph_level(graph) for graph in graphs]
    sizes = [len(graph[0]) for graph in graphs]

    def extend(chosen: tuple[int, ...], first: int, level_left: int, size_left: int) -> Iterator[tuple[int, ...]]:
        for index in range(first, len(graphs)):
            if levels[index] <= level_left and sizes[index] <= size_left:
                yield (*chosen, index)
                yield from extend((*chosen, index), index, level_left - levels[index], size_left - sizes[index])

    yield from extend((), 0, level, MAX_MOMENTS)


def graph_level(graph: Graph) -> int:
    """Level of a contraction, the sum over its moments."""
    return sum(moment_level(*moment) for moment in graph[0])


def _multisets(level: int) -> Iterator[tuple[Moment, ...]]:
    """Multisets of moments within the level that can form a connected scalar."""
    for mu in range((level - 2) // 4 + 1):
        yield ((mu, 0),)
    moments = [
        (mu, nu)
        for mu in range(level // 4 + 1)
        for nu in range(1, level)
        # a moment of rank nu needs at least one partner of rank 1 and, to bind all its indices, nu of them or
        # fewer with more indices each: the cheapest partner costs 2 + nu in a single moment
        if moment_level(mu, nu) + 2 + nu <= level
    ]
    for count in range(2, MAX_MOMENTS + 1):
        for moments_chosen in combinations_with_replacement(moments, count):
            ranks = [nu for _, nu in moments_chosen]
            total = sum(ranks)
            if (
                total % 2 == 0
                and 2 * max(ranks) <= total
                and sum(moment_level(*moment) for moment in moments_chosen) <= level
            ):
                yield moments_chosen


def _symmetric_matrices(degrees: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Symmetric non-negative integer matrices with zero diagonal and given row sums."""
    n = len(degrees)
    matrix = [[0] * n for _ in range(n)]

    def fill(row: int, column: int, left: list[int]) -> Iterator[tuple[tuple[int, ...], ...]]:
        if row == n:
            yield tuple(tuple(line) for line in matrix)
            return
        if column == n:
            if left[row] == 0:
                yield from fill(row + 1, row + 2, left)
            return
        for edges in range(min(left[row], left[column]) + 1):
            matrix[row][column] = matrix[column][row] = edges
            left[row] -= edges
            left[column] -= edges
            yield from fill(row, column + 1, left)
            left[row] += edges
            left[column] += edges
        matrix[row][column] = matrix[column][row] = 0

    yield from fill(0, 1, list(degrees))


def _is_connected(matrix: tuple[tuple[int, ...], ...]) -> bool:
    reached, todo = {0}, [0]
    while todo:
        row = todo.pop()
        for column, edges in enumerate(matrix[row]):
            if edges and column not in reached:
                reached.add(column)
                todo.append(column)
    return len(reached) == len(matrix)


def _canonical(moments: tuple[Moment, ...], matrix: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """Largest matrix under exchange of equal moments: the same for isomorphic graphs."""
    classes: dict[Moment, list[int]] = {}
    for vertex, moment in enumerate(moments):
        classes.setdefault(moment, []).append(vertex)
    orders: list[tuple[int, ...]] = [()]
    for moment in sorted(classes):  # combinations_with_replacement keeps equal moments adjacent and sorted
        orders = [order + choice for order in orders for choice in permutations(classes[moment])]
    return max(tuple(tuple(matrix[i][j] for j in order) for i in order) for order in orders)
