// Eigenvalues and eigenvectors of Hermitian matrices, some at a time.
#pragma once

#include <cstdint>
#include <memory>

#include "products.hpp"

constexpr int GROUP = Register<double>::W;  // matrices computed at once, in the lanes of registers

// What becomes of a matrix does not depend on the others.
template <bool complex> struct EigenSolver {
    virtual ~EigenSolver() = default;
    virtual int capacity() const = 0;
    // The kth matrix, of which the lower triangle counts.
    virtual void put(int k, const Matrix<double, complex>& A) = 0;
    // For as many matrices as have been put. False where one does not converge, as with NaN.
    virtual bool solve(int count) = 0;
    // Of the kth matrix, eigenvalues, ascending, and eigenvectors, as columns.
    virtual void get(int k, double* values, Matrix<double, complex>& vectors) = 0;
};

// For a batch of n x n matrices.
template <bool complex> std::unique_ptr<EigenSolver<complex>> eigen_solver(int n, int64_t batch);
