// The unit in which the eigenvalues of a matrix are computed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

// The power of two, a finite one, that brings the largest part of a matrix to 1, so that no square over- or underflows.
inline double unit_of(const double* matrix, int64_t size) {
    double largest = 0;
    for (int64_t i = 0; i < size; ++i) largest = std::max(largest, std::abs(matrix[i]));
    return largest > 0 && std::isfinite(largest) ? std::ldexp(1.0, std::min(-std::ilogb(largest), 1023)) : 1;
}

// Relative to the largest part of a matrix, which then is 1: far below what rounding leaves, far above where squares
// underflow.
constexpr double NOTHING = 1e-140;
