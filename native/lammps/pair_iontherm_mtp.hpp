// MIT licence. Compiled, this file is a combined work with LAMMPS, which is under the GNU GPL version 2: see README.md.
//
// Pair style iontherm/mtp: the moment tensor potentials of ../include/iontherm on the atoms, ghosts and neighbours of LAMMPS.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pair.h"

#include "iontherm/scratch.hpp"

#include "grades.hpp"
#include "mtp_file.hpp"
#include "neighbour_groups.hpp"

namespace LAMMPS_NS {

class PairIonthermMtp : public Pair {
  public:
    explicit PairIonthermMtp(LAMMPS* lmp);
    ~PairIonthermMtp() override;

    void settings(int narg, char** arg) override;
    void coeff(int narg, char** arg) override;
    void init_style() override;
    double init_one(int i, int j) override;
    void compute(int eflag, int vflag) override;

    // "grade_flag" is what `fix pair` sets on steps when it wants grades, "max_grade" the largest of the last ones.
    void* extract(const char* name, int& dim) override;
    void* extract_peratom(const char* name, int& columns) override;
    double memory_usage() override;

  private:
    std::string read_everywhere(const std::string& path);
    void allocate();
    void take_neighbours();
    void run_sweeps();
    void hand_over(int stride);
    void check_distances(double shortest);
    bool grades_are_wanted();
    void compute_grades();

    iontherm::MtpFile file_;
    std::vector<std::string> species_;  // names in the order of the potential
    std::vector<int> species_of_;       // [type], -1 for types of other pair styles
    std::shared_ptr<const iontherm::Potential> potential_;
    std::unique_ptr<iontherm::Grader> grader_;
    std::unique_ptr<iontherm::NeighbourGroups> groups_;
    bigint listed_ = -1;  // step of the neighbour list in groups_

    iontherm::ScratchMemory memory_;
    iontherm::AlignedArray energies_, per_atom_;
    double total_virial_[9];
    double warned_below_ = 0.0;

    int grade_flag_ = 0;
    std::vector<double> grades_;  // [atom]
    double max_grade_ = 0.0;
};

}  // namespace LAMMPS_NS
