// Eigenvalues and eigenvectors of batches of Hermitian matrices.
#pragma once

#include <cstdint>

// Of matrices (batch, n, n), row after row, complex ones as pairs; of their lower triangles. Eigenvalues (batch, n)
// ascend, eigenvectors (batch, n, n) are columns. False where one does not converge, as with NaN.
template <bool complex> bool eigen(const double* A, double* values, double* vectors, int64_t batch, int n);
