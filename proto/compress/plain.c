/* SPDX-License-Identifier: Apache-2.0 */
/* raw32 and bf16: every coordinate by itself, without a scale. */
#include "proto/compress/codec_ops.h"

/* Whether any of n numbers given by their upper 16 bits is infinite or not a number; without an
 * exit in the loop, so that it runs in vectors. */
#define ANY_INFINITE(n, upper_bits_of_i)                                                           \
    __extension__({                                                                                \
        uint32_t largest_ = 0;                                                                     \
        for (uint64_t i = 0; i < (n); i++) {                                                       \
            uint32_t exponent_ = (upper_bits_of_i)&0x7f80u;                                        \
            largest_ = exponent_ > largest_ ? exponent_ : largest_;                                \
        }                                                                                          \
        largest_ == 0x7f80u;                                                                       \
    })

static struct result not_finite(struct why *why)
{
    return failed(why, RESULT_INPUT, "a coordinate is not finite, or too large for the codec");
}

static struct result check_size(const struct codec_view *view, uint64_t want, struct why *why)
{
    if (view->payload_bytes != want)
        return failed(why, RESULT_INPUT, "the frame has %zu bytes of payload, not %llu",
                      view->payload_bytes, (unsigned long long)want);
    return DONE;
}

static uint64_t raw32_bytes(const struct codec *codec, uint64_t d)
{
    (void)codec;
    return 4 * d;
}

static struct result raw32_encode(const struct codec *codec, const unsigned char *seed, uint64_t d,
                                  const float *x, unsigned char *payload, struct why *why)
{
    (void)codec;
    (void)seed;
    if (ANY_INFINITE(d, float_bits(x[i]) >> 16))
        return not_finite(why);
    for (uint64_t i = 0; i < d; i++)
        store_f32(payload + 4 * i, x[i]);
    return DONE;
}

static struct result raw32_check(struct codec_view *view, struct why *why)
{
    TRY(check_size(view, 4 * view->d, why));
    if (ANY_INFINITE(view->d, load_u16(view->payload + 4 * i + 2)))
        return not_finite(why);
    return DONE;
}

static void raw32_decode(const struct codec_view *view, uint64_t block, size_t n, float *out,
                         const float *next)
{
    (void)next;
    const unsigned char *p = view->payload + 4 * block * CODEC_BLOCK;
    for (size_t i = 0; i < n; i++)
        out[i] = load_f32(p + 4 * i);
}

const struct codec_ops codec_raw32 = {
    .id = CODEC_RAW32,
    .magic = "RAW1",
    .payload_bytes = raw32_bytes,
    .encode = raw32_encode,
    .check = raw32_check,
    .decode_block = raw32_decode,
};

/* Upper half of the float, rounded to nearest, ties to even. */
static uint16_t to_bf16(float x)
{
    uint32_t bits = float_bits(x);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float from_bf16(uint16_t half)
{
    return bits_float((uint32_t)half << 16);
}

static uint64_t bf16_bytes(const struct codec *codec, uint64_t d)
{
    (void)codec;
    return 2 * d;
}

static struct result bf16_encode(const struct codec *codec, const unsigned char *seed, uint64_t d,
                                 const float *x, unsigned char *payload, struct why *why)
{
    (void)codec;
    (void)seed;
    if (ANY_INFINITE(d, float_bits(x[i]) >> 16) || ANY_INFINITE(d, (uint32_t)to_bf16(x[i])))
        return not_finite(why);
    for (uint64_t i = 0; i < d; i++)
        store_u16(payload + 2 * i, to_bf16(x[i]));
    return DONE;
}

static struct result bf16_check(struct codec_view *view, struct why *why)
{
    TRY(check_size(view, 2 * view->d, why));
    if (ANY_INFINITE(view->d, load_u16(view->payload + 2 * i)))
        return not_finite(why);
    return DONE;
}

static void bf16_decode(const struct codec_view *view, uint64_t block, size_t n, float *out,
                        const float *next)
{
    (void)next;
    const unsigned char *p = view->payload + 2 * block * CODEC_BLOCK;
    for (size_t i = 0; i < n; i++)
        out[i] = from_bf16(load_u16(p + 2 * i));
}

const struct codec_ops codec_bf16 = {
    .id = CODEC_BF16,
    .magic = "BFL1",
    .payload_bytes = bf16_bytes,
    .encode = bf16_encode,
    .check = bf16_check,
    .decode_block = bf16_decode,
};
