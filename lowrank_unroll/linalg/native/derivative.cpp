// The first derivative of spectral functions of batches of small matrices, in single precision: the formula of
// derivatives.py.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "guarded.hpp"
#include "products.hpp"
#include "workspace.hpp"

namespace {

using Limits = std::numeric_limits<float>;

// From M = U^H E V to the matrix between U and V^H, in place.
template <bool complex>
void combine_divided_differences(Matrix<float, complex>& M, const float* S, const float* h, const float* differences, float* relative) {
    const int n = M.rows;
    for (int i = 0; i < n; ++i) relative[i] = S[i] / std::max(S[0], Limits::min());
    for (int i = 0; i < n; ++i)
        for (int j = 0; j <= i; ++j) {
            // S descends: of the pair, i is the smaller.
            const float divisor = relative[j] * relative[j] + relative[j] * relative[i];
            // Pairs of values that are both this small count as zeros, without overflow.
            const float least = Limits::min() / Limits::epsilon();
            const float weight = (differences[i * n + j] - h[i]) / std::max(divisor, least);
            float &a = M.re.row(i)[j], &b = M.re.row(j)[i];
            const float real = weight * (relative[i] * a + relative[j] * b);
            a = relative[i] * real;
            b = relative[j] * real;
            if (complex) {
                float &c = M.im.row(i)[j], &d = M.im.row(j)[i];
                const float imaginary = weight * (relative[i] * c - relative[j] * d);
                c = relative[i] * imaginary;
                d = -relative[j] * imaginary;
            }
        }
}

template <bool complex> struct Workspace {
    Matrix<float, complex> u, e, ev, result, v, vh, inner;
    std::vector<float> h, relative;

    Workspace(int m, int n) : u(m, n), e(m, n), ev(m, n), result(m, n), v(n, n), vh(n, n), inner(n, n), h(n), relative(n) {}
};

template <bool complex>
void differentiate(
    const float* U, const float* S, const float* Vh, const float* f, const float* differences, View<const float> E,
    int64_t batch_step, float* derivative, float* diagonal, int64_t batch, int m, int n
) {
    constexpr int parts = complex ? 2 : 1;
    auto& [u, e, ev, result, v, vh, inner, h, relative] = kept<Workspace<complex>>(m, n);
    for (int64_t index = 0; index < batch; ++index) {
        const View<const float> adjoint{Vh, n, 1, false};
        u.load(View<const float>{U, n, 1, false});
        e.load(View<const float>{E.values, E.row_step, E.column_step, E.conjugate});
        vh.load(adjoint);
        v.load(adjoint.transposed());
        ev.clear();
        multiply(e, v, ev);
        inner.clear();
        multiply_adjoint(u, ev, inner);
        for (int i = 0; i < n; ++i) {
            diagonal[i] = inner.re.row(i)[i];
            h[i] = S[i] > 0 ? f[i] / std::max(S[i], Limits::min()) : differences[i * n + i];
        }
        combine_divided_differences(inner, S, h.data(), differences, relative.data());
        scale_columns(ev, h.data());
        multiply(u, inner, ev);
        result.clear();
        multiply(ev, vh, result);
        result.store(derivative);
        U += m * n * parts, S += n, Vh += n * n * parts, f += n, differences += n * n;
        E.values += batch_step * parts, derivative += m * n * parts, diagonal += n;
    }
}

}  // namespace

// At matrices with factors U (batch, m, n), S (batch, n) and V^H (batch, n, n), for a function f (batch, n) with
// divided differences (batch, n, n): its derivative in the directions E (batch, m, n), whose entries are so many numbers apart,
// and Re diag(U^H E V) (batch, n). Complex numbers are pairs.
extern "C" int derivative_real(
    const float* U, const float* S, const float* Vh, const float* f, const float* differences,
    const float* E, int64_t batch_step, int64_t row_step, int64_t column_step, bool conjugate,
    float* derivative, float* diagonal, int64_t batch, int64_t m, int64_t n
) {
    return guarded([&] {
        differentiate<false>(U, S, Vh, f, differences, {E, row_step, column_step, conjugate}, batch_step, derivative,
                             diagonal, batch, int(m), int(n));
        return true;
    });
}

extern "C" int derivative_complex(
    const float* U, const float* S, const float* Vh, const float* f, const float* differences,
    const float* E, int64_t batch_step, int64_t row_step, int64_t column_step, bool conjugate,
    float* derivative, float* diagonal, int64_t batch, int64_t m, int64_t n
) {
    return guarded([&] {
        differentiate<true>(U, S, Vh, f, differences, {E, row_step, column_step, conjugate}, batch_step, derivative,
                            diagonal, batch, int(m), int(n));
        return true;
    });
}
