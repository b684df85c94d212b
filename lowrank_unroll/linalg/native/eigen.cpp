#include "eigen.hpp"

#include <algorithm>
#include <cmath>

#define LANES 8  // more than a register has, which keeps its pipelines busy
#define SEVERAL many
#include "eigen_lanes.hpp"
#undef LANES
#undef SEVERAL
#define LANES 2  // for single matrices, which would leave most of the others idle
#define SEVERAL few
#include "eigen_lanes.hpp"

#include "eigen_rows.hpp"
#include "guarded.hpp"

namespace {

// From so many rows on one after the other takes less time than several at once. How many there are decides nothing, or
// what becomes of a matrix would depend on the batch that it is in.
constexpr int LARGE = 33;

// A matrix of one row is its eigenvalue, whatever that is.
bool finite(const double* values, int64_t count) {
    return std::all_of(values, values + count, [](double value) { return std::isfinite(value); });
}

}  // namespace

template <bool complex> bool eigen(const double* A, double* values, double* vectors, int64_t batch, int n) {
    if (n >= LARGE) return rows::solve<complex>(A, values, vectors, batch, n);
    return batch > 2 ? many::solve<complex>(A, values, vectors, batch, n)
                     : few::solve<complex>(A, values, vectors, batch, n);
}

template bool eigen<false>(const double*, double*, double*, int64_t, int);
template bool eigen<true>(const double*, double*, double*, int64_t, int);

extern "C" int eigen_real(const double* A, double* values, double* vectors, int64_t batch, int64_t n) {
    return guarded([&] { return eigen<false>(A, values, vectors, batch, int(n)) && finite(values, batch * n); });
}

extern "C" int eigen_complex(const double* A, double* values, double* vectors, int64_t batch, int64_t n) {
    return guarded([&] { return eigen<true>(A, values, vectors, batch, int(n)) && finite(values, batch * n); });
}
