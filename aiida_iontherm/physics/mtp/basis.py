"""Which contractions of moment tensors make up the basis of a given level, and how to compute them.

A moment tensor of a neighbourhood is M_{mu,nu} = sum_j f_mu(r_j) r_j x ... x r_j (nu times), Eq. 3 of Novikov et al.,
Mach. Learn.: Sci. Technol. 2, 025002 (2021). Its level is 2 + 4 mu + nu, that of a contraction to a scalar is the
sum over its moments. A basis of level L holds the scalars of level <= L (A. V. Shapeev, Multiscale Model. Simul. 14,
1153 (2016), Sec. 3) that contract at most four moments: the sets in the potential files that are in use stop there
(their level 10 has M_00^4 but not M_00^5), and the same set makes our files theirs.

A connected contraction is a multigraph: a vertex for each moment, an edge for each contracted index, vertex i of
degree nu_i. Scalars are products of connected contractions. They are evaluated by absorbing one vertex after the
other into a tensor that is symmetric within the open indices of each vertex, so that every component is named by a
triple of powers (a, b, c) of x, y, z per vertex.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations_with_replacement, permutations
from math import factorial

import numpy as np
import numpy.typing as npt

MAX_MOMENTS = 4
"""Largest number of moments in one basis scalar (five-body terms and below)."""

Moment = tuple[int, int]
"""(mu, nu) of a moment tensor."""

Powers = tuple[int, int, int]
"""Powers of x, y and z: one component of a symmetric tensor."""

Graph = tuple[tuple[Moment, ...], tuple[tuple[int, ...], ...]]
"""Moments and the symmetric matrix of numbers of contracted indices between them."""


def moment_level(mu: int, nu: int) -> int:
    """Level of a moment tensor, 2 + 4 mu + nu."""
    return 2 + 4 * mu + nu


@dataclass(frozen=True)
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
    return sorted(graphs, key=lambda graph: (_graph_level(graph), len(graph[0]), graph))


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
    products = sorted(_products(connected, level), key=lambda product: (len(product), product))
    builder = _TableBuilder()
    builder.collect_basic(connected)
    connected_index = [builder.scalar(graph) for graph in connected]
    known: dict[tuple[int, ...], int] = {(factor,): index for factor, index in enumerate(connected_index)}
    for product in products:
        if product not in known:
            known[product] = builder.product(known[product[:-1]], connected_index[product[-1]])
    return BasisTables(
        basic=np.array(builder.basic, dtype=np.int32).reshape(-1, 4),
        times=np.array(builder.times, dtype=np.int32).reshape(-1, 4),
        scalars=np.array([known[product] for product in products], dtype=np.int32),
        n_moments=builder.n_moments,
        n_radial=max(row[0] for row in builder.basic) + 1,
    )


def _graph_level(graph: Graph) -> int:
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


def _products(graphs: list[Graph], level: int) -> Iterator[tuple[int, ...]]:
    """Multisets of connected scalars, as sorted index tuples, within the level and the number of moments."""
    levels = [_graph_level(graph) for graph in graphs]
    sizes = [len(graph[0]) for graph in graphs]

    def extend(chosen: tuple[int, ...], first: int, level_left: int, size_left: int) -> Iterator[tuple[int, ...]]:
        for index in range(first, len(graphs)):
            if levels[index] <= level_left and sizes[index] <= size_left:
                yield (*chosen, index)
                yield from extend((*chosen, index), index, level_left - levels[index], size_left - sizes[index])

    yield from extend((), 0, level, MAX_MOMENTS)


def _powers(rank: int) -> list[Powers]:
    return [(a, b, rank - a - b) for a in range(rank, -1, -1) for b in range(rank - a, -1, -1)]


def _multinomial(powers: Powers) -> int:
    """Count the index tuples that a set of powers stands for."""
    return factorial(sum(powers)) // (factorial(powers[0]) * factorial(powers[1]) * factorial(powers[2]))


def _absorption_order(graph: Graph) -> tuple[int, ...]:
    """Order of vertices whose intermediate tensors have the fewest components, each next one connected."""
    moments, matrix = graph
    best: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    for order in permutations(range(len(moments))):
        cost = 0
        for size in range(1, len(order)):
            inside, outside = order[:size], order[size:]
            if not any(matrix[order[size]][i] for i in inside):
                break
            components = 1
            for i in inside:
                open_indices = sum(matrix[i][j] for j in outside)
                components *= (open_indices + 1) * (open_indices + 2) // 2
            cost += components
        else:
            key = ((cost,), order)
            if best is None or key < best:
                best = key
    if best is None:
        raise ValueError("the contraction is not connected")
    return best[1]


@dataclass
class _TableBuilder:
    """Collects elementary moments and products; every component is computed once, whoever asks for it."""

    basic: list[tuple[int, int, int, int]] = field(default_factory=list)
    times: list[tuple[int, int, int, int]] = field(default_factory=list)
    n_moments: int = 0
    _elementary: dict[tuple[int, Powers], int] = field(default_factory=dict)
    _components: dict[tuple[object, tuple[Powers, ...]], int] = field(default_factory=dict)

    def collect_basic(self, graphs: list[Graph]) -> None:
        """Give the elementary components the first numbers: the file format wants them in front."""
        for mu, nu in sorted({moment for moments, _ in graphs for moment in moments}):
            for powers in _powers(nu):
                self._elementary[mu, powers] = self.n_moments
                self.basic.append((mu, *powers))
                self.n_moments += 1

    def product(self, left: int, right: int) -> int:
        """Return a new component m[left] m[right]."""
        self.times.append((left, right, 1, self.n_moments))
        self.n_moments += 1
        return self.n_moments - 1

    def scalar(self, graph: Graph) -> int:
        """Return the index of a connected contraction."""
        moments, matrix = graph
        order = _absorption_order(graph)
        moments = tuple(moments[i] for i in order)
        matrix = tuple(tuple(matrix[i][j] for j in order) for i in order)
        return self._component(moments, matrix, ((0, 0, 0),) * len(moments))

    def _component(
        self, moments: tuple[Moment, ...], matrix: tuple[tuple[int, ...], ...], open_powers: tuple[Powers, ...]
    ) -> int:
        """Component of the tensor left when the edges among `moments` are contracted.

        `open_powers` names, vertex by vertex, the powers of the indices that stay open.
        """
        last = len(moments) - 1
        if last == 0:
            return self._elementary[moments[0][0], open_powers[0]]
        key = ((moments, matrix), open_powers)
        if key in self._components:
            return self._components[key]
        inner = tuple(row[:last] for row in matrix[:last])
        terms: dict[tuple[int, int], int] = {}
        for bound in _bound_powers(matrix[last][:last]):
            weight = 1
            new_vertex = open_powers[last]
            for powers in bound:
                weight *= _multinomial(powers)
                new_vertex = _add(new_vertex, powers)
            rest = tuple(_add(powers, extra) for powers, extra in zip(open_powers[:last], bound, strict=True))
            pair = (
                self._component(moments[:last], inner, rest),
                self._elementary[moments[last][0], new_vertex],
            )
            pair = (min(pair), max(pair))
            terms[pair] = terms.get(pair, 0) + weight
        target = self.n_moments
        self.n_moments += 1
        self._components[key] = target
        self.times.extend((i, j, weight, target) for (i, j), weight in sorted(terms.items()))
        return target


def _bound_powers(edges: tuple[int, ...]) -> Iterator[tuple[Powers, ...]]:
    """For each earlier vertex, the powers of the indices it binds to the new one."""
    if not edges:
        yield ()
        return
    for first in _powers(edges[0]):
        for others in _bound_powers(edges[1:]):
            yield (first, *others)


def _add(left: Powers, right: Powers) -> Powers:
    return (left[0] + right[0], left[1] + right[1], left[2] + right[2])
