/* SPDX-License-Identifier: Apache-2.0 */
/*
 * int8b: per block a scale s = max|x| / 127 and one signed byte a coordinate, rounded up or down
 * at random so that E[s code] = x:  code = floor(x/s + u), u uniform in (0,1), 16 bits of it.
 * E err^2 <= s^2/4 a coordinate, hence NMSE <= n max^2 / (4 127^2 |x|^2) of a block of n (QSGD
 * with the max norm, Alistarh et al. 2017).
 *
 * Payload: per block f32 s, then n codes. u of block k: the ChaCha20 stream of the seed under
 * the nonce u64 k || u32 0.
 */
#include "proto/compress/codec_ops.h"

#include <math.h>
#include <sodium.h>

enum { GRID = 127 };

/* A block of smaller scale is sent as zeros: 1/scale must be finite. */
#define TINY 1e-37F

static uint64_t int8b_bytes(const struct codec *codec, uint64_t d)
{
    (void)codec;
    return 4 * codec_blocks(d) + d;
}

static uint64_t block_offset(uint64_t block)
{
    return block * (4 + CODEC_BLOCK);
}

/* Largest magnitude; not finite where a coordinate is not. Float bits order like numbers. */
static float largest(const float *x, size_t n)
{
    int32_t max = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t a = (int32_t)(float_bits(x[i]) & 0x7fffffff);
        max = a > max ? a : max;
    }
    return bits_float((uint32_t)max);
}

/* x is at most GRID scales and a rounding, so that of x/scale + u + GRID the whole part, 0 to 255,
 * is the code + GRID, but for 255. u + GRID is exact in a float, with u = (2 random + 1) / 2^17 in
 * the lower 17 bits of its significand. */
static void encode_block(const unsigned char *seed, uint64_t block, const float *x, size_t n,
                         float scale, unsigned char *code)
{
    unsigned char nonce[crypto_stream_chacha20_IETF_NONCEBYTES] = {0};
    unsigned char random[2 * CODEC_BLOCK];
    const uint32_t grid = float_bits(GRID);
    float inverse = 1 / scale;
    store_u64(nonce, block);
    crypto_stream_chacha20_ietf(random, 2 * n, nonce, seed);
    for (size_t i = 0; i < n; i++) {
        float sum = x[i] * inverse + bits_float(grid + 1 + 2 * load_u16(random + 2 * i));
        int whole = (int)sum;
        code[i] = (unsigned char)(whole - ((whole + 1) >> 8) - GRID);
    }
}

static struct result int8b_encode(const struct codec *codec, const unsigned char *seed, uint64_t d,
                                  const float *x, unsigned char *payload, struct why *why)
{
    (void)codec;
    double norm2 = 0;
    for (uint64_t block = 0; block < codec_blocks(d); block++) {
        size_t n = codec_block_size(d, block);
        const float *from = x + block * CODEC_BLOCK;
        unsigned char *to = payload + block_offset(block);
        float scale = largest(from, n) / GRID;
        if (scale < TINY)
            scale = 0;
        TRY(codec_check_scale(scale, block, (double)n * GRID * GRID, &norm2, why));
        store_f32(to, scale);
        if (scale > 0)
            encode_block(seed, block, from, n, scale, to + 4);
        else
            memset(to + 4, 0, n);
    }
    return DONE;
}

static struct result int8b_check(struct codec_view *view, struct why *why)
{
    uint64_t want = int8b_bytes(&view->codec, view->d);
    if (view->payload_bytes != want)
        return failed(why, RESULT_INPUT, "the int8b frame has %zu bytes of payload, not %llu",
                      view->payload_bytes, (unsigned long long)want);
    for (uint64_t block = 0; block < view->blocks; block++)
        TRY(codec_check_scale(load_f32(view->payload + block_offset(block)), block,
                              (double)codec_block_size(view->d, block) * GRID * GRID,
                              &view->max_norm2, why));
    return DONE;
}

static void int8b_decode(const struct codec_view *view, uint64_t block, size_t n, float *out,
                         const float *next)
{
    (void)next;
    const unsigned char *p = view->payload + block_offset(block);
    float scale = load_f32(p);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(signed char)p[4 + i] * scale;
}

const struct codec_ops codec_int8b = {
    .id = CODEC_INT8B,
    .magic = "I8B1",
    .seeded = true,
    .payload_bytes = int8b_bytes,
    .encode = int8b_encode,
    .check = int8b_check,
    .decode_block = int8b_decode,
};
