// Matrices of space.
#pragma once

#include <array>

namespace iontherm {

using Matrix3 = std::array<std::array<double, 3>, 3>;

inline Matrix3 product(const Matrix3& x, const Matrix3& y) {
    Matrix3 z{};
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b)
            for (int c = 0; c < 3; ++c) z[a][b] += x[a][c] * y[c][b];
    return z;
}

inline void apply(const Matrix3& matrix, double* vector) {
    const double v[3] = {vector[0], vector[1], vector[2]};
    for (int a = 0; a < 3; ++a) vector[a] = matrix[a][0] * v[0] + matrix[a][1] * v[1] + matrix[a][2] * v[2];
}

inline Matrix3 inverse(const Matrix3& x) {
    Matrix3 cofactors;
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) {
            const int a1 = (a + 1) % 3, a2 = (a + 2) % 3, b1 = (b + 1) % 3, b2 = (b + 2) % 3;
            cofactors[b][a] = x[a1][b1] * x[a2][b2] - x[a1][b2] * x[a2][b1];
        }
    const double determinant = x[0][0] * cofactors[0][0] + x[0][1] * cofactors[1][0] + x[0][2] * cofactors[2][0];
    for (auto& row : cofactors)
        for (double& element : row) element /= determinant;
    return cofactors;
}

// Taylor's series, for matrices far below one.
inline Matrix3 exponential(const Matrix3& x) {
    Matrix3 sum{{{1.0, 0.0, 0.0}, {0.0, 1.0, 0.0}, {0.0, 0.0, 1.0}}}, term = sum;
    for (int n = 1; n <= 12; ++n) {
        term = product(term, x);
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) sum[a][b] += term[a][b] /= n;
    }
    return sum;
}

}  // namespace iontherm
