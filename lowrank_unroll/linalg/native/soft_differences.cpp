// Divided differences of max(s - threshold, 0), in single precision.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "call.hpp"

// Computes the divided differences (batch, n, n) of values S (batch, n) and thresholds (batch), each in [0, 1] also
// after rounding. Zeros count as the smallest positive number, so that without a threshold all differences are 1.
extern "C" int soft_differences_real(
    const float* S, const float* thresholds, float* differences, int64_t batch, int64_t n
) {
    constexpr float least = std::numeric_limits<float>::min();
    for (int64_t index = 0; index < batch; ++index, S += n, ++thresholds, differences += n * n)
        for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < n; ++j) {
                const float shrunk = std::max(std::max({S[i], S[j], least}) - *thresholds, 0.0f);
                // The smaller value of a pair is shrunk to 0, unless it is above the threshold, too: then this is 1 or
                // more.
                const float gap = std::max(std::abs(S[i] - S[j]), least);
                differences[i * n + j] = std::min(shrunk / gap, 1.0f);
            }
    return DONE;
}
