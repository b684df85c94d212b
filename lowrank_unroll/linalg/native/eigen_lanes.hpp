// Eigenvalues and eigenvectors of many small Hermitian matrices, several at once in the lanes of vector registers.
//
// Householder reflections make a matrix tridiagonal, implicit QL iterations make that diagonal (Golub & Van Loan,
// Matrix Computations, 4th ed., 8.3). All lanes take the same steps, so that no matrix depends on the others.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "eigen.hpp"
#include "lanes.hpp"
#include "ql.hpp"

#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")  // see lanes.hpp

namespace lanes {

// Numbers in lanes; real ones have no imaginary part.
template <int W, bool complex> struct Number;
template <int W> using R = Number<W, false>;
template <int W> using C = Number<W, true>;
template <int W> using vec = typename Lanes<W>::vec;
template <int W> using mask = typename Lanes<W>::mask;
template <int W> struct Number<W, false> {
    vec<W> re;
    static Number zero() { return {Lanes<W>::splat(0)}; }
    static Number one() { return {Lanes<W>::splat(1)}; }
};
template <int W> struct Number<W, true> {
    vec<W> re, im;
    static Number zero() { return {Lanes<W>::splat(0), Lanes<W>::splat(0)}; }
    static Number one() { return {Lanes<W>::splat(1), Lanes<W>::splat(0)}; }
};
template <int W> R<W> conj(R<W> a) { return a; }
template <int W> C<W> conj(C<W> a) { return {a.re, -a.im}; }
template <int W> R<W> operator+(R<W> a, R<W> b) { return {a.re + b.re}; }
template <int W> C<W> operator+(C<W> a, C<W> b) { return {a.re + b.re, a.im + b.im}; }
template <int W> R<W> operator-(R<W> a) { return {-a.re}; }
template <int W> C<W> operator-(C<W> a) { return {-a.re, -a.im}; }
template <int W> R<W> operator-(R<W> a, R<W> b) { return {a.re - b.re}; }
template <int W> C<W> operator-(C<W> a, C<W> b) { return {a.re - b.re, a.im - b.im}; }
template <int W> R<W> operator*(R<W> a, R<W> b) { return {a.re * b.re}; }
template <int W> C<W> operator*(C<W> a, C<W> b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
template <int W> R<W> operator*(vec<W> s, R<W> a) { return {s * a.re}; }
template <int W> C<W> operator*(vec<W> s, C<W> a) { return {s * a.re, s * a.im}; }
template <int W> vec<W> squared(R<W> a) { return a.re * a.re; }
template <int W> vec<W> squared(C<W> a) { return a.re * a.re + a.im * a.im; }
template <int W> R<W> select(mask<W> m, R<W> a, R<W> b) { return {m ? a.re : b.re}; }
template <int W> C<W> select(mask<W> m, C<W> a, C<W> b) { return {m ? a.re : b.re, m ? a.im : b.im}; }

template <int W, bool complex> struct Solver final : EigenSolver<complex> {
    using L = Lanes<W>;
    using N = Number<W, complex>;
    using Vec = vec<W>;
    using Mask = mask<W>;
    int n;
    std::vector<N> A, Q, v, p, phase;  // A: lower triangle, row major; Q: Q[column * n + row]
    std::vector<Vec> d, e, tau;
    double scales[W];

    explicit Solver(int n) : n(n), A(n * n), Q(n * n), v(n), p(n), phase(n), d(n), e(n), tau(n) {}

    N& a(int i, int j) { return A[i * n + j]; }

    int capacity() const override { return W; }

    void put(int lane, const Matrix<double, complex>& matrix) override {
        scales[lane] = scale_of(matrix);
        for (int i = 0; i < n; ++i)
            for (int j = 0; j <= i; ++j) {
                a(i, j).re[lane] = matrix.re.row(i)[j] * scales[lane];
                if constexpr (complex) a(i, j).im[lane] = matrix.im.row(i)[j] * scales[lane];
            }
    }

    bool solve(int count) override {
        // Unused lanes repeat the last matrix.
        for (N& entry : A)
            for (int lane = count; lane < W; ++lane) {
                entry.re[lane] = entry.re[count - 1];
                if constexpr (complex) entry.im[lane] = entry.im[count - 1];
            }
        tridiagonalize();
        accumulate_reflections();
        return QL<W, Solver>{n, d.data(), e.data(), NEGLIGIBLE, *this}.diagonalize();
    }

    void get(int lane, double* values, Matrix<double, complex>& vectors) override {
        std::vector<int> order(n);
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](int i, int j) { return d[i][lane] < d[j][lane]; });
        for (int j = 0; j < n; ++j) {
            values[j] = d[order[j]][lane] / scales[lane];
            for (int i = 0; i < n; ++i) {
                const N& entry = Q[order[j] * n + i];
                vectors.re.row(i)[j] = entry.re[lane];
                if constexpr (complex) vectors.im.row(i)[j] = entry.im[lane];
            }
        }
    }

    void tridiagonalize() {
        const N unit = N::one();
        phase[0] = unit;
        for (int k = 0; k < n - 1; ++k) {
            d[k] = a(k, k).re;
            Vec tail = L::splat(0);
            for (int i = k + 2; i < n; ++i) tail += squared(a(i, k));
            const N x0 = a(k + 1, k);
            const Vec head = squared(x0);
            const Vec norm = L::root(head + tail), size = L::root(head);
            const N direction = select(size > 0, (1 / (size > 0 ? size : L::splat(1))) * x0, unit);
            // The reflection maps the column to -direction * norm; it is left out where all entries below are zero.
            const Mask reflected = tail > NEGLIGIBLE * NEGLIGIBLE;
            const N image = norm * direction, v0 = select(reflected, x0 + image, N::zero());
            const Vec length = squared(v0) + tail;
            tau[k] = reflected ? 2 / (length > 0 ? length : L::splat(1)) : L::splat(0);
            const N below = select(reflected, -image, x0);
            const Vec size_below = L::root(squared(below));
            e[k] = size_below;
            const Vec divisor = size_below > 0 ? size_below : L::splat(1);
            const N direction_below = select(size_below > 0, (1 / divisor) * below, unit);
            phase[k + 1] = phase[k] * direction_below;
            a(k + 1, k) = v0;
            if (k == n - 2) break;
            const int first = k + 1;
            for (int i = first; i < n; ++i) v[i] = select(reflected, a(i, k), N::zero());
            for (int i = first; i < n; ++i) p[i] = N::zero();
            for (int i = first; i < n; ++i) {
                N sum = a(i, i).re * v[i];
                const N vi = v[i];
                for (int j = first; j < i; ++j) {
                    sum = sum + a(i, j) * v[j];
                    p[j] = p[j] + conj(a(i, j)) * vi;
                }
                p[i] = p[i] + sum;
            }
            Vec inner = L::splat(0);
            for (int i = first; i < n; ++i) { p[i] = tau[k] * p[i]; inner += (conj(v[i]) * p[i]).re; }
            const Vec half = 0.5 * tau[k] * inner;
            for (int i = first; i < n; ++i) p[i] = p[i] - half * v[i];
            for (int i = first; i < n; ++i) {
                const N vi = v[i], wi = p[i];
                for (int j = first; j <= i; ++j) a(i, j) = a(i, j) - vi * conj(p[j]) - wi * conj(v[j]);
            }
        }
        d[n - 1] = a(n - 1, n - 1).re;
        e[n - 1] = L::splat(0);
    }

    // Q D: the product of the reflections, from the last to the first, times the phases that make the matrix real.
    void accumulate_reflections() {
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i) Q[j * n + i] = i == j ? phase[j] : N::zero();
        for (int k = n - 3; k >= 0; --k) {
            for (int j = k + 1; j < n; ++j) {
                N* q = &Q[j * n];
                N inner = N::zero();
                for (int i = k + 1; i < n; ++i) inner = inner + conj(a(i, k)) * q[i];
                inner = tau[k] * inner;
                for (int i = k + 1; i < n; ++i) q[i] = q[i] - a(i, k) * inner;
            }
        }
    }

    void begin(int, Mask, int) {}

    // Applies a rotation of the QL iterations to the eigenvectors.
    void rotate(int i, Vec sine, Vec cosine, Mask rotated) {
        const Vec s = rotated ? sine : L::splat(0), c = rotated ? cosine : L::splat(1);
        N *lower = &Q[i * n], *upper = &Q[(i + 1) * n];
        for (int k = 0; k < n; ++k) {
            const N above = upper[k];
            upper[k] = s * lower[k] + c * above;
            lower[k] = c * lower[k] - s * above;
        }
    }
};

}  // namespace lanes

#pragma GCC pop_options
