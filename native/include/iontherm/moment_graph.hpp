// From the tables of a potential file to the lists that the sweeps walk.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "iontherm/views.hpp"

namespace iontherm {

// Tables as in an .mtp file: elementary moments (mu, a, b, c), products (i, j, c, k) meaning m[k] += c m[i] m[j], and the
// moments that are basis scalars.
struct Tables {
    std::vector<std::array<int, 4>> basic;
    std::vector<std::array<int, 4>> times;
    std::vector<int> scalars;
    int n_moments = 0;
    int n_functions = 0;
};

// Place of x^a y^b z^c among the monomials ordered by degree, falling a, falling b.
inline int monomial_index(int a, int b, int c) {
    return monomials_up_to(a + b + c - 1) + (b + c) * (b + c + 1) / 2 + c;
}

// Moments that some scalar depends on, in an order that can be evaluated; dead ones are dropped.
//
// With `fold`, products that nothing else uses are not evaluated one by one: the energy is linear in them, so they are
// merged into one quadratic form of the other moments (pairs), whose weights follow the linear coefficients.
//
// `lanes` is the width of the vectors that will walk the lists.
class MomentGraph {
  public:
    MomentGraph(const Tables& tables, bool fold, int lanes) : lanes_(lanes) {
        check(tables);
        const int n = tables.n_moments, n_basic = static_cast<int>(tables.basic.size());
        std::vector<std::vector<Product>> products(n);
        for (const auto& row : tables.times) products[row[3]].push_back({row[0], row[1], static_cast<double>(row[2])});

        std::vector<char> live(n, 0), used(n, 0), is_scalar(n, 0);
        for (int s : tables.scalars) live[s] = is_scalar[s] = 1;
        const std::vector<int> order = completion_order(tables);
        for (auto k = order.rbegin(); k != order.rend(); ++k) {
            if (!live[*k]) continue;
            for (const Product& p : products[*k]) live[p.i] = live[p.j] = used[p.i] = used[p.j] = 1;
        }

        degree.assign(tables.n_functions, -1);
        for (int b = 0; b < n_basic; ++b) {
            const auto& row = tables.basic[b];
            if (live[b]) degree[row[0]] = std::max(degree[row[0]], row[1] + row[2] + row[3]);
        }
        offset.assign(tables.n_functions, 0);
        n_basic_nodes = 0;
        max_degree = 0;
        for (int mu = 0; mu < tables.n_functions; ++mu) {
            offset[mu] = n_basic_nodes;
            n_basic_nodes += monomials_up_to(degree[mu]);
            max_degree = std::max(max_degree, degree[mu]);
        }

        std::vector<int> node(n, -1);
        for (int b = 0; b < n_basic; ++b) {
            const auto& row = tables.basic[b];
            if (live[b]) node[b] = offset[row[0]] + monomial_index(row[1], row[2], row[3]);
        }
        n_nodes = n_basic_nodes;
        std::vector<int> folded;
        for (int k : order) {
            if (!live[k]) continue;
            if (fold && !used[k]) {
                folded.push_back(k);
                continue;
            }
            node[k] = n_nodes++;
            for (const Product& p : products[k]) terms.push_back({node[p.i] * lanes, node[p.j] * lanes, p.weight});
            begin.push_back(static_cast<std::int32_t>(terms.size()));
        }

        for (int s : tables.scalars) scalars.push_back(node[s] < 0 ? -1 : node[s] * lanes);
        collect_pairs(tables, products, node, folded);
    }

    // What the lists need to know of the linear coefficients (one per scalar): seeds of the adjoints, weights of the pairs.
    struct Coefficients {
        std::vector<double> seed, pair_weight;
    };

    Coefficients coefficients(const double* moment_coeffs) const {
        Coefficients c;
        c.seed.assign(n_nodes, 0.0);
        for (std::size_t s = 0; s < scalars.size(); ++s)
            if (scalars[s] >= 0) c.seed[scalars[s] / lanes_] += moment_coeffs[s];
        std::vector<double> weight(n_pairs_, 0.0);
        for (const Contribution& contribution : contributions_) weight[contribution.pair] += contribution.weight * moment_coeffs[contribution.scalar];
        for (std::size_t k = 0; k < pair_of_.size(); ++k) c.pair_weight.push_back(factor_[k] * weight[pair_of_[k]]);
        return c;
    }

    GraphView view(const Coefficients& c) const {
        GraphView v;
        v.n_basic = n_basic_nodes;
        v.n_nodes = n_nodes;
        v.begin = begin.data();
        v.terms = terms.data();
        v.pair_begin = pair_begin.data();
        v.pair_other = pair_other.data();
        v.pair_weight = c.pair_weight.data();
        v.seed = c.seed.data();
        v.n_scalars = static_cast<int>(scalars.size());
        v.scalars = scalars.data();
        return v;
    }

    int n_basic_nodes = 0, n_nodes = 0, max_degree = 0;
    std::vector<int> degree, offset;
    std::vector<std::int32_t> begin{0}, pair_begin{0};
    std::vector<Term> terms;
    std::vector<std::int32_t> pair_other, scalars;

  private:
    struct Product {
        int i, j;
        double weight;
    };
    struct Contribution {
        int pair, scalar;
        double weight;
    };

    static void check(const Tables& t) {
        const int n_basic = static_cast<int>(t.basic.size());
        if (n_basic == 0 || t.n_moments < n_basic) throw std::invalid_argument("the tables hold no elementary moments, or more than moments");
        for (const auto& row : t.basic)
            if (row[0] < 0 || row[0] >= t.n_functions || row[1] < 0 || row[2] < 0 || row[3] < 0)
                throw std::invalid_argument("an elementary moment has a negative power or a radial function that does not exist");
        for (const auto& row : t.times)
            if (row[0] < 0 || row[1] < 0 || row[3] < n_basic || std::max({row[0], row[1], row[3]}) >= t.n_moments)
                throw std::invalid_argument("a product of moments points outside of the table of moments");
        for (int s : t.scalars)
            if (s < 0 || s >= t.n_moments) throw std::invalid_argument("a basis scalar points outside of the table of moments");
    }

    // Products in the order in which they become complete. The file adds their terms one by one; a term that uses a moment
    // to which something is added later would make the order of the lines part of the meaning.
    static std::vector<int> completion_order(const Tables& t) {
        std::vector<int> last(t.n_moments, -1);
        for (std::size_t k = 0; k < t.times.size(); ++k) last[t.times[k][3]] = static_cast<int>(k);
        const int n_basic = static_cast<int>(t.basic.size());
        const auto nothing_computes = [&](int moment) { return moment >= n_basic && last[moment] < 0; };
        for (std::size_t k = 0; k < t.times.size(); ++k)
            for (int side = 0; side < 2; ++side) {
                if (last[t.times[k][side]] >= static_cast<int>(k))
                    throw std::invalid_argument("product " + std::to_string(k) + " uses a moment that is not complete yet");
                if (nothing_computes(t.times[k][side]))
                    throw std::invalid_argument("product " + std::to_string(k) + " uses a moment that nothing computes");
            }
        for (int s : t.scalars)
            if (nothing_computes(s)) throw std::invalid_argument("a basis scalar is a moment that nothing computes");
        std::vector<int> order;
        for (std::size_t k = 0; k < t.times.size(); ++k)
            if (last[t.times[k][3]] == static_cast<int>(k)) order.push_back(t.times[k][3]);
        return order;
    }

    void collect_pairs(const Tables& tables, const std::vector<std::vector<Product>>& products, const std::vector<int>& node,
                       const std::vector<int>& folded) {
        std::vector<std::vector<int>> scalars_of(tables.n_moments);
        for (std::size_t s = 0; s < tables.scalars.size(); ++s) scalars_of[tables.scalars[s]].push_back(static_cast<int>(s));
        std::map<std::pair<int, int>, int> number;
        for (int k : folded) {
            for (const Product& p : products[k]) {
                const std::pair<int, int> key = std::minmax(node[p.i], node[p.j]);
                const int pair = number.emplace(key, static_cast<int>(number.size())).first->second;
                for (int s : scalars_of[k]) contributions_.push_back({pair, s, p.weight});
            }
        }
        n_pairs_ = number.size();
        std::vector<std::vector<std::array<int, 3>>> at(n_nodes);  // other node, pair, factor
        for (const auto& [key, pair] : number) {
            if (key.first == key.second) {
                at[key.first].push_back({key.second, pair, 2});
            } else {
                at[key.first].push_back({key.second, pair, 1});
                at[key.second].push_back({key.first, pair, 1});
            }
        }
        for (const auto& list : at) {
            for (const auto& [other, pair, factor] : list) {
                pair_other.push_back(other * lanes_);
                pair_of_.push_back(pair);
                factor_.push_back(factor);
            }
            pair_begin.push_back(static_cast<std::int32_t>(pair_other.size()));
        }
    }

    int lanes_;
    std::size_t n_pairs_ = 0;
    std::vector<Contribution> contributions_;
    std::vector<int> pair_of_;
    std::vector<double> factor_;
};

}  // namespace iontherm
