// Vectors of doubles, one lane an atom, in the compilers' portable vector extension (GCC, Clang).
//
// The width is a property of the translation unit (IONTHERM_LANES), which is compiled once per instruction set. Nothing
// of the standard library with external linkage may be used beside it: the linker would keep one copy of an inline
// function for all instruction sets, perhaps one that the machine cannot run.
#pragma once

#include <cstdint>

#ifndef IONTHERM_LANES
#error "IONTHERM_LANES tells how many doubles a vector holds"
#endif

namespace iontherm {
namespace IONTHERM_ARCH {

constexpr int lanes = IONTHERM_LANES;

typedef double Vec __attribute__((vector_size(8 * IONTHERM_LANES), may_alias));

inline Vec load(const double* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(double* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
inline Vec broadcast(double x) { return x - Vec{}; }

typedef double AnyVec __attribute__((vector_size(8 * IONTHERM_LANES), may_alias, aligned(8)));  // wherever it starts

inline AnyVec load_any(const double* p) { return *reinterpret_cast<const AnyVec*>(p); }
// The same from single precision.
typedef float AnyFloats __attribute__((vector_size(4 * IONTHERM_LANES), may_alias, aligned(4)));

inline AnyVec load_any(const float* p) { return __builtin_convertvector(*reinterpret_cast<const AnyFloats*>(p), AnyVec); }

inline void store_any(double* p, AnyVec v) { *reinterpret_cast<AnyVec*>(p) = v; }

// Rows of what is added atom by atom, whatever the width of the lanes.
typedef double Row __attribute__((vector_size(32), may_alias));

typedef double AnyRow __attribute__((vector_size(32), may_alias, aligned(8)));  // wherever it starts

// Turn four rows of four into four columns.
inline void transpose(const Row* in, Row* out) {
#if defined(__clang__)
#define IONTHERM_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
    typedef long long Index __attribute__((vector_size(32)));
#define IONTHERM_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, Index{i, j, k, l})
#endif
    const Row low01 = IONTHERM_SHUFFLE(in[0], in[1], 0, 4, 2, 6), high01 = IONTHERM_SHUFFLE(in[0], in[1], 1, 5, 3, 7);
    const Row low23 = IONTHERM_SHUFFLE(in[2], in[3], 0, 4, 2, 6), high23 = IONTHERM_SHUFFLE(in[2], in[3], 1, 5, 3, 7);
    out[0] = IONTHERM_SHUFFLE(low01, low23, 0, 1, 4, 5);
    out[1] = IONTHERM_SHUFFLE(high01, high23, 0, 1, 4, 5);
    out[2] = IONTHERM_SHUFFLE(low01, low23, 2, 3, 6, 7);
    out[3] = IONTHERM_SHUFFLE(high01, high23, 2, 3, 6, 7);
#undef IONTHERM_SHUFFLE
}

// out[0] -= row; out[1] -= x row; out[2] -= y row; out[3] -= z row; two rows at a time where the lanes are wide enough.
inline void subtract_multiples(Row* out, double x, double y, double z, const Row& row) {
#if IONTHERM_LANES >= 8
    typedef double Pair __attribute__((vector_size(64), may_alias));
    Pair* pairs = reinterpret_cast<Pair*>(out);
    const Pair twice = {row[0], row[1], row[2], row[3], row[0], row[1], row[2], row[3]};
    pairs[0] -= Pair{1.0, 1.0, 1.0, 1.0, x, x, x, x} * twice;
    pairs[1] -= Pair{y, y, y, y, z, z, z, z} * twice;
#else
    out[0] -= row;
    out[1] -= x * row;
    out[2] -= y * row;
    out[3] -= z * row;
#endif
}

inline Vec sqrt(Vec v) {
    Vec result;
    for (int l = 0; l < lanes; ++l) result[l] = __builtin_sqrt(v[l]);
    return result;
}

inline double sum(Vec v) {
    double result = 0.0;
    for (int l = 0; l < lanes; ++l) result += v[l];
    return result;
}

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
