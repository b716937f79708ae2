// A moment tensor potential: graphs of its basis, shared by all potentials of a level, and coefficients.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "iontherm/dispatch.hpp"
#include "iontherm/moment_graph.hpp"

namespace iontherm {

// The graphs of one set of tables, laid out for one instruction set.
struct Basis {
    Basis(const Tables& tables, const std::string& instructions)
        : sweeps(choose_sweeps(instructions)), run(tables, true, sweeps.lanes), full(tables, false, sweeps.lanes), n_functions(tables.n_functions) {}

    const Sweeps& sweeps;
    MomentGraph run;   // for energies and forces: products that only the energy uses are folded into a quadratic form
    MomentGraph full;  // every basis scalar a node of its own
    int n_functions;
};

class Potential {
  public:
    Potential(std::shared_ptr<const Basis> basis, int n_species, int radial_size, double min_distance, double cutoff, double scaling,
              const double* radial, const double* species, const double* moments)
        : basis_(std::move(basis)),
          n_species_(n_species),
          radial_size_(radial_size),
          min_distance_(min_distance),
          cutoff_(cutoff),
          scaling_(scaling),
          radial_coeffs_(radial, radial + static_cast<std::size_t>(n_species) * n_species * basis_->n_functions * radial_size),
          species_coeffs_(species, species + n_species),
          run_(basis_->run.coefficients(moments)),
          full_(basis_->full.coefficients(moments)) {
        for (std::size_t k = 0; k < radial_coeffs_.size(); ++k)
            slope_coeffs_.push_back(2.0 * static_cast<double>(k % radial_size) / (cutoff - min_distance) * radial_coeffs_[k]);
        if (n_species < 1) throw std::invalid_argument("a potential needs at least one species");
        if (radial_size < 2 || radial_size > 64) throw std::invalid_argument("the radial basis must have 2 to 64 functions");
        if (!(min_distance >= 0.0) || !(cutoff > min_distance)) throw std::invalid_argument("the cutoff must lie beyond the minimum distance");
    }

    RadialView radial() const {
        RadialView v;
        v.n_species = n_species_;
        v.n_functions = basis_->n_functions;
        v.size = radial_size_;
        v.min_distance = min_distance_;
        v.cutoff = cutoff_;
        v.scaling = scaling_;
        v.coeffs = radial_coeffs_.data();
        v.slope_coeffs = slope_coeffs_.data();
        v.degree = basis_->run.degree.data();
        v.offset = basis_->run.offset.data();
        v.max_degree = basis_->run.max_degree;
        return v;
    }

    GraphView run_graph() const { return basis_->run.view(run_); }
    GraphView full_graph() const { return basis_->full.view(full_); }
    const Basis& basis() const { return *basis_; }
    const std::vector<double>& species_coeffs() const { return species_coeffs_; }
    int n_species() const { return n_species_; }
    int n_functions() const { return basis_->n_functions; }
    int radial_size() const { return radial_size_; }
    std::size_t n_scalars() const { return basis_->full.scalars.size(); }
    std::size_t n_radial() const { return radial_coeffs_.size(); }
    double cutoff() const { return cutoff_; }

  private:
    std::shared_ptr<const Basis> basis_;
    int n_species_, radial_size_;
    double min_distance_, cutoff_, scaling_;
    std::vector<double> radial_coeffs_, slope_coeffs_, species_coeffs_;
    MomentGraph::Coefficients run_, full_;
};

}  // namespace iontherm
