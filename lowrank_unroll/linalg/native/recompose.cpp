// Products U diag(f) V^H of batches of small matrices, in single precision.
#include <cstdint>
#include <vector>

#include "call.hpp"
#include "products.hpp"

namespace {

template <bool complex> struct Workspace {
    Matrix<float, complex> u, vh, result;
    std::vector<int> nonzero;

    Workspace(int m, int n) : u(m, n), vh(n, n), result(m, n) {}
};

template <bool complex>
void recompose(const float* U, const float* f, const float* Vh, float* result, int64_t batch, int m, int n) {
    constexpr int parts = complex ? 2 : 1;
    auto& [u, vh, product, nonzero] = thread_workspace<Workspace<complex>>(m, n);
    for (int64_t index = 0; index < batch; ++index, U += m * n * parts, f += n, Vh += n * n * parts) {
        // Thresholding makes most values exactly zero: skip their columns.
        nonzero.clear();
        for (int k = 0; k < n; ++k)
            if (f[k] != 0) nonzero.push_back(k);
        const int rank = int(nonzero.size());
        for (int i = 0; i < m; ++i)
            for (int k = 0; k < rank; ++k) {
                const float* entry = U + (int64_t(i) * n + nonzero[k]) * parts;
                u.re.row(i)[k] = f[nonzero[k]] * entry[0];
                if (complex) u.im.row(i)[k] = f[nonzero[k]] * entry[1];
            }
        for (int k = 0; k < rank; ++k) vh.load_row(k, Vh + int64_t(nonzero[k]) * n * parts, 1, 1.0f);
        product.clear();
        Left<float, false> left = as_left(u);
        left.columns = rank;
        add_product(left, vh, product, [&](int) { return n; });
        product.store(result);
        result += m * n * parts;
    }
}

}  // namespace

// Computes U diag(f) V^H (batch, m, n) from U (batch, m, n), f (batch, n) and V^H (batch, n, n). Complex numbers are
// pairs.
extern "C" int recompose_real(
    const float* U, const float* f, const float* Vh, float* result, int64_t batch, int64_t m, int64_t n
) {
    return status_of([&] {
        recompose<false>(U, f, Vh, result, batch, int(m), int(n));
        return true;
    });
}

extern "C" int recompose_complex(
    const float* U, const float* f, const float* Vh, float* result, int64_t batch, int64_t m, int64_t n
) {
    return status_of([&] {
        recompose<true>(U, f, Vh, result, batch, int(m), int(n));
        return true;
    });
}
