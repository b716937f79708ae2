// Stage 2: monomials of the directions, the elementary moments m = sum_j f_mu(r_j) x^a y^b z^c, and the way back.
//
// Within a degree the monomials are ordered by falling a, then falling b: those of degree n are x times all of degree
// n - 1, then y times the last n of these, then z times the last one. No table is needed to walk them.
#pragma once

#include "simd.hpp"
#include "views.hpp"

namespace iontherm {
namespace IONTHERM_ARCH {

// Monomials up to a degree for `block` slots at once: out[monomial, slot of the block, lane].
template <int block>
inline void monomials(const double* unit, int degree, double* out) {
    Vec x[block], y[block], z[block];
    for (int s = 0; s < block; ++s) {
        x[s] = load(unit + (3 * s + 0) * lanes);
        y[s] = load(unit + (3 * s + 1) * lanes);
        z[s] = load(unit + (3 * s + 2) * lanes);
        store(out + s * lanes, broadcast(1.0));
    }
    double* previous = out;
    for (int n = 1; n <= degree; ++n) {
        const int below = n * (n + 1) / 2;
        double* next = previous + below * block * lanes;
        double* target = next;
        for (int q = 0; q < below; ++q)
            for (int s = 0; s < block; ++s, target += lanes) store(target, x[s] * load(previous + (q * block + s) * lanes));
        for (int q = below - n; q < below; ++q)
            for (int s = 0; s < block; ++s, target += lanes) store(target, y[s] * load(previous + (q * block + s) * lanes));
        for (int s = 0; s < block; ++s, target += lanes)
            store(target, z[s] * load(previous + ((below - 1) * block + s) * lanes));
        previous = next;
    }
}

template <int block>
inline void add_moments(const RadialView& radial, int slot, Scratch& s) {
    monomials<block>(s.unit + slot * 3 * lanes, radial.max_degree, s.monomials);
    for (int mu = 0; mu < radial.n_functions; ++mu) {
        Vec f[block];
        for (int b = 0; b < block; ++b) f[b] = load(s.f + (static_cast<std::size_t>(slot + b) * radial.n_functions + mu) * lanes);
        double* m = s.moments + static_cast<std::size_t>(radial.offset[mu]) * lanes;
        const int count = monomials_up_to(radial.degree[mu]);
        const double* mono = s.monomials;
        for (int k = 0; k < count; ++k, m += lanes, mono += block * lanes) {
            Vec sum = load(m);
            for (int b = 0; b < block; ++b) sum += f[b] * load(mono + b * lanes);
            store(m, sum);
        }
    }
}

inline void zero(double* p, std::size_t n_vectors) {
    for (std::size_t k = 0; k < n_vectors; ++k) store(p + k * lanes, Vec{});
}

// Elementary moments of a group (Novikov et al. 2021, Eq. 3).
inline void elementary_moments(const RadialView& radial, int n_basic, int n_slots, Scratch& s) {
    zero(s.moments, n_basic);
    int slot = 0;
    for (; slot + 4 <= n_slots; slot += 4) add_moments<4>(radial, slot, s);
    if (n_slots - slot >= 2) {
        add_moments<2>(radial, slot, s);
        slot += 2;
    }
    if (n_slots > slot) add_moments<1>(radial, slot, s);
}

// The adjoints of the elementary moments as polynomials in the direction, differentiated: with P_mu(u) = sum_k adjoint_k
// monomial_k(u), out[0..2] hold the coefficients of dP_mu/dx, dP_mu/dy, dP_mu/dz.
inline void differentiate(const RadialView& radial, const double* adjoint, int n_basic, double* out) {
    for (int mu = 0; mu < radial.n_functions; ++mu) {
        const double* a = adjoint + static_cast<std::size_t>(radial.offset[mu]) * lanes;
        double* ox = out + static_cast<std::size_t>(radial.offset[mu]) * lanes;
        double* oy = ox + static_cast<std::size_t>(n_basic) * lanes;
        double* oz = oy + static_cast<std::size_t>(n_basic) * lanes;
        for (int n = 0; n < radial.degree[mu]; ++n) {
            const double* above = a + static_cast<std::size_t>(monomials_up_to(n)) * lanes;
            for (int rest = 0; rest <= n; ++rest) {      // rest = b + c
                for (int c = 0; c <= rest; ++c) {
                    const int same = rest * (rest + 1) / 2 + c;
                    const int up = (rest + 1) * (rest + 2) / 2 + c;
                    store(ox, static_cast<double>(n - rest + 1) * load(above + same * lanes));
                    store(oy, static_cast<double>(rest - c + 1) * load(above + up * lanes));
                    store(oz, static_cast<double>(c + 1) * load(above + (up + 1) * lanes));
                    ox += lanes;
                    oy += lanes;
                    oz += lanes;
                }
            }
        }
    }
}

// dU/dr of `block` slots from the adjoints: P_mu and its gradient at each direction, radial and transversal part.
template <int block>
inline void pair_gradients(const RadialView& radial, int n_basic, int slot, Scratch& s, Vec (*gradient)[3]) {
    monomials<block>(s.unit + slot * 3 * lanes, radial.max_degree, s.monomials);
    Vec along[block], gx[block], gy[block], gz[block];
    for (int b = 0; b < block; ++b) along[b] = gx[b] = gy[b] = gz[b] = Vec{};
    const std::size_t plane = static_cast<std::size_t>(n_basic) * lanes;
    for (int mu = 0; mu < radial.n_functions; ++mu) {
        if (radial.degree[mu] < 0) continue;
        const std::size_t first = static_cast<std::size_t>(radial.offset[mu]) * lanes;
        const double* a = s.adjoint + first;
        const double* ax = s.adjoint_xyz + first;
        const double* mono = s.monomials;
        Vec p[block], px[block], py[block], pz[block];
        for (int b = 0; b < block; ++b) p[b] = px[b] = py[b] = pz[b] = Vec{};
        const int lower = monomials_up_to(radial.degree[mu] - 1), all = monomials_up_to(radial.degree[mu]);
        int k = 0;
        for (; k < lower; ++k, a += lanes, ax += lanes, mono += block * lanes) {
            const Vec c = load(a), cx = load(ax), cy = load(ax + plane), cz = load(ax + 2 * plane);
            for (int b = 0; b < block; ++b) {
                const Vec v = load(mono + b * lanes);
                p[b] += c * v;
                px[b] += cx * v;
                py[b] += cy * v;
                pz[b] += cz * v;
            }
        }
        for (; k < all; ++k, a += lanes, mono += block * lanes) {
            const Vec c = load(a);
            for (int b = 0; b < block; ++b) p[b] += c * load(mono + b * lanes);
        }
        for (int b = 0; b < block; ++b) {
            const std::size_t at = (static_cast<std::size_t>(slot + b) * radial.n_functions + mu) * lanes;
            const Vec f = load(s.f + at);
            along[b] += load(s.df + at) * p[b];
            gx[b] += f * px[b];
            gy[b] += f * py[b];
            gz[b] += f * pz[b];
        }
    }
    for (int b = 0; b < block; ++b) {
        const double* unit = s.unit + (slot + b) * 3 * lanes;
        const Vec ux = load(unit), uy = load(unit + lanes), uz = load(unit + 2 * lanes);
        const Vec inverse = load(s.inverse_distance + (slot + b) * lanes);
        const Vec radial_part = along[b] - (gx[b] * ux + gy[b] * uy + gz[b] * uz) * inverse;
        gradient[b][0] = radial_part * ux + gx[b] * inverse;
        gradient[b][1] = radial_part * uy + gy[b] * inverse;
        gradient[b][2] = radial_part * uz + gz[b] * inverse;
    }
}

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
