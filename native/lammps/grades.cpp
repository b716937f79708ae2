#include "grades.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files of grades hold numbers in the order of bytes of little-endian machines"
#endif

namespace iontherm {
namespace {

const char* damaged = ": the file is damaged, write it again with aiida_iontherm.physics.mtp.lammps.write_grades";

[[noreturn]] void fail(const std::string& message) { throw std::invalid_argument(message); }

// Lines "key value" down to an empty one; the rest of the file is numbers.
std::map<std::string, std::string> read_header(std::istringstream& stream) {
    std::string line;
    if (!std::getline(stream, line) || line != "iontherm grades 1")
        fail("this is no file of write_grades: an active_set.npz has to be converted by it");
    std::map<std::string, std::string> header;
    while (std::getline(stream, line) && !line.empty()) {
        const std::size_t blank = line.find(' ');
        header[line.substr(0, blank)] = blank == std::string::npos ? "" : line.substr(blank + 1);
    }
    for (const char* key : {"mode", "species", "coefficients", "parameters"})
        if (!header.count(key)) fail("the header lacks " + std::string(key) + damaged);
    return header;
}

std::vector<double> read_numbers(std::istringstream& stream, std::size_t count) {
    std::vector<double> numbers(count);
    if (!stream.read(reinterpret_cast<char*>(numbers.data()), static_cast<std::streamsize>(count * sizeof(double))))
        fail(std::string("it is cut short") + damaged);
    if (!std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); }))
        fail(std::string("it holds numbers that are not finite") + damaged);
    return numbers;
}

constexpr int tile = 8, block = 8;  // rows and columns that are multiplied together: their sums stay in registers

typedef double Columns __attribute__((vector_size(8 * block), may_alias, aligned(8)));

#if defined(__x86_64__) && defined(__ELF__) && defined(__GNUC__) && !defined(__clang__)
#define IONTHERM_CLONES __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define IONTHERM_CLONES
#endif

// sums[i][c] = sum_k rows[k][i] inverse[columns[k]][c]
IONTHERM_CLONES void multiply(const double* inverse, const int* columns, std::size_t n_columns, const double* rows, double (*sums)[block]) {
    Columns kept[tile] = {};
    for (std::size_t k = 0; k < n_columns; ++k) {
        const Columns a = *reinterpret_cast<const Columns*>(inverse + static_cast<std::size_t>(columns[k]) * block);
        for (int i = 0; i < tile; ++i) kept[i] += rows[k * tile + i] * a;
    }
    for (int i = 0; i < tile; ++i) *reinterpret_cast<Columns*>(sums[i]) = kept[i];
}

}  // namespace

Grader::Grader(const std::string& content, const MtpFile& file, const std::vector<std::string>& species)
    : n_species_(file.species_count),
      n_scalars_(static_cast<int>(file.moment_coeffs.size())),
      n_radial_(static_cast<int>(file.radial_coeffs.size()) / file.species_count),
      n_parameters_(n_species_ + n_scalars_ + n_species_ * n_radial_) {
    std::istringstream stream(content);
    const auto header = read_header(stream);
    const std::string& mode = header.at("mode");
    if (mode != "neighbourhood" && mode != "configuration") fail("its mode is '" + mode + "', neither neighbourhood nor configuration" + damaged);
    whole_configurations_ = mode == "configuration";

    std::vector<double> coefficients = {file.min_distance, file.cutoff, file.scaling};
    for (const std::vector<double>* part : {&file.radial_coeffs, &file.species_coeffs, &file.moment_coeffs})
        coefficients.insert(coefficients.end(), part->begin(), part->end());
    std::string names;
    for (const std::string& name : species) names += (names.empty() ? "" : " ") + name;
    const bool same = header.at("species") == names && header.at("coefficients") == std::to_string(coefficients.size()) &&
                      header.at("parameters") == std::to_string(n_parameters_) && read_numbers(stream, coefficients.size()) == coefficients;
    if (!same) fail("it belongs to another potential than the one given: write both files from one potential");
    inverse_.assign(n_blocks() * n_parameters_ * block, 0.0);
    for (int k = 0; k < n_parameters_; ++k) {
        const std::vector<double> row = read_numbers(stream, n_parameters_);
        for (int j = 0; j < n_parameters_; ++j) inverse_[(static_cast<std::size_t>(j / block) * n_parameters_ + k) * block + j % block] = row[j];
    }
    if (stream.peek() != std::istringstream::traits_type::eof()) fail(std::string("it goes on after the last number") + damaged);
}

void Grader::grade_atoms(int species, const double* const* moments, const double* const* radial, int count, double* grades) const {
    // Only the columns of the species are not zero.
    std::vector<int> columns = {species};
    for (int k = 0; k < n_scalars_; ++k) columns.push_back(n_species_ + k);
    for (int k = 0; k < n_radial_; ++k) columns.push_back(n_species_ + n_scalars_ + species * n_radial_ + k);
    std::vector<double> rows(columns.size() * (count + tile - 1), 0.0);
    for (int i = 0; i < count; ++i) {
        double* row = rows.data() + i / tile * tile * columns.size() + i % tile;
        row[0] = 1.0;
        for (int k = 0; k < n_scalars_; ++k) row[(1 + k) * tile] = moments[i][k];
        for (int k = 0; k < n_radial_; ++k) row[(1 + n_scalars_ + k) * tile] = radial[i][k];
    }
    grade_rows(columns, rows, count, grades);
}

void Grader::add_to(double* row, int species, const double* moments, const double* radial) const {
    row[species] += 1.0;
    for (int k = 0; k < n_scalars_; ++k) row[n_species_ + k] += moments[k];
    for (int k = 0; k < n_radial_; ++k) row[n_species_ + n_scalars_ + species * n_radial_ + k] += radial[k];
}

double Grader::grade(const double* row) const {
    std::vector<int> columns(n_parameters_);
    for (int k = 0; k < n_parameters_; ++k) columns[k] = k;
    std::vector<double> rows(static_cast<std::size_t>(n_parameters_) * tile, 0.0);
    for (int k = 0; k < n_parameters_; ++k) rows[static_cast<std::size_t>(k) * tile] = row[k];
    double grade;
    grade_rows(columns, rows, 1, &grade);
    return grade;
}

// rows [tile, column, atom of the tile], with zeros in the last tile. A block of the inverse stays in the cache for all.
void Grader::grade_rows(const std::vector<int>& columns, const std::vector<double>& rows, int count, double* grades) const {
    std::fill(grades, grades + count, 0.0);
    for (std::size_t j = 0; j < n_blocks(); ++j)
        for (int first = 0; first < count; first += tile) {
            double sums[tile][block];
            multiply(&inverse_[j * n_parameters_ * block], columns.data(), columns.size(), &rows[first * columns.size()], sums);
            for (int i = first; i < std::min(first + tile, count); ++i)
                for (const double sum : sums[i - first]) {
                    const double size = std::fabs(sum);
                    // Also true where it is no number.
                    if (!(size <= grades[i])) grades[i] = std::isfinite(size) ? size : std::numeric_limits<double>::infinity();
                }
        }
}

std::size_t Grader::n_blocks() const { return (n_parameters_ + block - 1) / block; }

}  // namespace iontherm
