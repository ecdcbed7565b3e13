/* SPDX-License-Identifier: Apache-2.0 */
/* raw32 and bf16: every coordinate by itself, without a scale. */
#include "proto/compress/codec_ops.h"

#include <math.h>

static struct result not_finite(uint64_t coordinate, struct why *why)
{
    return failed(why, RESULT_INPUT, "coordinate %llu is not finite, or too large for the codec",
                  (unsigned long long)coordinate);
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
    for (uint64_t i = 0; i < d; i++) {
        if (!isfinite(x[i]))
            return not_finite(i, why);
        store_f32(payload + 4 * i, x[i]);
    }
    return DONE;
}

static struct result raw32_check(struct codec_view *view, struct why *why)
{
    TRY(check_size(view, 4 * view->d, why));
    for (uint64_t i = 0; i < view->d; i++)
        if (!isfinite(load_f32(view->payload + 4 * i)))
            return not_finite(i, why);
    return DONE;
}

static void raw32_decode(const struct codec_view *view, uint64_t block, size_t n, float *out)
{
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
    for (uint64_t i = 0; i < d; i++) {
        uint16_t half = to_bf16(x[i]);
        if (!isfinite(x[i]) || !isfinite(from_bf16(half)))
            return not_finite(i, why);
        store_u16(payload + 2 * i, half);
    }
    return DONE;
}

static struct result bf16_check(struct codec_view *view, struct why *why)
{
    TRY(check_size(view, 2 * view->d, why));
    for (uint64_t i = 0; i < view->d; i++)
        if (!isfinite(from_bf16(load_u16(view->payload + 2 * i))))
            return not_finite(i, why);
    return DONE;
}

static void bf16_decode(const struct codec_view *view, uint64_t block, size_t n, float *out)
{
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
