// Products of small dense matrices, whose rows are in vector registers; the parts of complex ones are kept apart.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

template <typename T> struct Register {
    static constexpr int W = 64 / sizeof(T);
    typedef T Lanes __attribute__((vector_size(64)));
    Lanes lanes;
};

// Rows of vectors; what is beyond the last row and column, up to whole blocks, is zero.
template <typename T> struct Plane {
    static constexpr int W = Register<T>::W, ROWS = 4;
    int width, stride;  // vectors in a row; those to the next are odd in number, or rows would share a few cache sets
    std::vector<Register<T>> values;

    Plane(int rows, int columns)
        : width((columns + W - 1) / W), stride(width | 1), values(size_t((rows + ROWS - 1) / ROWS * ROWS) * stride) {}

    T* row(int i) { return reinterpret_cast<T*>(&values[size_t(i) * stride]); }
    const T* row(int i) const { return reinterpret_cast<const T*>(&values[size_t(i) * stride]); }
    void clear() { std::fill(values.begin(), values.end(), Register<T>{}); }
};

// The left factor of a product, read by steps, so that it may be transposed.
template <typename T> struct Left {
    const T* values;
    int64_t row_step, column_step;
    int rows, columns;
};

template <int ROWS, int B, typename T>
void add_block(T sign, Left<T> A, int i, const Plane<T>& right, int x, Plane<T>& C) {
    typename Register<T>::Lanes sum[ROWS][B] = {};
    const T* a = A.values + i * A.row_step;
    const Register<T>* b = &right.values[x];
    for (int k = 0; k < A.columns; ++k, a += A.column_step, b += right.stride)
        for (int r = 0; r < ROWS; ++r)
            for (int c = 0; c < B; ++c) sum[r][c] += a[r * A.row_step] * b[c].lanes;
    Register<T>* out = &C.values[size_t(i) * C.stride + x];
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < B; ++c) out[r * C.stride + c].lanes += sign * sum[r][c];
}

// C += sign A B.
template <typename T> void add_product(T sign, Left<T> A, const Plane<T>& B, Plane<T>& C) {
    int x = 0;
    for (; x + 2 <= B.width; x += 2)
        for (int i = 0; i < A.rows; i += 4) add_block<4, 2>(sign, A, i, B, x, C);
    if (x < B.width)
        for (int i = 0; i < A.rows; i += 4) add_block<4, 1>(sign, A, i, B, x, C);
}

// Where the entries of a matrix are in memory: steps in numbers, of which complex ones are pairs.
template <typename T> struct View {
    T* values;
    int64_t row_step, column_step;
    bool conjugate;

    View transposed() const { return {values, column_step, row_step, !conjugate}; }
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
            // A step that the compiler knows lets it use vector registers.
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

    // Row after row, without gaps.
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
};

template <typename T> Left<T> plain(const Plane<T>& A, int rows, int columns) {
    return {A.row(0), A.stride * Plane<T>::W, 1, rows, columns};
}

template <typename T> Left<T> transposed(const Plane<T>& A, int rows, int columns) {
    return {A.row(0), 1, A.stride * Plane<T>::W, columns, rows};
}

// C += A B
template <typename T, bool complex>
void multiply(const Matrix<T, complex>& A, const Matrix<T, complex>& B, Matrix<T, complex>& C) {
    const Left<T> re = plain(A.re, A.rows, A.columns);
    add_product(T(1), re, B.re, C.re);
    if (!complex) return;
    const Left<T> im = plain(A.im, A.rows, A.columns);
    add_product(T(-1), im, B.im, C.re);
    add_product(T(1), re, B.im, C.im);
    add_product(T(1), im, B.re, C.im);
}

// C += A^H B
template <typename T, bool complex>
void multiply_adjoint(const Matrix<T, complex>& A, const Matrix<T, complex>& B, Matrix<T, complex>& C) {
    const Left<T> re = transposed(A.re, A.rows, A.columns);
    add_product(T(1), re, B.re, C.re);
    if (!complex) return;
    const Left<T> im = transposed(A.im, A.rows, A.columns);
    add_product(T(1), im, B.im, C.re);
    add_product(T(1), re, B.im, C.im);
    add_product(T(-1), im, B.re, C.im);
}

template <typename T, bool complex>
void scale_columns(Matrix<T, complex>& A, const T* factors) {
    for (int i = 0; i < A.rows; ++i) {
        for (int j = 0; j < A.columns; ++j) A.re.row(i)[j] *= factors[j];
        if (complex)
            for (int j = 0; j < A.columns; ++j) A.im.row(i)[j] *= factors[j];
    }
}
