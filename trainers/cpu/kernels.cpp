// Convolution, activation and 2x2 max pooling for the CPU, in one pass over memory where PyTorch makes several; and the
// normalization of images.
//
// Why: the tensors before a pooling are the largest of a small network, so every pass over them that is saved counts.
// Measured on one thread against PyTorch's operations in the same order: 1.17 times the images per second for cnn in
// float32, 1.23 times in bf16, medians of five interleaved epochs (see trainers/cpu/pooling.py).
//
// All tensors are dense. Images (n, channels, height, width) float32; weights (channels * k * k, padded) and biases
// (padded) float32, `padded` being the output channels rounded up to LANES with zeros; everything pooled is channels
// last, (n, height, width, channels), in float32 or bfloat16. `which` says for each pooled value where it came from: 0
// to 3 in reading order, the first of equal ones as in PyTorch, and NOWHERE where ReLU cut it off: one byte, where
// PyTorch's index takes eight. `slopes` are the derivatives of other activations there. Both may be null where no
// gradient is asked for.

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int LANES = 16;
constexpr int NOWHERE = 4;

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

struct bfloat16 { uint16_t bits; };

// Reads and writes up to LANES values, by memcpy: channels do not begin at the alignment of a vector, and the last ones
// may not fill it (`count` is how many there are). For a whole vector it compiles to a single move.
template <class Vector> inline Vector get(const void* from, long count) {
    Vector values{};
    if (count >= LANES) std::memcpy(&values, from, sizeof(Vector));
    else std::memcpy(&values, from, count * sizeof(Vector) / LANES);
    return values;
}

template <class Vector> inline void put(void* to, Vector values, long count) {
    if (count >= LANES) std::memcpy(to, &values, sizeof(Vector));
    else std::memcpy(to, &values, count * sizeof(Vector) / LANES);
}

inline Floats load(const float* from, long count) { return get<Floats>(from, count); }
inline void store(float* to, Floats values, long count) { put(to, values, count); }

inline Floats load(const bfloat16* from, long count) {
    return (Floats)(__builtin_convertvector(get<Halves>(from, count), Words) << 16);
}

inline void store(bfloat16* to, Floats values, long count) {
    Words bits = (Words)values;
    bits += 0x7fff + ((bits >> 16) & 1);                       // rounds to nearest, ties to even
    bits = values == values ? bits : Words{} + 0x7fc00000;     // NaN stays NaN
    put(to, __builtin_convertvector(bits >> 16, Halves), count);
}

// Finds the largest of four values and where it stands; `here` is the first one on entry.
inline void largest(Floats& here, Ints& at, Floats second, Floats third, Floats fourth) {
    const Floats others[3] = {second, third, fourth};
    at = Ints{};
    for (int i = 0; i < 3; i++) {
        Ints more = (others[i] > here) | (others[i] != others[i]);  // NaN wins, as in PyTorch
        here = more ? others[i] : here;
        at = more ? Ints{} + (i + 1) : at;
    }
}

inline Floats constant(float value) { return Floats{} + value; }
inline Floats size(Floats x) { return x < 0.0f ? -x : x; }

// Computes e^x to the last digits of a float, as 2^n * e^r with |r| <= ln(2) / 2 and a polynomial (Cephes' expf). The C
// library's expf takes one value at a time and would keep the compiler from using vectors.
inline Floats exponential(Floats x) {
    x = x < -87.0f ? constant(-87.0f) : x;
    x = x > 89.0f ? constant(89.0f) : x;  // gives infinity
    const Floats n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // to the nearest whole number
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats sum = constant(1.9875691500e-4f);
    for (float term : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
        sum = sum * r + term;
    sum = sum * r * r + r + 1.0f;
    return sum * (Floats)((__builtin_convertvector(n, Ints) + 127) << 23);
}

inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + exponential(-x)); }

enum Activation { NONE, RELU, LEAKY_RELU, ELU, TANH, SILU, GELU };

// These fall and then rise, so the largest activation is that of the largest or of the smallest value.
inline bool is_valley(int activation) { return activation == SILU || activation == GELU; }

// Replaces x by its activation and returns the derivative there. alpha: the slope of LEAKY_RELU, the scale of ELU.
inline Floats activate(Floats& x, int activation, float alpha) {
    const Floats one = constant(1.0f);
    switch (activation) {
        case RELU: {  // not `x > 0`: NaN stays NaN
            const Ints off = x <= 0.0f;
            x = off ? Floats{} : x;
            return off ? Floats{} : one;
        }
        case LEAKY_RELU: {
            const Floats slope = x > 0.0f ? one : constant(alpha);
            x *= slope;
            return slope;
        }
        case ELU: {
            const Floats e = exponential(x);  // near 0, e - 1 would lose digits: there, the series of e^x - 1
            const Floats series = x * (one + x * (0.5f + x * (1 / 6.0f + x * (1 / 24.0f + x / 120.0f))));
            const Floats below = alpha * (x > -0.1f ? series : e - 1.0f);
            const Floats slope = x > 0.0f ? one : alpha * e;
            x = x > 0.0f ? x : below;
            return slope;
        }
        case TANH: {
            const Floats far = 1.0f - 2.0f / (1.0f + exponential(2.0f * x)), square = x * x;
            const Floats near = x * (one + square * (-1 / 3.0f + square * (2 / 15.0f - square * (17 / 315.0f))));
            x = size(x) < 0.2f ? near : far;
            return 1.0f - x * x;
        }
        case SILU: {
            const Floats s = sigmoid(x), slope = s * (1.0f + x * (1.0f - s));
            x *= s;
            return slope;
        }
        case GELU: {  // with the error function of Abramowitz and Stegun, 7.1.26
            const Floats z = size(x) * 0.70710678f, bell = exponential(-z * z), t = 1.0f / (1.0f + 0.3275911f * z);
            const Floats sum =
                t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
            const Floats tail = 0.5f * sum * bell, share = x < 0.0f ? tail : 1.0f - tail;
            const Floats slope = share + x * bell * 0.39894228f;
            x *= share;
            return slope;
        }
    }
    return one;
}

// The largest activation of four values (`best`), where it stands and its slope.
struct Chosen { Floats best; Ints at; Floats slope; };

inline Chosen choose(const Floats (&four)[4], Floats bias, int activation, float alpha) {
    Chosen high{four[0], Ints{}, Floats{}};
    largest(high.best, high.at, four[1], four[2], four[3]);
    high.best += bias;
    high.slope = activate(high.best, activation, alpha);
    if (is_valley(activation)) {
        Chosen low{-four[0], Ints{}, Floats{}};
        largest(low.best, low.at, -four[1], -four[2], -four[3]);
        low.best = bias - low.best;
        low.slope = activate(low.best, activation, alpha);
        const Ints higher = high.best >= low.best;  // NaN wins, as in PyTorch
        high = {higher ? high.best : low.best, higher ? high.at : low.at, higher ? high.slope : low.slope};
    }
    if (activation == RELU) high.at = high.slope == 0.0f ? Ints{} + NOWHERE : high.at;
    return high;
}

template <class T>
inline void write(const Chosen& chosen, size_t here, long count, T* pooled, uint8_t* which, T* slopes) {
    store(pooled + here, chosen.best, count);
    if (which) put(which + here, __builtin_convertvector(chosen.at, Bytes), count);
    if (slopes) store(slopes + here, chosen.slope, count);
}

inline Floats only(Ints at, int here, Floats values) { return at == here ? values : Floats{}; }

// One image with a border of zeros, so that the loops below need no test for the edge.
struct Padded {
    int channels, height, width, pad, rows, columns;
    std::vector<float> values;

    Padded(int channels, int height, int width, int pad)
        : channels(channels), height(height), width(width), pad(pad), rows(height + 2 * pad),
          columns(width + 2 * pad), values((size_t)channels * rows * columns) {}

    void take(const float* image) {
        for (int c = 0; c < channels; c++)
            for (int i = 0; i < height; i++)
                std::memcpy(&values[((size_t)c * rows + i + pad) * columns + pad],
                            image + ((size_t)c * height + i) * width, width * sizeof(float));
    }

    const float* at(int c, int i, int j) const { return &values[((size_t)c * rows + i) * columns + j]; }
};

// Convolves, activates and pools. The four sums of a pooling window stay in registers, and K is a template argument so
// that the loops over the kernel unroll: the convolution's output is never written.
template <int K, class T>
void conv_pool(const float* images, const float* weights, const float* biases, T* pooled, uint8_t* which, T* slopes,
               int n, int channels, int height, int width, int pad, int outputs, int activation, float alpha) {
    Padded image(channels, height, width, pad);
    const int rows = (image.rows - K + 1) / 2, columns = (image.columns - K + 1) / 2, down = image.columns;
    const int padded = (outputs + LANES - 1) / LANES * LANES;
    for (int s = 0; s < n; s++) {
        image.take(images + (size_t)s * channels * height * width);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
                for (int o = 0; o < outputs; o += LANES) {
                    Floats four[4]{};
                    for (int z = 0; z < channels; z++) {
                        const float* corner = image.at(z, 2 * i, 2 * j);
                        const float* weight = weights + (size_t)z * K * K * padded + o;
#pragma GCC unroll 8
                        for (int u = 0; u < K; u++)
#pragma GCC unroll 8
                            for (int v = 0; v < K; v++) {
                                const Floats w = get<Floats>(weight + (u * K + v) * padded, LANES);
                                const float* x = corner + u * down + v;
                                four[0] += w * x[0], four[1] += w * x[1];
                                four[2] += w * x[down], four[3] += w * x[down + 1];
                            }
                    }
                    const Chosen chosen = choose(four, get<Floats>(biases + o, LANES), activation, alpha);
                    const size_t here = (((size_t)s * rows + i) * columns + j) * outputs + o;
                    write(chosen, here, outputs - o, pooled, which, slopes);
                }
    }
}

// Adds to the gradients of weights and biases; the images get none. Of the four places of a window only one has a
// gradient, so no gradient of the convolution's output is written either.
template <int K, class T>
void conv_pool_backward(const float* images, const T* gradient, const uint8_t* which, const T* slopes, float* weights,
                        float* biases, int n, int channels, int height, int width, int pad, int outputs) {
    Padded image(channels, height, width, pad);
    const int rows = (image.rows - K + 1) / 2, columns = (image.columns - K + 1) / 2, down = image.columns;
    const int padded = (outputs + LANES - 1) / LANES * LANES;
    for (int s = 0; s < n; s++) {
        image.take(images + (size_t)s * channels * height * width);
        for (int o = 0; o < outputs; o += LANES)
            for (int z = 0; z < channels; z++) {
                Floats sums[K * K]{}, bias{};
                for (int i = 0; i < rows; i++)
                    for (int j = 0; j < columns; j++) {
                        const size_t here = (((size_t)s * rows + i) * columns + j) * outputs + o;
                        const Ints at = __builtin_convertvector(get<Bytes>(which + here, outputs - o), Ints);
                        Floats g = at == NOWHERE ? Floats{} : load(gradient + here, outputs - o);
                        if (slopes) g *= load(slopes + here, outputs - o);
                        const Floats a = only(at, 0, g), b = only(at, 1, g), c = only(at, 2, g), d = only(at, 3, g);
                        const float* corner = image.at(z, 2 * i, 2 * j);
                        bias += g;
#pragma GCC unroll 8
                        for (int u = 0; u < K; u++)
#pragma GCC unroll 8
                            for (int v = 0; v < K; v++) {
                                const float* x = corner + u * down + v;
                                sums[u * K + v] += a * x[0] + b * x[1] + c * x[down] + d * x[down + 1];
                            }
                    }
                for (int t = 0; t < K * K; t++) {
                    float* to = weights + ((size_t)z * K * K + t) * padded + o;
                    put(to, get<Floats>(to, LANES) + sums[t], LANES);
                }
                if (z == 0) put(biases + o, get<Floats>(biases + o, LANES) + bias, LANES);
            }
    }
}

// Activates and pools 2x2 windows.
template <class T>
void pool(const T* values, T* pooled, uint8_t* which, T* slopes, int n, int height, int width, int channels,
          int activation, float alpha) {
    const int rows = height / 2, columns = width / 2;
    const size_t down = (size_t)width * channels;
    for (int s = 0; s < n; s++)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
                for (int c = 0; c < channels; c += LANES) {
                    const int left = channels - c;
                    const T* from = values + ((size_t)s * height + 2 * i) * down + 2 * (size_t)j * channels + c;
                    const Floats four[4] = {load(from, left), load(from + channels, left), load(from + down, left),
                                            load(from + down + channels, left)};
                    const Chosen chosen = choose(four, Floats{}, activation, alpha);
                    const size_t here = (((size_t)s * rows + i) * columns + j) * channels + c;
                    write(chosen, here, left, pooled, which, slopes);
                }
}

// Writes the whole gradient of `values` in one pass, zeros included: PyTorch fills it with zeros first.
template <class T>
void pool_backward(const T* gradient, const uint8_t* which, const T* slopes, T* values, int n, int height, int width,
                   int channels) {
    const int rows = height / 2, columns = width / 2;
    const size_t down = (size_t)width * channels;
    for (int s = 0; s < n; s++) {
        T* image = values + (size_t)s * height * down;
        // An odd last row or column is in no window.
        if (height % 2) std::memset((void*)(image + (height - 1) * down), 0, down * sizeof(T));
        for (int i = 0; i < rows; i++) {
            T* row = image + 2 * i * down;
            if (width % 2)
                for (int half = 0; half < 2; half++)
                    std::memset((void*)(row + half * down + (width - 1) * (size_t)channels), 0, channels * sizeof(T));
            for (int j = 0; j < columns; j++)
                for (int c = 0; c < channels; c += LANES) {
                    const int left = channels - c;
                    const size_t here = (((size_t)s * rows + i) * columns + j) * channels + c;
                    const Ints at = __builtin_convertvector(get<Bytes>(which + here, left), Ints);
                    Floats g = load(gradient + here, left);
                    if (slopes) g *= load(slopes + here, left);
                    T* to = row + 2 * (size_t)j * channels + c;
                    store(to, only(at, 0, g), left);
                    store(to + channels, only(at, 1, g), left);
                    store(to + down, only(at, 2, g), left);
                    store(to + down + channels, only(at, 3, g), left);
                }
        }
    }
}

}  // namespace

// Normalizes the images with the given indices: bytes to float32 (n, channels, pixels), each as (byte - shift) * factor
// of its channel. The bytes are (m, channels, pixels), or (m, pixels, channels) where `is_last`.
extern "C" void normalize(const uint8_t* images, const int64_t* rows, float* normalized, const float* shift,
                          const float* factor, int64_t n, int64_t channels, int64_t pixels, int64_t is_last) {
    constexpr int64_t LINE = 64, FAR = 4096, AHEAD = 2;  // bytes that a cache reads at once, bytes to ask for, images
    const int64_t size = channels * pixels;
    for (int64_t s = 0; s < n; s++) {
        // Images of a shuffled batch lie anywhere: without this, each is waited for.
        const uint8_t* ahead = images + rows[s + AHEAD < n ? s + AHEAD : s] * size;
        for (int64_t at = 0; at < size && at < FAR; at += LINE) __builtin_prefetch(ahead + at);
        const uint8_t* image = images + rows[s] * size;
        for (int64_t c = 0; c < channels; c++) {
            float* to = normalized + (s * channels + c) * pixels;
            const float less = shift[c], times = factor[c];
            if (!is_last) {
                const uint8_t* from = image + c * pixels;
                for (int64_t i = 0; i < pixels; i++) to[i] = ((float)from[i] - less) * times;
            } else if (channels == 3) {  // a constant, so that the loop becomes one of vectors
                for (int64_t i = 0; i < pixels; i++) to[i] = ((float)image[3 * i + c] - less) * times;
            } else {
                for (int64_t i = 0; i < pixels; i++) to[i] = ((float)image[channels * i + c] - less) * times;
            }
        }
    }
}

#define CONV_POOL(K, T, NAME)                                                                                        \
    extern "C" void conv_pool_##K##_##NAME(const float* images, const float* weights, const float* biases,           \
                                           T* pooled, uint8_t* which, T* slopes, int n, int channels, int height,    \
                                           int width, int pad, int outputs, int activation, float alpha) {           \
        conv_pool<K>(images, weights, biases, pooled, which, slopes, n, channels, height, width, pad, outputs,       \
                     activation, alpha);                                                                             \
    }                                                                                                                \
    extern "C" void conv_pool_backward_##K##_##NAME(const float* images, const T* gradient, const uint8_t* which,    \
                                                    const T* slopes, float* weights, float* biases, int n,           \
                                                    int channels, int height, int width, int pad, int outputs) {     \
        conv_pool_backward<K>(images, gradient, which, slopes, weights, biases, n, channels, height, width, pad,     \
                              outputs);                                                                              \
    }

#define POOL(T, NAME)                                                                                                \
    extern "C" void pool_##NAME(const T* values, T* pooled, uint8_t* which, T* slopes, int n, int height, int width, \
                                int channels, int activation, float alpha) {                                         \
        pool(values, pooled, which, slopes, n, height, width, channels, activation, alpha);                          \
    }                                                                                                                \
    extern "C" void pool_backward_##NAME(const T* gradient, const uint8_t* which, const T* slopes, T* values, int n, \
                                         int height, int width, int channels) {                                      \
        pool_backward(gradient, which, slopes, values, n, height, width, channels);                                  \
    }

CONV_POOL(3, float, float32)
CONV_POOL(5, float, float32)
CONV_POOL(3, bfloat16, bfloat16)
CONV_POOL(5, bfloat16, bfloat16)
POOL(float, float32)
POOL(bfloat16, bfloat16)
