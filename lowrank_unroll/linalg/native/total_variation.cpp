// A step towards the proximal map of total variation, by its dual problem, in single precision; the formulas are in
// prox/total_variation.py. One pass computes it, frame by frame, with some frames in the cache.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "call.hpp"

namespace {

constexpr int CHUNK = 64;  // values that are scaled at once

template <bool complex> struct Workspace {
    std::vector<float> primal, next_primal, before, zeros;

    Workspace(int64_t frame, int64_t row) : primal(frame), next_primal(frame), before(frame), zeros(row) {}
};

template <bool complex> struct Step {
    static constexpr int parts = complex ? 2 : 1;
    const float *series, *dual, *weights;
    float *result, *next_dual, step_size;
    int64_t batch, time, height, width;

    int64_t row() const { return width * parts; }
    int64_t frame() const { return height * row(); }
    int64_t part() const { return batch * time * frame(); }

    // Computes the frames from `first` to `last`, which count through all series.
    void advance(int64_t first, int64_t last) const {
        auto& [primal, next_primal, before, zeros] = thread_workspace<Workspace<complex>>(frame(), row());
        for (int64_t index = first; index < last; ++index) {
            const int64_t t = index % time;
            const bool has_next = t + 1 < time, is_shared = index == first && t > 0;
            if (is_shared) {  // another thread advances the frame before
                subtract_adjoint(index - 1, dual, nullptr, zeros.data(), next_primal.data());
                subtract_adjoint(index, dual, nullptr, zeros.data(), primal.data());
                ascend(0, index - 1, 0, frame(), next_primal.data(), primal.data(), before.data());
            } else if (t == 0) {
                subtract_adjoint(index, dual, nullptr, zeros.data(), primal.data());
            }
            if (has_next) subtract_adjoint(index + 1, dual, nullptr, zeros.data(), next_primal.data());
            ascend_frame(index, primal.data(), has_next ? next_primal.data() : primal.data());
            float* to = result + index * frame();
            subtract_adjoint(index, next_dual, is_shared ? before.data() : nullptr, zeros.data(), to);
            std::swap(primal, next_primal);
        }
    }

    // Writes a frame of v - D^H q. The part of q in time of the frame before is `before`, if given.
    void subtract_adjoint(
        int64_t index, const float* q, const float* before, const float* zeros, float* __restrict to
    ) const {
        const int64_t t = index % time, offset = index * frame(), length = row();
        for (int64_t y = 0; y < height; ++y, to += length) {
            const int64_t here = offset + y * length;
            const float* __restrict v = series + here;
            const float* __restrict in_time = t + 1 < time ? q + here : zeros;
            const float* __restrict earlier = t == 0 ? zeros : before ? before + y * length : q + here - frame();
            const float* __restrict in_height = y + 1 < height ? q + part() + here : zeros;
            const float* __restrict above = y > 0 ? q + part() + here - length : zeros;
            const float* __restrict in_width = q + 2 * part() + here;
            for (int64_t x = 0; x < length; ++x)
                to[x] = v[x] + (in_time[x] - earlier[x]) + (in_height[x] - above[x]);
            for (int64_t x = 0; x < length - parts; ++x) to[x] += in_width[x];
            for (int64_t x = parts; x < length; ++x) to[x] -= in_width[x - parts];
        }
    }

    // Advances all parts of the dual variable of a frame, from the frames of v - D^H q.
    void ascend_frame(int64_t index, const float* primal, const float* next_primal) const {
        ascend(0, index, 0, frame(), primal, next_primal, next_dual + index * frame());
        const int64_t length = row();
        for (int64_t y = 0; y < height; ++y, primal += length) {
            float* to = next_dual + part() + index * frame() + y * length;
            ascend(1, index, y * length, length, primal, y + 1 < height ? primal + length : primal, to);
            to += part();
            const int64_t last = length - parts;
            ascend(2, index, y * length, last, primal, primal + parts, to);
            ascend(2, index, y * length + last, parts, primal + last, primal + last, to + last);
        }
    }

    // Advances some values of part d of the dual variable, and scales them down to a magnitude of at most the weight.
    void ascend(
        int d, int64_t index, int64_t start, int64_t length, const float* __restrict primal,
        const float* __restrict next, float* __restrict to
    ) const {
        const float* __restrict q = dual + d * part() + index * frame() + start;
        const float weight = weights[d * batch + index / time], step = step_size;
        constexpr float tiny = std::numeric_limits<float>::min();  // for zeros
        for (int64_t x = 0; x < length; ++x) to[x] = q[x] + step * (next[x] - primal[x]);
        // The comparison has a loop of its own: GCC does not vectorize it in one with a root and a product.
        float factors[CHUNK];
        for (int64_t first = 0; first < length; first += CHUNK * parts, to += CHUNK * parts) {
            const int count = int(std::min<int64_t>(CHUNK, (length - first) / parts));
            for (int i = 0; i < count; ++i) {
                const float re = to[i * parts], im = complex ? to[i * parts + 1] : 0;
                factors[i] = weight / std::sqrt(re * re + im * im + tiny);
            }
            for (int i = 0; i < count; ++i) factors[i] = factors[i] > 1 ? 1 : factors[i];  // NaN stays
            for (int i = 0; i < count * parts; ++i) to[i] *= factors[i / parts];
        }
    }
};

template <bool complex> int advance(const Step<complex>& step, int64_t first, int64_t last) {
    return status_of([&] {
        step.advance(first, last);
        return true;
    });
}

}  // namespace

// Takes a step from series (batch, time, height, width) and dual variables (3, batch, time, height, width) with weights
// (3, batch), for the frames from `first` to `last` of batch * time. All are contiguous; complex numbers are pairs.
extern "C" int total_variation_real(
    const float* series, const float* dual, const float* weights, float* result, float* next_dual, float step_size,
    int64_t batch, int64_t time, int64_t height, int64_t width, int64_t first, int64_t last
) {
    const Step<false> step{series, dual, weights, result, next_dual, step_size, batch, time, height, width};
    return advance(step, first, last);
}

extern "C" int total_variation_complex(
    const float* series, const float* dual, const float* weights, float* result, float* next_dual, float step_size,
    int64_t batch, int64_t time, int64_t height, int64_t width, int64_t first, int64_t last
) {
    const Step<true> step{series, dual, weights, result, next_dual, step_size, batch, time, height, width};
    return advance(step, first, last);
}
