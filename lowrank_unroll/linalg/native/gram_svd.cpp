// Singular values and vectors of batches of small matrices in single precision, from their Gram matrices in double.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "call.hpp"
#include "eigen.hpp"
#include "products.hpp"

namespace {

// Relative to the largest singular value: the squares of smaller ones are lost to rounding in double precision.
const double RESOLUTION = std::sqrt(std::numeric_limits<double>::epsilon());

// Writes the norms of the columns of A V, which are more accurate than the roots of eigenvalues; descending also where
// rounding decides, and none too small to divide by. Returns the largest, in single precision.
template <bool complex> float column_norms(const Matrix<double, complex>& av, double* sigma) {
    std::fill_n(sigma, av.columns, 0);
    for (int i = 0; i < av.rows; ++i)
        for (int j = 0; j < av.columns; ++j) {
            sigma[j] += av.re.row(i)[j] * av.re.row(i)[j];
            if (complex) sigma[j] += av.im.row(i)[j] * av.im.row(i)[j];
        }
    constexpr double least = std::numeric_limits<float>::min();
    sigma[0] = std::max(std::sqrt(sigma[0]), least);
    for (int j = 1; j < av.columns; ++j)
        sigma[j] = std::min(std::max(std::sqrt(sigma[j]), std::max(RESOLUTION * sigma[0], least)), sigma[j - 1]);
    return float(sigma[0]);
}

template <bool complex> struct Workspace {
    Matrix<double, complex> a, av, v;
    std::unique_ptr<EigenSolver<complex>> solver;
    std::vector<double> values;

    Workspace(int m, int n, bool single)
        : a(m, n), av(m, n), v(n, n), solver(eigen_solver<complex>(n, single ? 1 : GROUP)), values(n) {}
};

template <bool complex>
bool decompose(View<const float> A, int64_t batch_step, float* U, float* S, float* Vh, int64_t batch, int m, int n) {
    constexpr int parts = complex ? 2 : 1;
    auto& [a, av, v, solver, values] = thread_workspace<Workspace<complex>>(m, n, batch == 1);
    const auto matrix = [&](int64_t index) {
        return View<const float>{A.values + index * batch_step * parts, A.row_step, A.column_step, A.conjugate};
    };
    for (int64_t start = 0; start < batch; start += solver->capacity()) {
        const int count = int(std::min<int64_t>(solver->capacity(), batch - start));
        for (int k = 0; k < count; ++k) {
            a.load(matrix(start + k));
            v.clear();
            add_gram(a, v);
            // The eigenvalues ascend; those of the negative Gram matrix belong to descending singular values.
            v.negate();
            solver->put(k, v);
        }
        if (!solver->solve(count)) return false;
        for (int k = 0; k < count; ++k) {
            const int64_t index = start + k;
            solver->get(k, values.data(), v);
            v.store_adjoint(Vh + index * n * n * parts);
            if (count > 1) a.load(matrix(index));
            av.clear();
            multiply(a, v, av);
            if (!std::isfinite(column_norms(av, values.data()))) return false;
            std::copy(values.begin(), values.end(), S + index * n);
            for (double& value : values) value = 1 / value;
            scale_columns(av, values.data());
            av.store(U + index * m * n * parts);
        }
    }
    return true;
}

}  // namespace

// Computes U (batch, m, n), S (batch, n) and V^H (batch, n, n), contiguous, of matrices A (batch, m, n). The steps of A
// count numbers; complex ones are pairs. There is no result where a matrix is not finite.
extern "C" int gram_svd_real(
    const float* A, int64_t batch_step, int64_t row_step, int64_t column_step, bool conjugate,
    float* U, float* S, float* Vh, int64_t batch, int64_t m, int64_t n
) {
    return status_of([&] {
        return decompose<false>({A, row_step, column_step, conjugate}, batch_step, U, S, Vh, batch, int(m), int(n));
    });
}

extern "C" int gram_svd_complex(
    const float* A, int64_t batch_step, int64_t row_step, int64_t column_step, bool conjugate,
    float* U, float* S, float* Vh, int64_t batch, int64_t m, int64_t n
) {
    return status_of([&] {
        return decompose<true>({A, row_step, column_step, conjugate}, batch_step, U, S, Vh, batch, int(m), int(n));
    });
}
