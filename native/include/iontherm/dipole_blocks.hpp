// From sums over reciprocal vectors, pair by pair, to the dynamical matrix and its derivatives.
#pragma once

#include <complex>
#include <cstddef>

namespace iontherm {

// A symmetric tensor of six components and its three derivatives become blocks of 3 x 3 by the charges of a pair.
struct DipoleBlocks {
    std::size_t n_q, n_atoms;
    const double* sums;     // [2, pairs, n_q, 4, 6]: cosines, then sines; pairs i <= j in order
    const double* charges;  // [pairs, 6, 9]

    // Adds to matrices [n_q, 3n, 3n] and derivatives [n_q, 3, 3n, 3n], which stay Hermitian.
    void add_to(std::complex<double>* matrices, std::complex<double>* derivatives) const {
        const std::size_t n = 3 * n_atoms, pairs = n_atoms * (n_atoms + 1) / 2, imaginary = pairs * n_q * 24;
        for (std::size_t q = 0; q < n_q; ++q) {
            std::size_t pair = 0;
            for (std::size_t i = 0; i < n_atoms; ++i)
                for (std::size_t j = i; j < n_atoms; ++j, ++pair)
                    for (std::size_t k = 0; k < 4; ++k) {
                        const double *cosines = sums + ((pair * n_q + q) * 4 + k) * 6, *sines = cosines + imaginary;
                        double re[9] = {}, im[9] = {};
                        for (std::size_t v = 0; v < 6; ++v)
                            for (std::size_t ab = 0; ab < 9; ++ab) {
                                const double charge = charges[(pair * 6 + v) * 9 + ab];
                                re[ab] += cosines[v] * charge;
                                im[ab] += sines[v] * charge;
                            }
                        std::complex<double>* out = k == 0 ? matrices + q * n * n : derivatives + (3 * q + k - 1) * n * n;
                        for (std::size_t a = 0; a < 3; ++a)
                            for (std::size_t b = 0; b < 3; ++b) {
                                const std::complex<double> value(re[3 * a + b], im[3 * a + b]);
                                out[(3 * i + a) * n + 3 * j + b] += value;
                                if (i != j) out[(3 * j + b) * n + 3 * i + a] += std::conj(value);
                            }
                    }
        }
    }
};

}  // namespace iontherm
