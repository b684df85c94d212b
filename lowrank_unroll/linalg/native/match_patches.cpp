// Block matching: finds the patches around each reference patch that are most similar to it.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "call.hpp"
#include "products.hpp"

namespace {

constexpr int W = Register<float>::W;
typedef float vec __attribute__((vector_size(4 * W)));
typedef int32_t ivec __attribute__((vector_size(4 * W)));
// A row of an image begins anywhere in memory.
typedef float unaligned __attribute__((vector_size(4 * W), aligned(4)));

constexpr float INFINITE = std::numeric_limits<float>::infinity();
constexpr int CHANNELS_BETWEEN_CHECKS = 4;
constexpr int ROWS_AT_ONCE = 16;  // rows of reference patches whose surroundings stay in the cache

inline vec load(const float* values) { return *reinterpret_cast<const unaligned*>(values); }

struct Grid {
    int channels, height, width, patch, stride, neighbors, radius;
    int rows, columns;  // of reference patches

    int first_pixel_row(int index) const { return std::min(index * stride, height - patch); }
};

// Some rows of an image, each split into one strip for each residue of the column modulo the stride: W reference
// patches, which lie a stride apart, then are one vector. Values beyond the image are infinite, so that no patch there
// is similar.
class Strips {
  public:
    explicit Strips(const Grid& grid)
        : grid(grid), margin((grid.radius + grid.stride - 1) / grid.stride + 1),
          length((grid.width + grid.patch) / grid.stride + 2 * margin + W + 1) {}

    void load_rows(const float* image, int first, int last) {
        top = first;
        height = last - first;
        values.assign(size_t(grid.channels) * height * grid.stride * length, INFINITE);
        for (int c = 0; c < grid.channels; ++c)
            for (int y = first; y < last; ++y) {
                const float* from = image + (int64_t(c) * grid.height + y) * grid.width;
                for (int residue = 0; residue < grid.stride; ++residue) {
                    float* to = strip(c, y, residue) + margin;
                    for (int x = residue; x < grid.width; x += grid.stride) *to++ = from[x];
                }
            }
    }

    // Returns W values from a column on, a stride apart.
    const float* at(int c, int y, int column) const {
        const int shifted = column + margin * grid.stride;
        return strip(c, y, shifted % grid.stride) + shifted / grid.stride;
    }

    int64_t step_of_rows() const { return int64_t(grid.stride) * length; }

  private:
    const Grid& grid;
    int margin, length, top = 0, height = 0;
    std::vector<float> values;

    float* strip(int c, int y, int residue) {
        return &values[((size_t(c) * height + (y - top)) * grid.stride + residue) * length];
    }
    const float* strip(int c, int y, int residue) const { return const_cast<Strips*>(this)->strip(c, y, residue); }
};

// The nearest patches of W reference patches so far, nearest first; equal ones in the order of insertion.
class Nearest {
  public:
    explicit Nearest(int count) : count(count), distances(count), positions(count) {}

    void reset(ivec self) {
        for (auto& distance : distances) distance.lanes = vec{} + INFINITE;
        for (auto& position : positions) position.lanes = self;
        distances[0].lanes = vec{} - 1;  // a reference patch comes first also among equal ones
    }

    // Most patches are not nearer than the last one kept: this check is cheaper than an insertion.
    bool improves(vec distance) const { return any(distance < distances[count - 1].lanes); }

    void insert(vec distance, ivec position) {
        ivec nearer = distance < distances[count - 1].lanes;
        for (int k = count - 1; k > 0; --k) {
            const vec before = distances[k - 1].lanes;
            const ivec shifts = distance < before;
            const vec inserted = shifts ? before : distance;
            const ivec inserted_position = shifts ? positions[k - 1].lanes : position;
            distances[k].lanes = nearer ? inserted : distances[k].lanes;
            positions[k].lanes = nearer ? inserted_position : positions[k].lanes;
            nearer = shifts;
        }
    }

    int32_t position(int k, int lane) const { return positions[k].lanes[lane]; }

  private:
    struct Positions { ivec lanes; };
    int count;
    std::vector<Register<float>> distances;
    std::vector<Positions> positions;

    static bool any(ivec mask) {
        typedef int64_t wide __attribute__((vector_size(4 * W)));
        const wide words = wide(mask);
        int64_t found = 0;
        for (int i = 0; i < W / 2; ++i) found |= words[i];
        return found != 0;
    }
};

class Matcher {
  public:
    explicit Matcher(const Grid& grid)
        : grid(grid), strips(grid), nearest(grid.neighbors),
          reference(size_t(grid.channels) * grid.patch * grid.patch) {}

    // Writes the matches of some rows of reference patches, (rows, columns, neighbors).
    void match(const float* image, int first_row, int last_row, int64_t* matches) {
        for (int start = first_row; start < last_row; start += ROWS_AT_ONCE) {
            const int end = std::min(start + ROWS_AT_ONCE, last_row);
            strips.load_rows(image, std::max(grid.first_pixel_row(start) - grid.radius, 0),
                             std::min(grid.first_pixel_row(end - 1) + grid.radius + grid.patch, grid.height));
            for (int row = start; row < end; ++row, matches += int64_t(grid.columns) * grid.neighbors)
                match_row(grid.first_pixel_row(row), matches);
        }
    }

  private:
    const Grid& grid;
    Strips strips;
    Nearest nearest;
    std::vector<Register<float>> reference;

    void match_row(int y, int64_t* matches) {
        // The last reference patch ends at the border, which may be less than a stride from the one before.
        const int last = grid.width - grid.patch, on_grid = last / grid.stride + 1;
        for (int column = 0; column < on_grid; column += W)
            match_lanes(y, column * grid.stride, std::min(W, on_grid - column), matches + column * grid.neighbors);
        if (on_grid < grid.columns) match_lanes(y, last, 1, matches + on_grid * grid.neighbors);
    }

    void match_lanes(int y, int x, int lanes, int64_t* matches) {
        ivec self{};
        for (int lane = 0; lane < W; ++lane) self[lane] = y * grid.width + x + lane * grid.stride;
        nearest.reset(self);
        Register<float>* values = reference.data();
        for (int c = 0; c < grid.channels; ++c)
            for (int j = 0; j < grid.patch; ++j)
                for (int i = 0; i < grid.patch; ++i) (values++)->lanes = load(strips.at(c, y + i, x + j));
        const int highest = std::max(-grid.radius, -y), lowest = std::min(grid.radius, grid.height - grid.patch - y);
        for (int down = highest; down <= lowest; ++down)
            for (int along = -grid.radius; along <= grid.radius; ++along)
                if (down != 0 || along != 0) compare(y + down, x + along, self + (down * grid.width + along));
        for (int lane = 0; lane < lanes; ++lane)
            for (int k = 0; k < grid.neighbors; ++k) *matches++ = nearest.position(k, lane);
    }

    void compare(int y, int x, ivec position) {
        vec distance{};
        const Register<float>* values = reference.data();
        for (int c = 0; c < grid.channels; ++c) {
            for (int j = 0; j < grid.patch; ++j) {
                const float* other = strips.at(c, y, x + j);
                for (int i = 0; i < grid.patch; ++i, other += strips.step_of_rows()) {
                    const vec difference = (values++)->lanes - load(other);
                    distance += difference * difference;
                }
            }
            // A sum of squares only grows: check now and then whether it is too large already.
            if (c % CHANNELS_BETWEEN_CHECKS == 0 && c > 0 && !nearest.improves(distance)) return;
        }
        if (nearest.improves(distance)) nearest.insert(distance, position);
    }
};

}  // namespace

// Computes the positions, row * width + column, of the patches that are nearest to each reference patch, (rows,
// columns, neighbors), in images (batch, channels, height, width), for `count` rows of reference patches from `first`
// on; rows are counted through all images.
extern "C" int match_patches_real(
    const float* images, int64_t channels, int64_t height, int64_t width, int64_t patch, int64_t stride,
    int64_t neighbors, int64_t radius, int64_t first, int64_t count, int64_t* matches
) {
    return status_of([&] {
        const auto references = [&](int64_t side) { return int((side - patch + stride - 1) / stride + 1); };
        const Grid grid{int(channels), int(height), int(width), int(patch), int(stride), int(neighbors), int(radius),
                        references(height), references(width)};
        Matcher matcher(grid);
        for (const int64_t last = first + count; first < last;) {
            const int64_t image = first / grid.rows, row = first % grid.rows;
            const int64_t end = std::min<int64_t>(grid.rows, row + last - first);
            matcher.match(images + image * channels * height * width, int(row), int(end), matches);
            matches += (end - row) * grid.columns * neighbors;
            first += end - row;
        }
        return true;
    });
}
