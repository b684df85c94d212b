// Solvers for the eigenvalues and eigenvectors of Hermitian matrices, several at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>

#include "products.hpp"

constexpr int GROUP = Register<double>::W;  // matrices computed at once, in the lanes of registers

// The result of a matrix does not depend on the others.
template <bool complex> struct EigenSolver {
    virtual ~EigenSolver() = default;
    virtual int capacity() const = 0;
    // Sets the kth matrix; its lower triangle is read.
    virtual void put(int k, const Matrix<double, complex>& A) = 0;
    // Solves for the first `count` matrices. False where one does not converge, as with NaN.
    virtual bool solve(int count) = 0;
    // Returns the eigenvalues of the kth matrix, ascending, and its eigenvectors, as columns.
    virtual void get(int k, double* values, Matrix<double, complex>& vectors) = 0;
};

// Returns the solver for a batch of n x n matrices.
template <bool complex> std::unique_ptr<EigenSolver<complex>> eigen_solver(int n, int64_t batch);

// Returns the finite power of two that scales the largest part of a matrix to about 1, so that no square over- or
// underflows.
template <bool complex> double scale_of(const Matrix<double, complex>& A) {
    double largest = 0;
    for (int i = 0; i < A.rows; ++i)
        for (int j = 0; j <= i; ++j) {
            largest = std::max(largest, std::abs(A.re.row(i)[j]));
            if (complex) largest = std::max(largest, std::abs(A.im.row(i)[j]));
        }
    return largest > 0 && std::isfinite(largest) ? std::ldexp(1.0, std::min(-std::ilogb(largest), 1023)) : 1;
}

// Parts of a scaled matrix that count as zero: far below rounding errors, far above numbers whose squares underflow.
constexpr double NEGLIGIBLE = 1e-140;
