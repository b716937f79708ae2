// Numbers that are read from end to end again and again, on large pages where the system has them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace iontherm {

template <class Real>
class LargeArray {
  public:
    explicit LargeArray(std::size_t size) : values_(allocate(size)) { std::fill_n(values_.get(), size, Real{}); }

    Real* data() { return values_.get(); }
    const Real* data() const { return values_.get(); }

  private:
    static constexpr std::size_t page = std::size_t{1} << 21;

    struct Free {
        void operator()(Real* values) const { std::free(values); }
    };

    static Real* allocate(std::size_t size) {
        if (size == 0) return nullptr;
        const std::size_t bytes = (size * sizeof(Real) + page - 1) / page * page;
        void* values = std::aligned_alloc(page, bytes);
        if (values == nullptr) throw std::bad_alloc();
#if defined(__linux__)
        // Prefetching stops at the end of a page, small ones every 4 kB. Nothing is lost where the system declines.
        madvise(values, bytes, MADV_HUGEPAGE);
#endif
        return static_cast<Real*>(values);
    }

    std::unique_ptr<Real, Free> values_;
};

}  // namespace iontherm
