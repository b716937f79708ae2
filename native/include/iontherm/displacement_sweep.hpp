// Sums of squared differences between rows and the rows shortly before: mean square displacements, every row an origin.
#pragma once

#include "simd.hpp"
#include "views.hpp"

namespace iontherm {
namespace IONTHERM_ARCH {

constexpr int lags_together = lanes >= 8 ? 16 : 8;  // their sums stay in registers
constexpr int columns_together = 128;                // of lags + 1 rows, which stay in the nearest cache

// Lags first + 1 ... first + n of one row, added to `sums` [lag, lane].
template <int n>
inline void add_squares(const double* row, std::ptrdiff_t stride, int first, int begin, int end, double* sums) {
    AnyVec squares[n] = {};
    for (int j = begin; j < end; j += lanes) {
        const AnyVec here = load_any(row + j);
        for (int k = 0; k < n; ++k) {
            const AnyVec apart = here - load_any(row - (first + k + 1) * stride + j);
            squares[k] += apart * apart;
        }
    }
    for (int k = 0; k < n; ++k) store_any(sums + (first + k) * lanes, load_any(sums + (first + k) * lanes) + squares[k]);
}

inline void displacements(const DisplacementTask& task) {
    int begin = 0;
    for (int segment = 0; segment < task.n_segments; ++segment) {
        for (int k = 0; k < task.lags * lanes; ++k) task.scratch[k] = 0.0;
        const int end = task.ends[segment], whole = begin + (end - begin) / lanes * lanes;
        for (int from = begin; from < end; from += columns_together) {
            const int to = from + columns_together < whole ? from + columns_together : whole;
            const bool last = from + columns_together >= end;
            for (int r = task.first; r < task.n_rows; ++r) {
                const double* row = task.rows + r * task.stride;
                const int reach = r - task.origin < task.lags ? r - task.origin : task.lags;
                int k = 0;
                for (; k + lags_together <= reach; k += lags_together) add_squares<lags_together>(row, task.stride, k, from, to, task.scratch);
                for (; k < reach; ++k) add_squares<1>(row, task.stride, k, from, to, task.scratch);
                // What is left of a segment beside whole vectors, in the first lane.
                for (int j = whole; last && j < end; ++j)
                    for (k = 0; k < reach; ++k) {
                        const double apart = row[j] - row[j - (k + 1) * task.stride];
                        task.scratch[k * lanes] += apart * apart;
                    }
            }
        }
        for (int k = 0; k < task.lags; ++k) {
            double total = 0.0;
            for (int l = 0; l < lanes; ++l) total += task.scratch[k * lanes + l];
            task.sums[k * task.n_segments + segment] = total;
        }
        begin = end;
    }
}

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
