// The first derivative of spectral functions of batches of small matrices in single precision, by the formula in
// derivatives.py.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "call.hpp"
#include "products.hpp"

namespace {

using Limits = std::numeric_limits<float>;

// Turns M = U^H E V into S (K o (X + X^H)), X = S M, with K the divided differences of h(s^2) = f(s) / s.
template <bool complex>
void multiply_by_divided_differences(
    Matrix<float, complex>& M, const float* S, const float* h, const float* differences, float* relative
) {
    const int n = M.rows;
    for (int i = 0; i < n; ++i) relative[i] = S[i] / std::max(S[0], Limits::min());
    for (int i = 0; i < n; ++i)
        for (int j = 0; j <= i; ++j) {
            // S descends: s_i is the smaller of the pair.
            const float divisor = relative[j] * relative[j] + relative[j] * relative[i];
            // Two values below this count as zeros, so that nothing overflows.
            const float least = Limits::min() / Limits::epsilon();
            const float slope = (differences[i * n + j] - h[i]) / std::max(divisor, least);
            float &a = M.re.row(i)[j], &b = M.re.row(j)[i];
            const float real = slope * (relative[i] * a + relative[j] * b);
            a = relative[i] * real;
            b = relative[j] * real;
            if (complex) {
                float &c = M.im.row(i)[j], &d = M.im.row(j)[i];
                const float imaginary = slope * (relative[i] * c - relative[j] * d);
                c = relative[i] * imaginary;
                d = -relative[j] * imaginary;
            }
        }
}

template <bool complex> struct Workspace {
    Matrix<float, complex> u, e, ev, result, v, vh, inner;
    std::vector<float> h, relative;

    Workspace(int m, int n)
        : u(m, n), e(m, n), ev(m, n), result(m, n), v(n, n), vh(n, n), inner(n, n), h(n), relative(n) {}
};

template <bool complex>
void differentiate(
    const float* U, const float* S, const float* Vh, const float* f, const float* differences, View<const float> E,
    int64_t batch_step, float* derivative, float* diagonal, int64_t batch, int m, int n
) {
    constexpr int parts = complex ? 2 : 1;
    auto& [u, e, ev, result, v, vh, inner, h, relative] = thread_workspace<Workspace<complex>>(m, n);
    for (int64_t index = 0; index < batch; ++index) {
        const View<const float> right{Vh, n, 1, false};
        u.load(View<const float>{U, n, 1, false});
        e.load(View<const float>{E.values, E.row_step, E.column_step, E.conjugate});
        vh.load(right);
        v.load(right.adjoint());
        ev.clear();
        multiply(e, v, ev);
        inner.clear();
        multiply_adjoint(u, ev, inner);
        for (int i = 0; i < n; ++i) {
            diagonal[i] = inner.re.row(i)[i];
            h[i] = S[i] > 0 ? f[i] / std::max(S[i], Limits::min()) : differences[i * n + i];
        }
        multiply_by_divided_differences(inner, S, h.data(), differences, relative.data());
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

// Computes the derivative of U f(S) V^H in the directions E (batch, m, n), and Re diag(U^H E V) (batch, n), from U
// (batch, m, n), S (batch, n), V^H (batch, n, n), f (batch, n) and its divided differences (batch, n, n). The steps of
// E count numbers; complex ones are pairs.
extern "C" int first_derivative_real(
    const float* U, const float* S, const float* Vh, const float* f, const float* differences,
    const float* E, int64_t batch_step, int64_t row_step, int64_t column_step, bool conjugate,
    float* derivative, float* diagonal, int64_t batch, int64_t m, int64_t n
) {
    return status_of([&] {
        differentiate<false>(U, S, Vh, f, differences, {E, row_step, column_step, conjugate}, batch_step, derivative,
                             diagonal, batch, int(m), int(n));
        return true;
    });
}

extern "C" int first_derivative_complex(
    const float* U, const float* S, const float* Vh, const float* f, const float* differences,
    const float* E, int64_t batch_step, int64_t row_step, int64_t column_step, bool conjugate,
    float* derivative, float* diagonal, int64_t batch, int64_t m, int64_t n
) {
    return status_of([&] {
        differentiate<true>(U, S, Vh, f, differences, {E, row_step, column_step, conjugate}, batch_step, derivative,
                            diagonal, batch, int(m), int(n));
        return true;
    });
}
