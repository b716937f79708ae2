// Stage 3: products of moments forward, their adjoints backward, a vector of atoms at a time.
//
// Both walk one list of terms. Terms of a product touch components of the same two tensors, so that operands, and in the
// way back their adjoints, are in the first cache; lists by operand would be twice as long and jump.
#pragma once

#include "simd.hpp"
#include "views.hpp"

namespace iontherm {
namespace IONTHERM_ARCH {

inline void products(const GraphView& graph, double* m) {
    double* out = m + static_cast<std::size_t>(graph.n_basic) * lanes;
    for (int n = 0; n < graph.n_nodes - graph.n_basic; ++n, out += lanes) {
        // two sums: one chain of dependent additions would wait for the arithmetic
        Vec even{}, odd{};
        const Term* term = graph.terms + graph.begin[n];
        const Term* end = graph.terms + graph.begin[n + 1];
        for (; term + 2 <= end; term += 2) {
            even += (term[0].weight * load(m + term[0].first)) * load(m + term[0].second);
            odd += (term[1].weight * load(m + term[1].first)) * load(m + term[1].second);
        }
        if (term < end) even += (term->weight * load(m + term->first)) * load(m + term->second);
        store(out, even + odd);
    }
}

inline void add(double* p, Vec v) { store(p, load(p) + v); }

// Hand the adjoints of the products on to their operands, last product first.
inline void adjoints_of_operands(const GraphView& graph, const double* m, double* adjoint) {
    for (int n = graph.n_nodes - graph.n_basic - 1; n >= 0; --n) {
        const Vec a = load(adjoint + static_cast<std::size_t>(graph.n_basic + n) * lanes);
        const Term* end = graph.terms + graph.begin[n + 1];
        for (const Term* term = graph.terms + graph.begin[n]; term < end; ++term) {
            const Vec weighted = term->weight * a;
            add(adjoint + term->first, weighted * load(m + term->second));
            add(adjoint + term->second, weighted * load(m + term->first));
        }
    }
}

// Energies sum_s alpha_s m_s of the group, and the adjoints dU/dm of all nodes. The products that no other product uses
// do not appear as nodes: they are quadratic in other nodes, and by Euler's theorem half of adjoint times node.
inline Vec energies_and_adjoints(const GraphView& graph, const double* m, double* adjoint) {
    Vec energy{};
    for (int n = 0; n < graph.n_nodes; ++n) {
        Vec even{}, odd{};
        std::int32_t k = graph.pair_begin[n];
        const std::int32_t end = graph.pair_begin[n + 1];
        for (; k + 2 <= end; k += 2) {
            even += graph.pair_weight[k] * load(m + graph.pair_other[k]);
            odd += graph.pair_weight[k + 1] * load(m + graph.pair_other[k + 1]);
        }
        if (k < end) even += graph.pair_weight[k] * load(m + graph.pair_other[k]);
        const Vec quadratic = even + odd;
        const double seed = graph.seed[n];
        energy += (seed + 0.5 * quadratic) * load(m + static_cast<std::size_t>(n) * lanes);
        store(adjoint + static_cast<std::size_t>(n) * lanes, quadratic + seed);
    }
    adjoints_of_operands(graph, m, adjoint);
    return energy;
}

// Adjoints of a whole graph, nothing eliminated.
inline void adjoints(const GraphView& graph, const double* m, double* adjoint) {
    for (int n = 0; n < graph.n_nodes; ++n) store(adjoint + static_cast<std::size_t>(n) * lanes, broadcast(graph.seed[n]));
    adjoints_of_operands(graph, m, adjoint);
}

// Derivatives of the products along directions: tangent[node, direction, lane].
template <int n_directions>
inline void product_tangents(const GraphView& graph, const double* m, double* tangent) {
    double* out = tangent + static_cast<std::size_t>(graph.n_basic) * n_directions * lanes;
    for (int n = 0; n < graph.n_nodes - graph.n_basic; ++n, out += n_directions * lanes) {
        Vec first[n_directions], second[n_directions];
        for (int d = 0; d < n_directions; ++d) first[d] = second[d] = Vec{};
        for (const Term* term = graph.terms + graph.begin[n]; term < graph.terms + graph.begin[n + 1]; ++term) {
            const Vec mi = term->weight * load(m + term->first), mj = term->weight * load(m + term->second);
            const double* ti = tangent + static_cast<std::ptrdiff_t>(term->first) * n_directions;
            const double* tj = tangent + static_cast<std::ptrdiff_t>(term->second) * n_directions;
            for (int d = 0; d < n_directions; ++d) {
                first[d] += mi * load(tj + d * lanes);
                second[d] += mj * load(ti + d * lanes);
            }
        }
        for (int d = 0; d < n_directions; ++d) store(out + d * lanes, first[d] + second[d]);
    }
}

// Adjoints of  Q = energy_weight U + U-dot  with respect to the nodes (value) and their tangents (tangent_adjoint, which
// are the adjoints of U itself).
inline void tangent_adjoints(const GraphView& graph, double energy_weight, const double* m, const double* tangent,
                             double* value, double* tangent_adjoint) {
    for (int n = 0; n < graph.n_nodes; ++n) {
        store(tangent_adjoint + static_cast<std::size_t>(n) * lanes, broadcast(graph.seed[n]));
        store(value + static_cast<std::size_t>(n) * lanes, broadcast(energy_weight * graph.seed[n]));
    }
    for (int n = graph.n_nodes - graph.n_basic - 1; n >= 0; --n) {
        const Vec a = load(tangent_adjoint + static_cast<std::size_t>(graph.n_basic + n) * lanes);
        const Vec b = load(value + static_cast<std::size_t>(graph.n_basic + n) * lanes);
        for (const Term* term = graph.terms + graph.begin[n]; term < graph.terms + graph.begin[n + 1]; ++term) {
            const Vec wa = term->weight * a, wb = term->weight * b;
            const Vec mi = load(m + term->first), mj = load(m + term->second);
            add(tangent_adjoint + term->first, wa * mj);
            add(value + term->first, wb * mj + wa * load(tangent + term->second));
            add(tangent_adjoint + term->second, wa * mi);
            add(value + term->second, wb * mi + wa * load(tangent + term->first));
        }
    }
}

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
