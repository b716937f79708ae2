// Two-channel sums over all wave vectors; what the velocity operator gives is kept, linewidths and temperatures vary.
#pragma once

#include <algorithm>
#include <complex>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "iontherm/dispatch.hpp"
#include "iontherm/large_array.hpp"
#include "iontherm/threads.hpp"
#include "iontherm/views.hpp"

namespace iontherm {

class PairSum {
  public:
    // `combinations` [components, 6] turn products in Voigt order into those that are kept, in single precision or double.
    PairSum(std::size_t n_q, std::size_t n_modes, std::size_t components, const double* combinations, bool single, int threads,
            const std::string& instructions)
        : n_q_(n_q), n_(n_modes), components_(components), combinations_(combinations, combinations + 6 * components),
          sweeps_(choose_sweeps(instructions)), pool_(threads), single_(single),
          products_(single ? 0 : n_q * size_at_q() + sweeps_.lanes), single_products_(single ? n_q * size_at_q() + sweeps_.lanes : 0) {
        if (components < 1 || components > 6) throw std::invalid_argument("a symmetric tensor has one to six components");
    }

    std::size_t n_q() const { return n_q_; }
    std::size_t n_modes() const { return n_; }
    std::size_t components() const { return components_; }
    const char* instructions() const { return sweeps_.name; }

    // Re(V_a,st V_b,ts) of the points `first` ... from the velocity operator [count, 3, n, n], Hermitian.
    void set_velocities(std::size_t first, std::size_t count, const std::complex<double>* velocities) {
        if (first + count > n_q_) throw std::invalid_argument("there are not so many points");
        static constexpr int voigt[6][2] = {{0, 0}, {1, 1}, {2, 2}, {1, 2}, {0, 2}, {0, 1}};
        each_point(count, [&](int, std::size_t i) {
            const std::complex<double>* v = velocities + i * 3 * n_ * n_;
            set_rows(first + i, [&](std::size_t s, std::size_t t, double* six) {
                for (int k = 0; k < 6; ++k) {
                    const std::complex<double> a = v[(voigt[k][0] * n_ + s) * n_ + t], b = v[(voigt[k][1] * n_ + s) * n_ + t];
                    six[k] = a.real() * b.real() + a.imag() * b.imag();
                }
            });
        });
    }

    // The same from products [count, 6, n, n], symmetric in the modes.
    template <class Real>
    void set_products(std::size_t first, std::size_t count, const Real* products) {
        if (first + count > n_q_) throw std::invalid_argument("there are not so many points");
        each_point(count, [&](int, std::size_t i) {
            const Real* p = products + i * 6 * n_ * n_;
            set_rows(first + i, [&](std::size_t s, std::size_t t, double* six) {
                for (int k = 0; k < 6; ++k) six[k] = p[(k * n_ + s) * n_ + t];
            });
        });
    }

    // Modes in rows [n_q, n]; `scale` [n_q] goes with everything of a point.
    struct Modes {
        const double *frequency, *width, *capacity, *kept, *scale;
        const std::int32_t* set_end;
    };

    // [2, components]: particle, then wave. The order of the sum does not depend on the number of threads.
    void totals(const Modes& modes, double* out) {
        std::vector<double> parts(n_q_ * 2 * components_, 0.0);
        run(modes, [&](PairTask& task, std::size_t q) {
            task.particle = parts.data() + q * 2 * components_;
            task.wave = task.particle + components_;
            sweeps_.pair_totals(task);
        });
        std::fill(out, out + 2 * components_, 0.0);
        for (std::size_t q = 0; q < n_q_; ++q)
            for (std::size_t k = 0; k < 2 * components_; ++k) out[k] += modes.scale[q] * parts[q * 2 * components_ + k];
    }

    // [2, n_q, components, n]
    void by_mode(const Modes& modes, double* out) {
        const std::size_t block = components_ * n_;
        std::fill(out, out + 2 * n_q_ * block, 0.0);
        run(modes, [&](PairTask& task, std::size_t q) {
            task.particle = out + q * block;
            task.wave = out + (n_q_ + q) * block;
            sweeps_.pair_modes(task);
            for (std::size_t k = 0; k < block; ++k) {
                task.particle[k] *= modes.scale[q];
                task.wave[k] *= modes.scale[q];
            }
        });
    }

    // [bins, bins, components] of the wave channel; `bin` [n_q, n].
    void density(const Modes& modes, const std::int32_t* bin, std::size_t n_bins, double* out) {
        const std::size_t block = n_bins * n_bins * components_;
        std::vector<double> part(block);
        std::fill(out, out + block, 0.0);
        // One point after the other: the bins are shared, and their sum keeps its order.
        Arrays arrays(n_, sweeps_.lanes);
        for (std::size_t q = 0; q < n_q_; ++q) {
            PairTask task = arrays.task(*this, modes, q);
            std::fill(part.begin(), part.end(), 0.0);
            task.wave = part.data();
            task.n_bins = static_cast<int>(n_bins);
            task.bin = bin + q * n_;
            sweeps_.pair_density(task);
            for (std::size_t k = 0; k < block; ++k) out[k] += modes.scale[q] * part[k];
        }
    }

  private:
    // The modes of a point with room for a vector behind them.
    struct Arrays {
        Arrays(std::size_t n, int lanes) : n_(n), stride_(n + lanes), doubles_(7 * stride_, 0.0) {
            // Behind the modes: numbers that do no harm.
            std::fill(doubles_.begin(), doubles_.begin() + 2 * stride_, 1.0);
        }
        PairTask task(const PairSum& sum, const Modes& modes, std::size_t q) {
            double* p = doubles_.data();
            PairTask task{};
            task.n = static_cast<int>(n_);
            task.components = static_cast<int>(sum.components_);
            task.frequency = copy(modes.frequency + q * n_, p);
            task.width = copy(modes.width + q * n_, p + stride_);
            task.capacity = copy(modes.capacity + q * n_, p + 2 * stride_);
            task.kept = copy(modes.kept + q * n_, p + 3 * stride_);
            double* per_frequency = p + 4 * stride_;
            for (std::size_t s = 0; s < n_; ++s) {
                // Modes that carry nothing may have any frequency and width.
                if (p[3 * stride_ + s] == 0.0) p[s] = p[stride_ + s] = 1.0;
                per_frequency[s] = p[2 * stride_ + s] / p[s];
            }
            task.per_frequency = per_frequency;
            task.row = p + 5 * stride_;
            task.set_end = modes.set_end + q * n_;
            if (sum.single_)
                task.single_products = sum.single_products_.data() + q * sum.size_at_q();
            else
                task.products = sum.products_.data() + q * sum.size_at_q();
            return task;
        }

      private:
        const double* copy(const double* from, double* to) {
            std::copy(from, from + n_, to);
            return to;
        }
        std::size_t n_, stride_;
        std::vector<double> doubles_;
    };

    std::size_t size_at_q() const { return components_ * (n_ * (n_ + 1) / 2); }

    template <class Task>
    void each_point(std::size_t count, const Task& task) {
        std::atomic<std::size_t> next{0};
        pool_.run([&](int thread) {
            for (std::size_t i = next++; i < count; i = next++) task(thread, i);
        });
    }

    template <class Task>
    void run(const Modes& modes, const Task& task) {
        std::vector<Arrays> arrays(pool_.size(), Arrays(n_, sweeps_.lanes));
        each_point(n_q_, [&](int thread, std::size_t q) {
            PairTask pair = arrays[thread].task(*this, modes, q);
            task(pair, q);
        });
    }

    template <class Products>
    void set_rows(std::size_t q, const Products& products) {
        if (single_)
            set_rows(single_products_.data() + q * size_at_q(), products);
        else
            set_rows(products_.data() + q * size_at_q(), products);
    }

    template <class Real, class Products>
    void set_rows(Real* out, const Products& products) const {
        for (std::size_t s = 0; s < n_; ++s) {
            const std::size_t length = n_ - s;
            for (std::size_t t = s; t < n_; ++t) {
                double six[6];
                products(s, t, six);
                for (std::size_t c = 0; c < components_; ++c) {
                    double value = 0.0;
                    for (int k = 0; k < 6; ++k) value += combinations_[6 * c + k] * six[k];
                    out[c * length + t - s] = static_cast<Real>(value);
                }
            }
            out += components_ * length;
        }
    }

    std::size_t n_q_, n_, components_;
    std::vector<double> combinations_;
    const Sweeps& sweeps_;
    ThreadPool pool_;
    bool single_;
    // With room for a vector behind the last.
    LargeArray<double> products_;
    LargeArray<float> single_products_;
};

}  // namespace iontherm
