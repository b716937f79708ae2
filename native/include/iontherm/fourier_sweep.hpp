// The dynamical matrix of one wave vector and its three derivatives, from force constants by lattice vector.
#pragma once

#include "simd.hpp"
#include "views.hpp"

namespace iontherm {
namespace IONTHERM_ARCH {

inline void fourier(const FourierTask& task) {
    const int n = task.n, stride = n + lanes;
    const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(n) * n;
    for (int i = 0; i < n; ++i) {
        // Sums over lattice vectors of one row from the diagonal on: real and imaginary parts of the matrix and of its
        // derivatives, which have the factor 2 pi i R.
        double* sums = task.scratch;
        for (int k = 0; k < 8; ++k)
            for (int j = i; j < n; ++j) sums[k * stride + j] = 0.0;
        for (int r = 0; r < task.n_vectors; ++r) {
            const double c = task.cosines[r], s = task.sines[r];
            const double* v = task.vectors + 3 * r;
            const double factors[8] = {c, s, -s * v[0], c * v[0], -s * v[1], c * v[1], -s * v[2], c * v[2]};
            const double* row = task.constants + r * size + static_cast<std::ptrdiff_t>(i) * n;
            int j = i;
            for (; j + lanes <= n; j += lanes) {
                const AnyVec value = load_any(row + j);
                for (int k = 0; k < 8; ++k) store_any(sums + k * stride + j, load_any(sums + k * stride + j) + factors[k] * value);
            }
            for (; j < n; ++j)
                for (int k = 0; k < 8; ++k) sums[k * stride + j] += factors[k] * row[j];
        }
        const double *own_phase = task.atom_phases + 2 * (i / 3), *own_place = task.positions + 3 * (i / 3);
        for (int j = i; j < n; ++j) {
            const double *phase = task.atom_phases + 2 * (j / 3), *place = task.positions + 3 * (j / 3);
            // exp(2 pi i q (r_j - r_i))
            const double c = phase[0] * own_phase[0] + phase[1] * own_phase[1], s = phase[1] * own_phase[0] - phase[0] * own_phase[1];
            double re[4], im[4];
            for (int k = 0; k < 4; ++k) {
                const double x = sums[2 * k * stride + j], y = sums[(2 * k + 1) * stride + j];
                re[k] = c * x - s * y;
                im[k] = c * y + s * x;
            }
            for (int a = 0; a < 3; ++a) {
                const double apart = place[a] - own_place[a];
                re[1 + a] -= apart * im[0];
                im[1 + a] += apart * re[0];
            }
            for (int k = 0; k < 4; ++k) {
                double* out = k == 0 ? task.matrix : task.derivatives + 2 * (k - 1) * size;
                double* mirrored = out + 2 * (static_cast<std::ptrdiff_t>(j) * n + i);
                out += 2 * (static_cast<std::ptrdiff_t>(i) * n + j);
                if (j == i) im[k] = 0.0;  // the constants are symmetric: what is left there is rounding
                mirrored[0] = out[0] = re[k];
                mirrored[1] = -im[k];
                out[1] = im[k];
            }
        }
    }
}

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
