// The unit in which the eigenvalues of a matrix are computed.
#pragma once

#include <algorithm>
#include <cmath>

#include "products.hpp"

// The power of two, a finite one, that brings the largest part of a matrix to 1, so that no square over- or underflows.
template <bool complex> double unit_of(const Matrix<double, complex>& A) {
    double largest = 0;
    for (int i = 0; i < A.rows; ++i)
        for (int j = 0; j <= i; ++j) {
            largest = std::max(largest, std::abs(A.re.row(i)[j]));
            if (complex) largest = std::max(largest, std::abs(A.im.row(i)[j]));
        }
    return largest > 0 && std::isfinite(largest) ? std::ldexp(1.0, std::min(-std::ilogb(largest), 1023)) : 1;
}

// Relative to the largest part of a matrix, which then is 1: far below what rounding leaves, far above where squares
// underflow.
constexpr double NEGLIGIBLE = 1e-140;
