// Moment tensor potentials in the .mtp text format of MLIP-2, MLIP-3 and motep.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "iontherm/potential.hpp"

namespace iontherm {

struct MtpFile {
    std::vector<std::string> species;  // where the tag of the file names them, as those written by aiida-iontherm do
    int species_count = 0;
    Tables tables;
    double min_distance = 0.0, cutoff = 0.0, scaling = 1.0;
    int radial_size = 0;
    std::vector<double> radial_coeffs;   // [species, species, functions, radial_size]
    std::vector<double> species_coeffs;  // [species]
    std::vector<double> moment_coeffs;   // [scalars]
};

// Read the content of a file; throws std::invalid_argument that names the line, or what is missing.
MtpFile parse_mtp(const std::string& content);

// For the fastest instructions of this processor.
std::shared_ptr<const Potential> make_potential(const MtpFile& file);

}  // namespace iontherm
