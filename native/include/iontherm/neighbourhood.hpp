// Stage 1: the neighbours of a group of atoms, packed by species into slots of one vector each.
#pragma once

#include "simd.hpp"
#include "views.hpp"

namespace iontherm {
namespace IONTHERM_ARCH {

// Gather the neighbours within the cutoff (the candidates of a list with a skin reach further). Slot s holds the s-th
// neighbour of each atom of the group; where an atom has fewer of a species than another, padding stands at the cutoff,
// where every radial function vanishes with its derivative. Returns the number of slots.
inline int pack(const NeighboursView& list, double cutoff, int group, Scratch& s) {
    const double cutoff2 = cutoff * cutoff;
    const std::int32_t* centres = list.centres + static_cast<std::size_t>(group) * lanes;
    int base = 0;
    s.segments[0] = 0;
    for (int t = 0; t < list.n_species; ++t) {
        int count[lanes];
        int longest = 0;
        for (int l = 0; l < lanes; ++l) {
            int n = 0;
            if (centres[l] >= 0) {
                const double* p = list.points + 4 * static_cast<std::size_t>(centres[l]);
                const std::int64_t* begin = list.begin + static_cast<std::size_t>(centres[l]) * list.n_species + t;
                const double px = p[0], py = p[1], pz = p[2];
                double* x = s.x + base * lanes + l;
                double* y = s.y + base * lanes + l;
                double* z = s.z + base * lanes + l;
                std::int32_t* owner = s.owner + base * lanes + l;
                for (std::int64_t k = begin[0]; k < begin[1]; ++k) {
                    const std::int32_t j = list.index[k];
                    const double* q = list.points + 4 * static_cast<std::size_t>(j);
                    const double dx = q[0] - px, dy = q[1] - py, dz = q[2] - pz;
                    const double r2 = dx * dx + dy * dy + dz * dz;
                    // Written always, kept if near: a branch here would be mispredicted for every third candidate.
                    x[n * lanes] = dx;
                    y[n * lanes] = dy;
                    z[n * lanes] = dz;
                    owner[n * lanes] = list.owner[j];
                    n += r2 < cutoff2;
                }
            }
            count[l] = n;
            longest = n > longest ? n : longest;
        }
        for (int l = 0; l < lanes; ++l) {
            for (int n = count[l]; n < longest; ++n) {
                const int at = (base + n) * lanes + l;
                s.x[at] = cutoff;
                s.y[at] = 0.0;
                s.z[at] = 0.0;
                s.owner[at] = list.n_atoms;
            }
        }
        base += longest;
        s.segments[t + 1] = base;
    }
    return base;
}

// Number of radial basis functions that fit the local arrays below.
constexpr int max_radial_size = 64;

// Chebyshev polynomials of the first kind, T_k(xi) for k < size, and of the second, U_k-1(xi), so that T_k' = k U_k-1.
inline void chebyshev(Vec xi, int size, Vec* first, Vec* second) {
    const Vec twice = 2.0 * xi;
    first[0] = broadcast(1.0);
    first[1] = xi;
    second[0] = Vec{};
    second[1] = broadcast(1.0);
    for (int k = 2; k < size; ++k) {
        first[k] = twice * first[k - 1] - first[k - 2];
        second[k] = twice * second[k - 1] - second[k - 2];
    }
}

// Basis functions scaling (cutoff - r)^2 T_k and their derivatives with respect to r.
inline void radial_basis(const RadialView& radial, Vec r, Vec* value, Vec* slope) {
    const double range = 1.0 / (radial.cutoff - radial.min_distance);
    chebyshev((2.0 * r - (radial.min_distance + radial.cutoff)) * range, radial.size, value, slope);
    const Vec gap = radial.cutoff - r;
    const Vec envelope = radial.scaling * gap * gap;
    const Vec envelope_slope = -2.0 * radial.scaling * gap;
    for (int k = 0; k < radial.size; ++k) {
        slope[k] = (2.0 * range * k) * slope[k] * envelope + value[k] * envelope_slope;
        value[k] *= envelope;
    }
}

// Radial functions of one pair of species and their derivatives: sums over the polynomials, then the envelope.
template <int n_functions>
inline void radial_sums(const double* coeffs, const double* slope_coeffs, int size, const Vec* first, const Vec* second, Vec envelope,
                        Vec envelope_slope, double* f, double* df) {
    Vec value[n_functions], slope[n_functions];
    for (int mu = 0; mu < n_functions; ++mu) value[mu] = slope[mu] = Vec{};
    for (int k = 0; k < size; ++k) {
        for (int mu = 0; mu < n_functions; ++mu) {
            value[mu] += coeffs[mu * size + k] * first[k];
            slope[mu] += slope_coeffs[mu * size + k] * second[k];
        }
    }
    for (int mu = 0; mu < n_functions; ++mu) {
        store(f + mu * lanes, value[mu] * envelope);
        store(df + mu * lanes, slope[mu] * envelope + value[mu] * envelope_slope);
    }
}

// Distances, directions, and f_mu(r), f_mu'(r) for all slots of a group whose atoms are of species `centre`. Returns the
// smallest squared distance in each lane.
inline Vec radial_functions(const RadialView& radial, int centre, Scratch& s) {
    const int m = radial.n_functions, size = radial.size;
    const double range = 1.0 / (radial.cutoff - radial.min_distance);
    Vec nearest2 = broadcast(radial.cutoff * radial.cutoff);
    for (int t = 0; t < radial.n_species; ++t) {
        const std::size_t pair = static_cast<std::size_t>(centre * radial.n_species + t) * m * size;
        const double *c = radial.coeffs + pair, *d = radial.slope_coeffs + pair;
        for (int slot = s.segments[t]; slot < s.segments[t + 1]; ++slot) {
            const Vec x = load(s.x + slot * lanes), y = load(s.y + slot * lanes), z = load(s.z + slot * lanes);
            const Vec r2 = x * x + y * y + z * z;
            nearest2 = r2 < nearest2 ? r2 : nearest2;
            const Vec r = sqrt(r2);
            const Vec inverse = 1.0 / r;
            store(s.inverse_distance + slot * lanes, inverse);
            double* unit = s.unit + slot * 3 * lanes;
            store(unit, x * inverse);
            store(unit + lanes, y * inverse);
            store(unit + 2 * lanes, z * inverse);
            Vec first[max_radial_size], second[max_radial_size];
            chebyshev((2.0 * r - (radial.min_distance + radial.cutoff)) * range, size, first, second);
            const Vec gap = radial.cutoff - r;
            const Vec e = radial.scaling * gap * gap, de = -2.0 * radial.scaling * gap;
            double* f = s.f + static_cast<std::size_t>(slot) * m * lanes;
            double* df = s.df + static_cast<std::size_t>(slot) * m * lanes;
            int mu = 0;
            for (; mu + 4 <= m; mu += 4)
                radial_sums<4>(c + mu * size, d + mu * size, size, first, second, e, de, f + mu * lanes, df + mu * lanes);
            for (; mu + 2 <= m; mu += 2)
                radial_sums<2>(c + mu * size, d + mu * size, size, first, second, e, de, f + mu * lanes, df + mu * lanes);
            for (; mu < m; ++mu)
                radial_sums<1>(c + mu * size, d + mu * size, size, first, second, e, de, f + mu * lanes, df + mu * lanes);
        }
    }
    return nearest2;
}

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
