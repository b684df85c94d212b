// Eigenvalues and eigenvectors of Hermitian matrices that are too large for a cache to hold several.
//
// Each matrix is made tridiagonal by itself; the QL iterations of several run in lanes. Their rotations, which are
// real, are recorded, and then applied to a few columns of one matrix at a time, which stay in the cache.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "eigen.hpp"
#include "ql.hpp"
#include "tridiagonal.hpp"

namespace rows {

struct Rotation { double sine, cosine; };
struct Sweep { int first, last; };  // rows that it rotates

// The rotations that diagonalize one matrix, sweep after sweep, each from its last row to its first.
struct History {
    std::vector<Rotation> rotations;
    std::vector<Sweep> sweeps;
    size_t count = 0;
};

template <int W> struct Recorder {
    using vec = typename Lanes<W>::vec;
    using mask = typename Lanes<W>::mask;
    History* histories;

    void begin(int l, mask last, int largest_last) {
        for (int lane = 0; lane < W; ++lane) {
            History& history = histories[lane];
            if (last[lane] > l) history.sweeps.push_back({l, int(last[lane])});
            const size_t needed = history.count + largest_last - l + 1;
            if (history.rotations.size() < needed) history.rotations.resize(needed + needed / 4);
        }
    }

    void rotate(int, vec sine, vec cosine, mask rotated) {
        for (int lane = 0; lane < W; ++lane) {
            History& history = histories[lane];
            // Without a branch: the next rotation overwrites one that is not done in this lane (a mask is 0 or -1).
            history.rotations[history.count] = {sine[lane], cosine[lane]};
            history.count -= rotated[lane];
        }
    }
};

template <bool complex> struct Solver final : EigenSolver<complex> {
    using vec = typename Reduction<complex>::vec;
    static constexpr int W = Reduction<complex>::W, BLOCK = Reduction<complex>::BLOCK, parts = complex ? 2 : 1;
    int n;
    std::vector<Reduction<complex>> reductions;
    std::vector<History> histories;
    std::vector<double> scales;
    Plane<double> Z;  // eigenvectors of a tridiagonal matrix, as rows
    std::vector<Register<double>> X;  // some eigenvectors of a matrix, as columns

    Solver(int n, int capacity)
        : n(n), reductions(capacity, Reduction<complex>(n)), histories(GROUP), scales(capacity), Z(n, n),
          X(size_t(n) * BLOCK * parts) {}

    int capacity() const override { return int(reductions.size()); }

    void put(int k, const Matrix<double, complex>& A) override {
        scales[k] = scale_of(A);
        reductions[k].load(A, scales[k]);
        reductions[k].reduce();
    }

    bool solve(int count) override { return count > 2 ? diagonalize<GROUP>(count) : diagonalize<2>(count); }

    void get(int k, double* values, Matrix<double, complex>& vectors) override {
        const std::vector<double>& d = reductions[k].d;
        std::vector<int> order(n);
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](int i, int j) { return d[i] < d[j]; });
        for (int j = 0; j < n; ++j) values[j] = d[order[j]] / scales[k];
        rotate(histories[k]);
        for (int x = 0; x < Z.width; x += BLOCK) get_columns(reductions[k], x, order, vectors);
    }

    // Diagonalizes in lanes; unused ones repeat the last matrix.
    template <int LANES> bool diagonalize(int count) {
        std::vector<typename Lanes<LANES>::vec> d(n), e(n);
        for (int lane = 0; lane < LANES; ++lane) {
            const Reduction<complex>& reduction = reductions[std::min(lane, count - 1)];
            for (int i = 0; i < n; ++i) d[i][lane] = reduction.d[i], e[i][lane] = reduction.e[i];
            histories[lane].count = 0;
            histories[lane].sweeps.clear();
        }
        Recorder<LANES> recorder{histories.data()};
        // Elements far below the rounding error of the largest part, which is 1, are negligible, too: otherwise the
        // iterations of a matrix of low rank would diagonalize rounding errors.
        const double negligible = std::numeric_limits<double>::epsilon() / 64;
        if (!QL<LANES, Recorder<LANES>>{n, d.data(), e.data(), negligible, recorder}.diagonalize()) return false;
        for (int lane = 0; lane < count; ++lane)
            for (int i = 0; i < n; ++i) reductions[lane].d[i] = d[i][lane];
        return true;
    }

    // Applies the rotations to some columns of Z, which begins as the identity. Each sweep fills one more column beside
    // the diagonal: rows that are still zero are skipped.
    template <int B> void rotate_columns(const History& history, int x) {
        const Rotation* rotation = history.rotations.data();
        int filled = (x + B) * W;
        for (const Sweep& sweep : history.sweeps) {
            const int last = std::max(sweep.first, std::min(sweep.last, filled++));
            rotation += sweep.last - last;
            vec carried[B];
            for (int b = 0; b < B; ++b) carried[b] = Z.values[last * Z.stride + x + b].lanes;
            for (int i = last - 1; i >= sweep.first; --i, ++rotation)
                for (int b = 0; b < B; ++b) {
                    const vec lower = Z.values[i * Z.stride + x + b].lanes;
                    Z.values[(i + 1) * Z.stride + x + b].lanes = rotation->sine * lower + rotation->cosine * carried[b];
                    carried[b] = rotation->cosine * lower - rotation->sine * carried[b];
                }
            for (int b = 0; b < B; ++b) Z.values[sweep.first * Z.stride + x + b].lanes = carried[b];
        }
    }

    void rotate(const History& history) {
        Z.clear();
        for (int i = 0; i < n; ++i) Z.row(i)[i] = 1;
        int x = 0;
        for (; x + 4 <= Z.width; x += 4) rotate_columns<4>(history, x);
        for (; x < Z.width; ++x) rotate_columns<1>(history, x);
    }

    // Writes some eigenvectors of a matrix from those of the tridiagonal one.
    void get_columns(
        const Reduction<complex>& from, int x, const std::vector<int>& order, Matrix<double, complex>& to
    ) {
        const int width = std::min(BLOCK, Z.width - x);
        std::fill(X.begin(), X.end(), Register<double>{});
        for (int j = x * W; j < std::min((x + width) * W, n); ++j) {
            const double* z = Z.row(order[j]);
            for (int i = 0; i < n; ++i) {
                Register<double>* entry = &X[(i * BLOCK + j / W - x) * parts];
                entry[0].lanes[j % W] = from.phase[i].real() * z[i];
                if (complex) entry[1].lanes[j % W] = from.phase[i].imag() * z[i];
            }
        }
        from.reflect_back(X.data());
        for (int i = 0; i < n; ++i)
            for (int b = 0; b < width; ++b) {
                to.re.values[size_t(i) * Z.stride + x + b] = X[(i * BLOCK + b) * parts];
                if (complex) to.im.values[size_t(i) * Z.stride + x + b] = X[(i * BLOCK + b) * parts + 1];
            }
    }
};

}  // namespace rows
