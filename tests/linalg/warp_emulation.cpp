// Runs CUDA kernels on the CPU, with a thread for each of theirs: slow, but enough to check their results.
#include <barrier>
#include <cmath>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __restrict__
#define __shared__ static  // one block runs after the other

struct Index { unsigned x; };
thread_local Index threadIdx, blockIdx, blockDim;

struct Warp {
    std::barrier<> barrier{32};
    double values[32];

    template <typename F> auto exchange(double own, F&& read) {
        values[threadIdx.x % 32] = own;
        barrier.arrive_and_wait();
        const auto result = read();
        barrier.arrive_and_wait();
        return result;
    }
};

constexpr int WARPS_EMULATED = 8;
static Warp warps_emulated[WARPS_EMULATED];
static std::barrier<>* block_barrier;

inline Warp& own_warp() { return warps_emulated[threadIdx.x / 32]; }
template <typename T> T __shfl_sync(unsigned, T x, int lane) {
    Warp& warp = own_warp();
    return warp.exchange(double(x), [&] { return T(warp.values[lane % 32]); });
}
inline int __any_sync(unsigned, int predicate) {
    Warp& warp = own_warp();
    return warp.exchange(predicate, [&] {
        int any = 0;
        for (double value : warp.values) any |= value != 0;
        return any;
    });
}
inline void __syncwarp() { own_warp().barrier.arrive_and_wait(); }
inline void __syncthreads() { block_barrier->arrive_and_wait(); }
template <typename T> T rsqrt(T x) { return 1 / std::sqrt(x); }
using std::fabs, std::fmax, std::sqrt;

#include KERNELS

template <typename F> void launch(long long batch, int warps, F kernel) {
    std::barrier<> barrier(32 * warps);
    block_barrier = &barrier;
    const long long blocks = (batch + MATRICES - 1) / MATRICES;
    std::vector<std::jthread> threads;
    for (unsigned number = 0; number < unsigned(32 * warps); ++number)
        threads.emplace_back([=, &barrier] {
            threadIdx.x = number, blockDim.x = 32 * warps;
            for (unsigned block = 0; block < blocks; ++block) {
                blockIdx.x = block;
                kernel();
                barrier.arrive_and_wait();
            }
        });
}

extern "C" void emulate_hermitian_eigen(
    const Double* A, double* values, Double* vectors, long long batch, long long rows
) {
    launch(batch, 1, [=] { hermitian_eigen(A, values, vectors, batch, rows); });
}

extern "C" void emulate_gram_svd(
    int warps, const Single* A, Single* U, float* S, Single* Vh, long long batch, long long rows
) {
    launch(batch, warps, [=] { gram_svd(A, U, S, Vh, batch, rows); });
}

extern "C" void emulate_first_derivative(
    int warps, const Single* U, const float* S, const Single* Vh, const float* f, const float* differences,
    const Single* E, Single* derivative, float* diagonal, long long batch, long long rows
) {
    launch(batch, warps, [=] {
        first_derivative(U, S, Vh, f, differences, E, derivative, diagonal, batch, rows);
    });
}
