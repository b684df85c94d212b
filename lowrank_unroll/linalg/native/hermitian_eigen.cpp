#include "eigen.hpp"

#include <algorithm>
#include <cmath>

#include "call.hpp"
#include "eigen_lanes.hpp"
#include "eigen_rows.hpp"

namespace {

// From this size on, solving one matrix at a time is faster. The choice depends on the size alone, so that a matrix
// gets the same bits in every batch.
constexpr int LARGE = 33;

// Solvers return a 1 x 1 matrix as its eigenvalue, NaN and infinity included.
bool finite(const double* values, int64_t count) {
    return std::all_of(values, values + count, [](double value) { return std::isfinite(value); });
}

template <bool complex> bool hermitian_eigen(const double* A, double* values, double* vectors, int64_t batch, int n) {
    const int64_t size = int64_t(n) * n * (complex ? 2 : 1);
    const auto solver = eigen_solver<complex>(n, batch);
    Matrix<double, complex> matrix(n, n);
    for (int64_t start = 0; start < batch; start += solver->capacity()) {
        const int count = int(std::min<int64_t>(solver->capacity(), batch - start));
        for (int k = 0; k < count; ++k) {
            matrix.load(View<const double>{A + (start + k) * size, n, 1, false});
            solver->put(k, matrix);
        }
        if (!solver->solve(count)) return false;
        for (int k = 0; k < count; ++k) {
            solver->get(k, values + (start + k) * n, matrix);
            matrix.store(vectors + (start + k) * size);
        }
    }
    return finite(values, batch * n);
}

}  // namespace

template <bool complex> std::unique_ptr<EigenSolver<complex>> eigen_solver(int n, int64_t batch) {
    if (n >= LARGE) return std::make_unique<rows::Solver<complex>>(n, int(std::min<int64_t>(GROUP, batch)));
    if (batch > 2) return std::make_unique<lanes::Solver<GROUP, complex>>(n);
    return std::make_unique<lanes::Solver<2, complex>>(n);
}

template std::unique_ptr<EigenSolver<false>> eigen_solver<false>(int, int64_t);
template std::unique_ptr<EigenSolver<true>> eigen_solver<true>(int, int64_t);

// Computes the eigenvalues (batch, n), ascending, and the eigenvectors (batch, n, n), as columns, of Hermitian matrices
// A (batch, n, n), whose lower triangles are read. Complex numbers are pairs. There is no result where a matrix does
// not converge, as with NaN.
extern "C" int hermitian_eigen_real(const double* A, double* values, double* vectors, int64_t batch, int64_t n) {
    return status_of([&] { return hermitian_eigen<false>(A, values, vectors, batch, int(n)); });
}

extern "C" int hermitian_eigen_complex(const double* A, double* values, double* vectors, int64_t batch, int64_t n) {
    return status_of([&] { return hermitian_eigen<true>(A, values, vectors, batch, int(n)); });
}
