// Random numbers without a state: a function of seed, step and atom.
//
// A run continued from a checkpoint, or split otherwise over threads, draws the same numbers, and there is nothing to save.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace iontherm {

using Words4 = std::array<std::uint32_t, 4>;

// Philox 4x32 with ten rounds: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, Proc. SC11, Article 16 (2011).
inline Words4 philox(Words4 counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t first = std::uint64_t{0xD2511F53} * counter[0], second = std::uint64_t{0xCD9E8D57} * counter[2];
        counter = {static_cast<std::uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(second),
                   static_cast<std::uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(first)};
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return counter;
}

// Two numbers in a vector that every processor has. Logarithm of positive numbers, and cosine and sine of fractions of a
// turn, to the last digits: those of the C library cost three times as much, and differ in the last bit from one library to
// the next.
typedef double Pair __attribute__((vector_size(16)));
typedef std::int64_t PairOfIntegers __attribute__((vector_size(16)));

inline Pair as_numbers(PairOfIntegers bits) { return (Pair)bits; }  // of vectors, a cast keeps the bits
inline PairOfIntegers as_bits(Pair x) { return (PairOfIntegers)x; }

// Added to a small number this leaves the nearest integer in the last bits.
constexpr double rounder = 0x1.8p52;
constexpr std::int64_t rounder_bits = 0x4338000000000000;

inline Pair logarithm(Pair x) {
    // Split off the exponent so that the rest lies between the square roots of 1/2 and 2.
    const PairOfIntegers bits = as_bits(x), above = bits - 0x3FE6A09E667F3BCD, exponent_bits = above & -(std::int64_t{1} << 52);
    const Pair m = as_numbers(bits - exponent_bits);
    const PairOfIntegers exponent = (exponent_bits + (std::int64_t{1} << 62)) >> 52;  // above zero, for the shift
    const Pair power = as_numbers(exponent + rounder_bits) - (rounder + 1024.0);
    const Pair t = (m - 1.0) / (m + 1.0), t2 = t * t;  // log m = 2 artanh t, |t| < 0.172
    constexpr double inverse_odd[] = {1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0};
    Pair series = {1.0 / 21, 1.0 / 21};
    for (const double coefficient : inverse_odd) series = series * t2 + coefficient;
    return power * 0.6931471805599453 + 2.0 * t * series;
}

struct Direction {
    Pair cosine, sine;
};

inline Direction direction(Pair turns) {
    const Pair quarters = 4.0 * turns, rounded = quarters + rounder;
    const PairOfIntegers quadrant = as_bits(rounded);
    const Pair x = (quarters - (rounded - rounder)) * 1.5707963267948966, x2 = x * x;  // |x| <= pi/4
    constexpr double ratios[8][2] = {{1.0 / 240, 1.0 / 272}, {1.0 / 182, 1.0 / 210}, {1.0 / 132, 1.0 / 156}, {1.0 / 90, 1.0 / 110},
                                     {1.0 / 56, 1.0 / 72},   {1.0 / 30, 1.0 / 42},   {1.0 / 12, 1.0 / 20},   {1.0 / 2, 1.0 / 6}};
    Pair c = {1.0, 1.0}, s = {1.0, 1.0};  // Taylor series, each term a ratio of the one before
    for (const auto& ratio : ratios) {
        c = 1.0 - c * (x2 * ratio[0]);
        s = 1.0 - s * (x2 * ratio[1]);
    }
    s *= x;
    const PairOfIntegers odd = -(quadrant & 1), cosine_sign = ((quadrant + 1) & 2) << 62, sine_sign = (quadrant & 2) << 62;
    const PairOfIntegers cb = as_bits(c), sb = as_bits(s);
    return {as_numbers(((cb & ~odd) | (sb & odd)) ^ cosine_sign), as_numbers(((sb & ~odd) | (cb & odd)) ^ sine_sign)};
}

// What a number is drawn for: two uses must not share a counter.
enum class Purpose : std::uint32_t { langevin = 0, rescaling = 1, barostat = 2 };

class RandomNumbers {
  public:
    RandomNumbers(std::uint64_t seed, Purpose purpose)
        : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}, purpose_(purpose) {}

    // Four numbers, uniform on (0, 1): never 0, whose logarithm would be needed, nor 1.
    std::array<double, 4> uniform(std::uint64_t step, std::uint32_t index) const {
        const Words4 words = philox({index, static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32),
                                     static_cast<std::uint32_t>(purpose_)}, key_);
        std::array<double, 4> result;
        for (int k = 0; k < 4; ++k) result[k] = (words[k] + 0.5) * 0x1p-32;
        return result;
    }

    // Four numbers of a normal distribution (Box and Muller).
    std::array<double, 4> normal(std::uint64_t step, std::uint32_t index) const {
        const std::array<double, 4> u = uniform(step, index);
        const Pair squares = -2.0 * logarithm(Pair{u[0], u[1]});
        const Pair radii = {std::sqrt(squares[0]), std::sqrt(squares[1])};
        const Direction d = direction(Pair{u[2], u[3]});
        const Pair x = radii * d.cosine, y = radii * d.sine;
        return {x[0], x[1], y[0], y[1]};
    }

    // A number of the gamma distribution of a shape of 1 or more: G. Marsaglia and W. W. Tsang, ACM Trans. Math. Softw. 26,
    // 363 (2000). Takes blocks from `index` on.
    double gamma(double shape, std::uint64_t step, std::uint32_t index) const {
        const double d = shape - 1.0 / 3.0, c = 1.0 / std::sqrt(9.0 * d);
        for (;; index += 2) {
            const double x = normal(step, index)[0], u = uniform(step, index + 1)[0];
            const double root = 1.0 + c * x;
            if (root <= 0.0) continue;
            const double v = root * root * root;
            const Pair logarithms = logarithm(Pair{u, v});
            if (logarithms[0] < 0.5 * x * x + d - d * v + d * logarithms[1]) return d * v;
        }
    }

  private:
    std::array<std::uint32_t, 2> key_;
    Purpose purpose_;
};

}  // namespace iontherm
