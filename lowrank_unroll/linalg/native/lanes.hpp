// Vector registers of W numbers in double precision, one of each matrix that is computed at the same time.
//
// Code that computes in them must forbid the compiler to contract a product and a sum to one operation: GCC does so in
// registers of some widths and not of others, and the result of a matrix would depend on the size of its batch.
#pragma once

#include <cmath>

// GCC does not accept a template parameter as the size of a vector.
template <int W> struct Registers;
template <> struct Registers<8> {
    typedef double vec __attribute__((vector_size(64)));
    typedef long long mask __attribute__((vector_size(64)));
};
template <> struct Registers<4> {
    typedef double vec __attribute__((vector_size(32)));
    typedef long long mask __attribute__((vector_size(32)));
};
template <> struct Registers<2> {  // for single matrices, which would leave most of the others idle
    typedef double vec __attribute__((vector_size(16)));
    typedef long long mask __attribute__((vector_size(16)));
};

template <int W> struct Lanes : Registers<W> {
    using typename Registers<W>::vec;
    using typename Registers<W>::mask;

    static vec splat(double x) { vec r; for (int i = 0; i < W; ++i) r[i] = x; return r; }
    static mask splat_index(int x) { mask r; for (int i = 0; i < W; ++i) r[i] = x; return r; }
    static vec root(vec x) { vec r; for (int i = 0; i < W; ++i) r[i] = std::sqrt(x[i]); return r; }
    static vec magnitude(vec x) { return x < 0 ? -x : x; }
    static bool any(mask m) { long long r = 0; for (int i = 0; i < W; ++i) r |= m[i]; return r != 0; }
};
