// The sum over pairs of modes at one wave vector: two-channel heat transport.
#pragma once

#include "simd.hpp"
#include "views.hpp"

namespace iontherm {
namespace IONTHERM_ARCH {

template <class Real>
inline double dot(const double* a, const Real* b, int n) {
    AnyVec sums = AnyVec{};
    int i = 0;
    for (; i + lanes <= n; i += lanes) sums += load_any(a + i) * load_any(b + i);
    double result = 0.0;
    for (int l = 0; l < lanes; ++l) result += sums[l];
    for (; i < n; ++i) result += a[i] * b[i];
    return result;
}

template <class Real>
inline void add_product(double* out, const double* a, const Real* b, int n) {
    int i = 0;
    for (; i + lanes <= n; i += lanes) store_any(out + i, load_any(out + i) + load_any(a + i) * load_any(b + i));
    for (; i < n; ++i) out[i] += a[i] * b[i];
}

// Weights of the pairs (s, t), t = s ... n - 1, which count twice but for the first: the pair (t, s) is the same.
inline void pair_weights(const PairTask& task, int s) {
    const AnyVec f = AnyVec{} + task.frequency[s], b = AnyVec{} + task.per_frequency[s], g = AnyVec{} + task.width[s];
    const double scale = 2.0 * task.kept[s];
    // The arrays run on for a vector beyond n, with nothing kept there.
    for (int t = s; t < task.n; t += lanes) {
        const AnyVec ft = load_any(task.frequency + t), widths = g + load_any(task.width + t), apart = f - ft;
        const AnyVec capacity = (f + ft) * (b + load_any(task.per_frequency + t));
        store_any(task.row + t - s, scale * load_any(task.kept + t) * capacity * widths / (apart * apart + widths * widths));
    }
    task.row[0] *= 0.5;
}

template <class Real>
inline const Real* products_of_row(const PairTask& task, const Real* products, int s) {
    return products + static_cast<std::ptrdiff_t>(task.components) * (static_cast<std::ptrdiff_t>(s) * task.n - static_cast<std::ptrdiff_t>(s) * (s - 1) / 2);
}

// Both channels [components] each, added to.
template <int components, class Real>
inline void pair_totals_of(const PairTask& task, const Real* all_products) {
    AnyVec wave[components] = {};
    for (int s = 0; s < task.n; ++s) {
        if (task.kept[s] == 0.0) continue;
        const int length = task.n - s, own = task.set_end[s] - s;
        const Real* products = products_of_row(task, all_products, s);
        // The next row: the processor's own prefetching rests while it divides.
        const Real* next = products + components * length;
        for (int i = 0; i < components * length; i += 64 / static_cast<int>(sizeof(Real))) __builtin_prefetch(next + i, 0, 2);
        pair_weights(task, s);
        for (int t = 0; t < own; ++t) {
            for (int c = 0; c < components; ++c) task.particle[c] += task.row[t] * products[static_cast<std::ptrdiff_t>(c) * length + t];
            task.row[t] = 0.0;
        }
        // The last vector of a row has weights of zero beyond n, over products of whatever comes next.
        for (int t = own / lanes * lanes; t < length; t += lanes) {
            const AnyVec weights = load_any(task.row + t);
            for (int c = 0; c < components; ++c) wave[c] += weights * load_any(products + static_cast<std::ptrdiff_t>(c) * length + t);
        }
    }
    for (int c = 0; c < components; ++c)
        for (int l = 0; l < lanes; ++l) task.wave[c] += wave[c][l];
}

template <class Real>
inline void pair_totals_of(const PairTask& task, const Real* products) {
    switch (task.components) {
        case 1: return pair_totals_of<1>(task, products);
        case 2: return pair_totals_of<2>(task, products);
        case 3: return pair_totals_of<3>(task, products);
        case 4: return pair_totals_of<4>(task, products);
        case 5: return pair_totals_of<5>(task, products);
        default: return pair_totals_of<6>(task, products);
    }
}

// Both channels by mode [components, n] each, added to. A pair belongs to its modes in proportion to their capacities.
template <class Real>
inline void pair_modes_of(const PairTask& task, const Real* all_products) {
    double* others = task.row + task.n + lanes;
    for (int s = 0; s < task.n; ++s) {
        if (task.kept[s] == 0.0) continue;
        pair_weights(task, s);
        const int length = task.n - s, own = task.set_end[s] - s;
        // Degenerate modes have the same capacity: half and half. A pair of modes without capacity has no weight.
        for (int t = 0; t < length; ++t) {
            const double sum = task.capacity[s] + task.capacity[s + t];
            const double share = t < own || !(sum > 0.0) ? 0.5 : task.capacity[s] / sum;
            others[t] = (1.0 - share) * task.row[t];
            task.row[t] *= share;
        }
        const Real* products = products_of_row(task, all_products, s);
        for (int c = 0; c < task.components; ++c, products += length) {
            double* particle = task.particle + static_cast<std::ptrdiff_t>(c) * task.n + s;
            double* wave = task.wave + static_cast<std::ptrdiff_t>(c) * task.n + s;
            particle[0] += dot(task.row, products, own);
            wave[0] += dot(task.row + own, products + own, length - own);
            add_product(particle, others, products, own);
            add_product(wave + own, others + own, products + own, length - own);
        }
    }
}

// The wave channel by the frequencies of both modes [bins, bins, components], added to.
template <class Real>
inline void pair_density_of(const PairTask& task, const Real* all_products) {
    for (int s = 0; s < task.n; ++s) {
        if (task.kept[s] == 0.0 || task.bin[s] < 0) continue;
        pair_weights(task, s);
        const int length = task.n - s, own = task.set_end[s] - s;
        const Real* products = products_of_row(task, all_products, s);
        for (int t = own; t < length; ++t) {
            const int other = task.bin[s + t];
            if (other < 0) continue;
            double* out = task.wave + (static_cast<std::ptrdiff_t>(task.bin[s]) * task.n_bins + other) * task.components;
            double* mirrored = task.wave + (static_cast<std::ptrdiff_t>(other) * task.n_bins + task.bin[s]) * task.components;
            for (int c = 0; c < task.components; ++c) {
                const double half = 0.5 * task.row[t] * products[static_cast<std::ptrdiff_t>(c) * length + t];
                out[c] += half;
                mirrored[c] += half;
            }
        }
    }
}

inline void pair_totals(const PairTask& task) {
    task.single_products ? pair_totals_of(task, task.single_products) : pair_totals_of(task, task.products);
}

inline void pair_modes(const PairTask& task) {
    task.single_products ? pair_modes_of(task, task.single_products) : pair_modes_of(task, task.products);
}

inline void pair_density(const PairTask& task) {
    task.single_products ? pair_density_of(task, task.single_products) : pair_density_of(task, task.products);
}

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
