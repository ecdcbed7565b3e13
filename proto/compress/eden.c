/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eden-b: random rotation, Lloyd-Max levels, unbiased scale.
 *
 * Per block of B = 4096 (zero-padded), with D1, D2 random signs and H the Hadamard matrix:
 *   y = (1/sqrt B) H D2 (1/sqrt B) H D1 x          each coordinate nearly N(0, |y|^2/B)
 *   q = Lloyd-Max level of y sqrt(B)/|y|            b bits with the sign
 *   S = |y|^2 / <y, q>                              makes E[S q] = y over the rotations
 * decoded as x = D1 H D2 H (S q) / B. Vargaftik et al., "DRIVE" (2021) and "EDEN" (2022), eq. for
 * the unbiased scale; NMSE D_b/(1-D_b). Two rounds, because one leaves sparse blocks biased.
 *
 * Payload: per block f32 S, then B*b/8 bytes of codes. Signs of round r in block k: the ChaCha20
 * stream of the seed under the nonce u64 k || u32 r.
 */
#include "proto/compress/codec_ops.h"
#include "proto/compress/eden_kernel.h"

#include <math.h>
#include <sodium.h>

enum { MAX_ROUNDS = 2 };

#define MAX_NORM2 (CODEC_MAX_NORM * CODEC_MAX_NORM)
/* A block of smaller norm, 1e-30, is sent as zeros: its floats would lose precision on the way. */
#define TINY_NORM2 1e-60

static size_t block_bytes(unsigned bits)
{
    return 4 + CODEC_BLOCK / 8 * bits;
}

static uint64_t eden_bytes(const struct codec *codec, uint64_t d)
{
    return codec_blocks(d) * block_bytes(codec->bits);
}

static void draw_signs(const unsigned char *seed, uint64_t block, unsigned round,
                       unsigned char signs[EDEN_SIGN_BYTES])
{
    unsigned char nonce[crypto_stream_chacha20_IETF_NONCEBYTES];
    store_u64(nonce, block);
    store_u32(nonce + 8, round);
    crypto_stream_chacha20_ietf(signs, EDEN_SIGN_BYTES, nonce, seed);
}

struct encoder {
    const struct eden_kernel *kernel;
    const unsigned char *seed;
    unsigned bits, rounds;
    double norm2; /* of the blocks so far */
    struct eden_quantiser quantiser;
};

/* Rotated, unnormalised y is x sqrt(B)^rounds; `gain` takes that out of the scale. */
static void encode_block(struct encoder *e, uint64_t block, const float *x, const float *next,
                         unsigned char *out)
{
    _Alignas(64) float y[CODEC_BLOCK];
    unsigned char signs[MAX_ROUNDS][EDEN_SIGN_BYTES];
    for (unsigned r = 0; r < e->rounds; r++)
        draw_signs(e->seed, block, r, signs[r]);
    e->kernel->rotate(x, y, signs[0], e->rounds == 2 ? signs[1] : NULL, next);
    double gain = e->rounds == 2 ? CODEC_BLOCK : 64.0;
    double n2 = e->kernel->norm2(y);
    double block_norm2 = n2 / (gain * gain);
    e->norm2 += block_norm2;
    if (!(block_norm2 >= TINY_NORM2 && block_norm2 <= MAX_NORM2)) {
        memset(out, 0, block_bytes(e->bits));
        return;
    }
    float inverse = (float)(64.0 / sqrt(n2));
    double dot = e->kernel->quantise(y, inverse, e->bits, &e->quantiser, out + 4);
    store_f32(out, (float)(n2 * (double)inverse / (gain * dot)));
}

static struct result eden_encode(const struct codec *codec, const unsigned char *seed, uint64_t d,
                                 const float *x, unsigned char *payload, struct why *why)
{
    struct encoder e = {.kernel = eden_kernel(),
                        .seed = seed,
                        .bits = codec->bits,
                        .rounds = codec->rounds};
    eden_quantiser_init(codec->bits, &e.quantiser);
    float last[CODEC_BLOCK];
    size_t stride = block_bytes(codec->bits);
    for (uint64_t block = 0; block < codec_blocks(d); block++) {
        size_t n = codec_block_size(d, block);
        const float *from = x + block * CODEC_BLOCK;
        if (n < CODEC_BLOCK) {
            memcpy(last, from, n * sizeof *last);
            memset(last + n, 0, (CODEC_BLOCK - n) * sizeof *last);
            from = last;
        }
        encode_block(&e, block, from, n == CODEC_BLOCK ? from + CODEC_BLOCK : NULL,
                     payload + block * stride);
        if (!(e.norm2 <= MAX_NORM2))
            return failed(why, RESULT_INPUT, "the vector's norm exceeds %g by coordinate %llu",
                          CODEC_MAX_NORM, (unsigned long long)(block * CODEC_BLOCK + n - 1));
    }
    return DONE;
}

static struct result eden_check(struct codec_view *view, struct why *why)
{
    const struct codec *codec = &view->codec;
    if (!eden_bits_known(codec->bits))
        return failed(why, RESULT_INPUT, "the eden frame has %u bits a coordinate", codec->bits);
    if (codec->rounds < 1 || codec->rounds > MAX_ROUNDS)
        return failed(why, RESULT_INPUT, "the eden frame has %u rounds of rotation", codec->rounds);
    uint64_t want = eden_bytes(codec, view->d);
    if (view->payload_bytes != want)
        return failed(why, RESULT_INPUT, "the eden frame has %zu bytes of payload, not %llu",
                      view->payload_bytes, (unsigned long long)want);
    size_t stride = block_bytes(codec->bits);
    for (uint64_t block = 0; block < view->blocks; block++)
        TRY(codec_check_scale(load_f32(view->payload + block * stride), block, CODEC_BLOCK,
                              &view->max_norm2, why));
    return DONE;
}

/* Values of all codes: level and sign, times the scale with the rotations' gain taken out. */
static void fill_table(unsigned bits, float scale, float *table)
{
    const float *level = eden_levels(bits);
    unsigned n = 1u << (bits - 1);
    for (unsigned i = 0; i < n; i++) {
        table[i] = level[i] * scale;
        table[n + i] = -table[i];
    }
}

/* y is 64-byte aligned; next is where the next block will be. */
static void decode_full(const struct codec_view *view, uint64_t block, float scale, float *y,
                        const float *next)
{
    const struct eden_kernel *kernel = eden_kernel();
    unsigned bits = view->codec.bits, rounds = view->codec.rounds;
    _Alignas(64) float table[2 * EDEN_MAX_LEVELS];
    unsigned char signs[MAX_ROUNDS][EDEN_SIGN_BYTES];
    fill_table(bits, rounds == 2 ? scale / CODEC_BLOCK : scale / 64, table);
    for (unsigned r = 0; r < rounds; r++)
        draw_signs(view->seed, block, r, signs[r]);
    kernel->restore(view->payload + block * block_bytes(bits) + 4, bits, table, y, signs[0],
                    rounds == 2 ? signs[1] : NULL, next);
}

static void eden_decode(const struct codec_view *view, uint64_t block, size_t n, float *out,
                        const float *next)
{
    _Alignas(64) float y[CODEC_BLOCK];
    float scale = load_f32(view->payload + block * block_bytes(view->codec.bits));
    if (!(scale > 0)) {
        memset(out, 0, n * sizeof *out);
    } else if (n == CODEC_BLOCK && (uintptr_t)out % 64 == 0) {
        decode_full(view, block, scale, out, next);
    } else {
        decode_full(view, block, scale, y, next);
        memcpy(out, y, n * sizeof *out);
    }
}

const struct codec_ops codec_eden = {
    .id = CODEC_EDEN,
    .magic = "EDN1",
    .seeded = true,
    .payload_bytes = eden_bytes,
    .encode = eden_encode,
    .check = eden_check,
    .decode_block = eden_decode,
};
