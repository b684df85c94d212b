// Eigenvalues and eigenvectors of one Hermitian matrix, whose rows are in vector registers; for those that are too
// large to have several at once in a cache.
//
// Householder reflections make a matrix tridiagonal, implicit QL iterations make that diagonal (Golub & Van Loan,
// Matrix Computations, 4th ed., 8.3). The rotations of the iterations, which are real, are kept until all are known,
// and then turn some columns after the other, which stay in the cache.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "scale.hpp"

namespace rows {

constexpr int W = 8;
typedef double vec __attribute__((vector_size(8 * W)));

struct Rotation { double sine, cosine; };
struct Sweep { int first, last; };  // of the rows that it turns

template <bool complex> struct Solver {
    using Value = std::complex<double>;
    int n, width, stride;  // in vectors; the stride is odd, or rows would share a few sets of the cache
    std::vector<vec> re, im;  // the matrix, both triangles; from the diagonal on, its rows become the reflections
    std::vector<vec> v_re, v_im, w_re, w_im, p_re, p_im, next_re, next_im, zero;
    std::vector<double> d, e, tau;
    std::vector<Value> phase;
    std::vector<Rotation> rotations;
    std::vector<Sweep> sweeps;
    std::vector<vec> Z;  // eigenvectors of the tridiagonal matrix, as rows
    std::vector<vec> X_re, X_im;

    explicit Solver(int n)
        : n(n), width((n + W - 1) / W), stride(width | 1), re(n * stride), im(complex ? n * stride : 0), v_re(width),
          v_im(width), w_re(width), w_im(width), p_re(width), p_im(width), next_re(width), next_im(width), zero(width),
          d(n), e(n), tau(n), phase(n), Z(n * stride),
          X_re(n * BLOCK), X_im(complex ? n * BLOCK : 0) {}

    double& real(int i, int j) { return reinterpret_cast<double*>(&re[i * stride])[j]; }
    double& imaginary(int i, int j) { return reinterpret_cast<double*>(&im[i * stride])[j]; }
    static double& at(std::vector<vec>& row, int j) { return reinterpret_cast<double*>(row.data())[j]; }
    Value entry(int i, int j) { return {real(i, j), complex ? imaginary(i, j) : 0}; }

    // Some rows of A - v w^H - w v^H, and p += numbers times their conjugates: columns of the Hermitian matrix.
    template <int ROWS> void update(int i, int start, const double* factor_re, const double* factor_im) {
        double vr[ROWS], vi[ROWS], wr[ROWS], wi[ROWS], fr[ROWS], fi[ROWS];
        for (int r = 0; r < ROWS; ++r) {
            vr[r] = at(v_re, i + r), vi[r] = at(v_im, i + r), wr[r] = at(w_re, i + r), wi[r] = at(w_im, i + r);
            fr[r] = factor_re[i + r], fi[r] = factor_im[i + r];
        }
        vec *row_re = &re[i * stride], *row_im = complex ? &im[i * stride] : nullptr;
        const vec *v = v_re.data(), *v_i = v_im.data(), *w = w_re.data(), *w_i = w_im.data();
        for (int x = start; x < width; ++x) {
            vec sum = p_re[x], sum_im = p_im[x];
            for (int r = 0; r < ROWS; ++r) {
                vec a = row_re[r * stride + x] - vr[r] * w[x] - wr[r] * v[x];
                if (complex) {
                    a -= vi[r] * w_i[x] + wi[r] * v_i[x];
                    vec b = row_im[r * stride + x] - vi[r] * w[x] - wi[r] * v[x];
                    b += vr[r] * w_i[x] + wr[r] * v_i[x];
                    row_im[r * stride + x] = b;
                    sum += fi[r] * b;
                    sum_im += fi[r] * a - fr[r] * b;
                }
                row_re[r * stride + x] = a;
                sum += fr[r] * a;
            }
            p_re[x] = sum;
            p_im[x] = sum_im;
        }
    }

    // Makes row k, right of the diagonal, the conjugate of the column below it: the reflection's vector.
    void reflect(int k) {
        double tail = 0;
        for (int j = k + 2; j < n; ++j) tail += std::norm(entry(k, j));
        const Value head = std::conj(entry(k, k + 1));
        const double size = std::abs(head), norm = std::sqrt(size * size + tail);
        const Value direction = size > 0 ? head / size : 1;
        // The reflection takes the column to -direction * norm; with nothing but zeros below, it is left out.
        const bool reflected = tail > NOTHING * NOTHING;
        const Value below = reflected ? -norm * direction : head, first = reflected ? head + norm * direction : 0;
        tau[k] = reflected ? 2 / (std::norm(first) + tail) : 0;
        e[k] = std::abs(below);
        phase[k + 1] = phase[k] * (e[k] > 0 ? below / e[k] : 1);
        real(k, k + 1) = first.real();
        if (complex) imaginary(k, k + 1) = -first.imag();
        std::fill(next_re.begin(), next_re.end(), vec{});
        std::fill(next_im.begin(), next_im.end(), vec{});
        for (int j = k + 1; j < n; ++j) {
            at(next_re, j) = real(k, j);
            if (complex) at(next_im, j) = imaginary(k, j) = -imaginary(k, j);
        }
    }

    void tridiagonalise() {
        phase[0] = 1;
        for (auto* row : {&v_re, &v_im, &w_re, &w_im, &p_re, &p_im}) std::fill(row->begin(), row->end(), vec{});
        for (int k = 0; k < n - 1; ++k) {
            update<1>(k, k / W, &at(zero, 0), &at(zero, 0));
            d[k] = real(k, k);
            reflect(k);
            std::fill(p_re.begin(), p_re.end(), vec{});
            std::fill(p_im.begin(), p_im.end(), vec{});
            const int start = (k + 1) / W;
            int i = k + 1;
            for (; i + 2 <= n; i += 2) update<2>(i, start, &at(next_re, 0), &at(next_im, 0));
            for (; i < n; ++i) update<1>(i, start, &at(next_re, 0), &at(next_im, 0));
            std::swap(v_re, next_re);
            std::swap(v_im, next_im);
            for (int j = start * W; j <= k; ++j) at(p_re, j) = at(p_im, j) = 0;
            double inner = 0;
            for (int j = k + 1; j < n; ++j) inner += at(v_re, j) * at(p_re, j) + at(v_im, j) * at(p_im, j);
            const double half = 0.5 * tau[k] * (tau[k] * inner);
            for (int x = 0; x < width; ++x) {
                w_re[x] = tau[k] * p_re[x] - half * v_re[x];
                w_im[x] = tau[k] * p_im[x] - half * v_im[x];
            }
        }
        update<1>(n - 1, (n - 1) / W, &at(zero, 0), &at(zero, 0));
        d[n - 1] = real(n - 1, n - 1);
        e[n - 1] = 0;
    }

    // The first negligible element below the diagonal, from l on.
    int end_of_block(int l) const {
        // Also negligible is what rounding of the largest part of the matrix, which is 1, far exceeds: without it, the
        // iterations dwell on the rounding errors that matrices of low rank are made of.
        const double epsilon = std::numeric_limits<double>::epsilon(), nothing = epsilon / 64;
        int m = l;
        while (m < n - 1 && !(std::abs(e[m]) <= epsilon * (std::abs(d[m]) + std::abs(d[m + 1])) + nothing)) ++m;
        return m;
    }

    void iterate(int l, int last) {
        const double slope = (d[l + 1] - d[l]) / (2 * e[l]), r = std::sqrt(slope * slope + 1);
        double g = d[last] - d[l] + e[l] / (slope + (slope < 0 ? -r : r));
        double s = 1, c = 1, shift = 0;
        for (int i = last - 1; i >= l; --i) {
            const double f = s * e[i], b = c * e[i], length = std::sqrt(f * f + g * g);
            e[i + 1] = i == last - 1 ? 0 : length;
            s = length > 0 ? f / length : 0;
            c = length > 0 ? g / length : 1;
            const double difference = d[i + 1] - shift, breadth = (d[i] - difference) * s + 2 * c * b;
            shift = s * breadth;
            d[i + 1] = difference + shift;
            g = c * breadth - b;
            rotations.push_back({s, c});
        }
        d[l] -= shift;
        e[l] = g;
        e[last] = 0;
        sweeps.push_back({l, last});
    }

    bool diagonalise() {
        rotations.clear();
        sweeps.clear();
        int iterations = 0;
        for (int l = 0; l < n; ++l)
            for (int last; (last = end_of_block(l)) > l;) {
                if (++iterations > 60 * n) return false;
                iterate(l, last);
            }
        return true;
    }

    template <int B> void turn(int x) {
        const Rotation* rotation = rotations.data();
        for (const Sweep& sweep : sweeps) {
            vec carried[B];
            for (int b = 0; b < B; ++b) carried[b] = Z[sweep.last * stride + x + b];
            for (int i = sweep.last - 1; i >= sweep.first; --i, ++rotation)
                for (int b = 0; b < B; ++b) {
                    const vec lower = Z[i * stride + x + b];
                    Z[(i + 1) * stride + x + b] = rotation->sine * lower + rotation->cosine * carried[b];
                    carried[b] = rotation->cosine * lower - rotation->sine * carried[b];
                }
            for (int b = 0; b < B; ++b) Z[sweep.first * stride + x + b] = carried[b];
        }
    }

    void rotate() {
        std::fill(Z.begin(), Z.end(), vec{});
        for (int i = 0; i < n; ++i) reinterpret_cast<double*>(&Z[i * stride])[i] = 1;
        int x = 0;
        for (; x + 4 <= width; x += 4) turn<4>(x);
        for (; x < width; ++x) turn<1>(x);
    }

    static constexpr int BLOCK = 2;  // vectors of eigenvectors that are reflected together

    // X -= tau v v^H X for all reflections, from the last to the first.
    void reflect_back() {
        for (int k = n - 3; k >= 0; --k) {
            // Twice as many sums as needed, for an addition waits for the last one.
            vec sum_re[BLOCK] = {}, sum_im[BLOCK] = {}, other_re[BLOCK] = {}, other_im[BLOCK] = {};
            for (int i = k + 1; i < n; ++i) {
                const double vr = real(k, i), vi = complex ? imaginary(k, i) : 0;
                for (int b = 0; b < BLOCK; ++b) {
                    sum_re[b] += vr * X_re[i * BLOCK + b];
                    if (complex) {
                        other_re[b] += vi * X_im[i * BLOCK + b];
                        sum_im[b] += vr * X_im[i * BLOCK + b];
                        other_im[b] -= vi * X_re[i * BLOCK + b];
                    }
                }
            }
            for (int b = 0; b < BLOCK; ++b) {
                sum_re[b] = tau[k] * (sum_re[b] + other_re[b]);
                sum_im[b] = tau[k] * (sum_im[b] + other_im[b]);
            }
            for (int i = k + 1; i < n; ++i) {
                const double vr = real(k, i), vi = complex ? imaginary(k, i) : 0;
                for (int b = 0; b < BLOCK; ++b) {
                    X_re[i * BLOCK + b] -= vr * sum_re[b];
                    if (complex) {
                        X_re[i * BLOCK + b] += vi * sum_im[b];
                        X_im[i * BLOCK + b] -= vr * sum_im[b] + vi * sum_re[b];
                    }
                }
            }
        }
    }

    // Eigenvectors of the matrix from those of the tridiagonal one, as columns.
    void store(double* vectors, const std::vector<int>& order) {
        const int columns = BLOCK * W, parts = complex ? 2 : 1;
        for (int start = 0; start < n; start += columns) {
            const int count = std::min(columns, n - start);
            for (int j = 0; j < count; ++j) {
                const double* z = reinterpret_cast<const double*>(&Z[order[start + j] * stride]);
                for (int i = 0; i < n; ++i) {
                    at(X_re, i * columns + j) = phase[i].real() * z[i];
                    if (complex) at(X_im, i * columns + j) = phase[i].imag() * z[i];
                }
            }
            reflect_back();
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < count; ++j) {
                    double* out = vectors + (int64_t(i) * n + start + j) * parts;
                    out[0] = at(X_re, i * columns + j);
                    if (complex) out[1] = at(X_im, i * columns + j);
                }
        }
    }
};

template <bool complex> bool solve(const double* A, double* values, double* vectors, int64_t batch, int n) {
    const int parts = complex ? 2 : 1;
    const int64_t size = int64_t(n) * n * parts;
    Solver<complex> solver(n);
    std::vector<int> order(n);
    for (int64_t index = 0; index < batch; ++index, A += size, values += n, vectors += size) {
        const double unit = unit_of(A, size);
        for (int i = 0; i < n; ++i)
            for (int j = 0; j <= i; ++j) {
                const double* entry = A + (i * n + j) * parts;
                solver.real(i, j) = solver.real(j, i) = entry[0] * unit;
                if (complex) {
                    solver.imaginary(i, j) = entry[1] * unit;
                    solver.imaginary(j, i) = -entry[1] * unit;
                }
            }
        if (complex) for (int i = 0; i < n; ++i) solver.imaginary(i, i) = 0;
        solver.tridiagonalise();
        if (!solver.diagonalise()) return false;
        solver.rotate();
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](int i, int j) { return solver.d[i] < solver.d[j]; });
        for (int j = 0; j < n; ++j) values[j] = solver.d[order[j]] / unit;
        solver.store(vectors, order);
    }
    return true;
}

}  // namespace rows
