// Plain structures that carry a potential, its graph and its neighbours into the sweeps.
//
// They own nothing: the sweeps are compiled once per instruction set and must not instantiate containers (simd.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

namespace iontherm {

// Number of monomials x^a y^b z^c with a + b + c <= degree. A degree below zero has none.
inline constexpr int monomials_up_to(int degree) {
    return degree < 0 ? 0 : (degree + 1) * (degree + 2) * (degree + 3) / 6;
}

// Radial functions f_mu(r) = scaling (cutoff - r)^2 sum_k c[zi][zj][mu][k] T_k(xi), xi = -1 at min_distance, 1 at cutoff.
struct RadialView {
    int n_species;
    int n_functions;
    int size;
    double min_distance, cutoff, scaling;
    const double* coeffs;        // [n_species, n_species, n_functions, size]
    const double* slope_coeffs;  // the same times 2 k / (cutoff - min_distance): f' in polynomials of the second kind
    const int* degree;     // [n_functions] highest rank of the moments of this function, -1 if it has none
    const int* offset;     // [n_functions] first node of its moments; they follow in the order of the monomials
    int max_degree;
};

// A product of two vectors, found at these places: a node times the number of lanes.
struct Term {
    std::int32_t first, second;
    double weight;
};

// Products of moments. Nodes below n_basic are elementary moments, the others follow in an order in which operands
// precede their products. Lists are from begin[n] to begin[n + 1].
struct GraphView {
    int n_basic;
    int n_nodes;
    const std::int32_t* begin;          // of product n_basic + n: m = sum weight m[first] m[second]
    const Term* terms;
    const std::int32_t* pair_begin;     // of node n: adjoint += sum pair_weight m[pair_other], products that nothing else uses
    const std::int32_t* pair_other;
    const double* pair_weight;
    const double* seed;                 // [n_nodes] dU/dm through the linear coefficients alone
    int n_scalars;
    const std::int32_t* scalars;        // [n_scalars] places of the basis scalars, -1 where eliminated
};

// Atoms in groups of as many as a vector has lanes, all of one species; -1 in a lane that is empty.
struct NeighboursView {
    int n_atoms;
    int n_species;
    const double* points;          // [n_points, 4] atoms, then their images
    const std::int32_t* owner;     // [n_points] atom that a point is an image of
    const std::int64_t* begin;     // [n_atoms * n_species + 1] candidates of atom i with species t: from begin[i * n_species + t]
    const std::int32_t* index;     // points
    const std::int32_t* centres;   // [n_groups, lanes]
    const std::int32_t* group_species;
    int max_slots;                 // most neighbours, padding included, of any group
};

// Scratch memory of one thread; sizes in workspace.hpp.
struct Scratch {
    std::int32_t* segments;    // [n_species + 1] first slot of the neighbours of each species
    double *x, *y, *z;         // [slot, lane] vectors to the neighbours
    std::int32_t* owner;       // [slot, lane] n_atoms in a padding slot
    double* unit;              // [slot, 3, lane]
    double* inverse_distance;  // [slot, lane]
    double* f;                 // [slot, function, lane]
    double* df;                // [slot, function, lane]
    double* monomials;         // [monomial, 4 slots, lane]
    double* moments;           // [node, lane]
    double* adjoint;           // [node, lane]
    double* adjoint_xyz;       // [3, basic, lane]
    double* tangent;           // [node, 3, lane]
    double* tangent_adjoint;   // [node, lane]
    double* tangent_monomials; // [monomial, 3, lane]
    double *dx, *dy, *dz;      // [slot, lane] displacements of the tangent
};

struct RunTask {
    RadialView radial;
    GraphView graph;
    NeighboursView neighbours;
    Scratch scratch;
    int first_group, last_group;
    const double* species_coeffs;
    int stride;            // 4: forces; 16: forces and virials
    double* energies;      // [n_atoms + 1]
    double* per_atom;      // [n_atoms + 1, stride] accumulated; the last row takes what padding produces. Force, 0, then
                           // three rows of the virial with a 0 behind each: four numbers are added at once
    double* virial;        // [9] accumulated: sum_ij (r_j - r_i)_a dU_i/dr_j,b; left alone where virials are per atom
    double* min_distance2; // smallest squared distance met
};

// Gradient with respect to the parameters of  Q = sum_i energy_weight U_i + sum_i U_i-dot,  the dot a derivative along
// given displacements of atoms and a strain.
struct GradientTask {
    RadialView radial;
    GraphView graph;
    NeighboursView neighbours;
    Scratch scratch;
    int first_group, last_group;
    double energy_weight;
    const double* displacements;  // [n_atoms + 1, 3]
    const double* strain;         // [9] r_b += sum_a strain[a, b] r_a
    double* moment_gradient;      // [n_scalars, lane] accumulated
    double* radial_gradient;      // [n_species, n_species, n_functions, size, lane] accumulated
};

struct AtomGradientTask {
    RadialView radial;
    GraphView graph;
    NeighboursView neighbours;
    Scratch scratch;
    int first_group, last_group;
    double* moment_rows;   // [n_atoms + 1, n_scalars]
    double* radial_rows;   // [n_atoms + 1, n_species, n_functions, size] of the pairs (own species, n_species)
    double* accumulators;  // [n_species, n_functions, size, lane] scratch
};

struct DesignTask {
    RadialView radial;
    GraphView graph;
    NeighboursView neighbours;
    Scratch scratch;
    int first_group, last_group;
    double* energy_row;     // [n_scalars] accumulated
    double* force_rows;     // [(n_atoms + 1) * 3, row_stride] accumulated
    double* virial_rows;    // [6, n_scalars, lane] accumulated: xx, yy, zz, yz, xz, xy
    std::ptrdiff_t row_stride;
    double* centre_rows;    // [n_scalars, 3, lane] scratch
};

// Force constants over the roots of the masses, Hermitian: those of -R are the transposed ones of R.
struct FourierTask {
    int n, n_vectors;
    const double* constants;        // [n_vectors, n, n], n = 3 atoms
    const double* vectors;          // [n_vectors, 3] lattice vectors times 2 pi
    const double *cosines, *sines;  // [n_vectors] of 2 pi q R
    const double* positions;        // [n / 3, 3] of the atoms, times 2 pi
    const double* atom_phases;      // [n / 3, 2] cosine and sine of 2 pi q r
    double* scratch;                // [8 (n + lanes)]
    double* matrix;                 // [n, n] complex
    double* derivatives;            // [3, n, n] complex
};

// Modes of one wave vector in ascending order of frequency; arrays of modes have room for a vector more, with zeros in
// `kept` there.
struct PairTask {
    int n, components;
    const double* frequency;        // [n]
    const double* width;            // [n] half width, positive
    const double* capacity;         // [n]
    const double* per_frequency;    // [n] capacity over frequency
    const double* kept;             // [n] 1, or 0 for modes that carry nothing
    const std::int32_t* set_end;    // [n] where the degenerate set of a mode ends
    const double* products;         // for each mode s: [components, n - s] of the pairs (s, t), t = s ... n - 1
    const float* single_products;   // instead of them, where not null
    double* row;                    // [2 (n + lanes)] scratch
    double *particle, *wave;        // results
    int n_bins;
    const std::int32_t* bin;        // [n] bin of the frequency, -1 for none
};

// Rows of coordinates, and the sums over some columns of squared differences to the rows 1 ... `lags` before.
struct DisplacementTask {
    int n_rows, origin, first;      // rows from `origin` on are there; those from `first` on are compared with them
    std::ptrdiff_t stride;          // between rows
    const double* rows;
    int lags, n_segments;
    const std::int32_t* ends;       // [n_segments] of the columns summed together
    double* scratch;                // [lags, lane]
    double* sums;                   // [lags, n_segments]
};

// The sweeps as compiled for one instruction set.
struct Sweeps {
    const char* name;
    int lanes;
    void (*run)(const RunTask&);
    void (*gradient)(const GradientTask&);
    void (*atom_gradients)(const AtomGradientTask&);
    void (*design)(const DesignTask&);
    void (*fourier)(const FourierTask&);
    void (*pair_totals)(const PairTask&);
    void (*pair_modes)(const PairTask&);
    void (*pair_density)(const PairTask&);
    void (*displacements)(const DisplacementTask&);
};

}  // namespace iontherm
