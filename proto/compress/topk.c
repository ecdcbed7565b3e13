/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topk-ef: the k coordinates of largest magnitude, ties to the lower position. Contraction
 * E|x - C(x)|^2 <= (1 - k/d) |x|^2 (Stich et al. 2018); biased, so only with error feedback.
 *
 * Payload: u64 k, per block u32 end (entries up to and with this block), k times u16 position in
 * its block (ascending in a block), k times f32 value.
 */
#include "proto/compress/codec_ops.h"

#include "proto/base/cleanup.h"

#include <float.h>
#include <math.h>

static uint64_t kept_of(const struct codec *codec, uint64_t d)
{
    double k = codec->keep < 1 ? floor(codec->keep * (double)d + 0.5) : codec->keep;
    return k < 1 ? 1 : k > (double)d ? d : (uint64_t)k;
}

static uint64_t bytes_of(uint64_t k, uint64_t d)
{
    return 8 + 4 * codec_blocks(d) + 6 * k;
}

static uint64_t topk_bytes(const struct codec *codec, uint64_t d)
{
    return bytes_of(kept_of(codec, d), d);
}

static uint32_t magnitude(float x)
{
    return float_bits(x) & 0x7fffffff;
}

/* Bin that holds the k-th largest of the counts, from the top; *k becomes its rank inside. */
static uint32_t bin_of_rank(const uint32_t *count, uint32_t bins, uint64_t *k)
{
    uint32_t bin = bins - 1;
    while (bin && count[bin] < *k)
        *k -= count[bin--];
    return bin;
}

enum { BINS = 1 << 16 };

/* The k-th largest magnitude as float bits (which order like the numbers), by two passes of 16
 * bits; *ties: how many of exactly that magnitude are kept. */
static uint32_t threshold(const float *x, uint64_t d, uint64_t k, uint32_t *count, uint64_t *ties)
{
    memset(count, 0, BINS * sizeof *count);
    for (uint64_t i = 0; i < d; i++)
        count[magnitude(x[i]) >> 16]++;
    uint32_t high = bin_of_rank(count, BINS, &k);
    memset(count, 0, BINS * sizeof *count);
    for (uint64_t i = 0; i < d; i++)
        if (magnitude(x[i]) >> 16 == high)
            count[magnitude(x[i]) & 0xffff]++;
    uint32_t low = bin_of_rank(count, BINS, &k);
    *ties = k;
    return high << 16 | low;
}

static void write_kept(const float *x, uint64_t d, uint64_t k, uint32_t cut, uint64_t ties,
                       unsigned char *payload)
{
    unsigned char *end = payload + 8, *position = end + 4 * codec_blocks(d);
    unsigned char *value = position + 2 * k;
    uint64_t at = 0;
    store_u64(payload, k);
    for (uint64_t i = 0; i < d; i++) {
        uint32_t m = magnitude(x[i]);
        if (m > cut || (m == cut && ties)) {
            ties -= m == cut;
            store_u16(position + 2 * at, (uint16_t)(i % CODEC_BLOCK));
            store_f32(value + 4 * at, x[i]);
            at++;
        }
        store_u32(end + 4 * (i / CODEC_BLOCK), (uint32_t)at);
    }
}

static struct result topk_encode(const struct codec *codec, const unsigned char *seed, uint64_t d,
                                 const float *x, unsigned char *payload, struct why *why)
{
    (void)seed;
    uint64_t over = codec_first_over(x, d, FLT_MAX);
    if (over < d)
        return failed(why, RESULT_INPUT, "coordinate %llu is not finite", (unsigned long long)over);
    CLEANUP(free_pointer) uint32_t *count = malloc(BINS * sizeof *count);
    if (!count)
        return failed(why, RESULT_SYSTEM, "no memory to sort an update");
    uint64_t k = kept_of(codec, d), ties;
    uint32_t cut = threshold(x, d, k, count, &ties);
    write_kept(x, d, k, cut, ties, payload);
    return DONE;
}

/* Where the parts of a checked payload lie. */
struct entries {
    const unsigned char *end, *position, *value;
};

static struct entries entries_of(const struct codec_view *view)
{
    const unsigned char *end = view->payload + 8;
    const unsigned char *position = end + 4 * view->blocks;
    return (struct entries){end, position, position + 2 * view->kept};
}

/* Entries [*from, *to) of a block. */
static void block_entries(const struct entries *e, uint64_t block, uint64_t *from, uint64_t *to)
{
    *from = block ? load_u32(e->end + 4 * (block - 1)) : 0;
    *to = load_u32(e->end + 4 * block);
}

static struct result check_block(const struct codec_view *view, const struct entries *e,
                                 uint64_t block, struct why *why)
{
    uint64_t from, to;
    size_t size = codec_block_size(view->d, block);
    block_entries(e, block, &from, &to);
    if (to < from || to > view->kept || (block + 1 == view->blocks && to != view->kept))
        return failed(why, RESULT_INPUT, "the topk frame's counts do not add up at block %llu",
                      (unsigned long long)block);
    uint32_t least = 0;
    for (uint64_t i = from; i < to; i++) {
        uint32_t position = load_u16(e->position + 2 * i);
        if (position < least || position >= size)
            return failed(why, RESULT_INPUT, "the topk frame's positions are out of order");
        if (!isfinite(load_f32(e->value + 4 * i)))
            return failed(why, RESULT_INPUT, "value %llu of the topk frame is not finite",
                          (unsigned long long)i);
        least = position + 1;
    }
    return DONE;
}

static struct result topk_check(struct codec_view *view, struct why *why)
{
    uint64_t k = view->payload_bytes < 8 ? 0 : load_u64(view->payload);
    if (k < 1 || k > view->d)
        return failed(why, RESULT_INPUT, "the topk frame keeps %llu of %llu coordinates",
                      (unsigned long long)k, (unsigned long long)view->d);
    if (view->payload_bytes != bytes_of(k, view->d))
        return failed(why, RESULT_INPUT, "the topk frame has %zu bytes of payload, not %llu",
                      view->payload_bytes, (unsigned long long)bytes_of(k, view->d));
    view->kept = k;
    view->codec.keep = (double)k;
    struct entries e = entries_of(view);
    for (uint64_t block = 0; block < view->blocks; block++)
        TRY(check_block(view, &e, block, why));
    return DONE;
}

static void topk_decode(const struct codec_view *view, uint64_t block, size_t n, float *out,
                        const float *next)
{
    (void)next;
    struct entries e = entries_of(view);
    uint64_t from, to;
    block_entries(&e, block, &from, &to);
    memset(out, 0, n * sizeof *out);
    for (uint64_t i = from; i < to; i++)
        out[load_u16(e.position + 2 * i)] = load_f32(e.value + 4 * i);
}

const struct codec_ops codec_topk_ef = {
    .id = CODEC_TOPK_EF,
    .magic = "TPK1",
    .payload_bytes = topk_bytes,
    .encode = topk_encode,
    .check = topk_check,
    .decode_block = topk_decode,
};
