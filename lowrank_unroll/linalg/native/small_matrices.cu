// Factors and derivatives of many small matrices, a warp for each or a part of one. Every lane holds a column, so that
// sums along columns need no other lane, and what is in other columns comes through shuffles. Several warps of a block
// share out the rows of the same matrices.
//
// N, the number of columns, at most 32, and COMPLEX, 0 or 1, are given when this is compiled.

constexpr int ROUNDS = N % 2 ? N : N - 1;
constexpr int MATRICES = 32 / N;  // of a warp
constexpr int SWEEPS = 30, MOST_WARPS = 8;
// Cosines of columns that count as orthogonal, and those of which a sweep leaves no more than that, about their squares.
constexpr double ROUNDING = 4e-16 * N, FAR = 1e-9;
constexpr float ROUNDING_SINGLE = 2e-7f * N, FAR_SINGLE = 1e-3f;
constexpr double RESOLUTION = 1.49e-8;  // as in decomposition.py
constexpr float SMALLEST = 1.18e-38f, LEAST_DIVISOR = 9.86e-32f;
constexpr unsigned EVERYONE = 0xffffffff;

// Unrolled, so that columns stay in registers.
#define EVERY(i) _Pragma("unroll") for (int i = 0; i < N; ++i)

template <typename T> __device__ T from(T x, int lane) { return __shfl_sync(EVERYONE, x, lane); }

#if COMPLEX
template <typename T> struct alignas(2 * sizeof(T)) Number { T re, im; };
template <typename T> __device__ Number<T> operator*(T s, Number<T> a) { return {s * a.re, s * a.im}; }
template <typename T> __device__ Number<T> operator*(Number<T> a, Number<T> b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
template <typename T> __device__ Number<T> operator+(Number<T> a, Number<T> b) { return {a.re + b.re, a.im + b.im}; }
template <typename T> __device__ Number<T> conj(Number<T> a) { return {a.re, -a.im}; }
template <typename T> __device__ Number<T> from(Number<T> a, int lane) { return {from(a.re, lane), from(a.im, lane)}; }
template <typename T> __device__ T squared(Number<T> a) { return a.re * a.re + a.im * a.im; }
__device__ Number<double> widened(Number<float> a) { return {a.re, a.im}; }
__device__ Number<float> narrowed(Number<double> a) { return {float(a.re), float(a.im)}; }
#else
template <typename T> struct Number { T re; };
template <typename T> __device__ Number<T> operator*(T s, Number<T> a) { return {s * a.re}; }
template <typename T> __device__ Number<T> operator*(Number<T> a, Number<T> b) { return {a.re * b.re}; }
template <typename T> __device__ Number<T> operator+(Number<T> a, Number<T> b) { return {a.re + b.re}; }
template <typename T> __device__ Number<T> conj(Number<T> a) { return a; }
template <typename T> __device__ Number<T> from(Number<T> a, int lane) { return {from(a.re, lane)}; }
template <typename T> __device__ T squared(Number<T> a) { return a.re * a.re; }
__device__ Number<double> widened(Number<float> a) { return {a.re}; }
__device__ Number<float> narrowed(Number<double> a) { return {float(a.re)}; }
#endif
using Single = Number<float>;
using Double = Number<double>;

// Which matrix and column a lane has. Lanes that are left over do as the others do, and write nothing.
struct Place {
    int lane, first, column;  // lane of the first column
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

// Which column meets this one in a round; all pairs meet once in a sweep, at most one has no partner but itself.
__device__ int partner_of(int column, int round) {
    if (column >= ROUNDS) return round % 2 ? (round + ROUNDS) / 2 : round / 2;
    const int other = (round - column + ROUNDS) % ROUNDS;
    return other == column && N % 2 == 0 ? N - 1 : other;
}

template <typename T> __device__ T norm_squared(const Number<T> (&x)[N]) {
    T sum = 0;
    EVERY(i) sum += squared(x[i]);
    return sum;
}

// Rotate pairs of columns until all are orthogonal (Hestenes, J. SIAM 1958).
template <typename T> __device__ void orthogonalise(Number<T> (&x)[N], const Place& place, T rounding, T far) {
    bool more = true;
    for (int sweep = 0; sweep < SWEEPS && __any_sync(EVERYONE, more); ++sweep) {
        T own = norm_squared(x);
        more = false;
        for (int round = 0; round < ROUNDS; ++round) {
            const int partner = partner_of(place.column, round), lane = place.first + partner;
            Number<T> inner[4] = {};
            EVERY(i) inner[i % 4] = inner[i % 4] + conj(x[i]) * from(x[i], lane);
            // Both take what the first has found, or rounding would let one turn without the other.
            const bool first = place.column < partner;
            Number<T> sum = from((inner[0] + inner[1]) + (inner[2] + inner[3]), first ? place.first + place.column : lane);
            if (!first) sum = conj(sum);
            const T other = from(own, lane), product_squared = squared(sum);
            const bool turns = partner != place.column && product_squared > rounding * rounding * own * other;
            more |= turns && product_squared > far * far * own * other;
            // An angle in single precision leaves a ten-millionth of the product, for later; of double precision are only
            // the sine and cosine that belong to it.
            const T inverse = turns ? rsqrt(product_squared) : 0;
            const float slope = float((other - own) * (T(0.5) * inverse));
            const bool upwards = slope > 0 || (slope == 0 && first);
            const T tangent = turns ? copysignf(1 / (fabsf(slope) + sqrtf(1 + slope * slope)), upwards ? 1 : -1) : 0;
            const T c = rsqrt(1 + tangent * tangent), s = c * tangent;
            const Number<T> turned = (-s * inverse) * conj(sum);
            EVERY(i) x[i] = c * x[i] + turned * from(x[i], lane);
            own = c * c * own + s * s * other - 2 * c * s * (product_squared * inverse);
        }
    }
}

// Columns of all lanes, [row][lane].
using Shared = Double[N][32];

// Make columns that are orthonormal to single precision orthonormal to double, by Newton's method for the polar factor.
__device__ void refine(Shared& v, const Place& place) {
    for (int step = 0; step < 2; ++step) {
        Double m[N] = {};
        for (int row = 0; row < N; ++row) {
            const Double own = v[row][place.lane];
            EVERY(i) m[i] = m[i] + conj(v[row][place.first + i]) * own;
        }
        EVERY(i) {
            m[i] = -0.5 * m[i];
            if (i == place.column) m[i].re += 1.5;
        }
        for (int row = 0; row < N; ++row) {
            Double sum = {};
            EVERY(i) sum = sum + v[row][place.first + i] * m[i];
            __syncwarp();
            v[row][place.lane] = sum;
            __syncwarp();
        }
    }
}

// Make the columns of a Hermitian matrix its eigenvectors, and return the eigenvalue. To the matrix is added what makes
// all eigenvalues positive: then they are the norms of columns that have been rotated until they are orthogonal, and
// the columns the eigenvectors. Single precision finds them nearly, in a third of the time.
__device__ double diagonalise(Double (&x)[N], Shared& matrix, Shared& nearly, const Place& place) {
    double size = 0, largest = 0;
    EVERY(i) size += sqrt(squared(x[i]));
    EVERY(j) {
        const double other = from(size, place.first + j);
        largest = other <= largest ? largest : other;  // NaN stays
    }
    const double unit = largest == 0 ? 1 : largest, shift = 1.25;
    Single y[N];
    EVERY(i) {
        x[i] = (1 / unit) * x[i];
        if (i == place.column) x[i].re += shift;
        matrix[i][place.lane] = x[i];
        y[i] = narrowed(x[i]);
    }
    orthogonalise(y, place, ROUNDING_SINGLE, FAR_SINGLE);
    const float inverse = rsqrt(norm_squared(y));
    EVERY(i) nearly[i][place.lane] = widened(inverse * y[i]);
    __syncwarp();
    refine(nearly, place);
    EVERY(i) x[i] = {};
    for (int row = 0; row < N; ++row) {
        const Double own = nearly[row][place.lane];
        EVERY(i) x[i] = x[i] + matrix[i][place.first + row] * own;
    }
    orthogonalise(x, place, ROUNDING, FAR);
    const double length = sqrt(norm_squared(x));
    EVERY(i) x[i] = (1 / length) * x[i];
    return unit * (length - shift);
}

// How many of a matrix's columns have a larger value.
__device__ int rank_of(double value, const Place& place) {
    int rank = 0;
    EVERY(j) {
        const double other = from(value, place.first + j);
        rank += other > value || (!(other < value) && j < place.column);  // NaN comes in its turn
    }
    return rank;
}

// Eigenvalues (batch, N), ascending, and eigenvectors as columns (batch, N, N) of Hermitian matrices (batch, N, N).
extern "C" __global__ void eigen(const Double* A, double* values, Double* vectors, long long batch, long long) {
    const Place place(batch);
    Double x[N];
    EVERY(i) x[i] = A[(place.matrix * N + i) * N + place.column];
    __shared__ Shared matrix, nearly;
    const double value = diagonalise(x, matrix, nearly, place);
    const int rank = N - 1 - rank_of(value, place);
    if (!place.writes) return;
    values[place.matrix * N + rank] = value;
    EVERY(i) vectors[(place.matrix * N + i) * N + rank] = x[i];
}

// Add up what each warp has, one after the other, so that rounding is always the same; ``total`` is [row][lane].
template <typename T> __device__ void add_up(Number<T> (&x)[N], Number<T> (&total)[N][32], const Place& place) {
    for (int turn = 0; turn < place.warps; ++turn) {
        if (turn == place.warp) EVERY(i) total[i][place.lane] = turn ? total[i][place.lane] + x[i] : x[i];
        __syncthreads();
    }
    EVERY(i) x[i] = total[i][place.lane];
}

// U (batch, rows, N), S (batch, N) and Vh (batch, N, N) of matrices A (batch, rows, N), from the eigenvectors of A^H A.
extern "C" __global__ void factors(
    const Single* __restrict__ A, Single* __restrict__ U, float* S, Single* Vh, long long batch, long long rows
) {
    const Place place(batch);
    __shared__ Shared columns, nearly;
    __shared__ double of_column[32], of_part[MOST_WARPS][32];
    A += place.matrix * rows * N + place.column;
    Double x[N] = {};
#pragma unroll 4
    for (long long row = place.warp; row < rows; row += place.warps) {
        const Single a = A[row * N];
        EVERY(i) x[i] = x[i] + conj(widened(from(a, place.first + i))) * widened(a);
    }
    add_up(x, columns, place);
    __syncthreads();
    if (place.warp == 0) {
        of_column[place.lane] = diagonalise(x, columns, nearly, place);
        EVERY(i) columns[i][place.lane] = x[i];
    }
    __syncthreads();
    EVERY(i) x[i] = columns[i][place.lane];
    const int rank = rank_of(of_column[place.lane], place);
    U += place.matrix * rows * N + rank;
    double squares = 0;
#pragma unroll 4
    for (long long row = place.warp; row < rows; row += place.warps) {
        const Single a = A[row * N];
        Double sum = {};
        EVERY(i) sum = sum + widened(from(a, place.first + i)) * x[i];
        squares += squared(sum);
        if (place.writes) U[row * N] = narrowed(sum);
    }
    of_part[place.warp][place.lane] = squares;
    __syncthreads();
    squares = 0;
    for (int warp = 0; warp < place.warps; ++warp) squares += of_part[warp][place.lane];
    const double length = sqrt(squares);
    double largest = 0;
    EVERY(j) largest = fmax(largest, from(length, place.first + j));
    const double least = fmax(RESOLUTION * largest, double(SMALLEST)), norm = length < least ? least : length;  // NaN stays
    double value = norm;
    EVERY(j) {  // descending also where rounding decides
        const double other = from(norm, place.first + j);
        if (from(rank, place.first + j) < rank && other < value) value = other;
    }
    if (!place.writes) return;
    for (long long row = place.warp; row < rows; row += place.warps) U[row * N] = float(1 / value) * U[row * N];
    if (place.warp > 0) return;
    S[place.matrix * N + rank] = float(value);
    EVERY(i) Vh[(place.matrix * N + rank) * N + i] = conj(narrowed(x[i]));
}

// The derivative of Y = U f(S) V^H in the directions E (batch, rows, N), as in derivatives.py, and the real diagonals
// (batch, N) of U^H E V; f (batch, N) and its divided differences (batch, N, N) at S.
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
    EVERY(i) basis[i] = conj(Vh[k * N + i]);
#pragma unroll 4
    for (long long row = place.warp; row < rows; row += place.warps) {
        const Single e = E[row * N], u = U[row * N];
        Single along = {};
        EVERY(i) along = along + from(e, place.first + i) * basis[i];
        EVERY(i) inner[i] = inner[i] + conj(from(u, place.first + i)) * along;
        if (place.writes) derivative[row * N] = along;
    }
    add_up(inner, product, place);
    if (place.writes && place.warp == 0) diagonal[place.matrix * N + k] = product[k][place.lane].re;

    const float unit = fmaxf(S[0], SMALLEST), s_k = S[k] / unit, h_k = f[k] / fmaxf(S[k], SMALLEST);
    EVERY(i) {
        const float s_i = S[i] / unit, h_i = from(h_k, place.first + i), larger = fmaxf(s_i, s_k);
        const float divisor = fmaxf(larger * larger + s_i * s_k, LEAST_DIVISOR);
        const float slope = (differences[i * N + k] - (i > k ? h_i : h_k)) / divisor;
        inner[i] = (s_i * slope) * (s_i * inner[i] + s_k * conj(product[k][place.first + i]));
    }
    EVERY(i) basis[i] = Vh[i * N + k];
#pragma unroll 4
    for (long long row = place.warp; row < rows; row += place.warps) {
        const Single u = U[row * N];
        Single part = h_k * derivative[row * N], sum = {};
        EVERY(i) part = part + from(u, place.first + i) * inner[i];
        EVERY(i) sum = sum + from(part, place.first + i) * basis[i];
        if (place.writes) derivative[row * N] = sum;
    }
}
