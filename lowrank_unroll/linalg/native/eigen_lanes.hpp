// Eigenvalues and eigenvectors of many small Hermitian matrices, several at once in the lanes of vector registers.
//
// Householder reflections make a matrix tridiagonal, implicit QL iterations make that diagonal (Golub & Van Loan,
// Matrix Computations, 4th ed., 8.3; Bowdler, Martin, Reinsch & Wilkinson, Numer. Math. 11, 1968). The lanes go through
// the same steps; one that has converged is rotated by nothing: what becomes of a matrix does not depend on the others.
//
// Included once for each number of lanes, LANES, with a namespace for it, SEVERAL.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "scale.hpp"

namespace SEVERAL {

constexpr int W = LANES;
typedef double vec __attribute__((vector_size(8 * W)));
typedef long long mask __attribute__((vector_size(8 * W)));

inline vec splat(double x) { vec r; for (int i = 0; i < W; ++i) r[i] = x; return r; }
inline vec root(vec x) { vec r; for (int i = 0; i < W; ++i) r[i] = std::sqrt(x[i]); return r; }
inline vec magnitude(vec x) { return x < 0 ? -x : x; }
inline bool any(mask m) { long long r = 0; for (int i = 0; i < W; ++i) r |= m[i]; return r != 0; }

// Complex numbers in lanes; of real ones the imaginary part takes no room and no time.
template <bool complex> struct Number;
template <> struct Number<false> {
    vec re;
    static Number zero() { return {splat(0)}; }
};
template <> struct Number<true> {
    vec re, im;
    static Number zero() { return {splat(0), splat(0)}; }
};
using R = Number<false>;
using C = Number<true>;
inline R conj(R a) { return a; }
inline C conj(C a) { return {a.re, -a.im}; }
inline R operator+(R a, R b) { return {a.re + b.re}; }
inline C operator+(C a, C b) { return {a.re + b.re, a.im + b.im}; }
inline R operator-(R a, R b) { return {a.re - b.re}; }
inline C operator-(C a, C b) { return {a.re - b.re, a.im - b.im}; }
inline R operator*(R a, R b) { return {a.re * b.re}; }
inline C operator*(C a, C b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
inline R operator*(vec s, R a) { return {s * a.re}; }
inline C operator*(vec s, C a) { return {s * a.re, s * a.im}; }
inline vec squared(R a) { return a.re * a.re; }
inline vec squared(C a) { return a.re * a.re + a.im * a.im; }
inline R select(mask m, R a, R b) { return {m ? a.re : b.re}; }
inline C select(mask m, C a, C b) { return {m ? a.re : b.re, m ? a.im : b.im}; }
inline R one(R) { return {splat(1)}; }
inline C one(C) { return {splat(1), splat(0)}; }

template <bool complex> struct Solver {
    using N = Number<complex>;
    int n;
    std::vector<N> A, Q, v, p, phase;  // A: lower triangle, row major; Q: Q[column * n + row]
    std::vector<vec> d, e, tau;

    explicit Solver(int n) : n(n), A(n * n), Q(n * n), v(n), p(n), phase(n), d(n), e(n), tau(n) {}

    N& a(int i, int j) { return A[i * n + j]; }

    void tridiagonalise() {
        const N unit = one(N::zero());
        phase[0] = unit;
        for (int k = 0; k < n - 1; ++k) {
            d[k] = a(k, k).re;
            vec tail = splat(0);
            for (int i = k + 2; i < n; ++i) tail += squared(a(i, k));
            const N x0 = a(k + 1, k);
            const vec head = squared(x0);
            const vec norm = root(head + tail), size = root(head);
            const N direction = select(size > 0, (1 / (size > 0 ? size : splat(1))) * x0, unit);
            // The reflection takes the column to -direction * norm; with nothing but zeros below, it is left out.
            const mask reflected = tail > NOTHING * NOTHING;
            const N v0 = select(reflected, x0 + norm * direction, N::zero());
            const vec length = squared(v0) + tail;
            tau[k] = reflected ? 2 / (length > 0 ? length : splat(1)) : splat(0);
            const N below = select(reflected, (-norm) * direction, x0);
            const vec size_below = root(squared(below));
            e[k] = size_below;
            const N turn = select(size_below > 0, (1 / (size_below > 0 ? size_below : splat(1))) * below, unit);
            phase[k + 1] = phase[k] * turn;
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
            vec inner = splat(0);
            for (int i = first; i < n; ++i) { p[i] = tau[k] * p[i]; inner += (conj(v[i]) * p[i]).re; }
            const vec half = 0.5 * tau[k] * inner;
            for (int i = first; i < n; ++i) p[i] = p[i] - half * v[i];
            for (int i = first; i < n; ++i) {
                const N vi = v[i], wi = p[i];
                for (int j = first; j <= i; ++j) a(i, j) = a(i, j) - vi * conj(p[j]) - wi * conj(v[j]);
            }
        }
        d[n - 1] = a(n - 1, n - 1).re;
        e[n - 1] = splat(0);
    }

    // Q D, of which D makes the tridiagonal matrix real: the product of the reflections, from the last to the first.
    void accumulate() {
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

    bool diagonalise() {
        const double epsilon = std::numeric_limits<double>::epsilon();
        for (int l = 0; l < n; ++l) {
            for (int iteration = 0;; ++iteration) {
                // Of each lane, the first negligible element below the diagonal from l on.
                mask searching = splat(0) == splat(0), todo;
                mask last;
                for (int i = 0; i < W; ++i) last[i] = n - 1;
                int most = l;
                for (int m = l; m < n - 1 && any(searching); ++m) {
                    const mask small = magnitude(e[m]) <= epsilon * (magnitude(d[m]) + magnitude(d[m + 1])) + NOTHING;
                    const mask found = searching & small;
                    for (int i = 0; i < W; ++i) if (found[i]) last[i] = m;
                    searching &= ~small;
                }
                for (int i = 0; i < W; ++i) { todo[i] = last[i] > l ? -1 : 0; most = std::max<int>(most, last[i]); }
                if (!any(todo)) break;
                if (iteration == 60) return false;
                const vec slope = todo ? (d[l + 1] - d[l]) / (2 * e[l]) : splat(1);
                vec r = root(slope * slope + 1);
                vec dm;
                for (int i = 0; i < W; ++i) dm[i] = d[last[i]][i];
                vec g = dm - d[l] + (todo ? e[l] / (slope + (slope < 0 ? -r : r)) : splat(0));
                vec s = splat(1), c = splat(1), shift = splat(0);
                for (int i = most - 1; i >= l; --i) {
                    mask turned;
                    for (int lane = 0; lane < W; ++lane) turned[lane] = todo[lane] & (i < last[lane] ? -1 : 0);
                    const vec f = s * e[i], b = c * e[i];
                    const vec length = root(f * f + g * g);
                    const mask whole = length > 0;
                    const vec divisor = whole ? length : splat(1);
                    const vec sine = whole ? f / divisor : splat(0), cosine = whole ? g / divisor : splat(1);
                    mask lowest;
                    for (int lane = 0; lane < W; ++lane) lowest[lane] = i == last[lane] - 1 ? -1 : 0;
                    e[i + 1] = turned & ~lowest ? length : (turned & lowest ? splat(0) : e[i + 1]);
                    // Above a gap the next row begins anew.
                    const vec difference = d[i + 1] - shift;
                    const vec width = (d[i] - difference) * sine + 2 * cosine * b;
                    const vec step = sine * width;
                    d[i + 1] = turned ? difference + step : d[i + 1];
                    s = turned ? sine : s;
                    c = turned ? cosine : c;
                    shift = turned ? step : shift;
                    g = turned ? cosine * width - b : g;
                    const vec sr = turned ? sine : splat(0), cr = turned ? cosine : splat(1);
                    N *lower = &Q[i * n], *upper = &Q[(i + 1) * n];
                    for (int k = 0; k < n; ++k) {
                        const N above = upper[k];
                        upper[k] = sr * lower[k] + cr * above;
                        lower[k] = cr * lower[k] - sr * above;
                    }
                }
                d[l] = todo ? d[l] - shift : d[l];
                e[l] = todo ? g : e[l];
                for (int lane = 0; lane < W; ++lane) if (todo[lane]) e[last[lane]][lane] = 0;
            }
        }
        return true;
    }
};

inline void load(R& x, int lane, const double* value, double unit) { x.re[lane] = *value * unit; }
inline void load(C& x, int lane, const double* value, double unit) {
    x.re[lane] = value[0] * unit;
    x.im[lane] = value[1] * unit;
}
inline void store(double* value, const R& x, int lane) { *value = x.re[lane]; }
inline void store(double* value, const C& x, int lane) { value[0] = x.re[lane]; value[1] = x.im[lane]; }

template <bool complex> bool solve(const double* A, double* values, double* vectors, int64_t batch, int n) {
    const int parts = complex ? 2 : 1;
    const int64_t size = int64_t(n) * n * parts;
    Solver<complex> solver(n);
    std::vector<int> order(n);
    for (int64_t start = 0; start < batch; start += W) {
        vec unit;
        for (int lane = 0; lane < W; ++lane) {
            const double* matrix = A + std::min(start + lane, batch - 1) * size;
            unit[lane] = unit_of(matrix, size);
            for (int i = 0; i < n; ++i)
                for (int j = 0; j <= i; ++j) load(solver.a(i, j), lane, matrix + (i * n + j) * parts, unit[lane]);
        }
        solver.tridiagonalise();
        solver.accumulate();
        if (!solver.diagonalise()) return false;
        for (int lane = 0; lane < W && start + lane < batch; ++lane) {
            std::iota(order.begin(), order.end(), 0);
            std::sort(order.begin(), order.end(), [&](int i, int j) { return solver.d[i][lane] < solver.d[j][lane]; });
            double* out = vectors + (start + lane) * size;
            for (int j = 0; j < n; ++j) {
                values[(start + lane) * n + j] = solver.d[order[j]][lane] / unit[lane];
                for (int i = 0; i < n; ++i) store(out + (i * n + j) * parts, solver.Q[order[j] * n + i], lane);
            }
        }
    }
    return true;
}

}  // namespace SEVERAL
