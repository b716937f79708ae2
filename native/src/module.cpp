// Python face of the compiled sweeps: NumPy arrays in, NumPy arrays out. Units and physics are the caller's.
#include <cmath>
#include <complex>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/complex.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "iontherm/dipole_blocks.hpp"
#include "iontherm/heat_exchange.hpp"
#include "iontherm/molecular_dynamics.hpp"
#include "iontherm/pair_sum.hpp"
#include "iontherm/training_set.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using iontherm::Basis;
using iontherm::Cell;
using iontherm::Evaluator;
using iontherm::MolecularDynamics;
using iontherm::PairSum;
using iontherm::Potential;
using iontherm::Samples;
using iontherm::Sampling;
using iontherm::Tables;
using iontherm::TrainingSet;

template <int n>
using Doubles = nb::ndarray<const double, nb::ndim<n>, nb::c_contig, nb::device::cpu>;
template <int n>
using Integers = nb::ndarray<const std::int32_t, nb::ndim<n>, nb::c_contig, nb::device::cpu>;
template <int n>
using Complexes = nb::ndarray<std::complex<double>, nb::ndim<n>, nb::c_contig, nb::device::cpu>;
using Flags = nb::ndarray<const bool, nb::shape<3>, nb::c_contig, nb::device::cpu>;
using Result = nb::ndarray<nb::numpy, double>;

Result new_array(std::initializer_list<std::size_t> shape, double*& data) {
    std::size_t size = 1;
    for (std::size_t n : shape) size *= n;
    data = new double[size];  // every caller fills it
    nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<double*>(p); });
    return Result(data, shape.size(), shape.begin(), owner);
}

nb::ndarray<nb::numpy, std::complex<double>> new_complex(std::initializer_list<std::size_t> shape, std::complex<double>*& data) {
    std::size_t size = 1;
    for (std::size_t n : shape) size *= n;
    data = static_cast<std::complex<double>*>(::operator new[](size * sizeof(std::complex<double>)));  // every caller fills it
    nb::capsule owner(data, [](void* p) noexcept { ::operator delete[](p); });
    return nb::ndarray<nb::numpy, std::complex<double>>(data, shape.size(), shape.begin(), owner);
}

// An array that takes over the memory of a vector. Empty dimensions but the first are allowed, if there are no numbers.
Result taken_over(std::vector<double>& values, std::size_t rows, std::initializer_list<std::size_t> row_shape) {
    auto* kept = new std::vector<double>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<double>*>(p); });
    std::vector<std::size_t> shape = {rows};
    shape.insert(shape.end(), row_shape);
    return Result(kept->data(), shape.size(), shape.data(), owner);
}

Result copied(const std::vector<double>& values, std::initializer_list<std::size_t> shape) {
    double* data;
    Result array = new_array(shape, data);
    std::copy(values.begin(), values.end(), data);
    return array;
}

Cell to_cell(const Doubles<2>& cell) {
    if (cell.shape(0) != 3 || cell.shape(1) != 3) throw std::invalid_argument("a cell is a 3 x 3 array");
    Cell result;
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) result[a][b] = cell(a, b);
    return result;
}

std::size_t checked_atoms(const Doubles<2>& positions, const Integers<1>& species) {
    if (positions.shape(1) != 3 || positions.shape(0) != species.shape(0)) throw std::invalid_argument("positions are [n, 3] and species [n]");
    return positions.shape(0);
}

std::vector<std::array<int, 4>> rows_of_four(const Integers<2>& table) {
    if (table.shape(0) != 0 && table.shape(1) != 4) throw std::invalid_argument("tables of moments have four columns");
    std::vector<std::array<int, 4>> rows;
    for (std::size_t k = 0; k < table.shape(0); ++k) rows.push_back({table(k, 0), table(k, 1), table(k, 2), table(k, 3)});
    return rows;
}

std::shared_ptr<Basis> make_basis(const Integers<2>& basic, const Integers<2>& times, const Integers<1>& scalars, int n_moments,
                                  int n_functions, const std::string& instructions) {
    Tables tables;
    tables.basic = rows_of_four(basic);
    tables.times = rows_of_four(times);
    tables.scalars.assign(scalars.data(), scalars.data() + scalars.shape(0));
    tables.n_moments = n_moments;
    tables.n_functions = n_functions;
    return std::make_shared<Basis>(tables, instructions);
}

std::shared_ptr<Potential> make_potential(std::shared_ptr<Basis> basis, double min_distance, double cutoff, double scaling,
                                          const Doubles<4>& radial, const Doubles<1>& species, const Doubles<1>& moments) {
    const std::size_t n_species = species.shape(0);
    if (radial.shape(0) != n_species || radial.shape(1) != n_species || static_cast<int>(radial.shape(2)) != basis->n_functions)
        throw std::invalid_argument("radial coefficients are [species, species, function, basis function]");
    if (moments.shape(0) != basis->full.scalars.size()) throw std::invalid_argument("there must be one moment coefficient for each basis scalar");
    return std::make_shared<Potential>(std::move(basis), static_cast<int>(n_species), static_cast<int>(radial.shape(3)), min_distance, cutoff,
                                       scaling, radial.data(), species.data(), moments.data());
}

void check_modes(const PairSum& sum, std::initializer_list<const Doubles<2>*> arrays, const Integers<2>& set_end, const Doubles<1>& scale) {
    bool right = set_end.shape(0) == sum.n_q() && set_end.shape(1) == sum.n_modes() && scale.shape(0) == sum.n_q();
    for (const Doubles<2>* array : arrays) right = right && array->shape(0) == sum.n_q() && array->shape(1) == sum.n_modes();
    for (std::size_t k = 0; right && k < set_end.size(); ++k)
        right = set_end.data()[k] <= static_cast<std::int64_t>(sum.n_modes());
    if (!right) throw std::invalid_argument("modes are [q, s], scales [q]");
}

std::vector<std::int32_t> checked_indices(const Integers<1>& atoms) {
    std::vector<std::int32_t> result(atoms.data(), atoms.data() + atoms.shape(0));
    for (const std::int32_t i : result)
        if (i < 0) throw std::invalid_argument("indices of atoms must not be negative");
    return result;
}

void check_sampling(const Sampling& sampling, std::size_t n_atoms) {
    for (const auto* atoms : {&sampling.position_atoms, &sampling.velocity_atoms})
        for (const std::int32_t i : *atoms)
            if (static_cast<std::size_t>(i) >= n_atoms) throw std::invalid_argument("an atom to be sampled does not exist");
}

// The rows of each kind that fell due.
nb::dict to_arrays(Samples& samples, const Sampling& sampling, std::size_t n_atoms, std::size_t n_species) {
    const std::size_t tracked = sampling.position_atoms.size(), timed = sampling.velocity_atoms.size();
    const std::size_t centres = samples.centres.size() / 3, snapshots = samples.snapshots.size() / (3 * n_atoms);
    const std::size_t velocities = timed ? samples.velocities.size() / (3 * timed) : 0;
    const std::size_t thermo = samples.thermo.size() / iontherm::thermo_width, currents = samples.currents.size() / (9 * n_species);
    const std::size_t slabs = sampling.slabs.count(), profiles = samples.profile.size() / (slabs * iontherm::profile_width);
    nb::dict arrays;
    arrays["positions"] = taken_over(samples.positions, centres, {tracked, 3});
    arrays["centres"] = taken_over(samples.centres, centres, {3});
    arrays["position_cells"] = taken_over(samples.position_cells, centres, {3, 3});
    arrays["snapshots"] = taken_over(samples.snapshots, snapshots, {n_atoms, 3});
    arrays["snapshot_forces"] = taken_over(samples.snapshot_forces, snapshots, {n_atoms, 3});
    arrays["velocities"] = taken_over(samples.velocities, velocities, {timed, 3});
    arrays["thermo"] = taken_over(samples.thermo, thermo, {iontherm::thermo_width});
    arrays["cells"] = taken_over(samples.cells, thermo, {3, 3});
    arrays["profile"] = taken_over(samples.profile, profiles, {slabs, iontherm::profile_width});
    arrays["currents"] = taken_over(samples.currents, currents, {3, n_species, 3});
    return arrays;
}

// Shared ownership across the Python boundary, without a second reference count in the wrapper.
struct BasisHandle {
    std::shared_ptr<Basis> basis;
};
struct PotentialHandle {
    std::shared_ptr<Potential> potential;
};

}  // namespace

NB_MODULE(_native, module) {
    // Objects in caches of the Python side live until the interpreter ends, which is no leak.
    nb::set_leak_warnings(false);
    module.doc() = "Compiled sweeps of the moment tensor potential and of lattice heat transport, and molecular dynamics.";

    module.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const auto* sweeps : iontherm::available_sweeps()) names.emplace_back(sweeps->name);
        return names;
    }, "Names of the compiled sweeps this machine can run, the fastest first.");

    nb::class_<BasisHandle>(module, "Basis")
        .def("__init__", [](BasisHandle* self, const Integers<2>& basic, const Integers<2>& times, const Integers<1>& scalars, int n_moments,
                            int n_functions, const std::string& instructions) {
            new (self) BasisHandle{make_basis(basic, times, scalars, n_moments, n_functions, instructions)};
        }, "basic"_a, "times"_a, "scalars"_a, "n_moments"_a, "n_functions"_a, "instructions"_a = "")
        .def_prop_ro("instructions", [](const BasisHandle& self) { return self.basis->sweeps.name; })
        .def_prop_ro("counts", [](const BasisHandle& self) {
            nb::dict counts;
            counts["elementary_moments"] = self.basis->full.n_basic_nodes;
            counts["moments"] = self.basis->full.n_nodes;
            counts["moments_in_run"] = self.basis->run.n_nodes;
            counts["terms"] = self.basis->full.terms.size();
            counts["terms_in_run"] = self.basis->run.terms.size();
            counts["pair_terms_in_run"] = self.basis->run.pair_other.size();
            return counts;
        });

    nb::class_<PotentialHandle>(module, "Potential")
        .def("__init__", [](PotentialHandle* self, const BasisHandle& basis, double min_distance, double cutoff, double scaling,
                            const Doubles<4>& radial, const Doubles<1>& species, const Doubles<1>& moments) {
            new (self) PotentialHandle{make_potential(basis.basis, min_distance, cutoff, scaling, radial, species, moments)};
        }, "basis"_a, "min_distance"_a, "cutoff"_a, "scaling"_a, "radial_coeffs"_a, "species_coeffs"_a, "moment_coeffs"_a);

    nb::class_<Evaluator>(module, "Evaluator")
        .def("__init__", [](Evaluator* self, const PotentialHandle& potential, double skin, int threads) {
            if (threads < 1) throw std::invalid_argument("there must be at least one thread");
            new (self) Evaluator(potential.potential, skin, threads);
        }, "potential"_a, "skin"_a, "threads"_a = 1)
        .def("update", [](Evaluator& self, const Doubles<2>& positions, const Integers<1>& species, const Doubles<2>& cell, const Flags& periodic) {
            const std::size_t n = checked_atoms(positions, species);
            return self.update(positions.data(), species.data(), n, to_cell(cell), {periodic(0), periodic(1), periodic(2)});
        }, "positions"_a, "species"_a, "cell"_a, "periodic"_a)
        .def("run", [](Evaluator& self, bool want_virials) {
            const std::size_t n = self.list().n_atoms();
            double *energies, *forces, *virial, *virials = nullptr, nearest;
            Result energies_array = new_array({n}, energies), forces_array = new_array({n, 3}, forces), virial_array = new_array({3, 3}, virial);
            nb::object virials_array = nb::none();
            if (want_virials) virials_array = nb::cast(new_array({n, 3, 3}, virials));
            {
                nb::gil_scoped_release release;
                nearest = self.run(energies, forces, virials, virial);
            }
            return nb::make_tuple(energies_array, forces_array, virial_array, virials_array, nearest);
        }, "virials"_a = false)
        .def("atom_gradients", [](Evaluator& self) {
            const Potential& p = self.potential();
            const std::size_t n = self.list().n_atoms(), z = p.n_species(), m = p.n_functions(), size = p.radial_size();
            double *moments, *radial;
            Result moments_array = new_array({n, p.n_scalars()}, moments), radial_array = new_array({n, z, m, size}, radial);
            {
                nb::gil_scoped_release release;
                self.atom_gradients(moments, radial);
            }
            return nb::make_tuple(moments_array, radial_array);
        })
        .def("reset", [](Evaluator& self) { self.list().reset(); })
        .def_prop_ro("n_candidates", [](Evaluator& self) { return self.list().n_candidates(); });

    nb::class_<TrainingSet>(module, "TrainingSet")
        .def("__init__", [](TrainingSet* self, const PotentialHandle& potential, int threads) {
            if (threads < 1) throw std::invalid_argument("there must be at least one thread");
            new (self) TrainingSet(*potential.potential, threads);
        }, "potential"_a, "threads"_a = 1)
        .def("add", [](TrainingSet& self, const Doubles<2>& positions, const Integers<1>& species, const Doubles<2>& cell, const Flags& periodic) {
            const std::size_t n = checked_atoms(positions, species);
            self.add(positions.data(), species.data(), n, to_cell(cell), {periodic(0), periodic(1), periodic(2)});
        }, "positions"_a, "species"_a, "cell"_a, "periodic"_a)
        .def("predict", [](TrainingSet& self, const PotentialHandle& potential, int species) {
            double *energies, *forces, *virials;
            Result energies_array = new_array({self.size()}, energies), forces_array = new_array({self.offsets().back(), 3}, forces);
            Result virials_array = new_array({self.size(), 3, 3}, virials);
            {
                nb::gil_scoped_release release;
                self.predict(*potential.potential, energies, forces, virials, species);
            }
            return nb::make_tuple(energies_array, forces_array, virials_array);
        }, "potential"_a, "species"_a = -1)
        .def("gradient", [](TrainingSet& self, const PotentialHandle& potential, const Doubles<1>& energy_weights,
                            const Doubles<2>& force_weights, const Doubles<3>& virial_weights) {
            const Potential& p = *potential.potential;
            if (energy_weights.shape(0) != self.size() || force_weights.size() != 3 * self.offsets().back() || virial_weights.size() != 9 * self.size())
                throw std::invalid_argument("there must be one weight for each energy, force and virial component");
            double *moments, *radial;
            const std::size_t z = p.n_species(), m = p.n_functions(), size = p.radial_size();
            Result moments_array = new_array({p.n_scalars()}, moments), radial_array = new_array({z, z, m, size}, radial);
            {
                nb::gil_scoped_release release;
                self.gradient(p, energy_weights.data(), force_weights.data(), virial_weights.data(), moments, radial);
            }
            return nb::make_tuple(moments_array, radial_array);
        }, "potential"_a, "energy_weights"_a, "force_weights"_a, "virial_weights"_a)
        .def("design", [](TrainingSet& self, const PotentialHandle& potential, std::size_t first, std::size_t last) {
            if (first > last || last > self.size()) throw std::invalid_argument("there are no such configurations");
            std::size_t rows = 0;
            for (std::size_t k = first; k < last; ++k) rows += self.rows(k);
            double* out;
            Result array = new_array({rows, potential.potential->n_species() + potential.potential->n_scalars()}, out);
            {
                nb::gil_scoped_release release;
                self.design(*potential.potential, first, last, out);
            }
            return array;
        }, "potential"_a, "first"_a, "last"_a);

    module.def("dynamical_matrices", [](const Doubles<3>& constants, const Doubles<2>& vectors, const Doubles<2>& positions,
                                        const Doubles<2>& vector_angles, const Doubles<2>& atom_angles, const std::string& instructions) {
        const std::size_t n = constants.shape(1), n_vectors = constants.shape(0), n_q = vector_angles.shape(0), n_atoms = n / 3;
        if (constants.shape(2) != n || 3 * n_atoms != n || vectors.shape(0) != n_vectors || vectors.shape(1) != 3 || positions.shape(0) != n_atoms ||
            positions.shape(1) != 3 || vector_angles.shape(1) != n_vectors || atom_angles.shape(0) != n_q || atom_angles.shape(1) != n_atoms)
            throw std::invalid_argument("need constants [R, 3n, 3n], vectors [R, 3], positions [n, 3], angles [q, R] and [q, n]");
        const iontherm::Sweeps& sweeps = iontherm::choose_sweeps(instructions);
        std::complex<double>*matrices, *derivatives;
        auto matrices_array = new_complex({n_q, n, n}, matrices), derivatives_array = new_complex({n_q, 3, n, n}, derivatives);
        {
            nb::gil_scoped_release release;
            std::vector<double> cosines(n_vectors), sines(n_vectors), phases(2 * n_atoms), scratch(8 * (n + sweeps.lanes));
            for (std::size_t q = 0; q < n_q; ++q) {
                for (std::size_t r = 0; r < n_vectors; ++r) {
                    cosines[r] = std::cos(vector_angles(q, r));
                    sines[r] = std::sin(vector_angles(q, r));
                }
                for (std::size_t i = 0; i < n_atoms; ++i) {
                    phases[2 * i] = std::cos(atom_angles(q, i));
                    phases[2 * i + 1] = std::sin(atom_angles(q, i));
                }
                iontherm::FourierTask task{};
                task.n = static_cast<int>(n);
                task.n_vectors = static_cast<int>(n_vectors);
                task.constants = constants.data();
                task.vectors = vectors.data();
                task.cosines = cosines.data();
                task.sines = sines.data();
                task.positions = positions.data();
                task.atom_phases = phases.data();
                task.scratch = scratch.data();
                task.matrix = reinterpret_cast<double*>(matrices + q * n * n);
                task.derivatives = reinterpret_cast<double*>(derivatives + q * 3 * n * n);
                sweeps.fourier(task);
            }
        }
        return nb::make_tuple(matrices_array, derivatives_array);
    }, "constants"_a, "vectors"_a, "positions"_a, "vector_angles"_a, "atom_angles"_a, "instructions"_a = "",
       "Hermitian matrices and their derivatives at many wave vectors; angles, vectors and positions have the factor 2 pi.");

    module.def("squared_displacements", [](const Doubles<2>& rows, const Integers<1>& ends, int lags, int origin, int first, const std::string& instructions) {
        const int n_rows = static_cast<int>(rows.shape(0)), n_segments = static_cast<int>(ends.size());
        if (lags < 1 || origin < 0 || origin > first || first > n_rows) throw std::invalid_argument("need lags >= 1 and 0 <= origin <= first <= number of rows");
        std::int32_t before = 0;
        for (int s = 0; s < n_segments; before = ends.data()[s++])
            if (ends.data()[s] < before || ends.data()[s] > static_cast<std::int64_t>(rows.shape(1))) throw std::invalid_argument("ends of segments must ascend up to the number of columns");
        const iontherm::Sweeps& sweeps = iontherm::choose_sweeps(instructions);
        double* sums;
        Result array = new_array({static_cast<std::size_t>(lags), ends.size()}, sums);
        {
            nb::gil_scoped_release release;
            std::vector<double> scratch(static_cast<std::size_t>(lags) * sweeps.lanes);
            sweeps.displacements({n_rows, origin, first, static_cast<std::ptrdiff_t>(rows.shape(1)), rows.data(), lags, n_segments, ends.data(), scratch.data(), sums});
        }
        return array;
    }, "rows"_a, "ends"_a, "lags"_a, "origin"_a, "first"_a, "instructions"_a = "",
       "Sums [lag, segment] of squared differences between the rows from `first` on and the 1 ... `lags` before, not before `origin`.");

    module.def("add_dipoles", [](const Doubles<4>& sums, const Doubles<3>& charges, const Complexes<3>& matrices, const Complexes<4>& derivatives) {
        const std::size_t n_q = matrices.shape(0), n = matrices.shape(1), n_atoms = n / 3, pairs = n_atoms * (n_atoms + 1) / 2;
        if (n != 3 * n_atoms || matrices.shape(2) != n || derivatives.shape(0) != n_q || derivatives.shape(1) != 3 || derivatives.shape(2) != n ||
            derivatives.shape(3) != n || sums.shape(0) != 2 * pairs || sums.shape(1) != n_q || sums.shape(2) != 4 || sums.shape(3) != 6 ||
            charges.shape(0) != pairs || charges.shape(1) != 6 || charges.shape(2) != 9)
            throw std::invalid_argument("need sums [2 P, q, 4, 6], charges [P, 6, 9], matrices [q, 3n, 3n] and derivatives [q, 3, 3n, 3n]");
        nb::gil_scoped_release release;
        iontherm::DipoleBlocks{n_q, n_atoms, sums.data(), charges.data()}.add_to(matrices.data(), derivatives.data());
    }, "sums"_a, "charges"_a, "matrices"_a, "derivatives"_a,
       "Add dipole-dipole blocks to Hermitian matrices and their derivatives; cosine and sine sums of pairs i <= j in Voigt order.");

    nb::class_<PairSum>(module, "PairSum")
        .def("__init__", [](PairSum* self, std::size_t n_q, std::size_t n_modes, const Doubles<2>& combinations, bool single, int threads,
                            const std::string& instructions) {
            if (threads < 1) throw std::invalid_argument("there must be at least one thread");
            if (combinations.shape(1) != 6) throw std::invalid_argument("combinations are [components, 6]");
            new (self) PairSum(n_q, n_modes, combinations.shape(0), combinations.data(), single, threads, instructions);
        }, "n_q"_a, "n_modes"_a, "combinations"_a, "single"_a = false, "threads"_a = 1, "instructions"_a = "")
        .def_prop_ro("instructions", &PairSum::instructions)
        .def("set_velocities", [](PairSum& self, std::size_t first, const nb::ndarray<const std::complex<double>, nb::ndim<4>, nb::c_contig, nb::device::cpu>& v) {
            if (v.shape(1) != 3 || v.shape(2) != self.n_modes() || v.shape(3) != self.n_modes()) throw std::invalid_argument("velocities are [q, 3, s, s]");
            nb::gil_scoped_release release;
            self.set_velocities(first, v.shape(0), v.data());
        }, "first"_a, "velocities"_a)
        .def("set_products", [](PairSum& self, std::size_t first, const Doubles<4>& p) {
            if (p.shape(1) != 6 || p.shape(2) != self.n_modes() || p.shape(3) != self.n_modes()) throw std::invalid_argument("products are [q, 6, s, s]");
            nb::gil_scoped_release release;
            self.set_products(first, p.shape(0), p.data());
        }, "first"_a, "products"_a)
        .def("totals", [](PairSum& self, const Doubles<2>& frequency, const Doubles<2>& width, const Doubles<2>& capacity, const Doubles<2>& kept,
                          const Integers<2>& set_end, const Doubles<1>& scale) {
            check_modes(self, {&frequency, &width, &capacity, &kept}, set_end, scale);
            double* out;
            Result array = new_array({2, self.components()}, out);
            {
                nb::gil_scoped_release release;
                self.totals({frequency.data(), width.data(), capacity.data(), kept.data(), scale.data(), set_end.data()}, out);
            }
            return array;
        }, "frequency"_a, "width"_a, "capacity"_a, "kept"_a, "set_end"_a, "scale"_a)
        .def("by_mode", [](PairSum& self, const Doubles<2>& frequency, const Doubles<2>& width, const Doubles<2>& capacity, const Doubles<2>& kept,
                           const Integers<2>& set_end, const Doubles<1>& scale) {
            check_modes(self, {&frequency, &width, &capacity, &kept}, set_end, scale);
            double* out;
            Result array = new_array({2, self.n_q(), self.components(), self.n_modes()}, out);
            {
                nb::gil_scoped_release release;
                self.by_mode({frequency.data(), width.data(), capacity.data(), kept.data(), scale.data(), set_end.data()}, out);
            }
            return array;
        }, "frequency"_a, "width"_a, "capacity"_a, "kept"_a, "set_end"_a, "scale"_a)
        .def("density", [](PairSum& self, const Doubles<2>& frequency, const Doubles<2>& width, const Doubles<2>& capacity, const Doubles<2>& kept,
                           const Integers<2>& set_end, const Doubles<1>& scale, const Integers<2>& bin, std::size_t n_bins) {
            check_modes(self, {&frequency, &width, &capacity, &kept}, set_end, scale);
            check_modes(self, {}, bin, scale);
            for (std::size_t k = 0; k < bin.size(); ++k)
                if (bin.data()[k] >= static_cast<std::int64_t>(n_bins)) throw std::invalid_argument("there are not so many bins");
            double* out;
            Result array = new_array({n_bins, n_bins, self.components()}, out);
            {
                nb::gil_scoped_release release;
                self.density({frequency.data(), width.data(), capacity.data(), kept.data(), scale.data(), set_end.data()}, bin.data(), n_bins, out);
            }
            return array;
        }, "frequency"_a, "width"_a, "capacity"_a, "kept"_a, "set_end"_a, "scale"_a, "bin"_a, "n_bins"_a);

    module.def("philox", [](std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) { return iontherm::philox(counter, key); },
               "counter"_a, "key"_a, "One block of the random number generator Philox 4x32-10.");

    module.def("normal_numbers", [](std::uint64_t seed, std::uint64_t step, std::uint32_t atom) {
        return iontherm::RandomNumbers(seed, iontherm::Purpose::langevin).normal(step, atom);
    }, "seed"_a, "step"_a, "atom"_a, "The four normal numbers of an atom in a step; the first three are the noise of the Langevin thermostat.");

    nb::class_<Sampling>(module, "Sampling")
        .def("__init__", [](Sampling* self, const Integers<1>& position_atoms, const Integers<1>& velocity_atoms, std::int64_t origin, int positions,
                            int snapshots, int velocities, int thermo, int currents, int profile, int axis, int slabs) {
            for (int stride : {positions, snapshots, velocities, thermo, currents, profile})
                if (stride < 0) throw std::invalid_argument("strides must not be negative");
            Sampling sampling{origin, positions, snapshots, velocities, thermo, currents, profile, checked_indices(position_atoms),
                              checked_indices(velocity_atoms), {axis, slabs}};
            new (self) Sampling(std::move(sampling));
        }, "position_atoms"_a, "velocity_atoms"_a, nb::kw_only(), "origin"_a = 0, "positions"_a = 0, "snapshots"_a = 0, "velocities"_a = 0, "thermo"_a = 0,
           "currents"_a = 0, "profile"_a = 0, "axis"_a = 0, "slabs"_a = 1);

    nb::class_<MolecularDynamics>(module, "MolecularDynamics")
        .def("__init__", [](MolecularDynamics* self, const PotentialHandle& potential, const Integers<1>& species, const Doubles<1>& masses,
                            const nb::ndarray<const bool, nb::ndim<1>, nb::c_contig, nb::device::cpu>& frozen, const Doubles<2>& cell, const Flags& periodic,
                            double timestep, double skin, int threads) {
            if (threads < 1) throw std::invalid_argument("there must be at least one thread");
            const std::size_t n = species.shape(0);
            if (masses.shape(0) != n || frozen.shape(0) != n) throw std::invalid_argument("there must be one species, mass and flag for each atom");
            for (std::size_t i = 0; i < n; ++i)
                if (species(i) < 0 || species(i) >= potential.potential->n_species())
                    throw std::invalid_argument("an atom has a species that the potential does not know");
            iontherm::Particles particles(species.data(), masses.data(), frozen.data(), n, to_cell(cell), {periodic(0), periodic(1), periodic(2)});
            new (self) MolecularDynamics(potential.potential, skin, threads, std::move(particles), timestep);
        }, "potential"_a, "species"_a, "masses"_a, "frozen"_a, "cell"_a, "periodic"_a, "timestep"_a, "skin"_a, "threads"_a = 1)
        .def("set_state", [](MolecularDynamics& self, const Doubles<2>& positions, const Doubles<2>& velocities, std::uint64_t step) {
            const std::size_t n = self.particles().size();
            if (positions.shape(0) != n || positions.shape(1) != 3 || velocities.shape(0) != n || velocities.shape(1) != 3)
                throw std::invalid_argument("positions and velocities are [n, 3]");
            self.set_state(positions.data(), velocities.data(), step);
        }, "positions"_a, "velocities"_a, "step"_a)
        .def("set_thermostat", [](MolecularDynamics& self, const std::string& name, double kt, double time, std::uint64_t seed) {
            self.set_thermostat(iontherm::make_thermostat(name, kt, time, seed, self.particles().degrees()));
        }, "name"_a, "kt"_a = 0.0, "time"_a = 0.0, "seed"_a = 0)
        .def("set_heat_exchange", [](MolecularDynamics& self, int axis, int slabs, int hot, int cold, double power) {
            self.set_thermostat(std::make_unique<iontherm::HeatExchange>(iontherm::Slabs(axis, slabs), hot, cold, power));
        }, "axis"_a, "slabs"_a, "hot"_a, "cold"_a, "power"_a)
        .def("set_barostat", [](MolecularDynamics& self, const std::string& freedom, double pressure, double kt, double time, double bulk_modulus,
                                int stride, std::uint64_t seed) {
            self.set_barostat(std::make_unique<iontherm::Barostat>(iontherm::to_cell_freedom(freedom), pressure, kt, time, bulk_modulus, stride, seed));
        }, "freedom"_a, "pressure"_a, "kt"_a, "time"_a, "bulk_modulus"_a, "stride"_a, "seed"_a)
        .def("hold_cell", [](MolecularDynamics& self) { self.set_barostat(nullptr); })
        .def_prop_rw("barostat_energy", [](MolecularDynamics& self) { return self.barostat() ? self.barostat()->energy : 0.0; },
                     [](MolecularDynamics& self, double energy) { if (self.barostat()) self.barostat()->energy = energy; })
        .def_prop_rw("thermostat_memory", [](MolecularDynamics& self) { return copied(self.thermostat().memory(), {self.thermostat().memory().size()}); },
                     [](MolecularDynamics& self, const Doubles<1>& memory) { self.thermostat().restore(memory.data(), memory.shape(0)); },
                     nb::rv_policy::automatic)
        .def("run", [](MolecularDynamics& self, std::int64_t steps, const Sampling& sampling, double largest_kinetic) {
            const std::size_t n = self.particles().size();
            check_sampling(sampling, n);
            Samples samples;
            std::int64_t made;
            {
                nb::gil_scoped_release release;
                made = self.run(steps, sampling, largest_kinetic, samples);
            }
            return nb::make_tuple(made, to_arrays(samples, sampling, n, self.potential().n_species()));
        }, "steps"_a, "sampling"_a, "largest_kinetic"_a)
        .def("thermo", [](MolecularDynamics& self) { return copied(self.thermo(), {iontherm::thermo_width}); })
        .def("forget", &MolecularDynamics::forget)
        .def("take_shortest", &MolecularDynamics::take_shortest)
        .def_prop_ro("positions", [](MolecularDynamics& self) { return copied(self.particles().positions, {self.particles().size(), 3}); },
                     nb::rv_policy::automatic)
        .def_prop_ro("velocities", [](MolecularDynamics& self) { return copied(self.particles().velocities, {self.particles().size(), 3}); },
                     nb::rv_policy::automatic)
        .def_prop_rw("cell", [](MolecularDynamics& self) {
            const iontherm::Cell& c = self.particles().cell;
            return copied(std::vector<double>{c[0][0], c[0][1], c[0][2], c[1][0], c[1][1], c[1][2], c[2][0], c[2][1], c[2][2]}, {3, 3});
        }, [](MolecularDynamics& self, const Doubles<2>& cell) { self.set_cell(to_cell(cell)); }, nb::rv_policy::automatic)
        .def_prop_ro("step", &MolecularDynamics::step)
        .def_prop_ro("degrees", [](MolecularDynamics& self) { return self.particles().degrees(); })
        .def_prop_ro("time_spent", [](const MolecularDynamics& self) {
            const iontherm::TimeSpent& spent = self.spent();
            nb::dict seconds;
            seconds["forces"] = spent.forces;
            seconds["neighbours"] = spent.neighbours;
            seconds["all"] = spent.all;
            seconds["evaluations"] = spent.evaluations;
            seconds["lists"] = spent.lists;
            return seconds;
        });
}
