// Eigenvalues and eigenvectors of Hermitian matrices that are too large to have several at once in a cache.
//
// Each is made tridiagonal by itself, the QL iterations of several go on in lanes. Their rotations, which are real, are
// kept until all are known, and then turn a few columns of one matrix, which stay in the cache, after the others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "eigen.hpp"
#include "ql.hpp"
#include "scale.hpp"
#include "tridiagonal.hpp"

namespace rows {

struct Rotation { double sine, cosine; };
struct Sweep { int first, last; };  // of the rows that it turns

// The rotations that diagonalise one matrix, sweep after sweep, each from its last row to its first.
struct History {
    std::vector<Rotation> rotations;
    std::vector<Sweep> sweeps;
    size_t count = 0;
};

template <int W> struct Recorder {
    using vec = typename Lanes<W>::vec;
    using mask = typename Lanes<W>::mask;
    History* histories;

    void begin(int l, mask last, int most) {
        for (int lane = 0; lane < W; ++lane) {
            History& history = histories[lane];
            if (last[lane] > l) history.sweeps.push_back({l, int(last[lane])});
            const size_t needed = history.count + most - l + 1;
            if (history.rotations.size() < needed) history.rotations.resize(needed + needed / 4);
        }
    }

    void rotate(int, vec sine, vec cosine, mask turned) {
        for (int lane = 0; lane < W; ++lane) {
            History& history = histories[lane];
            // Without a branch: what turns nothing is overwritten.
            history.rotations[history.count] = {sine[lane], cosine[lane]};
            history.count -= turned[lane];
        }
    }
};

template <bool complex> struct Solver final : EigenSolver<complex> {
    using vec = typename Reduction<complex>::vec;
    static constexpr int W = Reduction<complex>::W, BLOCK = Reduction<complex>::BLOCK, parts = complex ? 2 : 1;
    int n;
    std::vector<Reduction<complex>> reductions;
    std::vector<History> histories;
    std::vector<double> units;
    Plane<double> Z;  // eigenvectors of a tridiagonal matrix, as rows
    std::vector<Register<double>> X;  // some of a matrix, as columns

    Solver(int n, int capacity)
        : n(n), reductions(capacity, Reduction<complex>(n)), histories(GROUP), units(capacity), Z(n, n),
          X(size_t(n) * BLOCK * parts) {}

    int capacity() const override { return int(reductions.size()); }

    void put(int k, const Matrix<double, complex>& A) override {
        units[k] = unit_of(A);
        reductions[k].load(A, units[k]);
        reductions[k].reduce();
    }

    bool solve(int count) override { return count > 2 ? diagonalise<GROUP>(count) : diagonalise<2>(count); }

    void get(int k, double* values, Matrix<double, complex>& vectors) override {
        const std::vector<double>& d = reductions[k].d;
        std::vector<int> order(n);
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](int i, int j) { return d[i] < d[j]; });
        for (int j = 0; j < n; ++j) values[j] = d[order[j]] / units[k];
        rotate(histories[k]);
        for (int x = 0; x < Z.width; x += BLOCK) get_columns(reductions[k], x, order, vectors);
    }

    // In lanes, of which those beyond `count` do the work of the last matrix again.
    template <int LANES> bool diagonalise(int count) {
        std::vector<typename Lanes<LANES>::vec> d(n), e(n);
        for (int lane = 0; lane < LANES; ++lane) {
            const Reduction<complex>& reduction = reductions[std::min(lane, count - 1)];
            for (int i = 0; i < n; ++i) d[i][lane] = reduction.d[i], e[i][lane] = reduction.e[i];
            histories[lane].count = 0;
            histories[lane].sweeps.clear();
        }
        Recorder<LANES> recorder{histories.data()};
        // Also negligible is what rounding of the largest part of the matrix, which is 1, far exceeds: without it, the
        // iterations dwell on the rounding errors that matrices of low rank are made of.
        const double negligible = std::numeric_limits<double>::epsilon() / 64;
        if (!QL<LANES, Recorder<LANES>>{n, d.data(), e.data(), negligible, recorder}.diagonalise()) return false;
        for (int lane = 0; lane < count; ++lane)
            for (int i = 0; i < n; ++i) reductions[lane].d[i] = d[i][lane];
        return true;
    }

    // Some columns of Z, starting with those of the identity. A sweep fills one more column beside the diagonal: what is
    // still zero is left out.
    template <int B> void turn(const History& history, int x) {
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
        for (; x + 4 <= Z.width; x += 4) turn<4>(history, x);
        for (; x < Z.width; ++x) turn<1>(history, x);
    }

    // Some eigenvectors of a matrix from those of the tridiagonal one.
    void get_columns(const Reduction<complex>& from, int x, const std::vector<int>& order, Matrix<double, complex>& to) {
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
