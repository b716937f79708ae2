// MIT licence. Compiled, this file is a combined work with LAMMPS, which is under the GNU GPL version 2: see README.md.
#include "pair_iontherm_mtp.hpp"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include "atom.h"
#include "comm.h"
#include "compute.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "modify.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

using namespace LAMMPS_NS;

namespace {

// LAMMPS's order of the components of a virial, xx yy zz xy xz yz, in nine of them then yx zx zy: first the axis of the
// distance, then that of the force. compute heat/flux contracts the second with the velocity.
constexpr int distance_axis[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2};
constexpr int force_axis[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
    return text;
}

}  // namespace

PairIonthermMtp::PairIonthermMtp(LAMMPS* lmp) : Pair(lmp) {
    single_enable = 0;
    restartinfo = 0;
    one_coeff = 1;
    manybody_flag = 1;
    respa_enable = 0;
    // The sweeps give the virial itself, and atom by atom that of the heat current.
    no_virial_fdotr_compute = 1;
    centroidstressflag = CENTROID_AVAIL;
    pvector = new double[1]();
}

PairIonthermMtp::~PairIonthermMtp() {
    if (copymode) return;
    if (allocated) {
        memory->destroy(setflag);
        memory->destroy(cutsq);
    }
    delete[] pvector;
}

// pair_style iontherm/mtp FILE [species Cs Cu I] [grades FILE]
void PairIonthermMtp::settings(int narg, char** arg) {
    const char* usage = "pair_style iontherm/mtp FILE.mtp [species ELEMENT ...] [grades FILE]";
    if (narg < 1) error->all(FLERR, "The file of the potential is missing: {}", usage);
    const std::string path = arg[0];
    try {
        file_ = iontherm::parse_mtp(read_everywhere(path));
        potential_ = iontherm::make_potential(file_);
    } catch (const std::invalid_argument& problem) {
        error->all(FLERR, "{}: {}", path, problem.what());
    }
    std::vector<std::string> given;
    std::string grades;
    for (int k = 1; k < narg;) {
        const std::string keyword = arg[k++];
        if (keyword == "species") {
            while (k < narg && std::strcmp(arg[k], "grades") != 0) given.emplace_back(arg[k++]);
        } else if (keyword == "grades" && k < narg) {
            grades = arg[k++];
        } else {
            error->all(FLERR, "'{}' is not understood here: {}", keyword, usage);
        }
    }
    if (given.empty() && file_.species.empty())
        error->all(FLERR, "{} does not name its {} species: give them in its order, pair_style iontherm/mtp FILE species ELEMENT ...", path,
                   file_.species_count);
    species_ = given.empty() ? file_.species : given;
    if (static_cast<int>(species_.size()) != file_.species_count)
        error->all(FLERR, "{} has {} species but {} are named ({})", path, file_.species_count, species_.size(), joined(species_));
    for (std::size_t k = 0; k < species_.size(); ++k)
        if (std::count(species_.begin(), species_.end(), species_[k]) > 1) error->all(FLERR, "The species {} is named twice", species_[k]);
    if (!file_.species.empty() && file_.species != species_)
        error->all(FLERR, "{} is a potential of {} in this order, not of {}", path, joined(file_.species), joined(species_));
    grader_.reset();
    if (!grades.empty()) {
        try {
            grader_ = std::make_unique<iontherm::Grader>(read_everywhere(grades), file_, species_);
        } catch (const std::invalid_argument& problem) {
            error->all(FLERR, "{}: {}", grades, problem.what());
        }
    }
    nextra = grader_ ? 1 : 0;
    pvector[0] = max_grade_ = std::numeric_limits<double>::quiet_NaN();
    groups_ = std::make_unique<iontherm::NeighbourGroups>(potential_->n_species(), potential_->basis().sweeps.lanes);
    listed_ = -1;
    warned_below_ = file_.min_distance;
    // The command may be given anew; types of the potential before are not those of this one.
    if (allocated)
        for (int i = 1; i <= atom->ntypes; ++i) std::fill(setflag[i] + 1, setflag[i] + atom->ntypes + 1, 0);
}

// The first process reads, all get the text: a thousand of them opening one file would bring a file system down.
std::string PairIonthermMtp::read_everywhere(const std::string& path) {
    std::string content;
    int size = -1;
    if (comm->me == 0) {
        std::ifstream stream(utils::get_potential_file_path(path), std::ios::binary);
        if (stream) content.assign(std::istreambuf_iterator<char>(stream), {});
        if (stream && content.size() < INT_MAX) size = static_cast<int>(content.size());
    }
    MPI_Bcast(&size, 1, MPI_INT, 0, world);
    if (size < 0) error->all(FLERR, "There is no file {} that could be read, neither here nor in the folders of LAMMPS_POTENTIALS", path);
    content.resize(size);
    MPI_Bcast(&content[0], size, MPI_CHAR, 0, world);
    return content;
}

void PairIonthermMtp::allocate() {
    allocated = 1;
    const int n = atom->ntypes + 1;
    memory->create(setflag, n, n, "pair:setflag");
    memory->create(cutsq, n, n, "pair:cutsq");
    map = new int[n];
}

// pair_coeff * * Cs Cu I: the element of each type
void PairIonthermMtp::coeff(int narg, char** arg) {
    if (!allocated) allocate();
    if (narg != 2 + atom->ntypes)
        error->all(FLERR, "pair_coeff for iontherm/mtp names one element for each of the {} atom types: pair_coeff * * {}", atom->ntypes,
                   joined(species_));
    map_element2type(narg - 2, arg + 2);
    species_of_.assign(atom->ntypes + 1, -1);
    for (int type = 1; type <= atom->ntypes; ++type) {
        if (map[type] < 0) continue;
        const auto found = std::find(species_.begin(), species_.end(), elements[map[type]]);
        if (found == species_.end())
            error->all(FLERR, "The potential knows {} but not {}: correct pair_coeff, or train a potential for this compound", joined(species_),
                       elements[map[type]]);
        species_of_[type] = static_cast<int>(found - species_.begin());
    }
}

void PairIonthermMtp::init_style() {
    if (std::strcmp(update->unit_style, "metal") != 0)
        error->all(FLERR, "Pair style iontherm/mtp is in eV and Angstrom, not in units {}: begin the input with 'units metal'", update->unit_style);
    if (!force->newton_pair) error->all(FLERR, "Pair style iontherm/mtp sends forces back from ghost atoms: it needs 'newton on'");
    if (atom->molecular != Atom::ATOMIC)
        for (int k = 1; k < 4; ++k)
            if (force->special_lj[k] != 1.0 || force->special_coul[k] != 1.0)
                error->all(FLERR, "Pair style iontherm/mtp would miss bonded neighbours: use 'atom_style atomic' or 'special_bonds lj/coul 1 1 1'");
    neighbor->add_request(this, NeighConst::REQ_FULL);
    listed_ = -1;
}

double PairIonthermMtp::init_one(int, int) { return file_.cutoff; }

void PairIonthermMtp::compute(int eflag, int vflag) {
    ev_init(eflag, vflag);
    take_neighbours();
    run_sweeps();
    hand_over(vflag_atom || cvflag_atom ? 16 : 4);
    if (!grader_) return;
    if (grades_are_wanted()) {
        compute_grades();
    } else {
        // Nothing that is read now could be the grade of this step.
        pvector[0] = max_grade_ = std::numeric_limits<double>::quiet_NaN();
    }
}

void PairIonthermMtp::take_neighbours() {
    const int n_points = atom->nlocal + atom->nghost;
    if (neighbor->ago == 0 || neighbor->lastcall != listed_ || !groups_->fits(atom->type, n_points)) {
        groups_->rebuild(atom->type, n_points, species_of_, list->ilist, list->inum, list->numneigh, list->firstneigh, NEIGHMASK);
        listed_ = neighbor->lastcall;
    }
    groups_->place(atom->x);
}

void PairIonthermMtp::run_sweeps() {
    const int stride = vflag_atom || cvflag_atom ? 16 : 4;
    const iontherm::MomentGraph& graph = potential_->basis().run;
    iontherm::RunTask task{};
    task.radial = potential_->radial();
    task.graph = potential_->run_graph();
    task.neighbours = groups_->view();
    const int lanes = potential_->basis().sweeps.lanes;
    task.scratch = memory_.prepare(task.radial, graph.n_basic_nodes, graph.n_nodes, task.neighbours.max_slots, lanes, false);
    task.first_group = 0;
    task.last_group = groups_->n_groups();
    task.species_coeffs = potential_->species_coeffs().data();
    task.stride = stride;
    const std::size_t rows = static_cast<std::size_t>(task.neighbours.n_atoms) + 1;
    energies_.resize(rows);
    per_atom_.resize(rows * stride);
    task.energies = energies_.data();
    task.per_atom = per_atom_.data();
    std::fill(task.per_atom, task.per_atom + rows * stride, 0.0);
    std::fill(total_virial_, total_virial_ + 9, 0.0);
    task.virial = total_virial_;
    double shortest2 = file_.cutoff * file_.cutoff;
    task.min_distance2 = &shortest2;
    potential_->basis().sweeps.run(task);
    check_distances(std::sqrt(shortest2));
}

// To the arrays of LAMMPS. Its virials are minus the derivative of the energy with respect to strain; those of the sweeps,
// atom by atom, sum_i (r_i - r_j)_a dU_i/dr_j,b, have this sign, the total of the sweeps has not. Where LAMMPS wants six
// components for each atom it gets the symmetric part of the nine.
void PairIonthermMtp::hand_over(int stride) {
    double** f = atom->f;
    const int n_points = atom->nlocal + atom->nghost;
    const double* row = per_atom_.data();
    double virial_sum[6] = {};
    for (int i = 0; i < n_points; ++i, row += stride) {
        for (int a = 0; a < 3; ++a) f[i][a] += row[a];
        if (stride == 4) continue;
        const auto component = [row](int c) { return row[4 * (distance_axis[c] + 1) + force_axis[c]]; };
        if (cvflag_atom)
            for (int c = 0; c < 9; ++c) cvatom[i][c] += component(c);
        for (int c = 0; c < 6; ++c) {
            const double symmetric = c < 3 ? component(c) : 0.5 * (component(c) + component(c + 3));
            virial_sum[c] += symmetric;
            if (vflag_atom) vatom[i][c] += symmetric;
        }
    }
    if (stride == 4)
        for (int c = 0; c < 6; ++c) {
            const int a = distance_axis[c], b = force_axis[c];
            virial_sum[c] = -0.5 * (total_virial_[3 * a + b] + total_virial_[3 * b + a]);
        }
    if (vflag_global)
        for (int c = 0; c < 6; ++c) virial[c] += virial_sum[c];
    for (std::int32_t i : groups_->order()) {
        if (eflag_global) eng_vdwl += energies_.data()[i];
        if (eflag_atom) eatom[i] += energies_.data()[i];
    }
}

// Each process warns of its own atoms: once, and again only when it gets much worse.
void PairIonthermMtp::check_distances(double shortest) {
    if (shortest == 0.0) error->one(FLERR, "Two atoms are at the same place: the energy of a potential has no meaning there");
    if (shortest >= warned_below_) return;
    warned_below_ = 0.9 * shortest;
    error->warning(FLERR, "Two atoms are {:.3f} Angstrom apart, closer than the {:.3f} that the potential was made for: its forces are extrapolated there",
                   shortest, file_.min_distance);
}

// The same on all processes. A compute pair is asked on the steps it was scheduled for, and maybe after the last of a run.
bool PairIonthermMtp::grades_are_wanted() {
    if (grade_flag_) return true;
    for (Compute* compute : modify->get_compute_list())
        if (std::strcmp(compute->style, "pair") == 0 &&
            (compute->matchstep(update->ntimestep) || update->ntimestep == update->laststep))
            return true;
    return false;
}

void PairIonthermMtp::compute_grades() {
    const iontherm::MomentGraph& graph = potential_->basis().full;
    const int lanes = potential_->basis().sweeps.lanes;
    const std::vector<std::int32_t>& order = groups_->order();
    const std::size_t n_scalars = potential_->n_scalars(), n_radial = potential_->n_radial() / potential_->n_species();
    const std::size_t n_rows = order.empty() ? 0 : static_cast<std::size_t>(*std::max_element(order.begin(), order.end())) + 1;
    std::vector<double> moments(n_rows * n_scalars), radial(n_rows * n_radial);
    iontherm::AlignedArray accumulators;
    accumulators.resize(n_radial * lanes);
    iontherm::AtomGradientTask task{};
    task.radial = potential_->radial();
    task.graph = potential_->full_graph();
    task.neighbours = groups_->view();
    task.scratch = memory_.prepare(task.radial, graph.n_basic_nodes, graph.n_nodes, task.neighbours.max_slots, lanes, false);
    task.first_group = 0;
    task.last_group = groups_->n_groups();
    task.moment_rows = moments.data();
    task.radial_rows = radial.data();
    task.accumulators = accumulators.data();
    potential_->basis().sweeps.atom_gradients(task);

    grades_.assign(atom->nmax, 0.0);
    double largest = 0.0;
    if (grader_->whole_configurations()) {
        std::vector<double> sum(grader_->n_parameters(), 0.0), total(sum.size());
        for (std::int32_t i : order) grader_->add_to(sum.data(), groups_->species(i), &moments[i * n_scalars], &radial[i * n_radial]);
        MPI_Allreduce(sum.data(), total.data(), static_cast<int>(sum.size()), MPI_DOUBLE, MPI_SUM, world);
        largest = grader_->grade(total.data());
        for (std::int32_t i : order) grades_[i] = largest;
    } else {
        constexpr int most = 256;  // share what is read of the inverse
        for (std::size_t k = 0; k < order.size();) {
            const int species = groups_->species(order[k]);
            const double *moment_rows[most], *radial_rows[most];
            double found[most];
            int count = 0;
            for (; count < most && k + count < order.size() && groups_->species(order[k + count]) == species; ++count) {
                moment_rows[count] = &moments[order[k + count] * n_scalars];
                radial_rows[count] = &radial[order[k + count] * n_radial];
            }
            grader_->grade_atoms(species, moment_rows, radial_rows, count, found);
            for (int i = 0; i < count; ++i) {
                grades_[order[k + i]] = found[i];
                largest = std::max(largest, found[i]);
            }
            k += count;
        }
    }
    MPI_Allreduce(&largest, &max_grade_, 1, MPI_DOUBLE, MPI_MAX, world);
    // compute pair adds up what the processes have.
    pvector[0] = comm->me == 0 ? max_grade_ : 0.0;
}

void* PairIonthermMtp::extract(const char* name, int& dim) {
    dim = 0;
    if (std::strcmp(name, "grade_flag") == 0) return &grade_flag_;
    if (std::strcmp(name, "max_grade") == 0 && grader_) return &max_grade_;
    return nullptr;
}

void* PairIonthermMtp::extract_peratom(const char* name, int& columns) {
    columns = 0;
    if (std::strcmp(name, "grade") != 0) return nullptr;
    if (!grader_)
        error->all(FLERR, "Pair style iontherm/mtp has no grades without an active set: name its file, pair_style iontherm/mtp FILE grades FILE");
    if (grades_.size() < static_cast<std::size_t>(atom->nmax)) grades_.resize(atom->nmax, 0.0);
    return grades_.data();
}

double PairIonthermMtp::memory_usage() {
    double bytes = Pair::memory_usage() + 8.0 * 17 * (atom->nlocal + atom->nghost);
    if (groups_) bytes += groups_->memory_bytes();
    if (grader_) bytes += grader_->memory_bytes();
    return bytes;
}
