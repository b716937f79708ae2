#include "mtp_file.hpp"

#include <cmath>
#include <cstdlib>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>

namespace iontherm {
namespace {

// A thousand times what the largest potentials have: beyond, a count is wrong.
constexpr double most_coefficients = 1e7;

[[noreturn]] void fail(const std::string& message) { throw std::invalid_argument(message); }

std::string stripped(const std::string& text) {
    const char* blank = " \t\r\f\v";
    const std::size_t first = text.find_first_not_of(blank);
    return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blank) - first + 1);
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find(separator, begin)) != std::string::npos; begin = end + 1)
        parts.push_back(text.substr(begin, end - begin));
    parts.push_back(text.substr(begin));
    return parts;
}

std::vector<std::string> words(const std::string& text) {
    std::istringstream stream(text);
    return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

double to_number(const std::string& text, const std::string& where) {
    const std::string number = stripped(text);
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    // strtod takes 0x10 and words too.
    if (number.empty() || *end != '\0' || number.find_first_not_of("0123456789+-.eE") != std::string::npos || !std::isfinite(value))
        fail(where + ": '" + number.substr(0, 40) + "' is no finite number: the potential is damaged");
    return value;
}

int to_integer(const std::string& text, const std::string& where) {
    const std::string number = stripped(text);
    const std::string digits = number.substr(!number.empty() && number[0] == '-' ? 1 : 0);
    if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos)
        fail(where + ": '" + number.substr(0, 40) + "' is no whole number below 10^9: the file is damaged");
    return std::stoi(number);
}

// Items of a list in braces.
std::vector<std::string> to_items(const std::string& text, const std::string& where) {
    if (text.size() < 2 || text.front() != '{' || text.back() != '}') fail(where + " is not a list closed by }: the file is damaged or cut short");
    const std::string inner = stripped(text.substr(1, text.size() - 2));
    return inner.empty() ? std::vector<std::string>{} : split(inner, ',');
}

// The lines of a file, by key, in any order: the flat layout of MLIP and both layouts of motep are then one.
class MtpText {
  public:
    explicit MtpText(const std::string& text) : lines_(split(text, '\n')) {
        for (std::string& line : lines_) line = stripped(line);
        if (lines_[0] != "MTP") fail("the first line is not MTP: this is no .mtp potential, or it is cut short");
        std::vector<std::size_t>* rows = nullptr;
        for (std::size_t k = 1; k < lines_.size(); ++k) {
            const std::string& line = lines_[k];
            const std::size_t dash = line.find('-');
            if (has("radial_coeffs") && dash != std::string::npos && line.find_first_not_of("0123456789-") == std::string::npos) {
                const std::string where = place(k) + "radial_coeffs";
                const auto pair = std::make_pair(to_integer(line.substr(0, dash), where), to_integer(line.substr(dash + 1), where));
                if (!radial_.emplace(pair, std::vector<std::size_t>{}).second) fail(where + " of the pair " + line + " are given twice, keep one");
                rows = &radial_[pair];
            } else if (!line.empty() && line[0] == '{' && rows) {
                rows->push_back(k);
            } else if (!line.empty()) {
                add(k, line);
                rows = nullptr;
            }
        }
    }

    bool has(const std::string& key) const { return values_.count(key) > 0; }
    const std::string& text(const std::string& key) const { return value(key).second; }
    std::string where(const std::string& key) const { return place(value(key).first) + key; }

    int count(const std::string& key) const {
        const int number = to_integer(text(key), where(key));
        if (number < 0) fail(where(key) + " is " + std::to_string(number) + ", which is no count: the file is damaged");
        return number;
    }
    double number(const std::string& key) const { return to_number(text(key), where(key)); }

    std::vector<int> integers(const std::string& key, const std::string& count_key) const {
        std::vector<int> found;
        for (const std::string& item : to_items(text(key), where(key))) found.push_back(to_integer(item, where(key)));
        check_count(key, found.size(), count_key);
        return found;
    }

    std::vector<double> numbers(const std::string& key, const std::string& count_key) const {
        std::vector<double> found;
        for (const std::string& item : to_items(text(key), where(key))) found.push_back(to_number(item, where(key)));
        check_count(key, found.size(), count_key);
        return found;
    }

    std::vector<std::array<int, 4>> table(const std::string& key, const std::string& count_key) const {
        const std::string& list = text(key);
        to_items(list, where(key));
        std::vector<std::array<int, 4>> rows;
        for (std::size_t open = list.find('{', 1); open != std::string::npos; open = list.find('{', open + 1)) {
            const std::size_t close = list.find('}', open);
            const std::vector<std::string> row = split(list.substr(open + 1, close - open - 1), ',');
            if (row.size() != 4) fail(where(key) + " has a row without four numbers: the file is damaged");
            rows.emplace_back();
            for (int k = 0; k < 4; ++k) rows.back()[k] = to_integer(row[k], where(key));
        }
        check_count(key, rows.size(), count_key);
        return rows;
    }

    std::vector<double> radial_coeffs() const {
        const int z = count("species_count"), functions = count("radial_funcs_count"), size = count("radial_basis_size");
        const std::string here = where("radial_coeffs");
        if (1.0 * z * z * functions * size > most_coefficients)
            fail(here + " of " + std::to_string(z) + " species are too many: the file is damaged");
        std::vector<double> coeffs;
        for (int first = 0; first < z; ++first)
            for (int second = 0; second < z; ++second) {
                const std::string pair = std::to_string(first) + "-" + std::to_string(second);
                const auto rows = radial_.find({first, second});
                if (rows == radial_.end())
                    fail(here + " lack the pair " + pair + " of the " + std::to_string(z) + " species: the file is cut short");
                if (static_cast<int>(rows->second.size()) != functions)
                    fail(here + " of the pair " + pair + " have " + std::to_string(rows->second.size()) + " rows but radial_funcs_count is " +
                         std::to_string(functions));
                for (std::size_t row : rows->second) {
                    const std::string line = place(row) + "radial_coeffs";
                    const std::vector<std::string> items = to_items(lines_[row], line);
                    if (static_cast<int>(items.size()) != size)
                        fail(line + " hold " + std::to_string(items.size()) + " numbers but radial_basis_size is " + std::to_string(size));
                    for (const std::string& item : items) coeffs.push_back(to_number(item, line));
                }
            }
        if (radial_.size() != static_cast<std::size_t>(z) * z) fail(here + " have pairs beyond the " + std::to_string(z) + " species");
        return coeffs;
    }

  private:
    static std::string place(std::size_t k) { return "line " + std::to_string(k + 1) + ": "; }

    void add(std::size_t k, const std::string& line) {
        static const std::map<std::string, std::string> other_names = {  // of motep
            {"min", "min_dist"},     {"max", "max_dist"},     {"size", "radial_basis_size"},
            {"min_val", "min_dist"}, {"max_val", "max_dist"}, {"basis_size", "radial_basis_size"}};
        const std::size_t equals = line.find('=');
        std::string key = stripped(line.substr(0, equals));
        if ((equals != std::string::npos) == (key == "radial_coeffs"))
            fail(place(k) + "'" + line.substr(0, 40) + "' is neither key = value nor a row of radial_coeffs: the file is damaged or cut short");
        const auto other = other_names.find(key);
        if (other != other_names.end()) key = other->second;
        const std::string value = equals == std::string::npos ? "" : stripped(line.substr(equals + 1));
        if (!values_.emplace(key, std::make_pair(k, value)).second) fail(place(k) + key + " is given twice, keep one");
    }

    const std::pair<std::size_t, std::string>& value(const std::string& key) const {
        const auto found = values_.find(key);
        if (found == values_.end()) fail(key + " is missing: the file is cut short, or the potential was never trained");
        return found->second;
    }

    void check_count(const std::string& key, std::size_t found, const std::string& count_key) const {
        const int expected = count(count_key);
        if (static_cast<int>(found) != expected)
            fail(where(key) + " has " + std::to_string(found) + " entries but " + count_key + " is " + std::to_string(expected) + ": the file is damaged");
    }

    std::vector<std::string> lines_;
    std::map<std::string, std::pair<std::size_t, std::string>> values_;
    std::map<std::pair<int, int>, std::vector<std::size_t>> radial_;  // line numbers of the rows
};

void check_kind(const MtpText& text) {
    for (const char* key : {"magnetic_basis_type", "mag_basis_size", "min_mag", "max_mag"})
        if (text.has(key)) fail(text.where(key) + ": magnetic potentials are not supported");
    if (text.text("radial_basis_type") != "RBChebyshev")
        fail(text.where("radial_basis_type") + " '" + text.text("radial_basis_type") + "' is not supported: train the potential with RBChebyshev");
    if (text.has("version") && !text.text("version").empty() && text.text("version") != "1.1.0")
        fail(text.where("version") + " " + text.text("version") + " is not known, only 1.1.0: convert the file with MLIP or motep");
}

// What MomentGraph does not check when it takes the tables.
void check_tables(const Tables& tables) {
    if (tables.n_functions < 1) fail("radial_funcs_count is 0: a basis has at least one radial function");
    if (tables.basic.empty() || tables.scalars.empty()) fail("alpha_index_basic or alpha_moment_mapping is empty: there is no basis");
    const std::size_t n = tables.n_moments;
    if (n < tables.basic.size() || n > tables.basic.size() + tables.times.size())
        fail("alpha_moments_count is " + std::to_string(n) +
             ", which the elementary moments and the rows of alpha_index_times cannot make: the file is damaged");
}

}  // namespace

MtpFile parse_mtp(const std::string& content) {
    // From the first line that begins with # on the file is MLIP's selection state, partly binary.
    const std::size_t end = content.find("\n#");
    const std::string plain = content.substr(0, end == std::string::npos ? end : end + 1);
    if (plain.find('\0') != std::string::npos) fail("this is no text file, so no .mtp potential");
    const MtpText text(plain);
    check_kind(text);
    MtpFile file;
    file.species_count = text.count("species_count");
    if (file.species_count < 1) fail(text.where("species_count") + " is 0: a potential has at least one species");
    file.min_distance = text.number("min_dist");
    file.cutoff = text.number("max_dist");
    if (!(file.min_distance >= 0.0 && file.min_distance < file.cutoff))
        fail(text.where("min_dist") + " must lie between 0 and max_dist: correct the range");
    if (text.has("scaling")) file.scaling = text.number("scaling");
    if (file.scaling == 0.0) fail(text.where("scaling") + " must not be 0");
    file.radial_size = text.count("radial_basis_size");
    file.tables.n_functions = text.count("radial_funcs_count");
    file.tables.n_moments = text.count("alpha_moments_count");
    file.tables.basic = text.table("alpha_index_basic", "alpha_index_basic_count");
    file.tables.times = text.table("alpha_index_times", "alpha_index_times_count");
    file.tables.scalars = text.integers("alpha_moment_mapping", "alpha_scalar_moments");
    check_tables(file.tables);
    file.radial_coeffs = text.radial_coeffs();
    file.species_coeffs = text.numbers("species_coeffs", "species_count");
    file.moment_coeffs = text.numbers("moment_coeffs", "alpha_scalar_moments");
    if (text.has("potential_tag")) {
        std::vector<std::string> tag = words(text.text("potential_tag"));
        if (tag.size() == static_cast<std::size_t>(file.species_count) + 1 && tag[0] == "species") file.species.assign(tag.begin() + 1, tag.end());
    }
    return file;
}

std::shared_ptr<const Potential> make_potential(const MtpFile& file) {
    return std::make_shared<const Potential>(std::make_shared<const Basis>(file.tables, ""), file.species_count, file.radial_size, file.min_distance,
                                             file.cutoff, file.scaling, file.radial_coeffs.data(), file.species_coeffs.data(), file.moment_coeffs.data());
}

}  // namespace iontherm
