// Products of small dense matrices, in vector registers; real and imaginary parts are separate.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

// Vectors wider than the registers of the processor are spilled to memory: ten times slower with AVX2.
#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

template <typename T> struct Register {
    static constexpr int W = BYTES / sizeof(T);
    typedef T Lanes __attribute__((vector_size(BYTES)));
    Lanes lanes;
};

// Rows of vectors, padded with zeros to whole blocks of rows and columns.
template <typename T> struct Plane {
    static constexpr int W = Register<T>::W, ROWS = 4;
    int width, stride;  // vectors in a row, and to the next one: an odd number, since rows would share a few cache sets
    std::vector<Register<T>> values;

    Plane(int rows, int columns)
        : width((columns + W - 1) / W), stride(width | 1), values(size_t((rows + ROWS - 1) / ROWS * ROWS) * stride) {}

    T* row(int i) { return reinterpret_cast<T*>(values.data() + size_t(i) * stride); }
    const T* row(int i) const { return reinterpret_cast<const T*>(values.data() + size_t(i) * stride); }
    void clear() { std::fill(values.begin(), values.end(), Register<T>{}); }
};

// The left factor of a product, read with steps, so that it may be an adjoint.
template <typename T, bool conjugate> struct Left {
    const T *re, *im;
    int64_t row_step, column_step;
    int rows, columns;
};

// The sums of a block of the product stay in registers; without AVX512 there are half as many.
constexpr int BLOCK_ROWS = 4, BLOCK_WIDTH = BYTES == 64 ? 2 : 1;

template <int WIDTH, bool complex, typename T, bool conjugate>
void add_block(
    Left<T, conjugate> A, int i, const Plane<T>& B_re, const Plane<T>& B_im, int x, Plane<T>& C_re, Plane<T>& C_im
) {
    typename Register<T>::Lanes re[BLOCK_ROWS][WIDTH] = {}, im[BLOCK_ROWS][WIDTH] = {};
    const int stride = B_re.stride;
    const T *a = A.re + i * A.row_step, *a_im = complex ? A.im + i * A.row_step : nullptr;
    const Register<T> *b = &B_re.values[x], *b_im = complex ? &B_im.values[x] : nullptr;
    for (int k = 0; k < A.columns; ++k, a += A.column_step, b += stride) {
        for (int r = 0; r < BLOCK_ROWS; ++r)
            for (int c = 0; c < WIDTH; ++c) {
                re[r][c] += a[r * A.row_step] * b[c].lanes;
                if (!complex) continue;
                im[r][c] += a[r * A.row_step] * b_im[c].lanes;
                const T imaginary = a_im[r * A.row_step];
                if (conjugate) {
                    re[r][c] += imaginary * b_im[c].lanes;
                    im[r][c] -= imaginary * b[c].lanes;
                } else {
                    re[r][c] -= imaginary * b_im[c].lanes;
                    im[r][c] += imaginary * b[c].lanes;
                }
            }
        if (complex) a_im += A.column_step, b_im += stride;
    }
    for (int r = 0; r < BLOCK_ROWS; ++r)
        for (int c = 0; c < WIDTH; ++c) {
            const size_t index = size_t(i + r) * C_re.stride + x + c;
            C_re.values[index].lanes += re[r][c];
            if (complex) C_im.values[index].lanes += im[r][c];
        }
}

// The entries of a matrix in memory; steps count numbers, of which complex ones are pairs.
template <typename T> struct View {
    T* values;
    int64_t row_step, column_step;
    bool conjugate;

    View adjoint() const { return {values, column_step, row_step, !conjugate}; }
};

template <typename T, bool complex> struct Matrix {
    static constexpr int parts = complex ? 2 : 1;
    int rows, columns;
    Plane<T> re, im;

    Matrix(int rows, int columns)
        : rows(rows), columns(columns), re(rows, columns), im(complex ? rows : 0, complex ? columns : 0) {}

    template <typename From> void load(View<From> view) {
        const From sign = view.conjugate ? -1 : 1;
        for (int i = 0; i < rows; ++i) {
            const auto* from = view.values + i * view.row_step * parts;
            // The compiler uses vector registers only for a step that it knows.
            if (view.column_step == 1) load_row(i, from, 1, sign);
            else load_row(i, from, view.column_step, sign);
        }
    }

    template <typename From> inline void load_row(int i, const From* from, int64_t step, From sign) {
        T *row = re.row(i), *row_im = complex ? im.row(i) : nullptr;
        for (int j = 0; j < columns; ++j) {
            row[j] = T(from[j * step * parts]);
            if (complex) row_im[j] = T(sign * from[j * step * parts + 1]);
        }
    }

    // Writes the adjoint, contiguous.
    template <typename To> void store_adjoint(To* to) const {
        for (int j = 0; j < columns; ++j)
            for (int i = 0; i < rows; ++i, to += parts) {
                to[0] = To(re.row(i)[j]);
                if (complex) to[1] = To(-im.row(i)[j]);
            }
    }

    // Writes the matrix, contiguous.
    template <typename To> void store(To* to) const {
        for (int i = 0; i < rows; ++i, to += columns * parts) {
            const T *row = re.row(i), *row_im = complex ? im.row(i) : nullptr;
            for (int j = 0; j < columns; ++j) {
                to[j * parts] = To(row[j]);
                if (complex) to[j * parts + 1] = To(row_im[j]);
            }
        }
    }

    void clear() {
        re.clear();
        im.clear();
    }

    void negate() {
        for (Plane<T>* plane : {&re, &im})
            for (Register<T>& entries : plane->values) entries.lanes = -entries.lanes;
    }
};

template <typename T, bool complex> Left<T, false> as_left(const Matrix<T, complex>& A) {
    return {A.re.row(0), A.im.row(0), A.re.stride * Plane<T>::W, 1, A.rows, A.columns};
}

template <typename T, bool complex> Left<T, true> adjoint_as_left(const Matrix<T, complex>& A) {
    return {A.re.row(0), A.im.row(0), 1, A.re.stride * Plane<T>::W, A.columns, A.rows};
}

// C += A B; of the rows from i on, only the first `columns(i)` columns are needed.
template <typename T, bool complex, bool conjugate, typename Columns>
void add_product(Left<T, conjugate> A, const Matrix<T, complex>& B, Matrix<T, complex>& C, Columns columns) {
    constexpr int W = Plane<T>::W;
    for (int x = 0; x < B.re.width; x += BLOCK_WIDTH)
        for (int i = 0; i < A.rows; i += BLOCK_ROWS) {
            if (x * W >= columns(i)) continue;
            if (x + BLOCK_WIDTH <= B.re.width) add_block<BLOCK_WIDTH, complex>(A, i, B.re, B.im, x, C.re, C.im);
            else add_block<1, complex>(A, i, B.re, B.im, x, C.re, C.im);
        }
}

// C += A B
template <typename T, bool complex>
void multiply(const Matrix<T, complex>& A, const Matrix<T, complex>& B, Matrix<T, complex>& C) {
    add_product(as_left(A), B, C, [&](int) { return B.columns; });
}

// C += A^H B
template <typename T, bool complex>
void multiply_adjoint(const Matrix<T, complex>& A, const Matrix<T, complex>& B, Matrix<T, complex>& C) {
    add_product(adjoint_as_left(A), B, C, [&](int) { return B.columns; });
}

// C += A^H A, its lower triangle at least.
template <typename T, bool complex> void add_gram(const Matrix<T, complex>& A, Matrix<T, complex>& C) {
    add_product(adjoint_as_left(A), A, C, [](int i) { return i + BLOCK_ROWS; });
}

template <typename T, bool complex>
void scale_columns(Matrix<T, complex>& A, const T* factors) {
    for (int i = 0; i < A.rows; ++i) {
        for (int j = 0; j < A.columns; ++j) A.re.row(i)[j] *= factors[j];
        if (complex)
            for (int j = 0; j < A.columns; ++j) A.im.row(i)[j] *= factors[j];
    }
}
