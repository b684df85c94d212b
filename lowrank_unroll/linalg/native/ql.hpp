// Implicit QL iterations that diagonalize real, symmetric, tridiagonal matrices (Golub & Van Loan, Matrix Computations,
// 4th ed., 8.3; Bowdler, Martin, Reinsch & Wilkinson, Numer. Math. 11, 1968), W matrices in the lanes of a register.
//
// Each step of an iteration needs the square root and the quotient of the one before: with one matrix, the processor
// would be idle most of the time. A lane that has converged does not change, so that no matrix depends on the others.
#pragma once

#include <algorithm>
#include <limits>

#include "lanes.hpp"

#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")  // see lanes.hpp

// Calls `rotations` with each rotation of the rows i and i + 1, from the last row of a block to its first. An element
// below the diagonal counts as zero if it is below the rounding error of its neighbors, or below `negligible`.
template <int W, typename Rotations> struct QL {
    using L = Lanes<W>;
    using vec = typename L::vec;
    using mask = typename L::mask;
    int n;
    vec *d, *e;  // the diagonal and the elements below it
    double negligible;
    Rotations& rotations;

    bool diagonalize() {
        for (int l = 0; l < n; ++l)
            for (int iteration = 0;; ++iteration) {
                const mask last = ends_of_blocks(l);
                if (!L::any(last > l)) break;
                if (iteration == 60) return false;
                iterate(l, last);
            }
        return true;
    }

    // Returns the index of the first negligible element of each lane, from l on.
    mask ends_of_blocks(int l) const {
        mask last = L::splat_index(n - 1), searching = last == last;
        for (int m = l; m < n - 1 && L::any(searching); ++m) {
            const vec neighbors = L::magnitude(d[m]) + L::magnitude(d[m + 1]);
            const mask small = L::magnitude(e[m]) <= std::numeric_limits<double>::epsilon() * neighbors + negligible;
            last = searching & small ? L::splat_index(m) : last;
            searching &= ~small;
        }
        return last;
    }

    void iterate(int l, mask last) {
        const mask unfinished = last > l;
        vec d_last;
        int largest_last = l;
        for (int lane = 0; lane < W; ++lane) {
            d_last[lane] = d[last[lane]][lane];
            largest_last = std::max(largest_last, int(last[lane]));
        }
        const vec slope = unfinished ? (d[l + 1] - d[l]) / (2 * e[l]) : L::splat(1), r = L::root(slope * slope + 1);
        vec g = d_last - d[l] + (unfinished ? e[l] / (slope + (slope < 0 ? -r : r)) : L::splat(0));
        vec s = L::splat(1), c = L::splat(1), shift = L::splat(0);
        rotations.begin(l, last, largest_last);
        for (int i = largest_last - 1; i >= l; --i) {
            const mask rotated = last > i;
            const vec f = s * e[i], b = c * e[i], length = L::root(f * f + g * g);
            const mask nonzero = length > 0;
            const vec divisor = nonzero ? length : L::splat(1);
            const vec sine = nonzero ? f / divisor : L::splat(0), cosine = nonzero ? g / divisor : L::splat(1);
            e[i + 1] = rotated ? length : e[i + 1];
            const vec difference = d[i + 1] - shift;
            const vec width = (d[i] - difference) * sine + 2 * cosine * b, step = sine * width;
            d[i + 1] = rotated ? difference + step : d[i + 1];
            s = rotated ? sine : s;
            c = rotated ? cosine : c;
            shift = rotated ? step : shift;
            g = rotated ? cosine * width - b : g;
            rotations.rotate(i, sine, cosine, rotated);
        }
        d[l] = unfinished ? d[l] - shift : d[l];
        e[l] = unfinished ? g : e[l];
        for (int lane = 0; lane < W; ++lane)
            if (unfinished[lane]) e[last[lane]][lane] = 0;
    }
};

#pragma GCC pop_options
