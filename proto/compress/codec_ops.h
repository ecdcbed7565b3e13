/* SPDX-License-Identifier: Apache-2.0 */
/* What each codec gives to the frame layer; internal to compress/. */
#ifndef CONSILIUM_COMPRESS_CODEC_OPS_H
#define CONSILIUM_COMPRESS_CODEC_OPS_H

#include "proto/compress/codec.h"

#include <endian.h>
#include <string.h>

struct codec_ops {
    enum codec_id id;
    const char *magic; /* 4 characters */
    bool seeded;       /* the header carries the seed */
    uint64_t (*payload_bytes)(const struct codec *codec, uint64_t d);
    /* Writes exactly payload_bytes. */
    struct result (*encode)(const struct codec *codec, const unsigned char *seed, uint64_t d,
                            const float *x, unsigned char *payload, struct why *why);
    /* Checks the payload of a view whose other fields are set; fills codec.keep, kept, max_norm2.
     */
    struct result (*check)(struct codec_view *view, struct why *why);
    /* Decodes one block of n coordinates (n < CODEC_BLOCK only in the last). next: where the next
     * block will be decoded, or NULL. */
    void (*decode_block)(const struct codec_view *view, uint64_t block, size_t n, float *out,
                         const float *next);
};

extern const struct codec_ops codec_raw32, codec_bf16, codec_int8b, codec_eden, codec_topk_ef,
    codec_randk_shared;

static inline uint64_t codec_blocks(uint64_t d)
{
    return (d + CODEC_BLOCK - 1) / CODEC_BLOCK;
}

/* Coordinates of a block. */
static inline size_t codec_block_size(uint64_t d, uint64_t block)
{
    uint64_t left = d - block * CODEC_BLOCK;
    return left < CODEC_BLOCK ? (size_t)left : CODEC_BLOCK;
}

static inline void store_u16(unsigned char *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof v);
}

static inline void store_u32(unsigned char *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

static inline void store_u64(unsigned char *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

static inline uint16_t load_u16(const unsigned char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return le16toh(v);
}

static inline uint32_t load_u32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static inline uint64_t load_u64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static inline uint32_t float_bits(float x)
{
    uint32_t v;
    memcpy(&v, &x, sizeof v);
    return v;
}

static inline float bits_float(uint32_t v)
{
    float x;
    memcpy(&x, &v, sizeof x);
    return x;
}

static inline void store_f32(unsigned char *p, float x)
{
    store_u32(p, float_bits(x));
}

static inline float load_f32(const unsigned char *p)
{
    return bits_float(load_u32(p));
}

/* The first coordinate that is not finite or larger in magnitude than the limit; d if none is. */
uint64_t codec_first_over(const float *x, uint64_t d, float limit);

/* Adds one block's scale to the running sum of squared norms, refusing what would not decode to
 * finite numbers. size: coordinates the scale multiplies. */
struct result codec_check_scale(float scale, uint64_t block, double size, double *norm2,
                                struct why *why) MUST_CHECK;

#endif
