/* SPDX-License-Identifier: Apache-2.0 */
/*
 * randk-shared: of every block of n coordinates, k = ceil(n share / 4096) chosen by the seed
 * (uniformly, without repetition), decoded as n/k times the value sent; unbiased, NMSE n/k - 1.
 * Sites given one seed send the same coordinates, so robust rules compare like with like.
 *
 * Payload: u64 share in 4096ths, then per block its k values as f32, in the order drawn. Draws of
 * block b: the ChaCha20 stream of the seed under the nonce u64 b || u32 0, 32 bits each, mapped to
 * [0, m) by multiplication (off uniform by less than m / 2^32).
 */
#include "proto/compress/codec_ops.h"

#include <math.h>
#include <sodium.h>

static uint64_t share_of(const struct codec *codec)
{
    double share = floor(codec->keep * CODEC_BLOCK + 0.5);
    return share < 1 ? 1 : share > CODEC_BLOCK ? CODEC_BLOCK : (uint64_t)share;
}

static size_t kept_in(size_t n, uint64_t share)
{
    return (size_t)((n * share + CODEC_BLOCK - 1) / CODEC_BLOCK);
}

static uint64_t bytes_of(uint64_t share, uint64_t d)
{
    uint64_t full = d / CODEC_BLOCK;
    return 8 + 4 * (full * share + kept_in((size_t)(d % CODEC_BLOCK), share));
}

static uint64_t randk_bytes(const struct codec *codec, uint64_t d)
{
    return bytes_of(share_of(codec), d);
}

/* The first k of a random permutation of 0..n-1 (Fisher-Yates) in place[0..k). */
static void draw(const unsigned char *seed, uint64_t block, size_t n, size_t k, uint16_t *place)
{
    unsigned char nonce[crypto_stream_chacha20_IETF_NONCEBYTES] = {0};
    unsigned char random[4 * CODEC_BLOCK];
    store_u64(nonce, block);
    crypto_stream_chacha20_ietf(random, 4 * k, nonce, seed);
    for (size_t i = 0; i < n; i++)
        place[i] = (uint16_t)i;
    for (size_t i = 0; i < k; i++) {
        size_t j = i + (size_t)((uint64_t)load_u32(random + 4 * i) * (n - i) >> 32);
        uint16_t swap = place[i];
        place[i] = place[j];
        place[j] = swap;
    }
}

static struct result randk_encode(const struct codec *codec, const unsigned char *seed, uint64_t d,
                                  const float *x, unsigned char *payload, struct why *why)
{
    uint64_t share = share_of(codec);
    uint16_t place[CODEC_BLOCK];
    unsigned char *to = payload + 8;
    uint64_t over = codec_first_over(x, d, (float)CODEC_MAX_NORM);
    if (over < d)
        return failed(why, RESULT_INPUT,
                      "coordinate %llu is not finite, or too large for the codec",
                      (unsigned long long)over);
    store_u64(payload, share);
    for (uint64_t block = 0; block < codec_blocks(d); block++) {
        size_t n = codec_block_size(d, block), k = kept_in(n, share);
        draw(seed, block, n, k, place);
        for (size_t i = 0; i < k; i++, to += 4)
            store_f32(to, x[block * CODEC_BLOCK + place[i]]);
    }
    return DONE;
}

static struct result randk_check(struct codec_view *view, struct why *why)
{
    uint64_t share = view->payload_bytes < 8 ? 0 : load_u64(view->payload);
    if (share < 1 || share > CODEC_BLOCK)
        return failed(why, RESULT_INPUT, "the randk frame keeps %llu/%d of the coordinates",
                      (unsigned long long)share, CODEC_BLOCK);
    uint64_t want = bytes_of(share, view->d);
    if (view->payload_bytes != want)
        return failed(why, RESULT_INPUT, "the randk frame has %zu bytes of payload, not %llu",
                      view->payload_bytes, (unsigned long long)want);
    for (uint64_t at = 8; at < want; at += 4)
        if (!(fabsf(load_f32(view->payload + at)) <= (float)CODEC_MAX_NORM))
            return failed(why, RESULT_INPUT, "a value of the randk frame is not finite");
    view->kept = share;
    view->codec.keep = (double)share / CODEC_BLOCK;
    return DONE;
}

static void randk_decode(const struct codec_view *view, uint64_t block, size_t n, float *out,
                         const float *next)
{
    (void)next;
    uint16_t place[CODEC_BLOCK];
    size_t k = kept_in(n, view->kept);
    const unsigned char *from = view->payload + 8 + 4 * view->kept * block;
    float gain = (float)n / (float)k;
    draw(view->seed, block, n, k, place);
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < k; i++)
        out[place[i]] = load_f32(from + 4 * i) * gain;
}

const struct codec_ops codec_randk_shared = {
    .id = CODEC_RANDK_SHARED,
    .magic = "RDK1",
    .seeded = true,
    .payload_bytes = randk_bytes,
    .encode = randk_encode,
    .check = randk_check,
    .decode_block = randk_decode,
};
