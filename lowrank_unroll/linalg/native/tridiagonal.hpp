// Reduction of one Hermitian matrix, whose rows are in vector registers, to a real tridiagonal one by Householder
// reflections, from the last row upwards (Golub & Van Loan, Matrix Computations, 4th ed., 8.3).
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "eigen.hpp"
#include "products.hpp"

template <bool complex> struct Reduction {
    using Value = std::complex<double>;
    using Numbers = Matrix<double, complex>;
    using vec = Register<double>::Lanes;
    static constexpr int W = Register<double>::W, parts = complex ? 2 : 1;
    int n;
    Numbers A;  // the lower triangle and W x W blocks on the diagonal; reflections replace its rows
    Numbers v, w, p, next;
    std::vector<double> d, e, tau;
    std::vector<Value> phase, coupling;

    explicit Reduction(int n)
        : n(n), A(n, n), v(1, n), w(1, n), p(1, n), next(1, n), d(n), e(n), tau(n), phase(n), coupling(n) {}

    double& real(int i, int j) { return A.re.row(i)[j]; }
    double& imaginary(int i, int j) { return A.im.row(i)[j]; }
    Value entry(int i, int j) { return {real(i, j), complex ? imaginary(i, j) : 0}; }

    // Loads the lower triangle of a matrix, times a scale.
    void load(const Numbers& from, double scale) {
        for (int i = 0; i < n; ++i) {
            for (int j = 0; j <= i; ++j) {
                real(i, j) = from.re.row(i)[j] * scale;
                if (complex) imaginary(i, j) = from.im.row(i)[j] * scale;
            }
            if (complex) imaginary(i, i) = 0;
            for (int j = i / W * W; j < i; ++j) {
                real(j, i) = real(i, j);
                if (complex) imaginary(j, i) = -imaginary(i, j);
            }
        }
    }

    // Reduces the matrix. With the phases D, d and e are the diagonal of D^H A D and the elements below it.
    void reduce() {
        phase[n - 1] = 1;
        v.clear();
        w.clear();
        for (int k = n - 1; k > 0; --k) {
            next.clear();
            update<1>(k);
            d[k] = real(k, k);
            real(k, k) = 0;  // reflect_back() reads two vectors of the same length
            if (complex) imaginary(k, k) = 0;
            reflect(k);
            p.clear();
            int i = 0;
            for (; i + 2 <= k; i += 2) update<2>(i);
            if (i < k) update<1>(i);
            const int end = (k + W - 1) / W;
            coupling[k] = inner_product(v, next, end);
            std::swap(v, next);
            for (int j = k; j < end * W; ++j) {
                p.re.row(0)[j] = 0;
                if (complex) p.im.row(0)[j] = 0;
            }
            const double half = 0.5 * tau[k] * (tau[k] * inner_product(v, p, end).real());
            for (int x = 0; x < end; ++x) {
                w.re.values[x].lanes = tau[k] * p.re.values[x].lanes - half * v.re.values[x].lanes;
                if (complex) w.im.values[x].lanes = tau[k] * p.im.values[x].lanes - half * v.im.values[x].lanes;
            }
        }
        update<1>(0);
        d[0] = real(0, 0);
        e[n - 1] = 0;
    }

    // Computes the reflection of row k, left of the diagonal, as a conjugated column. Its vector replaces the row, and
    // is also in `next`.
    void reflect(int k) {
        const Value head = std::conj(entry(k, k - 1));
        for (int j = 0; j < k; ++j) {
            next.re.row(0)[j] = real(k, j);
            if (complex) next.im.row(0)[j] = imaginary(k, j) = -imaginary(k, j);
        }
        set_pivot(k, 0);
        const double tail = inner_product(next, next, (k + W - 1) / W).real();
        const double size = std::abs(head), norm = std::sqrt(size * size + tail);
        const Value direction = size > 0 ? head / size : 1;
        // The reflection maps the column to -direction * norm; it is left out where all other entries are zero.
        const bool reflected = tail > NEGLIGIBLE * NEGLIGIBLE;
        const Value reduced = reflected ? -norm * direction : head, first = reflected ? head + norm * direction : 0;
        tau[k] = reflected ? 2 / (std::norm(first) + tail) : 0;
        e[k - 1] = std::abs(reduced);
        phase[k - 1] = phase[k] * (e[k - 1] > 0 ? reduced / e[k - 1] : 1);
        set_pivot(k, first);
    }

    void set_pivot(int k, Value value) {
        next.re.row(0)[k - 1] = real(k, k - 1) = value.real();
        if (complex) next.im.row(0)[k - 1] = imaginary(k, k - 1) = value.imag();
    }

    // Updates ROWS rows from i on to A - v w^H - w v^H, and adds their share, by symmetry also that of their columns,
    // to p += A next.
    template <int ROWS> void update(int i) {
        const int diagonal = i / W;
        double vr[ROWS], vi[ROWS], wr[ROWS], wi[ROWS], fr[ROWS], fi[ROWS];
        vec row[ROWS] = {}, row_im[ROWS] = {};
        for (int r = 0; r < ROWS; ++r) {
            vr[r] = v.re.row(0)[i + r], wr[r] = w.re.row(0)[i + r], fr[r] = next.re.row(0)[i + r];
            if (complex) vi[r] = v.im.row(0)[i + r], wi[r] = w.im.row(0)[i + r], fi[r] = next.im.row(0)[i + r];
        }
        const int stride = A.re.stride;
        Register<double>* re = &A.re.values[size_t(i) * stride];
        Register<double>* im = complex ? &A.im.values[size_t(i) * stride] : nullptr;
        const auto work = [&](int x, bool off_diagonal) {
            vec column = p.re.values[x].lanes, column_im = complex ? p.im.values[x].lanes : vec{};
            for (int r = 0; r < ROWS; ++r) {
                vec a = re[r * stride + x].lanes - vr[r] * w.re.values[x].lanes - wr[r] * v.re.values[x].lanes;
                if (complex) {
                    a -= vi[r] * w.im.values[x].lanes + wi[r] * v.im.values[x].lanes;
                    vec b = im[r * stride + x].lanes - vi[r] * w.re.values[x].lanes - wi[r] * v.re.values[x].lanes;
                    b += vr[r] * w.im.values[x].lanes + wr[r] * v.im.values[x].lanes;
                    im[r * stride + x].lanes = b;
                    column += fi[r] * b;
                    column_im += fi[r] * a - fr[r] * b;
                    if (off_diagonal) {
                        row[r] -= b * next.im.values[x].lanes;
                        row_im[r] += a * next.im.values[x].lanes + b * next.re.values[x].lanes;
                    }
                }
                re[r * stride + x].lanes = a;
                column += fr[r] * a;
                if (off_diagonal) row[r] += a * next.re.values[x].lanes;
            }
            p.re.values[x].lanes = column;
            if (complex) p.im.values[x].lanes = column_im;
        };
        for (int x = 0; x < diagonal; ++x) work(x, true);
        work(diagonal, false);
        for (int r = 0; r < ROWS; ++r) {
            p.re.row(0)[i + r] += sum(row[r]);
            if (complex) p.im.row(0)[i + r] += sum(row_im[r]);
        }
    }

    static Value inner_product(const Numbers& a, const Numbers& b, int end) {
        vec re = {}, im = {};
        for (int x = 0; x < end; ++x) {
            re += a.re.values[x].lanes * b.re.values[x].lanes;
            if (!complex) continue;
            re += a.im.values[x].lanes * b.im.values[x].lanes;
            im += a.re.values[x].lanes * b.im.values[x].lanes - a.im.values[x].lanes * b.re.values[x].lanes;
        }
        return {sum(re), sum(im)};
    }

    static double sum(vec x) {
        double total = 0;
        for (int i = 0; i < W; ++i) total += x[i];
        return total;
    }

    static constexpr int BLOCK = 2;  // vectors in each row of X

    // Turns eigenvectors X of D^H A D into those of A: X -= tau v v^H X for all reflections, from the first row to the
    // last.
    void reflect_back(Register<double>* X) const {
        int k = 2;
        for (; k + 2 <= n; k += 2) reflect_back<2>(k, X);
        if (k < n) reflect_back<1>(k, X);
    }

    // Two reflections at once read X half as often; the second one corrects for the first by v_2^H v_1.
    template <int COUNT> void reflect_back(int k, Register<double>* X) const {
        const int end = k + COUNT - 1;
        const double *v_re[COUNT], *v_im[COUNT];
        vec inner[COUNT][BLOCK] = {}, inner_im[COUNT][BLOCK] = {};
        for (int r = 0; r < COUNT; ++r) v_re[r] = A.re.row(k + r), v_im[r] = A.im.row(k + r);
        Register<double>* x = X;
        for (int i = 0; i < end; ++i, x += BLOCK * parts)
            for (int b = 0; b < BLOCK; ++b)
                for (int r = 0; r < COUNT; ++r) {
                    inner[r][b] += v_re[r][i] * x[b * parts].lanes;
                    if (!complex) continue;
                    inner[r][b] += v_im[r][i] * x[b * parts + 1].lanes;
                    inner_im[r][b] += v_re[r][i] * x[b * parts + 1].lanes;
                    inner_im[r][b] -= v_im[r][i] * x[b * parts].lanes;
                }
        for (int b = 0; b < BLOCK; ++b) {
            inner[0][b] *= tau[k], inner_im[0][b] *= tau[k];
            if (COUNT == 1) continue;
            const double re = coupling[k].real(), im = coupling[k].imag();
            inner[1][b] = tau[k + 1] * (inner[1][b] - re * inner[0][b] + im * inner_im[0][b]);
            inner_im[1][b] = tau[k + 1] * (inner_im[1][b] - re * inner_im[0][b] - im * inner[0][b]);
        }
        x = X;
        for (int i = 0; i < end; ++i, x += BLOCK * parts)
            for (int b = 0; b < BLOCK; ++b) {
                vec re = x[b * parts].lanes, im = complex ? x[b * parts + 1].lanes : vec{};
                for (int r = 0; r < COUNT; ++r) {
                    re -= v_re[r][i] * inner[r][b];
                    if (!complex) continue;
                    re += v_im[r][i] * inner_im[r][b];
                    im -= v_re[r][i] * inner_im[r][b] + v_im[r][i] * inner[r][b];
                }
                x[b * parts].lanes = re;
                if (complex) x[b * parts + 1].lanes = im;
            }
    }
};
