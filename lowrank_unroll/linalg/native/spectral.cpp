// Products U diag(f) V^H of batches of small matrices, in single precision.
#include <cstdint>
#include <vector>

#include "guarded.hpp"
#include "products.hpp"
#include "workspace.hpp"

namespace {

template <bool complex> struct Workspace {
    Matrix<float, complex> u, vh, result;
    std::vector<int> kept;

    Workspace(int m, int n) : u(m, n), vh(n, n), result(m, n) {}
};

template <bool complex>
void compose(const float* U, const float* f, const float* Vh, float* result, int64_t batch, int m, int n) {
    constexpr int parts = complex ? 2 : 1;
    auto& [u, vh, product, kept_columns] = kept<Workspace<complex>>(m, n);
    for (int64_t index = 0; index < batch; ++index, U += m * n * parts, f += n, Vh += n * n * parts) {
        // Shrunk values are exact zeros, often most of them.
        kept_columns.clear();
        for (int k = 0; k < n; ++k)
            if (f[k] != 0) kept_columns.push_back(k);
        const int rank = int(kept_columns.size());
        for (int i = 0; i < m; ++i)
            for (int k = 0; k < rank; ++k) {
                const float* entry = U + (int64_t(i) * n + kept_columns[k]) * parts;
                u.re.row(i)[k] = f[kept_columns[k]] * entry[0];
                if (complex) u.im.row(i)[k] = f[kept_columns[k]] * entry[1];
            }
        for (int k = 0; k < rank; ++k) vh.load_row(k, Vh + int64_t(kept_columns[k]) * n * parts, 1, 1.0f);
        product.clear();
        Left<float, false> left = plain(u);
        left.columns = rank;
        add_product(left, vh, product, [&](int) { return n; });
        product.store(result);
        result += m * n * parts;
    }
}

}  // namespace

// Of factors U (batch, m, n) and V^H (batch, n, n) and values f (batch, n); (batch, m, n). Complex numbers are pairs.
extern "C" int spectral_real(
    const float* U, const float* f, const float* Vh, float* result, int64_t batch, int64_t m, int64_t n
) {
    return guarded([&] {
        compose<false>(U, f, Vh, result, batch, int(m), int(n));
        return true;
    });
}

extern "C" int spectral_complex(
    const float* U, const float* f, const float* Vh, float* result, int64_t batch, int64_t m, int64_t n
) {
    return guarded([&] {
        compose<true>(U, f, Vh, result, batch, int(m), int(n));
        return true;
    });
}
