// Factors and derivatives of many small matrices, in a warp or a part of one each. Every lane holds a column: sums
// along columns need no other lane, and entries of other columns come through shuffles. Several warps of a block divide
// the rows of the same matrices among them.
//
// The compiler is given N, the number of columns, at most 32, and COMPLEX, 0 or 1.

constexpr int ROUNDS = N % 2 ? N : N - 1;
constexpr int MATRICES = 32 / N;  // in a warp
constexpr int MAX_SWEEPS = 30, MAX_WARPS = 8;
// Columns whose cosine is below ROUNDING count as orthogonal. Jacobi converges quadratically: once all cosines are
// below LAST_SWEEP, one sweep brings them below ROUNDING.
constexpr double ROUNDING = 4e-16 * N, LAST_SWEEP = 1e-9;
constexpr float ROUNDING_SINGLE = 2e-7f * N, LAST_SWEEP_SINGLE = 1e-3f;
constexpr double RESOLUTION = 1.49e-8;  // as in reference.py
constexpr float SMALLEST = 1.18e-38f, LEAST_DIVISOR = 9.86e-32f;
constexpr unsigned ALL_LANES = 0xffffffff;

// A loop over rows or columns, unrolled so that arrays stay in registers.
#define UNROLLED(i) _Pragma("unroll") for (int i = 0; i < N; ++i)

template <typename T> __device__ T shuffle(T x, int lane) { return __shfl_sync(ALL_LANES, x, lane); }

#if COMPLEX
template <typename T> struct alignas(2 * sizeof(T)) Number { T re, im; };
template <typename T> __device__ Number<T> operator*(T s, Number<T> a) { return {s * a.re, s * a.im}; }
template <typename T> __device__ Number<T> operator*(Number<T> a, Number<T> b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
template <typename T> __device__ Number<T> operator+(Number<T> a, Number<T> b) { return {a.re + b.re, a.im + b.im}; }
template <typename T> __device__ Number<T> conj(Number<T> a) { return {a.re, -a.im}; }
template <typename T> __device__ Number<T> shuffle(Number<T> a, int lane) {
    return {shuffle(a.re, lane), shuffle(a.im, lane)};
}
template <typename T> __device__ T squared(Number<T> a) { return a.re * a.re + a.im * a.im; }
__device__ Number<double> to_double(Number<float> a) { return {a.re, a.im}; }
__device__ Number<float> to_single(Number<double> a) { return {float(a.re), float(a.im)}; }
#else
template <typename T> struct Number { T re; };
template <typename T> __device__ Number<T> operator*(T s, Number<T> a) { return {s * a.re}; }
template <typename T> __device__ Number<T> operator*(Number<T> a, Number<T> b) { return {a.re * b.re}; }
template <typename T> __device__ Number<T> operator+(Number<T> a, Number<T> b) { return {a.re + b.re}; }
template <typename T> __device__ Number<T> conj(Number<T> a) { return a; }
template <typename T> __device__ Number<T> shuffle(Number<T> a, int lane) { return {shuffle(a.re, lane)}; }
template <typename T> __device__ T squared(Number<T> a) { return a.re * a.re; }
__device__ Number<double> to_double(Number<float> a) { return {a.re}; }
__device__ Number<float> to_single(Number<double> a) { return {float(a.re)}; }
#endif
using Single = Number<float>;
using Double = Number<double>;

// The matrix and the column of a lane. Lanes without one repeat another's work, and write nothing.
struct Place {
    int lane, first, column;  // first: the lane of the first column
    int warp, warps;
    long long matrix;
    bool writes;

    __device__ explicit Place(long long batch) {
        lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
        const int group = lane / N;
        first = group < MATRICES ? group * N : 0;
        column = group < MATRICES ? lane - first : lane % N;
        matrix = (long long)blockIdx.x * MATRICES + first / N;
        writes = group < MATRICES && matrix < batch;
        matrix = matrix < batch ? matrix : batch - 1;
    }
};

// Returns the column that is paired with this one in a round. A sweep pairs each with all others; with an odd number of
// columns, one of each round is paired with itself.
__device__ int partner_of(int column, int round) {
    if (column >= ROUNDS) return round % 2 ? (round + ROUNDS) / 2 : round / 2;
    const int other = (round - column + ROUNDS) % ROUNDS;
    return other == column && N % 2 == 0 ? N - 1 : other;
}

template <typename T> __device__ T norm_squared(const Number<T> (&x)[N]) {
    T sum = 0;
    UNROLLED(i) sum += squared(x[i]);
    return sum;
}

// Rotates pairs of columns until all are orthogonal (one-sided Jacobi: Hestenes, J. SIAM 1958).
template <typename T> __device__ void orthogonalize(Number<T> (&x)[N], const Place& place, T rounding, T last_sweep) {
    bool more = true;
    for (int sweep = 0; sweep < MAX_SWEEPS && __any_sync(ALL_LANES, more); ++sweep) {
        T own = norm_squared(x);
        more = false;
        for (int round = 0; round < ROUNDS; ++round) {
            const int partner = partner_of(place.column, round), lane = place.first + partner;
            Number<T> inner[4] = {};
            UNROLLED(i) inner[i % 4] = inner[i % 4] + conj(x[i]) * shuffle(x[i], lane);
            // Both lanes use the product of the first, since rounding could let one rotate without the other.
            const bool first = place.column < partner;
            const int owner = first ? place.first + place.column : lane;
            Number<T> sum = shuffle((inner[0] + inner[1]) + (inner[2] + inner[3]), owner);
            if (!first) sum = conj(sum);
            const T other = shuffle(own, lane), product_squared = squared(sum);
            const bool rotates = partner != place.column && product_squared > rounding * rounding * own * other;
            more |= rotates && product_squared > last_sweep * last_sweep * own * other;
            // An angle in single precision leaves a ten-millionth of the product to the next sweep. Its sine and cosine
            // are in double precision, so that the rotation is orthogonal.
            const T inverse = rotates ? rsqrt(product_squared) : 0;
            const float slope = float((other - own) * (T(0.5) * inverse));
            const bool upwards = slope > 0 || (slope == 0 && first);
            const T tangent = rotates ? copysignf(1 / (fabsf(slope) + sqrtf(1 + slope * slope)), upwards ? 1 : -1) : 0;
            const T c = rsqrt(1 + tangent * tangent), s = c * tangent;
            const Number<T> factor = (-s * inverse) * conj(sum);
            UNROLLED(i) x[i] = c * x[i] + factor * shuffle(x[i], lane);
            own = c * c * own + s * s * other - 2 * c * s * (product_squared * inverse);
        }
    }
}

// The columns of all lanes, [row][lane].
using Shared = Double[N][32];

// Makes columns that are orthonormal to single precision orthonormal to double, by Newton's method for the polar
// factor.
__device__ void refine(Shared& v, const Place& place) {
    for (int step = 0; step < 2; ++step) {
        Double m[N] = {};
        for (int row = 0; row < N; ++row) {
            const Double own = v[row][place.lane];
            UNROLLED(i) m[i] = m[i] + conj(v[row][place.first + i]) * own;
        }
        UNROLLED(i) {
            m[i] = -0.5 * m[i];
            if (i == place.column) m[i].re += 1.5;
        }
        for (int row = 0; row < N; ++row) {
            Double sum = {};
            UNROLLED(i) sum = sum + v[row][place.first + i] * m[i];
            __syncwarp();
            v[row][place.lane] = sum;
            __syncwarp();
        }
    }
}

// Replaces the columns of a Hermitian matrix by its eigenvectors, and returns the eigenvalue of this lane. A shift
// makes all eigenvalues positive: they then are the norms of the columns, rotated until these are orthogonal, and the
// columns are the eigenvectors. Single precision brings them near, in a third of the time; double precision goes on
// from there.
__device__ double diagonalize(Double (&x)[N], Shared& matrix, Shared& start, const Place& place) {
    double size = 0, largest = 0;
    UNROLLED(i) size += sqrt(squared(x[i]));
    UNROLLED(j) {
        const double other = shuffle(size, place.first + j);
        largest = other <= largest ? largest : other;  // NaN stays
    }
    const double unit = largest == 0 ? 1 : largest, shift = 1.25;
    Single y[N];
    UNROLLED(i) {
        x[i] = (1 / unit) * x[i];
        if (i == place.column) x[i].re += shift;
        matrix[i][place.lane] = x[i];
        y[i] = to_single(x[i]);
    }
    orthogonalize(y, place, ROUNDING_SINGLE, LAST_SWEEP_SINGLE);
    const float inverse = rsqrt(norm_squared(y));
    UNROLLED(i) start[i][place.lane] = to_double(inverse * y[i]);
    __syncwarp();
    refine(start, place);
    UNROLLED(i) x[i] = {};
    for (int row = 0; row < N; ++row) {
        const Double own = start[row][place.lane];
        UNROLLED(i) x[i] = x[i] + matrix[i][place.first + row] * own;
    }
    orthogonalize(x, place, ROUNDING, LAST_SWEEP);
    const double length = sqrt(norm_squared(x));
    UNROLLED(i) x[i] = (1 / length) * x[i];
    return unit * (length - shift);
}

// Returns the number of the matrix's columns with a larger value.
__device__ int rank_of(double value, const Place& place) {
    int rank = 0;
    UNROLLED(j) {
        const double other = shuffle(value, place.first + j);
        rank += other > value || (!(other < value) && j < place.column);  // NaN keeps its place
    }
    return rank;
}

// Computes eigenvalues (batch, N), ascending, and eigenvectors as columns (batch, N, N) of Hermitian matrices (batch,
// N, N).
extern "C" __global__ void hermitian_eigen(
    const Double* A, double* values, Double* vectors, long long batch, long long
) {
    const Place place(batch);
    Double x[N];
    UNROLLED(i) x[i] = A[(place.matrix * N + i) * N + place.column];
    __shared__ Shared matrix, start;
    const double value = diagonalize(x, matrix, start, place);
    const int rank = N - 1 - rank_of(value, place);
    if (!place.writes) return;
    values[place.matrix * N + rank] = value;
    UNROLLED(i) vectors[(place.matrix * N + i) * N + rank] = x[i];
}

// Sums x over the warps, in a fixed order, so that rounding is always the same; `total` is [row][lane].
template <typename T> __device__ void sum_over_warps(Number<T> (&x)[N], Number<T> (&total)[N][32], const Place& place) {
    for (int warp = 0; warp < place.warps; ++warp) {
        if (warp == place.warp) UNROLLED(i) total[i][place.lane] = warp ? total[i][place.lane] + x[i] : x[i];
        __syncthreads();
    }
    UNROLLED(i) x[i] = total[i][place.lane];
}

// Computes U (batch, rows, N), S (batch, N) and Vh (batch, N, N) of matrices A (batch, rows, N), from the eigenvectors
// of A^H A.
extern "C" __global__ void gram_svd(
    const Single* __restrict__ A, Single* __restrict__ U, float* S, Single* Vh, long long batch, long long rows
) {
    const Place place(batch);
    __shared__ Shared columns, start;
    __shared__ double eigenvalues[32], partial_squares[MAX_WARPS][32];
    A += place.matrix * rows * N + place.column;
    Double x[N] = {};
#pragma unroll 4
    for (long long row = place.warp; row < rows; row += place.warps) {
        const Single a = A[row * N];
        UNROLLED(i) x[i] = x[i] + conj(to_double(shuffle(a, place.first + i))) * to_double(a);
    }
    sum_over_warps(x, columns, place);
    __syncthreads();
    if (place.warp == 0) {
        eigenvalues[place.lane] = diagonalize(x, columns, start, place);
        UNROLLED(i) columns[i][place.lane] = x[i];
    }
    __syncthreads();
    UNROLLED(i) x[i] = columns[i][place.lane];
    const int rank = rank_of(eigenvalues[place.lane], place);
    U += place.matrix * rows * N + rank;
    double squares = 0;
#pragma unroll 4
    for (long long row = place.warp; row < rows; row += place.warps) {
        const Single a = A[row * N];
        Double sum = {};
        UNROLLED(i) sum = sum + to_double(shuffle(a, place.first + i)) * x[i];
        squares += squared(sum);
        if (place.writes) U[row * N] = to_single(sum);
    }
    partial_squares[place.warp][place.lane] = squares;
    __syncthreads();
    squares = 0;
    for (int warp = 0; warp < place.warps; ++warp) squares += partial_squares[warp][place.lane];
    const double length = sqrt(squares);
    double largest = 0;
    UNROLLED(j) largest = fmax(largest, shuffle(length, place.first + j));
    const double least = fmax(RESOLUTION * largest, double(SMALLEST));
    const double norm = length < least ? least : length;  // NaN stays
    double value = norm;
    UNROLLED(j) {  // descending also where rounding decides
        const double other = shuffle(norm, place.first + j);
        if (shuffle(rank, place.first + j) < rank && other < value) value = other;
    }
    if (!place.writes) return;
    for (long long row = place.warp; row < rows; row += place.warps) U[row * N] = float(1 / value) * U[row * N];
    if (place.warp > 0) return;
    S[place.matrix * N + rank] = float(value);
    UNROLLED(i) Vh[(place.matrix * N + rank) * N + i] = conj(to_single(x[i]));
}

// Computes the derivative of Y = U f(S) V^H in the directions E (batch, rows, N), by the formula in derivatives.py, and
// Re diag(U^H E V) (batch, N); f (batch, N) and its divided differences (batch, N, N) are those at S.
extern "C" __global__ void first_derivative(
    const Single* __restrict__ U, const float* S, const Single* Vh, const float* f, const float* differences,
    const Single* __restrict__ E, Single* __restrict__ derivative, float* diagonal, long long batch, long long rows
) {
    const Place place(batch);
    __shared__ Single product[N][32];
    const int k = place.column;
    const long long start = place.matrix * rows * N + k;
    U += start, E += start, derivative += start;
    S += place.matrix * N, f += place.matrix * N, Vh += place.matrix * N * N, differences += place.matrix * N * N;

    Single basis[N], inner[N] = {};
    UNROLLED(i) basis[i] = conj(Vh[k * N + i]);
#pragma unroll 4
    for (long long row = place.warp; row < rows; row += place.warps) {
        const Single e = E[row * N], u = U[row * N];
        Single along = {};
        UNROLLED(i) along = along + shuffle(e, place.first + i) * basis[i];
        UNROLLED(i) inner[i] = inner[i] + conj(shuffle(u, place.first + i)) * along;
        if (place.writes) derivative[row * N] = along;
    }
    sum_over_warps(inner, product, place);
    if (place.writes && place.warp == 0) diagonal[place.matrix * N + k] = product[k][place.lane].re;

    const float unit = fmaxf(S[0], SMALLEST), s_k = S[k] / unit, h_k = f[k] / fmaxf(S[k], SMALLEST);
    UNROLLED(i) {
        const float s_i = S[i] / unit, h_i = shuffle(h_k, place.first + i), larger = fmaxf(s_i, s_k);
        const float divisor = fmaxf(larger * larger + s_i * s_k, LEAST_DIVISOR);
        const float slope = (differences[i * N + k] - (i > k ? h_i : h_k)) / divisor;
        inner[i] = (s_i * slope) * (s_i * inner[i] + s_k * conj(product[k][place.first + i]));
    }
    UNROLLED(i) basis[i] = Vh[i * N + k];
#pragma unroll 4
    for (long long row = place.warp; row < rows; row += place.warps) {
        const Single u = U[row * N];
        Single part = h_k * derivative[row * N], sum = {};
        UNROLLED(i) part = part + shuffle(u, place.first + i) * inner[i];
        UNROLLED(i) sum = sum + shuffle(part, place.first + i) * basis[i];
        if (place.writes) derivative[row * N] = sum;
    }
}
