// Extrapolation grades: how far the energy of an atom, or of all of them, lies from those the potential was fitted to.
//
// A row b holds the derivatives of an energy with respect to all parameters: species coefficients, linear coefficients,
// radial coefficients. The grade is max_j |(b A^-1)_j| with the rows of the active set as A (Podryabinkin and Shapeev,
// Comput. Mater. Sci. 140, 171 (2017)); aiida_iontherm chooses the set and writes A^-1.
#pragma once

#include <string>
#include <vector>

#include "mtp_file.hpp"

namespace iontherm {

class Grader {
  public:
    // From the content of a file of `aiida_iontherm.physics.mtp.lammps.write_grades`; throws std::invalid_argument if it is
    // damaged or was made for another potential.
    Grader(const std::string& content, const MtpFile& file, const std::vector<std::string>& species);

    // Whether the set is one of whole configurations: a row is then the sum over the atoms, and there is one grade.
    bool whole_configurations() const { return whole_configurations_; }
    int n_parameters() const { return n_parameters_; }
    double memory_bytes() const { return 8.0 * static_cast<double>(inverse_.size()); }

    // Grades of `count` atoms of one species: moments [count, scalars] and radial [count, species, functions, size] are the
    // derivatives that the sweeps give. Infinite where a derivative is: a run shall break there, not crash.
    void grade_atoms(int species, const double* const* moments, const double* const* radial, int count, double* grades) const;

    // Add those of one atom to a row [parameters] of the configuration, and grade it.
    void add_to(double* row, int species, const double* moments, const double* radial) const;
    double grade(const double* row) const;

  private:
    void grade_rows(const std::vector<int>& columns, const std::vector<double>& rows, int count, double* grades) const;
    std::size_t n_blocks() const;

    int n_species_, n_scalars_, n_radial_;  // radial: of one species as the centre
    int n_parameters_;
    bool whole_configurations_ = false;
    std::vector<double> inverse_;  // [blocks of columns, parameters, column of the block]
};

}  // namespace iontherm
